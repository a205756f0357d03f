"""Rows of the tables that share another row's download: derived and missing annotations; and the parasite species."""

from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import numpy as np
import pytest
from hemadata import sources
from hemadata.build import Built, Options, build
from hemadata.errors import FormatError, LayoutError, UnknownLabelError
from hemadata.formats import voc
from hemadata.formats.masks import boxes_of
from hemadata.phantom import jpeg_bytes, png_bytes
from hemadata.sources.base import Raw, Ref
from hypothesis import given
from hypothesis.extra import numpy as hnp
from PIL import Image

HEADER = "filename,parasite_type,xmin,xmax,ymin,ymax\n"


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def jpeg(size: tuple[int, int] = (64, 48)) -> bytes:
    return jpeg_bytes(Image.new("RGB", size, (240, 230, 235)))


def plan(name: str, root: Path) -> tuple[list[Ref], Raw]:
    raw = sources.get(name).open_raw([root])
    return list(sources.get(name).index(raw)), raw


def built(name: str, root: Path, out: Path) -> tuple[Built, dict[str, dict[str, Any]]]:
    """A corpus of one source, its rows by key."""
    result = build([name], root, out, Options(jobs=1))[0]
    assert result.error is None, result.error
    with hemadata.open(out) as corpus:
        return result, {row["sample_id"].partition("/")[2]: row for row in corpus.rows(result.task)}


@pytest.mark.parametrize(
    ("name", "table", "numbers", "origin"),
    [
        ("mp-idb-det", (2, 14), (281, 4, None, 106), "derived"),
        ("acevedo-det", (2, 13), (10435, 6, 10435, None), "none"),
        ("bccd-cls", (3, 7), (364, 3, 225, None), "derived"),
        ("white-blood-cell-dataset-cls", (3, 10), (376, 1, 376, None), "none"),
        ("parasites", (None, None), (None, None, None, None), "published"),
    ],
)
def test_published_numbers_and_origin(
    name: str, table: tuple[int, int], numbers: tuple[int | None, ...], origin: str
) -> None:
    facts = sources.get(name).facts
    p = facts.published
    assert ((facts.table, facts.row), (p.images, p.classes, p.train, p.test)) == (table, numbers)
    assert facts.annotation_origin == origin


@pytest.mark.parametrize(("name", "other"), [("mp-idb-det", "mp-idb"), ("acevedo-det", "acevedo")])
def test_rows_of_one_download_share_pictures_and_groups(name: str, other: str, tmp_path: Path) -> None:
    sources.get(name).draw(tmp_path, 10, 0)
    refs = {key: (ref.group, ref.image.name) for key, ref in ((r.key, r) for r in plan(name, tmp_path)[0])}
    assert refs == {ref.key: (ref.group, ref.image.name) for ref in plan(other, tmp_path)[0]} and refs
    assert sources.get(name).facts.family == sources.get(other).facts.family is not None


# --- MP-IDB, boxes ---


def falciparum(root: Path, *rows: str, stems: tuple[str, ...] = ("1305121398-0001-R_S",)) -> None:
    top = root / "mp-idb/MP-IDB-master/Falciparum"
    for stem in stems:
        put(top / f"img/{stem}.jpg", jpeg((2592, 1944)))
    put(top / "mp-idb-falciparum.csv", HEADER + "\n".join(rows) + "\n")
    put(top / "mp-idb-falciparum-abspath.csv", HEADER + "C:\\img\\1305121398-0001-R_S.jpg,ring,1,2,3,4\n")
    put(top / "scripts/MP-IDB-ann.csv", "filename,width,height,class,xmin,ymin,xmax,ymax\n")


def test_mp_idb_table_holds_sizes_under_a_header_of_corners(tmp_path: Path) -> None:
    rows = "1305121398-0001-R_S.jpg,ring,919,887,76,67", "1305121398-0001-R_S.jpg,schi,1246,1498,106,113"
    falciparum(tmp_path, *rows)
    result, found = built("mp-idb-det", tmp_path, tmp_path / "corpus")
    row = found["falciparum/1305121398-0001-R_S"]
    assert [(o["label"], o["bbox"]) for o in row["objects"]] == [
        ("plasmodium_ring", [919, 887, 76, 67]),
        ("plasmodium_schizont", [1246, 1498, 106, 113]),
    ]
    assert (row["flags"], row["split_paper"], row["native_group"]) == ([], None, "mp-idb/1305121398")
    assert result.quarantine == []


def test_mp_idb_table_is_joined_on_slide_and_number(tmp_path: Path) -> None:
    stems = "1305121398-0016-T", "1305121398-0017-R", "1701151546-0013-R_T"
    rows = "1305121398-0016-S.jpg,schi,10,5,20,20", "1305121398-0017-R.jpg,ring,10,5,20,20", "9-0001-R.jpg,ring,1,1,9,9"
    falciparum(tmp_path, *rows, stems=stems)
    refs, raw = plan("mp-idb-det", tmp_path)
    assert [ref.image.stem for ref in refs] == [*stems[:2]]
    reasons = {problem.record: problem.reason for problem in raw.problems}
    assert reasons == {"1701151546-0013-R_T": "missing_annotation", "9-0001": "missing_image"}


def test_mp_idb_mended_table_is_not_misread(tmp_path: Path) -> None:
    falciparum(tmp_path, *(f"1305121398-0001-R_S.jpg,ring,{k},{k + 70},{2 * k},{2 * k + 60}" for k in range(20)))
    with pytest.raises(FormatError, match=r"20 rows fit the header.*read_table\(\) in sources/mp_idb_det.py"):
        plan("mp-idb-det", tmp_path)


@pytest.mark.parametrize("row", ["x.jpg,ring,a,2,3,4", "x.jpg,ring,1,2,3"])
def test_mp_idb_broken_row_is_named(row: str, tmp_path: Path) -> None:
    falciparum(tmp_path, row)
    with pytest.raises(FormatError, match=r"mp-idb-falciparum\.csv, (row 1|line 2)"):
        plan("mp-idb-det", tmp_path)


def test_mp_idb_without_its_table_says_so(tmp_path: Path) -> None:
    put(tmp_path / "mp-idb/Falciparum/img/1-0001-R.jpg", jpeg())
    with pytest.raises(LayoutError, match=r"one mp-idb-falciparum\.csv beside Falciparum/img, 0 are there"):
        plan("mp-idb-det", tmp_path)


def ovale(root: Path, stem: str, mask: np.ndarray, size: tuple[int, int] | None = None) -> None:
    top = root / "mp-idb/MP-IDB-master/Ovale"
    put(top / f"img/{stem}.jpg", jpeg(size or (mask.shape[1], mask.shape[0])))
    put(top / f"gt/{stem}.png", png_bytes(Image.fromarray(mask)))


def test_mp_idb_boxes_of_other_species_are_components_of_the_mask(tmp_path: Path) -> None:
    mask = np.zeros((120, 200, 3), np.uint8)
    mask[10:40, 20:60] = (250, 240, 190)
    mask[40:50, 60:70] = (255, 255, 255)  # touches by a corner: one parasite
    mask[80:110, 150:190] = (80, 120, 0)
    mask[5:8, 100:110] = 255  # 30 pixels of ringing
    mask[60:90, 20:60] = (255, 90, 90)  # too little green
    ovale(tmp_path, "1401080976-0001-R", mask)
    _, rows = built("mp-idb-det", tmp_path, tmp_path / "corpus")
    row = rows["ovale/1401080976-0001-R"]
    assert [(o["label"], o["bbox"]) for o in row["objects"]] == [
        ("plasmodium_ring", [20, 10, 50, 40]),
        ("plasmodium_ring", [150, 80, 40, 30]),
    ]
    assert (row["flags"], row["split_paper"], row["diagnosis"]) == (["boxes_from_mask"], "test", "Plasmodium ovale")


@pytest.mark.parametrize(
    ("stem", "raw", "label"),
    [
        ("1401080976-0001-G", "G", "plasmodium_gametocyte"),
        ("1401080976-0001-R_R", "R", "plasmodium_ring"),  # a letter may stand twice
        ("1401080976-0001-T_G_R", "parasite", "plasmodium"),
        ("1401080976-0001-R-T", "parasite", "plasmodium"),
    ],
)
def test_mp_idb_stage_is_certain_only_where_a_name_lists_one(stem: str, raw: str, label: str, tmp_path: Path) -> None:
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[10:30, 10:30] = 255
    ovale(tmp_path, stem, mask)
    _, rows = built("mp-idb-det", tmp_path, tmp_path / "corpus")
    (found,) = rows[f"ovale/{stem}"]["objects"]
    assert (found["label_raw"], found["label"]) == (raw, label)


def test_mp_idb_mask_of_another_size_gives_no_boxes(tmp_path: Path) -> None:
    mask = np.zeros((40, 40, 3), np.uint8)
    mask[10:30, 10:30] = 255
    ovale(tmp_path, "1401080976-0001-R", mask, size=(80, 80))
    ovale(tmp_path, "1401080976-0002-R", mask)
    result, rows = built("mp-idb-det", tmp_path, tmp_path / "corpus")
    assert list(rows) == ["ovale/1401080976-0002-R"]
    (lost,) = result.quarantine
    assert (lost.reason, lost.file) == ("mask_size", "MP-IDB-master/Ovale/gt/1401080976-0001-R.png")


def test_mp_idb_table_and_masks_of_the_phantom_tell_the_same_boxes(tmp_path: Path) -> None:
    sources.get("mp-idb-det").draw(tmp_path, 6, 3)
    seen = 0
    for ref in plan("mp-idb-det", tmp_path)[0]:
        if ref.mask is None:
            alike = next(r for r in plan("mp-idb", tmp_path)[0] if r.key == ref.key)
            twin = Ref(ref.key, ref.image, mask=alike.mask)
            derived = [box.xywh for box in sources.get("mp-idb-det").load(twin).objects or ()]
            listed = sorted((box.xywh for box in ref.objects or ()), key=lambda box: box[1])
            assert np.allclose(sorted(derived, key=lambda box: box[1]), listed, atol=6)
            seen += len(listed)
    assert seen


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_boxes_cover_every_component_and_nothing_else(foreground: np.ndarray) -> None:
    boxes, covered = boxes_of(foreground, 1), np.zeros(foreground.shape, bool)
    for x, y, w, h in boxes:
        left, top, right, bottom = map(int, (x, y, x + w, y + h))
        inside = foreground[top:bottom, left:right]
        # Tight: each side touches the foreground.
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
        covered[top:bottom, left:right] = True
    assert not (foreground & ~covered).any()
    assert boxes == sorted(boxes, key=lambda box: (box[1], box[0]))


# --- PBC without boxes, White Blood Cell dataset without classes ---


def test_acevedo_det_invents_no_box(tmp_path: Path) -> None:
    sources.get("acevedo-det").draw(tmp_path, 20, 0)
    _, rows = built("acevedo-det", tmp_path, tmp_path / "corpus")
    assert len(rows) == 20
    for row in rows.values():
        assert (row["objects"], row["classes_annotated"], row["label_scope"]) == (None, None, "cell")
        assert row["label"] and row["native_group"].startswith("pbc/")
    assert {row["label_fine"] for row in rows.values()} > {"band_neutrophil", None}


def test_white_blood_cell_dataset_cls_invents_no_class(tmp_path: Path) -> None:
    top = tmp_path / "white-blood-cell-dataset"
    for number in (0, 96):
        put(top / f"BloodImageSetS6NucSeg/BloodImageSetS6NucSeg/BloodImage_{number:05d}.jpg", jpeg())
    put(top / "BloodImageSetS6NucSeg/BloodImageSetS6NucSeg/Nucleus/BloodImage_00000.jpg", jpeg())  # an older layout
    put(top / "BloodImageSetS6NucSeg_masks/BloodImage_00000.png", "")  # masks are not opened
    result, rows = built("white-blood-cell-dataset-cls", tmp_path, tmp_path / "corpus")
    assert set(rows) == {"BloodImage_00000", "BloodImage_00096"}
    for row in rows.values():
        assert (row["label"], row["label_raw"], row["label_scope"]) == (None, None, None)
        assert row["native_group"].startswith("bccd/BloodImage_")
    assert result.quarantine == []


def test_white_blood_cell_dataset_cls_masks_alone_are_not_enough(tmp_path: Path) -> None:
    put(tmp_path / "white-blood-cell-dataset/BloodImageSetS6NucSeg_masks/BloodImage_00000.png", "")
    with pytest.raises(LayoutError, match="expected BloodImageSetS6NucSeg once; found BloodImageSetS6NucSeg_masks"):
        plan("white-blood-cell-dataset-cls", tmp_path)


# --- BCCD, cells ---


def field_with(*objects: tuple[str, tuple[int, int, int, int]]) -> tuple[bytes, str]:
    """A field whose pixels tell their place: red is x, green is y; and its page."""
    y, x = np.mgrid[:128, :256]
    pixels = np.stack([x, 2 * y, np.full_like(x, 200)], axis=2).astype(np.uint8)
    return png_bytes(Image.fromarray(pixels)), voc.page("f.jpg", (256, 128), objects)


def bccd_tree(root: Path, *objects: tuple[str, tuple[int, int, int, int]]) -> None:
    picture, page = field_with(*objects)
    put(root / "bccd/BCCD/JPEGImages/BloodImage_00001.jpg", picture)
    put(root / "bccd/BCCD/Annotations/BloodImage_00001.xml", page)


def test_bccd_cells_are_the_pixels_of_the_boxes(tmp_path: Path) -> None:
    bccd_tree(tmp_path, ("WBC", (11, 21, 50, 70)), ("RBC", (1, 1, 256, 128)), ("RBC", (30, 30, 30, 30)))
    put(tmp_path / "bccd/BCCD/ImageSets/Main/test.txt", "BloodImage_00001\n")
    result, rows = built("bccd-cls", tmp_path, tmp_path / "corpus")
    assert [(q.reason, q.record) for q in result.quarantine] == [("degenerate_box", "BloodImage_00001/3")]
    assert {key: row["label"] for key, row in rows.items()} == {
        "BloodImage_00001/1": "white_blood_cell",
        "BloodImage_00001/2": "red_blood_cell",
    }
    row = rows["BloodImage_00001/1"]
    pixels = np.asarray(Image.open(BytesIO(row["image"]["bytes"])))
    assert pixels.shape == (50, 40, 3)
    assert (pixels[0, 0].tolist(), pixels[-1, -1].tolist()) == ([10, 40, 200], [49, 138, 200])
    assert (row["flags"], row["encoding_source"], row["label_scope"]) == (["cell_crop"], "jpeg", "cell")
    assert row["source_file"] == "BCCD/JPEGImages/BloodImage_00001.jpg"
    assert {(r["native_group"], r["split_upstream"]) for r in rows.values()} == {("bccd/BloodImage_00001", "test")}


def test_bccd_cell_outside_its_field_is_withheld_and_one_over_the_border_is_cut(tmp_path: Path) -> None:
    bccd_tree(tmp_path, ("WBC", (250, 100, 258, 120)), ("RBC", (250, 100, 280, 120)))
    result, rows = built("bccd-cls", tmp_path, tmp_path / "corpus")
    assert [(q.reason, q.record) for q in result.quarantine] == [("box_outside", "BloodImage_00001/2")]
    row = rows["BloodImage_00001/1"]
    assert (row["width"], row["height"], row["flags"]) == (7, 21, ["cell_crop", "bbox_clipped"])


def test_bccd_cells_of_a_field_never_straddle_splits(tmp_path: Path) -> None:
    build(["bccd", "bccd-cls"], Path("nowhere"), tmp_path / "corpus", Options(phantom=40))
    with hemadata.open(tmp_path / "corpus") as corpus:
        index = corpus.index.to_pylist()
    places: dict[str, set[str]] = {}
    for row in index:
        if row["split"] != "excluded":
            places.setdefault(row["group_id"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in places.values())
    assert len([row for row in index if row["source"] == "bccd-cls"]) == 40


@pytest.mark.parametrize("name", ["bccd", "bccd-cls"])
def test_bccd_roboflow_export_is_read_under_the_same_groups(name: str, tmp_path: Path) -> None:
    _, page = field_with(("WBC", (11, 21, 50, 70)))
    stem = f"BloodImage_00012_jpg.rf.{'0' * 32}"
    put(tmp_path / f"bccd/valid/{stem}.jpg", jpeg((256, 128)))
    put(tmp_path / f"bccd/valid/{stem}.xml", page)
    _, rows = built(name, tmp_path, tmp_path / "corpus")
    (row,) = rows.values()
    assert (row["native_group"], row["split_upstream"]) == ("bccd/BloodImage_00012", "validation")
    assert row["source_version"] == "1.0, a Roboflow export"


def test_bccd_yolo_export_gives_boxes_and_crops_in_pixels(tmp_path: Path) -> None:
    stem = f"BloodImage_00012_jpg.rf.{'0' * 32}"
    put(tmp_path / "bccd/data.yaml", "names: ['Platelets', 'RBC', 'WBC']\n")
    put(tmp_path / f"bccd/train/images/{stem}.jpg", jpeg((200, 100)))
    put(tmp_path / f"bccd/train/labels/{stem}.txt", "2 0.5 0.5 0.25 0.5\n")
    _, rows = built("bccd", tmp_path, tmp_path / "fields")
    assert rows[f"train/{stem}"]["objects"][0]["bbox"] == [75, 25, 50, 50]
    _, rows = built("bccd-cls", tmp_path, tmp_path / "cells")
    row = rows[f"train/{stem}/1"]
    assert (row["label"], row["width"], row["height"]) == ("white_blood_cell", 50, 50)


def test_bccd_archive_and_export_together_are_refused(tmp_path: Path) -> None:
    bccd_tree(tmp_path, ("WBC", (11, 21, 50, 70)))
    put(tmp_path / "bccd/train/BloodImage_00012_jpg.rf.0.jpg", jpeg())
    with pytest.raises(LayoutError, match="holds the archive and a Roboflow export of the same pictures"):
        plan("bccd", tmp_path)


def test_bccd_cells_of_the_real_archive(raw_root: Path) -> None:
    if not (raw_root / "bccd").is_dir():
        pytest.skip(f"{raw_root} lacks bccd")
    refs, raw = plan("bccd-cls", raw_root)
    assert Counter(ref.label_raw for ref in refs) == {"RBC": 4153, "WBC": 372, "Platelets": 361}
    assert sorted(p.record.partition("/")[0] for p in raw.problems) == ["BloodImage_00338", "BloodImage_00343"]
    first = next(ref for ref in refs if ref.key.startswith("BloodImage_00000/") and ref.label_raw == "WBC")
    crop = Image.open(BytesIO(sources.get("bccd-cls").load(first).image))
    whole = Image.open(raw_root / "bccd/BCCD/JPEGImages/BloodImage_00000.jpg")
    assert crop.tobytes() == whole.crop((259, 176, 491, 376)).tobytes()  # 260, 177, 491, 376 on the page


# --- parasite species ---


def test_parasites_of_every_release_are_known_by_the_beginning_of_the_folder(tmp_path: Path) -> None:
    files = {
        "x/Parasite Data Set/Toxoplasma_400X_3758/1.jpg": ("toxoplasma", "400x in all"),
        "x/Parasite Data Set/Toxoplasma_1000X_2933/1.jpg": ("toxoplasma", "1000x in all"),
        "x/Parasite Data Set/Leukocyte_1000X_461/1.png": ("white_blood_cell", "1000x in all"),
        "x/Parasite Data Set/RBCs_8995/1.jpg": ("red_blood_cell", None),
        "x/Parasite Data Set/Babesia/1.jpg": ("babesia", None),
        "x/Parasite Data Set/trypanosomes/deeper/1.jpg": ("trypanosome", None),
    }
    for name in files:
        put(tmp_path / "parasites" / name, jpeg() if name.endswith("jpg") else png_bytes(Image.new("RGB", (9, 9))))
    put(tmp_path / "parasites/x/Parasite Data Set/RBCs_8995/notes.txt", "")
    result, rows = built("parasites", tmp_path, tmp_path / "corpus")
    found = {row["source_file"]: (row["label"], row["magnification"]) for row in rows.values()}
    assert found == files
    assert [q.reason for q in result.quarantine] == ["junk_file"]


def test_parasites_unknown_folder_stops_and_no_folder_says_what_was_expected(tmp_path: Path) -> None:
    put(tmp_path / "parasites/readme.txt", "")
    with pytest.raises(LayoutError, match=r"expected pictures in class folders Babesia_1173.*sources/parasites\.py"):
        plan("parasites", tmp_path)
    put(tmp_path / "parasites/Babesia_1173/1.jpg", jpeg())
    put(tmp_path / "parasites/Giardia_5/1.jpg", jpeg())
    result = build(["parasites"], tmp_path, tmp_path / "corpus", Options(jobs=1))[0]
    assert isinstance(result.error, UnknownLabelError) and "Giardia_5" in str(result.error)


def test_parasites_fill_the_last_numbers_of_the_45_class_head(tmp_path: Path) -> None:
    result = build(["parasites"], Path("nowhere"), tmp_path / "corpus", Options(phantom=10))[0]
    assert result.images == 10
    with hemadata.open(tmp_path / "corpus") as corpus:
        view = corpus.view("uni_hema_45")
        numbers = {view.id(row["source"], row["label_raw"], row["label"]) for row in corpus.rows("classification")}
    assert numbers == {34, *range(38, 45)}
