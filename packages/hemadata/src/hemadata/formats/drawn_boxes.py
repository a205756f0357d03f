"""Rectangles that somebody drew in black into a copy of a picture, found by comparing it with the clean one.

Ink is what is dark in the copy and was bright. It is cut into straight strokes, and four strokes that end on each other
are a rectangle; where strokes cross without ending, rectangles overlap. Rectangles may run out of the picture on one
side or on two that meet.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from hemadata.errors import DefectError
from hemadata.formats.masks import boxes_of
from hemadata.formats.pictures import grey_of
from hemadata.formats.sides import Four, Side, boxes_of_ladder
from hemadata.formats.strokes import SHORTEST, Bits, Stroke, stroke_width, strokes
from hemadata.geometry import XYWH

Grey = npt.NDArray[np.uint8]
DARKER, FAINT = 40, 20  # grey levels by which ink is darker than the clean picture; it is at most half as bright
MOST = 1000  # places where strokes meet: 200 boxes have fewer, a grid has more and would take forever
DARK = 80  # where the clean picture is as dark, ink cannot be told
OTHER_PICTURE = 25  # median difference of two pictures that are not the same
MISSING_ENDS = 2  # of at most eight: strokes of two rectangles may lie on one line
NEW = 0.3  # share of its outline that no other rectangle has explained
LONG = 6  # stroke widths: ink that reaches so far is told where it makes no rectangle


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was found.

    Args:
        boxes: x, y, w, h of the outer borders, left to right.
        stray: bounds of strokes and other ink that belong to no rectangle.
        unsure: bounds of outlines with bars between two sides, read as two boxes, though others would look the same.
    """

    boxes: tuple[XYWH, ...]
    stray: tuple[Stroke, ...]
    unsure: tuple[Stroke, ...] = ()


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
    before, after = grey_of(clean), grey_of(drawn)
    if after.size != before.size:
        after = after.resize(before.size, Image.Resampling.BILINEAR)
    ink, faint, unknown = _ink(before, after)
    width = stroke_width(ink)
    plane = ink | faint
    rows = [Side.of(s, plane, s) for s in strokes(ink, faint, unknown, width)]
    columns = [Side.of(s, plane.T, s.turned()) for s in strokes(ink.T, faint.T, unknown.T, width)]
    found = _rectangles(rows, columns, clean.size, width)
    return replace(found, stray=(*found.stray, *_left_over(ink, found, width)))


def _left_over(ink: Bits, found: Drawn, width: float) -> list[Stroke]:
    """Bounds of ink that is long, of no box, and not told as a stroke: slanted lines, round ones, arrows, blots."""
    rest, slack = ink.copy(), round(width) + 3
    for x, y, w, h in found.boxes:
        x0, y0, x1, y1 = round(x), round(y), round(x + w), round(y + h)
        whole = np.s_[max(0, y0 - slack) : y1 + slack, max(0, x0 - slack) : x1 + slack]
        inside = np.s_[y0 + 2 * slack : max(0, y1 - 2 * slack), x0 + 2 * slack : max(0, x1 - 2 * slack)]
        kept = rest[inside].copy()
        rest[whole] = False
        rest[inside] = kept
    for stroke in found.stray:
        rest[max(0, stroke.y0 - slack) : stroke.y1 + slack, max(0, stroke.x0 - slack) : stroke.x1 + slack] = False
    least = max(LONG * width, 2 * SHORTEST)
    places = [tuple(map(int, place)) for place in boxes_of(rest, round(least))]
    return [Stroke(x, y, x + w, y + h) for x, y, w, h in places if max(w, h) > least]


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


def _rectangles(rows: list[Side], columns: list[Side], size: tuple[int, int], width: float) -> Drawn:
    slack = width + 3
    borders = [[Side(None, (at, at), (0, along)) for at in (0, across)] for across, along in (size[::-1], size)]
    found = sorted(
        (candidate for candidate in _candidates(rows + borders[0], columns + borders[1], slack, 3 * width)),
        key=lambda candidate: candidate[:3],
    )
    boxes: list[XYWH] = []
    unread: list[Four] = []
    unsure: list[Stroke] = []
    for missing, _, _, four in found:
        lengths = [side.new(*span) for side, span in _spans(four)]
        whole, new = (sum(length[n] for length in lengths) for n in (0, 1))
        if missing > MISSING_ENDS or new < NEW * whole or any(_is_within(four, other) for other in unread):
            continue
        if (parts := boxes_of_ladder(four, rows, columns, width)) is None:
            unread.append(four)
            continue
        if _is_unsure(parts):
            (_, y1), (x0, _), (y0, _), (_, x1) = four[1].at, four[2].at, four[0].at, four[3].at
            unsure.append(Stroke(int(x0), int(y0), int(x1), int(y1)))
        for part in parts:
            for side, (start, stop) in _spans(part):
                side.explain(start - slack, stop + slack)
            box = _box(part, slack)
            if not any(_are_alike(box, other, slack) for other in boxes):  # traced twice
                boxes.append(box)
    stray = [s for s in (*rows, *columns) if s.explained.mean() < 0.5 and s.explained.size > LONG * width]
    return Drawn(tuple(sorted(boxes)), tuple(side.stroke for side in stray if side.stroke), tuple(unsure))


def _spans(four: Four) -> list[tuple[Side, tuple[float, float]]]:
    """The sides of a rectangle, and the part of each that it takes."""
    top, bottom, left, right = four
    across, down = (left.at[0], right.at[1]), (top.at[0], bottom.at[1])
    return [(top, across), (bottom, across), (left, down), (right, down)]


def _is_unsure(parts: list[Four]) -> bool:
    """Whether two boxes between common lines could be others: they overlap, or one is less than half of the other."""
    if len(parts) == 1:
        return False
    one, two = ((b.at[1] - t.at[0], r.at[1] - x.at[0]) for t, b, x, r in parts)
    overlap = parts[0][1].at[0] > parts[1][0].at[1] and parts[0][3].at[0] > parts[1][2].at[1]
    return overlap or not 0.5 < (one[0] * one[1]) / (two[0] * two[1]) < 2


def _are_alike(one: XYWH, two: XYWH, slack: float) -> bool:
    return all(
        abs(a - b) <= slack and abs(a + c - b - d) <= slack
        for a, b, c, d in zip(one[:2], two[:2], one[2:], two[2:], strict=True)
    )


def _is_within(four: Four, other: Four) -> bool:
    """Whether a rectangle lies in another and shares a side with it."""
    inside = all(a.at[0] >= b.at[0] for a, b in zip(four[::2], other[::2], strict=True))
    inside &= all(a.at[1] <= b.at[1] for a, b in zip(four[1::2], other[1::2], strict=True))
    return inside and any(a is b for a, b in zip(four, other, strict=True))


def _candidates(
    rows: list[Side], columns: list[Side], slack: float, least: float
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


def _edge(side: Side, end: int, across: tuple[Side, Side], slack: float) -> float:
    places = [other.ends[end] for other in across if other.ends_at(side, end, slack)]
    # Ends are blurred: they count where the side is thicker than a stroke, because it is of two rectangles.
    return float(np.median([*places, side.at[end]]) if len(places) == 2 else side.at[end])
