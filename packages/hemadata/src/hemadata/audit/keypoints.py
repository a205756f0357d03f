"""Where a picture has blobs, how large, and 64 signs of what lies around each: what a crop shares with its field.

Blobs are extremes of differences of Gaussians over a pyramid (Lowe, 2004). What is around one is described as whole
pictures are in `fingerprints`: by signs of cosine terms, so that mirrored and turned copies need no second look.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from hemadata.audit.fingerprints import turn_terms

LONGEST, SHORTEST = 800, 200  # pixels: larger pictures are reduced, smaller ones doubled
STEP = 2 ** (1 / 3)  # from one level of the pyramid to the next
AROUND = 6  # half-width of what is described, in pixels of the blob's level: about three times the blob
CONTRAST = 1.5  # grey levels that a blob stands out
MOST = 800  # blobs of a picture, the clearest first
SIGNS = 64


@dataclass(frozen=True, slots=True)
class Keypoints:
    """Blobs of a picture.

    Args:
        place: float32 [n, 3]: x, y and size in pixels of the picture.
        code: uint64 [n].
        size: width and height of the picture.
    """

    place: np.ndarray
    code: np.ndarray
    size: tuple[int, int]

    @classmethod
    def none(cls, size: tuple[int, int] = (1, 1)) -> "Keypoints":
        """A picture without any."""
        return cls(np.zeros((0, 3), np.float32), np.zeros(0, np.uint64), size)


@cache
def _terms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column frequency of the terms that give signs, and the table of cosines.

    Terms even along both axes are left out: they say that there is a blob.
    """
    side = 2 * AROUND
    u, v = (axis.ravel() for axis in np.mgrid[:side, :side])
    odd = np.flatnonzero((u % 2 == 1) | (v % 2 == 1))
    odd = odd[np.lexsort((u[odd], np.hypot(u, v)[odd]))][:SIGNS]
    k, n = np.arange(side)[:, None], np.arange(side)[None]
    return u[odd], v[odd], np.cos(np.pi * (n + 0.5) * k / side).astype(np.float32)


def keypoints(pixels: np.ndarray) -> Keypoints:
    """Blobs of a decoded image.

    Args:
        pixels: uint8 [height, width], [height, width, 1] or [height, width, 3].
    """
    green = pixels if pixels.ndim == 2 else pixels[:, :, pixels.shape[2] // 2]
    height, width = green.shape
    image = Image.fromarray(np.ascontiguousarray(green))
    if (reduction := max(image.size) // (2 * LONGEST)) > 1:  # of a large picture, quicker than for each level anew
        image = image.reduce(reduction)
    levels = _pyramid(image.convert("F"))
    found = [
        _blobs(levels[n - 1], levels[n], levels[n + 1], width / levels[n][1].shape[1])
        for n in range(1, len(levels) - 1)
    ]
    if not found:
        return Keypoints.none((width, height))
    place, code, clear = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(-clear, kind="stable")[:MOST]
    return Keypoints(place[order], code[order], (width, height))


Level = tuple[np.ndarray, np.ndarray]
"""A smoothed picture and its difference from a smoother one, float32 [height, width] each."""


def _pyramid(image: Image.Image) -> list[Level]:
    longest, shortest = max(image.size), min(image.size)
    share = min(2.0 if shortest < SHORTEST else 1.0, LONGEST / longest)
    levels = []
    while shortest * share > 2 * AROUND:
        size = (round(image.width * share), round(image.height * share))
        grey = np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0), np.float32)
        smooth = _smooth(grey)
        levels.append((smooth, smooth - _smooth(_smooth(smooth))))
        share /= STEP
    return levels


def _smooth(grey: np.ndarray) -> np.ndarray:
    """A Gaussian of one pixel, as binomial weights."""
    height, width = grey.shape
    padded = np.pad(grey, ((2, 2), (0, 0)), mode="reflect")
    rows = [padded[k : k + height] for k in range(5)]
    grey = rows[0] + rows[4] + 4 * (rows[1] + rows[3]) + 6 * rows[2]
    padded = np.pad(grey, ((0, 0), (2, 2)), mode="reflect")
    rows = [padded[:, k : k + width] for k in range(5)]
    return np.asarray((rows[0] + rows[4] + 4 * (rows[1] + rows[3]) + 6 * rows[2]) / np.float32(256))


def _blobs(finer: Level, level: Level, coarser: Level, zoom: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, codes and clearness of the blobs of one level; `zoom`: pixels of the picture per pixel of the level."""
    smooth, difference = level
    height, width = difference.shape
    size = np.abs(difference)
    middle = size[1:-1, 1:-1]
    top = middle >= CONTRAST
    for dy, dx in np.ndindex(3, 3):
        if (dy, dx) != (1, 1):
            top &= middle >= size[dy : dy + height - 2, dx : dx + width - 2]
    y, x = (axis + 1 for axis in np.nonzero(top))
    sign, here = np.sign(difference[y, x]), size[y, x]
    below, above = (_beside(other[1], x, y, sign, difference.shape) for other in (finer, coarser))
    keep = (here > below) & (here > above)
    x, y, sign, here, below, above = (column[keep] for column in (x, y, sign, here, below, above))
    grow = STEP ** _peak(below, here, above)
    x_fine = x + _peak(sign * difference[y, x - 1], here, sign * difference[y, x + 1])
    y_fine = y + _peak(sign * difference[y - 1, x], here, sign * difference[y + 1, x])
    reach = AROUND * grow
    keep = (x_fine - reach >= -1) & (y_fine - reach >= -1) & (x_fine + reach <= width) & (y_fine + reach <= height)
    x_fine, y_fine, grow, here = x_fine[keep], y_fine[keep], grow[keep], here[keep]
    place = np.stack([(x_fine + 0.5) * zoom, (y_fine + 0.5) * zoom, grow * zoom], axis=1).astype(np.float32)
    return place, _codes(_around(smooth, x_fine, y_fine, grow)), here


def _beside(other: np.ndarray, x: np.ndarray, y: np.ndarray, sign: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Largest value of a neighbouring level around the same places."""
    height, width = other.shape
    column = np.clip(((x + 0.5) * width / shape[1] - 0.5).round().astype(int), 1, width - 2)
    row = np.clip(((y + 0.5) * height / shape[0] - 0.5).round().astype(int), 1, height - 2)
    values = [sign * other[row + dy, column + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    return np.asarray(np.max(values, axis=0))


def _peak(before: np.ndarray, here: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where between its neighbours a parabola through three values is highest, -0.5 to 0.5."""
    return np.asarray(np.clip(0.5 * (before - after) / np.minimum(before + after - 2 * here, -1e-6), -0.5, 0.5))


def _around(smooth: np.ndarray, x: np.ndarray, y: np.ndarray, grow: np.ndarray) -> np.ndarray:
    """Squares around places, interpolated, [n, 2 * AROUND, 2 * AROUND]."""
    height, width = smooth.shape
    steps = np.arange(2 * AROUND) + 0.5 - AROUND
    columns = np.clip(x[:, None] + steps * grow[:, None], 0, width - 1.001)
    rows = np.clip(y[:, None] + steps * grow[:, None], 0, height - 1.001)
    column, row = columns.astype(int)[:, None, :], rows.astype(int)[:, :, None]
    right, down = columns[:, None, :] - column, rows[:, :, None] - row
    upper = smooth[row, column] * (1 - right) + smooth[row, column + 1] * right
    lower = smooth[row + 1, column] * (1 - right) + smooth[row + 1, column + 1] * right
    return np.asarray(upper * (1 - down) + lower * down, np.float32)


def _codes(squares: np.ndarray) -> np.ndarray:
    u, v, table = _terms()
    positive = (table @ squares @ table.T)[:, u, v] > 0
    return np.ascontiguousarray(np.packbits(positive, axis=1)).view(np.uint64)[:, 0]


def turned_codes(code: np.ndarray, turn: int) -> np.ndarray:
    """Codes of the turned pictures.

    Args:
        code: uint64 [n].
        turn: number of the turn in `fingerprints.TURNS`.
    """
    u, v, _ = _terms()
    order, sign = turn_terms(u, v)
    bits = np.unpackbits(np.ascontiguousarray(code[:, None]).view(np.uint8), axis=1)
    flipped = bits[:, order[turn]] ^ (sign[turn] < 0).astype(np.uint8)
    return np.ascontiguousarray(np.packbits(flipped, axis=1)).view(np.uint64)[:, 0]
