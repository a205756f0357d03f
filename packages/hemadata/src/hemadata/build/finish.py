"""Closing a source: its index, its manifest, no stale shard left, and the corpus-wide files made again."""

import contextlib
import csv
import io
import json
import shutil
from collections.abc import Container, Iterable, Iterator
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
from hemadata.build.card import card
from hemadata.build.fingerprints import keep_fingerprints
from hemadata.build.records import Manifest, Shard, UnitRecord, read_manifests, staged, state_folder
from hemadata.build.shards import INDEX_SCHEMA, read_part
from hemadata.quarantine import Quarantined

CSV_COLUMNS = ("source", "severity", "reason", "file", "record", "detail")


def finished_units(
    corpus: Path, source: str, wanted: dict[int, tuple[str, str]], old: Manifest | None
) -> dict[int, UnitRecord]:
    """Units that need not be done: their record has the wanted key and placement, shards and index rows are there.

    Args:
        corpus: folder of the corpus.
        source: slug.
        wanted: bucket -> key and placement of the plan.
        old: manifest of the last finished build.
    """
    records = {unit.bucket: unit for unit in old.units} if old else {}
    fresh = _fresh(corpus, source)
    # A record of an interrupted build is newer than the manifest: its shards may have replaced older ones.
    whole = fresh_records(corpus, source)
    records = {bucket: unit for bucket, unit in records.items() if bucket not in fresh} | whole
    indexed = _indexed(corpus, source)
    return {
        bucket: unit
        for bucket, unit in records.items()
        if wanted.get(bucket) == (unit.key, unit.placed)
        and all(_is_there(corpus, source, shard, bucket in fresh) for shard in unit.shards)
        and indexed.get(bucket, 0) == sum(shard.rows for shard in unit.shards)
    }


def fresh_records(corpus: Path, source: str) -> dict[int, UnitRecord]:
    """Bucket -> record of every unit that an unfinished run has done; one cut by a power failure is left out."""
    records = {}
    for bucket, path in _fresh(corpus, source).items():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            records[bucket] = UnitRecord.from_dict(json.loads(path.read_text(encoding="utf-8")))
    return records


def _fresh(corpus: Path, source: str) -> dict[int, Path]:
    """Bucket -> record of every unit that an unfinished build has done; shards without one are half a unit's work."""
    return {int(path.stem, 16): path for path in sorted(state_folder(corpus, source).glob("*.json"))}


def _is_there(corpus: Path, source: str, shard: Shard, is_fresh: bool) -> bool:
    paths = [corpus / shard.path] + ([staged(corpus, source, shard.path)] if is_fresh else [])
    return any(path.exists() and path.stat().st_size == shard.bytes for path in paths)


def _indexed(corpus: Path, source: str) -> dict[int, int]:
    """Bucket -> rows that an index holds of it: the part that its unit left, else the index that stood."""
    rows: dict[int, int] = {}
    with contextlib.suppress(OSError, pa.ArrowException):
        stood = pq.read_table(corpus / "index" / f"{source}.parquet", columns=["bucket"])
        rows = {entry["values"]: entry["counts"] for entry in pc.value_counts(stood["bucket"]).to_pylist()}
    for bucket in _fresh(corpus, source):
        try:
            rows[bucket] = sum(table.num_rows for table in read_part(corpus, source, bucket))
        except (OSError, pa.ArrowException):  # cut by a power failure: the unit is done again
            rows[bucket] = -1
    return rows


def finish(corpus: Path, manifest: Manifest, old: Manifest | None) -> None:
    """Give the shards their place, write index and manifest, drop what no record names, renew the corpus-wide files."""
    source = manifest.source
    index_path = corpus / "index" / f"{source}.parquet"
    index_path.parent.mkdir(exist_ok=True)
    fresh = _fresh(corpus, source)
    (corpus / "data" / manifest.task / source).mkdir(parents=True, exist_ok=True)
    shards = [shard.path for unit in manifest.units if unit.bucket in fresh for shard in unit.shards]
    waiting = {staged(corpus, source, shard): corpus / shard for shard in shards}
    publish({path: target for path, target in waiting.items() if path.exists()})
    if fresh or not old or [unit.bucket for unit in old.units] != [unit.bucket for unit in manifest.units]:
        keep_fingerprints(corpus, manifest, fresh)
        write_tables(index_path, _index(corpus, index_path, manifest, fresh), INDEX_SCHEMA)
    manifest.write(corpus)
    _drop_stale(corpus, manifest, old)
    state = state_folder(corpus, source)
    shutil.rmtree(state, ignore_errors=True)
    with contextlib.suppress(OSError):  # another source may still be at work there
        state.parent.rmdir()
    with FileLock(corpus / "manifest" / ".corpus.lock"):
        manifests = read_manifests(corpus)
        for folder, files in (("ontology", ontology.files()), ("prompts", prompts.files())):
            for name, data in files.items():
                write_bytes(corpus / folder / name, data)
        write_text(corpus / "reports" / "quarantine.csv", quarantine_csv(manifests))
        write_text(corpus / "README.md", card(corpus, manifests))


def _index(corpus: Path, index_path: Path, manifest: Manifest, fresh: Container[int]) -> Iterator[pa.Table]:
    """Index of a source, file by file: parts that units have just left, the rest from the index that stood."""

    def made() -> Iterator[tuple[str, pa.Table]]:
        units = [unit for unit in manifest.units if unit.bucket in fresh]
        for file, bucket in sorted((shard.path, unit.bucket) for unit in units for shard in unit.shards):
            for part in read_part(corpus, manifest.source, bucket):  # its pages are not read before they are used
                rows = part.select(INDEX_SCHEMA.names).filter(pc.equal(part["file"], file))
                yield file, rows.cast(INDEX_SCHEMA)

    def stood() -> Iterator[tuple[str, pa.Table]]:
        kept = pa.array([unit.bucket for unit in manifest.units if unit.bucket not in fresh], pa.int32())
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
