"""RV-PBS: crops in class folders, called after the photograph they were cut from."""

import re
from collections.abc import Iterator
from pathlib import Path

from hemadata.formats.class_folders import crops, under, without
from hemadata.phantom import LEISHMAN, Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

TOP, COMPANION = "classification_data", "PBC_8_DA"
# class folder -> what the phantom draws
CLASSES = {
    **{"band": "band_neutrophil", "basophil": "basophil", "blast": "blast", "eosinophil": "eosinophil"},
    **{"lymphocyte": "lymphocyte", "metamyelocyte": "metamyelocyte", "monocyte": "monocyte"},
    **{"myelocyte": "myelocyte", "neutrophil": "segmented_neutrophil", "promyelocyte": "promyelocyte"},
}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop; the group is the photograph. The companion set in the same download is left alone."""
    tree = under(raw.own, TOP) or without(raw.own, COMPANION)
    if any(name.rpartition("/")[2].lower() == "annotations.xml" for name in tree.files):
        raise raw.unlike(f"crops in {TOP}/<class>; the photographs with annotations.xml are another release")
    for crop in crops(tree, raw.facts.name, CLASSES, raw.problem):
        yield Ref(f"{crop.label}/{crop.inside}", crop.image, label_raw=crop.label, group=_photograph(crop.image.stem))


def _photograph(stem: str) -> str:
    """`IMG_1234` of `IMG_1234_2`; a name without a number of the crop stands for itself."""
    match = re.fullmatch(r"(.*\d)_\d+", stem)
    return match[1] if match else stem


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of several sizes, three from a photograph."""
    for number in range(n):
        label = list(CLASSES)[number % len(CLASSES)]
        folder = out / "rv-pbs" / TOP / label
        folder.mkdir(parents=True, exist_ok=True)
        size = 180 + 20 * (number % 4)
        picture = Smear(seed, (size, size + 12), LEISHMAN).single_cell(number, CLASSES[label]).image
        (folder / f"IMG_{1200 + number // 3}_{number % 3}.jpg").write_bytes(jpeg_bytes(picture))
