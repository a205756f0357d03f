"""Questions and sentences as the Uni-Hema authors write them: COCO-like JSON, or a list of records per picture."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hemadata.errors import DefectError, FormatError, LayoutError
from hemadata.formats.paired import Problem
from hemadata.formats.rawtree import RawFile, RawTree

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "test": "test"}
_SPLIT = re.compile(rf"(?<![a-z])(?:{'|'.join(SPLITS)})(?![a-z])")
_BLANK = re.compile(r"<extra_id_\d+>|\[MASK\]|<mask>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One annotation: page, its split, last component of the picture's name, number, and what it says."""

    page: RawFile
    split: str | None
    picture: str | None
    number: str
    words: dict[str, Any]


def read(tree: RawTree, key: str) -> Iterator[Entry]:
    """Annotations that carry a key, from every JSON at any depth: the names of the published files are not known.

    Args:
        tree: the raw folder; archives are looked into.
        key: `Question`, or `masked_comment`: a merged file holds both.

    Raises:
        LayoutError: no JSON has the key.
        FormatError: a page is not JSON, or an annotation is no object.
    """
    found = False
    for name, page in tree.files.items():
        if not name.lower().endswith(".json") or "hemasynth" in name.split("/"):
            continue
        for entry in _entries(page):
            if key in entry.words:
                found = True
                yield entry
    if not found:
        raise LayoutError(
            f'{tree.root}: expected a *.json with annotations that carry the key "{key}", in train_annotations.zip or '
            "test_annotation.zip as downloaded; found none. Other keys go into formats/captions.py."
        )


@dataclass(slots=True)
class Texts:
    """What the pages say of one picture: a page that names it, the splits they give, and its texts by number."""

    page: RawFile
    splits: set[str | None]
    texts: dict[str, dict[str, Any]]

    @property
    def split(self) -> str | None:
        """Split of the picture; null where one page says test and another does not."""
        said = self.splits - {None}
        if len(said) > 1:  # the merged training file names the validation pictures again
            return "validation" if "test" not in said else None
        return said.pop() if said else None


def gather(
    tree: RawTree, key: str, parse: Callable[[dict[str, Any]], dict[str, Any]], problem: Problem
) -> dict[str, Texts]:
    """Texts by the picture's file name, in name order; a text that several pages repeat counts once.

    Args:
        tree: the raw folder.
        key: see `read`.
        parse: annotation -> the text's columns; `DefectError` where it is none.
        problem: told of every annotation that makes no text.
    """
    found: dict[str, Texts] = {}
    seen: set[str] = set()
    for entry in read(tree, key):
        record = f"{entry.page.stem} {entry.number}"
        try:
            if entry.picture is None:
                raise DefectError("missing_image", "its image_id names no image")
            words = parse(entry.words)
        except DefectError as defect:
            problem(entry.page, record, defect.reason, defect.detail)
            continue
        texts = found.setdefault(entry.picture, Texts(entry.page, set(), {}))
        texts.splits.add(entry.split)
        if (content := json.dumps([entry.picture, words])) not in seen:
            seen.add(content)
            texts.texts[record] = words
    return dict(sorted(found.items()))


def is_there(tree: RawTree) -> bool:
    """Whether the tree holds a JSON that hemasynth did not write."""
    return any(name.lower().endswith(".json") and "hemasynth" not in name.split("/") for name in tree.files)


def split_of(page: RawFile) -> str | None:
    """Split that a page's name ends on, else that of its folders, else that of the archive it lies in.

    `Q_A_val_train_MLM_train` is train: the training file of the authors holds their validation pictures too.
    """
    folders, _, last = page.name.lower().rpartition("/")
    archive = page.path.replace("\\", "/").rpartition("/")[2].lower()
    words = next((found for text in (last, folders, archive) if (found := _SPLIT.findall(text))), None)
    return SPLITS[words[-1]] if words else None


def blanks(masked: str, completed: str) -> tuple[str, list[dict[str, Any]]] | None:
    """Full text and blanks of a masked sentence; None where the two do not fit.

    Args:
        masked: with one sentinel per blank, numbered or not, in whatever spelling.
        completed: the whole sentence, with or without sentinels around the words, or only the fillers between them.
    """
    around = _BLANK.split(masked)
    for text in dict.fromkeys((completed, _BLANK.sub("", completed))):
        if not _BLANK.search(text) and (spans := _spans(around, text)) is not None:
            return text, [{"text": text[start:end], "start": start, "end": end} for start, end in spans]
    fillers = [part.strip() for part in _BLANK.split(completed)]
    fillers = fillers[not fillers[0] :]
    if len(fillers) == len(around) and not fillers[-1]:  # T5 closes with a sentinel
        fillers.pop()
    if len(fillers) != len(around) - 1 or not all(fillers) or not _BLANK.search(completed):
        return None
    text, found = around[0], []
    for filler, after in zip(fillers, around[1:], strict=True):
        found.append({"text": filler, "start": len(text), "end": len(text) + len(filler)})
        text += filler + after
    return text, found


def _spans(around: list[str], text: str) -> list[tuple[int, int]] | None:
    """Where the blanks between some parts stand in a text, each as short as can be; None where the parts do not fit."""
    first, *middle, last = around if len(around) > 1 else (around[0], around[0])
    end = len(text) - len(last)
    if len(around) == 1 or not text.startswith(first) or not text.endswith(last):
        return [] if text == first and len(around) == 1 else None
    spans, start = [], len(first)
    for part in [*middle, None]:
        at = end if part is None else text.find(part, start + 1, end)
        if at <= start:  # nothing would stand in the blank
            return None
        spans.append((start, at))
        start = at + len(part or "")
    return spans


def _entries(page: RawFile) -> Iterator[Entry]:
    try:
        whole = json.loads(page.text())
        split = split_of(page)
        if isinstance(whole, dict) and isinstance(whole.get("annotations"), list):
            # Numbers become text when files are merged: 12 and "12" are one picture.
            names = {str(image["id"]): _last(image["file_name"]) for image in whole.get("images") or []}
            for place, words in enumerate(whole["annotations"], start=1):
                picture = names.get(str(words.get("image_id")))
                if picture is None and words.get("file_name"):
                    picture = _last(words["file_name"])
                yield Entry(page, split, picture, str(words.get("id", place)), words)
        elif isinstance(whole, list | dict):
            records = whole.values() if isinstance(whole, dict) else whole
            for place, record in enumerate(records, start=1):
                if isinstance(record, dict):
                    yield from _record(page, split, place, record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(
            f"{page.name}: expected images and annotations, or a list of records ({type(error).__name__}: {error})."
        ) from error


def _record(page: RawFile, split: str | None, place: int, record: dict[str, Any]) -> Iterator[Entry]:
    """A record of one picture: {cell_image, q1, a1, q2, a2, ...}; a question without answer is left to the reader."""
    picture = next((_last(record[name]) for name in ("cell_image", "file_name", "image") if record.get(name)), None)
    if picture is None:
        return
    yield Entry(page, split, picture, str(place), record)
    for name, question in record.items():
        if number := re.fullmatch(r"q(\d+)", name):
            words = {"Question": question, "Answer": record.get(f"a{number[1]}")}
            yield Entry(page, split, picture, f"{place}-{number[1]}", words)


def _last(path: object) -> str:
    return str(path).replace("\\", "/").rpartition("/")[2]
