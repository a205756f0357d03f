"""COCO pages: the boxes of every picture, by file name, however many there are."""

from collections.abc import Callable, Iterator
from sys import intern
from typing import Any

from hemadata.errors import FormatError
from hemadata.formats import json_page
from hemadata.formats.boxes import Attribute, Boxes
from hemadata.formats.gathered import Gathered
from hemadata.formats.rawtree import RawFile
from hemadata.geometry import XYWH

Annotation = dict[str, Any]
"""An annotation as the page has it: COCO's keys and whatever else the set adds."""


def read(
    page: RawFile, attributes: Callable[[Annotation], tuple[Attribute, ...]] = lambda annotation: ()
) -> Iterator[tuple[str, Boxes]]:
    """File name and boxes of each picture, in the order in which the page first names it. Repeated names are merged.

    A crowd (`iscrowd`) keeps its flag.

    Args:
        page: images, annotations and, where annotations do not name them, categories.
        attributes: those of an annotation.

    Raises:
        FormatError: not JSON, or not a page with images, annotations and categories.
    """
    names: dict[Any, str] = {}
    categories: dict[Any, str] = {}
    found = Gathered()
    # Annotations may stand before images and categories: a first pass reads those, a second one the annotations.
    try:
        where = ""
        for key, number, entry in json_page.entries(page, ("images", "annotations")):
            where = f"{key} {number}"
            if key == "images":
                names[entry["id"]] = intern(str(entry["file_name"]))
                found.name(names[entry["id"]])
            elif key == "categories":
                categories[entry["id"]] = intern(str(entry["name"]))
        for key, number, entry in json_page.entries(page):
            where = f"{key} {number}"
            if key == "annotations":
                box, word = _box(entry), _word(entry, categories)
                if (picture := names.get(entry["image_id"])) is None:
                    raise ValueError(f"image_id is {entry['image_id']!r}, and no image has that id")
                source_id = None if entry.get("id") is None else str(entry["id"])
                flags = ("crowd",) if entry.get("iscrowd") in (1, True) else ()
                found.add(picture, box, word, attributes(entry), source_id, flags)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise FormatError(f"{page.name}: not a COCO page as expected; {where}: {what}.") from error
    yield from found.pictures()


def _box(entry: Annotation) -> XYWH:
    x, y, w, h = (float(value) for value in entry["bbox"])
    return x, y, w, h


def _word(entry: Annotation, categories: dict[Any, str]) -> str:
    word = categories.get(entry.get("category_id")) or entry.get("category_name")
    if not isinstance(word, str):
        raise ValueError(f"category {entry.get('category_id')} has no name")
    return word
