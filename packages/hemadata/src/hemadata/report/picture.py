"""One row as a picture: boxes with labels, mask laid over, attributes and questions beside it."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from hemadata.corpus import Corpus
from hemadata.phantom import draw_boxes
from hemadata.regions import REGIONS
from hemadata.report.outlines import COLOUR, outlines

COLOURS = ("#1f5fbf", "#c0392b", "#b8860b", "#138d75", "#7d3c98", "#ca6f1e", "#2e4053", "#1e8449")
SHORT_SIDE = 480  # smaller pictures are enlarged, so that text fits


def picture(corpus: Corpus, sample_id: str) -> Image.Image:
    """Draw a row.

    Raises:
        UsageError: the corpus has no such row.
    """
    row = corpus.row(sample_id)
    image = ImageOps.exif_transpose(Image.open(BytesIO(row["image"]["bytes"]))).convert("RGB")
    scale = max(1, -(-SHORT_SIDE // min(image.size)))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)
    if row.get("mask"):
        image = _lay_mask(image, row["mask"]["bytes"])
    if row.get("objects"):
        names = sorted({o["label"] or "unlabelled" for o in row["objects"]})
        colour = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}
        boxes = [([v * scale for v in o["bbox"]], o["label"] or "unlabelled", o) for o in row["objects"]]
        image = draw_boxes(image, [(box, name.replace("_", " "), colour[name]) for box, name, _ in boxes])
    return _add_lines(image, _lines(row))


def _lay_mask(image: Image.Image, data: bytes) -> Image.Image:
    """The mask's own palette at half strength, background left clear, borders as lines."""
    mask = Image.open(BytesIO(data))
    coloured = mask.convert("RGB").resize(image.size, Image.Resampling.NEAREST)
    values = np.asarray(mask.resize(image.size, Image.Resampling.NEAREST))
    inside = Image.fromarray(np.where(values != REGIONS["background"].value, 110, 0).astype(np.uint8))
    drawn = Image.composite(coloured, image, inside)
    drawn.paste(COLOUR, mask=Image.fromarray(outlines(values)))
    return drawn


def _lines(row: Mapping[str, Any]) -> list[str]:
    """What the row says beside its geometry, a line each."""
    lines = [row["sample_id"] + (f"   {row['split']}" if row.get("split") else "")]
    if row["label"]:
        fine = f" ({row['label_fine']})" if row["label_fine"] else ""
        lines.append(f"{row['label']}{fine}   raw: {row['label_raw']}")
    if row["attributes"]:
        said = [f"{a['name']} {a['value']}".replace("_", " ") for a in row["attributes"] if a["value"] is not None]
        lines += [", ".join(said[start : start + 3]) for start in range(0, len(said), 3)]
    for pair in (row.get("qa") or [])[:4]:
        lines.append(f"{pair['question']}  {pair['answer']}")
    lines += [text["masked_text"] for text in (row.get("texts") or [])[:4]]
    return lines


def _add_lines(image: Image.Image, lines: list[str]) -> Image.Image:
    font = ImageFont.load_default(14)
    wrapped = [part for line in lines for part in _wrap(line, font, image.width - 16)]
    page = Image.new("RGB", (image.width, image.height + 20 * len(wrapped) + 10), "white")
    page.paste(image)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(wrapped):
        draw.text((8, image.height + 5 + 20 * number), line, fill="black", font=font)
    return page


def _wrap(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    parts, now = [], ""
    for word in line.split(" "):
        if now and font.getlength(f"{now} {word}") > width:
            parts.append(now)
            now = "  " + word
        else:
            now = f"{now} {word}" if now else word
    return [*parts, now]
