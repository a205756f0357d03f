"""Image bytes as the formats of published sets want them."""

from io import BytesIO
from typing import Any

from PIL import ExifTags, Image

from hemadata.errors import UsageError


def jpeg_bytes(image: Image.Image, quality: int = 90, orientation: int | None = None) -> bytes:
    """JPEG file.

    Args:
        image: RGB or grey.
        quality: 1 to 95.
        orientation: EXIF orientation 1 to 8 to write; the pixels are not turned.

    Raises:
        UsageError: an orientation that EXIF does not have.
    """
    if orientation is None:
        return _save(image, "JPEG", quality=quality)
    if not 1 <= orientation <= 8:
        raise UsageError(f"EXIF orientation {orientation} does not exist: expected 1 to 8")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return _save(image, "JPEG", quality=quality, exif=exif)


def png_bytes(image: Image.Image) -> bytes:
    """PNG file."""
    return _save(image, "PNG")


def bmp_bytes(image: Image.Image) -> bytes:
    """BMP file."""
    return _save(image, "BMP")


def _save(image: Image.Image, form: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()
