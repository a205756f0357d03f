"""Regions of a mask: one number and one colour for the whole corpus, so that masks of different sources can be mixed.

Append only: a number is never given to another region.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """A region: its index in every mask of the corpus, and the colour of the palette."""

    value: int
    name: str
    colour: tuple[int, int, int]


REGIONS = {
    region.name: region
    for region in (
        Region(0, "background", (0, 0, 0)),
        Region(1, "cytoplasm", (135, 178, 235)),
        Region(2, "nucleus", (106, 61, 154)),
        Region(3, "white_blood_cell", (31, 120, 180)),
        Region(4, "red_blood_cell", (227, 88, 88)),
        Region(5, "blood_cell", (253, 191, 111)),
        Region(6, "platelet", (178, 223, 138)),
        Region(7, "plasmodium", (255, 127, 0)),
        Region(8, "round_red_cell", (251, 154, 153)),
        Region(9, "sickle_cell", (177, 89, 40)),
        Region(10, "deformed_red_cell", (202, 178, 214)),
        Region(11, "stained_object", (51, 160, 44)),  # parasite, white cell or debris, not told apart
    )
}

PALETTE: list[int] = [
    channel
    for value in range(max(r.value for r in REGIONS.values()) + 1)
    for channel in next(r.colour for r in REGIONS.values() if r.value == value)
]
