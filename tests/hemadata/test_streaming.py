"""Pages of any size: boxes packed to the bit, JSON entry by entry, tables line by line; what is no page is told."""

import json
import math
from array import array
from pathlib import Path
from typing import Any

import pytest
from hemadata.errors import FormatError
from hemadata.formats import json_page, rawfile
from hemadata.formats.boxes import Box, Boxes
from hemadata.formats.gathered import Gathered
from hemadata.formats.packed import pack_numbers, pack_texts, pack_values, unpack_numbers, unpack_texts, unpack_values
from hemadata.formats.rawfile import RawFile
from hemadata.formats.tables import read_records
from hypothesis import given
from hypothesis import strategies as st

WHOLE, DECIMAL = st.integers(-70_000, 70_000).map(float), st.integers(-(10**9), 10**9).map(lambda n: n / 10**6)
NUMBERS = st.one_of(st.lists(kind, max_size=12) for kind in (WHOLE, DECIMAL, st.floats(), st.integers(0, 9).map(float)))
WORD = st.sampled_from(["RBC", "WBC", "", "a\0b", None])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def page(folder: Path, text: str | bytes, name: str = "page.json") -> RawFile:
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return RawFile(str(folder / name), name)


# --- packed -----------------------------------------------------------------------------------------------------------


@given(NUMBERS)
def test_packed_numbers_come_back_to_the_bit(numbers: list[float]) -> None:
    packed = pack_numbers(array("d", numbers))
    assert unpack_numbers(*packed).tobytes() == array("d", numbers).tobytes()
    if numbers and all(n == int(n) and 0 <= n < 2**16 and math.copysign(1, n) > 0 for n in numbers if math.isfinite(n)):
        assert not all(map(math.isfinite, numbers)) or len(packed[0]) == 2 * len(numbers)


@given(st.lists(WORD | st.text(), max_size=300).map(tuple))
def test_packed_values_and_texts_come_back(values: tuple[str | None, ...]) -> None:
    assert unpack_values(*pack_values(values)) == values
    assert not values or unpack_texts(pack_texts(values)) == values


@given(st.lists(st.tuples(st.tuples(*[st.floats(0, 900)] * 4), WORD, st.sampled_from(["", "7", "07", "x", None]))))
def test_boxes_say_what_they_were_given(given: list[tuple[Any, str | None, str | None]]) -> None:
    boxes = [Box(xywh, label, (("size", label, None),) if label else (), source_id) for xywh, label, source_id in given]
    for columns in (Boxes.of(boxes), Boxes.unpacked(Boxes.of(boxes).packed())):
        assert len(columns) == len(boxes)
        told = [(box.xywh, box.label_raw, box.attributes) for box in boxes]
        assert [(box.xywh, box.label_raw, box.attributes) for box in columns] == told
        if any(box.source_id for box in boxes):
            assert [box.source_id for box in columns] == [box.source_id for box in boxes]
        assert columns.words() == {box.label_raw for box in boxes}


@pytest.mark.parametrize("held", [1, 3, 1000])
def test_gathered_boxes_are_those_of_each_picture_in_order(held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hemadata.formats.gathered.HELD", held)
    found, expected = Gathered(), {"empty": list[Box]()}
    found.name("empty")
    for number in range(20):
        picture, box = f"p{number * 7 % 5}", Box((number, 1.5, 2, 3), "RBC" if number % 2 else None, (), str(number))
        expected.setdefault(picture, []).append(box)
        found.add(picture, box.xywh, box.label_raw, (), box.source_id)
    assert {picture: list(boxes) for picture, boxes in found.pictures()} == expected


# --- JSON entry by entry ----------------------------------------------------------------------------------------------


PAGES = st.dictionaries(st.text(max_size=4), st.lists(VALUES, max_size=6) | VALUES, max_size=4)


@given(whole=PAGES, block=st.integers(4, 9))
def test_entries_are_those_that_a_parser_of_the_whole_finds(
    whole: dict[str, Any], block: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_page, "BLOCK", block)
        for indent, ascii_only, encoding in ((None, True, "utf-8"), (1, False, "utf-8-sig"), (None, True, "utf-16")):
            text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only)
            read = list(json_page.entries(page(folder, text.encode(encoding)), whole))
            expected = [
                (key, number, entry)
                for key, value in whole.items()
                for number, entry in enumerate(value if isinstance(value, list) else [value], start=1)
            ]
            assert read == expected
            listed = page(folder, json.dumps([*whole.values()], indent=indent))
            assert [entry for _, _, entry in json_page.entries(listed)] == [*whole.values()]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "[", "[1", "[1,", "[1,]", "[1 2]", '{"a"', '{"a":', '{"a":1', '{"a":1,}', '{"a" 1}', "{1: 2}"),
        *(
            '{"a":[1,2}',
            "[1]]",
            "[1] x",
            "null",
            "7",
            '"word"',
            "nul",
            '["\\u12',
            '["abc',
            "[tru]",
            "[-]",
            "{]",
            "<a/>",
        ),
        *("[" * 200_000, '{"a":' * 100_000, "[" + "1" * 5000 + "]", '[{"a": 01}]', "[NaN", "\x00", "[1]\x00"),
    ],
)
@pytest.mark.parametrize("block", [3, json_page.BLOCK])
def test_what_is_no_page_is_refused(text: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_page, "BLOCK", block if len(text) < 1000 else json_page.BLOCK)
    with pytest.raises(FormatError, match=r"^page\.json: not JSON"):
        list(json_page.entries(page(tmp_path, text)))


def test_entry_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_page, "MAX_ENTRY", 5000)
    monkeypatch.setattr(json_page, "BLOCK", 100)
    with pytest.raises(FormatError, match="an entry of more than 5,000 characters"):
        list(json_page.entries(page(tmp_path, '["' + "x" * 50_000 + '"]')))


@pytest.mark.parametrize("data", [b'["\xff"]', b'["caf\xe9"]', "[1]".encode("utf-16-le"), b"\xff\xfe["])
def test_page_in_another_encoding_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"page\.json: not (UTF-8 text|JSON)"):
        list(json_page.entries(page(tmp_path, data)))


# --- text line by line ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_lines_are_those_of_the_text(encoding: str, tmp_path: Path) -> None:
    text = 'name,"two\r\nlines"\r\nÄ,1\n\nlast'
    file = page(tmp_path, text.encode(encoding))
    assert "".join(file.lines("latin-1")) == file.text("latin-1") == text
    if encoding == "latin-1":
        for read in (file.text, lambda: list(file.lines())):
            with pytest.raises(FormatError, match="not UTF-8 text"):
                read()


def test_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rawfile, "MAX_LINE", 1000)
    table = page(tmp_path, "a,b\n" + "x" * 5000, "table.csv")
    with pytest.raises(FormatError, match=r"table\.csv: a line of more than 1,000 characters"):
        list(read_records(table, {"a"}))


def test_file_too_large_to_be_a_page_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rawfile, "MAX_FILE", 100_000)
    with pytest.raises(FormatError, match="at most 100,000 are read"):
        page(tmp_path, "x" * 200_000).text()


def test_place_on_disk_is_kept_with_and_without_a_shared_top(tmp_path: Path) -> None:
    for path, name in (("/raw/a/b.jpg", "a/b.jpg"), ("b.jpg", "b.jpg"), ("/spool/x", "top/x"), ("/raw/ab", "b")):
        assert (RawFile(path, name).path, RawFile(path, name).name) == (path, name)
