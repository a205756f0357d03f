"""BCCD: 364 fields of view, one VOC page each. Facts beside this file, in bccd.toml."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import FormatError
from hemadata.formats import voc
from hemadata.formats.namelists import read_splits, write_splits
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

SPLITS = {"train": "train", "val": "validation", "test": "test"}
WORDS = {"red_blood_cell": "RBC", "white_blood_cell": "WBC", "platelet": "Platelets"}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per image, in name order; ImageSets may be missing in a copy."""
    tree = raw.own.find("BCCD/JPEGImages").below("BCCD")
    split_of = read_splits(tree, "ImageSets/Main/{}.txt", SPLITS)
    for image in tree.each("JPEGImages/*.jpg"):
        stem = image.stem
        page = tree.get(f"Annotations/{stem}.xml")
        if page is None:
            raw.problem(image, stem, "missing_annotation", f"no Annotations/{stem}.xml")
            continue
        try:
            boxes = voc.objects(page.text())
        except FormatError as error:
            raw.problem(page, stem, "unreadable_annotation", str(error))
            continue
        yield Ref(stem, image, objects=boxes, group=stem, split_upstream=split_of.get(stem))
    for page in tree.each("Annotations/*.xml"):
        if tree.get(f"JPEGImages/{page.stem}.jpg") is None:
            raw.problem(page, page.stem, "missing_image", f"no JPEGImages/{page.stem}.jpg")


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields of 640 x 480 with pages and lists; the first page holds the two degenerate boxes of the archive."""
    top = out / "bccd" / "BCCD"
    (top / "JPEGImages").mkdir(parents=True)
    (top / "Annotations").mkdir()
    smear, names = Smear(seed, (640, 480)), [f"BloodImage_{number:05d}" for number in range(n)]
    for number, name in enumerate(names):
        kind = ("neutrophil", "lymphocyte", "monocyte", "eosinophil")[number % 4]
        field = smear.field(number, {"red_blood_cell": 18, kind: 1, "platelet": number % 3})
        boxes = []
        for cell in field.cells:
            x, y, w, h = cell.box
            boxes.append((WORDS.get(cell.kind, "WBC"), (x + 1, y + 1, x + w, y + h)))
        if number == 0:
            boxes += [("RBC", (504, 337, 504, 337)), ("RBC", (181, 329, 181, 329))]
        (top / "JPEGImages" / f"{name}.jpg").write_bytes(jpeg_bytes(field.image))
        (top / "Annotations" / f"{name}.xml").write_text(voc.page(f"{name}.jpg", (640, 480), boxes))
    write_splits(top / "ImageSets" / "Main", names, {"train": 0.56, "val": 0.24, "test": 0.20})
