"""Bio-Net: fields with a VOC page each; words misspelt, many pictures twice, two folders without boxes."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from hemadata.formats import voc
from hemadata.formats.paired import by_stem, matched
from hemadata.formats.rawtree import RawFile
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

TOP, PAGES = "Blood Cell Detection & Counting Dataset", "Training/XML Files"
WITHOUT_BOXES = ("Testing", "validation")
WORDS = {"red_blood_cell": "RBC", "white_blood_cell": "WBC", "platelet": "Platelets"}
SLIPS = {3: {"RBC": "dog"}, 5: {"Platelets": "Platlets"}, 6: {"Platelets": "platelets"}, 7: {"WBC": "W"}}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture with a page of its file name; what <filename> says is often another number.

    The group is the first of the pictures that are equal byte for byte.
    """
    tree = raw.own.find(PAGES)
    images = by_stem(tree.each("Training/Images/*.jp*g"))
    pages = by_stem(tree.each(f"{PAGES}/*.xml"))
    first_of = _equal(images)
    for stem, image, boxes in matched(images, pages, lambda page: voc.objects(page.text()), raw.problem):
        yield Ref(stem, image, objects=boxes, group=first_of.get(stem, stem), split_upstream="train")
    for folder in WITHOUT_BOXES:
        if alone := list(tree.each(f"{folder}/*.jp*g")):
            raw.problem(alone[0], folder, "missing_annotation", f"{len(alone)} pictures without boxes are left out")


def _equal(images: Mapping[str, RawFile]) -> dict[str, str]:
    """Stem -> stem of the first equal picture; only files of equal size are read."""
    sizes = Counter(file.size for file in images.values())
    first: dict[bytes, str] = {}
    return {
        stem: first.setdefault(hashlib.sha256(file.read()).digest(), stem)
        for stem, file in sorted(images.items())
        if sizes[file.size] > 1
    }


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields with pages, every tenth a copy of the one before; three pages without picture, two folders without."""
    top = out / "bio-net" / TOP
    for folder in ("Training/Images", PAGES, *WITHOUT_BOXES):
        (top / folder).mkdir(parents=True)
    smear, picture, text = Smear(seed, (640, 480)), b"", ""
    for number in range(1, n + 1):
        if number % 10:
            field = smear.field(number, {"red_blood_cell": 18, "white_blood_cell": 1, "platelet": number % 3})
            boxes = []
            for cell in field.cells:
                x, y, w, h = cell.box
                word = WORDS[cell.kind]
                boxes.append((SLIPS.get(number, {}).get(word, word), (x + 1, y + 1, x + w, y + h)))
            picture, text = jpeg_bytes(field.image), voc.page(f"{number:03d}.jpg", (640, 480), boxes)
        (top / "Training/Images" / f"{number:03d}.jpg").write_bytes(picture)
        (top / PAGES / f"{number:03d}.xml").write_text(text)  # a copy keeps the number of the first in <filename>
    for name in ("1431(1)", "1432(1)", "1435(1)"):
        (top / PAGES / f"{name}.xml").write_text(text)
    for folder in WITHOUT_BOXES:
        (top / folder / "001.jpg").write_bytes(picture)
