"""Where each value of a plain column lies in a Parquet file: page headers are read, pages walked, nothing copied."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from hemadata.errors import CorpusError


def byte_ranges(path: Path, leaf: str) -> list[tuple[int, int] | None]:
    """Where each value of a plain, uncompressed byte-array leaf lies: (first byte, length), None for null.

    Raises:
        CorpusError: the column is stored another way.
    """
    meta = pq.read_metadata(path)
    ranges: list[tuple[int, int] | None] = []
    with path.open("rb") as file:
        for group in range(meta.num_row_groups):
            chunk = next(c for c in _chunks(meta.row_group(group)) if c.path_in_schema == leaf)
            if chunk.compression != "UNCOMPRESSED" or chunk.dictionary_page_offset is not None:
                raise CorpusError(
                    f"{path}: {leaf} is compressed or dictionary-encoded; it must be plain to be read by pread"
                )
            start, end = chunk.data_page_offset, chunk.data_page_offset + chunk.total_compressed_size
            while start < end:
                start = _page(file.fileno(), start, ranges)
    return ranges


def _chunks(group: pq.RowGroupMetaData) -> Iterator[pq.ColumnChunkMetaData]:
    return (group.column(number) for number in range(group.num_columns))


def _page(fd: int, start: int, ranges: list[tuple[int, int] | None]) -> int:
    """Add the byte ranges of one data page; returns where the next page begins."""
    header, at = _thrift_struct(os.pread(fd, 4096, start), 0)
    size, (count, encoding, level_encoding) = header[3], (header[5][1], header[5][2], header[5][3])
    if header[1] != 0 or encoding != 0 or level_encoding != 3:
        raise CorpusError(f"unexpected page of type {header[1]}, encoding {encoding} at byte {start}")
    body = start + at
    (levels_size,) = struct.unpack("<I", os.pread(fd, 4, body))
    present = _levels(os.pread(fd, levels_size, body + 4), count)
    at = body + 4 + levels_size
    for level in present:
        if level < 2:  # the struct or its bytes are null
            ranges.append(None)
            continue
        (length,) = struct.unpack("<I", os.pread(fd, 4, at))
        ranges.append((at + 4, length))
        at += 4 + length
    return int(body + size)


def _levels(data: bytes, count: int) -> list[int]:
    """Definition levels 0 to 2 of `count` values: Parquet's hybrid of runs and 2-bit packs."""
    levels: list[int] = []
    at = 0
    while len(levels) < count:
        head, at = _varint(data, at)
        if head & 1:
            packed = int.from_bytes(data[at : at + (head >> 1) * 2], "little")
            levels += [(packed >> 2 * i) & 3 for i in range((head >> 1) * 8)]
            at += (head >> 1) * 2
        else:
            levels += [data[at]] * (head >> 1)
            at += 1
    return levels[:count]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _thrift_struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    """A struct of Thrift's compact protocol as {field number: value}; only what page headers use."""
    fields: dict[int, Any] = {}
    number = 0
    while data[at]:
        kind, step, at = data[at] & 0x0F, data[at] >> 4, at + 1
        if step:
            number += step
        else:
            number, at = _zigzag(data, at)
        if kind in (1, 2):
            fields[number] = kind == 1
        elif kind in (4, 5, 6):
            fields[number], at = _zigzag(data, at)
        elif kind == 8:
            length, at = _varint(data, at)
            fields[number], at = data[at : at + length], at + length
        elif kind == 12:
            fields[number], at = _thrift_struct(data, at)
        else:
            raise CorpusError(f"unexpected field type {kind} in a page header")
    return fields, at + 1


def _zigzag(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at
