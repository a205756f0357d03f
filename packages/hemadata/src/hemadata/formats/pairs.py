"""The raw tree that hemasynth writes: `run.json` says how; `pairs.parquet` holds a question-answer pair a row."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hemadata.arrow import to_table, write_tables
from hemadata.atomic import write_text
from hemadata.errors import FormatError

MAX_TABLE = 512 << 20  # bytes, unpacked
BATCH = 512  # rows read before the size is looked at
RUN, PAIRS = "run.json", "pairs.parquet"
_TEXT = ("image", "cell_id", "question_id", "question", "answer", "question_type", "attribute", "answer_type", "origin")
MAYBE = "split_hard"  # null in trees of hemasynth 0.1, which had no second split
SCHEMA = pa.schema(
    [(name, pa.string()) for name in (*_TEXT, "generated_by", "split_upstream", MAYBE)]
    + [("uses", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())])))]
)


def write(
    folder: Path, run: dict[str, Any], rows: Iterable[dict[str, Any]], file: str = PAIRS, schema: pa.Schema = SCHEMA
) -> None:
    """Write a raw tree atomically, rows first.

    Args:
        folder: e.g. `raw/wbcatt-vqa/hemasynth`.
        run: engine, model, seed, versions, hashes, counts; no paths and no times, so that equal runs give equal files.
        rows: with the columns of `schema`; of pairs, `image` is the file name of the cell's picture.
        file: name of the table.
        schema: of the table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / file, rows, schema)
    write_text(folder / RUN, json.dumps(run, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_rows(file: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema = SCHEMA) -> None:
    """Write rows as one Parquet file, atomically, in an existing folder or a new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    maybe = {MAYBE: None} if MAYBE in schema.names else {}
    write_tables(file, [to_table([{**maybe, **row} for row in rows], schema)])


def read(
    folder: Path, file: str = PAIRS, schema: pa.Schema = SCHEMA, command: str = "vqa"
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run and rows of a raw tree.

    Args:
        folder: e.g. `raw/wbcatt-vqa/hemasynth`.
        file: name of the table.
        schema: its columns; others are passed over.
        command: of hemasynth, that makes it.

    Raises:
        FormatError: a file is missing or not what it should be.
    """
    try:
        for name in (RUN, file):
            if not (folder / name).is_file():
                raise FormatError(f"{folder}: expected {RUN} and {file}, as hemasynth writes them; {name} is missing.")
        run = json.loads((folder / RUN).read_text(encoding="utf-8"))
        table = _table(folder / file)
        if MAYBE in schema.names and MAYBE not in table.column_names:
            table = table.append_column(MAYBE, pa.nulls(len(table), pa.string()))
        if not isinstance(run, dict) or not set(schema.names) <= set(table.column_names):
            raise ValueError(f"they hold a {type(run).__name__} and the columns {', '.join(table.column_names)}")
        if missing := {"engine", "seed"} - run.keys():
            raise ValueError(f"no {', '.join(sorted(missing))}")
        return run, table.select(schema.names).cast(schema).to_pylist()
    except (OSError, ValueError, KeyError, RecursionError, pa.ArrowException) as error:  # KeyError: a column twice
        raise FormatError(
            f"{folder}: {RUN} or {file} cannot be read ({error}). Make them again: hemasynth {command}"
        ) from error


def _table(path: Path) -> pa.Table:
    """The whole table, if it is of a bearable size: a few bytes of Parquet may say the same long word for ever."""
    batches, size = [], 0
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(batch_size=BATCH):
            size += batch.nbytes
            if size > MAX_TABLE:
                raise ValueError(f"more than {MAX_TABLE:,} bytes unpacked")
            batches.append(batch)
        return pa.Table.from_batches(batches, parquet.schema_arrow)
