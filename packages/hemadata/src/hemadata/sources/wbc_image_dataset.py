"""WBC Image Dataset: two folders of BMP crops, a grey mask and a class code for each."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.formats.paired import pairs
from hemadata.formats.tables import read_csv
from hemadata.phantom import Smear, bmp_bytes, png_bytes
from hemadata.sources.base import Raw, Ref

TWIN = {"dataset-1/139": "dataset-1/112"}  # the same pixels twice, with slightly different masks
PAPER = {1: "train"}  # its 300 training images are as many as Data set 1 has
KINDS = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per BMP of the two data sets, in name order."""
    tree = raw.own.find("Dataset 1")
    for number in (1, 2):
        # The header's second column is called "class label" in one table and "class" in the other.
        images, masks = (
            {file.stem: file for file in tree.each(f"Dataset {number}/*.{ending}")} for ending in ("bmp", "png")
        )
        table = f"Class Labels of Dataset {number}.csv"
        rows = read_csv(tree.file(table), columns=2) if images or table in tree.files else ()
        codes = {row[0].lstrip("0"): row[1] for row in rows}
        for stem, image, mask in pairs(images, masks, raw.problem):
            key = f"dataset-{number}/{stem}"
            label, group = codes.get(stem.lstrip("0")), TWIN.get(key, key)
            yield Ref(key, image, mask=mask, label_raw=label, group=group, split_paper=PAPER.get(number))
        for left in sorted(codes.keys() - {stem.lstrip("0") for stem in images}):
            raw.problem(table, left, "missing_image", f"no image {left} in Dataset {number}")


def draw(out: Path, n: int, seed: int) -> None:
    """`n` cells, three quarters in Dataset 1; stray values in up to five masks of Dataset 2, as in the archive."""
    top = out / "wbc-image-dataset"
    first = max(1, n - max(n // 4, min(n, 5)))
    for number, count, size in ((1, first, (120, 120)), (2, n - first, (300, 300))):
        folder = top / f"Dataset {number}"
        folder.mkdir(parents=True)
        smear, lines = Smear(seed + number, size), []
        for cell in range(1, count + 1):
            # Some crops of Dataset 1 are smaller than the others.
            smear_here = smear if number == 2 or cell % 4 else Smear(seed + number, (104, 112))
            field = smear_here.single_cell(cell, KINDS[cell % 5], neighbours=2)
            grey = np.select([field.mask == 3, field.mask == 4], [128, 255], 0).astype(np.uint8)
            if number == 2 and cell <= 5:
                grey[0, :cell] = (2, 3, 7, 9, 24)[cell - 1]
            (folder / f"{cell:03d}.bmp").write_bytes(bmp_bytes(field.image))
            (folder / f"{cell:03d}.png").write_bytes(png_bytes(Image.fromarray(grey)))
            lines.append(f"{cell},{cell % 5 + 1}\r\n")
        header = "image ID,class label\r\n" if number == 1 else "image ID,class\r\n"
        (top / f"Class Labels of Dataset {number}.csv").write_bytes((header + "".join(lines)).encode())
        (top / f"Dataset {number}.png").write_bytes(png_bytes(Image.new("RGB", (64, 64))))  # overview picture: no data
