"""The real raw data: exact counts, bytes, boxes and masks, each compared with an independent reading."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hemadata
import numpy as np
import pytest
from hemadata.audit.contract import check
from hemadata.build import Options, build
from hemadata.corpus import Corpus
from PIL import Image

SOURCES = ("bccd", "wbc-image-dataset", "white-blood-cell-dataset", "acevedo", "wbcatt")
STRAY = {"034", "035", "047", "050", "076"}
ABSENT = {"BloodImage_00096", "BloodImage_00280", "BloodImage_00329"}
WORDS = {"RBC": "red_blood_cell", "WBC": "white_blood_cell", "Platelets": "platelet"}


def hemadata_build(raw: Path, out: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`hemadata build` in its own process."""
    command = [sys.executable, "-m", "hemadata.cli", "build", "--raw", str(raw), "--out", str(out), "--jobs", "1"]
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def real(raw_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus of the five real sources, built by the command line."""
    if missing := [name for name in SOURCES if not (raw_root / name).is_dir()]:
        pytest.skip(f"{raw_root} lacks {', '.join(missing)}")
    out = tmp_path_factory.mktemp("real") / "corpus"
    done = hemadata_build(raw_root, out, *(word for name in SOURCES for word in ("--source", name)), "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])["sources"]
    assert {name: (result[name]["images"], result[name]["objects"]) for name in result} == {
        "bccd": (364, 4886),
        "wbc-image-dataset": (400, 0),
        "white-blood-cell-dataset": (364, 0),
        "acevedo": (2017, 0),
        "wbcatt": (1334, 0),
    }
    return out


@pytest.fixture(scope="session")
def corpus(real: Path) -> Iterator[Corpus]:
    with hemadata.open(real) as opened:
        yield opened


@pytest.fixture(scope="session")
def quarantine(real: Path) -> list[dict[str, str]]:
    with (real / "reports" / "quarantine.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def of(quarantine: list[dict[str, str]], source: str) -> dict[str, list[dict[str, str]]]:
    """Entries of one source, by reason."""
    found: dict[str, list[dict[str, str]]] = {}
    for entry in quarantine:
        if entry["source"] == source:
            found.setdefault(entry["reason"], []).append(entry)
    return found


def test_contract_holds(real: Path) -> None:
    report = check(real, "full")
    assert (report.rows, report.findings) == (364 + 400 + 364 + 2017 + 1334, [])


@pytest.mark.parametrize(
    ("name", "code"), [("bccd", 0), ("wbc-image-dataset", 0), ("white-blood-cell-dataset", 1), ("acevedo", 0)]
)
def test_strict_fails_for_what_the_source_does_not_declare(name: str, code: int, real: Path, raw_root: Path) -> None:
    done = hemadata_build(raw_root, real, "--source", name, "--strict")
    assert done.returncode == code, done.stderr
    assert "(up to date)" in done.stdout
    assert ("undeclared" in done.stdout) == bool(code)


def test_bccd_rows(corpus: Corpus, quarantine: list[dict[str, str]]) -> None:
    rows = list(corpus.rows("detection", source="bccd"))
    assert Counter(row["split_upstream"] for row in rows) == {"train": 205, "validation": 87, "test": 72}
    assert all(row["split"] == row["split_upstream"] for row in rows)
    found = of(quarantine, "bccd")
    assert {reason: len(entries) for reason, entries in found.items()} == {"degenerate_box": 2}
    assert {Path(entry["file"]).stem for entry in found["degenerate_box"]} == {"BloodImage_00338", "BloodImage_00343"}
    assert all(entry["record"] and entry["detail"] and entry["severity"] == "part" for entry in found["degenerate_box"])


def test_bccd_boxes_are_those_of_the_pages(corpus: Corpus, raw_root: Path) -> None:
    read = kept = 0
    for row in corpus.rows("detection", source="bccd"):
        page = raw_root / "bccd" / "BCCD" / "Annotations" / f"{row['sample_id'].removeprefix('bccd/')}.xml"
        due = []
        for node in ElementTree.parse(page).getroot().iter("object"):
            x0, y0, x1, y1 = (int(node.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax"))
            read += 1
            if x1 > x0 and y1 > y0:
                due.append((node.findtext("name"), [x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1]))
        kept += len(due)
        assert [(entry["label_raw"], entry["bbox_raw"] or entry["bbox"]) for entry in row["objects"]] == due
        for entry in row["objects"]:
            assert entry["label"] == WORDS[entry["label_raw"]]
            x, y, w, h = entry["bbox"]
            assert x >= 0 and y >= 0 and x + w <= row["width"] and y + h <= row["height"]
    assert (read, kept) == (4888, 4886)


@pytest.mark.parametrize(
    ("name", "task", "folder"),
    [
        ("bccd", "detection", "bccd"),
        ("white-blood-cell-dataset", "segmentation", "white-blood-cell-dataset"),
        ("acevedo", "classification", "acevedo"),
        ("wbcatt", "classification", "acevedo"),
    ],
)
def test_jpeg_bytes_are_those_of_the_files(
    name: str, task: str, folder: str, corpus: Corpus, raw_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: dict[str, bytes] = {}
    for row in corpus.rows(task, columns=["sample_id", "image", "source_file", "sha256", "flags"], source=name):
        data = files[row["sample_id"]] = (raw_root / folder / row["source_file"]).read_bytes()
        assert row["image"]["bytes"] == data
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["flags"] == []
        assert corpus.image(row["sample_id"]) == data
    assert len(files) == corpus.count(task, source=name)

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    for part in datasets.load_dataset(str(corpus.path), f"{task}--{name}", streaming=True).values():
        part = part.cast_column("image", datasets.Image(decode=False)).select_columns(["sample_id", "image"])
        for row in part:
            assert row["image"]["bytes"] == files.pop(row["sample_id"])
    assert not files


def test_pread_without_the_library(corpus: Corpus, raw_root: Path) -> None:
    """The index is enough: open, pread, compare."""
    columns = ("file", "offset", "length", "source_file", "source")
    for file, offset, length, source_file, source in zip(
        *(corpus.index[name].to_pylist() for name in columns), strict=True
    ):
        if source == "bccd":
            with (corpus.path / file).open("rb") as shard:
                assert os.pread(shard.fileno(), length, offset) == (raw_root / "bccd" / source_file).read_bytes()


def test_wbc_image_dataset_pictures_and_classes(corpus: Corpus, raw_root: Path) -> None:
    raw = raw_root / "wbc-image-dataset"
    codes = {
        (number, int(line["image ID"])): next(value for key, value in line.items() if key.strip() != "image ID").strip()
        for number in (1, 2)
        for line in csv.DictReader((raw / f"Class Labels of Dataset {number}.csv").read_text("utf-8-sig").splitlines())
    }
    names = {"1": "neutrophil", "2": "lymphocyte", "3": "monocyte", "4": "eosinophil", "5": "basophil"}
    rows = list(corpus.rows("segmentation", source="wbc-image-dataset"))
    assert len(rows) == len(codes) == 400
    for row in rows:
        path = raw / row["source_file"]
        assert path.suffix == ".bmp" and row["encoding_source"] == "bmp" and "reencoded" in row["flags"]
        assert row["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["image"]["bytes"][:8] == b"\x89PNG\r\n\x1a\n"
        stored = np.asarray(Image.open(BytesIO(corpus.image(row["sample_id"]))))
        assert np.array_equal(stored, np.asarray(Image.open(path)))
        code = codes[int(path.parent.name[-1]), int(path.stem)]
        assert (row["label_raw"], row["label"]) == (code, names[code])


def test_wbc_image_dataset_masks(corpus: Corpus, raw_root: Path, quarantine: list[dict[str, str]]) -> None:
    """Value 0, 128, 255 are region 0, 1, 2; a stray value belongs to the nearest of the three."""
    stray_pixels: dict[str, int] = {}
    for row in corpus.rows("segmentation", source="wbc-image-dataset"):
        raw = np.asarray(Image.open((raw_root / "wbc-image-dataset" / row["source_file"]).with_suffix(".png")))
        due = np.where(raw >= 192, 2, np.where(raw > 64, 1, 0))
        mapped = _mask(corpus, row)
        assert np.array_equal(mapped, due)
        declared = {entry["value"]: (entry["label"], entry["label_raw"]) for entry in row["mask_classes"]}
        assert declared == {0: ("background", "0"), 1: ("cytoplasm", "128"), 2: ("nucleus", "255")}
        assert [entry["pixels"] for entry in row["mask_classes"]] == [int((due == v).sum()) for v in (0, 1, 2)]
        assert row["foreground"] == ["nucleus", "cytoplasm"]
        stray = int((~np.isin(raw, (0, 128, 255))).sum())
        assert ("mask_snapped" in row["flags"]) == bool(stray)
        if stray:
            stray_pixels[row["source_file"].replace(".bmp", ".png")] = stray
    found = of(quarantine, "wbc-image-dataset")
    assert {reason: len(entries) for reason, entries in found.items()} == {"stray_mask_values": 5}
    assert {entry["file"] for entry in found["stray_mask_values"]} == {f"Dataset 2/{name}.png" for name in STRAY}
    counted = {entry["file"]: int(entry["detail"].split()[0]) for entry in found["stray_mask_values"]}
    assert counted == stray_pixels


def test_white_blood_cell_dataset_masks(corpus: Corpus, raw_root: Path, quarantine: list[dict[str, str]]) -> None:
    folder = raw_root / "white-blood-cell-dataset" / "BloodImageSetS6NucSeg_masks"
    rows = list(corpus.rows("segmentation", source="white-blood-cell-dataset"))
    modes = Counter[str]()
    for row in rows:
        raw = Image.open(folder / f"{Path(row['source_file']).stem}.png")
        modes[raw.mode] += 1
        white = np.asarray(raw)[..., 0] == 255 if raw.mode == "RGBA" else np.asarray(raw).astype(bool)
        assert np.array_equal(_mask(corpus, row), np.where(white, 2, 0))
        assert {e["label"]: (e["cell"], e["pixels"]) for e in row["mask_classes"]} == {
            "background": (None, int((~white).sum())),
            "nucleus": ("white_blood_cell", int(white.sum())),
        }
    assert modes == {"1": 356, "RGBA": 8}
    found = of(quarantine, "white-blood-cell-dataset")
    assert set(found) == {"missing_image"}
    assert {Path(entry["file"]).stem for entry in found["missing_image"]} == ABSENT


def test_fields_shared_by_two_sources_are_one_group(corpus: Corpus) -> None:
    index = corpus.index.select(["source", "sample_id", "group_id", "split"]).to_pylist()
    split = {row["group_id"]: row["split"] for row in index if row["source"] == "bccd"}
    followers = [row for row in index if row["source"] == "white-blood-cell-dataset"]
    assert len(followers) == len(split) == 364
    assert all(split[row["group_id"]] == row["split"] for row in followers)


def test_acevedo_rows(corpus: Corpus, raw_root: Path, quarantine: list[dict[str, str]]) -> None:
    rows = list(
        corpus.rows("classification", columns=["label", "label_raw", "label_fine", "source_file"], source="acevedo")
    )
    folders = Counter(path.parent.name for path in (raw_root / "acevedo").rglob("[!.]*.jpg"))
    assert Counter(row["label_raw"] for row in rows) == folders
    fine = {"BNE": "band_neutrophil", "SNE": "segmented_neutrophil", "MMY": "metamyelocyte", "MY": "myelocyte"}
    fine |= {"PMY": "promyelocyte"}
    for row in rows:
        path = Path(row["source_file"])
        assert row["label_raw"] == path.parent.name
        assert row["label"] == {"ig": "immature_granulocyte"}.get(path.parent.name, path.parent.name)
        assert row["label_fine"] == fine.get(path.name.partition("_")[0])
    found = of(quarantine, "acevedo")
    assert [(reason, [e["file"] for e in entries]) for reason, entries in found.items()] == [
        ("junk_file", ["PBC_dataset_normal_DIB/neutrophil/.DS_169665.jpg"])
    ]


def test_wbcatt_attributes_are_those_of_the_tables(corpus: Corpus, raw_root: Path) -> None:
    due: dict[str, tuple[str, dict[str, str]]] = {}
    for upstream, split in (("train", "train"), ("val", "validation"), ("test", "test")):
        with (raw_root / "wbcatt" / f"pbc_attr_v1_{upstream}.csv").open(newline="", encoding="utf-8") as file:
            due |= {line["img_name"]: (split, line) for line in csv.DictReader(file)}
    rows = list(corpus.rows("classification", source="wbcatt"))
    assert Counter(row["split_upstream"] for row in rows) == {"train": 798, "validation": 135, "test": 401}
    for row in rows:
        split, line = due[Path(row["source_file"]).name]
        said = {key: value for key, value in line.items() if key not in ("img_name", "label", "path")}
        assert len(said) == 11
        assert row["split_upstream"] == split
        assert row["label_raw"] == line["label"] and row["label"] == line["label"].lower()
        assert {entry["name"]: entry["value_raw"] for entry in row["attributes"]} == said
        assert all(entry["value"] == entry["value_raw"] for entry in row["attributes"]), row["attributes"]


@pytest.mark.parametrize(
    "order", [("acevedo", "wbcatt"), ("wbcatt", "acevedo"), ("white-blood-cell-dataset", "bccd")], ids="-".join
)
def test_sources_of_a_family_built_one_after_the_other_do_not_leak(
    order: tuple[str, ...], raw_root: Path, tmp_path: Path
) -> None:
    """No command can know which source comes next: the same picture must not be in train here and in test there."""
    for name in order:
        assert build([name], raw_root, tmp_path / "c", Options(check="none"))[0].error is None
    assert check(tmp_path / "c", "none").findings == []


def _mask(corpus: Corpus, row: dict[str, Any]) -> np.ndarray:
    data = corpus.mask(row["sample_id"])
    assert data == row["mask"]["bytes"]
    mask = Image.open(BytesIO(data))
    assert mask.mode == "P" and mask.size == (row["width"], row["height"])
    return np.asarray(mask)
