"""Opening picture files that nobody vouches for: few formats, bounded before decoding, one kind of error."""

from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from hemadata.errors import DefectError

MAX_PIXELS = 300_000_000  # a slide scanner's largest field is below 100 million; a bomb is far above
ORIENTATION = 0x0112  # EXIF tag
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # other decoders are doors for untrusted files
Image.MAX_IMAGE_PIXELS = None  # bounded here, with our own message: every picture is opened by this module


class Pixels(bytes):
    """Pixels of a picture that has no file of its own, such as a row of an array: RGB, or grey, 8 bits each.

    `size` is (width, height); there are 1 or 3 bytes per pixel, rows from the top.
    """

    size: tuple[int, int]

    @classmethod
    def of(cls, data: bytes, size: tuple[int, int]) -> "Pixels":
        """Name the size of bytes, e.g. of a row [H, W, 3] of an array."""
        pixels = cls(data)
        pixels.size = size
        return pixels

    def image(self) -> Image.Image:
        """The picture.

        Raises:
            DefectError: the bytes are fewer or more than the size asks for.
        """
        width, height = self.size
        for mode, channels in (("RGB", 3), ("L", 1)):
            if len(self) == width * height * channels:
                return Image.frombytes(mode, self.size, bytes(self))
        raise DefectError("truncated_image", f"{len(self):,} bytes for {width} x {height} pixels")


def open_picture(data: bytes, reason: str = "unreadable_image") -> Image.Image:
    """Read a picture's header; its pixels are not decoded yet.

    Args:
        data: the file.
        reason: of the error where it is no picture: `unreadable_image` or `unreadable_mask`.

    Raises:
        DefectError: empty, no picture of a known format, or of more pixels than are decoded.
    """
    if not data:
        raise DefectError("empty_file" if reason == "unreadable_image" else reason, "the file is empty")
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise DefectError(reason, f"no image format known here; it begins with {data[:8]!r}") from error
    except Exception as error:  # Pillow's plugins raise a dozen kinds for a broken file
        raise DefectError(reason, first_line(error)) from error
    bound(image.width, image.height, "oversized_image" if reason == "unreadable_image" else reason)
    return image


def bound(width: int, height: int, reason: str = "oversized_image") -> None:
    """Refuse a size beyond `MAX_PIXELS`.

    Raises:
        DefectError: for that reason.
    """
    if width * height > MAX_PIXELS:
        raise DefectError(reason, f"{width} x {height} pixels; at most {MAX_PIXELS:,} are decoded")


def decode(image: Image.Image, reason: str = "unreadable_image") -> Image.Image:
    """Decode an opened picture, in place; returns it.

    Raises:
        DefectError: `truncated_image` where an image ends too early, else `reason`.
    """
    try:
        image.load()
    except Exception as error:
        text = str(error)
        is_cut = isinstance(error, (OSError, EOFError)) and ("truncated" in text or "cut" in text)
        is_image = reason == "unreadable_image"
        raise DefectError("truncated_image" if is_cut and is_image else reason, first_line(error)) from error
    return image


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation of an opened picture, 1 to 8; 1 where it says none.

    Raises:
        DefectError: its EXIF block is broken.
    """
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception as error:
        raise DefectError("unreadable_image", f"its EXIF block cannot be read: {first_line(error)}") from error
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """The displayed frame. Pillow writes the EXIF block anew, which fails where a tag is broken.

    Raises:
        DefectError: its EXIF block is broken.
    """
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:
        raise DefectError("unreadable_image", f"its EXIF block cannot be used: {first_line(error)}") from error


def grey_of(image: Image.Image) -> Image.Image:
    """Brightness of a decoded picture, mode L.

    Raises:
        DefectError: its colours have no way to grey.
    """
    try:
        return image.convert("L")
    except ValueError as error:
        raise DefectError("unreadable_image", first_line(error)) from error


def png_of(image: Image.Image) -> bytes:
    """A PNG file."""
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
