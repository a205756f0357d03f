"""Trees written by hand from the facts pages, not by the phantoms: what the pages say and the phantoms do not draw."""

import json
import zipfile
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.errors import LayoutError
from hemadata.formats import voc
from hemadata.phantom import bmp_bytes, jpeg_bytes, png_bytes
from hemadata.sources.base import Raw, Ref
from PIL import Image

PLAIN = Image.new("RGB", (64, 48), (240, 230, 235))


def put(path: Path, content: bytes | str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def plan(name: str, root: Path) -> tuple[dict[str, Ref], Raw]:
    raw = sources.get(name).open_raw([root])
    return {ref.key: ref for ref in sources.get(name).index(raw)}, raw


def coco_page(name: str, **attributes: Any) -> str:
    box = {"id": 1, "image_id": 1, "category_id": 14, "bbox": [1.5, 2, 10, 12]} | attributes
    images = [{"id": 1, "file_name": name, "width": 64, "height": 48}]
    return json.dumps({"images": images, "annotations": [box], "categories": [{"id": 14, "name": "none"}]})


# LeukemiaAttri


@pytest.mark.parametrize(
    "member", ["json_labels/train.json", "labels/json_labels/train.json", "WBC_Detection/train.json"]
)
def test_leukemiaattri_page_in_the_zip_of_its_subset(member: str, tmp_path: Path) -> None:
    top = tmp_path / "leukemiaattri/LeukemiaAttri_Dataset 3/L_100X_C2"
    put(top / "images/train/4_7_1000_ALL.png", png_bytes(PLAIN))
    with zipfile.ZipFile(top / "labels.zip", "w") as packed:
        packed.writestr(member, coco_page("4_7_1000_ALL.png", cell_size=4, nuclear_chromatio=None))
    refs, raw = plan("leukemiaattri", tmp_path)
    (ref,) = refs.values()
    assert (ref.key, ref.group, ref.split_upstream, ref.split_paper) == (
        "L_100X_C2/4_7_1000_ALL",
        "slide 4",
        "train",
        "train",
    )
    assert {value for _, value, _ in (ref.objects or ())[0].attributes} == {None} and not raw.problems


def test_leukemiaattri_annotates_white_cells_only() -> None:
    facts = sources.get("leukemiaattri").facts
    labels = {sources.get("leukemiaattri").label_map().resolve(word).node for word in facts.labels}
    assert set(facts.classes_annotated or ()) == labels - {"not_identifiable"}


# Splits of the paper that are the whole of a set, or of a part of it


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("hrls", {"Labelled/Neutrophile Band/17.bmp": "train"}),
        ("aml-matek", {"AML-Cytomorphology_LMU/BAS/BAS_0001.tiff": "train"}),
        ("warty-pig", {"Cropped Classified/x/Monocyte/a.jpg": "train"}),
        (
            "wbc-image-dataset",
            {
                "Dataset 1/112.bmp": "train",
                "Dataset 1/112.png": "",
                "Dataset 1/139.bmp": "train",
                "Dataset 1/139.png": "",
                "Dataset 2/001.bmp": None,
                "Dataset 2/001.png": "",
                "Class Labels of Dataset 1.csv": "",
                "Class Labels of Dataset 2.csv": "",
            },
        ),
        (
            "white-blood-cell-dataset",
            {"BloodImageSetS6NucSeg/a.jpg": "train", "BloodImageSetS6NucSeg_masks/a.png": ""},
        ),
    ],
)
def test_paper_split_that_can_be_rebuilt(name: str, files: dict[str, str | None], tmp_path: Path) -> None:
    for path in files:
        put(tmp_path / name / path, "image ID,class\n1,1\n" if path.endswith(".csv") else b"x")
    refs, _ = plan(name, tmp_path)
    assert [ref.split_paper for ref in refs.values()] == [split for split in files.values() if split != ""]
    if name == "wbc-image-dataset":  # 112 and 139 are one picture
        assert refs["dataset-1/112"].group == refs["dataset-1/139"].group != refs["dataset-2/001"].group


def test_wbc_image_dataset_without_its_table_is_told(tmp_path: Path) -> None:
    put(tmp_path / "wbc-image-dataset/Dataset 1/001.bmp", bmp_bytes(PLAIN))
    put(tmp_path / "wbc-image-dataset/Dataset 1/001.png", b"x")
    with pytest.raises(LayoutError, match=r"Class Labels of Dataset 1\.csv"):
        plan("wbc-image-dataset", tmp_path)


# Makerere


def test_plasmodium_keeps_the_flag_of_a_bad_picture(tmp_path: Path) -> None:
    for number, bad in enumerate(("<status><bad>1</bad></status>", "<status><bad>0</bad></status>", "")):
        put(tmp_path / f"raw/plasmodium/images/plasmodium-{number:04d}.jpg", jpeg_bytes(PLAIN, orientation=6))
        put(tmp_path / f"raw/plasmodium/annotation/plasmodium-{number:04d}.xml", f"<annotation>{bad}</annotation>")
    (result,) = build(["plasmodium"], tmp_path / "raw", tmp_path / "corpus", Options(jobs=1))
    assert result.error is None
    with hemadata.open(tmp_path / "corpus") as corpus:
        flags = {row["sample_id"][-4:]: row["flags"] for row in corpus.rows("detection")}
    assert flags == {"0000": ["called_bad", "exif_rotated"], "0001": ["exif_rotated"], "0002": ["exif_rotated"]}


# BCCD


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
def test_bccd_re_issue_of_roboflow(form: str, tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        name, top = f"BloodImage_00012_jpg.rf.{split:0<32}", tmp_path / "raw/bccd" / split
        if form == "yolo":
            put(top / f"images/{name}.jpg", jpeg_bytes(PLAIN))
            put(top / f"labels/{name}.txt", "0 0.5 0.5 0.5 0.5\n")
            put(tmp_path / "raw/bccd/data.yaml", "names: ['Platelets', 'RBC', 'WBC']\nnc: 3\n")
        else:
            put(top / f"{name}.jpg", jpeg_bytes(PLAIN))
        if form == "voc":
            put(
                top / f"{name}.xml", voc.page(f"{name}.jpg", (64, 48), [("Platelets", (17, 13, 49, 37))])
            )  # as it writes them
        if form == "coco":
            names = [{"id": 0, "name": "cells"}, {"id": 1, "name": "Platelets"}]
            box = {"id": 0, "image_id": 0, "category_id": 1, "bbox": [16, 12, 32, 24]}
            page = {"images": [{"id": 0, "file_name": f"{name}.jpg"}], "annotations": [box], "categories": names}
            put(top / "_annotations.coco.json", json.dumps(page))
    (result,) = build(["bccd"], tmp_path / "raw", tmp_path / "corpus", Options(jobs=1))
    assert result.error is None
    with hemadata.open(tmp_path / "corpus") as corpus:
        rows = list(corpus.rows("detection"))
    assert {(row["split_upstream"], row["split_paper"]) for row in rows} == {
        ("train", "train"),
        ("validation", None),
        ("test", "test"),
    }
    assert {row["native_group"] for row in rows} == {"bccd/BloodImage_00012"}
    assert [[o["label"], *o["bbox"]] for row in rows for o in row["objects"]] == [["platelet", 16, 12, 32, 24]] * 3


def test_bccd_and_its_re_issue_are_two_versions(tmp_path: Path) -> None:
    put(tmp_path / "bccd/BCCD/JPEGImages/BloodImage_00000.jpg", jpeg_bytes(PLAIN))
    put(tmp_path / "bccd/train/BloodImage_00000_jpg.rf.0.jpg", jpeg_bytes(PLAIN))
    with pytest.raises(LayoutError, match="two versions"):
        plan("bccd", tmp_path)
