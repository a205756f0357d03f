"""What the marks of a data set mean, told from a few of its pictures: their frame, and the two points of a circle.

Whatever was marked is darker than what is around it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import hypot
from statistics import fmean, median
from typing import Any

import numpy as np
import numpy.typing as npt

from hemadata.formats.frames import STORED
from hemadata.formats.marks import Circle, Reading
from hemadata.formats.pictures import decode, grey_of, open_picture, orientation_of, upright

CIRCLES = 4  # looked at in a picture: some 50 in all
ENOUGH = 8  # circles on which a reading may rest
MARGIN = 2.0  # grey levels by which the right frame must win
HALFWAY = 0.25  # between a blob on point 1 (0) and one between the points (0.5), in distances of the points
UNSURE = 0.05
Grey = npt.NDArray[np.float32]


@dataclass(slots=True)
class Seen:
    """What one picture says, for marks in the stored frame (False) and in the shown one (True)."""

    orientation: int
    circles: int
    outside: dict[bool, int]
    contrasts: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})
    offsets: dict[bool, list[float]] = field(default_factory=lambda: {False: [], True: []})


def look(data: bytes, circles: list[Circle]) -> Seen:
    """Look at one picture under its marks.

    Raises:
        DefectError: it is no picture.
    """
    stored = decode(open_picture(data))
    orientation = orientation_of(stored)
    frames: dict[bool, Any] = {False: stored, True: upright(stored)}
    outside = {shown: sum(x > i.width or y > i.height for x, y, *_ in circles) for shown, i in frames.items()}
    seen = Seen(orientation, len(circles), outside)
    for shown, image in frames.items():
        grey = np.asarray(grey_of(image), np.float32)
        for contrast, offset in _measured(grey, circles):
            seen.contrasts[shown].append(contrast)
            seen.offsets[shown].append(offset)
    return seen


def _measured(grey: Grey, circles: list[Circle]) -> Iterator[tuple[float, float]]:
    """Of some circles: contrast in grey levels, and where the dark blob lies.

    The contrast is that of the disc around point 1 to the ring around it; the place is told from point 1 (0) towards
    point 2 (1).
    """
    usable = []
    for x1, y1, x2, y2 in circles:
        distance = hypot(x2 - x1, y2 - y1)
        reach = 2.5 * distance
        inside = reach < x1 < grey.shape[1] - reach - 1 and reach < y1 < grey.shape[0] - reach - 1
        if 3 <= distance <= 200 and inside:
            usable.append((x1, y1, x2, y2, distance))
    for x1, y1, x2, y2, distance in usable[:: max(1, len(usable) // CIRCLES)][:CIRCLES]:
        column, row, reach = round(x1), round(y1), int(2.5 * distance)
        window = grey[row - reach : row + reach + 1, column - reach : column + reach + 1]
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
        away = np.hypot(x, y)
        disc, blob = window[away <= distance], away <= 1.5 * distance
        # Squared: the blob counts, not the grain of the ground.
        darkness = np.clip(np.percentile(window, 75) - window[blob], 0, None) ** 2
        along = (x[blob] * (x2 - x1) + y[blob] * (y2 - y1)) / distance**2
        if darkness.sum() > 0:
            contrast = float(window[away > 1.5 * distance].mean() - disc.mean())
            yield contrast, float((darkness * along).sum() / darkness.sum())


def frame(pictures: Iterable[Seen]) -> bool | None:
    """Whether the marks hold in the shown frame (True) or the stored one (False); None: it cannot be told.

    First by what fits, then by what is dark. Where no picture is turned, the two are one and must fit.
    """
    pictures = list(pictures)
    turned = [seen for seen in pictures if seen.orientation != STORED] or pictures
    outside = {shown: sum(seen.outside[shown] for seen in turned) for shown in (True, False)}
    stray = max(2, sum(seen.circles for seen in turned) // 10)  # damaged marks; a wrong frame loses a quarter
    best = min(outside, key=lambda shown: outside[shown])
    if outside[best] > stray:
        return None
    if outside[not best] > stray or turned is pictures:
        return best
    scores = {shown: fmean([0.0, *(c for s in turned for c in s.contrasts[shown])]) for shown in (True, False)}
    best = max(scores, key=lambda shown: scores[shown])
    return best if scores[best] - scores[not best] >= MARGIN else None


def reading(pictures: Iterable[Seen], shown: bool, circles: Iterable[Circle]) -> tuple[Reading, str, bool]:
    """What the two points of a circle are, why, and whether that is as expected.

    Args:
        pictures: looked at.
        shown: the frame of the marks.
        circles: of the whole data set; level points exclude corners.
    """
    sides = [(abs(x2 - x1), abs(y2 - y1)) for x1, y1, x2, y2 in circles]
    is_slanted = 2 * sum(min(pair) > max(pair) / 2 for pair in sides) > len(sides)
    offsets = [offset for seen in pictures for offset in seen.offsets[shown]]
    if len(offsets) < ENOUGH:
        return Reading.CENTRE, f"only {len(offsets)} circles could be looked at", not is_slanted
    where = median(offsets)
    why = f"in {len(offsets)} circles the dark blob lies {where:.2f} of the way from point 1 to point 2"
    if where < HALFWAY + UNSURE:
        return Reading.CENTRE, why, where < HALFWAY - UNSURE and not is_slanted
    return (Reading.CORNERS if is_slanted else Reading.DIAMETER), why, False
