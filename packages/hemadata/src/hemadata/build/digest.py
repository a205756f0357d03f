"""`rows_digest`: a hash of what rows say, whatever pyarrow version holds them in memory."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash


def rows_digest(tables: Iterable[pa.Table]) -> str:
    """xxh3-128 hex over the content of tables, in order. Row-group borders count: they are part of the contract."""
    digest = xxhash.xxh3_128()
    for table in tables:
        for name, column in zip(table.column_names, table.columns, strict=True):
            digest.update(name.encode() + b"\0")
            _add(digest, column.combine_chunks() if column.num_chunks != 1 else column.chunk(0))
            del column
        del table  # or it would stay in memory while the next one is made
    return digest.hexdigest()


def _add(digest: "xxhash.xxh3_128", array: pa.Array) -> None:
    kind = array.type
    digest.update(f"{_name(kind)}:{len(array)}:{array.null_count};".encode())
    if array.null_count == len(array):
        return
    if array.null_count:
        digest.update(np.packbits(array.is_null().to_numpy(zero_copy_only=False)).tobytes())
        array = array.drop_null()
    if pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            _add(digest, pc.struct_field(array, number))
    elif pa.types.is_fixed_size_list(kind):
        _add(digest, array.flatten())
    elif pa.types.is_list(kind):
        digest.update(array.value_lengths().to_numpy(zero_copy_only=False).tobytes())
        _add(digest, array.flatten())
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        digest.update(pc.binary_length(array).to_numpy(zero_copy_only=False).tobytes())
        _, offsets, data = array.buffers()
        ends = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
        if ends[-1] > ends[0]:
            digest.update(memoryview(data)[int(ends[0]) : int(ends[-1])])
    else:
        digest.update(np.ascontiguousarray(array.to_numpy(zero_copy_only=False)).tobytes())


def _name(kind: pa.DataType) -> str:
    """Name of a type without what Parquet may rename: the item field of lists."""
    if pa.types.is_struct(kind):
        return f"struct<{','.join(field.name for field in kind)}>"
    return "list" if pa.types.is_nested(kind) else str(kind)
