"""Boxes under the eight EXIF orientations, against Pillow turning painted pixels; boxes fitted to their image."""

from math import inf, nan

import numpy as np
import pytest
from hemadata.audit.rows import ROUNDING
from hemadata.build.masks import TURNS
from hemadata.geometry import XYWH, fit_box, outside, turn_box, turn_size
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

steady = settings(derandomize=True, deadline=None, max_examples=300)
orientations = st.integers(1, 8)
INVERSE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


@st.composite
def boxes_in_frames(draw: st.DrawFn) -> tuple[tuple[int, int, int, int], int, int]:
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return (x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y))), width, height


def shown(picture: Image.Image, orientation: int) -> np.ndarray:
    """What a viewer shows, by Pillow's own reading of the tag."""
    picture.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(picture))


@steady
@given(boxes_in_frames(), orientations)
def test_turned_box_covers_the_turned_pixels(
    frame: tuple[tuple[int, int, int, int], int, int], orientation: int
) -> None:
    (x, y, w, h), width, height = frame
    painted = np.zeros((height, width), np.uint8)
    painted[y : y + h, x : x + w] = 255
    pixels = shown(Image.fromarray(painted), orientation)
    assert pixels.shape[::-1] == turn_size(width, height, orientation)
    tx, ty, tw, th = turn_box((x, y, w, h), width, height, orientation)
    expected = np.zeros_like(pixels)
    expected[int(ty) : int(ty + th), int(tx) : int(tx + tw)] = 255
    assert np.array_equal(pixels, expected)


@steady
@given(boxes_in_frames(), orientations)
def test_turning_keeps_the_area_and_can_be_turned_back(
    frame: tuple[tuple[int, int, int, int], int, int], orientation: int
) -> None:
    box, width, height = frame
    turned = turn_box(box, width, height, orientation)
    assert turned[2] * turned[3] == box[2] * box[3]
    assert turn_box(turned, *turn_size(width, height, orientation), INVERSE[orientation]) == box


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_turn_like_pictures(orientation: int) -> None:
    pixels = np.arange(35, dtype=np.uint8).reshape(5, 7)
    turned = Image.fromarray(pixels).transpose(TURNS[orientation]) if orientation != 1 else Image.fromarray(pixels)
    assert np.array_equal(np.asarray(turned), shown(Image.fromarray(pixels), orientation))


numbers = st.one_of(
    st.floats(-30, 130), st.integers(-30, 130).map(float), st.sampled_from([nan, inf, -inf, 1e308, -0.0])
)
quads = st.tuples(numbers, numbers, numbers, numbers)
sizes = st.tuples(st.integers(1, 100), st.integers(1, 100))
overhangs = st.sampled_from([0.0, 0.5, 2.0, 20.0])


def fitted_to(box: XYWH, size: tuple[int, int], overhang: float) -> tuple[XYWH | None, str | None]:
    """The box that a row gets, and what is reported."""
    return fit_box(box, *size, overhang) if outside([box], *size) else (box, None)


@settings(steady, max_examples=1500)
@given(quads, sizes, overhangs)
@example((nan, 0, 5, 5), (9, 9), 2.0)
@example((0.0, 0.0, 9.0, 9.0), (9, 9), 0.0)
@example((9.5, 0.0, 0.5, 1.0), (9, 9), 2.0)
def test_fitted_box_is_inside_never_grows_and_has_a_reason(box: XYWH, size: tuple[int, int], overhang: float) -> None:
    fitted, reason = fitted_to(box, size, overhang)
    x, y, w, h = box
    if fitted is None:
        assert reason in ("box_not_finite", "degenerate_box", "box_outside")
        finite = bool(np.isfinite(box).all())
        assert (reason == "box_not_finite") == (not finite)
        if finite:
            assert (reason == "degenerate_box") == (w <= 0 or h <= 0)
        return
    assert np.isfinite(box).all() and w > 0 and h > 0, "a box without area was let through"
    fx, fy, fw, fh = fitted
    assert fx >= 0 and fy >= 0 and fw > 0 and fh > 0 and fx + fw <= size[0] and fy + fh <= size[1]
    slack = 1e-9
    assert fx >= x - slack and fy >= y - slack and fx + fw <= x + w + slack and fy + fh <= y + h + slack, "the box grew"
    over = max(-x, -y, x + w - size[0], y + h - size[1])
    assert over <= overhang
    assert reason == ("clipped_box" if over > 0 else None)
    if reason is None:
        assert fitted == box


@settings(steady, max_examples=1000)
@given(st.floats(0, 1), st.floats(0, 1.5), st.integers(1, 8000))
@example(0.001, 0.9995, 100)
def test_fitted_box_is_inside_as_the_shard_stores_it(left: float, share: float, width: int) -> None:
    """Shards hold float32: what was inside in float64 reaches over the border by no more than `check` allows."""
    fitted, _ = fitted_to((left * width, 0.0, share * width, 1.0), (width, 1), float(width))
    assume(fitted is not None and fitted[2] > 1e-30)
    assert fitted
    x, _, w, _ = np.array(fitted, np.float32).tolist()
    assert x + w <= width + ROUNDING and w > 0
