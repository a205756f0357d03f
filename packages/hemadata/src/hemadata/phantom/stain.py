"""Stains: the colours that ground, cells, nuclei and granules take."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Colour = tuple[int, int, int]
Pixels = npt.NDArray[np.float32]

# What the stain does to each part of a cell, before the tint of a stain. RGB, 0 to 255.
COLOURS: dict[str, Colour] = {
    "chromatin": (66, 34, 122),
    "reddish chromatin": (104, 52, 136),
    "pale chromatin": (146, 108, 172),
    "pale pink": (231, 208, 214),
    "light blue": (194, 198, 228),
    "grey blue": (178, 174, 206),
    "blue": (140, 152, 214),
    "deep blue": (94, 104, 188),
    "purple blue": (164, 142, 208),
    "lilac": (186, 164, 206),
    "pink": (224, 132, 116),
    "red": (196, 62, 84),
    "purple": (138, 54, 140),
    "violet": (54, 22, 104),
    "dirt": (118, 96, 92),
    "magenta": (196, 32, 104),
}


@dataclass(frozen=True, slots=True)
class Stain:
    """Colours of one staining and lighting.

    Args:
        ground: colour of the empty ground, RGB 0 to 255.
        red_cell: colour of a red cell where it is thickest.
        tint: factors per channel on every other colour.
    """

    ground: Colour
    red_cell: Colour
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def colour(self, name: str) -> Pixels:
        """The colour called `name` as float32 RGB: "ground", "red cell" or a key of `COLOURS`."""
        if name == "ground":
            return np.array(self.ground, dtype=np.float32)
        if name == "red cell":
            return np.array(self.red_cell, dtype=np.float32)
        tinted = np.array(COLOURS[name], dtype=np.float32) * np.array(self.tint, dtype=np.float32)
        return np.minimum(tinted, np.float32(255))


GIEMSA = Stain(ground=(254, 233, 211), red_cell=(208, 160, 157))
WRIGHT = Stain(ground=(226, 221, 236), red_cell=(196, 164, 180), tint=(0.94, 0.96, 1.04))
LEISHMAN = Stain(ground=(212, 214, 204), red_cell=(204, 140, 132), tint=(1.06, 1.04, 1.08))
ZIEHL_NEELSEN = Stain(ground=(176, 206, 232), red_cell=(132, 166, 208), tint=(0.86, 0.92, 1.06))
