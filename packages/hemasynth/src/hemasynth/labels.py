"""Cells from where experts wrote them down: WBCAtt's label tables, without a corpus."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import FormatError, InputMissingError
from hemadata.formats.rawfile import RawFile
from hemadata.formats.tables import read_records

from hemasynth.faithful import Record
from hemasynth.lexicon import Lexicon, load
from hemasynth.plan import Cell

SPLITS = {"train": "train", "val": "validation", "test": "test"}
PATTERN = "pbc_attr_v1_{}.csv"


def read_labels(path: Path, lexicon: Lexicon | None = None) -> list[Cell]:
    """Return the cells of WBCAtt's tables; they are those that a corpus with `wbcatt` gives.

    Args:
        path: the folder with `pbc_attr_v1_{train,val,test}.csv` (at its top or in `submission/`), or one table of this
            form; a table of another name has no split, and its cells count as training cells.
        lexicon: tells the attributes and their values; WBCAtt's by default.

    Raises:
        InputMissingError: nothing is there.
        FormatError: a column is missing, a row is broken, or a value is none of the attribute's.
    """
    lexicon = lexicon or load()
    found: list[Cell] = []
    seen: dict[str, str] = {}
    for table, split in _tables(path):
        for cell in _read(table, split, lexicon):
            if cell.sample_id in seen:
                raise FormatError(f"{table}: {cell.image} stands in {seen[cell.sample_id]} as well; expected it once.")
            seen[cell.sample_id] = table.name
            found.append(cell)
    return found


def _tables(path: Path) -> list[tuple[Path, str | None]]:
    if path.is_file():
        split = next((name for word, name in SPLITS.items() if path.name == PATTERN.format(word)), None)
        return [(path, split)]
    for folder in (path, path / "submission", path / "wbcatt"):
        tables: list[tuple[Path, str | None]] = [
            (folder / PATTERN.format(word), split) for word, split in SPLITS.items()
        ]
        if any(table.is_file() for table, _ in tables):
            missing = [table.name for table, _ in tables if not table.is_file()]
            if missing:
                raise InputMissingError(f"{folder}: {', '.join(missing)} is missing; WBCAtt has three tables.")
            return tables
    raise InputMissingError(f"{path}: expected {PATTERN.format('{train,val,test}')} there, or one such table.")


def _read(table: Path, split: str | None, lexicon: Lexicon) -> Iterator[Cell]:
    names = tuple(lexicon.values)
    records = read_records(RawFile(str(table), table.name), {"img_name", "label", *names})
    for number, row in enumerate(records, start=2):
        label = row["label"].lower().replace(" ", "_") or None
        if label is not None and label not in lexicon.labels:
            raise FormatError(
                f"{table.name}, line {number}: the label is {row['label']!r}; {', '.join(lexicon.labels)}"
            )
        attributes = {name: row[name] for name in names if row[name]}
        for name, value in attributes.items():
            if value not in lexicon.values[name]:
                raise FormatError(
                    f"{table.name}, line {number}: {name} is {value!r}; "
                    f"expected one of {', '.join(lexicon.values[name])}."
                )
        stem = row["img_name"].rpartition(".")[0] or row["img_name"]
        yield Cell(f"{lexicon.name}/{stem}", row["img_name"], Record(label, attributes), split)
