"""The fingerprint of an image: its green channel on a 32 x 32 grid, made from the pixels that the check has decoded.

Green is where Giemsa stains differ most. The grid is square whatever the image's shape, so that a turned copy has the
same fingerprint, turned; scale is gone, brightness and contrast go when fingerprints are compared.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np
from PIL import Image

STRIP = 16 << 20  # pixels of a large picture that are converted at a time
SIDE = 32
SAMPLES = 180  # pixels looked at along each side, at least, where the image has them: over 5 for a cell of the grid


def thumbnail(pixels: np.ndarray) -> bytes:
    """1,024 bytes of a decoded image, row by row.

    Args:
        pixels: uint8 [height, width], [height, width, 1] or [height, width, 3].
    """
    return grid(pixels, SIDE, SAMPLES).tobytes()


def grid(pixels: np.ndarray, side: int, samples: int) -> np.ndarray:
    """Green channel averaged onto a square grid.

    Args:
        pixels: uint8 [height, width], [height, width, 1] or [height, width, 3].
        side: cells of the grid along each side.
        samples: only every n-th pixel is looked at, n as large as leaves so many along each side.

    Returns:
        uint8 [side, side].
    """
    green = pixels if pixels.ndim == 2 else pixels[:, :, pixels.shape[2] // 2]
    height, width = green.shape
    green = np.ascontiguousarray(green[:: max(1, height // samples), :: max(1, width // samples)])
    small = Image.fromarray(green).resize((side, side), Image.Resampling.BOX, reducing_gap=3.0)
    return np.asarray(small)


def to_pixels(image: Image.Image) -> np.ndarray:
    """uint8 pixels of a decoded image of any mode; deeper ones are scaled to their own range."""
    if image.mode in ("L", "RGB"):
        return _array(image)
    if image.mode.startswith(("I", "F")):
        return _scaled(_array(image))
    return _array(image, "RGB")


def _array(image: Image.Image, mode: str | None = None) -> np.ndarray:
    """Pixels, a few rows at a time: Pillow hands them out by way of two copies."""
    rows = max(1, STRIP // image.width)
    if image.height <= rows:
        return np.asarray(image.convert(mode) if mode else image)
    tops = range(0, image.height, rows)
    strips = (image.crop((0, top, image.width, min(top + rows, image.height))) for top in tops)
    parts = (np.asarray(strip.convert(mode) if mode else strip) for strip in strips)
    first = next(parts)
    pixels = np.empty((image.height, *first.shape[1:]), first.dtype)
    for top, part in zip(tops, chain([first], parts), strict=True):
        pixels[top : top + len(part)] = part
    return pixels


def _scaled(stored: np.ndarray) -> np.ndarray:
    """Deep pixels scaled to their own range, a few rows at a time: as floats they are eight times as large."""
    rows = max(1, STRIP // stored.shape[1])
    parts = [stored[top : top + rows] for top in range(0, len(stored), rows)]

    def deep() -> Iterator[np.ndarray]:
        return (np.nan_to_num(part.astype(np.float64)) for part in parts)

    low, high = min(float(part.min()) for part in deep()), max(float(part.max()) for part in deep())
    return np.concatenate([((part - low) * (255 / (high - low or 1.0))).astype(np.uint8) for part in deep()])
