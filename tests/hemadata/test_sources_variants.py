"""Trees that a user may have and that are not quite the published ones: the same rows, or a clear word."""

import json
import tempfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import numpy as np
import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.build.plan import Plan, make_plan
from hemadata.errors import FormatError, LayoutError
from hemadata.formats import voc, xlsx
from hemadata.formats.rawtree import RawFile
from hemadata.phantom import jpeg_bytes, png_bytes
from hemadata.sources import elsafty_rbc, erythrocytes_idb
from hemadata.sources.base import Ref
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

GREY = Image.new("RGB", (64, 48), (230, 220, 235))
Change = Callable[[Path], None]


def plan(name: str, root: Path) -> Plan:
    source = sources.get(name)
    return make_plan(source, source.open_raw([root]))


def rows(name: str, root: Path) -> dict[str, tuple[object, ...]]:
    refs = {ref.key: ref for ref in plan(name, root).refs}
    return {
        key: (ref.label_raw, ref.label_fine_raw, ref.group, ref.split_upstream, ref.split_paper, ref.objects)
        for key, ref in sorted(refs.items())
    }


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def rename(old: str, new: str) -> Change:
    """Another ending of all files that have the old one."""

    def change(folder: Path) -> None:
        for file in sorted(folder.rglob(f"*{old}")):
            file.rename(file.with_name(file.name.removesuffix(old) + new))

    return change


def without_top(folder: Path) -> None:
    """What the top folder holds lies in the raw folder itself."""
    (top,) = [path for path in folder.iterdir() if path.is_dir()]
    aside = top.rename(folder.parent / "aside")
    for path in aside.iterdir():
        path.rename(folder / path.name)
    aside.rmdir()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("acevedo", without_top),
        ("acevedo", rename(".jpg", ".JPEG")),
        ("wbcatt", rename(".jpg", ".JPG")),
        ("anerbc-anemic", rename(".png", ".PNG")),
        ("anerbc-healthy", rename(".png", ".PNG")),
        ("bccd", without_top),
        ("bccd", rename(".jpg", ".jpeg")),
        ("bccd-cls", rename(".xml", ".XML")),
        ("bio-net", rename(".jpg", ".JPG")),
        ("bmc", rename(".csv", ".CSV")),
        ("malaria-detection-2019", rename(".png", ".PNG")),
    ],
)
def test_other_endings_and_no_top_folder_give_the_same_rows(name: str, change: Change, tmp_path: Path) -> None:
    source = sources.get(name)
    source.draw(tmp_path, 14 if name == "acevedo" else 5, 0)
    before = rows(name, tmp_path)
    change(tmp_path / source.facts.raw_folders[-1])
    assert rows(name, tmp_path) == before


@pytest.mark.parametrize("name", ["bccd", "bio-net", "anerbc-anemic", "malaria-detection-2019"])
def test_a_picture_in_two_spellings_is_refused(name: str, tmp_path: Path) -> None:
    sources.get(name).draw(tmp_path, 2, 0)
    picture = next(file for file in tmp_path.rglob("*.*g") if "mages" in file.parent.name and file.is_file())
    put(picture.with_suffix(picture.suffix.upper()), picture.read_bytes())
    with pytest.raises(LayoutError, match="twice"):
        plan(name, tmp_path)


@pytest.mark.parametrize("name", ["acevedo", "acevedo-det"])
def test_the_pbc_picture_under_two_labels_keeps_both_and_is_flagged(name: str, tmp_path: Path) -> None:
    top = tmp_path / "acevedo" / "PBC_dataset_normal_DIB"
    for place in ("eosinophil/EO_225902", "neutrophil/BNE_191112", "neutrophil/BNE_7323"):
        put(top / f"{place}.jpg", jpeg_bytes(GREY))
    assert build([name], tmp_path, tmp_path / "corpus", Options(jobs=1))[0].error is None
    with hemadata.open(tmp_path / "corpus") as corpus:
        found = {row["sample_id"].rpartition("/")[2]: row for row in corpus.rows(sources.get(name).facts.task)}
    assert {key: row["label"] for key, row in found.items()} == {
        "EO_225902": "eosinophil",
        "BNE_191112": "neutrophil",
        "BNE_7323": "neutrophil",
    }
    for key in ("EO_225902", "BNE_191112"):
        assert "contradicting_label" in found[key]["flags"]
        assert [(r["raw"], r["label"]) for r in found[key]["ratings"]] == [("eosinophil",) * 2, ("neutrophil",) * 2]
    assert "contradicting_label" not in found["BNE_7323"]["flags"] and found["BNE_7323"]["ratings"] is None


def test_wbcatt_refuses_a_picture_that_comes_twice(tmp_path: Path) -> None:
    sources.get("wbcatt").draw(tmp_path, 3, 0)
    picture = next((tmp_path / "acevedo").rglob("*.jpg"))
    put(tmp_path / "acevedo" / "copy" / picture.parent.name / picture.name, picture.read_bytes())
    with pytest.raises(LayoutError, match="twice"):
        plan("wbcatt", tmp_path)


# BCCD as Dataset Ninja ships it


def dataset_ninja(root: Path, entries: list[dict[str, Any]], place: str = "ds/val") -> None:
    put(root / "bccd" / place / "img" / "BloodImage_00007.jpg", jpeg_bytes(Image.new("RGB", (640, 480))))
    page = {"size": {"width": 640, "height": 480}, "objects": entries}
    put(root / "bccd" / place / "ann" / "BloodImage_00007.jpg.json", json.dumps(page))


def rectangle(word: str, *corners: int) -> dict[str, Any]:
    points = {"exterior": [list(corners[:2]), list(corners[2:])], "interior": []}
    return {"classTitle": word, "geometryType": "rectangle", "points": points}


@pytest.mark.parametrize("place", ["val", "bccd-DatasetNinja/val"])
def test_bccd_of_dataset_ninja_has_the_boxes_of_the_archive(place: str, tmp_path: Path) -> None:
    corners = ("WBC", (260, 177, 491, 376)), ("RBC", (504, 337, 504, 337))
    dataset_ninja(tmp_path, [rectangle(word, *box) for word, box in corners], place)
    (ref,) = plan("bccd", tmp_path).refs
    assert (ref.key, ref.group, ref.split_upstream) == ("BloodImage_00007", "BloodImage_00007", "validation")
    assert ref.objects == voc.objects(voc.page("x", (640, 480), corners))
    assert "Dataset Ninja" in ref.about["source_version"]


def test_bccd_of_dataset_ninja_with_other_shapes_is_quarantined(tmp_path: Path) -> None:
    dataset_ninja(tmp_path, [{"classTitle": "RBC", "bitmap": {}}])
    source = sources.get("bccd")
    raw = source.open_raw([tmp_path])
    assert list(source.index(raw)) == []
    assert [problem.reason for problem in raw.problems] == ["unreadable_annotation"]


# C-NMC: each part may be a zip of its own


def test_c_nmc_parts_packed_without_a_folder_are_known_by_the_name_of_the_zip(tmp_path: Path) -> None:
    folder = tmp_path / "c-nmc-2019"
    folder.mkdir()
    with zipfile.ZipFile(folder / "C-NMC_test_prelim_phase_data.zip", "w") as packed:
        packed.writestr("1.bmp", b"BM")
        packed.writestr(
            "C-NMC_test_prelim_phase_data_labels.csv", "Patient_ID,new_names,labels\nUID_57_29_1_all.bmp,1.bmp,1\n"
        )
    (ref,) = plan("c-nmc-2019", tmp_path).refs
    assert (ref.key, ref.label_raw, ref.group, ref.split_upstream) == ("prelim/1", "1", "subject 57", "test")


# Elsafty, BBBC041Seg: masks


def test_elsafty_cells_that_fill_the_border_are_not_inverted(tmp_path: Path) -> None:
    cells = np.zeros((80, 80), np.uint8)
    cells[:, :70] = 255
    top = tmp_path / "elsafty-rbc"
    for folder, picture in (("Cropped images", GREY.resize((80, 80))), ("Masks", Image.fromarray(cells))):
        put(top / folder / "Three overlapping" / "1Slide 1 (1,2,3,4,5).png", png_bytes(picture))
    (ref,) = plan("elsafty-rbc", tmp_path).refs
    assert (mask_of(elsafty_rbc.load(ref)) == cells).all()


def mask_of(sample: Any) -> np.ndarray:
    with Image.open(BytesIO(sample.mask)) as image:
        return np.asarray(image)


@pytest.mark.parametrize("mode", ["1", "L", "RGB"])
def test_bbbc041_masks_of_one_bit_and_of_zero_and_one(mode: str, tmp_path: Path) -> None:
    cells = np.zeros((48, 64), np.uint8)
    cells[10:20, 10:30] = 255 if mode == "1" else 1
    put(tmp_path / "bbbc041-seg" / "Original" / "a.png", png_bytes(GREY))
    put(tmp_path / "bbbc041-seg" / "Mask" / "a.png", png_bytes(Image.fromarray(cells).convert(mode)))
    source = sources.get("bbbc041-seg")
    (ref,) = plan("bbbc041-seg", tmp_path).refs
    assert (mask_of(source.load(ref)) == 255).sum() == 200


# erythrocytesIDB


def test_erythrocytes_smear_without_a_mask_is_told(tmp_path: Path) -> None:
    erythrocytes_idb.draw(tmp_path, 2, 0)
    found = plan("erythrocytes-idb", tmp_path)
    assert found.images == 2
    assert [(q.record, q.reason, q.detail[:20]) for q in found.problems] == [
        ("37erythrocytesIDB2", "incomplete_annotation", "no mask-circular.jpg")
    ]


# LeukemiaAttri


def leukemia_page(name: str, **codes: Any) -> str:
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1.5, 2, 3, 4], **codes}
    categories = [{"id": 1, "name": "Myeloblast"}]
    return json.dumps({"images": [{"id": 1, "file_name": name}], "annotations": [box], "categories": categories})


def leukemia(root: Path, name: str = "4_7_1000_ALL.png", **codes: Any) -> Ref:
    top = root / "leukemiaattri" / "LeukemiaAttri_Dataset" / "H_100X_C2"
    put(top / "Images" / "train" / name, png_bytes(GREY))
    put(top / "json_labels" / "train.json", leukemia_page(name, **codes))
    (ref,) = plan("leukemiaattri", root).refs
    return ref


def test_leukemiaattri_codes_known_unknown_and_not_given(tmp_path: Path) -> None:
    codes = {"cell_size": 2.0, "nuclear_chromatio": 1, "nuclear_shape": 2, "nucleolus": 4, "cytoplasm": None}
    (box,) = leukemia(tmp_path, **codes).objects or ()
    assert {name: (value, raw) for name, value, raw in box.attributes} == {
        "cell_size": ("large", "2"),
        "nuclear_chromatin": ("coarse", "1"),
        "nuclear_shape": (None, "2"),
        "nucleolus": (None, "4"),
        "cytoplasm": (None, None),
        "cytoplasmic_basophilia": (None, None),
        "cytoplasmic_vacuoles": (None, None),
    }


def test_leukemiaattri_normal_slide_is_no_leukemia(tmp_path: Path) -> None:
    assert leukemia(tmp_path, "8_1_1000_Normal.png").about["disease"] == "normal"
    assert "disease" not in leukemia(tmp_path / "other").about


def test_leukemiaattri_parts_may_repeat_a_file_but_not_with_other_content(tmp_path: Path) -> None:
    first = leukemia(tmp_path)
    again = (
        tmp_path / "leukemiaattri" / "LeukemiaAttri_Dataset 2" / "H_100X_C2" / "Images" / "train" / "4_7_1000_ALL.png"
    )
    put(again, png_bytes(GREY))
    assert [ref.key for ref in plan("leukemiaattri", tmp_path).refs] == [first.key]
    put(again, png_bytes(GREY.resize((10, 10))))
    with pytest.raises(LayoutError, match="two versions"):
        plan("leukemiaattri", tmp_path)


# Malaria-Detection-2019: the table of life stages

TILE = "Trip 017 Day 1 19-10-05 Image 14 add_1"


def malaria_tile(root: Path, *objects: tuple[int, int, int, int]) -> Path:
    """A tile whose mask shows some boxes; returns where its table belongs."""
    cells = np.zeros((300, 400), np.uint8)
    for x, y, w, h in objects:
        cells[y : y + h, x : x + w] = 255
    top = root / "malaria-detection-2019" / "malaria_segmentation"
    put(top / "Giemsa stained images" / f"{TILE}.png", png_bytes(Image.new("RGB", (400, 300), (230, 220, 235))))
    put(top / "Ground truth images" / f"{TILE}_GT.png", png_bytes(Image.fromarray(cells)))
    return top / "LifeStages.xlsx"


def test_malaria_detection_stages_go_to_the_nearest_component(tmp_path: Path) -> None:
    table = malaria_tile(tmp_path, (10, 10, 20, 20), (40, 10, 20, 20), (300, 200, 30, 30))
    rows = [("R", 49.5, 20), ("LR-ET", 22, 18), ("DEBRIS", 200, 100), ("Gam", 26, 20)]
    xlsx.write(table, [("imageName", "stage", "center_x", "center_y"), *((f"{TILE}.png", *row) for row in rows)])
    (result,) = build(["malaria-detection-2019"], tmp_path, tmp_path / "corpus", Options(jobs=1))
    assert result.error is None
    with hemadata.open(tmp_path / "corpus") as corpus:
        (row,) = corpus.rows("segmentation")
    assert [(o["label_raw"], o["label"], o["bbox"]) for o in row["objects"]] == [
        ("LR-ET", "plasmodium_ring", [10, 10, 20, 20]),
        ("R", "plasmodium_ring", [40, 10, 20, 20]),
        (None, None, [300, 200, 30, 30]),
    ]
    assert row["flags"] == ["boxes_from_mask"]
    left_over = [(q.reason, q.detail.partition(":")[0]) for q in result.quarantine]
    assert left_over == [("point_marks", "DEBRIS at (200.0, 100.0)"), ("point_marks", "Gam at (26.0, 20.0)")]


def test_malaria_detection_without_its_table_has_masks_and_says_so(tmp_path: Path) -> None:
    malaria_tile(tmp_path, (10, 10, 20, 20))
    found = plan("malaria-detection-2019", tmp_path)
    assert [(q.file, q.reason) for q in found.problems] == [("LifeStages.xlsx", "incomplete_annotation")]
    (ref,) = found.refs
    assert sources.get("malaria-detection-2019").load(ref).objects is None


def test_malaria_detection_row_without_a_tile_is_reported(tmp_path: Path) -> None:
    table = malaria_tile(tmp_path, (10, 10, 20, 20))
    xlsx.write(table, [("imageName", "stage", "center_x", "center_y"), ("Trip 018 x.png", "R", 1, 2)])
    assert [(q.record, q.reason) for q in plan("malaria-detection-2019", tmp_path).problems] == [
        ("Trip 018 x", "missing_image")
    ]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("image", "stage")], "expected a sheet with the columns .*imageName.*; found image, stage"),
        ([("imageName", "stage", "center_x", "center_y"), ("a.png", "R", "left", 2)], "row 2: the centre"),
        ([], "found nothing"),
    ],
)
def test_malaria_detection_table_that_cannot_be_used(rows: Any, told: str, tmp_path: Path) -> None:
    xlsx.write(malaria_tile(tmp_path, (10, 10, 20, 20)), rows)
    with pytest.raises(FormatError, match=told):
        plan("malaria-detection-2019", tmp_path)


# Spreadsheets


def spreadsheet(path: Path, **parts: str) -> RawFile:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in parts.items():
            packed.writestr(f"xl/{name.replace('__', '/')}.xml", text)
    return RawFile(str(path), path.name)


def test_spreadsheet_with_shared_texts_gaps_and_a_second_sheet(tmp_path: Path) -> None:
    texts = "<sst><si><t>name</t></si><si><r><t>a</t></r><r><t>b </t></r></si><si><t>size</t></si></sst>"
    rows = (
        '<row><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>2</v></c></row><row/>'
        '<row><c r="A2" t="s"><v>1</v></c><c r="B2"><v>9</v></c><c r="C2"><v>1.5</v></c></row>'
        '<row><c r="C3"><v>2</v></c></row>'
    )
    sheets = {"worksheets__sheet1": "<worksheet/>", "worksheets__sheet2": f"<w><sheetData>{rows}</sheetData></w>"}
    file = spreadsheet(tmp_path / "x.xlsx", sharedStrings=texts, **sheets)
    assert list(xlsx.read_records(file, {"name", "size"})) == [
        {"name": "ab", "size": "1.5"},
        {"name": "", "size": "2"},
    ]


@given(st.lists(st.tuples(st.text("ab<&é \"'", max_size=5).map(str.strip), st.integers(-9, 9)), min_size=1, max_size=4))
def test_spreadsheet_comes_back_as_it_was_written(rows: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.xlsx"
        xlsx.write(path, [("word", "number"), *rows])
        found = list(xlsx.read_records(RawFile(str(path), "x.xlsx"), {"word", "number"}))
    assert found == [{"word": word, "number": str(number)} for word, number in rows]


def test_spreadsheet_from_strangers_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "MAX_PART", 1000)
    bomb = spreadsheet(tmp_path / "a.xlsx", worksheets__sheet1="<w>" + " " * 2000 + "</w>")
    entity = spreadsheet(tmp_path / "b.xlsx", worksheets__sheet1='<!DOCTYPE w [<!ENTITY a "b">]><w>&a;</w>')
    index = spreadsheet(tmp_path / "c.xlsx", worksheets__sheet1='<w><row><c t="s"><v>7</v></c></row></w>')
    put(tmp_path / "d.xlsx", "no zip")
    for file in (bomb, entity, index, RawFile(str(tmp_path / "d.xlsx"), "d.xlsx")):
        with pytest.raises(FormatError, match=file.name):
            list(xlsx.read_records(file, {"name"}))
