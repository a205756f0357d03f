"""Writing the shards of one unit: rows of each split in row groups, and where every image lies in its file."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from hemadata import schema
from hemadata.arrow import to_table
from hemadata.atomic import publish, temporary_name
from hemadata.build.assign import Assigned, placement
from hemadata.build.attempts import RECORD, attempt, index_part, staged
from hemadata.build.digest import rows_digest
from hemadata.build.offsets import byte_ranges
from hemadata.build.parquet import ROW_GROUP_BYTES, ROW_GROUP_ROWS, open_writer
from hemadata.build.records import Shard, UnitRecord, file_hash, shard_path
from hemadata.build.rows import Row
from hemadata.quarantine import Quarantined

INDEX_SCHEMA = schema.to_arrow_schema(schema.index_columns())
FINGERPRINT_SCHEMA = schema.to_arrow_schema(schema.FINGERPRINT)
PART_SCHEMA = INDEX_SCHEMA.append(FINGERPRINT_SCHEMA.field("thumbnail"))  # what a unit leaves for `finish`


@dataclass(frozen=True, slots=True)
class Place:
    """Where a unit belongs."""

    corpus: Path
    source: str
    task: str
    bucket: int


def write_unit(
    place: Place,
    key: str,
    assigned: dict[str, Assigned],
    rows_of: Callable[[str], Iterator[Row]],
    quarantine: list[Quarantined],
) -> UnitRecord:
    """Write the shards of a unit beside the corpus, durably; `finish` gives them their place.

    Args:
        place: of the unit.
        key: hash of the unit's inputs.
        assigned: what the corpus decided about every row that the unit planned.
        rows_of: split -> rows, in hash order.
        quarantine: what was withheld or repaired; may be filled while the rows are made.
    """
    with attempt(place.corpus, place.source, place.bucket) as folder:
        record = _write_shards(folder, place, key, assigned, rows_of)
        record.quarantine = quarantine
        record.write(folder / RECORD)
    return record


def _write_shards(
    folder: Path, place: Place, key: str, assigned: dict[str, Assigned], rows_of: Callable[[str], Iterator[Row]]
) -> UnitRecord:
    record, index, written = (
        UnitRecord(place.bucket, key, placement(assigned), 0, [], []),
        list[pa.Table](),
        dict[Path, Path](),
    )
    for split in schema.SPLITS:
        path = shard_path(place.task, place.source, split, place.bucket)
        target = staged(folder, path)
        temporary = temporary_name(target)
        scalars, thumbnails, digest = _write_rows(temporary, place.task, row_groups(rows_of(split)))
        if not scalars:
            continue
        table = _index(place, split, path, temporary, pa.concat_tables(scalars), assigned)
        size, written[temporary] = temporary.stat().st_size, target
        record.shards.append(Shard(path, split, table.num_rows, size, file_hash(temporary), digest))
        record.objects += pc.sum(table["object_count"]).as_py() or 0
        column = pa.array(thumbnails, PART_SCHEMA.field("thumbnail").type)
        index.append(table.append_column(PART_SCHEMA.field("thumbnail"), column))
    _publish_part(folder, index, written)
    return record


def _publish_part(folder: Path, tables: Sequence[pa.Table], beside: Mapping[Path, Path] = MappingProxyType({})) -> None:
    """Leave index rows and thumbnails of a unit for `finish`, durably, with the files that they tell of.

    Args:
        folder: of the try.
        tables: of `PART_SCHEMA`, one for each shard.
        beside: temporary -> final path of the shards.
    """
    path = index_part(folder)
    temporary = temporary_name(path)
    with pa.OSFile(str(temporary), "wb") as file, pa.ipc.new_file(file, PART_SCHEMA) as writer:
        for table in tables:
            writer.write_table(table.combine_chunks())
    publish({**beside, temporary: path})


def reindex_unit(
    corpus: Path, source: str, unit: UnitRecord, stood: pa.Table, assigned: dict[str, Assigned]
) -> UnitRecord:
    """Write the index rows of a unit anew, for decisions that move no row; its shards stay as they are.

    Args:
        corpus: its folder.
        source: slug.
        unit: its record.
        stood: its index rows.
        assigned: what the corpus decides about every row that the unit planned.
    """
    decided = [assigned[sample_id] for sample_id in stood["sample_id"].to_pylist()]
    table = stood
    for name in Assigned.__slots__:
        column = pa.array([getattr(d, name) for d in decided], pa.string())
        table = table.set_column(table.schema.get_field_index(name), INDEX_SCHEMA.field(name), column)
    kind = PART_SCHEMA.field("thumbnail")
    table = table.append_column(kind, pa.nulls(table.num_rows, kind.type))
    record = replace(unit, placed=placement(assigned))
    with attempt(corpus, source, unit.bucket) as folder:
        _publish_part(folder, [table])
        record.write(folder / RECORD)
    return record


def row_groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows in groups bounded by bytes and number."""
    group: list[Row] = []
    size = 0
    for row in rows:
        length = len(row["image"]["bytes"])
        if group and (size + length > ROW_GROUP_BYTES or len(group) == ROW_GROUP_ROWS):
            yield group
            group, size = [], 0
        group.append(row)
        size += length
    if group:
        yield group


def _write_rows(path: Path, task: str, groups: Iterator[list[Row]]) -> tuple[list[pa.Table], list[bytes | None], str]:
    """Write one file; returns scalars of its rows, their thumbnails, and its rows_digest. No rows, no file."""
    kind = schema.arrow_schema(task)
    scalars: list[pa.Table] = []
    thumbnails: list[bytes | None] = []
    if (first := next(groups, None)) is None:
        return [], [], ""
    groups = chain([first], groups)
    del first  # here too

    def tables() -> Iterator[pa.Table]:
        for rows in groups:
            table = to_table(rows, kind)
            scalars.append(_scalars(table))
            thumbnails.extend(row.get("thumbnail") for row in rows)
            writer.write_table(table, row_group_size=len(rows))
            yield table
            del rows, table  # or a whole row group would stay in memory while the next one is read

    with open_writer(path, kind) as writer:
        digest = rows_digest(tables())
    return scalars, thumbnails, digest


def _scalars(table: pa.Table) -> pa.Table:
    names = [name for name in table.column_names if name in INDEX_SCHEMA.names]
    has_objects = "objects" in table.column_names
    counts = pc.list_value_length(table["objects"]) if has_objects else pa.nulls(len(table), pa.int32())
    return table.select(names).append_column("object_count", counts)


def _index(
    place: Place, split: str, path: str, written: Path, scalars: pa.Table, assigned: dict[str, Assigned]
) -> pa.Table:
    """Index rows of one shard: its scalars, what was decided, and where the bytes lie."""
    n = scalars.num_rows
    images = byte_ranges(written, "image.bytes")
    masks = byte_ranges(written, "mask.bytes") if place.task == "segmentation" else [None] * n
    decided = [assigned[sample_id] for sample_id in scalars["sample_id"].to_pylist()]
    extra = {
        "task": [place.task] * n,
        "bucket": [place.bucket] * n,
        "split": [split] * n,
        "split_basis": [d.split_basis for d in decided],
        "group_id": [d.group_id for d in decided],
        "dup_cluster": [d.dup_cluster for d in decided],
        "file": [path] * n,
        "offset": [r and r[0] for r in images],
        "length": [r and r[1] for r in images],
        "mask_offset": [r and r[0] for r in masks],
        "mask_length": [r and r[1] for r in masks],
    }
    arrays = [
        scalars[f.name].combine_chunks()
        if f.name in scalars.column_names
        else pa.array(extra.get(f.name, [None] * n), f.type)
        for f in INDEX_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=INDEX_SCHEMA)
