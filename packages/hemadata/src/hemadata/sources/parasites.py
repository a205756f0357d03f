"""Parasites species: crops of parasites and host cells in class folders named with magnification and count."""

import re
from collections.abc import Iterator
from pathlib import Path

from hemadata.formats.class_folders import crops
from hemadata.formats.paired import PICTURES
from hemadata.ontology.normal import normalise
from hemadata.phantom import GIEMSA, Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

TOP = "Parasite Data Set"
# class folder -> what the phantom draws; the numbers are counts of the third release
FOLDERS = {
    **{"Babesia_1173": "babesia", "Leishmania_2701": "leishmania", "Plasmodium_843": "plasmodium"},
    **{
        "Leukocyte_1000X_461": "white_blood_cell",
        "Leukocyte_400X_915": "white_blood_cell",
        "RBCs_8995": "red_blood_cell",
    },
    **{"Toxoplasma_1000X_2933": "toxoplasma", "Toxoplasma_400X_3758": "toxoplasma"},
    **{"Trichomonad_10134": "trichomonad", "Trypanosome_2385": "trypanosome"},
}
MAGNIFICATION = re.compile(r"\b(400|1000)x\b")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop. Releases count differently, so a folder is known by the word that it begins with."""
    folders = {part for name in raw.own.files for part in name.split("/")[:-1]}
    words = {name.partition("_")[0].lower().rstrip("s") for name in FOLDERS}
    classes = [folder for folder in folders if normalise(folder).partition(" ")[0].rstrip("s") in words]
    if not classes:
        raise raw.unlike(f"pictures in class folders {', '.join(FOLDERS)}")
    for crop in crops(raw.own, raw.facts.name, classes, raw.problem, PICTURES):
        shown = MAGNIFICATION.search(normalise(crop.label))
        about = {"magnification": f"{shown[1]}x in all"} if shown else {}
        yield Ref(f"{crop.label}/{crop.inside}", crop.image, label_raw=crop.label, about=about)


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops over the ten folders; numbers restart in each."""
    smear = Smear(seed, (150, 150), GIEMSA)
    for number in range(n):
        label = list(FOLDERS)[number % len(FOLDERS)]
        folder = out / "parasites" / TOP / label
        folder.mkdir(parents=True, exist_ok=True)
        picture = smear.single_cell(number, FOLDERS[label], neighbours=1).image
        (folder / f"{number // len(FOLDERS) + 1}.jpg").write_bytes(jpeg_bytes(picture))
