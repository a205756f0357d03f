"""Broken raw data: each defect lands in the quarantine with file and reason, and everything else is built."""

import os
import shutil
import struct
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import hemadata
import numpy as np
import pytest
from hemadata import sources
from hemadata.audit.contract import check
from hemadata.build import Built, Options, build
from hemadata.cli import main
from hemadata.errors import HemaError
from hemadata.quarantine import Quarantined
from PIL import Image

N = 20
WBC, NUC = "white-blood-cell-dataset", "BloodImageSetS6NucSeg"
PBC = "PBC_dataset_normal_DIB"
ENTITY_BOMB = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><annotation><object><name>&c;</name></object></annotation>'
)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises more pixels than any machine should decode."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def replace(before: str, after: str) -> Callable[[Path], None]:
    """Change the first such text of a file."""

    def change(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after, 1), encoding="utf-8")

    return change


def dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


def as_png(path: Path) -> None:
    Image.open(path).save(path, "PNG")


def box(xmin: str, ymin: str, xmax: str, ymax: str) -> Callable[[Path], None]:
    """Add a box to a VOC page."""
    frame = f"<xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax>"
    entry = f"<object><name>RBC</name><bndbox>{frame}</bndbox></object>"
    return replace("</annotation>", entry + "</annotation>")


# Field number of the BCCD phantom -> its damage: where, what, and the reason that the quarantine gives for which file.
IMAGE, PAGE = "JPEGImages/{}.jpg", "Annotations/{}.xml"
DAMAGES: dict[int, tuple[str, Callable[[Path], object], str, str]] = {
    1: (IMAGE, lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "truncated_image", IMAGE),
    2: (IMAGE, lambda p: p.write_bytes(b""), "empty_file", IMAGE),
    3: (IMAGE, lambda p: p.write_text("Access denied. Please log in."), "unreadable_image", IMAGE),
    4: (IMAGE, lambda p: p.write_bytes(png_header(60_000, 60_000)), "oversized_image", IMAGE),
    5: (IMAGE, dead_link, "unreadable_image", IMAGE),
    6: (IMAGE, Path.unlink, "missing_image", PAGE),
    7: (PAGE, Path.unlink, "missing_annotation", IMAGE),
    8: (PAGE, lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), "unreadable_annotation", PAGE),
    9: (PAGE, lambda p: p.write_text(ENTITY_BOMB), "unreadable_annotation", PAGE),
    10: (PAGE, lambda p: p.write_bytes(b"\xff\xfe\x00\xd8"), "unreadable_annotation", PAGE),
    11: (PAGE, box("ten", "10", "40", "40"), "unreadable_annotation", PAGE),
    12: (PAGE, box("10", "10", "700", "40"), "box_outside", IMAGE),
    13: (PAGE, box("nan", "10", "40", "40"), "box_not_finite", IMAGE),
    14: (PAGE, box("40", "10", "20", "30"), "degenerate_box", IMAGE),
    15: (PAGE, box("600", "10", "641", "30"), "clipped_box", IMAGE),
}
WHOLE = {0, 12, 13, 14, 15, 16, 17, 18, 19}  # fields whose image is in the corpus


def field(number: int) -> str:
    return f"BloodImage_{number:05d}"


@pytest.fixture(scope="module", params=["full", "header"])
def damaged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Built]]:
    """BCCD with every damage above, and WBC Image Dataset untouched, built in one command."""
    folder = tmp_path_factory.mktemp(f"damaged-{request.param}")
    raw = folder / "raw"
    for name in ("bccd", "wbc-image-dataset"):
        sources.get(name).draw(raw, N, 0)
    top = raw / "bccd" / "BCCD"
    for number, (where, change, _, _) in DAMAGES.items():
        change(top / where.format(field(number)))
    as_png(top / IMAGE.format(field(16)))
    junk = raw / "bccd" / "__MACOSX" / "BCCD" / "JPEGImages" / "._BloodImage_00000.jpg"
    junk.parent.mkdir(parents=True)
    junk.write_bytes(b"\0\5\26\7")
    (top / "Thumbs.db").write_bytes(b"x")
    results = build(["bccd", "wbc-image-dataset"], raw, folder / "corpus", Options(check=request.param))
    return folder / "corpus", {result.source: result for result in results}


@pytest.mark.parametrize("number", DAMAGES)
def test_damage_is_reported_with_file_and_reason(number: int, damaged: tuple[Path, dict[str, Built]]) -> None:
    _, _, reason, where = DAMAGES[number]
    found = [e for e in damaged[1]["bccd"].quarantine if e.record.split()[:1] == [field(number)]]
    assert [(e.reason, e.file) for e in found] == [(reason, f"BCCD/{where.format(field(number))}")]
    assert found[0].detail


def test_everything_else_is_built(damaged: tuple[Path, dict[str, Built]]) -> None:
    out, results = damaged
    assert results["bccd"].error is None and results["wbc-image-dataset"].error is None
    with hemadata.open(out) as corpus:
        rows = {row["sample_id"]: row for row in corpus.rows("detection")}
        assert set(rows) == {f"bccd/{field(number)}" for number in WHOLE}
        assert corpus.count("segmentation") == N
    assert rows[f"bccd/{field(16)}"]["encoding_source"] == "png"
    assert rows[f"bccd/{field(16)}"]["image"]["path"].endswith(".png")
    assert rows[f"bccd/{field(15)}"]["flags"] == ["bbox_clipped"]
    cut = rows[f"bccd/{field(15)}"]["objects"][-1]
    assert (cut["bbox"], cut["bbox_raw"], cut["flags"]) == ([599, 9, 41, 21], [599, 9, 42, 21], ["bbox_clipped"])
    assert len(rows[f"bccd/{field(12)}"]["objects"]) >= 13, "the boxes beside the bad one are kept"
    assert check(out).findings == []


def test_junk_is_told_and_never_counted(damaged: tuple[Path, dict[str, Built]]) -> None:
    junk = [entry for entry in damaged[1]["bccd"].quarantine if entry.reason == "junk_file"]
    assert {e.file for e in junk} == {"__MACOSX/BCCD/JPEGImages/._BloodImage_00000.jpg", "BCCD/Thumbs.db"}
    assert damaged[1]["bccd"].undeclared == {
        **{"truncated_image": 1, "empty_file": 1, "unreadable_image": 2, "oversized_image": 1, "missing_image": 1},
        **{"missing_annotation": 1, "unreadable_annotation": 4, "box_outside": 1, "box_not_finite": 1},
        **{"degenerate_box": 1, "clipped_box": 1},
    }


def test_check_none_looks_at_headers_alone(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    sources.get("bccd").draw(raw, 4, 0)
    for number in (1, 3):
        where, change, _, _ = DAMAGES[number]
        change(raw / "bccd" / "BCCD" / where.format(field(number)))
    (result,) = build(["bccd"], raw, tmp_path / "c", Options(check="none"))
    assert result.images == 3
    assert [e.reason for e in result.quarantine if e.severity == "lost"] == ["unreadable_image"]


# What may stand around the data, and how masks break.


def png(values: np.ndarray) -> bytes:
    out = BytesIO()
    Image.fromarray(values).save(out, "PNG")
    return out.getvalue()


def test_broken_masks(tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "c"
    sources.get(WBC).draw(raw, 10, 0)
    masks = raw / WBC / f"{NUC}_masks"
    grey = np.zeros((480, 640), np.uint8)
    grey[5:9, 5:9] = 255
    for number, data in {
        0: png(grey[:240]),
        1: png(np.where(grey == 255, 128, grey)),
        2: png(grey)[:60],
        3: b"",
        4: png_header(60_000, 60_000),
        6: png(np.rot90(grey)),
    }.items():
        (masks / f"{field(number)}.png").write_bytes(data)
    dead_link(masks / f"{field(5)}.png")
    (masks / f"{field(7)}.png").write_bytes(png(grey))
    (result,) = build([WBC], raw, out)
    found = {e.record: (e.reason, e.file) for e in result.quarantine}
    reasons = {0: "mask_size", 1: "mask_values", 2: "unreadable_mask", 3: "unreadable_mask", 4: "unreadable_mask"}
    reasons |= {5: "unreadable_mask", 6: "mask_size"}
    assert found == {field(n): (reason, f"{NUC}_masks/{field(n)}.png") for n, reason in reasons.items()}
    assert result.images == 3
    with hemadata.open(out) as corpus:
        mask = np.asarray(Image.open(BytesIO(corpus.mask(f"{WBC}/{field(7)}") or b"")))
    assert np.array_equal(mask, np.where(grey == 255, 2, 0))
    assert check(out).findings == []


def nest(path: Path, name: str | None = None) -> None:
    """Put one more folder around a folder, as unpacking `x.zip` into `x/` does."""
    inner = path.rename(path.with_name("moved"))
    path.mkdir()
    inner.rename(path / (name or path.name))


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("bccd", ["bccd/BCCD"]),
        ("bccd", ["bccd"]),
        ("wbc-image-dataset", ["wbc-image-dataset"]),
        (WBC, [f"{WBC}/{NUC}", f"{WBC}/{NUC}_masks"]),
        ("acevedo", [f"acevedo/{PBC}"]),
        ("wbcatt", [f"acevedo/{PBC}", "wbcatt"]),
        ("wbcatt-vqa", [f"acevedo/{PBC}"]),
        ("raabin", ["raabin/Train", "raabin/TestA"]),
        ("leukemiaattri", ["leukemiaattri/LeukemiaAttri_Dataset"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_doubled_top_folder_is_recognised(name: str, folders: list[str], tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    sources.get(name).draw(raw, 8, 0)
    (plain,) = build([name], raw, tmp_path / "plain", Options(check="none"))
    for folder in folders:
        nest(raw / folder)
        shutil.copytree(raw / folder, raw / name / "__MACOSX" / folder, dirs_exist_ok=True)
    (nested,) = build([name], raw, tmp_path / "nested", Options(check="none"))
    assert nested.error is None
    assert (nested.images, nested.objects, nested.undeclared) == (plain.images, plain.objects, {})
    with hemadata.open(tmp_path / "plain") as one, hemadata.open(tmp_path / "nested") as other:
        for row, again in zip(one.rows(plain.task), other.rows(plain.task), strict=True):
            for column in ("sample_id", "label", "label_raw", "native_group", "split", "objects", "image"):
                assert row.get(column) == again.get(column), column


def test_two_copies_of_a_tree_are_not_mixed(tmp_path: Path) -> None:
    sources.get("bccd").draw(tmp_path / "raw", 3, 0)
    shutil.copytree(tmp_path / "raw" / "bccd" / "BCCD", tmp_path / "raw" / "bccd" / "old" / "BCCD")
    shutil.move(tmp_path / "raw" / "bccd" / "BCCD", tmp_path / "raw" / "bccd" / "new" / "BCCD")
    (result,) = build(["bccd"], tmp_path / "raw", tmp_path / "c")
    assert result.error and "new/" in str(result.error) and "old/" in str(result.error)


# An unknown label stops its source, and no other.


def two_sources(tmp_path: Path, name: str, n: int = 8) -> Path:
    raw = tmp_path / "raw"
    for each in {name, "raabin" if name != "raabin" else "bccd"}:
        sources.get(each).draw(raw, n, 0)
    return raw


def build_two(name: str, raw: Path, out: Path) -> Built:
    """Build the named source, then another that must come out whole."""
    other = "raabin" if name != "raabin" else "bccd"
    results = {result.source: result for result in build([name, other], raw, out)}
    assert (results[other].error, results[other].images) == (None, 8)
    return results[name]


@pytest.mark.parametrize(
    ("name", "file", "change", "words"),
    [
        (
            "bccd",
            f"bccd/BCCD/Annotations/{field(3)}.xml",
            replace("<name>WBC</name>", "<name>WBCs</name>"),
            ["'WBCs'", field(3), "WBC", "bccd.toml"],
        ),
        (
            "acevedo",
            f"acevedo/{PBC}/monocyte",
            lambda p: p.rename(p.with_name("monocytes")),
            ["'monocytes'", "monocytes/MO_", "Did you mean monocyte", "acevedo.toml"],
        ),
        (
            "wbc-image-dataset",
            "wbc-image-dataset/Class Labels of Dataset 1.csv",
            replace("2,3", "2,9"),
            ["'9'", "Dataset 1/002.bmp", "wbc-image-dataset.toml"],
        ),
    ],
    ids=["box", "folder", "code"],
)
def test_unknown_class_stops_its_source_alone(
    name: str, file: str, change: Callable[[Path], object], words: list[str], tmp_path: Path
) -> None:
    raw = two_sources(tmp_path, name)
    change(raw / file)
    result = build_two(name, raw, tmp_path / "c")
    assert result.images == 0 and result.error is not None
    for word in words:
        assert word in str(result.error)
    assert check(tmp_path / "c").findings == []


def latin_name(path: Path) -> None:
    os.rename(path, os.fsencode(path.parent) + b"/caf\xe9.jpg")  # noqa: PTH104 - a name that is not UTF-8


def rename_pair(path: Path) -> None:
    path.rename(path.with_name("copy of 001.bmp"))
    path.with_suffix(".png").rename(path.with_name("copy of 001.png"))


@pytest.mark.parametrize(
    ("name", "file", "change", "word"),
    [
        ("bccd", f"bccd/BCCD/Annotations/{field(2)}.xml", dead_link, f"{field(2)}.xml"),
        ("bccd", "bccd/BCCD/ImageSets/Main/train.txt", lambda p: p.write_bytes(b"\xe9\xff\xfeB"), "train.txt"),
        ("bccd", "bccd/BCCD/ImageSets/Main/train.txt", dead_link, "train.txt"),
        ("acevedo", f"acevedo/{PBC}/basophil/BA_100.jpg", latin_name, "caf"),
        ("wbc-image-dataset", "wbc-image-dataset/Dataset 1/001.bmp", rename_pair, "copy of 001"),
        (
            "wbc-image-dataset",
            "wbc-image-dataset/Class Labels of Dataset 1.csv",
            replace("1,2", "one,2"),
            "Class Labels of Dataset 1.csv",
        ),
        ("wbcatt", "wbcatt/pbc_attr_v1_val.csv", dead_link, "pbc_attr_v1_val.csv"),
        ("wbcatt", "wbcatt/pbc_attr_v1_val.csv", lambda p: p.write_bytes(b"\xff\xfe\0"), "pbc_attr_v1_val.csv"),
        ("wbcatt", "wbcatt/pbc_attr_v1_val.csv", replace("cell_size", "size"), "cell_size"),
        (
            "leukemiaattri",
            "leukemiaattri/LeukemiaAttri_Dataset/H_100X_C2/json_labels/train.json",
            lambda p: p.write_text(p.read_text()[:200]),
            "train.json",
        ),
        (
            "leukemiaattri",
            "leukemiaattri/LeukemiaAttri_Dataset/H_100X_C2/json_labels/train.json",
            replace('"bbox": [', '"bbox": [1, '),
            "train.json",
        ),
        ("wbcatt-vqa", "wbcatt-vqa/hemasynth/run.json", lambda p: p.write_text("{"), "run.json"),
        ("wbcatt-vqa", "wbcatt-vqa/hemasynth/pairs.parquet", lambda p: p.write_bytes(b"PAR1"), "pairs.parquet"),
        ("wbcatt-vqa", "wbcatt-vqa/hemasynth/run.json", lambda p: p.write_text("{}"), "run.json"),
    ],
)
def test_annotations_beyond_repair_stop_no_other_source(
    name: str, file: str, change: Callable[[Path], object], word: str, tmp_path: Path
) -> None:
    """No traceback: the file is named in the error of its source or in the quarantine, or it is built."""
    raw = two_sources(tmp_path, name)
    change(raw / file)
    result = build_two(name, raw, tmp_path / "c")
    told = [str(result.error)] if result.error else [f"{e.file} {e.record} {e.detail}" for e in result.quarantine]
    with hemadata.open(tmp_path / "c") as corpus:
        told += [path for path in corpus.index["source_file"].to_pylist() if path in file or word in path]
    assert any(word in text for text in told), told


def test_boxes_that_touch_the_border_stay_inside_in_the_corpus(tmp_path: Path) -> None:
    """A box that ends at 640.0 in double precision ends there in float32 too, but for its rounding."""
    raw = tmp_path / "raw"
    sources.get("bccd").draw(raw, 2, 0)
    page = raw / "bccd" / "BCCD" / "Annotations" / f"{field(1)}.xml"
    box("101.3", "34.7", "640", "480")(page)
    assert build(["bccd"], raw, tmp_path / "c")[0].objects > 0
    with hemadata.open(tmp_path / "c") as corpus:
        row = next(row for row in corpus.rows("detection") if row["sample_id"].endswith("1"))
    x, y, w, h = row["objects"][-1]["bbox"]
    assert (x, y, x + w, y + h) == pytest.approx((100.3, 33.7, 640, 480), abs=1e-3)
    assert row["flags"] == []
    assert check(tmp_path / "c").findings == []


# The command line: what a person reads, and exit codes.


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hemadata", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


@pytest.mark.parametrize(
    ("asked", "near"),
    [("bcdd", "bccd"), ("wbcat", "wbcatt"), ("raabin-wbc", "raabin"), ("leukemia-attri", "leukemiaattri")],
)
def test_wrong_source_names_the_nearest(
    asked: str, near: str, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, out, err = run("build", "--source", "raabin", "--source", asked, "--phantom", "3", "--out", tmp_path / "c")
    assert (code, out) == (2, "")
    assert f'"{asked}"' in err and near in err.split("Did you mean", 1)[1]
    assert not (tmp_path / "c").exists(), "nothing is done"


@pytest.mark.parametrize("name", sources.names())
def test_missing_raw_data_says_where_to_get_them(
    name: str, run: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    code, _, err = run("build", "--source", name, "--raw", tmp_path / "raw", "--out", tmp_path / "c")
    assert code == 3
    assert str(tmp_path / "raw" / sources.get(name).facts.raw_folders[0]) in err
    assert "http" in err or "hemasynth" in err
    assert f"hemadata build --source {name} --phantom" in err
    assert "Traceback" not in err


def test_missing_source_does_not_stop_the_next(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    sources.get("raabin").draw(tmp_path / "raw", 3, 0)
    words = ("--raw", tmp_path / "raw", "--out", tmp_path / "c", "--jobs", "1")
    code, out, err = run("build", "--source", "bccd", "--source", "raabin", *words)
    assert code == 3 and "--phantom" in err and "raabin  3 images" in out
    code, out, _ = run("build", "--all", *words)
    assert code == 0 and "No raw data" in out and "bccd" in out.split("No raw data", 1)[1]


def test_empty_raw_folder_is_told(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    for name in sources.names():
        for folder in sources.get(name).facts.raw_folders:
            (tmp_path / "raw" / folder).mkdir(parents=True, exist_ok=True)
    for name in sources.names():
        code, _, err = run("build", "--source", name, "--raw", tmp_path / "raw", "--out", tmp_path / "c")
        assert code == 1 and str(tmp_path / "raw") in err and "Traceback" not in err


def test_phantom_never_replaces_real_data(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    raw, out = tmp_path / "raw", tmp_path / "c"
    sources.get("raabin").draw(raw, 3, 0)
    real = ("build", "--source", "raabin", "--raw", raw, "--out", out, "--jobs", "1")
    assert run(*real)[0] == 0
    before = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    code, _, err = run(*real, "--phantom", "5")
    assert code == 1 and "real data" in err and "--out" in err
    assert before == {path: path.read_bytes() for path in out.rglob("*.parquet")}
    assert not (out / ".building").exists()
    # and the other way round
    assert run("build", "--source", "bccd", "--phantom", "3", "--out", out, "--jobs", "1")[0] == 0
    sources.get("bccd").draw(raw, 3, 0)
    code, _, err = run("build", "--source", "bccd", "--raw", raw, "--out", out)
    assert code == 1 and "phantom" in err


def test_strict_counts_only_undeclared_defects(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    sources.get("bccd").draw(raw, 4, 0)
    words = ("build", "--source", "bccd", "--raw", raw, "--out", tmp_path / "c", "--jobs", "1", "--strict")
    assert run(*words)[0] == 0, "the two degenerate boxes are declared"
    box("40", "10", "40", "10")(raw / "bccd" / "BCCD" / "Annotations" / f"{field(2)}.xml")
    code, out, _ = run(*words)
    assert code == 1 and "1 undeclared" in out


def test_dry_run_writes_nothing(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    sources.get("bccd").draw(tmp_path / "raw", 4, 0)
    code, out, _ = run("build", "--source", "bccd", "--raw", tmp_path / "raw", "--out", tmp_path / "c", "--dry-run")
    assert code == 0 and "4 images" in out
    assert not (tmp_path / "c").exists()
    code, out, _ = run("build", "--source", "bccd", "--phantom", "4", "--out", tmp_path / "c", "--dry-run")
    assert code == 0 and "4 images" in out
    assert not list(tmp_path.glob("c/**/*")), "a phantom's plan leaves nothing behind either"


def test_reasons_are_closed() -> None:
    with pytest.raises(KeyError):
        Quarantined("bccd", "f", "r", "no_such_reason", "d").severity  # noqa: B018
    assert HemaError.exit_code == 1
