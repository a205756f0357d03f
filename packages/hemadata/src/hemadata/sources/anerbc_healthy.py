"""AneRBC-II: tiles and masks under equal names in two folders; dark cells on pure white. Both parts are read so."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.errors import DefectError
from hemadata.formats.masks import Foreground, Pixels, read_grey, to_mask, without_small
from hemadata.formats.paired import by_stem, pairs
from hemadata.phantom import Smear, png_bytes
from hemadata.sources.base import Raw, Ref, Sample

SET = "AneRBC-II"  # AneRBC-I, in the same archive, holds the pictures that the tiles are cut from
TILE = re.compile(r"(\d{4})_(\d{2})_[ah]")
FOLDERS = ("Original_images", "Binary_segmented", "RGB_segmented")
SPECK = 100  # pixels; a red cell has about 290 to 410
TILES = 12
TITLE = (
    "AneRBC dataset a benchmark dataset for computer-aided anemia diagnosis using RBC images. "
    "httpsdoi.org10.1093databasebaae120"
)
REPORTS = ("CBC_reports", "Morphology_reports")  # text, one a person: no part of this source


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per tile of the healthy part; groups are persons."""
    return index_part(raw, "Healthy_individuals")


def index_part(raw: Raw, part: str) -> Iterator[Ref]:
    """One reference per tile of a part, in name order."""
    if not raw.own.has_folder(f"{SET}/{part}/{FOLDERS[1]}"):
        raise raw.unlike(f"{SET}/{part} with the folders {FOLDERS[0]} and {FOLDERS[1]}")
    tree = raw.own.find(f"{SET}/{part}").below(f"{SET}/{part}")
    images, masks = (by_stem(tree.each(f"{folder}/*.png")) for folder in FOLDERS[:2])
    for stem, image, mask in pairs(images, masks, raw.problem):
        tile = raw.named(image, TILE, "0001_01_a.png (person, tile, a or h)")
        # Both parts count their persons from 1: the letter tells them apart.
        yield Ref(stem, image, mask=mask, group=f"{tile[1]}{stem[-2:]}")


def load(ref: Ref) -> Sample:
    """Turns the mask upright; specks go, unless the tile's border may have cut them off a cell."""
    assert ref.mask
    image = ref.image.read()
    photograph, shown = read_grey(image, "unreadable_image"), read_grey(ref.mask.read())
    if photograph.shape != shown.shape:
        found = f"{shown.shape[1]} x {shown.shape[0]}, image {photograph.shape[1]} x {photograph.shape[0]}"
        raise DefectError("mask_size", found)
    cells = cells_of(shown, photograph)
    if cells.any() and not cells.all() and photograph[cells].mean() >= photograph[~cells].mean():
        detail = "what it marks is brighter than the rest, cells are darker; cells_of() in anerbc_healthy.py decides"
        raise DefectError("mask_values", detail)
    return Sample(image, to_mask(without_small(cells, SPECK, spare_border=True)))


def cells_of(shown: Pixels, photograph: Pixels) -> Foreground:
    """Red cells [H, W] of a mask in any of the encodings that circulate.

    Args:
        shown: brightness of the mask. As published, cells are a darkened copy of the photograph, ground is exactly 255.
        photograph: brightness of the tile, in which cells are the darker part.
    """
    white = np.asarray(shown > 127)
    is_mostly_black = white.any() and (shown == 0).mean() > (shown == 255).mean()
    if is_mostly_black and photograph[white].mean() < photograph[~white].mean():  # exported anew: white cells on black
        return white
    is_lossy = ((shown >= 240) & (shown < 255)).mean() > 0.01
    return np.asarray(shown < (200 if is_lossy else 255))


def draw(out: Path, n: int, seed: int) -> None:
    """`n` tiles of the healthy part."""
    draw_part(out, n, seed, "Healthy_individuals", "h", darkness=0.25)


def draw_part(out: Path, n: int, seed: int, part: str, letter: str, darkness: float) -> None:
    """`n` tiles of 306 x 320, twelve a person, in three pictures each; masks are inverted, tinted and speckled.

    Args:
        out: the raw root.
        n: how many tiles.
        seed: of the drawing.
        part: folder of the part.
        letter: at the end of its names.
        darkness: how much of the photograph's brightness the cells keep in the mask; the parts differ in it.
    """
    top = out / "anerbc" / TITLE / "AneRBC_dataset" / SET / part
    smear = Smear(2 * seed + (letter == "a"), (306, 320), red_cell=24)  # the parts show different persons
    for folder in (*FOLDERS, *REPORTS):
        (top / folder).mkdir(parents=True)
    for number in range(n):
        person, tile = number // TILES + 1, number % TILES + 1
        name = f"{person:04d}_{tile:02d}_{letter}.png"
        field = smear.field(number, {"red_blood_cell": 60, "platelet": 1})
        photograph, cells = np.asarray(field.image), field.mask > 0
        cells[10:12, number % 300 : number % 300 + 3] = True  # a speck, as the archive has in thousands
        dark = np.minimum(photograph * darkness + (0, 2, 6), 254)
        mask = np.where(cells[..., None], dark, 255).astype(np.uint8)
        only = np.where(cells[..., None], photograph, 255).astype(np.uint8)
        pictures = (field.image, Image.fromarray(mask), Image.fromarray(only))
        for folder, picture in zip(FOLDERS, pictures, strict=True):
            (top / folder / name).write_bytes(png_bytes(picture))
        if tile == 1:
            for folder in REPORTS:
                text = "Test,Result,Unit\nHGB,* 10.1 g/dL\n"
                (top / folder / f"{person:03d}_{letter}.txt").write_text(text)
