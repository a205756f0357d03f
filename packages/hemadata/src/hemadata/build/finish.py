"""Closing a source: its index, its manifest, no stale shard left, and the corpus-wide files made again."""

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from hemadata import ontology, prompts
from hemadata.arrow import write_tables
from hemadata.atomic import write_bytes, write_text
from hemadata.build.card import card
from hemadata.build.records import Manifest, UnitRecord, read_manifests
from hemadata.build.units import INDEX_SCHEMA, state_folder

CSV_COLUMNS = ("source", "severity", "reason", "file", "record", "detail")


def finished_units(corpus: Path, source: str, keys: dict[int, str], old: Manifest | None) -> dict[int, UnitRecord]:
    """Units whose record has the wanted key and whose shards are all there, from an interrupted build and from the last one.

    Args:
        corpus: folder of the corpus.
        source: slug.
        keys: bucket -> key of the plan.
        old: manifest of the last finished build.
    """
    records = {unit.bucket: unit for unit in old.units} if old else {}
    for path in sorted(state_folder(corpus, source).glob("*.json")):
        # A record of an interrupted build is newer than the manifest: its shards have replaced older ones.
        unit = UnitRecord.from_dict(json.loads(path.read_text(encoding="utf-8")))
        records[unit.bucket] = unit
    return {b: unit for b, unit in records.items() if keys.get(b) == unit.key and _is_there(corpus, unit)}


def _is_there(corpus: Path, unit: UnitRecord) -> bool:
    paths = [(corpus / shard.path, shard.bytes) for shard in unit.shards]
    return all(path.exists() and path.stat().st_size == size for path, size in paths)


def finish(corpus: Path, manifest: Manifest, old: Manifest | None) -> None:
    """Write index and manifest of a source, drop what no record names, renew the corpus-wide files."""
    state = state_folder(corpus, manifest.source)
    index_path = corpus / "index" / f"{manifest.source}.parquet"
    index_path.parent.mkdir(exist_ok=True)
    index = _index(state, index_path, manifest)
    if not (index_path.exists() and old and pq.read_table(index_path).equals(index)):
        write_tables(index_path, [index])
    manifest.write(corpus)
    _drop_stale(corpus, manifest, old)
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


def _index(state: Path, index_path: Path, manifest: Manifest) -> pa.Table:
    """Index of a source: parts that units have just left, the rest from the index that stood."""
    fresh = {int(path.stem, 16): pq.read_table(path, schema=INDEX_SCHEMA) for path in state.glob("*.parquet")}
    parts = [fresh[unit.bucket] for unit in manifest.units if unit.bucket in fresh]
    kept = [unit.bucket for unit in manifest.units if unit.bucket not in fresh]
    if kept:
        stood = pq.read_table(index_path, schema=INDEX_SCHEMA)
        parts.append(stood.filter(pc.is_in(stood["bucket"], pa.array(kept, pa.int32()))))
    return pa.concat_tables(parts).sort_by([("file", "ascending"), ("offset", "ascending")])


def _drop_stale(corpus: Path, manifest: Manifest, old: Manifest | None) -> None:
    """Remove shards that the manifest does not name: left by other splits, other buckets, or another task."""
    named = {shard.path for shard in manifest.shards}
    for task in {manifest.task, old.task if old else manifest.task}:
        folder = corpus / "data" / task / manifest.source
        for path in sorted(folder.glob("*.parquet")) + sorted(folder.glob(".*.tmp")):
            if path.relative_to(corpus).as_posix() not in named:
                path.unlink()


def quarantine_csv(manifests: list[Manifest]) -> str:
    """`reports/quarantine.csv` for the whole corpus."""
    out = io.StringIO()
    writer = csv.DictWriter(out, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for manifest in manifests:
        writer.writerows(entry.as_dict() for entry in manifest.quarantine)
    return out.getvalue()
