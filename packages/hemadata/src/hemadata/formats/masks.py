"""Masks of two kinds of pixels: values in any encoding, polarity, connected components."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hemadata.formats.pictures import decode, open_picture, png_of
from hemadata.geometry import XYWH

Foreground = npt.NDArray[np.bool_]  # [H, W]
Pixels = npt.NDArray[Any]  # [H, W] or [H, W, 3]


def read_pixels(data: bytes, reason: str = "unreadable_mask", in_colour: bool = False) -> Pixels:
    """Values as stored: 1-bit as 0 and 1, 16 bits whole; alpha is dropped.

    Args:
        data: an image file.
        reason: of the error: whether it is a mask or an image.
        in_colour: a palette is shown in its colours; otherwise its indices are given.

    Raises:
        DefectError: the file is empty, broken or too large.
    """
    image = decode(open_picture(data, reason), reason)
    if image.mode not in ("1", "L", "RGB", *(() if in_colour else ("P",))) and not image.mode.startswith(("I", "F")):
        image = image.convert("L" if image.mode == "LA" else "RGB")
    return np.asarray(image).astype(np.uint8) if image.mode == "1" else np.asarray(image)


def read_grey(data: bytes, reason: str = "unreadable_mask") -> Pixels:
    """Brightness [H, W]: the mean of the channels where there are three; a palette is shown in its colours."""
    pixels = read_pixels(data, reason, in_colour=True)
    return pixels.mean(axis=2) if pixels.ndim == 3 else pixels


def bright(grey: Pixels) -> Foreground:
    """White on black: over 127, or over 0 where the file counts 0 and 1."""
    return np.asarray(grey > (127 if grey.max(initial=0) > 1 else 0))


def upright(foreground: Foreground) -> Foreground:
    """The same, or its opposite where most of the picture's border is foreground: that mask is inverted."""
    border = np.concatenate([foreground[0], foreground[-1], foreground[:, 0], foreground[:, -1]])
    return ~foreground if border.mean() > 0.5 else foreground


def to_mask(foreground: Foreground) -> bytes:
    """PNG of 0 and 255."""
    return png_of(Image.fromarray(np.where(foreground, 255, 0).astype(np.uint8)))


def without_small(foreground: Foreground, least: int, spare_border: bool = False) -> Foreground:
    """Without the 8-connected components of fewer than `least` pixels; `spare_border` keeps what the border cuts."""
    runs = _Runs(foreground)
    kept = runs.areas >= least
    if spare_border:
        height, width = foreground.shape
        at_border = (runs.rows == 0) | (runs.rows == height - 1) | (runs.starts == 0) | (runs.ends == width)
        kept[runs.component[at_border]] = True
    return runs.only(kept)


def largest(foreground: Foreground) -> Foreground:
    """Only the largest 8-connected component; of equals the first."""
    runs = _Runs(foreground)
    return runs.only(np.arange(len(runs.areas)) == runs.areas.argmax()) if len(runs.areas) else foreground


def boxes_of(foreground: Foreground, least: int) -> list[XYWH]:
    """x, y, w, h of the 8-connected components of at least `least` pixels, from top to bottom, then left to right."""
    runs = _Runs(foreground)
    count, height, width = len(runs.areas), *foreground.shape
    top, bottom = np.full(count, height), np.zeros(count, np.int64)
    left, right = np.full(count, width), np.zeros(count, np.int64)
    np.minimum.at(top, runs.component, runs.rows)
    np.maximum.at(bottom, runs.component, runs.rows + 1)
    np.minimum.at(left, runs.component, runs.starts)
    np.maximum.at(right, runs.component, runs.ends)
    frames = np.stack([top, left, right - left, bottom - top], axis=1)[runs.areas >= least]
    return [(float(x), float(y), float(w), float(h)) for y, x, w, h in sorted(frames.tolist())]


class _Runs:
    """The horizontal runs of a foreground and the 8-connected component of each: few, where pixels are many."""

    def __init__(self, foreground: Foreground) -> None:
        self.shape = foreground.shape
        steps = np.diff(np.pad(foreground.astype(np.int8), ((0, 0), (1, 1))), axis=1)
        self.rows, self.starts = np.nonzero(steps == 1)
        self.ends = np.nonzero(steps == -1)[1]
        self.component = np.unique(self._roots(), return_inverse=True)[1]
        self.areas = np.bincount(self.component, self.ends - self.starts) if len(self.rows) else np.zeros(0)

    def only(self, kept: npt.NDArray[np.bool_]) -> Foreground:
        """The foreground of the components for which `kept` is true."""
        steps = np.zeros((self.shape[0], self.shape[1] + 1), np.int8)
        chosen = kept[self.component]
        steps[self.rows[chosen], self.starts[chosen]] = 1
        steps[self.rows[chosen], self.ends[chosen]] = -1
        return np.asarray(steps.cumsum(axis=1)[:, :-1] > 0)

    def _roots(self) -> npt.NDArray[np.int64]:
        rows, starts, ends = self.rows.tolist(), self.starts.tolist(), self.ends.tolist()
        parents = list(range(len(rows)))

        def root(run: int) -> int:
            while parents[run] != run:
                parents[run] = parents[parents[run]]
                run = parents[run]
            return run

        above = 0  # the first run of the row above that may still touch
        for run, row in enumerate(rows):
            while rows[above] < row - 1 or (rows[above] == row - 1 and ends[above] < starts[run]):
                above += 1
            other = above
            while rows[other] == row - 1 and starts[other] <= ends[run]:  # <=: corners touch too
                parents[root(other)] = root(run)
                other += 1
        return np.array([root(run) for run in range(len(rows))], np.int64)
