"""Masked sentences as hemasynth writes them: `texts.parquet` beside `run.json`, one sentence a row."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa

from hemadata.errors import FormatError
from hemadata.formats import pairs

FILE = "texts.parquet"
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("image_id", "text", "masked_text", "target")]
    + [("answers", pa.list_(pa.string())), ("span_starts", pa.list_(pa.int32())), ("span_ends", pa.list_(pa.int32()))]
    + [("attributes", pa.list_(pa.string()))]
    + [(name, pa.string()) for name in ("origin", "split", "group")]
)


def write(folder: Path, run: dict[str, Any], rows: Iterable[dict[str, Any]]) -> None:
    """Write `run.json` and `texts.parquet` atomically.

    Args:
        folder: e.g. `raw/leukemiaattri-mlm/hemasynth`.
        run: engine, seed and what else made them.
        rows: with the columns of `SCHEMA`; `image_id` is what follows `leukemiaattri/` in a sample_id, spans are
            character offsets in `text`.
    """
    pairs.write(folder, run, rows, FILE, SCHEMA)


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run and sentences of a raw tree.

    Raises:
        FormatError: a file is missing, not what it should be, or the blanks of a row are not parts of its text.
    """
    run, rows = pairs.read(folder, FILE, SCHEMA, "mlm")
    for number, row in enumerate(rows, start=1):
        found = targets(row)
        if found is None or not row["image_id"] or not row["masked_text"]:
            raise FormatError(
                f"{folder / FILE}, row {number} ({row['image_id']}): answers and spans are not the parts of its text "
                "that its blanks stand for. Make it again: hemasynth mlm"
            )
        row["targets"] = found
    return run, rows


def targets(row: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The blanks of a row as the corpus has them; None where they are not those of its text."""
    text = row["text"]
    columns = [row[name] for name in ("answers", "span_starts", "span_ends")]
    if not text or any(column is None for column in columns) or len({len(column) for column in columns}) != 1:
        return None
    found = [{"text": answer, "start": start, "end": end} for answer, start, end in zip(*columns, strict=True)]
    return found if all(text[blank["start"] : blank["end"]] == blank["text"] for blank in found) else None
