"""Results drawn on their pictures."""

import io
from pathlib import Path

import numpy as np
from hemadata.atomic import write_bytes
from hemadata.formats.pictures import open_picture
from hemadata.phantom import draw_boxes
from PIL import Image, ImageOps

from hemamodel.predict.predictor import Result

COLOURS = ("#1f5fbf", "#c0392b", "#b8860b", "#138d75", "#7d3c98", "#ca6f1e", "#2e4053", "#1e8449")
STRENGTH = 110  # of 255, of a mask over the picture


def draw(result: Result, folder: Path, name: str | None = None) -> Path:
    """Write `<name>.png` with boxes, or with the mask laid over; other results leave the picture as it is."""
    image = ImageOps.exif_transpose(open_picture(result.image.read_bytes())).convert("RGB")
    if result.mask is not None:
        inside = Image.fromarray(np.where(result.mask.numpy(), STRENGTH, 0).astype(np.uint8))
        image = Image.composite(Image.new("RGB", image.size, COLOURS[1]), image, inside)
    objects = result.answer.get("objects", [])
    names = sorted({each["label"] for each in objects})
    boxes = [
        (each["bbox"], f"{each['label']} {each['score']:.2f}", COLOURS[names.index(each["label"]) % len(COLOURS)])
        for each in objects
    ]
    path, buffer = folder / f"{name or result.image.name}.png", io.BytesIO()
    draw_boxes(image, boxes).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())
    return path
