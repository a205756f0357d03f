"""A set in the forms that others read: the authors' JSON, JSON lines, or Parquet."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemadata.atomic import write_text

from hemasynth.mlm.masking import authors as one_sentinel

FORMATS = ("authors", "parquet", "jsonl")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """How one kind of set is laid out.

    Attributes:
        size: width and height of its pictures.
        files: the authors' file names, by side.
        task: the word in the authors' annotations.
        split: column that names the split.
        key: what rows are sorted by.
        words: the authors' keys with their text.
        picture: file name of a row's picture.
    """

    size: tuple[int, int]
    files: Mapping[str, str]
    task: str
    split: str
    key: Callable[[Row], tuple[str, ...]]
    words: Callable[[Row], dict[str, str]]
    picture: Callable[[Row], str]


PAIRS = Shape(
    (360, 363),
    {"train": "Q_A_train.json", "test": "Q_A_test_large.json"},  # validation cells count as training cells
    "QA",
    "split_upstream",
    lambda row: (str(row["question_id"]),),
    lambda row: {"Question": row["question"], "Answer": row["answer"]},
    lambda row: str(row["image"]),
)
SENTENCES = Shape(
    (640, 640),
    {"train": "Mask_train.json", "test": "Mask_test_fixed.json"},
    "MLM",
    "split",
    lambda row: (row["image_id"], row["text"]),
    lambda row: {"masked_comment": one_sentinel(row["masked_text"]), "completed_text": row["text"]},
    lambda row: str(row["image_id"]).rpartition("/")[2] + ".png",
)


def export(rows: Sequence[Row], run: Mapping[str, Any], form: str, out: Path) -> list[Path]:
    """Write a set in another form.

    Args:
        rows: of `pairs.parquet` or `texts.parquet`.
        run: content of `run.json`, which tells the task, and goes along.
        form: one of `FORMATS`. "authors" is the COCO-like JSON with an image entry per text; the others keep all
            columns, in one file per split.
        out: folder.

    Returns:
        The files.
    """
    shape = SENTENCES if run.get("task") == "mlm" else PAIRS
    ordered = sorted(rows, key=shape.key)
    files = {"authors": _authors, "jsonl": _jsonl, "parquet": _parquet}[form](ordered, shape, out)
    about = out / "run.json"
    write_text(about, json.dumps(dict(run), indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return [*files, about]


def _authors(rows: Sequence[Row], shape: Shape, out: Path) -> list[Path]:
    written = []
    width, height = shape.size
    for split, name in shape.files.items():
        images, annotations = [], []
        for number, row in enumerate((row for row in rows if (row[shape.split] == "test") == (split == "test")), 1):
            images.append({"id": number, "width": width, "height": height, "file_name": shape.picture(row)})
            annotations.append(
                {"id": number, "image_id": number, **shape.words(row), "category_id": 1, "task": shape.task}
            )
        table = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": shape.task}]}
        write_text(out / name, json.dumps(table, ensure_ascii=False) + "\n")
        written.append(out / name)
    return written


def _jsonl(rows: Sequence[Row], shape: Shape, out: Path) -> list[Path]:
    written = []
    for split, own in _by_split(rows, shape).items():
        lines = (json.dumps(dict(row), sort_keys=True, ensure_ascii=False) + "\n" for row in own)
        write_text(out / f"{split}.jsonl", "".join(lines))
        written.append(out / f"{split}.jsonl")
    return written


def _parquet(rows: Sequence[Row], shape: Shape, out: Path) -> list[Path]:
    from hemadata.formats import pairs, sentences

    schema = sentences.SCHEMA if shape is SENTENCES else pairs.SCHEMA
    written = []
    for split, own in _by_split(rows, shape).items():
        pairs.write_rows(out / f"{split}.parquet", own, schema)
        written.append(out / f"{split}.parquet")
    return written


def _by_split(rows: Sequence[Row], shape: Shape) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[shape.split] or "unsplit", []).append(row)
    return dict(sorted(found.items()))
