"""Elsafty red cells: crops and masks of equal names, below folders whose spelling differs between the releases."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.formats.masks import bright, read_grey, to_mask, upright
from hemadata.formats.paired import is_picture, pairs
from hemadata.formats.scan import shelf_of_files
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref, Sample

# Word in a folder's name -> label; "border" stands before "oval", because borderline ovalocytes have both.
LABELS = {
    "border": "Borderline ovalocytes",
    "oval": "Ovalocytes",
    "tear": "Teardrops",
    "burr": "Burr cells",
    "frag": "Fragmented RBCs",
    "angled": "Angled",
    "two": "Two overlapping",
    "three": "Three overlapping",
    "round": "Rounded RBCs",
}
KINDS = ("crop", "mask", "segm")  # the segmented crops, on a white ground, are not read
FIELDS = "for_segmentation_and_detection"  # whole fields with boxes: other items of the release
SLIDE = re.compile(r"slide\s*_?(\d+)", re.IGNORECASE)
PHANTOM = ("rbc_round", "rbc_ovalocyte", "rbc_burr", "rbc_teardrop")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop that has a mask, in name order; groups are slides."""
    found = {kind: shelf_of_files() for kind in KINDS}
    label_of: dict[str, str] = {}
    for name, file in raw.own.files.items():
        # An archive may be named after a shape, too.
        places = [*reversed(name.lower().split("/")[:-1]), file.archive.lower()]
        if not is_picture(file) or any(FIELDS in place for place in places):
            continue
        # The deepest folder that says what the pictures are, and the deepest that says their shape.
        kind = next((kind for place in places for kind in KINDS if kind in place), None)
        label = next(filter(None, map(_label, places)), None)
        if kind is None and label is None:
            raw.problem(file, "", "junk_file", "in no folder of crops or masks")
            continue
        if kind is None or label is None:
            raise raw.unlike(f"Cropped images/<shape>/*.png and Masks/<shape>/*.png, but {name} is there")
        key = f"{label}/{file.stem}"
        if (first := found[kind].setdefault(key, file)) is not file:
            raise raw.unlike(f"each cell once; {first.name} and {name} are from two releases")
        label_of[key] = label
    if not found["crop"] or not found["mask"]:
        raise raw.unlike("Cropped images/<shape>/*.png and Masks/<shape>/*.png")
    for key, image, mask in pairs(found["crop"], found["mask"], raw.problem):
        # 326Slide 1 (142,886,44,953,93): slide, patch, and two corners, not x, y, width, height
        slide = SLIDE.search(image.stem)
        group = f"slide {int(slide[1])}" if slide else "slide unknown"
        yield Ref(key, image, mask=mask, label_raw=label_of[key], group=group)


def _label(place: str) -> str | None:
    """Label of a folder; a shape begins a word, so that a "background" is not round."""
    return next((label for word, label in LABELS.items() if re.search(rf"(?<![a-z]){word}", place)), None)


def load(ref: Ref) -> Sample:
    """The cell is white in the middle; a mask whose border is white instead is inverted."""
    assert ref.mask
    cell = bright(read_grey(ref.mask.read()))
    is_middle_white = cell[cell.shape[0] // 2, cell.shape[1] // 2]  # three overlapping cells may fill the border too
    return Sample(ref.image.read(), to_mask(cell if is_middle_white else upright(cell)))


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of 80 x 80 as PNG without compression, their masks, and the same cells on white."""
    top, smear = out / "elsafty-rbc" / "Elsafty_RBCs_for_Classification", Smear(seed, (80, 80), red_cell=34)
    folders = {"rbc_round": "Rounded RBCs", "rbc_ovalocyte": "Ovalocytes", "rbc_burr": "Burr cells"}
    for number in range(n):
        kind = PHANTOM[number % 4]
        field = smear.single_cell(number, kind, neighbours=2)
        x, y, width, height = field.cells[0].box
        cell = np.zeros((80, 80), bool)
        cell[y : y + height, x : x + width] = field.mask[y : y + height, x : x + width] > 0
        alone = np.where(cell[..., None], np.asarray(field.image), 255).astype(np.uint8)
        mask = Image.fromarray(np.where(cell, 255, 0).astype(np.uint8))
        name = f"{number}Slide {number % 25 + 1} ({number % 90},{x},{y},{x + width},{y + height}).png"
        pictures = {"Cropped images": field.image, "Masks": mask, "Segmented images": Image.fromarray(alone)}
        for folder, picture in pictures.items():
            path = top / folder / folders.get(kind, "Teardrops")
            path.mkdir(parents=True, exist_ok=True)
            picture.save(path / name, compress_level=0)
