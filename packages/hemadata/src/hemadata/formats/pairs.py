"""The raw tree that hemasynth writes: `run.json` says how, `pairs.parquet` holds one question-answer pair a row."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hemadata.arrow import to_table, write_tables
from hemadata.atomic import write_text
from hemadata.errors import FormatError

RUN, PAIRS = "run.json", "pairs.parquet"
_TEXT = ("image", "cell_id", "question_id", "question", "answer", "question_type", "attribute", "answer_type", "origin")
SCHEMA = pa.schema(
    [(name, pa.string()) for name in (*_TEXT, "generated_by", "split_upstream")]
    + [("uses", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())])))]
)


def write(folder: Path, run: dict[str, Any], pairs: Iterable[dict[str, Any]]) -> None:
    """Write a raw tree atomically, pairs first.

    Args:
        folder: e.g. `raw/wbcatt-vqa/hemasynth`.
        run: engine, model, seed, versions, hashes, counts; no paths and no times, so that equal runs give equal files.
        pairs: rows with the columns of `SCHEMA`; `image` is the file name of the cell's picture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(folder / PAIRS, [to_table(list(pairs), SCHEMA)])
    write_text(folder / RUN, json.dumps(run, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run and pairs of a raw tree.

    Raises:
        FormatError: a file is missing or not what it should be.
    """
    try:
        for name in (RUN, PAIRS):
            if not (folder / name).is_file():
                raise FormatError(f"{folder}: expected {RUN} and {PAIRS}, as hemasynth writes them; {name} is missing.")
        run = json.loads((folder / RUN).read_text(encoding="utf-8"))
        table = pq.read_table(folder / PAIRS)
        if not isinstance(run, dict) or not set(SCHEMA.names) <= set(table.column_names):
            raise ValueError(f"they hold a {type(run).__name__} and the columns {', '.join(table.column_names)}")
        if missing := {"engine", "seed"} - run.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}")
        return run, table.select(SCHEMA.names).cast(SCHEMA).to_pylist()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise FormatError(
            f"{folder}: {RUN} or {PAIRS} cannot be read ({error}). Make them again: hemasynth vqa"
        ) from error
