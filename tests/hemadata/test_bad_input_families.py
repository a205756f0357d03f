"""One source of every family, and what may be wrong with its tree: an error or quarantine tells, no row is wrong."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import hemadata
import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.build.plan import make_plan
from hemadata.errors import HemaError

M5 = "m5/M5-Malaria Dataset/Annotations/HCM/train/100x"
COCO = "leukemiaattri/LeukemiaAttri_Dataset/H_100X_C2/json_labels/train.json"
Spoil = Callable[[Path], object]


def outcome(name: str, root: Path) -> tuple[set[str], str]:
    """Keys of the plan; every problem it reports, or its error, as text."""
    source = sources.get(name)
    try:
        plan = make_plan(source, source.open_raw([root]))
    except HemaError as error:
        return set(), str(error)
    return {ref.key for ref in plan.refs}, "\n".join(
        f"{p.reason} {p.file} {p.record} {p.detail}" for p in plan.problems
    )


def first(root: Path, pattern: str) -> Path:
    return sorted(root.glob(pattern))[0]


def change(pattern: str, before: str, after: str) -> Spoil:
    def spoil(root: Path) -> None:
        file = first(root, pattern)
        text = file.read_text()
        assert before in text
        file.write_text(text.replace(before, after, 1))

    return spoil


def remove(pattern: str) -> Spoil:
    return lambda root: first(root, pattern).unlink()


def wander(folder: str) -> Spoil:
    def spoil(root: Path) -> None:
        with zipfile.ZipFile(root / folder / "part.zip", "w") as packed:
            packed.writestr("../../outside.jpg", b"x")

    return spoil


def ghost(root: Path) -> None:
    """One more picture in a COCO page."""
    page = json.loads((root / COCO).read_text())
    page["images"].append({"id": 999, "file_name": "99_9_1000_AML.png"})
    (root / COCO).write_text(json.dumps(page))


CASES: list[tuple[str, Spoil, str]] = [
    # missing annotation file
    ("bccd", remove("bccd/BCCD/Annotations/*.xml"), "missing_annotation"),
    ("m5", remove(f"{M5}/*.xml"), "missing_annotation"),
    ("txl-pbc", remove("txl-pbc/TXL_PBC/labels/train/????????-*.txt"), "missing_annotation"),
    ("raabin-m1", remove("raabin-m1/**/jsons/*.json"), "missing_annotation"),
    ("vivax", remove("vivax/malaria/test.json"), "test.json is missing"),
    ("leukemiaattri", lambda root: (root / COCO).unlink(), ""),
    ("krd-wbc-cls", remove("krd-wbc/**/class labels.csv"), "class labels.csv"),
    ("anerbc-healthy", remove("anerbc/**/AneRBC-II/Healthy*/Binary_segmented/*.png"), "missing_annotation"),
    ("wbcatt", remove("wbcatt/pbc_attr_v1_val.csv"), "pbc_attr_v1_val.csv"),
    ("leukemiaattri-mlm", remove("leukemiaattri-mlm/hemasynth/texts.parquet"), "texts.parquet"),
    # annotation for a missing image
    ("bccd", remove("bccd/BCCD/JPEGImages/*.jpg"), "missing_image"),
    ("txl-pbc", remove("txl-pbc/TXL_PBC/images/train/*.jpg"), "missing_image"),
    ("raabin-m1", remove("raabin-m1/**/images/*.jpg"), "missing_image"),
    ("vivax", remove("vivax/malaria/images/*.png"), "missing_image"),
    ("krd-wbc-cls", remove("krd-wbc/**/image/*.jpg"), "missing_image"),
    ("leukemiaattri-mlm", remove("leukemiaattri/**/*.png"), "missing_image"),
    # wrong class word
    ("bccd", change("bccd/BCCD/Annotations/*.xml", "<name>RBC<", "<name>RCB<"), "'RCB'"),
    ("txl-pbc", lambda root: first(root, "txl-pbc/**/train/????????-*.txt").write_text("7 .5 .5 .1 .1"), "class 7"),
    ("raabin-m1", change("raabin-m1/**/*_103240.json", '"Neutrophil"', '"Neutrofil"'), "'Neutrofil'"),
    ("vivax", change("vivax/malaria/training.json", '"red blood cell"', '"read blood cell"'), "'read blood cell'"),
    ("leukemiaattri", change(COCO, '"name": "lymphocyte"', '"name": "lymfocyte"'), "'lymfocyte'"),
    ("krd-wbc-cls", change("krd-wbc/**/class labels.csv", "Neutrophil", "Neutrofil"), "'Neutrofil'"),
    ("hrls", lambda root: first(root, "hrls/*/Monocyte").rename(root / "hrls/Labelled/Monocite"), "'Monocite'"),
    # a member of a zip that would leave its folder
    *[(name, wander(name), "would leave its folder") for name in ("bccd", "hrls", "wbcatt-vqa", "txl-pbc", "lisc")],
]


@pytest.mark.parametrize(("name", "spoil", "word"), CASES, ids=[f"{c[0]}-{n}" for n, c in enumerate(CASES)])
def test_spoiled_tree_is_told_and_makes_no_new_row(name: str, spoil: Spoil, word: str, tmp_path: Path) -> None:
    sources.get(name).draw(tmp_path, 8, 0)
    before, _ = outcome(name, tmp_path)
    spoil(tmp_path)
    after, told = outcome(name, tmp_path)
    assert after < before, "the spoiled record still makes a row, or another appears"
    assert word in told, told


def test_picture_that_only_a_page_names_is_told_and_makes_no_row(tmp_path: Path) -> None:
    sources.get("leukemiaattri").draw(tmp_path, 8, 0)
    before, _ = outcome("leukemiaattri", tmp_path)
    ghost(tmp_path)
    after, told = outcome("leukemiaattri", tmp_path)
    assert after == before
    assert "missing_image" in told and "99_9_1000_AML" in told


@pytest.mark.parametrize(
    ("name", "folder", "copy"),
    [("m5", "M5-Malaria Dataset", "old/M5-Malaria Dataset"), ("txl-pbc", "TXL_PBC", "old/TXL_PBC")],
)
def test_two_versions_side_by_side_are_an_error(name: str, folder: str, copy: str, tmp_path: Path) -> None:
    sources.get(name).draw(tmp_path, 6, 0)
    shutil.copytree(tmp_path / name / folder, tmp_path / name / copy)
    keys, told = outcome(name, tmp_path)
    assert not keys and "old/" in told


FAR = 90_000  # pixels: outside every picture


def beyond_in_coco(root: Path) -> None:
    page = json.loads((root / COCO).read_text())
    page["annotations"][0]["bbox"][0] = FAR
    (root / COCO).write_text(json.dumps(page))


def beyond_in_xml(root: Path) -> None:
    page = first(root, "bccd/BCCD/Annotations/*00001.xml")
    page.write_text(re.sub(r"<(xmin|xmax)>(\d+)<", lambda m: f"<{m[1]}>{int(m[2]) + FAR}<", page.read_text(), count=2))


def beyond_in_shares(root: Path) -> None:
    page = first(root, "txl-pbc/TXL_PBC/labels/train/*.txt")
    number, _, *rest = page.read_text().splitlines()[0].split()
    page.write_text("\n".join([" ".join([number, str(FAR), *rest]), *page.read_text().splitlines()[1:]]))


@pytest.mark.parametrize(
    ("name", "spoil"), [("bccd", beyond_in_xml), ("leukemiaattri", beyond_in_coco), ("txl-pbc", beyond_in_shares)]
)
def test_box_outside_its_image_is_withheld_and_told(name: str, spoil: Spoil, tmp_path: Path) -> None:
    sources.get(name).draw(tmp_path / "raw", 4, 0)
    (sound,) = build([name], tmp_path / "raw", tmp_path / "before", Options(jobs=1))
    spoil(tmp_path / "raw")
    (result,) = build([name], tmp_path / "raw", tmp_path / "corpus", Options(jobs=1))
    assert result.error is None and result.objects == sound.objects - 1
    told = [problem.reason for problem in result.quarantine]
    assert told.count("box_outside") == [problem.reason for problem in sound.quarantine].count("box_outside") + 1
    with hemadata.open(tmp_path / "corpus") as corpus:
        rows = list(corpus.rows("detection"))
    assert len(rows) == 4
    ends = [(thing["bbox"][0] + thing["bbox"][2], row["width"]) for row in rows for thing in row["objects"]]
    assert all(end <= width + 1e-3 for end, width in ends)  # stored as float32
