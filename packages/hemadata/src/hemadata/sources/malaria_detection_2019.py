"""Malaria-Detection-2019: tiles of photographs and binary masks in two folders; the names tell trip and photograph."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.formats.masks import Foreground, Pixels, read_grey, to_mask
from hemadata.formats.paired import by_stem, pairs
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref, Sample

IMAGES, MASKS, SUFFIX = "Giemsa stained images", "Ground truth images", "_GT"
# Trip 017 Day 1 19-10-05 Image 14 add_1: tile 1 of 16 of a photograph taken on trip 17
TILE = re.compile(r"Trip (?P<trip>\d{3}) Day [12] \d\d-\d\d-\d\d Image \d+( add)?_\d{1,2}")
LOSSY = 0.001  # of the pixels between black and white: more, and the file was encoded anew


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per tile; groups are trips: a trip holds whole photographs, and about one patient."""
    if not all(raw.own.has_folder(folder) for folder in (IMAGES, MASKS)):
        raise raw.unlike(f'the folders "{IMAGES}" and "{MASKS}"')
    images = by_stem(raw.own.find(IMAGES).each(f"{IMAGES}/*.png"))
    masks = by_stem(raw.own.find(MASKS).each(f"{MASKS}/*.png"), SUFFIX)
    for stem, image, mask in pairs(images, masks, raw.problem):
        tile = raw.named(image, TILE, "Trip 017 Day 1 19-10-05 Image 14 add_1.png")
        yield Ref(stem, image, mask=mask, group=f"trip {tile['trip']}")


def load(ref: Ref) -> Sample:
    """Objects are what is not 0, or what is over 127 where the mask was encoded anew."""
    assert ref.mask
    return Sample(ref.image.read(), to_mask(objects_of(read_grey(ref.mask.read()))))


def objects_of(grey: Pixels) -> Foreground:
    """Objects of a mask [H, W] in any encoding; they never fill half a tile, so a mask that does is inverted."""
    lossy = grey.max(initial=0) > 1 and ((grey > 0) & (grey < 255)).mean() > LOSSY
    objects = np.asarray(grey > (127 if lossy else 0))
    return ~objects if objects.mean() > 0.5 else objects


def draw(out: Path, n: int, seed: int) -> None:
    """`n` tiles of 1382 x 1030, sixteen a photograph, every second photograph marked "add"; masks are 0 and 255."""
    top, smear = out / "malaria-detection-2019" / "5bf2kmwvfn-1", Smear(seed, (691, 515), red_cell=60)
    for folder in (IMAGES, MASKS):
        (top / folder).mkdir(parents=True)
    for number in range(n):
        photograph, tile = divmod(number, 16)
        day, extra = photograph % 2 + 1, " add" * (photograph % 2)
        name = f"Trip {17 + photograph % 17:03d} Day {day} 19-10-05 Image {14 + photograph}{extra}_{tile + 1}"
        field = smear.field(number, {"red_blood_cell": 15, "lymphocyte": number % 2, "debris": 1})
        objects = Image.fromarray(np.where(field.mask > 2, 255, 0).astype(np.uint8))
        image = field.image.resize((1382, 1030), Image.Resampling.BILINEAR)
        image.save(top / IMAGES / f"{name}.png", compress_level=1)
        mask = objects.resize((1382, 1030), Image.Resampling.NEAREST)
        mask.save(top / MASKS / f"{name}{SUFFIX}.png", compress_level=1)
    # The stages of the objects, which are not read yet.
    (top / "LifeStages.xlsx").write_bytes(b"PK\x05\x06" + bytes(18))
