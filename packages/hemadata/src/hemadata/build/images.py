"""Looking at the bytes of an image: format, size, orientation, decoding, and what the corpus stores of it.

Three depths: `none` reads the header alone, `header` also looks for a cut end, `full` decodes every pixel.
"""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
import xxhash
from PIL import Image

from hemadata.build.thumbnail import STRIP, thumbnail, to_pixels
from hemadata.errors import DefectError
from hemadata.formats.pictures import Pixels, bound, decode, open_picture, orientation_of, upright
from hemadata.geometry import turn_size

Check = Literal["none", "header", "full"]

PASS_THROUGH = {"JPEG": "jpeg", "MPO": "jpeg", "PNG": "png", "WEBP": "webp"}


@dataclass(slots=True)
class Picture:
    """What the row needs to know of an image file.

    Args:
        data: bytes to store: the file's own, or a lossless PNG.
        kind: ending of the stored file: jpeg, png or webp.
        encoding_source: format of the original.
        stored: width, height of the stored frame, before EXIF.
        orientation: EXIF orientation, 1 to 8.
        pixel_hash: see `docs/corpus.md`; None unless decoded.
        thumbnail: for fingerprints, see `thumbnail.py`; None unless decoded and asked for.
    """

    data: bytes
    kind: str
    encoding_source: str
    stored: tuple[int, int]
    orientation: int
    pixel_hash: str | None
    thumbnail: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width, height as decoded, after EXIF."""
        return turn_size(*self.stored, self.orientation)


def look(data: bytes, check: Check, with_thumbnail: bool = False) -> Picture:
    """Look at an image file, or at the pixels of an array's row, as deeply as asked.

    Args:
        data: the file.
        check: how deeply.
        with_thumbnail: make the thumbnail of a decoded image.

    Raises:
        DefectError: empty, unreadable, cut short or too large.
    """
    if isinstance(data, Pixels):
        bound(*data.size)
        drawn = data.image()
        hashed = pixel_hash(drawn) if check == "full" else None
        small = thumbnail(to_pixels(drawn)) if check == "full" and with_thumbnail else None
        return Picture(to_png(drawn), "png", "npz", data.size, 1, hashed, small)
    if quick := _quick_jpeg(data):
        size, whole = quick
        bound(*size)
        if check == "none" or (check == "header" and whole):
            return Picture(data, "jpeg", "jpeg", size, 1, None)
        if check == "full" and (quick_pixels := _quick_pixels(data)):
            mode, pixels = quick_pixels
            digest = _hash(pixels.shape[1], pixels.shape[0], mode, [pixels])
            return Picture(data, "jpeg", "jpeg", size, 1, digest, thumbnail(pixels) if with_thumbnail else None)
    image = open_picture(data)
    form = image.format or ""
    orientation = _orientation(image, data)
    # Pillow turns a TIFF by itself, other formats stay as stored.
    stored = turn_size(*image.size, orientation) if form == "TIFF" else image.size
    kind = PASS_THROUGH.get(form)
    if kind and (check == "none" or (check == "header" and _is_whole(data, kind))):
        return Picture(data, kind, kind, stored, orientation, None)
    decode(image)
    shown = upright(image) if orientation != 1 and form != "TIFF" else image
    hashed = pixel_hash(shown) if check == "full" else None
    small = thumbnail(to_pixels(shown)) if check == "full" and with_thumbnail else None
    if kind:
        return Picture(data, kind, kind, stored, orientation, hashed, small)
    return Picture(to_png(shown), "png", form.lower(), stored, orientation, hashed, small)


def decoded(data: bytes) -> np.ndarray:
    """Pixels of the displayed frame, uint8 [height, width] or [height, width, 1 or 3].

    Raises:
        DefectError: empty, unreadable, cut short or too large.
    """
    if quick := _quick_jpeg(data):
        bound(*quick[0])
        if quick_pixels := _quick_pixels(data):
            return quick_pixels[1]
    image = open_picture(data)
    orientation = _orientation(image, data)
    decode(image)
    return to_pixels(upright(image) if orientation != 1 and image.format != "TIFF" else image)


def pixel_hash(image: Image.Image) -> str:
    """xxh3-128 of size, mode and pixels of a decoded image; equal for equal pictures in different formats."""
    mode = image.mode if image.mode.startswith(("I", "F")) else _plain_mode(image)
    pixels = (strip if strip.mode == mode else strip.convert(mode) for strip in _strips(image))
    return _hash(image.width, image.height, mode, (strip.tobytes() for strip in pixels))


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    """The picture from the top, in parts that do not double its memory."""
    rows = max(1, STRIP // image.width)
    if image.height <= rows:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _plain_mode(image: Image.Image) -> str:
    """L for grey, RGB for colour, RGBA only where something is transparent."""
    if image.mode in ("1", "L"):
        return "L"
    if not image.has_transparency_data:
        return "RGB"
    opaque = (strip.convert("RGBA").getchannel("A").getextrema() == (255, 255) for strip in _strips(image))
    return "RGB" if all(opaque) else "RGBA"


def _quick_pixels(data: bytes) -> tuple[str, np.ndarray] | None:
    """Mode and pixels of a plain JPEG, decoded without Pillow to the same pixels; None where Pillow has to judge."""
    try:
        _, _, space, _ = simplejpeg.decode_jpeg_header(data)
        mode = {"YCbCr": "RGB", "Gray": "L"}[space]
        return mode, simplejpeg.decode_jpeg(data, "RGB" if mode == "RGB" else "GRAY")
    except (ValueError, KeyError):  # broken or cut, or stored as CMYK or RGB
        return None


def _hash(width: int, height: int, mode: str, pixels: Iterable[Any]) -> str:
    digest = xxhash.xxh3_128(f"{width}x{height} {mode}\n".encode())
    for part in pixels:
        digest.update(part)
    return digest.hexdigest()


def to_png(image: Image.Image) -> bytes:
    """Lossless PNG, level 3: three times faster than the default and 13 % larger."""
    if image.mode.startswith(("I", "F")) and image.mode != "I;16":
        raise DefectError("unreadable_image", f"pixels of mode {image.mode}, which a PNG cannot hold without loss")
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = image.convert("RGB")
    out = BytesIO()
    image.save(out, "PNG", compress_level=3)
    return out.getvalue()


def _orientation(image: Image.Image, data: bytes) -> int:
    """EXIF orientation as `datasets` applies it when it decodes."""
    # A PNG may carry its orientation behind the pixels, where only getexif() looks.
    late = image.format == "PNG" and any(k in data for k in (b"eXIf", b"XML:com.adobe.xmp", b"Raw profile type exif"))
    if image.format != "TIFF" and not late and not any(k in image.info for k in ("exif", "xmp")):
        return 1
    return orientation_of(image)


def _is_whole(data: bytes, kind: str) -> bool:
    """Whether the file ends as its format says; where it does not, only decoding can tell."""
    if kind == "webp":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return data.endswith(b"\xff\xd9") if kind == "jpeg" else b"IEND" in data[-12:]


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start-of-frame markers
_APP1 = 0xE1  # EXIF or XMP: may hold an orientation
_marker: Callable[[bytes, int], tuple[int, int, int]] = struct.Struct(">BBH").unpack_from
_frame: Callable[[bytes, int], tuple[int, int]] = struct.Struct(">HH").unpack_from


def _quick_jpeg(data: bytes) -> tuple[tuple[int, int], bool] | None:
    """Size and whether the end marker is there, from the markers of a JPEG without EXIF; else None."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    at = 2
    try:
        while True:
            lead, code, length = _marker(data, at)
            if lead != 0xFF or code == _APP1 or code == 0xFF:
                return None
            if code in _FRAMES:
                height, width = _frame(data, at + 5)
                return ((width, height), data[-2:] == b"\xff\xd9") if width and height else None
            at += 2 + length
    except struct.error:
        return None
