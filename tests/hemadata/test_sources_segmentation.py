"""Traps of the segmentation sources: lossy, inverted, small and many-valued masks, odd names, several layouts."""

import base64
import io
import json
import shutil
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hemadata import sources
from hemadata.build.rows import RowMaker
from hemadata.errors import DefectError, LayoutError
from hemadata.formats.masks import bright, largest, read_grey, read_pixels, upright, without_small
from hemadata.regions import REGIONS
from hemadata.sources import anerbc_healthy, malaria_detection_2019
from hemadata.sources.base import Raw, Ref
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

NAMES = (
    "krd-wbc", "nuclick", "anerbc-healthy", "anerbc-anemic", "bbbc041-seg", "erythrocytes-idb", "mp-idb",
    "malaria-detection-2019", "elsafty-rbc",
)  # fmt: skip


def drawn(name: str, out: Path, n: int = 3) -> Path:
    """A phantom; its raw root."""
    sources.get(name).draw(out, n, 0)
    return out


def plan(name: str, root: Path) -> tuple[list[Ref], Raw]:
    raw = sources.get(name).open_raw([root])
    return list(sources.get(name).index(raw)), raw


def mask_of(name: str, ref: Ref) -> np.ndarray:
    """Mask of the corpus row, in region numbers."""
    row, found = RowMaker(sources.get(name), "header").make(ref)
    assert row is not None, found
    assert found == []
    return np.asarray(Image.open(io.BytesIO(row["mask"]["bytes"])))


def save(pixels: Any, path: Path, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels)).save(path, **options)


def photograph(cells: np.ndarray) -> np.ndarray:
    """Dark cells on a light ground, RGB."""
    return np.where(cells[..., None], 160, 210).astype(np.uint8).repeat(3, axis=2)


def disc(size: tuple[int, int] = (64, 64), radius: int = 14) -> np.ndarray:
    y, x = np.ogrid[: size[1], : size[0]]
    return np.asarray((x - size[0] // 2) ** 2 + (y - size[1] // 2) ** 2 <= radius**2)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_without_the_layout_says_what_is_expected_and_where_to_change_it(name: str, tmp_path: Path) -> None:
    folder = tmp_path / sources.get(name).facts.raw_folders[0]
    folder.mkdir()
    (folder / "readme.txt").write_text("something else")
    with pytest.raises(LayoutError, match=r"expected .*; found readme\.txt.*sources/\w+\.py"):
        plan(name, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_folders_around_the_layout_do_not_matter(name: str, tmp_path: Path) -> None:
    drawn(name, tmp_path)
    folder = tmp_path / sources.get(name).facts.raw_folders[0]
    before = [(ref.key, ref.group) for ref in plan(name, tmp_path)[0]]
    folder.rename(tmp_path / "inner")
    (folder / "once more").mkdir(parents=True)
    (tmp_path / "inner").rename(folder / "once more" / "download")
    assert [(ref.key, ref.group) for ref in plan(name, tmp_path)[0]] == before and before


@pytest.mark.parametrize("name", NAMES)
def test_published_numbers_are_those_of_table_1(name: str) -> None:
    table = {
        "malaria-detection-2019": (1, 883, 2, 706, 177),
        "nuclick": (2, 1470, 5, 1220, 250),
        "krd-wbc": (3, 600, 5, 480, 120),
        "erythrocytes-idb": (6, 50, 3, 40, 10),
        "anerbc-anemic": (7, 6000, 5, 5000, 1000),
        "anerbc-healthy": (8, 6000, 5, 5000, 1000),
        "mp-idb": (9, 281, 5, 140, None),
        "elsafty-rbc": (10, 204510, 9, 156408, 48102),
        "bbbc041-seg": (11, 1560, 1, 1248, 312),
    }
    facts = sources.get(name).facts
    found = facts.published
    assert (facts.row, found.images, found.classes, found.train, found.test) == table[name]


# --- what the readers share ---


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)), st.integers(1, 6))
def test_components_are_those_of_a_plain_flood(foreground: np.ndarray, least: int) -> None:
    left, parts = {(int(y), int(x)) for y, x in np.argwhere(foreground)}, []
    while left:
        reached, waiting = set(), [min(left)]
        while waiting:
            y, x = waiting.pop()
            if (y, x) in left:
                left.remove((y, x))
                reached.add((y, x))
                waiting += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        parts.append(reached)

    def points(mask: np.ndarray) -> set[tuple[int, int]]:
        return {(int(y), int(x)) for y, x in np.argwhere(mask)}

    height, width = foreground.shape
    cut = [p for p in parts if any(y in (0, height - 1) or x in (0, width - 1) for y, x in p)]
    assert points(without_small(foreground, least)) == set().union(*(p for p in parts if len(p) >= least))
    spared = [p for p in parts if len(p) >= least or p in cut]
    assert points(without_small(foreground, least, spare_border=True)) == set().union(*spared)
    assert len(points(largest(foreground))) == max(map(len, parts), default=0)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_one_mask_in_any_mode_is_one_foreground(mode: str) -> None:
    grey = Image.fromarray(np.where(disc(), 255, 0).astype(np.uint8))
    assert np.array_equal(bright(read_grey(png(grey.convert(mode)))), disc())


def test_zero_and_one_is_black_and_white_and_a_white_border_is_inverted() -> None:
    assert np.array_equal(bright(disc().astype(np.uint8)), disc())
    assert np.array_equal(upright(~disc()), disc())
    assert np.array_equal(upright(disc()), disc())


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"<html>not found</html>"])
def test_broken_mask_is_a_defect(data: bytes) -> None:
    with pytest.raises(DefectError, match="unreadable_mask"):
        read_pixels(data)


# --- KRD-WBC ---


def test_krd_ringing_and_specks_are_no_cell(tmp_path: Path) -> None:
    top = drawn("krd-wbc", tmp_path, 1) / "krd-wbc/KRD-WBC dataset/Dataset/mask"
    grey = np.where(disc((512, 512), 70), 250, 0).astype(np.uint8)
    grey[disc((512, 512), 75) & (grey == 0)] = 90  # ringing
    grey[3:9, 3:9] = 255
    save(grey, top / "mask1.jpg", quality=95)
    (ref,), _ = plan("krd-wbc", tmp_path)
    cell = mask_of("krd-wbc", ref) == REGIONS["white_blood_cell"].value
    assert not cell[:20, :20].any()
    assert abs(int(cell.sum()) - int(disc((512, 512), 70).sum())) < 150


def test_krd_table_is_joined_on_the_number_alone(tmp_path: Path) -> None:
    drawn("krd-wbc", tmp_path, 5)
    table = (tmp_path / "krd-wbc/KRD-WBC dataset/class labels.csv").read_bytes()
    assert table.startswith(b"\xef\xbb\xbfImage ID,Categoriy") and b"\nimage2," in table and b"\nImaeg4," in table
    refs, raw = plan("krd-wbc", tmp_path)
    kinds = ["Neutrophil", "Monocyte", "Eosinophil", "Basophil", "Lymphocyte"]
    assert [(ref.key, ref.label_raw) for ref in refs] == [(f"image{i}", kind) for i, kind in enumerate(kinds, start=1)]
    assert raw.problems == []


def test_krd_copies_beyond_600_are_left_out_and_twins_share_a_group(tmp_path: Path) -> None:
    data = drawn("krd-wbc", tmp_path, 2) / "krd-wbc/KRD-WBC dataset"
    for word in ("image", "mask"):
        for number in (200, 202, 801):
            shutil.copy(data / f"Dataset/{word}/{word}1.jpg", data / f"Dataset/{word}/{word}{number}.jpg")
    with (data / "class labels.csv").open("a") as table:
        table.write("Image200,Lymphocyte\nImage202,Lymphocyte\nImage801,Basophil\nImage801,Basophil\n")
    refs, raw = plan("krd-wbc", tmp_path)
    assert [ref.key for ref in refs] == ["image1", "image2", "image200", "image202"]
    assert refs[2].group == refs[3].group != refs[1].group
    assert [problem.reason for problem in raw.problems] == ["junk_file", "junk_file"]


def test_krd_picture_without_mask_or_row_is_reported(tmp_path: Path) -> None:
    data = drawn("krd-wbc", tmp_path, 3) / "krd-wbc/KRD-WBC dataset"
    (data / "Dataset/mask/mask1.jpg").unlink()
    (data / "Dataset/image/image2.jpg").unlink()
    text = (data / "class labels.csv").read_text(encoding="utf-8-sig")
    (data / "class labels.csv").write_text(text.replace("Image3,Eosinophil\n", ""), encoding="utf-8-sig")
    refs, raw = plan("krd-wbc", tmp_path)
    assert refs == []
    reasons = sorted((problem.record, problem.reason) for problem in raw.problems)
    assert reasons == [
        ("image1", "missing_annotation"),
        ("image2", "missing_image"),
        ("image3", "missing_annotation"),
        ("mask2", "missing_image"),
    ]


# --- NuClick ---

CELLS = np.zeros((32, 32), np.uint8)
CELLS[4:10, 4:10], CELLS[16:26, 14:28] = 1, 2


def nuclick_tree(root: Path, masks: list[Image.Image]) -> None:
    for number, mask in enumerate(masks):
        for part in ("Train", "Validation"):
            folder = root / "nuclick/Hemato_Data" / part
            save(photograph(CELLS > 0), folder / "images" / f"img ({number}).png")
            (folder / "masks").mkdir(exist_ok=True)
            mask.save(folder / "masks" / f"img ({number})_mask.png")


def palette(indices: np.ndarray) -> Image.Image:
    image = Image.fromarray(indices)
    image.putpalette([255, 255, 255, 10, 10, 10, 200, 0, 0])  # the ground is white in a viewer
    return image


@pytest.mark.parametrize(
    "mask",
    [
        Image.fromarray(CELLS),
        Image.fromarray(CELLS.astype(np.uint16) * 300),  # 16 bits: must not be cut at 255
        Image.fromarray(np.where(CELLS > 0, 255, 0).astype(np.uint8)),
        Image.fromarray(CELLS > 0),
        palette(CELLS),
        Image.fromarray(np.stack([CELLS * 40, CELLS * 0, CELLS * 90], axis=2)),  # a colour per instance
        Image.fromarray(np.where(CELLS > 0, 0, 255).astype(np.uint8)),  # inverted
        Image.fromarray(np.where(CELLS > 0, 0, 1).astype(np.uint8)),
    ],
    ids=["instances", "16 bits", "0 and 255", "1 bit", "palette", "colours", "inverted", "inverted 0 and 1"],
)
def test_nuclick_masks_of_every_kind_mark_the_same_cells(mask: Image.Image, tmp_path: Path) -> None:
    nuclick_tree(tmp_path, [mask, mask])
    refs, _ = plan("nuclick", tmp_path)
    assert [ref.split_upstream for ref in refs] == ["train"] * 2 + ["validation"] * 2
    assert [ref.split_paper for ref in refs] == ["train"] * 2 + ["test"] * 2
    for ref in refs:
        assert np.array_equal(mask_of("nuclick", ref) == REGIONS["white_blood_cell"].value, CELLS > 0)


def test_nuclick_one_crowded_mask_does_not_invert_the_others(tmp_path: Path) -> None:
    full = Image.fromarray(np.full((32, 32), 3, np.uint8))
    nuclick_tree(tmp_path, [full, *[Image.fromarray(CELLS)] * 4])
    refs, _ = plan("nuclick", tmp_path)
    assert (mask_of("nuclick", refs[0]) == REGIONS["white_blood_cell"].value).all()
    assert np.array_equal(mask_of("nuclick", refs[1]) > 0, CELLS > 0)


# --- AneRBC ---


def test_anerbc_parts_share_an_archive_but_no_persons(tmp_path: Path) -> None:
    drawn("anerbc-healthy", tmp_path, 13)
    drawn("anerbc-anemic", tmp_path, 13)
    healthy, anemic = (plan(name, tmp_path)[0] for name in ("anerbc-healthy", "anerbc-anemic"))
    assert [ref.group for ref in healthy] == ["0001_h"] * 12 + ["0002_h"]
    assert [ref.group for ref in anemic] == ["0001_a"] * 12 + ["0002_a"]
    assert all("AneRBC-II/" in ref.image.name and "/Original_images/" in ref.image.name for ref in healthy)
    assert all("/Binary_segmented/" in ref.mask.name for ref in healthy if ref.mask)
    assert {ref.image.read() for ref in healthy}.isdisjoint(ref.image.read() for ref in anemic)


def anerbc_masks() -> dict[str, np.ndarray]:
    cells = disc()
    dark = (photograph(cells) * 0.2).astype(np.uint8)
    lossy = np.where(cells, 30, np.random.default_rng(0).integers(241, 256, cells.shape)).astype(np.uint8)
    return {
        "as published": np.where(cells[..., None], dark, 255).astype(np.uint8),
        "rims": np.where(cells[..., None], 220, 255).repeat(3, axis=2).astype(np.uint8),
        "black on white": np.where(cells, 0, 255).astype(np.uint8),
        "white on black": np.where(cells, 255, 0).astype(np.uint8),
        "lossy": lossy,
    }


@pytest.mark.parametrize("kind", anerbc_masks())
def test_anerbc_masks_are_turned_upright(kind: str, tmp_path: Path) -> None:
    top = tmp_path / "anerbc/AneRBC-II/Healthy_individuals"
    save(photograph(disc()), top / "Original_images/0001_01_h.png")
    save(anerbc_masks()[kind], top / "Binary_segmented/0001_01_h.png")
    (ref,), _ = plan("anerbc-healthy", tmp_path)
    assert np.array_equal(mask_of("anerbc-healthy", ref) == REGIONS["red_blood_cell"].value, disc())


def test_anerbc_crowded_tile_in_black_on_white_is_not_taken_for_the_opposite() -> None:
    cells = disc(radius=30)
    assert cells.mean() > 0.55
    shown, picture = np.where(cells, 0, 255), photograph(cells).mean(axis=2)
    assert np.array_equal(anerbc_healthy.cells_of(shown, picture), cells)


def test_anerbc_mask_of_another_picture_is_withheld(tmp_path: Path) -> None:
    top = tmp_path / "anerbc/AneRBC-II/Healthy_individuals"
    save(photograph(~disc()), top / "Original_images/0001_01_h.png")
    save(anerbc_masks()["as published"], top / "Binary_segmented/0001_01_h.png")
    (ref,), _ = plan("anerbc-healthy", tmp_path)
    row, found = RowMaker(sources.get("anerbc-healthy"), "header").make(ref)
    assert row is None and [entry.reason for entry in found] == ["mask_values"]


def test_anerbc_specks_go_but_not_what_the_tile_border_cut(tmp_path: Path) -> None:
    top, cells = tmp_path / "anerbc/AneRBC-II/Anemic_individuals", disc()
    rim, speck = np.zeros_like(cells), np.zeros_like(cells)
    rim[0:3, 10:20], speck[6:9, 40:44] = True, True
    save(photograph(cells | rim), top / "Original_images/0001_01_a.png")
    save(np.where(cells | rim | speck, 20, 255).astype(np.uint8), top / "Binary_segmented/0001_01_a.png")
    (ref,), _ = plan("anerbc-anemic", tmp_path)
    assert np.array_equal(mask_of("anerbc-anemic", ref) > 0, cells | rim)


# --- BBBC041Seg ---


def supervisely(cells: np.ndarray) -> str:
    cut = np.where(cells[10:60, 5:64], 255, 0).astype(np.uint8)
    coloured = np.stack([cut * 0, cut, cut * 0, cut], axis=2)
    data = base64.b64encode(zlib.compress(png(Image.fromarray(coloured)))).decode()
    bitmap = {"classTitle": "blood_cell", "bitmap": {"data": data, "origin": [5, 10]}}
    return json.dumps({"size": {"height": cells.shape[0], "width": cells.shape[1]}, "objects": [bitmap]})


@pytest.mark.parametrize("layout", ["authors", "authors, jpg masks", "kaggle", "ninja"])
def test_bbbc041_all_three_archives_give_the_same_rows(layout: str, tmp_path: Path) -> None:
    cells, stem = disc(), "e39c60eb-7c39-4a1a-bf6b-dc2e8a1b2f11"
    top = tmp_path / "bbbc041-seg"
    mask = np.where(cells[..., None], 255, 0).repeat(3, axis=2).astype(np.uint8)
    image, of_mask = {
        "authors": (f"Final data/New folder/Original/{stem}.png", f"Final data/New folder/Mask/{stem}.png"),
        "authors, jpg masks": (f"New folder/Original/{stem}.png", f"New folder/Mask/{stem}.jpg"),
        "kaggle": (f"BCCD Dataset with mask/test/original/{stem}.jpg", f"BCCD Dataset with mask/test/mask/{stem}.png"),
        "ninja": (f"ds/test/img/{stem}.png", f"ds/test/ann/{stem}.png.json"),
    }[layout]
    save(photograph(cells), top / image)
    if layout == "ninja":
        (top / of_mask).parent.mkdir(parents=True)
        (top / of_mask).write_text(supervisely(cells))
    else:
        save(mask, top / of_mask, quality=95)
    (ref,), raw = plan("bbbc041-seg", tmp_path)
    assert (ref.key, ref.group, raw.problems) == (stem, stem, [])
    assert ref.split_upstream == ("test" if layout in ("kaggle", "ninja") else None)
    assert np.array_equal(mask_of("bbbc041-seg", ref) == REGIONS["blood_cell"].value, cells)


def test_bbbc041_two_copies_at_once_are_refused(tmp_path: Path) -> None:
    drawn("bbbc041-seg", tmp_path, 1)
    top = tmp_path / "bbbc041-seg"
    shutil.copytree(top / "New folder/Original", top / "train/original")
    with pytest.raises(LayoutError, match="two copies"):
        plan("bbbc041-seg", tmp_path)


def test_bbbc041_broken_supervisely_page_is_a_defect(tmp_path: Path) -> None:
    save(photograph(disc()), tmp_path / "bbbc041-seg/test/img/x.png")
    page = tmp_path / "bbbc041-seg/test/ann/x.png.json"
    page.parent.mkdir(parents=True)
    page.write_text('{"size": {}}')
    (ref,), _ = plan("bbbc041-seg", tmp_path)
    row, found = RowMaker(sources.get("bbbc041-seg"), "header").make(ref)
    assert row is None and [entry.reason for entry in found] == ["unreadable_mask"]


def hostile_page(size: dict[str, Any], *bitmaps: dict[str, Any]) -> str:
    return json.dumps({"size": size, "objects": [{"bitmap": bitmap} for bitmap in bitmaps]})


def bitmap(packed: bytes, origin: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    return {"data": base64.b64encode(zlib.compress(packed)).decode(), "origin": origin}


SIZE = {"width": 64, "height": 64}
HOSTILE = {
    "nested lists": "[" * 200_000,
    "nested objects": '{"size":' * 100_000,
    "a number of a million digits": "1" * 1_000_000,
    "an infinite width": hostile_page({"width": float("inf"), "height": 64}),
    "a picture of terapixels": hostile_page({"width": 1 << 20, "height": 1 << 20}),
    "a page longer than any real one": " " * (33 << 20),
    "a bitmap that unpacks to a gigabyte": hostile_page(SIZE, bitmap(bytes(64 << 20))),
    "a bitmap larger than its picture": hostile_page(SIZE, bitmap(png(Image.new("L", (20_000, 10_000))))),
    "a bitmap over the border": hostile_page(SIZE, bitmap(png(Image.new("L", (8, 8), 255)), (60, 0))),
    "a bitmap before the border": hostile_page(SIZE, bitmap(png(Image.new("L", (8, 8), 255)), (-8, 0))),
    "a list for the page": "[]",
    "objects of another kind": '{"size": {"width": 64, "height": 64}, "objects": [[]]}',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_bbbc041_hostile_supervisely_page_is_a_defect_within_bounds(kind: str, tmp_path: Path) -> None:
    save(photograph(disc()), tmp_path / "bbbc041-seg/test/img/x.png")
    page = tmp_path / "bbbc041-seg/test/ann/x.png.json"
    page.parent.mkdir(parents=True)
    page.write_text(HOSTILE[kind])
    (ref,), _ = plan("bbbc041-seg", tmp_path)
    tracemalloc.start()
    row, found = RowMaker(sources.get("bbbc041-seg"), "header").make(ref)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert row is None and [entry.reason for entry in found] == ["unreadable_mask"]
    assert peak < 128 << 20


# --- erythrocytesIDB ---


def smear_tree(root: Path, scale: int = 4, leave_out: str = "") -> dict[str, np.ndarray]:
    """One smear; three cells of which the third is in mask.jpg alone. Returns the cells by mask."""
    cells = {"mask-circular": np.zeros((48, 64), bool), "mask-elongated": np.zeros((48, 64), bool)}
    cells["mask-circular"][8:16, 8:16], cells["mask-elongated"][24:40, 32:40] = True, True
    cells["mask"] = cells["mask-circular"] | cells["mask-elongated"]
    cells["mask"][8:16, 48:56] = True
    folder = root / "erythrocytes-idb/Version 2, erythrocytesIDB/erythrocytesIDB2/37erythrocytesIDB2"
    big = cells["mask"].repeat(scale, axis=0).repeat(scale, axis=1)
    save(photograph(big), folder / "source.jpg")
    for name, mask in cells.items():
        if name != leave_out:
            save(np.where(mask, 255, 0).astype(np.uint8), folder / f"{name}.jpg", quality=85)
    return {name: mask.repeat(scale, axis=0).repeat(scale, axis=1) for name, mask in cells.items()}


@pytest.mark.parametrize("scale", [1, 4])
def test_erythrocytes_masks_are_brought_to_the_size_of_the_photograph(scale: int, tmp_path: Path) -> None:
    cells = smear_tree(tmp_path, scale)
    (ref,), _ = plan("erythrocytes-idb", tmp_path)
    mask = mask_of("erythrocytes-idb", ref)
    assert mask.shape == (48 * scale, 64 * scale)
    assert np.array_equal(mask == REGIONS["round_red_cell"].value, cells["mask-circular"])
    assert np.array_equal(mask == REGIONS["sickle_cell"].value, cells["mask-elongated"])
    assert (mask[8 * scale : 16 * scale, 48 * scale : 56 * scale] == REGIONS["red_blood_cell"].value).all()


def test_erythrocytes_without_its_circular_mask_has_cells_of_unknown_shape(tmp_path: Path) -> None:
    cells = smear_tree(tmp_path, leave_out="mask-circular")
    (ref,), raw = plan("erythrocytes-idb", tmp_path)
    mask = mask_of("erythrocytes-idb", ref)
    assert {p.detail.partition(":")[0] for p in raw.problems} == {"no mask-circular.jpg", "no mask-other.jpg"}
    assert (mask[cells["mask-circular"]] == REGIONS["red_blood_cell"].value).all()
    assert not (mask == REGIONS["round_red_cell"].value).any()


def test_erythrocytes_middle_grey_of_the_union_is_cell(tmp_path: Path) -> None:
    smear_tree(tmp_path)
    folder = tmp_path / "erythrocytes-idb/Version 2, erythrocytesIDB/erythrocytesIDB2/37erythrocytesIDB2"
    union = np.zeros((48, 64), np.uint8)
    union[8:24, 8:24] = 128
    save(union, folder / "mask.jpg", quality=95)
    (ref,), _ = plan("erythrocytes-idb", tmp_path)
    assert (mask_of("erythrocytes-idb", ref)[80:90, 80:90] == REGIONS["red_blood_cell"].value).all()


def test_erythrocytes_reads_only_idb2_and_reports_a_smear_without_photograph(tmp_path: Path) -> None:
    drawn("erythrocytes-idb", tmp_path, 2)
    top = tmp_path / "erythrocytes-idb/Version 2, erythrocytesIDB"
    assert (top / "erythrocytesIDB3/01erythrocytesIDB3/source.jpg").is_file()
    (top / "erythrocytesIDB2/37erythrocytesIDB2/source.jpg").unlink()
    refs, raw = plan("erythrocytes-idb", tmp_path)
    assert [ref.key for ref in refs] == ["01erythrocytesIDB2"]
    assert [(problem.record, problem.reason) for problem in raw.problems] == [("37erythrocytesIDB2", "missing_image")]


# --- MP-IDB ---


def test_mp_idb_off_white_is_parasite_and_specks_are_not(tmp_path: Path) -> None:
    parasite, size = disc((200, 120), 15), (120, 200, 3)
    mask = np.zeros(size, np.uint8)
    mask[parasite] = (255, 240, 190)
    mask[100:104, 150:155] = 255  # 20 pixels
    mask[5:30, 5:30] = (60, 255, 255)  # too little red
    top = tmp_path / "mp-idb/MP-IDB/Ovale"
    save(photograph(parasite), top / "img/1401080976-0001-R.jpg")
    save(mask, top / "gt/1401080976-0001-R.png")
    (ref,), _ = plan("mp-idb", tmp_path)
    assert (ref.group, ref.about) == ("1401080976", {"diagnosis": "Plasmodium ovale"})
    assert np.array_equal(mask_of("mp-idb", ref) == REGIONS["plasmodium"].value, parasite)


def test_mp_idb_masks_with_other_stages_in_their_name_are_found_by_number(tmp_path: Path) -> None:
    top, cells = tmp_path / "mp-idb/Falciparum", disc()
    for image, mask in (("1-0001-R_S", "1-0001-R-S"), ("1-0002-R", "1-0002-R"), ("1-0003-T", "2-0003-T")):
        save(photograph(cells), top / f"img/{image}.jpg")
        save(cells.astype(np.uint8), top / f"gt/{mask}.png")  # older commits: 0 and 1
    refs, raw = plan("mp-idb", tmp_path)
    assert [ref.key for ref in refs] == ["falciparum/1-0001-R_S", "falciparum/1-0002-R"]
    assert np.array_equal(mask_of("mp-idb", refs[0]) > 0, cells)
    reasons = {problem.record: problem.reason for problem in raw.problems}
    assert reasons == {"1-0003-T": "missing_annotation", "2-0003-T": "missing_image"}


def test_mp_idb_two_commits_mixed_are_refused(tmp_path: Path) -> None:
    drawn("mp-idb", tmp_path, 1)
    mask = next((tmp_path / "mp-idb").rglob("gt/*.jpg"))
    Image.open(mask).save(mask.with_suffix(".tif"))
    with pytest.raises(LayoutError, match=r"one file per name .* two commits"):
        plan("mp-idb", tmp_path)


# --- Malaria-Detection-2019 ---


def test_malaria_detection_groups_all_tiles_of_a_trip(tmp_path: Path) -> None:
    top = tmp_path / "malaria-detection-2019/malaria_segmentation"
    for name in ("Trip 017 Day 1 19-10-05 Image 14 add_1", "Trip 017 Day 1 19-10-05 Image 14_12",
                 "Trip 053 Day 2 19-11-05 Image 1_12"):  # fmt: skip
        save(photograph(disc()), top / f"Giemsa stained images/{name}.png")
        save(disc(), top / f"Ground truth images/{name}_GT.png")  # one bit
    refs, raw = plan("malaria-detection-2019", tmp_path)
    assert [ref.group for ref in refs] == ["trip 017", "trip 017", "trip 053"]
    assert [problem.file for problem in raw.problems] == ["LifeStages.xlsx"]
    assert np.array_equal(mask_of("malaria-detection-2019", refs[0]) == REGIONS["stained_object"].value, disc())


def test_malaria_detection_masks_in_every_encoding() -> None:
    clean, cells = np.where(disc(), 255, 0), disc()
    blurred = clean.copy()
    blurred[:10] = 9  # a sixth of the picture between black and white: encoded anew
    for grey in (clean, cells.astype(np.uint8), np.where(cells, 0, 255), blurred):
        assert np.array_equal(malaria_detection_2019.objects_of(grey), cells)


# --- Elsafty ---


@pytest.mark.parametrize(
    ("images", "masks", "segmented"),
    [
        ("Cropped images/{}", "Masks/{}", "Segmented images/{}"),
        ("Cropped images/{}/{}", "Masks/{}", "SEGMENTED/{}"),
        ("Cropped images/Cropped - Class {}", "Masks/Masks - Class {}", "Segmented images/SEGMENTED - Class {}"),
    ],
)
def test_elsafty_releases_spell_their_folders_differently(
    images: str, masks: str, segmented: str, tmp_path: Path
) -> None:
    shapes = {
        "Rounded": "Rounded RBCs",
        "Borderline Ovalocytes": "Borderline ovalocytes",
        "3 Ovalocytes": "Ovalocytes",
        "Burr Cells": "Burr cells",
        "Two Overlapping": "Two overlapping",
        "Three overlapping cells": "Three overlapping",
        "Fragmented RBCs": "Fragmented RBCs",
    }
    for number, shape in enumerate(shapes):
        name = f"Slide {number + 1} (142,886,44,953,93).png"
        for folder in (images, masks, segmented):
            save(disc((80, 80)), tmp_path / "elsafty-rbc" / folder.format(shape, shape) / name)
    refs, raw = plan("elsafty-rbc", tmp_path)
    assert {ref.label_raw: ref.group for ref in refs} == {
        label: f"slide {number}" for number, label in enumerate(shapes.values(), start=1)
    }
    assert all("Cropped images" in ref.image.name and "Masks" in ref.mask.name for ref in refs if ref.mask)
    assert raw.problems == []


@pytest.mark.parametrize(
    "mask",
    [np.where(disc((80, 80)), 255, 0), np.where(disc((80, 80)), 1, 0), np.where(disc((80, 80)), 0, 255)],
    ids=["0 and 255", "0 and 1", "inverted"],
)
def test_elsafty_masks_of_every_kind(mask: np.ndarray, tmp_path: Path) -> None:
    top, name = tmp_path / "elsafty-rbc", "326Slide 1 (142,886,44,953,93).png"
    save(photograph(disc((80, 80))), top / "Cropped images/Angled" / name)
    save(mask.astype(np.uint8), top / "Masks/Angled" / name)
    (ref,), _ = plan("elsafty-rbc", tmp_path)
    assert (ref.key, ref.group) == ("Angled/326Slide 1 (142,886,44,953,93)", "slide 1")
    assert np.array_equal(mask_of("elsafty-rbc", ref) == REGIONS["red_blood_cell"].value, disc((80, 80)))


def test_elsafty_fields_are_no_cells_and_an_unknown_shape_stops(tmp_path: Path) -> None:
    drawn("elsafty-rbc", tmp_path, 2)
    top = tmp_path / "elsafty-rbc"
    save(disc(), top / "Elsafty_RBCs_for_Segmentation_and_Detection_Slide_2/cropped/1.png")
    assert len(plan("elsafty-rbc", tmp_path)[0]) == 2
    save(disc(), top / "Cropped images, white background/Stomatocytes/Slide 1 (1,2,3,4,5).png")
    with pytest.raises(LayoutError, match="Stomatocytes"):
        plan("elsafty-rbc", tmp_path)
