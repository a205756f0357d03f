"""Rows -> Arrow, column by column: three times faster than `from_pylist` on nested columns, with the same result."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hemadata.atomic import publish, temporary_name
from hemadata.errors import CorpusError


@contextmanager
def told(
    path: Path, advice: str = "Remove it and build its source again: only what is lost is done."
) -> Iterator[None]:
    """Tell a file of a corpus that cannot be read by its name and by what to do, whatever Arrow raises for it.

    Raises:
        CorpusError: it cannot be read.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CorpusError(f"{path} cannot be read ({first}). {advice}") from error


def to_table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows that have all the schema's keys -> a table."""
    columns = zip(_columns(rows, schema.names), schema, strict=True)
    return pa.Table.from_arrays([to_array(values, field.type) for values, field in columns], schema=schema)


def _columns(rows: Sequence[dict[str, Any]], names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Values by key. One getter for all keys is ten times faster than one pass over the rows for each."""
    if len(names) == 1:
        return [tuple(row[names[0]] for row in rows)]
    return list(zip(*map(itemgetter(*names), rows), strict=True)) if rows else [()] * len(names)


def to_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Python values -> an Arrow array of the given type; None is null at every depth."""
    nulls = values.count(None)
    if nulls == len(values):
        return pa.nulls(len(values), kind)
    if pa.types.is_binary(kind) and not nulls:  # images: joined once, where a builder would grow and copy
        buffers = [None, pa.py_buffer(_offsets(map(len, values), len(values))), pa.py_buffer(b"".join(values))]
        return pa.Array.from_buffers(kind, len(values), buffers)
    if not pa.types.is_nested(kind):
        return pa.array(values, kind)
    missing = pa.array([v is None for v in values]) if nulls else None
    if pa.types.is_struct(kind):
        there = values if not nulls else [dict.fromkeys(kind.names) if v is None else v for v in values]
        columns = _columns(there, kind.names)
        children = [to_array(column, field.type) for column, field in zip(columns, kind, strict=True)]
        return pa.StructArray.from_arrays(children, fields=list(kind), mask=missing)
    if pa.types.is_list(kind):
        inner = to_array(list(chain.from_iterable(v for v in values if v)), kind.value_type)
        offsets = _offsets((len(v) if v else 0 for v in values), len(values))
        return pa.ListArray.from_arrays(pa.array(offsets), inner, type=kind, mask=missing)
    # What is left is a fixed-size list. Arrow itself says what is wrong with a box of three or five numbers.
    if nulls or not pa.types.is_float32(kind.value_type) or set(map(len, values)) != {kind.list_size}:
        return pa.array(values, kind)
    flat = np.fromiter(chain.from_iterable(values), np.float32, count=len(values) * kind.list_size)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind)


def _offsets(lengths: Iterable[int], count: int) -> np.ndarray:
    offsets = np.zeros(count + 1, np.int32)
    np.cumsum(np.fromiter(lengths, np.int32, count), out=offsets[1:])
    return offsets


def write_tables(path: Path, tables: Sequence[pa.Table], durable: bool = True) -> None:
    """Write a small table file (index, assignment) atomically; `durable` as in `atomic.write_bytes`."""
    temporary = temporary_name(path)
    with pq.ParquetWriter(temporary, tables[0].schema, compression="ZSTD") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=50_000)
    if durable:
        publish({temporary: path})
    else:
        temporary.replace(path)
