"""White Blood Cell dataset: BCCD's fields and a binary nucleus mask for each, under equal names in two folders."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.formats.paired import pairs
from hemadata.phantom import Smear, jpeg_bytes, png_bytes
from hemadata.sources.base import Raw, Ref

IMAGES, MASKS = "BloodImageSetS6NucSeg", "BloodImageSetS6NucSeg_masks"


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per pair, in name order; a picture or mask that stands alone is reported."""
    # Each archive has one top folder of its own name; unpacked into such a folder, it is doubled.
    images = {file.stem: file for file in raw.own.find(IMAGES).below(IMAGES).each("*.jpg")}
    masks = {file.stem: file for file in raw.own.find(MASKS).below(MASKS).each("*.png")}
    for stem, image, mask in pairs(images, masks, raw.problem):
        yield Ref(stem, image, mask=mask, group=stem, split_paper="train")  # the paper trains on all


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields with 1-bit masks, every ninth an RGBA mask, as the archive mixes them."""
    top, smear = out / "white-blood-cell-dataset", Smear(seed, (640, 480))
    (top / IMAGES).mkdir(parents=True)
    (top / MASKS).mkdir()
    for number in range(n):
        field = smear.field(number, {"red_blood_cell": 12, "neutrophil": 1, "platelet": 1})
        nucleus = Image.fromarray(np.where(field.mask == 4, 255, 0).astype(np.uint8))
        mask = nucleus.convert("RGBA") if number % 9 == 8 else nucleus.convert("1")
        (top / IMAGES / f"BloodImage_{number:05d}.jpg").write_bytes(jpeg_bytes(field.image))
        (top / MASKS / f"BloodImage_{number:05d}.png").write_bytes(png_bytes(mask))
