"""LISC: fields with one type of leukocyte, in folders by type; the mask folders repeat the same names."""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from hemadata.formats.class_folders import crops
from hemadata.formats.rawtree import RawTree
from hemadata.phantom import Smear, bmp_bytes
from hemadata.sources.base import Raw, Ref

TOP = "LISC Database"
# folder as the archive spells it -> what the phantom draws, and how many mixed fields there are
FOLDERS = {"Baso": "basophil", "eosi": "eosinophil", "lymp": "lymphocyte", "mono": "monocyte", "neut": "neutrophil"}
MIXED, MIXED_COUNT = "mixt", 8
OTHER_PARTS = ("ground truth", "areaforexpert", "more dataset")  # masks, and fields that nobody labelled


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per field of one type; fields of several types have no one label and are reported."""
    own = {n: f for n, f in raw.own.files.items() if not any(part in n.lower() for part in OTHER_PARTS)}
    for crop in crops(RawTree(raw.own.root, own), raw.facts.name, [*FOLDERS, MIXED], raw.problem, (".bmp",)):
        key = f"{crop.label.lower()}/{crop.inside}"  # numbers restart in every folder
        if crop.label.lower() == MIXED:
            raw.problem(crop.image, key, "missing_annotation", "a field with several types of cells has no one label")
        elif crop.inside.isdecimal():
            yield Ref(key, crop.image, label_raw=crop.label)
        else:
            raw.problem(crop.image, key, "junk_file", "fields are called <number>.bmp: not one of the release")


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields of 720 x 576 with their masks of 712 x 568, the mixed fields, and one field without label."""
    top, smear = out / "lisc" / TOP, Smear(seed, (720, 576))
    names = [*FOLDERS]
    wanted = [(names[k % 5], k // 5 + 1, {FOLDERS[names[k % 5]]: 1 + (k % 9 == 6)}) for k in range(n)]
    wanted += [(MIXED, k + 1, {"lymphocyte": 1, "neutrophil": 1}) for k in range(MIXED_COUNT)]
    for number, (folder, cell, cells) in enumerate(wanted):
        field = smear.field(number, cells | {"red_blood_cell": 8})
        mask = Image.fromarray(((field.mask >= 3) * 255).astype("uint8")).crop((4, 4, 716, 572))
        truth = top / "Ground Truth Segmentation" / folder / "areaforexpert1"
        (top / "Main Dataset" / folder).mkdir(parents=True, exist_ok=True)
        truth.mkdir(parents=True, exist_ok=True)
        (top / "Main Dataset" / folder / f"{cell}.bmp").write_bytes(bmp_bytes(field.image))
        (truth / f"{cell}_expert.bmp").write_bytes(bmp_bytes(mask))
    unlabelled = top / "More Dataset without Ground Truth" / "alll"  # spelled with three l
    unlabelled.mkdir(parents=True)
    (unlabelled / "1.bmp").write_bytes(bmp_bytes(smear.field(len(wanted), {"monocyte": 1}).image))
