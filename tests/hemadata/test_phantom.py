from collections import Counter
from io import BytesIO

import numpy as np
import pytest
from hemadata.errors import UsageError
from hemadata.phantom import (
    GIEMSA,
    KINDS,
    TRAITS,
    WRIGHT,
    Field,
    Smear,
    bmp_bytes,
    draw_boxes,
    jpeg_bytes,
    png_bytes,
)
from hemadata.phantom.shapes import FORMS, disc, distance
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

ASKED = {"neutrophil": 1, "lymphocyte": 1, "platelet": 3, "red_blood_cell": 12}


def same(one: Field, other: Field) -> bool:
    return (
        one.image.tobytes() == other.image.tobytes()
        and one.cells == other.cells
        and np.array_equal(one.mask, other.mask)
    )


def islands(mask: np.ndarray) -> int:
    """Number of 8-connected islands, by spreading the largest label until nothing changes."""
    labels = np.where(mask > 0, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        wide = np.pad(labels, 1)
        rows = np.maximum(np.maximum(wide[:-2], wide[1:-1]), wide[2:])
        spread = np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
        spread[mask == 0] = 0
        if np.array_equal(spread, labels):
            return len(np.unique(labels)) - 1
        labels = spread


def check_boxes(field: Field) -> None:
    """Every box lies inside, holds its own class only, and touches it with all four sides."""
    assert field.mask.shape == (field.image.height, field.image.width)
    covered = np.zeros_like(field.mask)
    for cell in field.cells:
        x, y, width, height = cell.box
        assert x >= 0 and y >= 0 and width >= 4 and height >= 4
        assert x + width <= field.image.width and y + height <= field.image.height
        inside = np.isin(field.mask[y : y + height, x : x + width], KINDS[cell.kind].classes)
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        covered[y : y + height, x : x + width] = 1
    assert not field.mask[covered == 0].any(), "the mask holds a cell that no box tells of"


def test_same_seed_same_pixels() -> None:
    assert same(Smear(5).field(2, ASKED), Smear(5).field(2, ASKED))
    assert same(Smear(5).single_cell(2, "monocyte"), Smear(5).single_cell(2, "monocyte"))


def test_seed_number_and_stain_each_change_the_picture() -> None:
    usual = Smear(5).field(2, ASKED).image.tobytes()
    assert usual != Smear(6).field(2, ASKED).image.tobytes()
    assert usual != Smear(5).field(3, ASKED).image.tobytes()
    stained = Smear(5, stain=WRIGHT).field(2, ASKED)
    assert usual != stained.image.tobytes()
    assert np.array_equal(stained.mask, Smear(5, stain=GIEMSA).field(2, ASKED).mask), "a stain moves no cell"


def test_pictures_do_not_depend_on_what_was_drawn_before() -> None:
    smear = Smear(9, size=(360, 363))
    late = [smear.field(number, ASKED) for number in (4, 0, 1)][-1]
    smear.single_cell(1, "basophil")
    assert same(late, Smear(9, size=(360, 363)).field(1, dict(reversed(ASKED.items()))))
    assert same(smear.single_cell(7, "basophil"), Smear(9, size=(360, 363)).single_cell(7, "basophil"))


def test_counts_are_as_asked() -> None:
    field = Smear(1).field(0, ASKED)
    assert Counter(cell.kind for cell in field.cells) == ASKED
    assert islands(field.mask) == len(field.cells)
    check_boxes(field)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    size=st.tuples(st.integers(120, 320), st.integers(120, 320)),
    cells=st.dictionaries(st.sampled_from(sorted(KINDS)), st.integers(0, 3), max_size=3),
    red=st.integers(0, 12),
)
def test_any_field_keeps_its_promises(seed: int, size: tuple[int, int], cells: dict[str, int], red: int) -> None:
    field = Smear(seed, size).field(0, cells | {"red_blood_cell": red})
    found = Counter(cell.kind for cell in field.cells)
    assert found.pop("red_blood_cell", 0) <= red
    assert found == Counter({kind: count for kind, count in cells.items() if count and kind != "red_blood_cell"})
    check_boxes(field)


def test_red_cells_give_way_to_white_cells() -> None:
    field = Smear(0, (200, 200)).field(0, {"monocyte": 12, "platelet": 10, "red_blood_cell": 500})
    found = Counter(cell.kind for cell in field.cells)
    assert found["monocyte"] == 12 and found["platelet"] == 10 and found["red_blood_cell"] < 500
    assert islands(field.mask) == len(field.cells), "two cells touch"
    check_boxes(field)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_is_drawn_in_the_middle(kind: str) -> None:
    field = Smear(3, (360, 363)).single_cell(11, kind)
    middle, *others = field.cells
    x, y, width, height = middle.box
    assert middle.kind == kind
    assert abs(x + width / 2 - 180) < 25 and abs(y + height / 2 - 181) < 25
    assert {cell.kind for cell in others} == {"red_blood_cell"}
    inside = field.mask[y : y + height, x : x + width]
    assert set(np.unique(inside[inside > 0])) >= set(KINDS[kind].classes) - (
        {4} if KINDS[kind].nucleus is None else set()
    )
    ground = Smear(3, (360, 363)).single_cell(11, kind, neighbours=0).image.getpixel((2, 2))
    seen = np.asarray(field.image, dtype=float)[y : y + height, x : x + width][inside > 0]
    assert np.abs(seen.mean(axis=0) - ground).max() > 12, "the cell cannot be told from the ground"
    check_boxes(field)


def test_nuclei_lie_inside_their_cells() -> None:
    field = Smear(4).field(0, {"neutrophil": 3, "lymphocyte": 3, "promonocyte": 2})
    rows, columns = np.nonzero(field.mask == 4)
    for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        assert field.mask[rows + down, columns + right].all(), "a nucleus touches the ground"


def test_neighbours_are_cut_by_the_border() -> None:
    field = Smear(2, (360, 363)).single_cell(0, "neutrophil", neighbours=8)
    boxes = [cell.box for cell in field.cells[1:]]
    assert len(boxes) >= 5
    assert any(x == 0 or y == 0 or x + width == 360 or y + height == 363 for x, y, width, height in boxes)


def test_size_of_a_red_cell_is_what_was_asked() -> None:
    _, _, width, height = Smear(0, (200, 200), red_cell=100).single_cell(0, "rbc_round", neighbours=0).cells[0].box
    assert 90 <= width <= 110 and 90 <= height <= 110


def shown(kind: str, trait: str, value: str) -> Field:
    return Smear(8, (360, 363)).single_cell(1, kind, neighbours=0, traits={trait: value})


def test_every_trait_is_drawn() -> None:
    for trait, values in TRAITS.items():
        for value in values:
            check_boxes(shown("lymphocyte", trait, value))


def test_traits_show() -> None:
    def area(field: Field, *classes: int) -> int:
        return int(np.isin(field.mask, classes).sum())

    def colours(field: Field, value: int) -> np.ndarray:
        return np.asarray(field.image, dtype=float)[field.mask == value]

    big, small = shown("neutrophil", "cell_size", "big"), shown("neutrophil", "cell_size", "small")
    assert area(big, 3, 4) > 1.5 * area(small, 3, 4)
    high, low = (shown("lymphocyte", "nuclear_cytoplasmic_ratio", value) for value in ("high", "low"))
    assert area(high, 4) / area(high, 3, 4) > 1.5 * area(low, 4) / area(low, 3, 4)
    dense, loose = (shown("monocyte", "chromatin_density", value) for value in ("densely", "loosely"))
    assert colours(dense, 4).mean() < colours(loose, 4).mean() - 5
    clear, frosted = (shown("lymphocyte", "cytoplasm_texture", value) for value in ("clear", "frosted"))
    assert colours(frosted, 3).std() > colours(clear, 3).std()
    many, none = (shown("eosinophil", "granularity", value) for value in ("yes", "no"))
    red_over_blue = [np.subtract(*colours(field, 3).mean(axis=0)[[0, 2]]) for field in (many, none)]
    assert red_over_blue[0] > red_over_blue[1] + 20
    light, deep = (shown("lymphocyte", "cytoplasm_colour", value) for value in ("light blue", "blue"))
    assert colours(light, 3).mean() > colours(deep, 3).mean() + 10


def test_misuse_is_told() -> None:
    with pytest.raises(UsageError, match="neutrophil"):
        Smear(0).field(0, {"neutrophill": 1})
    with pytest.raises(UsageError, match="cell_size"):
        shown("neutrophil", "cell_sise", "big")
    with pytest.raises(UsageError, match="small"):
        shown("neutrophil", "cell_size", "huge")
    with pytest.raises(UsageError, match="fewer"):
        Smear(0, (40, 40)).field(0, {"neutrophil": 500})
    with pytest.raises(UsageError, match="seed"):
        Smear(-1)
    with pytest.raises(UsageError, match="number"):
        Smear(0).field(-1, {})


def test_forms_fit_their_disc() -> None:
    axis = np.linspace(-1.6, 1.6, 161, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    for name, form in FORMS.items():
        for seed in range(20):
            inside = distance(x, y, form(np.random.default_rng(seed))) < 0
            assert inside.any(), name
            assert np.hypot(x, y)[inside].max() < 1.19, f"{name} leaves the square it is painted on"


def test_distance_of_a_disc_is_exact() -> None:
    x, y = np.meshgrid(np.linspace(-2, 2, 9, dtype=np.float32), np.linspace(-2, 2, 9, dtype=np.float32))
    assert np.allclose(distance(x, y, [disc(0.5, -0.25, 0.75)]), np.hypot(x - 0.5, y + 0.25) - 0.75, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_written_and_pixels_stay(orientation: int) -> None:
    image = Smear(0, (64, 48)).single_cell(0, "lymphocyte").image
    with Image.open(BytesIO(jpeg_bytes(image, orientation=orientation))) as read:
        assert read.getexif()[0x0112] == orientation
        with Image.open(BytesIO(jpeg_bytes(image))) as plain:
            assert 0x0112 not in plain.getexif()
            assert read.tobytes() == plain.tobytes()
        assert ImageOps.exif_transpose(read).size == ((64, 48) if orientation < 5 else (48, 64))


def test_orientation_out_of_range() -> None:
    with pytest.raises(UsageError, match="1 to 8"):
        jpeg_bytes(Image.new("RGB", (8, 8)), orientation=9)


def test_lossless_formats_keep_every_pixel() -> None:
    image = Smear(0, (64, 48)).single_cell(0, "lymphocyte").image
    for encoded, name in ((png_bytes(image), "PNG"), (bmp_bytes(image), "BMP")):
        with Image.open(BytesIO(encoded)) as read:
            assert read.format == name and read.tobytes() == image.tobytes()


def test_boxes_are_drawn_on_a_copy() -> None:
    image = Image.new("RGB", (200, 150), "white")
    drawn = draw_boxes(image, [((50, 60, 80, 40), "neutrophil", "#ff0000"), ((0, 0, 200, 150), "", (0, 0, 255))])
    assert image.getpixel((90, 60)) == (255, 255, 255)
    pixels = np.asarray(drawn).astype(int)
    assert (pixels[60, 60:120, 0] > pixels[60, 60:120, 2] + 60).all(), "the upper side of the red box"
    assert (pixels[75:90, 60:120] == 255).all(), "the inside stays clean"
    assert (pixels[5:145, 0, 2] > pixels[5:145, 0, 0] + 60).all(), "the left side of the blue box"
    assert (pixels[45:58, 52:80] == [255, 0, 0]).all(axis=-1).any(), "the plate above the red box"


@given(
    box=st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(1, 64), st.floats(1, 64)),
    text=st.sampled_from(["", "RBC", "a label wider than the image"]),
)
@settings(max_examples=30, deadline=None)
def test_any_box_can_be_drawn(box: tuple[float, float, float, float], text: str) -> None:
    assert draw_boxes(Image.new("L", (64, 64)), [(box, text, "yellow")]).size == (64, 64)
