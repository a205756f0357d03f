"""Sides of drawn rectangles, and ladders: rectangles that share the lines of two opposite sides.

A ladder is two rails with rungs between them. One rung is the border of two boxes, end to end. Two rungs are two boxes
that overlap, or that lie apart where the rails are blank between the rungs. More rungs can be read in several ways.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hemadata.formats.strokes import Bits, Stroke


@dataclass(slots=True)
class Side:
    """A stroke as a side of rectangles: where it lies, from where to where, and how much of it is explained.

    Args:
        stroke: None: the border of the picture.
        at: across the stroke.
        ends: along it.
        inked: along it, whether there is ink; elsewhere something dark may hide it.
        explained: along it, whether a rectangle has taken it.
    """

    stroke: Stroke | None
    at: tuple[float, float]
    ends: tuple[float, float]
    inked: Bits = field(default_factory=lambda: np.zeros(0, bool))
    explained: Bits = field(default_factory=lambda: np.zeros(0, bool))

    @classmethod
    def of(cls, lying: Stroke, ink: Bits, stroke: Stroke) -> "Side":
        """Of a stroke that lies in a plane of ink [H, W]; `stroke` is the same in the picture, which may be turned."""
        inked: Bits = np.any(ink[lying.y0 : lying.y1, lying.x0 : lying.x1], axis=0)
        return cls(stroke, (lying.y0, lying.y1), (lying.x0, lying.x1), inked, np.zeros(inked.size, bool))

    def meets(self, other: "Side", slack: float) -> bool:
        """Whether this stroke and one across it touch."""
        one = self.ends[0] - slack <= other.at[1] and other.at[0] <= self.ends[1] + slack
        two = other.ends[0] - slack <= self.at[1] and self.at[0] <= other.ends[1] + slack
        return one and two

    def ends_at(self, other: "Side", end: int, slack: float) -> bool:
        """Whether this stroke begins (0) or ends (1) at one across it; a border does nowhere."""
        if self.stroke is None:
            return False
        return abs(self.ends[end] - other.at[end]) <= slack

    def new(self, start: float, stop: float) -> tuple[float, float]:
        """Length between two places, and how much of it is not explained yet."""
        if self.stroke is None:
            return 0.0, 0.0
        part = self._part(self.explained, start, stop)
        return float(part.size), float(part.size - part.sum())

    def explain(self, start: float, stop: float) -> None:
        """Take the part between two places."""
        self._part(self.explained, start, np.ceil(stop))[:] = True

    def is_blank(self, start: float, stop: float) -> bool:
        """Whether most of the part between two places has no ink."""
        part = self._part(self.inked, start, stop)
        return self.stroke is not None and part.size > 0 and part.mean() < 0.5

    def _part(self, along: Bits, start: float, stop: float) -> Bits:
        return along[max(0, int(start - self.ends[0])) : max(0, int(stop - self.ends[0]))]


Four = tuple[Side, Side, Side, Side]  # top, bottom, left, right


def boxes_of_ladder(four: Four, rows: Sequence[Side], columns: Sequence[Side], width: float) -> list[Four] | None:
    """The rectangles of a ladder; an outline without rungs is one, None cannot be read.

    Args:
        four: the outline.
        rows: all strokes that lie.
        columns: all strokes that stand.
        width: of the strokes; ends may miss by as much and 3 pixels more.
    """
    top, bottom, left, right = four
    lying = _rungs(rows, (top, bottom), (left, right), width + 3)
    standing = _rungs(columns, (left, right), (top, bottom), width + 3)
    if lying and standing:
        return None
    if lying:
        parts = _parts(lying, (top, bottom), (left, right), width)
        return None if parts is None else [(low, high, left, right) for low, high in parts]
    if standing:
        parts = _parts(standing, (left, right), (top, bottom), width)
        return None if parts is None else [(top, bottom, low, high) for low, high in parts]
    return [four]


def _rungs(strokes: Sequence[Side], outer: tuple[Side, Side], rails: tuple[Side, Side], slack: float) -> list[Side]:
    """Strokes between two outer ones that go from rail to rail, and no further, in order."""
    found = [
        stroke
        for stroke in strokes
        if stroke.ends_at(rails[0], 0, slack)
        and stroke.ends_at(rails[1], 1, slack)
        and outer[0].at[1] < stroke.at[0]
        and stroke.at[1] < outer[1].at[0]
    ]
    return sorted(found, key=lambda stroke: stroke.at)


def _parts(
    rungs: list[Side], outer: tuple[Side, Side], rails: tuple[Side, Side], width: float
) -> list[tuple[Side, Side]] | None:
    """First and last side of each rectangle between two rails."""
    first, last = outer
    if len(rungs) > 2:
        return None
    one, two = rungs[0], rungs[-1]
    if one is two:
        is_double = min(one.at[0] - first.at[1], last.at[0] - one.at[1]) < 3 * width  # a line that was drawn twice
        return [outer] if is_double else [(first, one), (one, last)]
    is_apart = any(rail.is_blank(one.at[1], two.at[0]) for rail in rails)
    return [(first, one), (two, last)] if is_apart else [(first, two), (one, last)]
