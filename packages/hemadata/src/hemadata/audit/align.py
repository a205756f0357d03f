"""The second test of a crop: a window of the large picture is moved and stretched until it fits the small one best."""

import numpy as np
from PIL import Image

from hemadata.audit.confirm import evened, turn_grid

COARSE, FULL = 24, 64  # cells of the grids that are compared, along each side
ROUNDS = {COARSE: 6, FULL: 5}
SHIFT, STRETCH = 3.0, 0.12  # largest step of a round: cells, share of the side
HOPELESS = 0.6  # correlation of the coarse grids below which full ones are not looked at; crops have 0.9 and more


def green(pixels: np.ndarray) -> Image.Image:
    """The channel that is compared, of a decoded image."""
    return Image.fromarray(np.ascontiguousarray(pixels if pixels.ndim == 2 else pixels[:, :, pixels.shape[2] // 2]))


def fit(
    small: Image.Image, large: Image.Image, turn: int, frame: tuple[float, float, float, float]
) -> tuple[float, tuple[float, float, float, float]]:
    """How well a small picture fits its window, and where that is.

    Args:
        small: one channel.
        large: one channel.
        turn: number of the turn in `fingerprints.TURNS` that makes the window of the small picture.
        frame: x and y of the middle, width and height of the window, in pixels of the large picture.

    Returns:
        Correlation with local contrast evened out, and the frame where it is largest.
    """
    best, at = -1.0, frame
    for cells, rounds in ROUNDS.items():
        wanted = np.array(turn_grid(_grid(small, (0, 0, *small.size), cells), turn))
        even = evened(wanted)
        for _ in range(rounds):
            frame, box = _inside(frame, large.size)
            there = _grid(large, box, cells)
            value = float(np.sum(even * evened(there)))
            if value > best:
                best, at = value, frame
            frame = _step(wanted, there, frame)
        if cells == COARSE and best < HOPELESS:
            return best, at
        best = -1.0 if cells == COARSE else best
    return best, at


Frame = tuple[float, float, float, float]


def _grid(image: Image.Image, box: Frame, cells: int) -> np.ndarray:
    small = image.resize((cells, cells), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)
    return np.asarray(small, np.float64)


def _inside(frame: Frame, size: tuple[int, int]) -> tuple[Frame, Frame]:
    """A frame cut and moved into its picture, and its corners."""
    x, y, width, height = frame
    width, height = (min(max(a, 8.0), float(b)) for a, b in zip((width, height), size, strict=True))
    x, y = (min(max(c, s / 2), b - s / 2) for c, s, b in zip((x, y), (width, height), size, strict=True))
    corners = (max(0.0, x - width / 2), max(0.0, y - height / 2))
    far = (min(float(size[0]), x + width / 2), min(float(size[1]), y + height / 2))
    return (x, y, width, height), (*corners, *far)


def _step(wanted: np.ndarray, there: np.ndarray, frame: Frame) -> Frame:
    """One step of Gauss and Newton: contrast, brightness, shift and stretch that explain the difference."""
    cells = len(wanted)
    away = np.arange(cells) + 0.5 - cells / 2
    down, right = np.gradient(there)
    columns = [there, np.ones_like(there), right, down, right * away, down * away[:, None]]
    terms = np.stack([column.ravel() for column in columns])
    square = terms @ terms.T
    square[np.diag_indices(len(square))] *= 1 + 1e-9  # an even picture has no gradient
    answer = np.linalg.lstsq(square, terms @ wanted.ravel(), rcond=None)[0]
    if abs(answer[0]) < 0.05:
        return frame
    shift = np.clip(answer[2:4] / answer[0], -SHIFT, SHIFT)
    stretch = np.clip(answer[4:6] / answer[0], -STRETCH, STRETCH)
    x, y, width, height = frame
    x, y = x + shift[0] * width / cells, y + shift[1] * height / cells
    return float(x), float(y), float(width * (1 + stretch[0])), float(height * (1 + stretch[1]))
