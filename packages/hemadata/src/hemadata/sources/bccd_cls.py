"""BCCD, the cells: each box of its fields cut out, with the class word of the box. Nobody published such crops."""

from collections.abc import Iterator
from math import ceil, floor
from pathlib import Path

from PIL import Image

from hemadata.errors import DefectError
from hemadata.formats.pictures import decode, open_picture, png_of
from hemadata.formats.yolo import in_pixels
from hemadata.geometry import fit_box
from hemadata.phantom import Smear
from hemadata.sources import bccd
from hemadata.sources.base import Raw, Ref, Sample

OVERHANG = 2.0  # pixels by which a box may reach over the border and be cut
FORMAT = {"encoding_source": "jpeg"}  # of the fields; a crop is a lossless PNG of their pixels


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per box, keyed by its number on the page; the group is the field, so no field straddles splits."""
    for field in bccd.index(raw):
        assert field.objects is not None
        for number, box in enumerate(field.objects, start=1):
            key = f"{field.key}/{number}"
            if box.xywh[2] <= 0 or box.xywh[3] <= 0:
                raw.problem(field.image, key, "degenerate_box", f"a {box.label_raw} box without width or height")
                continue
            yield Ref(
                key,
                field.image,
                label_raw=box.label_raw,
                objects=type(field.objects).of([box]),
                group=field.group,
                split_upstream=field.split_upstream,
                about=field.about | FORMAT,
            )


def load(ref: Ref) -> Sample:
    """The pixels of the box, whole pixels outwards.

    Raises:
        DefectError: the field cannot be read, or the box is not in it.
    """
    field = ref.image.read()
    picture = decode(open_picture(field))
    boxes = in_pixels(ref.objects, field)
    assert boxes
    box = boxes[0]
    frame, trouble = fit_box(box.xywh, *picture.size, OVERHANG)
    if frame is None:
        raise DefectError(trouble, f"{box.xywh} x, y, w, h in a field of {picture.width} x {picture.height}")
    x, y, w, h = frame
    crop = picture.crop((floor(x), floor(y), ceil(x + w), ceil(y + h))).convert("RGB")
    return Sample(png_of(crop), flags=("cell_crop",) if frame == box.xywh else ("cell_crop", "bbox_clipped"))


def draw(out: Path, n: int, seed: int) -> None:
    """Fields with `n` boxes in all; the first page holds the two degenerate boxes of the archive beside them."""
    smear, left = Smear(seed, (640, 480)), n
    fields: list[tuple[Image.Image, list[bccd.Boxed]]] = []
    while left:
        field = smear.field(len(fields), {"neutrophil": 1, "platelet": 1, "red_blood_cell": 6})
        boxes = bccd.boxed(field.cells)[:left]
        fields.append((field.image, boxes + ([] if fields else bccd.CLICKS)))
        left -= len(boxes)
    bccd.write(out / "bccd" / "BCCD", fields)
