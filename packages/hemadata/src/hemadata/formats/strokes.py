"""Straight horizontal strokes of ink: long runs of pixels, row upon row; for vertical ones, transpose the planes."""

from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.bool_]  # [H, W]
Runs = npt.NDArray[np.int64]  # [runs, 3]: row, first column, column behind the last
SHORTEST = 8  # pixels of a stroke
GAP = 2  # pixels in a stroke that noise may take; more would join strokes side by side
HIDDEN = 64  # pixels of a stroke that dark things under it may hide


@dataclass(frozen=True, slots=True)
class Stroke:
    """Bounds of a stroke: x0 <= x < x1, y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    def turned(self) -> "Stroke":
        """Of the transposed plane."""
        return Stroke(self.y0, self.x0, self.y1, self.x1)


def stroke_width(ink: Bits) -> float:
    """Usual width of the strokes in pixels: most runs across rows and columns cut a stroke squarely."""
    lengths = np.concatenate([np.diff(_runs(plane)[:, 1:], axis=1)[:, 0] for plane in (ink, ink.T)])
    lengths = lengths[lengths < SHORTEST * 3]
    return float(np.clip(np.median(lengths), 1, SHORTEST * 2)) if len(lengths) else 1.0


def strokes(ink: Bits, faint: Bits, unknown: Bits, width: float) -> list[Stroke]:
    """Horizontal strokes, those of the upper rows first.

    Args:
        ink: where ink surely is.
        faint: where it may be: three quarters of a stroke at most.
        unknown: where it cannot be told; a stroke goes on through it for a while, for half of its length at most.
        width: of the strokes, in pixels.
    """
    runs = _closed(_runs(ink | faint), unknown)
    lengths = runs[:, 2] - runs[:, 1]
    is_drawn = (4 * _count(ink, runs) >= lengths) & (2 * _count(ink | faint, runs) >= lengths)
    runs = runs[(lengths >= max(SHORTEST, 3 * width)) & is_drawn]
    found = []
    for group in _stacked(runs):
        y0, x0, y1, x1 = group[:, 0].min(), group[:, 1].min(), group[:, 0].max() + 1, group[:, 2].max()
        # Anything thicker is a blot, unless two strokes lie side by side.
        if y1 - y0 <= 3 * width + 3 and x1 - x0 >= 2 * (y1 - y0):
            found.append(Stroke(int(x0), int(y0), int(x1), int(y1)))
    return found


def _runs(plane: Bits) -> Runs:
    steps = np.diff(np.pad(plane, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    return np.stack([rows, starts, np.nonzero(steps == -1)[1]], axis=1).astype(np.int64)


def _count(plane: Bits, runs: Runs) -> npt.NDArray[np.int32]:
    """How many pixels of each run are set."""
    sums = np.pad(plane, ((0, 0), (1, 0))).cumsum(axis=1, dtype=np.int32)
    return np.asarray(sums[runs[:, 0], runs[:, 2]] - sums[runs[:, 0], runs[:, 1]])


def _closed(runs: Runs, unknown: Bits) -> Runs:
    """Runs of a row joined over gaps of few pixels that are surely blank."""
    if len(runs) < 2:
        return runs
    same = runs[1:, 0] == runs[:-1, 0]
    gaps = np.stack([runs[1:, 0], runs[:-1, 2], np.where(same, runs[1:, 1], runs[:-1, 2])], axis=1)
    length = gaps[:, 2] - gaps[:, 1]
    joined = same & (length - _count(unknown, gaps) <= GAP) & (length <= HIDDEN)
    first = np.concatenate([[True], ~joined])
    last = np.concatenate([~joined, [True]])
    return np.stack([runs[first, 0], runs[first, 1], runs[last, 2]], axis=1)


def _stacked(runs: Runs) -> list[Runs]:
    """Groups of runs that lie on each other, corners included."""
    done: list[list[tuple[int, int, int]]] = []
    near: list[list[tuple[int, int, int]]] = []  # those that reach the row above, or this one
    for row, start, stop in map(tuple, runs.tolist()):
        done += [group for group in near if group[-1][0] < row - 1]
        near = [group for group in near if group[-1][0] >= row - 1]
        touching = [group for group in near if _touches(group, row, start, stop)]
        near = [group for group in near if not any(group is other for other in touching)]
        near.append([*sorted(run for group in touching for run in group), (row, start, stop)])
    return [np.array(group, np.int64) for group in sorted(done + near)]


def _touches(group: list[tuple[int, int, int]], row: int, start: int, stop: int) -> bool:
    """Whether a run lies on one of the last runs of a group, corners included."""
    recent = takewhile(lambda run: run[0] >= row - 1, reversed(group))
    return any(first <= stop and start <= last for _, first, last in recent)
