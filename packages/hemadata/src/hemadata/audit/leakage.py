"""What `hemadata duplicates` has found, kept in the corpus: the pairs, their clusters, and `reports/leakage.csv`."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from hemadata import schema
from hemadata.arrow import to_table, write_tables
from hemadata.atomic import write_text
from hemadata.audit.duplicates import Found
from hemadata.audit.pictures import CROP, Pair, cluster_names, same_picture
from hemadata.build.assign import ARROW, read_assignment, write_assignment
from hemadata.build.replace import replace_stale
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError

PAIRS_SCHEMA = schema.to_arrow_schema(schema.PAIRS)
CSV_COLUMNS = ["kind", "turn", "score", "confirmed", "leaks", "cluster"]
CSV_COLUMNS += ["source_a", "sample_a", "split_a", "source_b", "sample_b", "split_b"]


def pairs_path(corpus: Path) -> Path:
    """Where the pairs lie."""
    return corpus / "duplicates" / "pairs.parquet"


def keep(corpus: Path, found: Found) -> Counter[tuple[str, str]]:
    """Write what was found: pairs, clusters as a new assignment version, the index, `reports/leakage.csv`.

    Args:
        corpus: its folder.
        found: by `duplicates.find`.

    Returns:
        Sources of pairs with one picture in test and one in train or validation -> how many.
    """
    ordered = sorted(found.pairs, key=lambda pair: (pair.sample_a, pair.sample_b))
    rows = [{name: getattr(pair, name) for name in PAIRS_SCHEMA.names} for pair in ordered]
    path = pairs_path(corpus)
    path.parent.mkdir(exist_ok=True)
    write_tables(path, [to_table(rows, PAIRS_SCHEMA)])
    clusters = found.clusters()
    with FileLock(corpus / "assignment" / ".lock"):
        table = read_assignment(corpus)
        column = pa.array([clusters.get(sample_id) for sample_id in table["sample_id"].to_pylist()], pa.string())
        place = table.schema.get_field_index("dup_cluster")
        write_assignment(corpus, table.set_column(place, ARROW.field("dup_cluster"), column))
    replace_stale(corpus)
    return write_leakage(corpus)


def read_pairs(corpus: Path) -> list[Pair] | None:
    """The pairs of the last search; None where none was made.

    Raises:
        CorpusError: the file cannot be read.
    """
    path = pairs_path(corpus)
    if not path.exists():
        return None
    try:
        return [Pair(**row) for row in pq.read_table(path, schema=PAIRS_SCHEMA).to_pylist()]
    except (pa.ArrowException, OSError) as error:
        raise CorpusError(f"{path} cannot be read ({error}). Run hemadata duplicates {corpus} again.") from error


def write_leakage(corpus: Path) -> Counter[tuple[str, str]]:
    """Write `reports/leakage.csv` for the splits in force.

    Returns:
        Sources of pairs with one picture in test and one in train or validation -> how many.
    """
    out, leaking = io.StringIO(), Counter[tuple[str, str]]()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    with Corpus(corpus) as opened:
        for row in leakage(opened, read_pairs(corpus) or []):
            writer.writerow(row)
            if row["leaks"]:
                leaking[row["source_a"], row["source_b"]] += 1
    write_text(corpus / "reports" / "leakage.csv", out.getvalue())
    return leaking


def leakage(corpus: Corpus, pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    """Rows of `reports/leakage.csv`: the pairs, then the groups that sources of a family share by name.

    A shared group gives one row for each two sources: their first members.
    """
    names = ("sample_id", "source", "split", "group_id", "native_group")
    index = corpus.index.select(names)
    groups = index.filter(pc.is_valid(index["native_group"])).group_by("native_group")
    sources = groups.aggregate([("source", "count_distinct")])
    shared_names = sources.filter(pc.greater(sources["source_count_distinct"], 1))["native_group"].combine_chunks()
    ends = pa.array({end for pair in pairs for end in (pair.sample_a, pair.sample_b)}, pa.string())
    told = pc.or_(pc.is_in(index["sample_id"], ends), pc.is_in(index["native_group"], shared_names))
    rows = {row["sample_id"]: row for row in index.filter(told).sort_by("sample_id").to_pylist()}
    known = [pair for pair in pairs if pair.sample_a in rows and pair.sample_b in rows]
    clusters, joined = cluster_names(same_picture(known)), cluster_names((p.sample_a, p.sample_b) for p in known)
    for pair in known:
        a, b = rows[pair.sample_a], rows[pair.sample_b]
        yield _row(pair, a, b, clusters.get(pair.sample_a if pair.kind != CROP else "", ""))
    shared: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows.values():
        if row["native_group"] is not None:
            shared[row["native_group"]].setdefault(row["source"], row)
    for group, firsts in sorted(shared.items()):
        for a, b in combinations(firsts.values(), 2):
            if joined.get(a["sample_id"], "a") != joined.get(b["sample_id"], "b"):
                yield _row(Pair(a["sample_id"], b["sample_id"], "group"), a, b, group)


def _row(pair: Pair, a: dict[str, Any], b: dict[str, Any], cluster: str) -> dict[str, Any]:
    splits = {a["split"], b["split"]} - {"excluded"}
    row: dict[str, Any] = {"kind": pair.kind, "turn": pair.turn, "score": pair.score, "confirmed": pair.confirmed}
    row |= {"leaks": "yes" if "test" in splits and len(splits) > 1 else "", "cluster": cluster}
    for end, of in (("a", a), ("b", b)):
        row |= {f"source_{end}": of["source"], f"sample_{end}": of["sample_id"], f"split_{end}": of["split"]}
    return row


def tell(found: Found, corpus: Path, leaking: Counter[tuple[str, str]]) -> Iterator[str]:
    """Lines for a person: pairs by kind and sources, the closest that were rejected, and what leaks."""
    ends = ((pair.kind, pair.sample_a.partition("/")[0], pair.sample_b.partition("/")[0]) for pair in found.pairs)
    kinds = Counter(ends)
    for (kind, a, b), count in sorted(kinds.items()):
        where = f"inside {a}" if a == b else f"{a} and {b}"
        yield f"{kind:7} {count:8,}  {where}"
    if found.rejected:
        yield "Closest pairs that were not taken for duplicates (fine structure, second test on the decoded images):"
    for pair in found.rejected:
        first, second = ("" if value is None else f"{value:.3f}" for value in (pair.score, pair.confirmed))
        yield f"  {first:>6} {second:>6} {pair.kind:5}  {pair.sample_a}  {pair.sample_b}"
    if found.without:
        yield f"{found.without:,} images show nothing to compare, or cannot be read; only equal bytes and pixels tell."
    if found.crowded:
        yield f"{found.crowded:,} fingerprints are so common that they were compared with their neighbours only."
    clusters = len(set(found.clusters().values()))
    yield f"{found.images:,} images, {clusters:,} clusters of duplicates. Details: {corpus}/reports/leakage.csv"
    if total := sum(leaking.values()):
        yield f"{total:,} pairs lie across train and test. To put an end to it: hemadata split {corpus}"
