"""KRD-WBC: numbered JPEG pictures, a lossy JPEG mask for each, and a table of cell types."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.errors import FormatError
from hemadata.formats.rawfile import RawFile
from hemadata.formats.tables import read_csv
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref, Sample
from hemadata.sources.binary_masks import largest, pairs, read_grey, to_mask, unlike

TABLE = "class labels.csv"
LAST = 600  # numbers beyond are somebody's augmented copies, not the release
SAME = {202: 200}  # image202 is image200, pixel for pixel
KINDS = ("Lymphocyte", "Neutrophil", "Monocyte", "Eosinophil", "Basophil")
ODD_IDS = {2: "image", 4: "Imaeg"}  # how the phantom spells some ids; the archive does so in six and in three


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; pictures, masks and table rows are joined on the number alone."""
    images, masks = _numbered(raw, "image"), _numbered(raw, "mask")
    if not images or not masks:
        raise unlike(raw, "Dataset/image/image<n>.jpg and Dataset/mask/mask<n>.jpg")
    tables = [file for name, file in raw.own.files.items() if name.rpartition("/")[2].lower() == TABLE]
    if len(tables) != 1:
        raise unlike(raw, f'one "{TABLE}" beside the folder Dataset, {len(tables)} are there, among other files')
    kinds = dict(_kinds(tables[0]))
    for number, image, mask in pairs(raw, images, masks):
        if number not in kinds:
            raw.problem(image, image.stem, "missing_annotation", f"no row in {TABLE}")
            continue
        group = f"image{SAME.get(int(number), number)}"
        yield Ref(f"image{number}", image, mask=mask, label_raw=kinds[number], group=group)
    for number in kinds.keys() - images.keys():
        if int(number) <= LAST:
            raw.problem(tables[0], f"image{number}", "missing_image", f"no picture image{number}.jpg")


def load(ref: Ref) -> Sample:
    """The cell is what is brighter than 127, without specks: every mask holds one cell, blurred by JPEG."""
    assert ref.mask
    return Sample(ref.image.read(), to_mask(largest(read_grey(ref.mask.read()) > 127)))


def _numbered(raw: Raw, word: str) -> dict[str, RawFile]:
    """Number -> file `<word>/<word><number>.jpg`, in the order of the numbers."""
    match = re.compile(rf"(?:.*/)?{word}/{word}(\d+)\.jpe?g", re.IGNORECASE).fullmatch
    found: dict[int, RawFile] = {}
    for name, file in raw.own.files.items():
        if hit := match(name):
            number = int(hit[1])
            if number > LAST:
                raw.problem(file, "", "junk_file", f"the release ends at {LAST}")
            elif number in found:
                raise unlike(raw, f"one {word}{number}.jpg; {found[number].name} and {name} are two copies")
            else:
                found[number] = file
    return {str(number): found[number] for number in sorted(found)}


def _kinds(table: RawFile) -> Iterator[tuple[str, str]]:
    for name, kind in read_csv(table, columns=2):
        digits = re.search(r"\d+", name)
        if not digits:
            raise FormatError(f'{table.name}: the id "{name}" has no number; expected Image1, Image2, …')
        yield str(int(digits[0])), kind


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
