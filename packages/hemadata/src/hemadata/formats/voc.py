"""Pascal VOC pages: one XML file per image.

`objects` reads the pages that labelling tools write with one regular expression, four times faster than a parser;
anything unusual (comments, entities, attributes, other orders) goes to `objects_by_parser`, the reference beside it.
"""

import re
from array import array
from collections.abc import Iterable
from sys import intern

from hemadata.errors import FormatError
from hemadata.formats.boxes import Boxes
from hemadata.formats.decimals import decimals
from hemadata.formats.xml_page import root_of

_OBJECT = re.compile(
    r"<object>\s*<name>([^<]*)</name>(?:\s*<(?:pose|truncated|difficult|occluded)>[^<]*</(?:pose|truncated|difficult|occluded)>)*"
    r"\s*<bndbox>\s*<xmin>([^<]*)</xmin>\s*<ymin>([^<]*)</ymin>\s*<xmax>([^<]*)</xmax>\s*<ymax>([^<]*)</ymax>\s*</bndbox>\s*</object>"
)


def objects(page: str, first: int = 1) -> Boxes:
    """Boxes of a page, in file order.

    Args:
        page: the XML text.
        first: number of the first pixel. VOC counts from 1 and the far edge is inside the box, so a box from 1 to 10
            is 10 pixels wide; tools that count from 0 write the edge after the last pixel (`first=0`).

    Raises:
        FormatError: not XML, or an object without a name or a number.
    """
    found = _OBJECT.findall(page)
    unusual = "&" in page or "<!" in page or not page.count("<object") == page.count("</object") == len(found)
    if unusual or not page.rstrip().endswith("</annotation>"):
        return objects_by_parser(page, first)
    return boxes_of(found, first)


def objects_by_parser(page: str, first: int = 1) -> Boxes:
    """The same by an XML parser: the slow reference, and the way for unusual pages."""
    found: list[tuple[str, ...]] = []
    for node in root_of(page).iter("object"):
        name, frame = node.findtext("name"), node.find("bndbox")
        if name is None or frame is None:
            raise FormatError(f"object {len(found) + 1} has no {'name' if name is None else 'bndbox'}")
        found.append((name, *(frame.findtext(side) or "" for side in ("xmin", "ymin", "xmax", "ymax"))))
    return boxes_of(found, first)


def boxes_of(found: Iterable[tuple[str, ...]], first: int) -> Boxes:
    """Class word, xmin, ymin, xmax, ymax as text -> boxes.

    Raises:
        FormatError: a corner is no number.
    """
    found = list(found)
    try:
        sides = iter(decimals([corner for _, *corners in found for corner in corners]))
    except ValueError as error:
        raise _no_numbers(found) from error
    numbers: list[float] = []
    for x, y, right, bottom in zip(sides, sides, sides, sides, strict=True):
        width, height = right - x, bottom - y
        # Equal corners are a click without a drag, not a box of one pixel: they stay degenerate.
        numbers += (x - first, y - first, width + first if width else 0.0, height + first if height else 0.0)
    labels = [intern(name.strip()) for name, *_ in found]  # a set has a handful of class words: each is kept once
    return Boxes(array("d", numbers), tuple(labels))


def _no_numbers(found: Iterable[tuple[str, ...]]) -> FormatError:
    """The error of the first box with a corner that is no number."""
    for name, *corners in found:
        try:
            decimals(corners)
        except ValueError:
            return FormatError(f"a {name.strip()} box has corners {tuple(corners)}, which are not numbers")
    raise AssertionError("all of them are numbers")


def page(filename: str, size: tuple[int, int], boxes: Iterable[tuple[str, tuple[int, int, int, int]]]) -> str:
    """A VOC page as labelling tools write it.

    Args:
        filename: of the image.
        size: width, height.
        boxes: class word and corners xmin, ymin, xmax, ymax, counted from 1, far edge inside.
    """
    lines = ["<annotation>", "\t<folder>JPEGImages</folder>", f"\t<filename>{filename}</filename>"]
    lines += [
        f"\t<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>",
        "\t<segmented>0</segmented>",
    ]
    for name, (x0, y0, x1, y1) in boxes:
        lines += [
            "\t<object>",
            f"\t\t<name>{name}</name>",
            "\t\t<pose>Unspecified</pose>",
            "\t\t<truncated>0</truncated>",
        ]
        lines += [
            "\t\t<difficult>0</difficult>",
            "\t\t<bndbox>",
            f"\t\t\t<xmin>{x0}</xmin>",
            f"\t\t\t<ymin>{y0}</ymin>",
        ]
        lines += [f"\t\t\t<xmax>{x1}</xmax>", f"\t\t\t<ymax>{y1}</ymax>", "\t\t</bndbox>", "\t</object>"]
    return "\n".join([*lines, "</annotation>", ""])
