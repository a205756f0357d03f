"""Moving rows to other splits without the raw data: the units that a new assignment touches are written again."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from heapq import merge
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from hemadata.build import finish
from hemadata.build.assign import Assigned, placement, read_assignment
from hemadata.build.attempts import attempts, state_folder, sweep
from hemadata.build.dealing import bucket_of, hash_of
from hemadata.build.records import Manifest, UnitRecord, read_manifest, read_manifests
from hemadata.build.rows import Row
from hemadata.build.shards import INDEX_SCHEMA, Place, reindex_unit, write_unit
from hemadata.errors import CorpusError


def replace_stale(corpus: Path, family: str | None = None, besides: str | None = None) -> dict[str, int]:
    """Re-place every unit whose rows are assigned elsewhere than they lie.

    Args:
        corpus: its folder.
        family: only sources of this family; None: all.
        besides: a source that has just been built, and lies where it is assigned.

    Returns:
        Source -> rows in the units that were written again.

    Raises:
        CorpusError: a build of a source was interrupted; with a family, it is passed over: its next build places it.
    """
    moved: dict[str, int] = {}
    for manifest in read_manifests(corpus):
        if manifest.source != besides and (family is None or manifest.facts.get("family") == family):
            with FileLock(corpus / "manifest" / f".{manifest.source}.lock"):
                if rows := _replace_source(corpus, manifest.source, passing=family is not None):
                    moved[manifest.source] = rows
    return moved


def settle(corpus: Path) -> None:
    """Bring a stopped `split` or `duplicates` to its end: until then shards and index may say different things.

    Raises:
        CorpusError: a build of a source was interrupted.
    """
    for manifest in read_manifests(corpus):
        if not state_folder(corpus, manifest.source).exists():
            continue
        with FileLock(corpus / "manifest" / f".{manifest.source}.lock"):
            if _resumed(corpus, manifest.source) is None:
                raise _interrupted(manifest.source)


def _interrupted(source: str) -> CorpusError:
    return CorpusError(f"{source}: its last build was interrupted. Run that build again, then this.")


def _replace_source(corpus: Path, source: str, passing: bool) -> int:
    manifest = _resumed(corpus, source)
    if manifest is None and passing:
        return 0
    if manifest is None:
        raise _interrupted(source)
    assigned = assigned_by_bucket(read_assignment(corpus), manifest)
    stale = [unit for unit in manifest.units if unit.placed != placement(assigned[unit.bucket])]
    if not stale:
        return 0
    records = {unit.bucket: unit for unit in manifest.units}
    index = pq.read_table(corpus / "index" / f"{source}.parquet", schema=INDEX_SCHEMA)
    moved = 0
    state_folder(corpus, source).mkdir(parents=True, exist_ok=True)
    for unit in stale:
        decided, stood = assigned[unit.bucket], index.filter(pc.equal(index["bucket"], unit.bucket))
        where = zip(stood["sample_id"].to_pylist(), stood["split"].to_pylist(), strict=True)
        if all(decided[sample_id].split == split for sample_id, split in where):
            records[unit.bucket] = reindex_unit(corpus, source, unit, stood, decided)
        else:
            records[unit.bucket] = _replace_unit(corpus, manifest, unit, decided)
            moved += stood.num_rows
    finish.finish(corpus, replace(manifest, units=[records[bucket] for bucket in sorted(records)]), manifest)
    return moved


def _resumed(corpus: Path, source: str) -> Manifest | None:
    """The manifest of a source; what an interrupted re-placing has left gets its place first, it may have begun to.

    None where a build was interrupted: its units have other inputs than the manifest's.
    """
    sweep(corpus, source)
    manifest = read_manifest(corpus, source)
    tried = attempts(corpus, source)
    if not tried or not manifest:
        return manifest
    records = {unit.bucket: unit for unit in manifest.units}
    for bucket, tries in tried.items():
        whole = [attempt.record for attempt in tries if attempt.record and attempt.is_whole(corpus)]
        if bucket not in records or not whole or records[bucket].key != whole[-1].key:
            return None
        records[bucket] = whole[-1]
    finish.finish(corpus, replace(manifest, units=[records[bucket] for bucket in sorted(records)]), manifest)
    return read_manifest(corpus, source)


def assigned_by_bucket(table: pa.Table, manifest: Manifest) -> dict[int, dict[str, Assigned]]:
    """Bucket -> sample_id -> what an assignment decided about the rows of a source."""
    found: dict[int, dict[str, Assigned]] = defaultdict(dict)
    for row in table.filter(pc.equal(table["source"], manifest.source)).to_pylist():
        decision = Assigned(*(row[field] for field in Assigned.__slots__))
        found[bucket_of(row["sample_id"], manifest.buckets)][row["sample_id"]] = decision
    return found


def _replace_unit(corpus: Path, manifest: Manifest, unit: UnitRecord, assigned: dict[str, Assigned]) -> UnitRecord:
    def rows_of(split: str) -> Iterator[Row]:
        streams = [_rows(corpus / shard.path, assigned, split) for shard in unit.shards]
        return merge(*streams, key=lambda row: hash_of(row["sample_id"]))

    place = Place(corpus, manifest.source, manifest.task, unit.bucket)
    return write_unit(place, unit.key, assigned, rows_of, unit.quarantine)


def _rows(path: Path, assigned: dict[str, Assigned], split: str) -> Iterator[Row]:
    """Rows of a shard that go to a split; row groups without any are not read."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            names = file.read_row_group(group, columns=["sample_id"])["sample_id"].to_pylist()
            goes = [assigned[name].split == split for name in names]
            if any(goes):
                yield from file.read_row_group(group).filter(pa.array(goes)).to_pylist()
