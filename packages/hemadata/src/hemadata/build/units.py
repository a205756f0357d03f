"""Doing one unit: rows in, one shard per split out, then the record that says it is done."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hemadata import prompts, schema, sources
from hemadata.arrow import to_table, write_tables
from hemadata.atomic import publish, write_text
from hemadata.build.assign import Assigned
from hemadata.build.digest import rows_digest
from hemadata.build.images import Check
from hemadata.build.parquet import ROW_GROUP_BYTES, ROW_GROUP_ROWS, byte_ranges, open_writer
from hemadata.build.records import Shard, UnitRecord
from hemadata.build.rows import Row, RowMaker
from hemadata.quarantine import Quarantined
from hemadata.sources.base import Ref

INDEX_SCHEMA = schema.to_arrow_schema(schema.index_columns())


@dataclass(frozen=True, slots=True)
class UnitTask:
    """Everything that another process, or another machine, needs to do a unit."""

    source: str
    corpus: Path
    bucket: int
    key: str
    refs: list[Ref]
    assigned: dict[str, Assigned]
    check: Check
    prompt: str | None
    phantom: int | None

    @property
    def state(self) -> Path:
        """Folder of the unfinished build of this source."""
        return state_folder(self.corpus, self.source)


def state_folder(corpus: Path, source: str) -> Path:
    """Where units leave their records until the whole source is done."""
    return corpus / ".building" / source


def run_unit(task: UnitTask) -> UnitRecord:
    """Do one unit; safe to do again at any time, with the same bytes."""
    source = sources.get(task.source)
    maker = RowMaker(source, task.check, prompts.get(task.prompt) if task.prompt else None)
    if task.phantom is not None:
        maker.constants["source_version"] = f"phantom-{task.phantom}"
    by_split: dict[str, list[Ref]] = {}
    for ref in task.refs:
        by_split.setdefault(task.assigned[f"{task.source}/{ref.key}"].split, []).append(ref)
    folder = task.corpus / "data" / source.facts.task / task.source
    folder.mkdir(parents=True, exist_ok=True)
    task.state.mkdir(parents=True, exist_ok=True)
    # From here on the shards of an older build may be replaced: a record without key says so, whatever happens next.
    _write_record(task, UnitRecord(task.bucket, "", 0, [], []))
    record, index = UnitRecord(task.bucket, task.key, 0, [], []), []
    for split in schema.SPLITS:
        path = folder / f"{split}-{task.bucket:02x}.parquet"
        groups = _row_groups(maker, by_split.get(split, []), record.quarantine)
        if (done := _write_shard(task, split, path, groups)) is not None:
            shard, table = done
            record.shards.append(shard)
            record.objects += pc.sum(table["object_count"]).as_py() or 0
            index.append(table)
    write_tables(task.state / f"{task.bucket:02x}.parquet", index or [INDEX_SCHEMA.empty_table()])
    _write_record(task, record)
    return record


def _write_record(task: UnitTask, record: UnitRecord) -> None:
    write_text(task.state / f"{task.bucket:02x}.json", json.dumps(asdict(record), ensure_ascii=False))


def _row_groups(maker: RowMaker, refs: list[Ref], quarantine: list[Quarantined]) -> Iterator[list[Row]]:
    """Rows of one split in groups bounded by bytes and number."""
    rows: list[Row] = []
    size = 0
    for ref in refs:
        row, found = maker.make(ref)
        quarantine += found
        if row is None:
            continue
        length = len(row["image"]["bytes"])
        if rows and (size + length > ROW_GROUP_BYTES or len(rows) == ROW_GROUP_ROWS):
            yield rows
            rows, size = [], 0
        rows.append(row)
        size += length
    if rows:
        yield rows


def _write_shard(task: UnitTask, split: str, path: Path, groups: Iterator[list[Row]]) -> tuple[Shard, pa.Table] | None:
    """Write the rows of one split; None, and no file, where there are none."""
    kind = schema.arrow_schema(sources.get(task.source).facts.task)
    temporary = path.with_name(f".{path.name}.tmp")
    scalars: list[pa.Table] = []

    def tables() -> Iterator[pa.Table]:
        for rows in groups:
            table = to_table(rows, kind)
            scalars.append(_scalars(table))
            writer.write_table(table, row_group_size=len(rows))
            yield table

    with open_writer(temporary, kind) as writer:
        digest = rows_digest(tables())
    if not scalars:
        temporary.unlink()
        return None
    with temporary.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    table = _index(task, split, path, temporary, pa.concat_tables(scalars))
    publish(temporary, path)
    relative = path.relative_to(task.corpus).as_posix()
    return Shard(relative, split, table.num_rows, path.stat().st_size, sha256, digest), table


def _scalars(table: pa.Table) -> pa.Table:
    names = [name for name in table.column_names if name in INDEX_SCHEMA.names]
    counts = (
        pc.list_value_length(table["objects"]) if "objects" in table.column_names else pa.nulls(len(table), pa.int32())
    )
    return table.select(names).append_column("object_count", counts)


def _index(task: UnitTask, split: str, path: Path, written: Path, scalars: pa.Table) -> pa.Table:
    """Index rows of one shard: its scalars, what was decided, and where the bytes lie."""
    n = scalars.num_rows
    images = byte_ranges(written, "image.bytes")
    masks = byte_ranges(written, "mask.bytes") if sources.get(task.source).facts.task == "segmentation" else [None] * n
    decided = [task.assigned[sample_id] for sample_id in scalars["sample_id"].to_pylist()]
    extra = {
        "task": [sources.get(task.source).facts.task] * n,
        "bucket": [task.bucket] * n,
        "split": [split] * n,
        "split_basis": [d.split_basis for d in decided],
        "group_id": [d.group_id for d in decided],
        "dup_cluster": [d.dup_cluster for d in decided],
        "file": [path.relative_to(task.corpus).as_posix()] * n,
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
