"""The second test of a near copy, on the decoded images: fine structure with local contrast evened out.

Two round cells of one size share their outline and little else; where local contrast is evened, the outline counts no
more than the rest of the picture.
"""

from functools import cache

import numpy as np

from hemadata.build.images import decoded
from hemadata.build.thumbnail import grid

SIDE, SAMPLES = 64, 320
NEAR, AROUND = 1, 4  # half-widths of the windows that smooth and that even out, in cells of the grid
FLOOR = 0.1  # of the picture's own deviation: an empty ground is not blown up to full contrast


def confirm(first: bytes, second: bytes, turn: int) -> float:
    """Correlation of two image files, the second turned.

    Args:
        first: an image file.
        second: an image file.
        turn: number of the turn in `fingerprints.TURNS` that makes the first of the second.

    Raises:
        DefectError: one of them cannot be read.
    """
    a, b = (evened(grid(decoded(data), SIDE, SAMPLES)) for data in (first, second))
    return float(np.sum(a * turn_grid(b, turn)))


def turn_grid(values: np.ndarray, turn: int) -> np.ndarray:
    """A square grid, turned."""
    values = values.T if turn >= 4 else values
    values = values[::-1] if turn & 2 else values
    return values[:, ::-1] if turn & 1 else values


def evened(grey: np.ndarray) -> np.ndarray:
    """Differences from the neighbourhood over their local size, mean 0 and length 1; all 0 for an even picture."""
    values = grey.astype(np.float64)
    fine = _mean(values, NEAR)
    fine = fine - _mean(fine, AROUND)
    size = np.sqrt(np.maximum(_mean(fine * fine, AROUND), 0))
    even = fine / (size + FLOOR * values.std() + 1e-9)
    even -= even.mean()
    length = float(np.linalg.norm(even))
    return np.asarray(even / length if length > 1e-6 else np.zeros_like(even))


def _mean(values: np.ndarray, reach: int) -> np.ndarray:
    """Mean over a square window of 2 * reach + 1 cells, mirrored at the border; of a square grid."""
    along = _window(len(values), reach)
    return np.asarray(along @ values @ along.T)


@cache
def _window(cells: int, reach: int) -> np.ndarray:
    """What takes the mean along one axis, as a matrix [cells, cells]."""
    where = np.pad(np.arange(cells), reach, mode="reflect")
    window = 2 * reach + 1
    return np.asarray(np.sum([np.eye(cells)[where[k : k + cells]] for k in range(window)], axis=0) / window)
