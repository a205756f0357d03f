"""Masks of any encoding become region numbers; nothing undeclared passes silently."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hemadata.build.masks import MaskReader, to_palette_png
from hemadata.errors import DefectError
from hemadata.regions import PALETTE, REGIONS
from hemadata.sources.facts import MaskFacts
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns of broken TIFF blocks
steady = settings(derandomize=True, deadline=None, max_examples=100)
GREY = {"0": "background", "128": "cytoplasm", "255": "nucleus"}
BINARY = {"0": "background", "255": {"region": "nucleus", "cell": "white_blood_cell"}}
NUMBER = {0: 0, 128: REGIONS["cytoplasm"].value, 255: REGIONS["nucleus"].value}


def reader(values: dict[str, Any], snap: str | None = None) -> MaskReader:
    return MaskReader(MaskFacts.model_validate({"values": values, "snap": snap}))


def png(pixels: np.ndarray | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    out = BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(out, form, **options)
    return out.getvalue()


def regions(data: bytes) -> np.ndarray:
    mask = Image.open(BytesIO(data))
    assert mask.mode == "P" and mask.format == "PNG"
    assert mask.getpalette()[: len(PALETTE)] == PALETTE  # type: ignore[index]
    return np.asarray(mask)


PIXELS = np.random.default_rng(0).choice(np.array([0, 128, 255], np.uint8), (13, 17))


def test_values_become_regions_and_are_counted() -> None:
    mask = reader(GREY).read(png(PIXELS), (17, 13), 1)
    assert np.array_equal(regions(mask.png), np.vectorize(NUMBER.get)(PIXELS))
    assert mask.pixels == {NUMBER[v]: np.count_nonzero(v == PIXELS) for v in (0, 128, 255)}
    assert (mask.snapped, mask.stray) == (0, ())
    assert [(c["value"], c["label"], c["label_raw"], c["pixels"]) for c in reader(GREY).classes(mask)] == [
        (NUMBER[v], GREY[str(v)], str(v), np.count_nonzero(v == PIXELS)) for v in (0, 128, 255)
    ]


def test_region_that_is_not_in_this_mask_counts_nought() -> None:
    mask = reader(GREY).read(png(np.zeros((4, 4), np.uint8)), (4, 4), 1)
    assert mask.pixels == {0: 16, NUMBER[128]: 0, NUMBER[255]: 0}


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_binary_mask_in_any_encoding(mode: str, form: str) -> None:
    if form == "BMP" and mode == "LA":
        pytest.skip("BMP knows no LA")
    pixels = np.where(PIXELS > 0, 255, 0).astype(np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    if mode in ("RGBA", "LA"):  # a drawn alpha says nothing about the shape
        image.putalpha(Image.fromarray(PIXELS))
    mask = reader(BINARY).read(png(image, form), (17, 13), 1)
    assert np.array_equal(regions(mask.png), np.where(pixels, NUMBER[255], 0))
    assert reader(BINARY).classes(mask)[1]["cell"] == "white_blood_cell"


def test_two_values_of_one_region_are_one_region() -> None:
    both = reader({"0": "background", "1": "nucleus", "2": "nucleus"})
    mask = both.read(png(np.array([[0, 1], [2, 2]], np.uint8)), (2, 2), 1)
    assert regions(mask.png).tolist() == [[0, 2], [2, 2]]
    assert mask.pixels == {0: 1, 2: 3}


@steady
@given(st.lists(st.integers(0, 255), min_size=6, max_size=6))
def test_stray_values_go_to_the_nearest_or_are_an_error(values: list[int]) -> None:
    pixels = np.array(values, np.uint8).reshape(2, 3)
    stray = sorted({v for v in values if v not in NUMBER})
    mask = reader(GREY, "nearest").read(png(pixels), (3, 2), 1)
    nearest = [min((abs(v - d), d) for d in NUMBER)[1] for v in values]
    assert regions(mask.png).ravel().tolist() == [NUMBER[v] for v in nearest]
    assert mask.stray == tuple(stray)
    assert mask.snapped == sum(v in stray for v in values)
    if stray:
        with pytest.raises(DefectError) as caught:
            reader(GREY).read(png(pixels), (3, 2), 1)
        assert caught.value.reason == "mask_values"
        assert f"in {mask.snapped} pixels; declared are [0, 128, 255]" in caught.value.detail
    else:
        assert reader(GREY).read(png(pixels), (3, 2), 1) == mask


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_deep_mask_with_a_value_above_255_is_not_clipped_to_a_declared_one(kind: type) -> None:
    with pytest.raises(DefectError):
        reader(GREY).read(png(np.array([[0, 300], [0, 255]], kind), "TIFF"), (2, 2), 1)


def test_mask_in_a_colour_space_without_grey_is_a_defect() -> None:
    with pytest.raises(DefectError):
        reader(GREY).read(png(Image.new("LAB", (2, 2)), "TIFF"), (2, 2), 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(17, 13), (13, 13)])
def test_mask_in_the_stored_frame_is_turned_with_its_image(orientation: int, size: tuple[int, int]) -> None:
    pixels = PIXELS[: size[1], : size[0]]
    image = Image.fromarray(pixels)
    image.getexif()[0x0112] = orientation
    expected = np.vectorize(NUMBER.get)(np.asarray(ImageOps.exif_transpose(image)))
    assert np.array_equal(regions(reader(GREY).read(png(pixels), size, orientation).png), expected)


def test_mask_in_the_displayed_frame_is_left_alone() -> None:
    upright = np.ascontiguousarray(PIXELS.T)
    mask = reader(GREY).read(png(upright), (17, 13), 6)
    assert np.array_equal(regions(mask.png), np.vectorize(NUMBER.get)(upright))


def test_mask_of_another_size_is_a_defect() -> None:
    for size, orientation in (((17, 12), 1), ((13, 17), 1), ((13, 17), 3), ((18, 13), 6)):
        with pytest.raises(DefectError, match="17 x 13, image") as caught:
            reader(GREY).read(png(PIXELS), size, orientation)
        assert caught.value.reason == "mask_size"


@pytest.mark.parametrize("data", [b"", b"no image", png(PIXELS)[:60], png(PIXELS)[:-30], b"II*\0\x08\0\0\0"])
def test_mask_that_cannot_be_read_is_a_defect(data: bytes) -> None:
    with pytest.raises(DefectError) as caught:
        reader(GREY).read(data, (17, 13), 1)
    assert caught.value.reason == "unreadable_mask"


def test_mask_bomb_is_a_defect() -> None:
    data = bytearray(png(PIXELS, "BMP"))
    data[18:26] = (60000).to_bytes(4, "little") * 2
    with pytest.raises(DefectError, match="at most 300,000,000") as caught:
        reader(GREY).read(bytes(data), (60000, 60000), 1)
    assert caught.value.reason == "unreadable_mask"


@steady
@given(st.binary(max_size=150), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF89a", b"MM\0*\0\0\0\x08"]))
def test_any_bytes_are_a_mask_or_a_defect(rest: bytes, magic: bytes) -> None:
    with pytest.raises(DefectError):
        reader(GREY, "nearest").read(magic + rest, (123, 321), 1)


def test_palette_png_keeps_every_number() -> None:
    numbers = np.arange(8, dtype=np.uint8).reshape(2, 4)
    assert np.array_equal(regions(to_palette_png(numbers)), numbers)
    colours = Image.open(BytesIO(to_palette_png(numbers))).convert("RGB")
    assert colours.getpixel((2, 0)) == REGIONS["nucleus"].colour


def test_regions_have_one_number_and_one_colour_each() -> None:
    assert [region.value for region in REGIONS.values()] == list(range(len(REGIONS)))
    assert len({region.colour for region in REGIONS.values()}) == len(REGIONS)
    assert REGIONS["background"].value == 0
