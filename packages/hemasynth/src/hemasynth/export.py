"""Pairs in the forms that others read: the authors' JSON, JSON lines, or Parquet."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hemadata.atomic import write_text

FORMATS = ("authors", "parquet", "jsonl")
SIZE = (360, 363)  # width and height of the pictures of PBC
AUTHORS = {"train": "Q_A_train.json", "test": "Q_A_test_large.json"}  # validation cells count as training cells


def export(pairs: Sequence[Mapping[str, Any]], run: Mapping[str, Any], form: str, out: Path) -> list[Path]:
    """Write pairs in another form.

    Args:
        pairs: rows of `pairs.parquet`.
        run: content of `run.json`, which goes along.
        form: one of `FORMATS`. "authors" is the COCO-like JSON with an image entry per question; the others keep all
            columns, in one file per split.
        out: folder.

    Returns:
        The files.
    """
    rows = sorted(pairs, key=lambda row: str(row["question_id"]))
    files = {"authors": _authors, "jsonl": _jsonl, "parquet": _parquet}[form](rows, out)
    about = out / "run.json"
    write_text(about, json.dumps(dict(run), indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    return [*files, about]


def _authors(rows: Sequence[Mapping[str, Any]], out: Path) -> list[Path]:
    written = []
    for split, name in AUTHORS.items():
        images, annotations = [], []
        for number, row in enumerate(
            (row for row in rows if (row["split_upstream"] == "test") == (split == "test")), 1
        ):
            images.append({"id": number, "width": SIZE[0], "height": SIZE[1], "file_name": row["image"]})
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "Question": row["question"],
                    "Answer": row["answer"],
                    "category_id": 1,
                    "task": "QA",
                }
            )
        table = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "QA"}]}
        write_text(out / name, json.dumps(table, ensure_ascii=False) + "\n")
        written.append(out / name)
    return written


def _jsonl(rows: Sequence[Mapping[str, Any]], out: Path) -> list[Path]:
    written = []
    for split, own in _by_split(rows).items():
        lines = (json.dumps(dict(row), sort_keys=True, ensure_ascii=False) + "\n" for row in own)
        write_text(out / f"{split}.jsonl", "".join(lines))
        written.append(out / f"{split}.jsonl")
    return written


def _parquet(rows: Sequence[Mapping[str, Any]], out: Path) -> list[Path]:
    from hemadata.formats.pairs import write_rows

    written = []
    for split, own in _by_split(rows).items():
        write_rows(out / f"{split}.parquet", own)
        written.append(out / f"{split}.parquet")
    return written


def _by_split(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["split_upstream"] or "unsplit", []).append(row)
    return dict(sorted(found.items()))
