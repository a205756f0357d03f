"""Masks: raw values of any encoding -> the corpus-wide region numbers, as palette PNG."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from hemadata.errors import DefectError
from hemadata.formats.pictures import decode, open_picture
from hemadata.geometry import turn_size
from hemadata.regions import PALETTE, REGIONS
from hemadata.sources.facts import MaskFacts

# EXIF orientation -> what Pillow calls the turn that shows the picture upright
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(slots=True)
class Mask:
    """A mask in corpus form.

    Args:
        png: palette PNG, indices are region numbers.
        pixels: region number -> how many pixels.
        snapped: how many pixels held undeclared values and were set to the nearest declared one.
        stray: the undeclared values found.
    """

    png: bytes
    pixels: dict[int, int]
    snapped: int
    stray: tuple[int, ...]


class MaskReader:
    """Reads the masks of one source as its TOML declares them."""

    def __init__(self, facts: MaskFacts) -> None:
        self.regions = facts.regions()
        self.snap = facts.snap == "nearest"
        declared = np.array(sorted(self.regions))
        nearest = declared[np.abs(np.arange(256)[:, None] - declared[None, :]).argmin(axis=1)]
        self._to_region = np.array([REGIONS[self.regions[int(v)].region].value for v in nearest], np.uint8)
        self._declared = np.zeros(256, bool)
        self._declared[declared] = True

    def classes(self, mask: "Mask") -> list[dict[str, object]]:
        """`mask_classes` of a row: every region the source declares, with its pixels in this mask."""
        return [
            {
                "value": REGIONS[meaning.region].value,
                "label": meaning.region,
                "label_raw": str(raw),
                "cell": meaning.cell,
                "pixels": mask.pixels[REGIONS[meaning.region].value],
            }
            for raw, meaning in self.regions.items()
        ]

    def read(self, data: bytes, stored: tuple[int, int], orientation: int) -> Mask:
        """Read one mask file.

        Args:
            data: an image file of any mode; colour is read as grey, alpha is ignored.
            stored: size of the image's stored frame, which the mask must have (or the displayed size).
            orientation: of the image; a mask in the stored frame is turned with it.

        Raises:
            DefectError: unreadable, another size, or undeclared values where the TOML declares no snapping.
        """
        grey = _read_grey(data)
        if grey.size == stored:
            grey = grey.transpose(TURNS[orientation]) if orientation != 1 else grey
        elif grey.size != turn_size(*stored, orientation):
            raise DefectError("mask_size", f"{grey.width} x {grey.height}, image {stored[0]} x {stored[1]}")
        values = np.asarray(grey)
        counts = np.bincount(values.ravel(), minlength=256)
        stray = np.flatnonzero((counts > 0) & ~self._declared)
        if len(stray) and not self.snap:
            shown = ", ".join(map(str, stray[:8])) + (", …" if len(stray) > 8 else "")
            raise DefectError(
                "mask_values", f"{shown} in {int(counts[stray].sum())} pixels; declared are {sorted(self.regions)}"
            )
        regions = self._to_region[values]
        found = np.bincount(regions.ravel())
        pixels = {int(v): int(found[v]) if v < len(found) else 0 for v in np.unique(self._to_region)}
        return Mask(to_palette_png(regions), pixels, int(counts[stray].sum()), tuple(map(int, stray)))


def to_palette_png(regions: np.ndarray) -> bytes:
    """Region numbers [H, W] uint8 -> palette PNG: indices for training, colours for people."""
    image = Image.fromarray(regions)
    image.putpalette(PALETTE)  # turns mode L into P without touching the values
    out = BytesIO()
    image.save(out, "PNG", compress_level=6)
    return out.getvalue()


def _read_grey(data: bytes) -> Image.Image:
    image = decode(open_picture(data, "unreadable_mask"), "unreadable_mask")
    if image.mode.startswith(("I", "F")) and (top := float(np.asarray(image).max())) > 255:  # Pillow would clip it
        raise DefectError("mask_values", f"a value of {top:g}; masks hold 0 to 255")
    try:
        if image.mode in ("RGBA", "LA", "PA"):
            image = image.convert("RGB")  # drops alpha: a mask's shape is in its colour
        return image if image.mode == "L" else image.convert("L")
    except ValueError as error:  # a colour space without a way to grey
        raise DefectError("unreadable_mask", str(error)) from error
