"""HRLS: large BMP crops in nine class folders; numbers restart in each. Copies re-issued as PNG are told apart."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.formats.class_folders import crops
from hemadata.phantom import Smear, bmp_bytes
from hemadata.sources.base import Raw, Ref

TOP = "Labelled"
# class folder -> what the phantom draws
CLASSES = {
    **{"Basophile": "basophil", "Eosinophile": "eosinophil", "Lymphoblast": "lymphoblast"},
    **{"Lymphocyte": "lymphocyte", "Monocyte": "monocyte", "Myeloblast": "myeloblast"},
    **{"Neutrophile Band": "band_neutrophil", "Neutrophile Segment": "segmented_neutrophil"},
    "Normoblast": "erythroblast",
}
PARTS = ("train", "val", "valid", "validation", "test")  # of copies that somebody split: no published split


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop, whatever the folder around the class folders is called; the paper trains on all."""
    for crop in crops(raw.own, raw.facts.name, CLASSES, raw.problem, (".bmp", ".png")):
        part = [crop.above[-1]] if crop.above and crop.above[-1].lower() in PARTS else []
        is_copy = bool(part) or crop.image.name.lower().endswith(".png")
        about = {"source_version": f"{raw.facts.version}, a copy re-issued by others"} if is_copy else {}
        yield Ref(
            "/".join([*part, crop.label, crop.inside]),
            crop.image,
            label_raw=crop.label,
            split_paper="train",
            about=about,
        )


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of 1200 x 1200, drawn at a third of the size, numbers from 0 in every folder."""
    smear = Smear(seed, (400, 400))
    for number in range(n):
        label = list(CLASSES)[number % len(CLASSES)]
        folder = out / "hrls" / TOP / label
        folder.mkdir(parents=True, exist_ok=True)
        picture = smear.single_cell(number, CLASSES[label]).image.resize((1200, 1200))
        (folder / f"{number // len(CLASSES)}.bmp").write_bytes(bmp_bytes(picture))
