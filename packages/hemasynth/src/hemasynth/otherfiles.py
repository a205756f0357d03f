"""Other people's text for `hemasynth check`: our lines, the authors' JSON, and tables of captions such as HemBLIP's."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hemadata.errors import InputMissingError

from hemasynth.errors import RecordError

PICTURE = ("image_filename", "file_name", "image", "cell_image", "img_name", "filename")
CAPTION = ("caption", "text", "generated_caption", "varied_descriptions", "description")
COLUMN = ("model", "test_set")  # where a row of a table of captions says which column of the table it counts for
Line = tuple[str, dict[str, Any]]


def read(file: Path, labels: Path | None = None) -> Iterator[Line]:
    """Yield the lines of a file with their place, in the form of `checkfile.judge`.

    Args:
        file: `.jsonl` with records in it; `.json` of the authors (COCO-like, or a list of cell_image, q1, a1, ...);
            `.csv` with a picture and a caption a row.
        labels: WBCAtt's tables, for files that name pictures and hold no records. Pictures are joined on the last
            part of their name.

    Raises:
        InputMissingError: no such file, or records are needed and `labels` is not given.
        RecordError: the file is in none of these forms, or a picture is in no table.
    """
    if not file.is_file():
        raise InputMissingError(f"There is no file {file}. It should hold one JSON object a line.")
    ending = file.suffix.lower()
    if ending not in (".json", ".csv"):
        yield from _own(file)
        return
    if labels is None:
        raise InputMissingError(
            f"{file} names pictures and holds no records. Say where WBCAtt's tables are: --labels raw/wbcatt"
        )
    from hemasynth.labels import read_labels

    records = {Path(cell.image).stem.lower(): cell.record for cell in read_labels(labels)}
    for where, picture, said in _captions(file) if ending == ".csv" else _authors(file):
        stem = Path(picture.replace("\\", "/")).stem
        found = records.get(stem.lower()) or next(
            (record for name, record in records.items() if stem.lower().endswith(f"_{name}")), None
        )
        if found is None:
            raise RecordError(f"{where}: the picture {picture} is in no table of {labels}.")
        facts = {"source": "wbcatt", "label": found.label, "attributes": dict(found.attributes)}
        yield where, {"id": f"{stem}", **facts, **said}


def _own(file: Path) -> Iterator[Line]:
    with file.open(encoding="utf-8") as lines:
        for number, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            where = f"{file}, line {number}"
            try:
                line = json.loads(text)
            except ValueError as error:
                raise RecordError(f"{where}: this is not JSON ({error}).") from error
            if not isinstance(line, dict):
                raise RecordError(f"{where}: expected a JSON object, found {type(line).__name__}.")
            yield where, line


def _captions(file: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    with file.open(newline="", encoding="utf-8") as table:
        rows = csv.DictReader(table)
        columns = rows.fieldnames or []
        picture = next((name for name in PICTURE if name in columns), None)
        caption = next((name for name in CAPTION if name in columns), None)
        if picture is None or caption is None:
            raise RecordError(
                f"{file}: expected a column for the picture ({', '.join(PICTURE)}) and one for the caption "
                f"({', '.join(CAPTION)}); found {', '.join(columns)}."
            )
        for number, row in enumerate(rows, start=2):
            if (row[caption] or "").strip():
                column = {name: row[name] for name in COLUMN if row.get(name)}
                yield f"{file}, line {number}", row[picture] or "", {"text": row[caption], **column}


def _authors(file: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    try:
        whole = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(whole, Mapping) and "annotations" in whole:
            names = {image["id"]: str(image["file_name"]) for image in whole["images"]}
            for number, each in enumerate(whole["annotations"], start=1):
                if "Question" in each:  # a merged file holds masked sentences too
                    said = {"question": str(each["Question"]), "answer": str(each["Answer"])}
                    yield f"{file}, annotation {number}", names[each["image_id"]], said
            return
        for number, each in enumerate(whole if isinstance(whole, list) else whole.values(), start=1):
            for name in sorted(key for key in each if key[:1] == "q" and key[1:].isdigit()):
                if each.get(f"a{name[1:]}"):  # a question without its answer is no pair
                    said = {"question": str(each[name]), "answer": str(each[f"a{name[1:]}"])}
                    yield f"{file}, record {number}, {name}", str(each["cell_image"]), said
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(
            f"{file}: not in a known form ({type(error).__name__}: {error}). Expected the authors' images and "
            "annotations with Question and Answer, or a list of records with cell_image, q1, a1, ..."
        ) from error
