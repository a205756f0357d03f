"""The annotations of a corpus, a shard at a time: no picture is read, and memory does not grow with the corpus."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hemadata import schema
from hemadata.build.records import Manifest, Shard
from hemadata.errors import CorpusError

_ROW: tuple[str, ...] = (
    "sample_id",
    "width",
    "height",
    "license",
    "label",
    "label_raw",
    "label_relation",
    "attributes",
    "flags",
)
_ROW += ("split_upstream", "split_paper")
_INSIDE = {
    "objects": ("bbox", "label", "label_raw", "label_relation", "attributes"),
    "mask_classes": ("label", "pixels"),
    "qa": ("question_type", "origin"),
    "texts": ("origin",),
}


def shards(corpus: Path, manifest: Manifest) -> Iterator[tuple[Shard, pa.Table]]:
    """Every shard of a source with the columns that a report counts; nested ones hold only the fields it needs.

    Raises:
        CorpusError: a shard is missing or cannot be read.
    """
    named = {column.name for column in schema.columns(manifest.task)}
    inside = [f"{name}.list.element.{field}" for name, fields in _INSIDE.items() if name in named for field in fields]
    for shard in manifest.shards:
        yield shard, read(corpus, manifest.source, shard.path, [*_ROW, *inside])


def read(corpus: Path, source: str, shard: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of one shard.

    Raises:
        CorpusError: it is missing or cannot be read.
    """
    try:
        table = pq.ParquetFile(corpus / shard).read(columns=list(columns)).combine_chunks()
        table.validate(full=True)
        return table
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"{corpus / shard} cannot be read ({error}). Build {source} again.") from error
