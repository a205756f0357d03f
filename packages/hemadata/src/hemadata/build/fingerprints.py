"""`fingerprints/<source>.parquet`: the thumbnails that the decode pass has made, one per image."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hemadata.arrow import write_tables
from hemadata.build.shards import FINGERPRINT_SCHEMA, PART_SCHEMA


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
        What was written, in the order of sample ids.
    """
    found = pa.concat_tables(tables)
    found = found.filter(pc.is_valid(found["thumbnail"]))
    wanted = index.select(["sample_id", "sha256"]).sort_by("sample_id")
    keys = [pc.binary_join_element_wise(t["sample_id"], t["sha256"], " ").combine_chunks() for t in (wanted, found)]
    at = pc.index_in(*keys)  # the first of equal keys
    table = found.take(at.drop_null())
    path = fingerprints_path(corpus, source)
    if table.num_rows == 0:
        path.unlink(missing_ok=True)
    elif not read_fingerprints(corpus, source).equals(table):
        path.parent.mkdir(exist_ok=True)
        write_tables(path, [table])
    return table


def keep_fingerprints(corpus: Path, source: str, parts: Sequence[Path], index: pa.Table) -> None:
    """Keep the thumbnails that units have just made, and of those that stood the ones still needed.

    Args:
        corpus: its folder.
        source: slug.
        parts: files of `PART_SCHEMA` that the units left.
        index: of the source.
    """
    made = [pq.read_table(path, schema=PART_SCHEMA).select(FINGERPRINT_SCHEMA.names) for path in parts]
    tables = [table.cast(FINGERPRINT_SCHEMA) for table in made]
    write_fingerprints(corpus, source, [*tables, read_fingerprints(corpus, source)], index)
