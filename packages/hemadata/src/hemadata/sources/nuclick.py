"""NuClick's blood data: patches in Train and Validation, one PNG mask each, probably of instance numbers."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.errors import DefectError
from hemadata.formats.masks import Foreground, read_pixels, to_mask
from hemadata.formats.paired import pairs
from hemadata.formats.rawfile import RawFile
from hemadata.phantom import Field, Smear, png_bytes
from hemadata.sources.base import Raw, Ref, Sample

SUFFIX = "_mask"
UPSTREAM = {"Train": "train", "Validation": "validation"}
PAPER = {"Train": "train", "Validation": "test"}  # the paper's 250 test images are as many as Validation has
LOOKED_AT = 48  # masks of Train that decide on the polarity of all


class InvertedRef(Ref):
    """A reference of a release in whose masks the cells are 0."""


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per pair; some masks of Train are opened, because no single file tells whether 0 is ground."""
    present = [part for part in UPSTREAM if raw.own.has_folder(f"{part}/masks")]
    if "Train" not in present:
        raise raw.unlike("Train/images and Train/masks, Validation/images and Validation/masks, with PNG files")
    parts = {part: list(_pairs(raw, part)) for part in present}
    kind = InvertedRef if _is_inverted([mask for _, _, mask in parts["Train"]]) else Ref
    for part, found in parts.items():
        for stem, image, mask in found:
            key = f"{part}/{stem}"
            yield kind(key, image, mask=mask, split_upstream=UPSTREAM[part], split_paper=PAPER[part])


def load(ref: Ref) -> Sample:
    """Cells are what is not 0, whether the file counts instances or classes, or colours them."""
    assert ref.mask
    cells = _not_zero(ref.mask.read())
    return Sample(ref.image.read(), to_mask(~cells if isinstance(ref, InvertedRef) else cells))


def _pairs(raw: Raw, part: str) -> Iterator[tuple[str, RawFile, RawFile]]:
    tree = raw.own.find(f"{part}/masks").below(part)
    images = {file.stem: file for file in tree.each("images/*.png")}
    masks = {file.stem.removesuffix(SUFFIX): file for file in tree.each("masks/*.png")}
    return pairs(images, masks, raw.problem)


def _is_inverted(masks: Sequence[RawFile]) -> bool:
    """Whether most of the pixels on the borders of the masks are not 0; unreadable masks have no say."""
    shares = []
    for mask in masks[:: max(1, len(masks) // LOOKED_AT)]:
        try:
            cells = _not_zero(mask.read())
        except (DefectError, OSError):  # reported when its row is made
            continue
        shares.append(np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]]).mean())
    return bool(shares) and float(np.mean(shares)) > 0.5


def _not_zero(data: bytes) -> Foreground:
    values = read_pixels(data)
    return np.asarray((values > 0).any(axis=2) if values.ndim == 3 else values > 0)


def draw(out: Path, n: int, seed: int) -> None:
    """`n` patches of 256 x 256, about a sixth in Validation; masks hold instance numbers of 16 bits."""
    top, smear = out / "nuclick" / "Hemato_Data", Smear(seed, (256, 256))
    for part in UPSTREAM:
        for folder in ("images", "masks"):
            (top / part / folder).mkdir(parents=True)
    for number in range(n):
        part = "Validation" if number % 6 == 5 else "Train"
        field = smear.field(number, {"red_blood_cell": 5, "neutrophil": 1 + number % 2, "lymphocyte": 1})
        (top / part / "images" / f"img ({number + 1}).png").write_bytes(png_bytes(field.image))
        (top / part / "masks" / f"img ({number + 1}){SUFFIX}.png").write_bytes(png_bytes(_instances(field)))


def _instances(field: Field) -> Image.Image:
    """1, 2, … for the white cells of a field, 0 elsewhere."""
    numbers = np.zeros(field.mask.shape, np.uint16)
    white = (field.mask == 3) | (field.mask == 4)
    boxes = [cell.box for cell in field.cells if cell.kind != "red_blood_cell"]
    for number, (x, y, width, height) in enumerate(boxes, start=1):
        window = np.s_[y : y + height, x : x + width]
        numbers[window][white[window] & (numbers[window] == 0)] = number
    return Image.fromarray(numbers)
