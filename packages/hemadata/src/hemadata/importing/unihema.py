"""Pages in the Uni-Hema authors' JSON: what kind each annotation is, told by its keys, as their released code tells it.

Keys, order and wording: research/reference-model.md, section 4. The writer of the same pages is export/unihema.py.
"""

import json
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hemadata.errors import FormatError
from hemadata.export.unihema import MORPHOLOGY
from hemadata.formats.boxes import Attribute
from hemadata.formats.rawtree import RawFile
from hemadata.ontology import View

KINDS = ("segmentation", "classification", "mlm", "vqa", "detection")
Tell = Callable[[RawFile, str, str, str], None]
"""Told of what cannot be used: page, record, reason of `quarantine.REASONS`, detail."""


@dataclass(slots=True)
class Record:
    """One picture of one kind, entries that repeat it merged.

    Args:
        image: entry of `images`.
        annotations: in file order; of segmentation and classification their reader keeps the last.
    """

    kind: str
    image: dict[str, Any]
    annotations: list[dict[str, Any]] = field(default_factory=list)


def kind_of(annotation: Mapping[str, Any]) -> str:
    """Task of an annotation by its keys, in the order in which the authors' reader tests them."""
    if "mask_name" in annotation and "class_name" not in annotation:
        return "segmentation"
    for key, kind in (("class_name", "classification"), ("masked_comment", "mlm"), ("Question", "vqa")):
        if key in annotation:
            return kind
    return "detection"


def read(page: RawFile, tell: Tell) -> list[Record]:
    """Records of a page.

    Raises:
        FormatError: not JSON, or without the lists `images` and `annotations`.
    """
    try:
        whole = json.loads(page.read())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{page.name}: not JSON ({error}).") from error
    lists = [whole.get(name) if isinstance(whole, dict) else None for name in ("images", "annotations")]
    if not all(isinstance(entries, list) for entries in lists):
        raise FormatError(f"{page.name}: expected an object with the lists images and annotations.")
    images: dict[Any, dict[str, Any]] = {}
    for number, image in enumerate(lists[0] or ()):
        if not (isinstance(image, dict) and isinstance(image.get("file_name"), str) and _is_id(image.get("id"))):
            tell(page, f"images[{number}]", "unreadable_annotation", "expected an object with id and file_name")
        elif images.setdefault(image["id"], image) is not image:
            tell(page, f"images[{number}]", "unreadable_annotation", f"id {image['id']!r} is given twice")
    return list(_grouped(page, images, lists[1] or [], tell))


def _grouped(page: RawFile, images: dict[Any, dict[str, Any]], entries: list[Any], tell: Tell) -> Iterator[Record]:
    records: dict[tuple[str, str], Record] = {}
    used = set()
    for number, entry in enumerate(entries):
        where = f"annotations[{number}]"
        if not isinstance(entry, dict) or not _is_id(entry.get("image_id")) or entry["image_id"] not in images:
            found = f"image_id {entry.get('image_id')!r}" if isinstance(entry, dict) else type(entry).__name__
            tell(page, where, "unreadable_annotation", f"{found}: no entry of images has that id")
            continue
        image, kind = images[entry["image_id"]], kind_of(entry)
        used.add(entry["image_id"])
        name = str(image.get("sample_id") or image["file_name"])
        records.setdefault((kind, name), Record(kind, image)).annotations.append(entry)
    for number, image in images.items():
        if number not in used:
            tell(page, image["file_name"], "missing_annotation", "no annotation names this image")
    yield from records.values()


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def frame(entry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """x, y, w, h of a detection or morphology annotation.

    Raises:
        FormatError: they are not four numbers.
    """
    numbers = entry.get("bbox")
    if not isinstance(numbers, list) or len(numbers) != 4 or not all(type(n) in (int, float) for n in numbers):
        raise FormatError(f"bbox is {numbers!r}, expected four numbers x, y, w, h")
    x, y, w, h = map(float, numbers)
    return x, y, w, h


def words(entry: Mapping[str, Any], view: View, nodes: Container[str]) -> tuple[str | None, str]:
    """Node and raw label of an annotation: what our own export says beside the number, else what the number means.

    Raises:
        FormatError: no such class.
    """
    number, label, raw = (entry.get(key) for key in ("category_id", "label", "label_raw"))
    if type(number) is not int or not 0 <= number < len(view.classes):
        raise FormatError(f"category_id is {number!r}, expected 0 to {len(view.classes) - 1} of {view.name}")
    meant = next(iter(view.members[number]), None)
    node = label if isinstance(label, str) and label in nodes else meant
    return node, raw if isinstance(raw, str) else view.classes[number]


def attributes(entry: Mapping[str, Any]) -> tuple[Attribute, ...]:
    """The six attributes; none where `nuclear_shape` is absent, any other absent key is class 0, as in their reader."""
    if "nuclear_shape" not in entry:
        return ()
    found = []
    for key, (name, zero, one) in MORPHOLOGY.items():
        code = entry.get(key, 0)
        found.append((name, {0: zero, 1: one}.get(code) if type(code) is int else None, str(code)))
    return tuple(found)
