"""Raabin crops: split/class folders; the file name tells film, field and cell."""

import re
from collections.abc import Iterator
from pathlib import Path

from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

# <film>_<field>_<cell> (film 95-8-27-1) or <date>_<time>_<cell>; TestB, another microscope, has bare numbers.
NAME = re.compile(r"(?P<film>\d{2}-\d{1,2}-\d{1,2}-\d+|\d{8})_\d+_\d+")
SPLITS = {"Train": "train", "TestA": "test", "TestB": "test"}
CLASSES = ("Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop, in folder order; groups are films."""
    present = [part for part in SPLITS if raw.own.has_folder(part)]
    if not present:
        raise raw.unlike("the folders Train, TestA and TestB with class folders in them")
    for part in present:
        tree = raw.own.find(part).below(part)
        for name, image in tree.files.items():
            folder, _, file = name.rpartition("/")
            if not file.lower().endswith((".jpg", ".jpeg")):
                raw.problem(image, "", "junk_file", "not a .jpg")
                continue
            film = NAME.fullmatch(image.stem)
            yield Ref(
                f"{part}/{folder}/{image.stem}" if part == "TestB" else f"{part}/{image.stem}",
                image,
                label_raw=folder.rpartition("/")[2],
                group=f"film {film['film']}" if film else None,
                split_upstream=SPLITS[part],
                split_paper=SPLITS[part] if part != "TestB" else None,
            )


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of 575 x 575 from 40 films, 70 % in Train; basophils carry time stamps, as in the archive."""
    smear = Smear(seed, (575, 575))
    for number in range(n):
        part = "TestB" if number % 20 == 19 else "TestA" if number % 10 in (3, 6, 9) else "Train"
        label = ("Lymphocyte", "Neutrophil")[number // 20 % 2] if part == "TestB" else CLASSES[number % 5]
        film = f"95-{8 + number % 40 // 20}-{number % 40 % 20 + 1}-1"
        name = (
            f"20190531_{114400 + number}_1" if label == "Basophil" else f"{film}_{200 + number // 40}_{number % 9 + 1}"
        )
        (out / "raabin" / part / label).mkdir(parents=True, exist_ok=True)
        picture = smear.single_cell(number, label.lower()).image
        (out / "raabin" / part / label / f"{number + 1 if part == 'TestB' else name}.jpg").write_bytes(
            jpeg_bytes(picture)
        )
