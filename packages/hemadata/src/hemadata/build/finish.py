"""Closing a source: its index, its manifest, no stale shard left, and the corpus-wide files made again."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from operator import itemgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from hemadata import ontology, prompts
from hemadata.arrow import write_tables
from hemadata.atomic import publish, write_bytes, write_text
from hemadata.build.attempts import attempts, clear, is_there, read_part, staged
from hemadata.build.card import card
from hemadata.build.fingerprints import keep_fingerprints
from hemadata.build.records import Manifest, UnitRecord, read_manifests
from hemadata.build.shards import INDEX_SCHEMA
from hemadata.quarantine import Quarantined

CSV_COLUMNS = ("source", "severity", "reason", "file", "record", "detail")


def finished_units(
    corpus: Path, source: str, buckets: Iterable[int], wanted: Callable[[int], tuple[str, str]], old: Manifest | None
) -> dict[int, UnitRecord]:
    """Units that need not be done: their record has the wanted key and placement, shards and index rows are there.

    Args:
        corpus: folder of the corpus.
        source: slug.
        buckets: of the plan.
        wanted: bucket -> key and placement of the plan.
        old: manifest of the last finished build.
    """
    standing = {unit.bucket: unit for unit in old.units} if old else {}
    tried, indexed = attempts(corpus, source), _indexed(corpus, source)
    found: dict[int, UnitRecord] = {}
    for bucket in buckets:
        if bucket in tried or bucket in standing:
            facts = wanted(bucket)
        if bucket in tried:  # newer than the manifest: its shards may have replaced older ones
            fitting = (a for a in tried[bucket] if a.record and (a.record.key, a.record.placed) == facts)
            if whole := next((attempt for attempt in fitting if attempt.is_whole(corpus)), None):
                assert whole.record
                found[bucket] = whole.record
        elif (unit := standing.get(bucket)) and (unit.key, unit.placed) == facts:
            is_indexed = indexed.get(bucket, 0) == sum(shard.rows for shard in unit.shards)
            if is_indexed and all(is_there(corpus / shard.path, shard) for shard in unit.shards):
                found[bucket] = unit
    return found


def _indexed(corpus: Path, source: str) -> dict[int, int]:
    """Bucket -> rows that the index holds of it."""
    with contextlib.suppress(OSError, pa.ArrowException):
        stood = pq.read_table(corpus / "index" / f"{source}.parquet", columns=["bucket"])
        return {entry["values"]: entry["counts"] for entry in pc.value_counts(stood["bucket"]).to_pylist()}
    return {}


def finish(corpus: Path, manifest: Manifest, old: Manifest | None) -> None:
    """Give the shards their place, write index and manifest, drop what no record names, renew the corpus-wide files."""
    source = manifest.source
    index_path = corpus / "index" / f"{source}.parquet"
    index_path.parent.mkdir(exist_ok=True)
    fresh = _fresh(corpus, manifest)
    (corpus / "data" / manifest.task / source).mkdir(parents=True, exist_ok=True)
    waiting: dict[Path, Path] = {}
    for unit in manifest.units:
        for shard in unit.shards:
            made = (staged(folder, shard.path) for folder in fresh.get(unit.bucket, ()))
            if there := next(filter(Path.exists, made), None):  # else a stopped run has put it into its place
                waiting[there] = corpus / shard.path
    publish(waiting)
    parts = {bucket: folders[0] for bucket, folders in fresh.items()}
    if fresh or not old or [unit.bucket for unit in old.units] != [unit.bucket for unit in manifest.units]:
        keep_fingerprints(corpus, manifest, parts)
        write_tables(index_path, _index(index_path, manifest, parts), INDEX_SCHEMA)
    manifest.write(corpus)
    _drop_stale(corpus, manifest, old)
    with FileLock(corpus / "manifest" / ".corpus.lock"):
        manifests = read_manifests(corpus)
        for folder, files in (("ontology", ontology.files()), ("prompts", prompts.files())):
            for name, data in files.items():
                write_bytes(corpus / folder / name, data)
        write_text(corpus / "reports" / "quarantine.csv", quarantine_csv(manifests))
        write_text(corpus / "README.md", card(corpus, manifests))
    clear(corpus, source)  # last: while tries are there, the next run comes back to all of this


def _fresh(corpus: Path, manifest: Manifest) -> dict[int, list[Path]]:
    """Bucket -> folders of the tries that say what the manifest says; the first has all its index rows."""
    tried, fresh = attempts(corpus, manifest.source), dict[int, list[Path]]()
    for unit in manifest.units:
        same = [attempt for attempt in tried.get(unit.bucket, ()) if attempt.record == unit]
        if same:
            fresh[unit.bucket] = [a.folder for a in sorted(same, key=lambda a: not a.is_whole(corpus))]
    return fresh


def _index(index_path: Path, manifest: Manifest, parts: Mapping[int, Path]) -> Iterator[pa.Table]:
    """Index of a source, file by file: parts that units have just left, the rest from the index that stood."""

    def made() -> Iterator[tuple[str, pa.Table]]:
        units = [unit for unit in manifest.units if unit.bucket in parts]
        for file, bucket in sorted((shard.path, unit.bucket) for unit in units for shard in unit.shards):
            for part in read_part(parts[bucket]):  # its pages are not read before they are used
                rows = part.select(INDEX_SCHEMA.names).filter(pc.equal(part["file"], file))
                yield file, rows.cast(INDEX_SCHEMA)

    def stood() -> Iterator[tuple[str, pa.Table]]:
        kept = pa.array([unit.bucket for unit in manifest.units if unit.bucket not in parts], pa.int32())
        if len(kept):
            with pq.ParquetFile(index_path) as file:
                for number in range(file.num_row_groups):
                    rows = file.read_row_group(number)
                    rows = rows.filter(pc.is_in(rows["bucket"], kept)).cast(INDEX_SCHEMA)
                    for name in pc.unique(rows["file"]).to_pylist():
                        yield name, rows.filter(pc.equal(rows["file"], name))

    return (table for _, table in merge(made(), stood(), key=itemgetter(0)))


def _drop_stale(corpus: Path, manifest: Manifest, old: Manifest | None) -> None:
    """Remove shards that the manifest does not name: left by other splits, other buckets, or another task."""
    named = {shard.path for shard in manifest.shards}
    for task in {manifest.task, old.task if old else manifest.task}:
        folder = corpus / "data" / task / manifest.source
        for path in sorted(folder.glob("*.parquet")):
            if path.relative_to(corpus).as_posix() not in named:
                path.unlink()


def quarantine_csv(manifests: list[Manifest]) -> str:
    """`reports/quarantine.csv` for the whole corpus."""
    return csv_text(entry for manifest in manifests for entry in manifest.quarantine)


def csv_text(entries: Iterable[Quarantined]) -> str:
    """What was withheld, repaired or passed over, a line each."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(entry.as_dict() for entry in entries)
    return out.getvalue()
