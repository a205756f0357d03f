"""Boxes with labels, drawn over a picture."""

from collections.abc import Sequence

from PIL import Image, ImageColor, ImageDraw, ImageFont

Colour = str | tuple[int, int, int]
_FINE = 4  # outlines are drawn this many times finer and then reduced


def draw_boxes(
    image: Image.Image, boxes: Sequence[tuple[Sequence[float], str, Colour]], font_size: float | None = None
) -> Image.Image:
    """A copy of `image` with thin rounded boxes and small labels.

    Args:
        image: any mode; the copy is RGB.
        boxes: (x, y, width, height) in pixels, text (may be empty) and colour (a name or "#rrggbb" or RGB) of each.
        font_size: in pixels; by default it follows the size of the image.
    """
    picture = image.convert("RGB")
    scale = max(0.6, min(picture.size) / 480)
    font = ImageFont.load_default(font_size or max(9.0, 12 * scale))
    for box, _, colour in boxes:
        _outline(picture, box, _rgb(colour), line=1.6 * scale, corner=4 * scale)
    for box, text, colour in boxes:  # after all outlines: a label stays readable
        if text:
            _label(picture, box, text, _rgb(colour), font)
    return picture


def _rgb(colour: Colour) -> tuple[int, int, int]:
    if isinstance(colour, str):
        red, green, blue = ImageColor.getrgb(colour)[:3]
        return red, green, blue
    return colour


def _outline(
    picture: Image.Image, box: Sequence[float], colour: tuple[int, int, int], line: float, corner: float
) -> None:
    left, top = int(box[0] - line), int(box[1] - line)
    width, height = int(box[2] + 2 * line) + 2, int(box[3] + 2 * line) + 2
    stencil = Image.new("L", (width * _FINE, height * _FINE))
    x, y = (box[0] - left) * _FINE, (box[1] - top) * _FINE
    right, bottom = (
        max(start, start + side * _FINE - 1) for start, side in ((x, box[2]), (y, box[3]))
    )  # a dot at least
    ImageDraw.Draw(stencil).rounded_rectangle(
        (x, y, right, bottom), corner * _FINE, outline=255, width=round(line * _FINE)
    )
    picture.paste(colour, (left, top), stencil.reduce(_FINE))


def _label(
    picture: Image.Image,
    box: Sequence[float],
    text: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """A plate above the box, or inside its top where the image ends."""
    draw = ImageDraw.Draw(picture)
    x0, _, x1, _ = draw.textbbox((0, 0), text, font=font)
    _, y0, _, y1 = draw.textbbox((0, 0), "Ágjp", font=font)  # one height for all labels
    pad = 3
    width, height = x1 - x0 + 2 * pad, y1 - y0 + 2 * pad - 2
    left = min(max(0.0, box[0]), max(0.0, picture.width - width))
    top = box[1] - height - 1 if box[1] - height - 1 >= 0 else box[1] + 1
    top = min(top, max(0.0, picture.height - height))
    draw.rounded_rectangle((left, top, left + width, top + height), 3, fill=colour)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 150
    ink = (20, 20, 30) if bright else (255, 255, 255)
    draw.text((left + pad - x0, top + pad - 1 - y0), text, fill=ink, font=font)
