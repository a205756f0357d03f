"""What `benchmarks/fuzz.py` has found, each once: told or put in quarantine, never a crash, a hang or a full memory."""

import dataclasses
import json
import os
import socket
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import hemadata
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hemadata import sources
from hemadata.build import Built, Options, build, images, thumbnail
from hemadata.errors import CorpusError, DefectError, FormatError, HemaError, LayoutError, UsageError
from hemadata.formats import cell_records, drawn_boxes, frames, mark_pixels, marks, npz, pairs, rawfile, roboflow
from hemadata.formats.boxes import Box, Boxes
from hemadata.formats.pictures import decode, open_picture
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.sources.facts import read_facts
from PIL import Image

HUGE = 1 << 40


def one(raw: Path, out: Path, name: str = "bccd") -> Built:
    (result,) = build([name], raw, out, Options(check="header"))
    return result


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    sources.get("bccd").draw(tmp_path / "raw", 4, 0)
    return tmp_path / "raw"


# Files that are none.


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_pipe(path: Path) -> None:
    pipe(path.parents[4] / "pipe")
    path.symlink_to(path.parents[4] / "pipe")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_folder(path: Path) -> None:
    path.symlink_to("/")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def plug(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        made.bind(path.name)
        os.chdir(here)


ODD = {pipe: "pipe or device", link_to_pipe: "link to a device", device: "link to a device"}
ODD |= {link_to_folder: "link to a folder", plug: "pipe or device"}


@pytest.mark.parametrize("make", ODD)
def test_odd_file_is_left_out_told_and_never_opened(make: Callable[[Path], None], raw: Path, tmp_path: Path) -> None:
    path = sorted(raw.rglob("*.jpg"))[0]
    path.unlink()
    make(path)
    result = one(raw, tmp_path / "out")
    assert result.error is None and result.images == 3
    told = [entry for entry in result.quarantine if entry.reason == "left_out"]
    assert [(e.file, e.detail) for e in told] == [
        (path.relative_to(raw / "bccd").as_posix(), f"a {ODD[make]}, which is not followed")
    ]
    assert [e.reason for e in result.quarantine if e.severity == "lost"] == ["missing_image"]


def test_link_to_itself_and_hard_link(raw: Path, tmp_path: Path) -> None:
    first, second, *_ = sorted(raw.rglob("*.jpg"))
    first.unlink()
    link_to_itself(first)
    (tmp_path / "secret").write_text("not a picture")
    second.unlink()
    os.link(tmp_path / "secret", second)
    result = one(raw, tmp_path / "out")
    lost = [entry for entry in result.quarantine if entry.severity == "lost"]
    assert [entry.reason for entry in lost] == ["unreadable_image"] * 2 and result.images == 2
    assert (tmp_path / "secret").read_text() == "not a picture"


@pytest.mark.parametrize("ending", [".jpg", ".xml"])
def test_file_of_a_terabyte_is_not_read(ending: str, raw: Path, tmp_path: Path) -> None:
    path = sorted(raw.rglob(f"*{ending}"))[0]
    with path.open("ab") as file:
        file.truncate(HUGE)
    result = one(raw, tmp_path / "out")
    assert result.error is None and result.images == 3
    (lost,) = [entry for entry in result.quarantine if entry.severity == "lost"]
    assert lost.reason == {".jpg": "unreadable_image", ".xml": "unreadable_annotation"}[ending]
    limit = {".jpg": f"at most {rawfile.MAX_FILE:,} are", ".xml": f"at most {rawfile.MAX_PAGE:,} of a page are"}
    assert limit[ending] in lost.detail


# Pages.


def raw_file(path: Path, data: bytes | str) -> RawFile:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return RawFile(str(path), path.name)


def test_deep_json_of_hemasynth_is_refused(tmp_path: Path) -> None:
    pairs.write(tmp_path, {"engine": "x", "seed": 1}, [])
    (tmp_path / "run.json").write_text('{"a":' * 100_000)
    with pytest.raises(FormatError, match=r"run\.json or pairs\.parquet cannot be read"):
        pairs.read(tmp_path)


def test_table_with_a_column_twice_is_refused(tmp_path: Path) -> None:
    pairs.write(tmp_path, {"engine": "x", "seed": 1}, [])
    table = pq.read_table(tmp_path / "pairs.parquet")
    pq.write_table(table.append_column("uses", table["uses"]), tmp_path / "pairs.parquet")
    with pytest.raises(FormatError, match="uses"):
        pairs.read(tmp_path)


def test_table_that_says_one_long_word_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few kilobytes of Parquet, 60 MB unpacked."""
    pairs.write(tmp_path, {"engine": "x", "seed": 1}, [])
    row = {name: None for name in pairs.SCHEMA.names} | {"question": "x" * 1_000_000}
    rows = pa.Table.from_pylist([row], schema=pairs.SCHEMA)
    pq.write_table(pa.concat_tables([rows] * 60), tmp_path / "pairs.parquet", compression="ZSTD")
    assert (tmp_path / "pairs.parquet").stat().st_size < 100_000
    monkeypatch.setattr(pairs, "MAX_TABLE", 32 << 20)
    monkeypatch.setattr(pairs, "BATCH", 8)
    with pytest.raises(FormatError, match=r"more than 33,554,432 bytes unpacked"):
        pairs.read(tmp_path)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (b'name = "', b'name = "\xff', "not valid"),
        (b"[mask.values]\n", b'[mask.values]\n"4294967295" = "nucleus"\n', "no value of a mask"),
        (b"[mask.values]\n", b"[mask.values]\n[mask.others]\n", "a mask needs at least one value"),
        (b"[mask.values]\n", b'[mask.values]\n"7" = "nowhere"\n', 'region "nowhere" is not one of'),
        (b"[mask.values]\n", b"a = " + b"[" * 50_000 + b"\n[mask.values]\n", "not valid"),
    ],
)
def test_facts_page_of_another_package_that_says_nonsense(
    before: bytes, after: bytes, told: str, tmp_path: Path
) -> None:
    page = sources.get("wbc-image-dataset").toml
    assert before in page
    (tmp_path / "page.toml").write_bytes(page.replace(before, after, 1))
    with pytest.raises(UsageError, match=told):
        read_facts(tmp_path / "page.toml")


@pytest.mark.parametrize("header", ["{'descr': '|u1', (", "{'descr': '''", "(" * 5000, "{'descr': 3}", "[]", "{1: 2}"])
def test_header_of_an_array_that_is_no_literal(header: str, tmp_path: Path) -> None:
    text = header.encode() + b"\n"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    with pytest.raises(FormatError, match=r"a is not an array"):
        npz.arrays(RawTree.scan(tmp_path))


def test_member_without_a_name_is_left_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("b.txt", "b")
        archive.writestr("x", "nameless")
        archive.infolist()[1].filename = ""
    assert zipfile.ZipFile(tmp_path / "a.zip").namelist() == ["b.txt", ""]
    tree = RawTree.scan(tmp_path)
    assert list(tree.files) == ["a.zip", "b.txt"]
    assert tree.left_out == [("a.zip/?", "a member without a name, which no archive of pictures holds")]


def test_member_of_arrays_whose_name_is_no_text(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", images=np.zeros((2, 2), np.uint8))
    whole = bytearray((tmp_path / "a.npz").read_bytes())
    at = whole.index(b"PK\x03\x04")
    whole[at + 7] |= 8  # its local header says that the name is UTF-8
    whole[at + 30] = 0xFF
    (tmp_path / "a.npz").write_bytes(whole)
    with pytest.raises(LayoutError, match=r"a\.npz: the archive is cut or damaged"):
        npz.arrays(RawTree.scan(tmp_path))


@pytest.mark.parametrize("count", ["\u00b2", "9" * 5000])
def test_count_of_marks_that_is_no_count(count: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="expected count,size,size"):
        marks.read(raw_file(tmp_path / "m.txt", f"{count},4032,3024\n"))


def test_class_number_without_end(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "_annotations.txt").write_text("a.jpg 1,2,3,4,inf\n")
    (tmp_path / "train" / "_classes.txt").write_text("rbc\n")
    with pytest.raises(FormatError, match="line 1: expected picture x1,y1,x2,y2,class"):
        list(roboflow.read(RawTree.scan(tmp_path), lambda *_: None))


def test_what_a_reader_did_not_expect_names_source_and_line(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources.get("bccd").module, "index", lambda _: iter([{}["absent"]]))
    error = one(raw, tmp_path / "out").error
    assert isinstance(error, HemaError)
    assert str(error).startswith(f"{raw / 'bccd'}: the reader of bccd stopped: KeyError: 'absent' (")


@pytest.mark.parametrize("number", ["7.5", "true", "[1]", '"12"'])
def test_cell_whose_id_is_no_text(number: str, tmp_path: Path) -> None:
    cell = '"x1": 1, "y1": 2, "x2": 3, "y2": 4'
    page = f'{{"Cell_0": {{"Cell_ID": "a", {cell}}}, "Cell_1": {{"Cell_ID": {number}, {cell}}}}}'
    found = cell_records.read(raw_file(tmp_path / "r.json", page)).boxes
    assert [box.source_id for box in found] == ["a", str(json.loads(number))]


# Pictures.


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def test_window_that_is_turned_keeps_all_that_is_said_of_it() -> None:
    box = Box((4, 6, 9, 5), "a", (("size", "big", None),), "7", (("A", "b"),), ("crowd",))
    (turned,) = frames.to_stored(Boxes.of([box]), (40, 30), 6)
    assert turned.xywh != box.xywh and dataclasses.replace(turned, xywh=box.xywh) == box


def test_window_without_end_is_not_looked_at() -> None:
    picture = saved(Image.new("RGB", (40, 30), "white"), "PNG")
    boxes = Boxes.of([Box((float("inf"), 0, 5, 5), "a"), Box((float("nan"), 0, 5, 5), "a"), Box((4, 4, 9, 9), "a")])
    assert frames.score([(picture, boxes)], 1) == frames.score([(picture, Boxes.of(list(boxes)[2:]))], 1)


@pytest.mark.parametrize("look", [frames.look, lambda data: mark_pixels.look(data, [])])
def test_looking_at_a_broken_picture_is_a_defect(look: Callable[[bytes], object]) -> None:
    cut = saved(Image.effect_noise((90, 90), 50), "PNG")[:900]  # the orientation may stand behind the pixels
    for data in (cut, b"II*\0\x08\0\0\0\xff\xff", b"\x89PNG\r\n\x1a\n", b""):
        with pytest.raises(DefectError):
            look(data)


def test_colours_without_a_way_to_grey_are_a_defect() -> None:
    data = saved(Image.new("LAB", (8, 8)), "TIFF")
    with pytest.raises(DefectError, match="LAB"):
        mark_pixels.look(data, [])
    with pytest.raises(DefectError, match="LAB"):
        drawn_boxes.find(decode(open_picture(data)), decode(open_picture(data)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_large_pictures_are_hashed_and_scaled_in_strips_to_the_same_values(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (37, 23, 3), np.uint8)
    picture = Image.fromarray(noise).convert("L").convert("I").convert(mode) if mode == "I;16" else None
    picture = picture or Image.fromarray(noise).convert(mode)
    if mode == "RGBA":
        picture.putpixel((3, 36), (1, 2, 3, 4))  # transparent in the last strip alone
    whole = images.pixel_hash(picture), images.to_pixels(picture).tobytes()
    monkeypatch.setattr(images, "STRIP", 60)
    monkeypatch.setattr(thumbnail, "STRIP", 60)
    assert (images.pixel_hash(picture), images.to_pixels(picture).tobytes()) == whole


# A corpus.


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    build(["bccd"], Path("nowhere"), tmp_path / "c", Options(phantom=4))
    return tmp_path / "c"


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:50]), Path.unlink])
@pytest.mark.parametrize("pattern", ["index/*.parquet", "data/*/*/*.parquet"])
def test_file_of_a_corpus_that_cannot_be_read_is_named(
    pattern: str, damage: Callable[[Path], object], corpus: Path
) -> None:
    paths = sorted(corpus.glob(pattern))
    for path in paths:
        damage(path)
    with hemadata.open(corpus) as opened, pytest.raises(CorpusError, match=rf"{paths[0]} cannot be read .* again"):
        list(opened.rows("detection"))


def test_shard_that_is_gone_is_named_by_its_image(corpus: Path) -> None:
    with hemadata.open(corpus) as opened:
        row = opened.index.slice(0, 1).to_pylist()[0]
        (corpus / row["file"]).unlink()
        with pytest.raises(CorpusError, match=f"{row['file']} cannot be read"):
            opened.image(row["sample_id"])


def test_assignment_that_cannot_be_read_is_named(corpus: Path) -> None:
    (path,) = (corpus / "assignment").glob("*.parquet")
    path.write_bytes(b"PAR1")
    (result,) = build(["bccd"], Path("nowhere"), corpus, Options(phantom=4))
    assert isinstance(result.error, CorpusError) and f"{path} cannot be read" in str(result.error)


def test_text_of_a_corpus_that_is_none_is_told(corpus: Path) -> None:
    (path,) = (corpus / "index").glob("*.parquet")
    index = pq.read_table(path)
    place, column = index.schema.get_field_index("sample_id"), index["sample_id"].combine_chunks()
    _, offsets, data = column.buffers()
    wrong = pa.py_buffer(b"\xff" + data.to_pybytes()[1:])
    text = pa.Array.from_buffers(pa.string(), len(column), [None, offsets, wrong])
    pq.write_table(index.set_column(place, index.schema.field(place), text), path)
    with hemadata.open(corpus) as opened, pytest.raises(CorpusError, match=rf"{path} cannot be read .*UTF8"):
        opened.index.to_pylist()


def test_manifest_nested_without_end_is_told(corpus: Path) -> None:
    path = corpus / "manifest" / "bccd.json"
    path.write_text("[" * 100_000)
    with hemadata.open(corpus) as opened, pytest.raises(CorpusError, match=r"is not a manifest"):
        list(opened.manifests)
