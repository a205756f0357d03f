"""BBBC041Seg: masks for the fields of BBBC041, in one of three archives: the authors', Kaggle's or Dataset Ninja's."""

import base64
import json
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.errors import DefectError
from hemadata.formats.masks import Foreground, bright, read_grey, to_mask, upright
from hemadata.formats.paired import is_picture, pairs
from hemadata.formats.pictures import bound, decode, open_picture
from hemadata.formats.rawfile import RawFile
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref, Sample

# Kaggle: original, mask. Authors: Original, Mask, flat. Dataset Ninja: img, and ann with JSON.
ROLES = {"original": "image", "img": "image", "mask": "mask", "ann": "mask"}
PAGE_BYTES = 32 << 20  # of a Supervisely page; the largest real one has 190 small bitmaps
SPLITS = {"train": "train", "test": "test"}  # of the copies; the authors' own archive has none


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per field; its name, a UUID, is the group it shares with the boxes of the same pictures."""
    found: dict[str, dict[str, RawFile]] = {"image": {}, "mask": {}}
    split_of: dict[str, str | None] = {}
    for name, file in raw.own.files.items():
        *folders, last = name.lower().split("/")
        role = ROLES.get(folders[-1]) if folders else None
        if role is None or not (is_picture(file) or last.endswith(".json")):
            continue
        stem = _stem(file)
        if (first := found[role].setdefault(stem, file)) is not file:
            raise raw.unlike(f"each picture once; {first.name} and {file.name} are from two copies of the archive")
        if role == "image":
            split_of[stem] = SPLITS.get(folders[-2]) if len(folders) > 1 else None
    if not found["image"] or not found["mask"]:
        raise raw.unlike("folders Original and Mask, or train and test with original and mask, or with img and ann")
    for stem, image, mask in pairs(found["image"], found["mask"], raw.problem):
        yield Ref(stem, image, mask=mask, group=stem, split_upstream=split_of[stem])


def load(ref: Ref) -> Sample:
    """Cells are white, also where a mask was saved as JPEG; no cell touches the border, so white there is inverted."""
    assert ref.mask
    data = ref.mask.read()
    cells = _bitmaps(data) if ref.mask.name.lower().endswith(".json") else upright(bright(read_grey(data)))
    return Sample(ref.image.read(), to_mask(cells))


def _stem(file: RawFile) -> str:
    """`<uuid>` of `<uuid>.png` or `<uuid>.png.json`."""
    stem = file.stem
    return stem.rpartition(".")[0] if stem.lower().endswith((".png", ".jpg", ".jpeg")) else stem


def _bitmaps(data: bytes) -> Foreground:
    """The union of a Supervisely page's bitmaps: packed PNG cut-outs, each at its origin.

    Raises:
        DefectError: the page is not what it should be.
    """
    try:
        if len(data) > PAGE_BYTES:
            raise ValueError(f"{len(data):,} bytes, at most {PAGE_BYTES:,} are read")
        page = json.loads(data)
        width, height = int(page["size"]["width"]), int(page["size"]["height"])
        bound(width, height, "unreadable_mask")
        cells = np.zeros((height, width), bool)
        for entry in page["objects"]:
            # A cut-out packs smaller than its pixels: anything longer is not one.
            packed = zlib.decompressobj().decompress(
                base64.b64decode(entry["bitmap"]["data"]), 4 * width * height + 4096
            )
            picture, (x, y) = open_picture(packed, "unreadable_mask"), entry["bitmap"]["origin"]
            if x < 0 or y < 0 or x + picture.width > width or y + picture.height > height:
                raise ValueError(f"a bitmap of {picture.size} at ({x}, {y}) reaches over the picture")
            cut = np.asarray(decode(picture, "unreadable_mask"))
            cut = cut[..., -1] if cut.ndim == 3 else cut  # the last channel is the alpha
            cells[y : y + cut.shape[0], x : x + cut.shape[1]] |= cut > 0
    except (ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError, zlib.error) as error:
        raise DefectError("unreadable_mask", f"not a Supervisely page with bitmaps ({error})") from error
    return cells


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields as the authors pack them, flat; every eleventh of the larger size as JPEG, masks always PNG."""
    top = out / "bbbc041-seg" / "New folder"
    for folder in ("Original", "Mask"):
        (top / folder).mkdir(parents=True)
    for number in range(n):
        is_large = number % 11 == 10
        # Drawn at half size: a field of full size takes a second.
        smear = Smear(seed, (972, 691) if is_large else (800, 600), red_cell=50)
        field = smear.field(number, {"red_blood_cell": 40, "plasmodium_trophozoite": 1, "lymphocyte": 1})
        size = (1944, 1383) if is_large else (1600, 1200)
        picture = field.image.resize(size, Image.Resampling.BILINEAR)
        whole = [cell.box for cell in field.cells if _is_whole(cell.box, smear.size)]
        cells = np.zeros(field.mask.shape, np.uint8)
        for x, y, width, height in whole:
            window = np.s_[y : y + height, x : x + width]
            cells[window] = np.where(field.mask[window] > 0, 255, cells[window])
        cells[0], cells[-1], cells[:, 0], cells[:, -1] = 0, 0, 0, 0  # parts of cut cells inside a whole cell's box
        mask = Image.fromarray(cells).resize(size, Image.Resampling.NEAREST).convert("RGB")
        name = str(uuid.UUID(int=(seed << 64) + number + 1, version=4))
        picture.save(top / "Original" / f"{name}{'.jpg' if is_large else '.png'}", quality=90, compress_level=1)
        mask.save(top / "Mask" / f"{name}.png", compress_level=1)


def _is_whole(box: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    x, y, width, height = box
    return x > 0 and y > 0 and x + width < size[0] and y + height < size[1]
