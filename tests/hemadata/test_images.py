"""Looking at image bytes: pixel hashes, quick headers, cut files, bombs, hostile bytes, lossless conversion."""

import random
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from io import BytesIO
from typing import Any
from unittest import mock

import numpy as np
import pytest
import xxhash
from hemadata import schema
from hemadata.build.images import Check, look, pixel_hash
from hemadata.errors import DefectError
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns of broken EXIF blocks
steady = settings(derandomize=True, deadline=None, max_examples=100)
DEPTHS: tuple[Check, ...] = ("none", "header", "full")
rng = np.random.default_rng(0)


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), rng.bytes(width * height * channels))


def smooth(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.linear_gradient("L").resize((width, height)).convert(mode)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def decoded(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def slow_hash(image: Image.Image) -> str:
    """What docs/corpus.md says, by the longest way."""
    colour = image.convert("RGBA")
    transparent = any(alpha < 255 for alpha in colour.getchannel("A").tobytes())
    mode = "L" if image.mode in ("1", "L") else "RGBA" if transparent else "RGB"
    content = (colour if transparent else image).convert(mode).tobytes()
    return xxhash.xxh3_128_hexdigest(f"{image.width}x{image.height} {mode}\n".encode() + content)


# Pixel hashes

LOSSLESS: list[tuple[str, dict[str, Any]]] = [("PNG", {}), ("BMP", {}), ("TIFF", {})]
LOSSLESS += [("TIFF", {"compression": "tiff_lzw"})]
LOSSLESS += [("WEBP", {"lossless": True, "exact": True})]


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (41, 37), (64, 1), (1, 64), (130, 129)])
@pytest.mark.parametrize("mode", ["RGB", "L", "1", "RGBA"])
def test_hash_is_of_the_picture_not_of_its_format(size: tuple[int, int], mode: str) -> None:
    picture = noise(*size, "L").convert("1") if mode == "1" else noise(*size, mode)
    for form, options in LOSSLESS:
        if (form, mode) in (("WEBP", "L"), ("WEBP", "1"), ("BMP", "RGBA")):
            continue  # WebP knows no grey, and the fourth byte of a BMP is no alpha
        data = encoded(picture, form, **options)
        assert look(data, "full").pixel_hash == slow_hash(picture), form


@steady
@given(st.integers(1, 70), st.integers(1, 40), st.sampled_from(["L", "RGB", "RGBA", "LA", "P", "1"]))
def test_hash_equals_the_slow_reference(width: int, height: int, mode: str) -> None:
    picture = smooth(width, height).convert(mode)
    assert pixel_hash(picture) == slow_hash(picture)


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (7, 9, 4)])
def test_hash_of_a_picture_that_shares_the_memory_of_an_array(shape: tuple[int, ...]) -> None:
    """`Image.fromarray` keeps the array's memory. In a child process: a wrong answer here is a crash of Python."""
    code = f"""
import numpy as np
from PIL import Image
from hemadata.build.images import pixel_hash
shared = Image.fromarray(np.random.default_rng(0).integers(0, 256, {shape}, np.uint8))
assert pixel_hash(shared) == pixel_hash(shared.copy())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"Python ended with {done.returncode}"


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_hash_of_a_picture_above_one_block_of_memory(mode: str) -> None:
    size = (2100, 2100) if mode == "RGB" else (4200, 4101)
    tile = noise(210, 210, mode)
    picture = Image.new(mode, size)
    for x in range(0, size[0], 210):
        for y in range(0, size[1], 210):
            picture.paste(tile, (x, y))
    assert picture.width * picture.height * (4 if mode == "RGB" else 1) > 16 << 20
    assert pixel_hash(picture) == slow_hash(picture)


def test_hash_tells_size_mode_and_every_pixel_apart() -> None:
    picture = Image.new("RGB", (4, 6), (9, 9, 9))
    changed = picture.copy()
    changed.putpixel((3, 5), (9, 9, 10))
    others = [picture, changed, Image.new("RGB", (6, 4), (9, 9, 9)), Image.new("L", (4, 6), 9)]
    others += [Image.new("RGBA", (4, 6), (9, 9, 9, 254)), Image.new("I;16", (4, 6), 9), Image.new("F", (4, 6), 9)]
    assert len({pixel_hash(other) for other in others}) == len(others)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_hash_and_size_are_of_the_frame_that_is_shown(form: str, orientation: int) -> None:
    picture = noise(30, 20)
    options: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    data = encoded(picture, form, exif=exif(orientation), **options)
    reference = ImageOps.exif_transpose(decoded(data))
    for depth in DEPTHS:
        seen = look(data, depth)
        assert (seen.size, seen.orientation, seen.stored) == (reference.size, orientation, (30, 20)), depth
    assert look(data, "full").pixel_hash == slow_hash(reference)


def test_fourth_byte_of_a_colour_tiff_without_alpha_does_not_count() -> None:
    """TIFF may carry a fourth channel that is no alpha; what is stored has none, and must have the same hash."""
    picture = Image.frombytes("RGBX", (8, 8), rng.bytes(256))
    seen = look(encoded(picture, "TIFF"), "full")
    assert seen.pixel_hash == look(seen.data, "full").pixel_hash == slow_hash(decoded(seen.data))


def test_png_orientation_behind_the_pixels_counts() -> None:
    """eXIf may follow the pixels, and `datasets` turns such a picture too."""
    block = exif(6).removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    plain = encoded(noise(30, 20), "PNG")
    data = plain[:-12] + chunk + plain[-12:]
    assert ImageOps.exif_transpose(decoded(data)).size == (20, 30)
    for depth in DEPTHS:
        assert (look(data, depth).orientation, look(data, depth).size) == (6, (20, 30)), depth


@pytest.mark.parametrize("value", [0, 9, 300])
def test_orientation_outside_one_to_eight_turns_nothing(value: int) -> None:
    for depth in DEPTHS:
        assert look(encoded(noise(30, 20), "JPEG", exif=exif(value)), depth).size == (30, 20)


# What is stored


@pytest.mark.parametrize("form", ["BMP", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_and_tiff_become_png_with_equal_pixels(form: str, mode: str) -> None:
    data = encoded(noise(23, 17).convert(mode), form)
    for depth in DEPTHS:
        seen = look(data, depth)
        assert (seen.kind, seen.encoding_source, seen.size) == ("png", form.lower(), (23, 17))
        stored, original = decoded(seen.data), decoded(data)
        assert stored.format == "PNG"
        assert np.array_equal(np.asarray(stored.convert("RGBA")), np.asarray(original.convert("RGBA")))
        assert (seen.pixel_hash is not None) == (depth == "full")
    assert look(look(data, "full").data, "full").pixel_hash == look(data, "full").pixel_hash


def deep(mode: str) -> bytes:
    values = np.arange(23 * 17).reshape(17, 23)
    if mode == "I;16B":
        return encoded(Image.frombytes("I;16B", (23, 17), (values * 160).astype(">u2").tobytes()), "TIFF")
    if mode == "I;16":
        return encoded(Image.frombytes("I;16", (23, 17), (values * 160).astype("<u2").tobytes()), "TIFF")
    return encoded(Image.fromarray((values * 12345).astype({"I": np.int32, "F": np.float32}[mode])), "TIFF")


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_deep_tiff_keeps_its_values_or_is_refused(mode: str) -> None:
    data = deep(mode)
    try:
        seen = look(data, "full")
    except DefectError:
        return
    stored = decoded(seen.data)
    kept = np.array_equal(np.asarray(stored).astype(float), np.asarray(decoded(data)).astype(float))
    assert kept, f"{mode} was stored as {stored.mode} with other values"
    assert look(seen.data, "full").pixel_hash == seen.pixel_hash, "hemadata check would find other pixels"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_jpeg_png_and_webp_pass_untouched(form: str) -> None:
    data = encoded(noise(23, 17), form)
    for depth in DEPTHS:
        seen = look(data, depth)
        assert seen.data is data
        assert (seen.kind, seen.encoding_source, seen.orientation) == (form.lower(), form.lower(), 1)


def test_only_the_documented_formats_are_read() -> None:
    """Every further decoder of Pillow is a door for untrusted files; some even start another program."""
    documented = next(c.meaning for c in schema.COLUMNS if c.name == "encoding_source").rpartition(":")[2]
    known, taken = {word.strip() for word in documented.split(",")}, []
    for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "TGA", "PCX", "ICO", "DDS", "SGI", "EPS", "AVIF"):
        try:
            taken.append(look(encoded(noise(16, 16), form), "full").encoding_source)
        except DefectError as defect:
            assert "Ghostscript" not in str(defect), "an EPS file has made Pillow look for Ghostscript"
        except (KeyError, OSError, ValueError):  # this Pillow cannot write the format
            continue
    assert {"jpeg", "png", "webp", "bmp", "tiff", "gif"} <= set(taken)
    assert set(taken) <= known


# Quick headers


@steady
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from(["RGB", "L", "CMYK"]),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from([0xE0, 0xE2, 0xEE, 0xEF, 0xFE]), st.binary(max_size=40)), max_size=3),
)
def test_quick_header_reads_what_pillow_reads(
    width: int, height: int, mode: str, progressive: bool, segments: list[tuple[int, bytes]]
) -> None:
    data = encoded(Image.new(mode, (width, height)), "JPEG", progressive=progressive)
    extra = b"".join(b"\xff" + bytes([code]) + struct.pack(">H", len(body) + 2) + body for code, body in segments)
    data = data[:2] + extra + data[2:]
    assert Image.open(BytesIO(data)).size == (width, height)
    with mock.patch("PIL.Image.open", side_effect=AssertionError("Pillow was asked")):
        assert look(data, "header").size == (width, height)
        assert look(data, "none").size == look(data[:-2], "none").size == (width, height)


def test_quick_header_leaves_exif_and_the_unusual_to_pillow() -> None:
    plain = encoded(noise(30, 20), "JPEG")
    padded = plain[:2] + b"\xff" + plain[2:]
    for data in (encoded(noise(30, 20), "JPEG", exif=exif(1)), padded, encoded(noise(30, 20), "PNG")):
        with mock.patch("PIL.Image.open", side_effect=Image.open) as asked:
            assert look(data, "header").size == (30, 20)
        assert asked.called


def test_quick_header_ends_on_any_bytes() -> None:
    plain = encoded(noise(30, 20), "JPEG")
    for length in range(2, 700, 3):
        with suppress(DefectError):
            assert look(plain[:length], "none").size == (30, 20)
    for body in (b"\xff\xe0\x00\x00" * 500, b"\xff" * 2000, b"\xff\xe0\xff\xff"):
        with pytest.raises(DefectError):
            look(b"\xff\xd8" + body, "none")


@settings(steady, max_examples=150)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from(["RGB", "L", "CMYK"]),
    st.sampled_from([{}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 2}]),
    st.sampled_from([0, 1, 2, "keep_rgb"]),
    st.integers(1, 100),
)
def test_jpeg_hash_is_that_of_the_pixels_that_pillow_decodes(
    width: int, height: int, mode: str, options: dict[str, Any], sampling: Any, quality: int
) -> None:
    stored = {"keep_rgb": True} if sampling == "keep_rgb" else {"subsampling": sampling}
    data = encoded(noise(width, height, mode), "JPEG", quality=quality, **stored, **options)
    assert look(data, "full").pixel_hash == pixel_hash(decoded(data))
    if mode != "CMYK":
        assert look(data, "full").pixel_hash == slow_hash(decoded(data))


# Cut files

CUT: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("JPEG", {"exif": exif(6)}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("GIF", {}),
]


@pytest.mark.parametrize(("form", "options"), CUT, ids=[f"{form} {' '.join(o)}" for form, o in CUT])
def test_cut_file_never_passes_the_full_check(form: str, options: dict[str, Any]) -> None:
    data = encoded(noise(61, 47), form, **options)
    look(data, "full")
    passed = []
    for length in range(0, len(data) - 20, 50):
        try:
            look(data[:length], "full")
        except DefectError as defect:
            assert defect.reason in ("truncated_image", "unreadable_image", "empty_file")
        else:
            passed.append(length)
    assert not passed, f"cut to {passed[:3]} of {len(data)} bytes, and not seen"


@pytest.mark.parametrize(("form", "options"), CUT, ids=[f"{form} {' '.join(o)}" for form, o in CUT])
def test_cut_file_does_not_pass_the_header_check(form: str, options: dict[str, Any]) -> None:
    data = encoded(noise(61, 47), form, **options)
    for share in (0.1, 0.5, 0.9, 0.97):
        with pytest.raises(DefectError):
            look(data[: int(len(data) * share)], "header")


def test_bytes_behind_the_end_are_no_defect() -> None:
    for form in ("JPEG", "PNG", "WEBP"):
        data = encoded(noise(30, 20), form) + bytes(100)
        assert [look(data, depth).size for depth in DEPTHS] == [(30, 20)] * 3, form
        assert look(data, "header").data is data


def test_empty_file_has_its_own_reason() -> None:
    for depth in DEPTHS:
        with pytest.raises(DefectError) as caught:
            look(b"", depth)
        assert caught.value.reason == "empty_file"


# Bombs


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pixels = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", pixels)
        + chunk(b"IEND", b"")
    )


def bombs() -> dict[str, bytes]:
    jpeg = encoded(noise(16, 16), "JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    huge = jpeg[:at] + struct.pack(">HH", 60000, 60000) + jpeg[at + 4 :]
    bmp = encoded(noise(16, 16), "BMP")
    return {
        "jpeg": huge,
        "jpeg with exif": huge[:2] + b"\xff\xe1" + struct.pack(">H", len(exif(6)) + 2) + exif(6) + huge[2:],
        "png": png_header(60000, 60000),
        "png of one row": png_header(2_000_000_000, 1),
        "bmp": bmp[:18] + struct.pack("<ii", 60000, 60000) + bmp[26:],
        "gif": b"GIF89a" + struct.pack("<HH", 65535, 65535) + encoded(noise(16, 16), "GIF")[10:],
    }


BOMBS = bombs()


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_bomb_is_refused_before_it_is_decoded(name: str, depth: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    for decoder in ("PIL.ImageFile.ImageFile.load", "simplejpeg.decode_jpeg"):
        monkeypatch.setattr(decoder, lambda *_, **__: pytest.fail("a bomb was about to be decoded"))
    with pytest.raises(DefectError, match="at most 300,000,000") as caught:
        look(BOMBS[name], depth)
    assert caught.value.reason == "oversized_image"


# Hostile bytes

MAGIC: tuple[bytes, ...] = (
    b"",
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"BM",
    b"II*\0\x08\0\0\0",
    b"MM\0*",
)
MAGIC += (b"GIF89a", b"P6 3 3 255\n", b"8BPS", b"\0\0\1\0", b"%!PS-Adobe", b"\0\0\2\0", b"\0\0\0\x0cjP  ")


def only_defects(data: bytes) -> None:
    for depth in DEPTHS:
        try:
            seen = look(data, depth)
        except DefectError:
            continue
        assert min(seen.size) >= 1


@settings(steady, max_examples=300)
@given(st.sampled_from(MAGIC), st.binary(max_size=200))
@example(b"", bytes(1000))
def test_any_bytes_are_a_picture_or_a_defect(magic: bytes, rest: bytes) -> None:
    only_defects(magic + rest)


SEEDS = [encoded(smooth(20, 12), form, **options) for form, options in CUT] + [
    encoded(smooth(20, 12), "PNG", exif=exif(6)),
    encoded(smooth(20, 12), "WEBP", exif=exif(5)),
    encoded(smooth(20, 12), "TIFF", exif=exif(7)),
    encoded(smooth(20, 12, "P"), "PNG", transparency=3),
    encoded(smooth(20, 12, "CMYK"), "JPEG"),
    encoded(smooth(20, 12), "JPEG2000"),
]


@settings(steady, max_examples=500)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_picture_is_a_picture_or_a_defect(data: bytes, changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[place % len(damaged)] = value
    only_defects(bytes(damaged))


def test_damaged_exif_of_a_turned_picture_is_a_defect() -> None:
    """A block from which the orientation can be read, and that cannot be written again."""
    tags = Image.Exif()
    tags[0x0112], tags[0x010F], tags[0x011A] = 6, "maker", 1.5
    tags[0x8769] = {0x9003: "2020:01:01"}
    whole, dice, crashed = tags.tobytes(), random.Random(1), []
    picture = noise(16, 12)
    for _ in range(400):
        block = bytearray(whole)
        for _ in range(3):
            block[dice.randrange(14, len(block))] = dice.randrange(256)
        try:
            look(encoded(picture, "JPEG", exif=bytes(block)), "full")
        except DefectError:
            pass
        except Exception as error:
            crashed.append(f"{type(error).__name__}: {error}")
    assert not crashed, f"{len(crashed)} of 400, e.g. {crashed[0]}"
