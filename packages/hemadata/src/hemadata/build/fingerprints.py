"""`fingerprints/<source>.parquet`: the thumbnails that the decode pass has made, in the order of sample ids' hashes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hemadata.arrow import write_tables
from hemadata.build.attempts import read_part
from hemadata.build.dealing import bucket_of, hash_of
from hemadata.build.parquet import ROW_GROUP_ROWS
from hemadata.build.records import Manifest
from hemadata.build.shards import FINGERPRINT_SCHEMA


def fingerprints_path(corpus: Path, source: str) -> Path:
    """Where the thumbnails of a source lie."""
    return corpus / "fingerprints" / f"{source}.parquet"


def read_fingerprints(corpus: Path, source: str) -> pa.Table:
    """Thumbnails of a source; empty where there are none, or the file cannot be read: they can be made again."""
    try:
        return pq.read_table(fingerprints_path(corpus, source), schema=FINGERPRINT_SCHEMA)
    except (OSError, pa.ArrowException):
        return FINGERPRINT_SCHEMA.empty_table()


def write_fingerprints(corpus: Path, source: str, tables: Sequence[pa.Table], index: pa.Table) -> pa.Table:
    """Write the thumbnails that belong to the rows of an index; of two for one row the first table's is kept.

    Args:
        corpus: its folder.
        source: slug.
        tables: of `FINGERPRINT_SCHEMA`; null thumbnails are left out.
        index: of the source.

    Returns:
        What was written, in the order of the hashes of sample ids.
    """
    table = _belonging(index.select(["sample_id", "sha256"]), tables)
    if not read_fingerprints(corpus, source).equals(table):
        _write(corpus, source, [table])
    return table


def keep_fingerprints(corpus: Path, manifest: Manifest, parts: Mapping[int, Path]) -> None:
    """Keep the thumbnails that units have just made, and of those that stood the ones still needed, unit by unit.

    Args:
        corpus: its folder.
        manifest: of the source; its index is the one that stood.
        parts: bucket -> folder of the try that has left a part of the index.
    """
    stood, names = _Stood(fingerprints_path(corpus, manifest.source)), FINGERPRINT_SCHEMA.names

    def tables() -> Iterator[pa.Table]:
        for unit in manifest.units:  # by bucket: in the order of the hashes
            held = stood.before(unit.bucket, manifest.buckets)
            if unit.bucket in parts:
                tables_of = read_part(parts[unit.bucket])
                made = pa.concat_tables(
                    [FINGERPRINT_SCHEMA.empty_table(), *(p.select(names).cast(FINGERPRINT_SCHEMA) for p in tables_of)]
                )
                held = _belonging(made.select(["sample_id", "sha256"]), [made, held])
            yield held

    _write(corpus, manifest.source, tables())


def _belonging(wanted: pa.Table, tables: Sequence[pa.Table]) -> pa.Table:
    """The thumbnail of each row, in the order of the hashes; rows without one are left out."""
    found = pa.concat_tables(tables)
    found = found.filter(pc.is_valid(found["thumbnail"]))
    if not (found.num_rows and wanted.num_rows):
        return FINGERPRINT_SCHEMA.empty_table()
    wanted = wanted.take(np.argsort(_hashes(wanted), kind="stable"))
    keys = [pc.binary_join_element_wise(t["sample_id"], t["sha256"], " ").combine_chunks() for t in (wanted, found)]
    return found.take(pc.index_in(*keys).drop_null())  # the first of equal keys


def _hashes(table: pa.Table) -> np.ndarray:
    return np.array([hash_of(name) for name in table["sample_id"].to_pylist()], np.uint64)


def _write(corpus: Path, source: str, tables: Iterable[pa.Table]) -> None:
    """Write the file; there is none where there are no thumbnails."""
    path, some = fingerprints_path(corpus, source), (table for table in tables if table.num_rows)
    if first := next(some, None):
        path.parent.mkdir(exist_ok=True)
        write_tables(path, chain([first], some), FINGERPRINT_SCHEMA, group_rows=ROW_GROUP_ROWS)
    else:
        path.unlink(missing_ok=True)


class _Stood:
    """The fingerprints that stood, read from the front: they lie in the order of the hashes."""

    def __init__(self, path: Path) -> None:
        self._rows = FINGERPRINT_SCHEMA.empty_table()
        self._groups = self._read(path)

    def before(self, bucket: int, buckets: int) -> pa.Table:
        """The rows of a bucket, and what is left of those before it."""
        taken = []
        while True:
            inside = int(np.sum(_buckets(self._rows, buckets) <= bucket))
            taken.append(self._rows.slice(0, inside))
            self._rows = self._rows.slice(inside)
            if self._rows.num_rows or (more := next(self._groups, None)) is None:
                return pa.concat_tables(taken)
            self._rows = more

    def _read(self, path: Path) -> Iterator[pa.Table]:
        with suppress(OSError, pa.ArrowException), pq.ParquetFile(path) as file:  # they can be made again
            for number in range(file.num_row_groups):
                yield file.read_row_group(number).cast(FINGERPRINT_SCHEMA)


def _buckets(table: pa.Table, buckets: int) -> np.ndarray:
    return np.array([bucket_of(name, buckets) for name in table["sample_id"].to_pylist()], np.int64)
