"""What a second reading of the facts pages found: each on a tree that holds it."""

import json
import zipfile
from pathlib import Path

import hemadata
import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.build.plan import Plan, make_plan
from hemadata.errors import FormatError, HemaError, LayoutError
from hemadata.phantom import bmp_bytes, jpeg_bytes
from PIL import Image

PICTURE = jpeg_bytes(Image.new("RGB", (64, 48), (200, 180, 190)))
NAMES = ("mp-idb", "nuclick", "txl-pbc", "vivax", "wbc-image-dataset", "white-blood-cell-dataset", "raabin", "rv-pbs")


def drawn(name: str, root: Path, n: int = 8) -> Path:
    sources.get(name).draw(root, n, 3)
    return root / sources.get(name).facts.raw_folders[0]


def plan(name: str, root: Path) -> Plan:
    source = sources.get(name)
    return make_plan(source, source.open_raw([root]))


def rows(name: str, root: Path) -> list[tuple[object, ...]]:
    return sorted((r.key, r.label_raw or "", r.group or "", len(r.objects or ())) for r in plan(name, root).refs)


@pytest.mark.parametrize("name", NAMES)
def test_endings_in_capitals_and_files_of_systems_change_nothing(name: str, tmp_path: Path) -> None:
    tree = drawn(name, tmp_path)
    expected = rows(name, tmp_path)
    for path in [p for p in tree.rglob("*") if p.suffix in (".jpg", ".png", ".bmp")]:
        path.rename(path.with_suffix(path.suffix.upper()))
    (tree / "__MACOSX").mkdir()
    (tree / "__MACOSX" / "._1.jpg").write_bytes(b"x")
    (tree / "README.md").write_text("read me")
    assert rows(name, tmp_path) == expected


@pytest.mark.parametrize("name", NAMES)
def test_folder_in_folders_and_zip_of_it_change_nothing(name: str, tmp_path: Path) -> None:
    tree = drawn(name, tmp_path / "drawn")
    packed = tmp_path / "raw" / tree.name / "my download (1).zip"
    packed.parent.mkdir(parents=True)
    with zipfile.ZipFile(packed, "w") as made:
        for path in sorted(p for p in tree.rglob("*") if p.is_file()):
            made.write(path, f"one/two/{path.relative_to(tree).as_posix()}")
    assert rows(name, tmp_path / "raw") == rows(name, tmp_path / "drawn")


@pytest.mark.parametrize(
    ("name", "missing"),
    [("nuclick", "images"), ("vivax", "images"), ("mp-idb", "gt"), ("wbc-image-dataset", "masks")],
)
def test_missing_half_is_told_with_what_befell_the_other(name: str, missing: str, tmp_path: Path) -> None:
    for path in sorted(drawn(name, tmp_path).rglob("*")):
        is_mask = path.suffix == ".png" and "Dataset" in path.parent.name
        if path.is_file() and (path.parent.name == missing or (missing == "masks" and is_mask)):
            path.unlink()
    with pytest.raises(HemaError, match=r"times (annotation without image|image without annotation), first "):
        plan(name, tmp_path)


def test_layout_error_of_a_lookup_names_the_reader(tmp_path: Path) -> None:
    (tmp_path / "vivax").mkdir()
    with pytest.raises(LayoutError, match=r"sources/vivax\.py"):
        plan("vivax", tmp_path)


def test_mp_idb_table_under_a_mended_header_is_not_guessed(tmp_path: Path) -> None:
    table = next(drawn("mp-idb-det", tmp_path).rglob("mp-idb-falciparum.csv"))
    assert len(list(plan("mp-idb-det", tmp_path).refs)) == 8
    table.write_text(table.read_text().replace("xmin,xmax,ymin,ymax", "xmin,ymin,xmax,ymax"))
    with pytest.raises(FormatError, match=r"line 1: expected filename,parasite_type,xmin,xmax,ymin,ymax, found"):
        plan("mp-idb-det", tmp_path)


def test_rv_pbs_whole_photographs_are_not_taken_for_crops(tmp_path: Path) -> None:
    folder = tmp_path / "rv-pbs" / "RV-PBS-main" / "MYELOCYTE"
    folder.mkdir(parents=True)
    (folder / "IMG_1234.jpg").write_bytes(PICTURE)
    (folder / "annotations.xml").write_text("<annotations/>")
    with pytest.raises(LayoutError, match=r"photographs with annotations\.xml"):
        plan("rv-pbs", tmp_path)


def test_wbc_image_without_mask_is_told_once(tmp_path: Path) -> None:
    top = tmp_path / "wbc-image-dataset"
    (top / "Dataset 1").mkdir(parents=True)
    (top / "Dataset 1" / "001.bmp").write_bytes(bmp_bytes(Image.new("RGB", (20, 20))))
    (top / "Dataset 1" / "001.png").write_bytes(b"x")
    (top / "Dataset 1" / "002.bmp").write_bytes(b"x")
    (top / "Class Labels of Dataset 1.csv").write_text("image ID,class label\r\n1,2\r\n2,3\r\n7,1\r\n")
    found = plan("wbc-image-dataset", tmp_path)
    assert [ref.label_raw for ref in found.refs] == ["2"]
    assert [(q.record, q.reason) for q in found.problems] == [("002", "missing_annotation"), ("7", "missing_image")]


@pytest.mark.parametrize("name", ["raabin-m1", "raabin-m2"])
def test_raabin_fields_are_not_marked_exhaustively(name: str, tmp_path: Path) -> None:
    drawn(name, tmp_path / "raw")
    (result,) = build([name], tmp_path / "raw", tmp_path / "corpus", Options(check="header"))
    assert result.error is None
    with hemadata.open(tmp_path / "corpus") as corpus:
        assert [row["classes_annotated"] for row in corpus.rows("detection")] == [[]] * 8


def test_parasite_export_cut_as_the_paper_has_its_split(tmp_path: Path) -> None:
    for split, count in (("train", 225), ("test", 40)):
        folder = tmp_path / "parasite" / split
        folder.mkdir(parents=True)
        names = [f"{split}-{number}_jpg.rf.{number:032x}.jpg" for number in range(count)]
        for name in names:
            (folder / name).write_bytes(b"x")
        images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
        page = {"images": images, "annotations": [], "categories": []}
        (folder / "_annotations.coco.json").write_text(json.dumps(page))
    assert {(ref.split_upstream, ref.split_paper) for ref in plan("parasite", tmp_path).refs} == {
        ("train", "train"),
        ("test", "test"),
    }
    (tmp_path / "parasite/test/test-0_jpg.rf.00000000000000000000000000000000.jpg").unlink()
    assert {ref.split_paper for ref in plan("parasite", tmp_path).refs} == {None}


def test_pairs_are_joined_on_numbers_that_became_text(tmp_path: Path) -> None:
    sources.get("wbcatt-vqa").draw(tmp_path / "drawn", 1, 0)
    picture = next((tmp_path / "drawn" / "acevedo").rglob("*.jpg"))
    (tmp_path / "drawn" / "acevedo").rename(tmp_path / "acevedo")
    (tmp_path / "wbcatt-vqa").mkdir()
    pair = {"id": 1, "image_id": "12", "Question": "How large is it?", "Answer": "Big."}
    page = {"images": [{"id": 12, "file_name": f"merge/{picture.name}"}], "annotations": [pair]}
    (tmp_path / "wbcatt-vqa" / "Q_A_train.json").write_text(json.dumps(page))
    (ref,) = plan("wbcatt-vqa", tmp_path).refs
    assert ref.about["qa"][0]["question"] == "How large is it?"
