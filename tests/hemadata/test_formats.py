"""Parsers of annotation formats: what they read, what they refuse, and that nothing is lost silently."""

import csv
import io
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hemadata.errors import FormatError, LayoutError
from hemadata.formats import coco, pairs, voc
from hemadata.formats.boxes import Box
from hemadata.formats.namelists import read_splits, write_splits
from hemadata.formats.numbered import numbered, words_of
from hemadata.formats.paired import matched
from hemadata.formats.paired import pairs as paired
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.formats.tables import read_csv, read_records
from hypothesis import given, settings
from hypothesis import strategies as st

steady = settings(derandomize=True, deadline=None, max_examples=200)


def tree(root: Path, files: dict[str, str | bytes]) -> RawTree:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return RawTree.scan(root)


def raw(folder: Path, content: str | bytes, name: str = "table.csv") -> RawFile:
    return tree(folder, {name: content}).file(name)


# Pascal VOC

BOXES = [("RBC", (1, 1, 10, 20)), ("WBC", (5, 7, 300, 200)), ("Platelets", (600, 400, 640, 480))]
PAGE = voc.page("a.jpg", (640, 480), BOXES)

blanks = st.text(" \t\n\r\u00a0", max_size=3)
words = st.sampled_from(
    ["RBC", " WBC ", "\n\tred  cell\n", "", "cell &amp; platelet", "a&lt;b", "<![CDATA[RBC]]>", "ÉOS"]
)
numbers = st.one_of(
    st.integers(-5, 700).map(str),
    st.floats(-10, 700).map(repr),
    st.sampled_from(["", " 7 ", "\n12\t", "1e2", "nan", "-inf", "abc", "1,5", "0x10", "<!-- no -->4", "&#52;"]),
)
extras = st.sampled_from(
    [
        "<pose>Unspecified</pose>",
        "<truncated>0</truncated>",
        "<difficult>1</difficult>",
        "<occluded/>",
        "<pose></pose>",
        "<!-- by hand -->",
        "<?tool x?>",
        "<part><name>nucleus</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>",
        "<object_id>3</object_id>",
    ]
)


@st.composite
def voc_objects(draw: st.DrawFn) -> str:
    gap = draw(blanks)
    sides = [f"<{side}>{draw(numbers)}</{side}>" for side in ("xmin", "ymin", "xmax", "ymax")]
    sides = draw(st.one_of(st.just(sides), st.permutations(sides), st.just(sides[:3])))
    frame = f"<bndbox>{gap}{gap.join(sides)}{draw(blanks)}</bndbox>"
    name = f"<name>{draw(words)}</name>"
    parts = draw(st.sampled_from([[name, frame]] * 6 + [[name], [frame], [frame, name], [name, frame, frame], []]))
    for extra in draw(st.lists(extras, max_size=2)):
        parts = [*parts[:1], extra, *parts[1:]] if draw(st.booleans()) else [*parts, extra]
    opening = draw(st.sampled_from(["<object>"] * 6 + ["<object >", '<object id="4">', "<!-- <object> --><object>"]))
    return f"{opening}{draw(blanks)}{draw(blanks).join(parts)}{draw(blanks)}</object>"


@st.composite
def voc_pages(draw: st.DrawFn) -> str:
    head = draw(
        st.sampled_from(["", "<folder>x</folder>", "<size><width>4</width></size>", "<!-- none -->", "<object/>"])
    )
    gap, tail = draw(blanks), draw(st.sampled_from(["", "\n", " \n\n", "<!-- end -->"]))
    return f"<annotation>{head}{gap}{gap.join(draw(st.lists(voc_objects(), max_size=3)))}{gap}</annotation>{tail}"


def outcome(read: Any, page: str, first: int) -> str:
    try:
        return repr(read(page, first))  # as text, so that nan equals nan
    except FormatError:
        return "refused"


@steady
@given(voc_pages(), st.sampled_from([0, 1]))
def test_voc_expression_reads_what_the_parser_reads(page: str, first: int) -> None:
    assert outcome(voc.objects, page, first) == outcome(voc.objects_by_parser, page, first)


def test_voc_usual_pages_take_the_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voc, "objects_by_parser", lambda *_: pytest.fail("the parser was asked"))
    boxes = voc.objects(PAGE)
    assert boxes == tuple(Box((x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1), name) for name, (x0, y0, x1, y1) in BOXES)
    assert voc.objects(PAGE.replace("\n", "\r\n")) == boxes
    assert voc.objects("<annotation></annotation>") == ()


def test_voc_counted_from_zero_ends_after_the_last_pixel() -> None:
    assert voc.objects(PAGE, first=0)[0].xywh == (1, 1, 9, 19)


def test_voc_click_without_drag_and_swapped_corners_are_no_boxes() -> None:
    click, swapped = voc.objects(voc.page("a.jpg", (9, 9), [("RBC", (5, 5, 5, 5)), ("RBC", (8, 8, 3, 3))]))
    assert click.xywh == (4, 4, 0, 0)
    assert swapped.xywh[2] <= 0 and swapped.xywh[3] <= 0


def test_voc_cut_page_is_refused_wherever_it_is_cut() -> None:
    end = PAGE.rindex("</annotation>") + len("</annotation>")
    for length in range(end):
        with pytest.raises(FormatError):
            voc.objects(PAGE[:length])


def test_voc_damaged_page_never_loses_a_box_silently() -> None:
    """One character missing: the parser's answer or, where it refuses the page, every box of the whole page."""
    whole, lost = repr(voc.objects(PAGE)), []
    for place in range(len(PAGE)):
        page = PAGE[:place] + PAGE[place + 1 :]
        fast, slow = outcome(voc.objects, page, 1), outcome(voc.objects_by_parser, page, 1)
        if fast != slow and not (slow == "refused" and fast == whole):
            lost.append(f"without {PAGE[place]!r} in …{PAGE[place - 10 : place + 12]!r}…")
    assert not lost, f"{len(lost)} damaged pages are read with a box less: {lost[:2]}"


@pytest.mark.parametrize(
    "page",
    [
        '<!DOCTYPE a [<!ENTITY b "ccc">]>\n<annotation>&b;</annotation>',
        '<!DOCTYPE annotation SYSTEM "file:///etc/hostname"><annotation></annotation>',
        PAGE.replace("<annotation>", '<!DOCTYPE a [<!ENTITY b "RBC">]><annotation>').replace("RBC", "&b;"),
    ],
)
def test_voc_entities_are_not_read(page: str) -> None:
    with pytest.raises(FormatError, match="entities or a document type"):
        voc.objects(page)


@pytest.mark.parametrize("page", ["", " ", "no xml", "<annotation>", "\x00", "<a/><b/>", '{"shapes": []}'])
def test_voc_what_is_no_page_is_refused(page: str) -> None:
    with pytest.raises(FormatError):
        voc.objects(page)


def test_voc_refusal_names_the_object() -> None:
    with pytest.raises(FormatError, match=r"WBC box has corners .*wide"):
        voc.objects(PAGE.replace("300", "wide"))
    with pytest.raises(FormatError, match="object 2 has no name"):
        voc.objects(PAGE.replace("<name>WBC</name>", ""))


@steady
@given(
    st.lists(
        st.tuples(st.text("abcXYZ _-é", min_size=1).map(str.strip), st.tuples(*[st.integers(1, 4000)] * 4)), max_size=5
    )
)
def test_voc_page_written_is_the_page_read(boxes: list[tuple[str, tuple[int, int, int, int]]]) -> None:
    read = voc.objects(voc.page("a.jpg", (4000, 4000), boxes))
    assert [box.label_raw for box in read] == [name for name, _ in boxes]
    for box, (_, (x0, y0, x1, y1)) in zip(read, boxes, strict=True):
        assert box.xywh[:2] == (x0 - 1, y0 - 1)
        assert box.xywh[2:] == (x1 - x0 + 1 if x1 != x0 else 0, y1 - y0 + 1 if y1 != y0 else 0)


# COCO


def coco_page(*annotations: dict[str, Any], **changes: Any) -> str:
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}, {"id": 3, "file_name": "a.png"}]
    whole = {"images": images, "categories": [{"id": 1, "name": "monocyte"}], "annotations": list(annotations)}
    return json.dumps(whole | changes)


def annotation(**changes: Any) -> dict[str, Any]:
    return {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2.5, 3, 4], "area": 12, "iscrowd": 0} | changes


def test_coco_entries_that_repeat_a_picture_are_merged(tmp_path: Path) -> None:
    page = coco_page(annotation(id=1), annotation(id=2, image_id=3), annotation(id=3, image_id=2))
    pictures = list(coco.read(raw(tmp_path, page)))
    assert [(name, [box.source_id for box in boxes]) for name, boxes in pictures] == [
        ("a.png", ["1", "2"]),
        ("b.png", ["3"]),
    ]


def test_coco_annotation_keeps_box_class_and_what_else_it_says(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    page = raw(tmp_path, coco_page(annotation(nucleus=2, cytoplasm=None)))
    (box,) = next(coco.read(page, lambda entry: seen.append(entry) or (("nucleus", "two", "2"),)))[1]  # type: ignore[func-returns-value]
    assert (box.source_id, box.xywh, box.label_raw) == ("7", (1.0, 2.5, 3.0, 4.0), "monocyte")
    assert box.attributes == (("nucleus", "two", "2"),)
    assert (seen[0]["nucleus"], seen[0]["cytoplasm"]) == (2, None)


def test_coco_class_name_comes_from_the_list_or_from_the_annotation(tmp_path: Path) -> None:
    named = annotation(category_name="mono")
    assert next(coco.read(raw(tmp_path, coco_page(named))))[1].labels == ("monocyte",)
    assert next(coco.read(raw(tmp_path, coco_page(named, categories=[]))))[1].labels == ("mono",)
    with pytest.raises(FormatError, match=r"annotations 1: .*category 1 has no name"):
        list(coco.read(raw(tmp_path, coco_page(annotation(), categories=[]))))


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe\x00",
        b'{"images": []}',
        b'{"images": 3, "annotations": []}',
        b'{"images": [[]], "annotations": []}',
        b'{"images": [{"id": []}], "annotations": []}',
        b'{"images": [{"id": {}, "file_name": "a"}], "annotations": []}',
        coco_page(categories=None).encode(),
        coco_page(categories=[{"id": 1}]).encode(),
        coco_page(annotation(image_id=99)).encode(),
        coco_page(annotation(image_id=[1])).encode(),
        coco_page(annotation(category_id={})).encode(),
        coco_page(annotation(bbox=[1, 2, 3])).encode(),
        coco_page(annotation(bbox=[1, 2, 3, 4, 5])).encode(),
        coco_page(annotation(bbox=None)).encode(),
        coco_page(annotation(bbox=[1, None, 3, 4])).encode(),
        coco_page(annotation(bbox=["x", 2, 3, 4])).encode(),
        coco_page("annotation").encode(),  # type: ignore[arg-type]
    ],
)
def test_coco_what_is_no_page_is_refused_by_name(tmp_path: Path, page: bytes) -> None:
    with pytest.raises(FormatError, match=r"page\.json"):
        list(coco.read(raw(tmp_path, page, "page.json")))


@pytest.mark.parametrize("page", [b"[" * 200_000, b'{"images":' * 100_000, b"1" * 5000])
def test_coco_hostile_json_is_refused(tmp_path: Path, page: bytes) -> None:
    with pytest.raises(FormatError, match="not JSON"):
        list(coco.read(raw(tmp_path, page)))


def test_coco_number_too_large_for_a_box_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        list(coco.read(raw(tmp_path, coco_page(annotation(bbox=[10**400, 0, 1, 1])))))


def test_coco_class_that_is_no_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        list(coco.read(raw(tmp_path, coco_page(annotation(category_name=5), categories=[]))))


def test_coco_annotation_without_number_has_none(tmp_path: Path) -> None:
    without = {key: value for key, value in annotation().items() if key != "id"}
    (box,) = next(coco.read(raw(tmp_path, coco_page(without))))[1]
    assert box.source_id is None, "unknown is null, not the word None"


# Tables


def test_csv_rows_after_the_header_stripped(tmp_path: Path) -> None:
    file = raw(tmp_path, "\ufeffID,class\r\n1, 2 \r\n\r\n3,\r\n")
    assert list(read_csv(file, 2)) == [["1", "2"], ["3", ""]]


@pytest.mark.parametrize("line", ["1", "1,2,3"])
def test_row_of_another_width_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    file = raw(tmp_path, f"a,b\n1,2\n{line}\n")
    for read in (lambda: read_csv(file, 2), lambda: read_records(file, {"a"})):
        with pytest.raises(FormatError, match=r"table\.csv, line 3: . cells, expected 2"):
            list(read())


def test_records_by_column_with_bom_and_any_order(tmp_path: Path) -> None:
    file = raw(tmp_path, "\ufeffimg_name , label,path\n a.jpg,Basophil , x/a.jpg\n")
    assert list(read_records(file, {"img_name", "path"})) == [
        {"img_name": "a.jpg", "label": "Basophil", "path": "x/a.jpg"}
    ]


def test_records_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="columns label, path are missing; found img_name"):
        list(read_records(raw(tmp_path, "img_name\na.jpg\n"), {"label", "path", "img_name"}))


def test_records_of_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        list(read_records(raw(tmp_path, ""), {"label"}))


@pytest.mark.parametrize("content", [b"a,b\n\xe9,2\n", b"a,b\n" + b"x" * (1 << 21) + b",2\n"])
def test_table_in_another_encoding_or_with_a_giant_cell_is_refused(tmp_path: Path, content: bytes) -> None:
    for read in (lambda f: read_csv(f, 2), lambda f: read_records(f, {"a"})):
        with pytest.raises(FormatError, match=r"table\.csv"):
            list(read(raw(tmp_path, content)))


cells = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x17F, exclude_categories=["Zs", "Zl", "Zp", "Cc"]), max_size=6
)


@steady
@given(st.lists(st.tuples(cells.filter(bool), cells, cells), max_size=5))
def test_table_written_is_the_table_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("a", "b", "c"), *rows])
    file = raw(tmp_path_factory.mktemp("round"), out.getvalue())
    assert list(read_csv(file, 3)) == [list(row) for row in rows]
    assert list(read_records(file, {"a"})) == [dict(zip("abc", row, strict=True)) for row in rows]


@pytest.mark.parametrize("cell", ["two\nlines", "line\u2028separator", "next\u0085line", "form\x0cfeed"])
def test_quoted_cell_keeps_its_line_breaks(tmp_path: Path, cell: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerows([("a", "b"), (cell, "2")])
    assert list(read_records(raw(tmp_path, out.getvalue()), {"a"})) == [{"a": cell, "b": "2"}]


# Raw trees


def test_scan_sorts_names_and_sets_junk_apart(tmp_path: Path) -> None:
    junk = ["__MACOSX/a/._b.jpg", "a/.DS_Store", "a/._b.jpg", "Thumbs.db", "x/Desktop.ini", ".git/HEAD"]
    junk += ["a/.ipynb_checkpoints/n.ipynb"]
    real = ["a/b.jpg", "a/Z.jpg", "a-b.jpg", "thumbs.db.jpg", "a/x._y", "DS_Store"]
    found = tree(tmp_path, dict.fromkeys(junk + real, "x"))
    assert list(found.files) == sorted(real)
    assert sorted(file.name for file in found.junk) == sorted(junk)


def test_folder_is_there_by_its_whole_name_at_any_depth(tmp_path: Path) -> None:
    found = tree(tmp_path, {"a/Train/images/x.jpg": "", "b/Training/y.jpg": "", "TestA": ""})
    asked = ("Train", "Train/images", "a", "Trainin", "rain", "images/x.jpg", "TestA", "train")
    assert [folder for folder in asked if found.has_folder(folder)] == ["Train", "Train/images", "a"]


# Names and numbers that join files


def test_what_stands_alone_is_reported_once_and_pairs_come_in_the_order_of_the_keys(tmp_path: Path) -> None:
    files = tree(tmp_path, dict.fromkeys(("i/b.jpg", "i/a.jpg", "i/c.jpg", "m/a.png", "m/c.png", "m/z.png"), "")).files
    images = {name: files[f"i/{name}.jpg"] for name in "bca"}
    masks = {name: files[f"m/{name}.png"] for name in "zac"}
    told: list[tuple[str, ...]] = []

    def problem(file: RawFile, record: str, reason: str, detail: str = "") -> None:
        told.append((file.name, record, reason, detail))

    found = [(key, image.name, mask.name) for key, image, mask in paired(images, masks, problem)]
    assert found == [("a", "i/a.jpg", "m/a.png"), ("c", "i/c.jpg", "m/c.png")]
    alone = [("i/b.jpg", "b", "missing_annotation"), ("m/z.png", "z", "missing_image")]
    assert [entry[:3] for entry in told] == alone and told[0][3] == "no mask of that name"

    def read(page: RawFile) -> str:
        if page.stem == "a":
            raise FormatError("torn")
        return page.stem

    told.clear()
    assert [content for _, _, content in matched(images, masks, read, problem)] == ["c"]
    assert [entry[:3] for entry in told] == [("m/a.png", "a", "unreadable_annotation"), *alone]


def test_numbered_files_are_in_the_order_of_their_numbers_and_end_with_the_release(tmp_path: Path) -> None:
    names = "x/image/image10.jpg", "x/image/Image2.JPEG", "x/image/image11.jpg", "x/image/mask1.jpg", "x/image3.jpg"
    told: list[str] = []
    found = numbered(tree(tmp_path, dict.fromkeys(names, "")), "image", 10, lambda *said: told.append(said[2]))
    assert {number: file.name for number, file in found.items()} == {2: names[1], 10: names[0]}
    assert (list(found), told) == ([2, 10], ["junk_file"])


def test_number_that_comes_twice_is_refused(tmp_path: Path) -> None:
    found = tree(tmp_path, {"a/image/image1.jpg": "", "b/image/image01.jpg": ""})
    with pytest.raises(FormatError, match=r"a/image/image1.jpg and b/image/image01.jpg are two copies of image 1"):
        numbered(found, "image", 10, lambda *said: None)


def test_words_are_joined_on_digits_alone_and_end_with_the_release(tmp_path: Path) -> None:
    table = raw(tmp_path, "\ufeffId,Categoriy\nImage1, A\nimaeg02,B\nImage2,B\n11,C\n11,D\n".encode())
    assert words_of(table, 10) == {1: "A", 2: "B"}


def test_scan_follows_links_to_files_only(tmp_path: Path) -> None:
    tree(tmp_path, {"far/a.jpg": "12345", "raw/b.jpg": "1"})
    (tmp_path / "raw" / "file.jpg").symlink_to(tmp_path / "far" / "a.jpg")
    (tmp_path / "raw" / "folder").symlink_to(tmp_path / "far")
    (tmp_path / "raw" / "loop").symlink_to(tmp_path / "raw")
    (tmp_path / "raw" / "dead.jpg").symlink_to(tmp_path / "nowhere")
    sizes = {name: file.size for name, file in RawTree.scan(tmp_path / "raw").files.items()}
    assert sizes == {"b.jpg": 1, "dead.jpg": 0, "file.jpg": 5}


@pytest.mark.parametrize("top", ["", "BCCD_Dataset/", "BCCD/", "a/b/c/", "BCCD/BCCD/"])
def test_find_sees_through_the_folders_put_around(tmp_path: Path, top: str) -> None:
    found = tree(tmp_path, {f"{top}BCCD/JPEGImages/x.jpg": "1", "readme.txt": ""}).find("BCCD/JPEGImages")
    assert [file.name for file in found.each("BCCD/JPEGImages/*.jpg")] == [f"{top}BCCD/JPEGImages/x.jpg"]


def test_find_takes_the_shallowest_and_whole_names_only(tmp_path: Path) -> None:
    found = tree(tmp_path, {"Dataset 10/x": "", "my Dataset 1/x": "", "top/Dataset 1/y": "", "top/old/Dataset 1/z": ""})
    assert list(found.find("Dataset 1").below("Dataset 1").files) == ["y"]
    assert found.find("Dataset 1").file("Dataset 1/y").name == "top/Dataset 1/y"


def test_find_a_file(tmp_path: Path) -> None:
    assert tree(tmp_path, {"top/labels.csv": "x"}).find("labels.csv").file("labels.csv").text() == "x"


def test_find_tells_what_is_there_instead(tmp_path: Path) -> None:
    found = tree(tmp_path, {"one/A/x": "", "two/A/x": "", "c": "", "d": "", "e": "", "f": ""})
    with pytest.raises(LayoutError, match=r"expected A once; found in one/, two/\."):
        found.find("A")
    with pytest.raises(LayoutError, match=r"expected B once; found c, d, e, f, one, …\."):
        found.find("B")
    with pytest.raises(LayoutError, match="found nothing"):
        RawTree(tmp_path, {}).find("B")
    with pytest.raises(LayoutError, match="g is missing"):
        found.file("g")


def test_below_keeps_the_junk_of_its_folder(tmp_path: Path) -> None:
    found = tree(tmp_path, {"top/A/B/a.jpg": "", "top/A/B/._a.jpg": "", "top/._A": ""})
    assert [file.name for file in found.below("top/A").junk] == ["top/A/B/._a.jpg"]
    assert [file.name for file in found.find("A").below("A").junk] == ["top/A/B/._a.jpg"]


@settings(steady, max_examples=400)
@given(st.text("ab./*", max_size=8), st.lists(st.text("ab./", min_size=1, max_size=8), max_size=8))
def test_star_does_not_cross_folders(pattern: str, names: list[str]) -> None:
    found = RawTree(Path("raw"), {name: RawFile(name, name) for name in names})

    def fits(name: str) -> bool:
        parts, wanted = name.split("/"), pattern.split("/")
        return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))

    assert [file.name for file in found.each(pattern)] == [name for name in found.files if fits(name)]


def test_question_mark_does_not_cross_folders_either() -> None:
    found = RawTree(Path("raw"), {name: RawFile(name, name) for name in ("a/b", "axb")})
    assert [file.name for file in found.each("a?b")] == ["axb"]


def test_stem_is_the_name_without_folder_and_last_ending() -> None:
    stems = {name: RawFile("", name).stem for name in ("a/b.c.jpg", "x.png", "a.d/b.jpg")}
    assert stems == {"a/b.c.jpg": "b.c", "x.png": "x", "a.d/b.jpg": "b"}


@pytest.mark.parametrize("size", [0, 1, *(n << 16 for n in (1, 2, 3, 4, 8, 16, 17, 64)), (1 << 20) - 1, (3 << 20) + 1])
def test_file_is_read_whole_whatever_its_size(tmp_path: Path, size: int) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    file = raw(tmp_path, content[:size])
    assert file.read() == content[:size] and file.size == size


# Name lists


def test_splits_written_are_the_splits_read(tmp_path: Path) -> None:
    names = [f"image {number:03d}" for number in range(25)]  # names with blanks: one name a line
    write_splits(tmp_path / "Main", names, {"train": 0.56, "val": 0.24, "test": 0.2})
    split_of = read_splits(
        RawTree.scan(tmp_path), "Main/{}.txt", {"train": "train", "val": "validation", "test": "test"}
    )
    assert split_of == {name: ("train", "validation", "test")[(n >= 14) + (n >= 20)] for n, name in enumerate(names)}


def test_splits_of_a_file_that_is_not_there_are_none(tmp_path: Path) -> None:
    found = tree(tmp_path, {"train.txt": "\ufeffa\r\nb\r\n\r\n"})
    assert read_splits(found, "{}.txt", {"train": "train", "test": "test"}) == {"a": "train", "b": "train"}


@steady
@given(st.integers(0, 40), st.lists(st.floats(0, 0.5), min_size=1, max_size=4))
def test_splits_deal_every_name_out_once(tmp_path_factory: pytest.TempPathFactory, n: int, shares: list[float]) -> None:
    folder, names = tmp_path_factory.mktemp("splits"), [str(number) for number in range(n)]
    write_splits(folder, names, {str(number): share for number, share in enumerate(shares)})
    dealt = [name for number in range(len(shares)) for name in (folder / f"{number}.txt").read_text().split()]
    assert dealt == names


def test_splits_in_another_encoding_are_refused_as_a_format(tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        read_splits(tree(tmp_path, {"train.txt": b"\xe9t\xe9\n"}), "{}.txt", {"train": "train"})


# Pairs


def pair(number: int, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {name: f"{name} {number}" for name in pairs.SCHEMA.names if name != "uses"}
    return row | {"uses": [{"name": "cell_size", "value": "big"}], "answer": 'É "q"\n'} | changes


RUN = {"engine": "template", "seed": 0, "counts": {"pairs": 3}, "name": "é"}
PAIRS = [pair(0), pair(1, uses=None, split_upstream=None), pair(2, uses=[], answer="")]


def test_pairs_written_are_the_pairs_read_and_the_same_bytes_again(tmp_path: Path) -> None:
    pairs.write(tmp_path, RUN, PAIRS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert pairs.read(tmp_path) == (RUN, PAIRS)
    pairs.write(tmp_path, dict(reversed(RUN.items())), iter(PAIRS))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert set(before) == {"run.json", "pairs.parquet"}


def test_pairs_none_at_all(tmp_path: Path) -> None:
    pairs.write(tmp_path, RUN, [])
    assert pairs.read(tmp_path) == (RUN, [])


@pytest.mark.parametrize("name", ["run.json", "pairs.parquet"])
@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"PAR1" + bytes(20) + b"\x04\0\0\0PAR1"], ids=["missing", "empty", "brace", "footer"]
)
def test_pairs_broken_file_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    pairs.write(tmp_path, RUN, PAIRS)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=name):
        pairs.read(tmp_path)


def test_pairs_another_table_is_refused(tmp_path: Path) -> None:
    pairs.write(tmp_path, RUN, PAIRS)
    pq.write_table(pa.table({"text": ["not a pair"]}), tmp_path / "pairs.parquet")
    with pytest.raises(FormatError):
        pairs.read(tmp_path)


def test_pairs_run_that_is_no_object_is_refused(tmp_path: Path) -> None:
    pairs.write(tmp_path, RUN, PAIRS)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(FormatError):
        pairs.read(tmp_path)
