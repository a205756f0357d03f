"""Every family of annotation files, and every way in which such a file may be bad: told by name, never a wrong row."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import hemadata
import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.build.plan import make_plan
from hemadata.errors import HemaError
from hemadata.formats.boxes import Boxes

# Family -> a source of it and its annotation files.
FAMILIES = {
    "voc": ("bccd", "bccd/BCCD/Annotations/*_00001.xml"),
    "voc of two microscopes": ("m5", "m5/**/*_0001_*.xml"),
    "pages like voc": ("plasmodium", "plasmodium/**/plasmodium-0001.xml"),
    "yolo": ("txl-pbc", "txl-pbc/TXL_PBC/labels/train/????????-*.txt"),
    "coco": ("leukemiaattri", "leukemiaattri/**/json_labels/train.json"),
    "coco of roboflow": ("parasite", "parasite/train/_annotations.coco.json"),
    "list of records": ("vivax", "vivax/malaria/training.json"),
    "record of cells": ("raabin-m1", "raabin-m1/**/jsons/*.json"),
    "marks": ("nlm-thick-pv", "nlm-thick-pv/**/All_annotations/*/*.txt"),
    "table of boxes": ("mp-idb-det", "mp-idb/**/*.csv"),
    "table of words": ("krd-wbc-cls", "krd-wbc/**/class labels.csv"),
    "table of attributes": ("wbcatt", "wbcatt/pbc_attr_v1_train.csv"),
    "table of patients": ("apl-aml", "apl-aml/**/master.csv"),
    "run of texts": ("leukemiaattri-mlm", "leukemiaattri-mlm/hemasynth/run.json"),
    "texts": ("leukemiaattri-mlm", "leukemiaattri-mlm/hemasynth/texts.parquet"),
    "arrays": ("bloodmnist", "bloodmnist/*.npz"),
}
BINARY = ("texts", "arrays")
BOMB = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><annotation>&b;</annotation>'
Change = Callable[[bytes], bytes]
SPOILT: dict[str, Change] = {
    "empty": lambda data: b"",
    "cut in the middle": lambda data: data[: len(data) // 2],
    "a page of a web server": lambda data: b"<!DOCTYPE html><html><body>Please log in</body></html>",
    "binary": lambda data: bytes(range(256)) * 20,
    "in brackets without end": lambda data: b"[" * 100_000,
    "in keys without end": lambda data: b'{"a":' * 100_000,
    "in elements without end": lambda data: b"<a>" * 100_000,
    "an entity bomb": lambda data: BOMB,
    "UTF-16 without a mark": lambda data: data.decode("utf-8-sig").encode("utf-16-le"),
    "one line without end": lambda data: b"x" * (5 << 20),
}
# A list of records or of lines that is cut may still say something: of what it says nothing is wrong.
MAY_BE_SOUND = {("yolo", "empty"), ("yolo", "cut in the middle"), ("record of cells", "cut in the middle")}
MAY_BE_SOUND |= {(family, "cut in the middle") for family in ("table of patients", "table of boxes", "table of words")}
SAME: dict[str, Change] = {
    "with a byte-order mark": lambda data: b"\xef\xbb\xbf" + data,
    "with the line ends of Windows": lambda data: data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "in UTF-16": lambda data: data.decode("utf-8-sig").encode("utf-16"),
}
Outcome = dict[str, tuple[str | None, Boxes | None]]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, Path]:
    """Name of a family, its raw root, and one of its annotation files."""
    name, pattern = FAMILIES[request.param]
    root = tmp_path_factory.mktemp(name)
    sources.get(name).draw(root, 6, 0)
    return request.param, root, sorted(root.glob(pattern))[0]


@pytest.fixture
def file(family: tuple[str, Path, Path]) -> Iterator[Path]:
    """The annotation file, which is put back behind the test."""
    data = family[2].read_bytes()
    yield family[2]
    family[2].write_bytes(data)


def plan(family: tuple[str, Path, Path]) -> tuple[Outcome, str]:
    """What the plan says of every image; what it tells, as text. Anything but an error of ours fails the test."""
    source = sources.get(FAMILIES[family[0]][0])
    try:
        found = make_plan(source, source.open_raw([family[1]]))
    except HemaError as error:
        return {}, str(error)
    told = [f"{p.reason} {p.file} {p.record} {p.detail}" for p in found.problems]
    return {ref.key: (ref.label_raw, ref.objects) for ref in found.refs}, "\n".join(told)


@pytest.mark.parametrize("how", SPOILT)
def test_spoilt_file_is_told_and_makes_no_wrong_row(how: str, family: tuple[str, Path, Path], file: Path) -> None:
    before, usual = plan(family)
    if how.startswith("UTF-16") and family[0] in BINARY:
        pytest.skip("no text")
    file.write_bytes(SPOILT[how](file.read_bytes()))
    after, told = plan(family)
    changed = {key for key, says in after.items() if before.get(key) != says}
    if (family[0], how) in MAY_BE_SOUND:
        assert after.keys() <= before.keys()
        return
    assert not changed, f"rows that say something else: {changed}"
    assert told != usual and (file.name in told or file.parent.name in told), told[:500]


@pytest.mark.parametrize("how", SAME)
def test_file_written_by_another_program_says_the_same(how: str, family: tuple[str, Path, Path], file: Path) -> None:
    if family[0] in (*BINARY, "run of texts"):
        pytest.skip("no text of another program")
    before, usual = plan(family)
    file.write_bytes(SAME[how](file.read_bytes()))
    assert plan(family) == (before, usual)


# --- numbers that are none, or lie far outside ------------------------------------------------------------------------

PLACES = {  # where a coordinate stands, one after the other
    "voc": r"(?<=<xmax>)[^<]+",
    "pages like voc": r"(?<=<ymin>)[^<]+",
    "yolo": r"(?<= )[\d.]+$",
    "coco": r'(?<="bbox": \[)[^,]+',
    "list of records": r'(?<="r": )\d+',
    "record of cells": r'(?<="x2": ")\d+',
    "table of boxes": r"(?<=,)\d+(?=,\d+$)",
}
NUMBERS = ("NaN", "Infinity", "-Infinity", "-7", "1e300", "9" * 400, "1_000", "x", "null", "")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("kind", PLACES)
def test_number_that_cannot_be_makes_no_box(kind: str, number: str, tmp_path: Path) -> None:
    name, pattern = FAMILIES[kind]
    sources.get(name).draw(tmp_path / "raw", 3, 0)
    for file in sorted((tmp_path / "raw").glob(pattern)):
        text, count = re.subn(PLACES[kind], number, file.read_text(), flags=re.MULTILINE)
        assert count, "no number was found"
        file.write_text(text)
    (result,) = build([name], tmp_path / "raw", tmp_path / "corpus", Options(check="header"))
    assert result.error or result.undeclared, "nothing is told"
    if result.error:
        return
    with hemadata.open(tmp_path / "corpus") as corpus:
        for row in corpus.rows("detection"):
            for thing in row["objects"] or ():
                x, y, w, h = thing["bbox"]
                assert x >= 0 and y >= 0 and w > 0 and h > 0
                assert x + w <= row["width"] + 1e-3 and y + h <= row["height"] + 1e-3  # stored as float32


def test_two_versions_of_an_archive_of_every_family_are_told(tmp_path: Path) -> None:
    """The same archive twice, of which one has another annotation file."""
    for kind, (name, pattern) in FAMILIES.items():
        root = tmp_path / name
        if root.exists():
            continue
        sources.get(name).draw(root / "raw", 6, 0)
        file = sorted((root / "raw").glob(pattern))[0]
        top = root / "raw" / file.relative_to(root / "raw").parts[0]
        for version in ("v1", "v2"):
            shutil.make_archive(str(root / version), "zip", top)
            file.write_bytes(file.read_bytes() + b" ")
        shutil.rmtree(top)
        top.mkdir()
        for version in ("v1", "v2"):
            shutil.move(root / f"{version}.zip", top)
        _, told = plan((kind, root / "raw", file))
        assert "two versions" in told and file.name in told, (kind, told[:300])
