"""`hemadata check`: reads a corpus as a stranger would, and lists every way in which it breaks its own contract."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hemadata import schema
from hemadata.audit.decisions import check_decisions
from hemadata.audit.rows import RowChecker, check_places
from hemadata.build.digest import rows_digest
from hemadata.build.images import Check
from hemadata.build.parquet import IMAGE_LEAVES
from hemadata.build.records import Manifest, Shard, file_hash
from hemadata.build.shards import INDEX_SCHEMA
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError, HemaError
from hemadata.index import by_file, read_index

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
            for shard, places in _with_places(corpus, manifest, report):
                indexed = indexed and places is not None
                if _check_file(corpus, shard, report) and places is not None:
                    _try_rows(corpus, manifest, shard, places, depth, report)
                report.rows += shard.rows
                if progress:
                    progress(manifest.source, report.rows, total)
        _check_stray_files(corpus, report)
        if indexed:
            check_decisions(corpus, report.add)
        return report


def _with_places(corpus: Corpus, manifest: Manifest, report: Report) -> Iterator[tuple[Shard, pa.Table | None]]:
    """Every shard of a source with its rows of the index, None where that cannot be read; what is wrong is reported."""
    waiting, rows = {shard.path: shard for shard in manifest.shards}, 0
    without: pa.Table | None = INDEX_SCHEMA.empty_table()
    try:
        for name, places in by_file(read_index(corpus.path, manifest.source)):
            rows += places.num_rows
            if shard := waiting.pop(name, None):
                yield shard, places
            else:
                found = f"{places.num_rows} rows in {name}, which the manifest does not name, or which came before"
                report.add("index", manifest.source, found)
    except CorpusError as error:
        report.add("index", manifest.source, f"has no index that can be read: {error}")
        without = None
    else:
        path = corpus.path / "index" / f"{manifest.source}.parquet"
        if rows != manifest.images:
            report.add("index", manifest.source, f"{rows} index rows for {manifest.images} images")
        elif not pq.read_schema(path).equals(INDEX_SCHEMA):
            found = f"columns differ from schema {schema.SCHEMA_VERSION}"
            report.add("schema", f"index/{manifest.source}.parquet", found)
    for shard in waiting.values():
        yield shard, without


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


def _try_rows(corpus: Corpus, manifest: Manifest, shard: Shard, places: pa.Table, depth: Check, report: Report) -> None:
    try:
        _check_rows(corpus, manifest, shard, places, depth, report)
    except HemaError:
        raise
    except Exception as error:  # a broken page may end in a dozen kinds of error
        report.add("shard-unreadable", shard.path, f"{type(error).__name__}: {error}")


def _check_rows(
    corpus: Corpus, manifest: Manifest, shard: Shard, places: pa.Table, depth: Check, report: Report
) -> None:
    file = pq.ParquetFile(corpus.path / shard.path)
    if not file.schema_arrow.equals(schema.arrow_schema(manifest.task)):
        report.add("schema", shard.path, f"columns differ from schema {schema.SCHEMA_VERSION}")
        return
    _check_layout(file, shard, report)
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
                del table  # or it would stay in memory while the next one is read

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


def _check_stray_files(corpus: Corpus, report: Report) -> None:
    named = {shard.path for manifest in corpus.manifests.values() for shard in manifest.shards}
    for path in sorted((corpus.path / "data").rglob("*.parquet")):
        if (name := path.relative_to(corpus.path).as_posix()) not in named:
            report.add("shard-unknown", name, "no manifest names it; an interrupted build left it: run the build again")
