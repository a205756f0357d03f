"""`hemadata check`: reads a corpus as a stranger would, and lists every way in which it breaks its own contract."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hemadata import schema
from hemadata.audit.leakage import read_pairs
from hemadata.audit.pictures import CROP
from hemadata.audit.rows import RowChecker, check_places, differ
from hemadata.build.assign import read_assignment
from hemadata.build.digest import rows_digest
from hemadata.build.images import Check
from hemadata.build.parquet import IMAGE_LEAVES
from hemadata.build.records import Manifest, Shard, file_hash
from hemadata.build.shards import INDEX_SCHEMA
from hemadata.corpus import Corpus
from hemadata.errors import HemaError

MAX_ROW_GROUP = 100 << 20  # bytes; above it, viewers and streaming readers suffer


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach: which rule, which file or record, what was found."""

    rule: str
    where: str
    found: str


@dataclass(slots=True)
class Report:
    """What a check has read and found."""

    sources: int = 0
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, rule: str, where: str, found: str) -> None:
        """Note a breach."""
        self.findings.append(Finding(rule, where, found))


def check(path: Path, depth: Check = "full", progress: Callable[[str, int, int], None] | None = None) -> Report:
    """Check a whole corpus.

    Args:
        path: its folder.
        depth: `full` decodes every image and mask, `header` reads their headers, `none` only tables.
        progress: told (source, rows so far, rows in all).

    Raises:
        InputMissingError: there is no corpus.
    """
    with Corpus(path) as corpus:
        report = Report()
        total = sum(manifest.images for manifest in corpus.manifests.values())
        indexed = True
        for manifest in corpus.manifests.values():
            report.sources += 1
            index = _read_index(corpus, manifest, report)
            indexed = indexed and index is not None
            for shard in manifest.shards:
                if _check_file(corpus, shard, report) and index is not None:
                    _try_rows(corpus, manifest, shard, index, depth, report)
                report.rows += shard.rows
                if progress:
                    progress(manifest.source, report.rows, total)
        _check_stray_files(corpus, report)
        if indexed:
            _check_decisions(corpus, report)
        return report


def _check_file(corpus: Corpus, shard: Shard, report: Report) -> bool:
    """The file is there and is the one that was written."""
    path = corpus.path / shard.path
    if not path.exists():
        report.add("shard-missing", shard.path, "named by the manifest, not there")
        return False
    if file_hash(path) != shard.xxh3:
        report.add("shard-changed", shard.path, "its hash is not the manifest's")
    try:
        return bool(pq.read_metadata(path).num_rows == shard.rows)
    except (pa.ArrowException, OSError) as error:  # Arrow tells a broken footer as an OSError
        report.add("shard-unreadable", shard.path, str(error))
        return False


def _try_rows(corpus: Corpus, manifest: Manifest, shard: Shard, index: pa.Table, depth: Check, report: Report) -> None:
    try:
        _check_rows(corpus, manifest, shard, index, depth, report)
    except HemaError:
        raise
    except Exception as error:  # a broken page may end in a dozen kinds of error
        report.add("shard-unreadable", shard.path, f"{type(error).__name__}: {error}")


def _check_rows(
    corpus: Corpus, manifest: Manifest, shard: Shard, index: pa.Table, depth: Check, report: Report
) -> None:
    file = pq.ParquetFile(corpus.path / shard.path)
    if not file.schema_arrow.equals(schema.arrow_schema(manifest.task)):
        report.add("schema", shard.path, f"columns differ from schema {schema.SCHEMA_VERSION}")
        return
    _check_layout(file, shard, report)
    places = index.filter(pc.equal(index["file"], shard.path))
    checker = RowChecker(manifest, corpus.ontology, depth, report.add)
    with (corpus.path / shard.path).open("rb") as stored:

        def groups() -> Iterator[pa.Table]:
            position = 0
            for number in range(file.num_row_groups):
                table = file.read_row_group(number)
                checker.check(table)
                check_places(stored.fileno(), table, places.slice(position, table.num_rows), report.add)
                position += table.num_rows
                yield table

        if rows_digest(groups()) != shard.rows_digest:
            report.add("rows-changed", shard.path, "its rows_digest is not the manifest's")


def _check_layout(file: pq.ParquetFile, shard: Shard, report: Report) -> None:
    """Image bytes are plain, every row group is small enough."""
    meta = file.metadata
    for number in range(meta.num_row_groups):
        group = meta.row_group(number)
        if group.total_byte_size > MAX_ROW_GROUP and group.num_rows > 1:
            report.add("row-group", shard.path, f"row group {number} has {group.total_byte_size:,} bytes")
        for column in (group.column(c) for c in range(group.num_columns)):
            if column.path_in_schema in IMAGE_LEAVES and column.compression != "UNCOMPRESSED":
                report.add("layout", shard.path, f"{column.path_in_schema} is compressed: pread cannot read it")


def _read_index(corpus: Corpus, manifest: Manifest, report: Report) -> pa.Table | None:
    """The index of a source, or None where it cannot be read; what else is wrong with it is reported."""
    path = corpus.path / "index" / f"{manifest.source}.parquet"
    try:
        index = pq.read_table(path, schema=INDEX_SCHEMA)
    except (pa.ArrowException, OSError) as error:
        report.add("index", manifest.source, f"has no index that can be read ({error}): build it again")
        return None
    if index.num_rows != manifest.images:
        report.add("index", manifest.source, f"{index.num_rows} index rows for {manifest.images} images")
    elif not pq.read_schema(path).equals(INDEX_SCHEMA):
        report.add("schema", f"index/{manifest.source}.parquet", f"columns differ from schema {schema.SCHEMA_VERSION}")
    return index


def _check_stray_files(corpus: Corpus, report: Report) -> None:
    named = {shard.path for manifest in corpus.manifests.values() for shard in manifest.shards}
    for path in sorted((corpus.path / "data").rglob("*.parquet")):
        if (name := path.relative_to(corpus.path).as_posix()) not in named:
            report.add("shard-unknown", name, "no manifest names it; an interrupted build left it: run the build again")


def _check_decisions(corpus: Corpus, report: Report) -> None:
    """Every row is unique and assigned, lies where it is assigned to, and no group straddles the splits."""
    columns = ["sample_id", "split", "group_id", "dup_cluster", "file"]
    paths = [corpus.path / "index" / f"{source}.parquet" for source in corpus.sources]
    index = pa.concat_tables([pq.read_table(path, columns=columns) for path in paths])
    counts = pc.value_counts(index["sample_id"])
    for entry in counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist():
        report.add("unique", entry["values"], f"{entry['counts']} rows have this sample_id")
    assigned = read_assignment(corpus.path).select(["sample_id", "split", "group_id"]).combine_chunks()
    at = pc.index_in(index["sample_id"], assigned["sample_id"].combine_chunks())
    decided = {name: assigned[name].take(at) for name in ("split", "group_id")}
    lies_in = pc.replace_substring_regex(index["file"], "^(?:.*/)?([^-/]*)-[^/]*$", r"\1")
    for name, rule in (("split", "split"), ("group_id", "group")):
        wrong = differ(decided[name], index[name])
        wrong = pc.or_(wrong, differ(lies_in, index["split"])) if rule == "split" else wrong
        for row, due in zip(index.filter(wrong).to_pylist(), decided[name].filter(wrong).to_pylist(), strict=True):
            found = f"lies in {row['file']}, assigned to {due}"
            if rule == "group":
                found = f"is of {row['group_id']} in the index, of {due} in the assignment"
            report.add(rule, row["sample_id"], found)
    placed = index.filter(pc.not_equal(index["split"], "excluded"))
    for rule, name in (("group", "group_id"), ("duplicate", "dup_cluster")):
        _check_joined(corpus, rule, name, placed.filter(pc.is_valid(placed[name])), report)
    _check_crops(corpus, placed, report)


def _check_joined(corpus: Corpus, rule: str, name: str, rows: pa.Table, report: Report) -> None:
    """No group, and no cluster of duplicates, is on two sides."""
    splits = rows.group_by(name).aggregate([("split", "count_distinct")])
    crossing = splits.filter(pc.greater(splits["split_count_distinct"], 1))[name]
    members: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows.filter(pc.is_in(rows[name], crossing.combine_chunks())).to_pylist():
        members[row[name]].setdefault(row["split"], row["sample_id"])
    for group, samples in members.items():
        _tell_crossing(corpus, rule, group, samples, report)


def _check_crops(corpus: Corpus, rows: pa.Table, report: Report) -> None:
    """No crop is on another side than the picture that it was cut from."""
    pairs = [pair for pair in read_pairs(corpus.path) or () if pair.kind == CROP]
    named = pa.array({name for pair in pairs for name in (pair.sample_a, pair.sample_b)}, pa.string())
    known = rows.filter(pc.is_in(rows["sample_id"], named))
    split_of = dict(zip(known["sample_id"].to_pylist(), known["split"].to_pylist(), strict=True))
    for pair in pairs:
        ends = {split_of[name]: name for name in (pair.sample_a, pair.sample_b) if name in split_of}
        if len(ends) > 1:
            _tell_crossing(corpus, "crop", f"{pair.sample_a} and {pair.sample_b}", ends, report)


def _tell_crossing(corpus: Corpus, rule: str, name: str, samples: dict[str, str], report: Report) -> None:
    told = ", ".join(f"{sample} ({split})" for split, sample in sorted(samples.items()))
    report.add(rule, name, f"crosses the split: {told}. Run hemadata split {corpus.path}")
