"""Warty pig: crops in class folders somewhere below `Cropped Classified`; augmented copies and fields stay out."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.formats.class_folders import crops, under, without
from hemadata.ontology.normal import normalise
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

TOP, AUGMENTED, FIELDS = "Cropped Classified", "Augmented images", "Original"
CLASSES = ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop. Augmented pictures are made from the crops, so they would leak from split to split."""
    if raw.own.files and all(name.endswith(".parquet") for name in raw.own.files):
        raise raw.unlike(f"the folder {TOP} with .jpg files, not a parquet mirror")
    tree = under(raw.own, TOP) or without(raw.own, AUGMENTED, "Augmented", FIELDS)
    for crop in crops(tree, raw.facts.name, CLASSES, raw.problem):
        parts = [normalise(part) for part in crop.above]
        below = crop.above[parts.index(normalise(TOP)) + 1 :] if normalise(TOP) in parts else crop.above
        key = "/".join([*below, crop.label, crop.inside])
        yield Ref(key, crop.image, label_raw=crop.label, split_paper="train")  # the paper trains on the crops


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of 600 x 600 and, as in the archive, a turned copy of the first and a field without class."""
    top, smear = out / "warty-pig", Smear(seed, (600, 600))
    for number in range(n):
        label = CLASSES[number % len(CLASSES)]
        picture = smear.single_cell(number, label.lower()).image
        for part, copy in ((TOP, picture), (AUGMENTED, picture.rotate(90))):
            folder = top / part / f"{label}s" / label
            if part == TOP or number == 0:
                folder.mkdir(parents=True, exist_ok=True)
                # One crop of the archive has its ending in capitals.
                ending = "JPG" if number == 1 else "jpg"
                (folder / f"{label} ({number + 1}).{ending}").write_bytes(jpeg_bytes(copy))
    (top / FIELDS).mkdir()
    field = Smear(seed, (1280, 960)).field(0, {"red_blood_cell": 20, "neutrophil": 1})
    (top / FIELDS / "field 1.jpg").write_bytes(jpeg_bytes(field.image))
