"""Marks of an annotation tool for smears: under a line of counts, `id,type,comment,shape,points,x1,y1[,x2,y2]` each.

A circle is two points. What they stand for is not written down: a centre and a point of the rim as the tool's users
read it, the ends of a diameter or two corners by other readings; `mark_pixels` tells from the pictures.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import hypot, isfinite
from sys import intern

from hemadata.errors import FormatError
from hemadata.formats.boxes import Box, Boxes
from hemadata.formats.decimals import decimal
from hemadata.formats.rawfile import RawFile
from hemadata.geometry import XYWH

Circle = tuple[float, float, float, float]  # x1, y1, x2, y2
_COUNT = re.compile(r"[0-9]{1,9}")
_POINTS = {"circle": 2, "point": 1}  # of each shape


class Reading(StrEnum):
    """What the two points of a circle are."""

    CENTRE = "centre and rim"
    DIAMETER = "ends of a diameter"
    CORNERS = "corners"


@dataclass(slots=True)
class Marks:
    """The marks of one picture.

    Args:
        file: name of the annotation file.
        circles: the two points of each.
        words: type of each circle, as spelled.
        source_ids: of each circle.
        points: how many marks without extent, by type.
        damaged: what could not be read, line by line.
    """

    file: str
    circles: list[Circle] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    source_ids: list[str] = field(default_factory=list)
    points: Counter[str] = field(default_factory=Counter)
    damaged: list[str] = field(default_factory=list)

    def boxes(self, reading: Reading) -> Boxes:
        """The squares around the circles, in the frame of the marks; points make none."""
        found = zip(self.circles, self.words, self.source_ids, strict=True)
        return Boxes.of(Box(box_of(circle, reading), word, source_id=name) for circle, word, name in found)


def read(page: RawFile) -> Marks:
    """Parse an annotation file. A damaged line is told and left out; the others are kept.

    The two sizes of the first line are not used: users disagree on their order.

    Raises:
        FormatError: no such file, or one that was cut in the middle.
    """
    text = page.text()
    lines = text.splitlines()
    head = [cell.strip() for cell in lines[0].split(",")] if lines else []
    if len(head) < 3 or not _COUNT.fullmatch(head[0]):
        found = lines[0][:80] if lines else "nothing"
        raise FormatError(f"{page.name}, line 1: expected count,size,size as in 60,4032,3024; found {found!r}.")
    marks, written = Marks(page.name), 0
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip(" ,\t"):
            continue
        written += 1
        if trouble := _add(marks, [cell.strip() for cell in line.split(",")]):
            marks.damaged.append(f"line {number}: {trouble}, in {line[:80]!r}")
    if written < int(head[0]):
        if not text.endswith("\n"):
            raise FormatError(f"{page.name}: cut short: {head[0]} marks announced, {written} there, no end of line.")
        marks.damaged.append(f"line 1 announces {head[0]} marks, {written} are there")
    return marks


def _add(marks: Marks, cells: list[str]) -> str | None:
    """Take one line; else what is wrong with it."""
    shape = cells[3].lower() if len(cells) > 3 else ""
    if shape not in _POINTS:
        return f"no {' or '.join(_POINTS)} in the fourth field"
    try:
        numbers = [decimal(cell) for cell in cells[5 : 5 + 2 * _POINTS[shape]]]
    except ValueError:
        return "a coordinate that is no number"
    if len(numbers) != 2 * _POINTS[shape] or not all(map(isfinite, numbers)):
        return f"not {_POINTS[shape]} x, y of a {shape}"
    word = intern(cells[1])
    if shape == "point":
        marks.points[word] += 1
        return None
    marks.circles.append((numbers[0], numbers[1], numbers[2], numbers[3]))
    marks.words.append(word)
    marks.source_ids.append(cells[0])
    return None


def box_of(circle: Circle, reading: Reading) -> XYWH:
    """The square around a circle, or the rectangle between two corners."""
    x1, y1, x2, y2 = circle
    if reading == Reading.CORNERS:
        return min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
    radius = hypot(x2 - x1, y2 - y1)
    if reading == Reading.DIAMETER:
        x1, y1, radius = (x1 + x2) / 2, (y1 + y2) / 2, radius / 2
    return x1 - radius, y1 - radius, 2 * radius, 2 * radius


def page(marks: Sequence[tuple[str, Sequence[tuple[float, float]]]], size: tuple[int, int]) -> str:
    """An annotation file.

    Args:
        marks: type and one point, or centre and rim of a circle.
        size: width and height of the picture.
    """
    lines = [f"{len(marks)},{size[1]},{size[0]}"]
    for number, (word, points) in enumerate(marks, start=1):
        shape = next(shape for shape, count in _POINTS.items() if count == len(points))
        numbers = ",".join(f"{number:g}" for point in points for number in point)
        lines.append(f"{number // 10}-{number},{word},No_Comment,{shape.capitalize()},{len(points)},{numbers}")
    return "\n".join(lines) + "\n"
