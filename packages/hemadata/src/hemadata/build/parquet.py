"""How a shard is written: row groups bounded by bytes, image bytes plain and uncompressed."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROW_GROUP_BYTES = 32 << 20  # costs no throughput against 100 MB and bounds the memory of writers and readers
ROW_GROUP_ROWS = 256  # as many as the smallest units have: what a unit holds in memory does not grow with the source
IMAGE_LEAVES = ("image.bytes", "mask.bytes")
DISTINCT = ("sample_id", "source_file", "sha256", "pixel_hash", "native_group", "prompt")


def open_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """A writer with the corpus' options for every leaf column."""
    leaves = list(_leaves(schema))
    return pq.ParquetWriter(
        path,
        schema,
        compression={leaf: "NONE" if leaf in IMAGE_LEAVES else "ZSTD" for leaf in leaves},
        # Only columns that say the same in most rows: elsewhere zstd alone is as small, and faster.
        use_dictionary=[leaf for leaf in leaves if "." not in leaf and leaf not in DISTINCT],
        # Statistics of image bytes would copy whole images into the footer.
        write_statistics=[leaf for leaf in leaves if leaf not in IMAGE_LEAVES],
        write_page_index=True,
        store_schema=True,
    )


def _leaves(schema: pa.Schema) -> Iterator[str]:
    def walk(kind: pa.DataType, path: str) -> Iterator[str]:
        if pa.types.is_struct(kind):
            for field in kind:
                yield from walk(field.type, f"{path}.{field.name}")
        elif pa.types.is_nested(kind):
            yield from walk(kind.value_type, f"{path}.list.element")
        else:
            yield path

    for field in schema:
        yield from walk(field.type, field.name)
