"""The index of a source, a row group or a shard at a time: nobody who goes through a corpus holds all of it."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from hemadata.arrow import read_tables
from hemadata.build.shards import INDEX_SCHEMA


def read_index(corpus: Path, source: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Rows of one source, in the order of the index; a column that the file lacks is null.

    Args:
        corpus: its folder.
        source: slug.
        columns: of `schema.index_columns`; None: all.

    Raises:
        CorpusError: the index is missing or cannot be read.
    """
    wanted = pa.schema([INDEX_SCHEMA.field(name) for name in columns or INDEX_SCHEMA.names])
    yield from read_tables(corpus / "index" / f"{source}.parquet", wanted)


def by_file(tables: Iterable[pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    """Shard -> its rows, for tables in which the rows of a shard follow each other, as the index has them.

    Args:
        tables: with the column `file`.
    """
    current, parts = "", list[pa.Table]()
    for table in tables:
        for name, rows in _runs(table):
            if parts and name != current:
                yield current, pa.concat_tables(parts)
                parts = []
            current = name
            parts.append(rows)
    if parts:
        yield current, pa.concat_tables(parts)


def _runs(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    names = table["file"].combine_chunks().dictionary_encode()
    numbers = names.indices.to_numpy()
    starts = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    for start, end in pairwise(starts):
        if end > start:
            yield names.dictionary[numbers[start]].as_py(), table.slice(start, end - start)
