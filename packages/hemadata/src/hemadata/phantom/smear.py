"""A smear: fields of many cells and crops around one, with boxes and masks, from one seed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import cos, pi, sin

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from hemadata.errors import UsageError
from hemadata.phantom.kinds import Kind, kind_named
from hemadata.phantom.paint import Sprite, paint
from hemadata.phantom.shapes import smooth_noise
from hemadata.phantom.stain import GIEMSA, Pixels, Stain
from hemadata.phantom.traits import with_traits

_FIELD, _SINGLE = 0, 1  # streams of chance
_FIELD_RED_CELL, _SINGLE_RED_CELL = 0.15, 0.21  # diameter of a red cell, in short sides of the picture
_TRIES = 60
_SMALLEST_BOX = 4  # pixels


@dataclass(frozen=True, slots=True)
class DrawnCell:
    """One cell of a picture.

    Args:
        kind: its ontology node.
        box: x, y, width, height in pixels, tight around what the mask holds of it, inside the image.
    """

    kind: str
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Field:
    """One picture and what is in it.

    Args:
        image: RGB.
        cells: in the order of drawing; in a crop the cell in the middle comes first.
        mask: uint8 [H, W]: 0 ground, 1 red cell, 2 platelet, 3 cytoplasm and 4 nucleus of a nucleated cell, 5 anything
            else (dirt, parasites outside of cells). Cells never touch: each is one island of the mask.
    """

    image: Image.Image
    cells: tuple[DrawnCell, ...]
    mask: npt.NDArray[np.uint8]


class Smear:
    """A seeded source of pictures.

    Args:
        seed: not negative; the same seed gives the same pictures.
        size: width and height of every picture in pixels.
        stain: its colours.
        red_cell: diameter of a red cell in pixels, which all other sizes follow. By default 0.15 of the short side in
            fields and 0.21 in crops.
    """

    def __init__(
        self, seed: int, size: tuple[int, int] = (640, 480), stain: Stain = GIEMSA, red_cell: float | None = None
    ) -> None:
        if seed < 0 or min(size) < 16:
            raise UsageError(f"cannot draw with seed {seed}, size {size}: expected seed >= 0, 16 x 16 pixels or more")
        self.seed, self.size, self.stain, self.red_cell = seed, size, stain, red_cell

    def field(self, number: int, cells: Mapping[str, int]) -> Field:
        """Draw a field of view.

        Red blood cells fill what room the others leave, so there may be fewer of them than asked for. Every other cell
        asked for is drawn: where they do not fit, all cells are drawn smaller.

        Args:
            number: which field, from 0; it alone decides on the chance in it.
            cells: how many of each kind.

        Raises:
            UsageError: an unknown kind, or more cells than the picture can hold at any size.
        """
        looks = sorted(((name, kind_named(name)) for name in cells), key=lambda item: (-item[1].size, item[0]))
        certain = [item for item in looks if item[0] != "red_blood_cell" for _ in range(cells[item[0]])]
        for shrink in range(10):
            canvas = _Canvas(self, (_FIELD, number), _FIELD_RED_CELL)
            canvas.red_cell *= 0.8**shrink
            if all(canvas.scatter(name, canvas.paint(look, 0.07)) for name, look in certain):
                break
        else:
            raise UsageError(f"no room for {dict(cells)} in a field of {self.size}: ask for fewer cells")
        red = kind_named("red_blood_cell")
        for _ in range(cells.get("red_blood_cell", 0)):
            if not canvas.scatter("red_blood_cell", canvas.paint(red, 0.11), cut=True):
                break
        return canvas.finish()

    def single_cell(
        self, number: int, kind: str, neighbours: int = 4, traits: Mapping[str, str] | None = None
    ) -> Field:
        """Draw one cell in the middle of a crop, with red cells around it that the border may cut.

        Args:
            number: which crop, from 0; it alone decides on the chance in it.
            kind: the cell in the middle.
            neighbours: how many red cells at most lie around it.
            traits: WBCAtt attributes that the cell shall show, e.g. {"nucleus_shape": "unsegmented-band"}.

        Raises:
            UsageError: an unknown kind, attribute or value.
        """
        look = with_traits(kind_named(kind), traits) if traits else kind_named(kind)
        canvas = _Canvas(self, (_SINGLE, number), _SINGLE_RED_CELL)
        canvas.centre(kind, canvas.paint(look, 0.03 if traits else 0.07))
        canvas.surround(neighbours)
        return canvas.finish()


class _Canvas:
    """A picture while it is drawn."""

    def __init__(self, smear: Smear, stream: tuple[int, int], red_cell: float) -> None:
        if stream[1] < 0:
            raise UsageError(f"cannot draw picture {stream[1]}: expected a number from 0 on")
        self.width, self.height = smear.size
        self.rng = np.random.default_rng([smear.seed, *stream])
        self.red_cell = smear.red_cell or red_cell * min(smear.size)
        self.stain = smear.stain
        self.pixels: Pixels = np.empty((self.height, self.width, 3), dtype=np.float32)
        self.pixels[:] = self.stain.colour("ground")
        self.mask = np.zeros((self.height, self.width), dtype=np.uint8)
        self.cells: list[DrawnCell] = []

    def paint(self, kind: Kind, spread: float) -> Sprite:
        """Paint a cell of its usual size, give or take `spread`; never so small that its box would be too thin."""
        diameter = kind.size * self.red_cell * self.rng.uniform(1 - spread, 1 + spread)
        return paint(kind, max(6.0 if kind.body == "round" else 24.0, diameter), self.stain, self.rng)

    def scatter(self, name: str, sprite: Sprite, cut: bool = False) -> bool:
        """Put a sprite anywhere that is free; `cut` allows the border to cut it. False where no place was found."""
        half = sprite.mask.shape[0] // 2
        rows, columns = np.nonzero(sprite.mask.any(axis=1))[0], np.nonzero(sprite.mask.any(axis=0))[0]
        low_x, high_x = half - int(columns[0]), self.width - 1 - int(columns[-1]) + half
        low_y, high_y = half - int(rows[0]), self.height - 1 - int(rows[-1]) + half
        if cut:
            low_x, low_y, high_x, high_y = 0, 0, self.width - 1, self.height - 1
        if high_x < low_x or high_y < low_y:
            return False
        for _ in range(_TRIES):
            x, y = int(self.rng.integers(low_x, high_x + 1)), int(self.rng.integers(low_y, high_y + 1))
            if self._put(name, sprite, x, y):
                return True
        return False

    def centre(self, name: str, sprite: Sprite) -> None:
        """Put a sprite near the middle."""
        x = self.width / 2 + self.width * self.rng.uniform(-0.015, 0.015)
        y = self.height / 2 + self.height * self.rng.uniform(-0.015, 0.015)
        self._put(name, sprite, int(x), int(y))

    def surround(self, count: int) -> None:
        """Put red cells on a ring just inside the border, spread around the middle."""
        red, start = kind_named("red_blood_cell"), self.rng.uniform(0, 2 * pi)
        for index in range(count):
            look = replace(red, pallor=self.rng.uniform(0.4, 0.85), aspect=self.rng.uniform(1.0, 1.25))
            sprite = self.paint(look, 0.1)
            for _ in range(_TRIES // 6):
                angle = start + 2 * pi * (index + self.rng.uniform(-0.35, 0.35)) / count
                out = self.rng.uniform(0.36, 0.5) / max(abs(cos(angle)), abs(sin(angle)))  # a square ring
                x, y = self.width * (0.5 + out * cos(angle)), self.height * (0.5 + out * sin(angle))
                if self._put("red_blood_cell", sprite, int(x), int(y)):
                    break

    def _put(self, name: str, sprite: Sprite, x: int, y: int) -> bool:
        """Stamp a sprite with its centre at x, y, unless another cell is there or too little of it would be seen."""
        half = sprite.mask.shape[0] // 2
        left, right = max(0, x - half), min(self.width, x + half + 1)
        top, bottom = max(0, y - half), min(self.height, y + half + 1)
        here = np.s_[top:bottom, left:right]
        cut = np.s_[top - y + half : bottom - y + half, left - x + half : right - x + half]
        if self.mask[here][sprite.guard[cut]].any():
            return False
        mask = sprite.mask[cut]
        rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
        if len(rows) == 0:
            return False
        width, height = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        if min(width, height) < _SMALLEST_BOX:
            return False
        self.pixels[here] += (sprite.colour[cut] - self.pixels[here]) * sprite.opacity[cut][..., None]
        self.mask[here] |= mask
        self.cells.append(DrawnCell(name, (left + int(columns[0]), top + int(rows[0]), width, height)))
        return True

    def finish(self) -> Field:
        """Light the picture unevenly, add the noise of a camera, and close it."""
        across = np.linspace(-1, 1, self.width, dtype=np.float32)
        down = np.linspace(-1, 1, self.height, dtype=np.float32)
        tilt_x, tilt_y = self.rng.uniform(-0.02, 0.02, 2)
        light = (1.0 + np.float32(tilt_x) * across - 0.025 * across**2)[None, :] + (
            np.float32(tilt_y) * down - 0.025 * down**2
        )[:, None]
        grain = self.rng.standard_normal((self.height, self.width), dtype=np.float32) * np.float32(1.6)
        grain += smooth_noise(self.rng, (self.height, self.width), 3) * np.float32(0.7)
        np.clip(self.pixels, 0, 255, out=self.pixels)
        lens = Image.fromarray(self.pixels.astype(np.uint8)).filter(ImageFilter.BoxBlur(0.5))
        pixels = np.asarray(lens) * light[..., None] + grain[..., None]
        np.clip(pixels, 0, 255, out=pixels)
        return Field(Image.fromarray(pixels.astype(np.uint8)), tuple(self.cells), self.mask)
