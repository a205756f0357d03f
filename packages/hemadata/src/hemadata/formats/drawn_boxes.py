"""Rectangles that somebody drew in black into a copy of a picture, found by comparing it with the clean one.

Ink is what is dark in the copy and was bright. It is cut into straight strokes, and four strokes that end on each other
are a rectangle; where strokes cross without ending, rectangles overlap. Rectangles may run out of the picture on one
side or on two that meet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from hemadata.errors import DefectError
from hemadata.formats.strokes import Bits, Stroke, stroke_width, strokes
from hemadata.geometry import XYWH

Grey = npt.NDArray[np.uint8]
DARKER, FAINT = 40, 20  # grey levels by which ink is darker than the clean picture; it is at most half as bright
MOST = 1000  # places where strokes meet: 200 boxes have fewer, a grid has more and would take forever
DARK = 80  # where the clean picture is as dark, ink cannot be told
OTHER_PICTURE = 25  # median difference of two pictures that are not the same
MISSING_ENDS = 2  # of at most eight: strokes of two rectangles may lie on one line
NEW = 0.3  # share of its outline that no other rectangle has explained


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was found.

    Args:
        boxes: x, y, w, h of the outer borders, left to right.
        stray: longest side of each stroke that belongs to no rectangle, and its place.
    """

    boxes: tuple[XYWH, ...]
    stray: tuple[Stroke, ...]


def find(clean: Image.Image, drawn: Image.Image) -> Drawn:
    """Rectangles in `drawn` that `clean` does not have, in pixels of `clean`.

    Args:
        clean: the picture.
        drawn: the copy; of another size, it is scaled first.

    Raises:
        DefectError: the two do not show the same, or a grid is drawn.
    """
    if drawn.size != clean.size:
        ratio = drawn.width * clean.height / (drawn.height * clean.width)
        if not 0.98 < ratio < 1.02:
            raise DefectError(
                "unreadable_annotation",
                f"{drawn.width} x {drawn.height}, but the clean picture has {clean.width} x {clean.height}",
            )
    before = clean.convert("L")
    after = drawn.convert("L").resize(clean.size, Image.Resampling.BILINEAR) if drawn.size != clean.size else drawn
    ink, faint, unknown = _ink(before, after.convert("L"))
    width = stroke_width(ink)
    lying = strokes(ink, faint, unknown, width)
    standing = [stroke.turned() for stroke in strokes(ink.T, faint.T, unknown.T, width)]
    return _rectangles(lying, standing, clean.size, width)


def _ink(before: Image.Image, after: Image.Image) -> tuple[Bits, Bits, Bits]:
    """Where ink surely is, where it may be, and where it cannot be told: three planes [H, W]."""
    copy = np.asarray(after).astype(np.int16)
    difference = float(np.median(np.abs(np.asarray(before).astype(np.int16) - copy)))
    if difference > OTHER_PICTURE:
        raise DefectError("unreadable_annotation", f"not a copy of the clean picture: they differ by {difference:.0f}")
    # The darkest neighbour: an edge that moved by a pixel is no ink.
    darkest = np.asarray(before.filter(ImageFilter.MinFilter(3))).astype(np.int16)
    ink = (2 * copy <= darkest) & (darkest - copy >= DARKER)
    faint = (4 * copy <= 3 * darkest) & (darkest - copy >= FAINT)
    return ink, faint, ~ink & (copy <= DARK)


@dataclass(slots=True)
class _Side:
    """A stroke as a side of rectangles: where it lies, from where to where, and how much of it is explained."""

    stroke: Stroke | None  # None: the border of the picture
    at: tuple[float, float]  # across the stroke
    ends: tuple[float, float]
    explained: Bits = field(default_factory=lambda: np.zeros(0, bool))

    def meets(self, other: "_Side", slack: float) -> bool:
        """Whether this stroke and one across it touch."""
        one = self.ends[0] - slack <= other.at[1] and other.at[0] <= self.ends[1] + slack
        two = other.ends[0] - slack <= self.at[1] and self.at[0] <= other.ends[1] + slack
        return one and two

    def ends_at(self, other: "_Side", end: int, slack: float) -> bool:
        """Whether this stroke begins (0) or ends (1) at one across it; a border does nowhere."""
        if self.stroke is None:
            return False
        return abs(self.ends[end] - other.at[end]) <= slack

    def new(self, start: float, stop: float) -> tuple[float, float]:
        """Length between two places, and how much of it is not explained yet."""
        if self.stroke is None:
            return 0.0, 0.0
        part = self.explained[max(0, int(start - self.ends[0])) : max(0, int(stop - self.ends[0]))]
        return float(part.size), float(part.size - part.sum())

    def explain(self, start: float, stop: float) -> None:
        """Take the part between two places."""
        self.explained[max(0, int(start - self.ends[0])) : max(0, int(np.ceil(stop - self.ends[0])))] = True


Four = tuple[_Side, _Side, _Side, _Side]  # top, bottom, left, right


def _rectangles(lying: Sequence[Stroke], standing: Sequence[Stroke], size: tuple[int, int], width: float) -> Drawn:
    slack = width + 3
    rows = [_Side(s, (s.y0, s.y1), (s.x0, s.x1), np.zeros(s.x1 - s.x0, bool)) for s in lying]
    columns = [_Side(s, (s.x0, s.x1), (s.y0, s.y1), np.zeros(s.y1 - s.y0, bool)) for s in standing]
    borders = [[_Side(None, (at, at), (0, along)) for at in (0, across)] for across, along in (size[::-1], size)]
    found = sorted(
        (candidate for candidate in _candidates(rows + borders[0], columns + borders[1], slack, 3 * width)),
        key=lambda candidate: candidate[:3],
    )
    boxes: list[XYWH] = []
    for missing, _, _, (top, bottom, left, right) in found:
        x0, x1, y0, y1 = left.at[0], right.at[1], top.at[0], bottom.at[1]
        lengths = [side.new(x0, x1) for side in (top, bottom)] + [side.new(y0, y1) for side in (left, right)]
        whole, new = (sum(length[n] for length in lengths) for n in (0, 1))
        if missing > MISSING_ENDS or new < NEW * whole:
            continue
        for side in (top, bottom):
            side.explain(x0 - slack, x1 + slack)
        for side in (left, right):
            side.explain(y0 - slack, y1 + slack)
        boxes.append(_box((top, bottom, left, right), slack))
    stray = [s for s in (*rows, *columns) if s.stroke and s.explained.mean() < 0.5 and s.explained.size > 6 * width]
    return Drawn(tuple(sorted(boxes)), tuple(side.stroke for side in stray if side.stroke))


def _candidates(
    rows: list[_Side], columns: list[_Side], slack: float, least: float
) -> Iterator[tuple[int, int, float, Four]]:
    """Rectangles of touching strokes: ends that do not fit, sides beyond the picture, length of the outline, sides."""
    across = [[column for column in columns if row.meets(column, slack)] for row in rows]
    if (meetings := sum(map(len, across))) > MOST:
        raise DefectError("unreadable_annotation", f"black strokes meet in {meetings} places: a grid, no boxes")
    for (top, tops), (bottom, bottoms) in product(zip(rows, across, strict=True), repeat=2):
        if bottom.at[0] - top.at[1] < least or (top.stroke is None and bottom.stroke is None):
            continue
        both = [column for column in tops if any(column is other for other in bottoms)]
        for left, right in product(both, repeat=2):
            if right.at[0] - left.at[1] < least or (left.stroke is None and right.stroke is None):
                continue
            four = (top, bottom, left, right)
            outside = sum(side.stroke is None for side in four)
            ends = [row.ends_at(column, n, slack) for row in four[:2] for n, column in ((0, left), (1, right))]
            ends += [column.ends_at(row, n, slack) for column in four[2:] for n, row in ((0, top), (1, bottom))]
            length = 2 * (right.at[1] - left.at[0] + bottom.at[1] - top.at[0])
            yield 2 * (4 - outside) - sum(ends), outside, length, four


def _box(four: Four, slack: float) -> XYWH:
    """Outer border: of each side, the middle one of its own and of the ends of the strokes that stop there."""
    top, bottom, left, right = four
    y0, y1 = (_edge(row, n, (left, right), slack) for row, n in ((top, 0), (bottom, 1)))
    x0, x1 = (_edge(column, n, (top, bottom), slack) for column, n in ((left, 0), (right, 1)))
    return x0, y0, x1 - x0, y1 - y0


def _edge(side: _Side, end: int, across: tuple[_Side, _Side], slack: float) -> float:
    places = [other.ends[end] for other in across if other.ends_at(side, end, slack)]
    # Ends are blurred: they count where the side is thicker than a stroke, because it is of two rectangles.
    return float(np.median([*places, side.at[end]]) if len(places) == 2 else side.at[end])
