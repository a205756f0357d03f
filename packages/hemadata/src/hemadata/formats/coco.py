"""COCO pages: pictures with their annotations, grouped by file name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hemadata.errors import FormatError
from hemadata.formats.rawtree import RawFile


@dataclass(slots=True)
class Annotation:
    """One annotation; `extra` holds whatever the page says beside COCO's own keys."""

    id: str | None
    bbox: tuple[float, float, float, float]
    category: str | None
    extra: dict[str, Any]


@dataclass(slots=True)
class Picture:
    """One file name of the page. Entries that repeat it are merged."""

    file_name: str
    annotations: list[Annotation] = field(default_factory=list)


def read(page: RawFile) -> Iterator[Picture]:
    """Pictures of a page, in the order in which the page first names them.

    Raises:
        FormatError: not JSON, or not a page with images, annotations and categories.
    """
    whole = _load(page)
    try:
        names = {image["id"]: str(image["file_name"]) for image in whole["images"]}
        categories = {category["id"]: str(category["name"]) for category in whole.get("categories", [])}
        pictures = {name: Picture(name) for name in names.values()}
        for entry in whole["annotations"]:
            pictures[names[entry["image_id"]]].annotations.append(_annotation(entry, categories))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise FormatError(f"{page.name}: not a COCO page as expected ({type(error).__name__}: {error}).") from error
    yield from pictures.values()


def _annotation(entry: dict[str, Any], categories: dict[Any, str]) -> Annotation:
    x, y, w, h = (float(value) for value in entry["bbox"])
    category = categories.get(entry.get("category_id")) or entry.get("category_name")
    if not isinstance(category, str):
        raise ValueError(f"annotation {entry.get('id')} has category {entry.get('category_id')}, which has no name")
    known = ("id", "image_id", "category_id", "category_name", "bbox", "area", "iscrowd", "segmentation")
    number = None if entry.get("id") is None else str(entry["id"])
    return Annotation(number, (x, y, w, h), category, {k: v for k, v in entry.items() if k not in known})


def _load(page: RawFile) -> dict[str, Any]:
    try:
        whole = json.loads(page.read())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{page.name}: not JSON ({error}).") from error
    if not isinstance(whole, dict):
        raise FormatError(
            f"{page.name}: expected a JSON object with images and annotations, found a {type(whole).__name__}."
        )
    return whole
