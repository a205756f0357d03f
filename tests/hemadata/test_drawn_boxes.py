"""Rectangles drawn into pictures are found again: overlapping, cut by the border, under JPEG noise."""

from collections.abc import Sequence
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from hemadata.errors import DefectError
from hemadata.formats.drawn_boxes import find
from hemadata.phantom import Smear, jpeg_bytes
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

WIDTH, HEIGHT = 320, 240
Corners = tuple[int, int, int, int]


def reopened(image: Image.Image, quality: int) -> Image.Image:
    return Image.open(BytesIO(jpeg_bytes(image, quality)))


@cache
def field(number: int) -> Image.Image:
    drawn = Smear(5, (WIDTH, HEIGHT)).field(number, {"rbc_sickle": 3, "red_blood_cell": 16, "white_blood_cell": 1})
    return reopened(drawn.image, 90)


def with_boxes(image: Image.Image, boxes: Sequence[Corners], width: int, quality: int = 85) -> Image.Image:
    copy = image.copy()
    for box in boxes:
        ImageDraw.Draw(copy).rectangle(box, outline=(0, 0, 0), width=width)
    return reopened(copy, quality)


def visible(box: Corners) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = max(box[0], 0), max(box[1], 0), min(box[2] + 1, WIDTH), min(box[3] + 1, HEIGHT)
    return x0, y0, x1 - x0, y1 - y0


def check(found: Sequence[tuple[float, ...]], boxes: Sequence[Corners], slack: float = 2) -> None:
    expected = sorted(visible(box) for box in boxes)
    assert len(found) == len(expected)
    left = list(found)
    for box in expected:
        left.remove(min(left, key=lambda other: max(abs(a - b) for a, b in zip(box, other, strict=True))))
        assert any(other == pytest.approx(box, abs=slack) for other in found), (box, found)
    assert left == []


@st.composite
def drawings(draw: st.DrawFn, inside: bool) -> tuple[list[Corners], int]:
    """Rectangles no two sides of which lie on one line, none on the border; and the width of their strokes."""
    width = draw(st.integers(1, 5))
    apart, low = 2 * width + 6, 0 if inside else -30
    boxes: list[Corners] = []
    for _ in range(draw(st.integers(1, 5))):
        x, y = draw(st.integers(low, WIDTH - 40)), draw(st.integers(low, HEIGHT - 40))
        box = (x, y, x + draw(st.integers(30, 110)), y + draw(st.integers(30, 90)))
        if _is_plain(box, boxes, apart, inside):
            boxes.append(box)
    assume(boxes)
    return boxes, width


def _is_plain(box: Corners, others: Sequence[Corners], apart: int, inside: bool) -> bool:
    for far, start, stop in ((WIDTH, 0, 2), (HEIGHT, 1, 3)):
        if any(abs(box[side] - border) <= apart for side in (start, stop) for border in (0, far)):
            return False
        if any(abs(box[a] - other[b]) <= apart for other in others for a in (start, stop) for b in (start, stop)):
            return False
        if (box[start] < 0 and box[stop] > far) or box[stop] < 25 or (inside and box[stop] > far):
            return False
    return True


@settings(max_examples=60)
@given(drawings(inside=True), st.integers(0, 3), st.integers(65, 95))
def test_drawn_rectangles_are_found_again(drawing: tuple[list[Corners], int], number: int, quality: int) -> None:
    boxes, width = drawing
    found = find(field(number), with_boxes(field(number), boxes, width, quality))
    check(found.boxes, boxes)
    assert found.stray == ()


@settings(max_examples=60)
@given(drawings(inside=False), st.integers(0, 3))
def test_rectangles_that_run_out_of_the_picture(drawing: tuple[list[Corners], int], number: int) -> None:
    boxes, width = drawing
    check(find(field(number), with_boxes(field(number), boxes, width)).boxes, boxes)


@pytest.mark.parametrize(
    "boxes",
    [
        [(40, 40, 120, 120), (60, 60, 100, 100)],  # one in the other
        [(40, 80, 200, 120), (100, 30, 140, 200)],  # a cross
        [(40, 40, 120, 120), (110, 110, 200, 200)],  # corner over corner
        [(40, 40, 120, 120), (40 + 83, 60, 200, 160)],  # side by side
        [(40, 40, 120, 120), (80, 40, 160, 170)],  # upper sides on one line
        [(20, 20, 80, 80), (60, 60, 130, 130), (110, 20, 180, 100), (150, 80, 220, 200)],  # a chain
        [(40, 40, 120, 100), (40, 99, 120, 170)],  # one on the other, a line in common
        [(40, 40, 120, 100), (120, 40, 210, 100)],  # the same, side by side
        [(40, 40, 120, 120), (40, 80, 120, 160)],  # overlapping between the same two lines
        [(40, 40, 140, 120), (90, 40, 190, 120)],  # the same, side by side
        [(40, 40, 120, 90), (40, 130, 120, 200)],  # apart between the same two lines
        [(40, 40, 120, 90), (40, 95, 120, 160)],  # a narrow gap between them
        [(40, -10, 120, 100), (40, 99, 120, 170)],  # one of two runs out of the picture
        [(-20, 50, 60, 120), (250, -20, 400, 60), (-10, 180, 50, 300)],  # over a side, over corners
        [(0, 50, 60, 120), (100, 0, 160, 60), (260, 100, 319, 180), (200, 190, 250, 239)],  # along the border
    ],
)
def test_arrangements(boxes: list[Corners]) -> None:
    check(find(field(1), with_boxes(field(1), boxes, 2)).boxes, boxes)


def test_nothing_drawn_is_nothing_found() -> None:
    for quality in (40, 75, 95):
        found = find(field(0), reopened(field(0), quality))
        assert (found.boxes, found.stray) == ((), ())


def test_an_open_outline_is_no_box_and_is_told() -> None:
    copy = field(0).copy()
    ImageDraw.Draw(copy).line([(50, 50), (120, 50), (120, 110)], fill=(0, 0, 0), width=3)
    found = find(field(0), with_boxes(copy, [(160, 60, 220, 120)], 3))
    check(found.boxes, [(160, 60, 220, 120)])
    assert len(found.stray) == 2


def test_two_bars_between_two_lines_are_read_and_told() -> None:
    found = find(field(1), with_boxes(field(1), [(40, 40, 120, 120), (40, 80, 120, 160)], 2))
    assert len(found.boxes) == 2
    assert [(s.x0, s.y0, s.x1, s.y1) for s in found.unsure] == [pytest.approx((40, 40, 121, 161), abs=2)]
    assert found.stray == ()


@pytest.mark.parametrize(
    "boxes",
    [
        [(40, 40, 120, 80), (40, 80, 120, 120), (40, 120, 120, 160), (40, 160, 120, 200)],  # a ladder
        [(40, 40, 100, 100), (100, 40, 160, 100), (40, 100, 100, 160), (100, 100, 160, 160)],  # panes of a window
    ],
)
def test_what_can_be_read_in_several_ways_is_told_and_not_guessed(boxes: list[Corners]) -> None:
    other = (200, 60, 270, 130)
    found = find(field(1), with_boxes(field(1), [*boxes, other], 2))
    check(found.boxes, [other])
    assert len(found.stray) >= 4


def slanted(box: Corners, degrees: float, width: int) -> Image.Image:
    """A rectangle turned around its centre."""
    copy, turn = field(1).copy(), np.deg2rad(degrees)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    corners = [(a - x, b - y) for a, b in ((box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3]))]
    cos, sin = np.cos(turn), np.sin(turn)
    turned = [(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners]
    ImageDraw.Draw(copy).line([*turned, *turned[:2]], fill=(0, 0, 0), width=width, joint="curve")
    return copy


@pytest.mark.parametrize("width", [2, 4, 7])
@pytest.mark.parametrize("degrees", [-2, 1, 4, 8, 20, 45])
def test_slanted_strokes_are_read_roughly_or_told(degrees: float, width: int) -> None:
    box, other = (40, 60, 130, 140), (200, 60, 270, 130)
    found = find(field(1), with_boxes(slanted(box, degrees, width), [other], width))
    assert any(place == pytest.approx(visible(other), abs=3) for place in found.boxes)
    near = [place for place in found.boxes if place[0] < 150]
    assert near or found.stray, "lost without a word"
    assert all(
        place == pytest.approx(visible(box), abs=2 + 2 * width + 60 * abs(np.sin(np.deg2rad(degrees))))
        for place in near
    )


def test_filled_blots_and_letters_are_no_boxes() -> None:
    copy = field(2).copy()
    pen = ImageDraw.Draw(copy)
    pen.rectangle((30, 30, 60, 55), fill=(0, 0, 0))
    pen.text((200, 100), "sickle", fill=(0, 0, 0))
    check(find(field(2), with_boxes(copy, [(100, 60, 180, 120)], 2)).boxes, [(100, 60, 180, 120)])


@pytest.mark.parametrize("factor", [0.8, 1.5])
def test_a_copy_of_another_size_is_scaled(factor: float) -> None:
    boxes = [(40, 40, 120, 120), (100, 90, 200, 200)]
    copy = with_boxes(field(1), boxes, 3).resize((round(WIDTH * factor), round(HEIGHT * factor)))
    check(find(field(1), copy).boxes, boxes)


def test_round_field_of_view_hides_a_part_of_a_box() -> None:
    """The clean picture is black outside of the eyepiece: there ink cannot be seen, but the box goes on."""
    view = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(view).ellipse((-20, -60, WIDTH + 20, HEIGHT + 60), fill=255)
    round_field = Image.composite(field(0), Image.new("RGB", (WIDTH, HEIGHT)), view)
    box = (6, 60, 90, 130)
    check(find(round_field, with_boxes(round_field, [box], 3)).boxes, [box])


def test_another_picture_or_shape_is_refused() -> None:
    dark = ImageOps.invert(field(0))
    with pytest.raises(DefectError, match="not a copy"):
        find(field(0), dark)
    with pytest.raises(DefectError, match="160 x 240"):
        find(field(0), field(0).crop((0, 0, 160, 240)))


def test_a_grid_is_refused_and_not_searched() -> None:
    size = (1200, 1200)
    plain, copy = Image.new("RGB", size, (210, 200, 205)), Image.new("RGB", size, (210, 200, 205))
    for at in range(10, 1200, 20):
        ImageDraw.Draw(copy).line([(at, 0), (at, 1199)], fill=(0, 0, 0))
        ImageDraw.Draw(copy).line([(0, at), (1199, at)], fill=(0, 0, 0))
    with pytest.raises(DefectError, match="a grid"):
        find(plain, copy)
