"""KRD-WBC: numbered JPEG pictures, a lossy JPEG mask for each, and a table of cell types."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.formats.masks import largest, read_grey, to_mask
from hemadata.formats.numbered import numbered, words_of
from hemadata.formats.rawfile import RawFile
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref, Sample

TABLE = "class labels.csv"
TABLES = re.compile(r"(?:.*/)?class[ _-]*labels?\.csv", re.IGNORECASE)
LAST = 600  # numbers beyond are somebody's augmented copies, not the release
SAME = {202: 200}  # image202 is image200, pixel for pixel
KINDS = ("Lymphocyte", "Neutrophil", "Monocyte", "Eosinophil", "Basophil")
ODD_IDS = {2: "image", 4: "Imaeg"}  # how the phantom spells some ids; the archive does so in six and in three


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; pictures, masks and table rows are joined on the number alone."""
    masks = numbered(raw.own, "mask", LAST, raw.problem)
    if not masks:
        raise raw.unlike("Dataset/image/image<n>.jpg and Dataset/mask/mask<n>.jpg")
    images = pictures(raw)
    for number, ref in labelled(raw, images):
        if number in masks:
            ref.mask = masks[number]
            yield ref
        else:
            raw.problem(ref.image, ref.key, "missing_annotation", "no mask of that number")
    for number in masks.keys() - images.keys():
        raw.problem(masks[number], f"mask{number}", "missing_image", "no picture of that number")


def pictures(raw: Raw) -> dict[int, RawFile]:
    """Number -> picture of the release."""
    return numbered(raw.own, "image", LAST, raw.problem)


def labelled(raw: Raw, images: Mapping[int, RawFile]) -> Iterator[tuple[int, Ref]]:
    """Number and reference of each picture with a row in the table; the group is the picture."""
    tables = [file for name, file in raw.own.files.items() if TABLES.fullmatch(name)]
    if len(tables) != 1 or not images:
        found = f"{len(tables)} such tables and {len(images)} pictures"
        raise raw.unlike(f'Dataset/image/image<n>.jpg and one "{TABLE}" ({found} are there)')
    words = words_of(tables[0], LAST)
    for number, image in images.items():
        key = f"image{number}"
        if number in words:
            yield number, Ref(key, image, label_raw=words[number], group=f"image{SAME.get(number, number)}")
        else:
            raw.problem(image, key, "missing_annotation", f"no row in {tables[0].name}")
    for number in sorted(words.keys() - images.keys()):
        raw.problem(tables[0], f"image{number}", "missing_image", f"no picture image{number}.jpg")


def load(ref: Ref) -> Sample:
    """The cell is what is brighter than 127, without specks: every mask holds one cell, blurred by JPEG."""
    assert ref.mask
    return Sample(ref.image.read(), to_mask(largest(read_grey(ref.mask.read()) > 127)))


def draw(out: Path, n: int, seed: int) -> None:
    """`n` pictures of one white cell, masks as grey JPEG with specks, a table with the odd ids of the archive."""
    top, smear = out / "krd-wbc" / "KRD-WBC dataset", Smear(seed, (512, 512))
    for word in ("image", "mask"):
        (top / "Dataset" / word).mkdir(parents=True)
    lines = ["Image ID,Categoriy\n"]
    for number in range(1, n + 1):
        kind = KINDS[number % 5]
        field = smear.single_cell(number, kind.lower())
        cell = np.where(largest((field.mask == 3) | (field.mask == 4)), 255, 0).astype(np.uint8)
        if number % 7 == 0:
            cell[5:8, 5:8] = 255  # a speck
        (top / "Dataset/image" / f"image{number}.jpg").write_bytes(jpeg_bytes(field.image))
        (top / "Dataset/mask" / f"mask{number}.jpg").write_bytes(jpeg_bytes(Image.fromarray(cell), quality=75))
        lines.append(f"{ODD_IDS.get(number, 'Image')}{number},{kind}\n")
    (top / TABLE).write_text("".join(lines), encoding="utf-8-sig")
