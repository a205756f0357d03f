"""The traps of the sets whose boxes have to be worked out: drawn rectangles, circles by two points, points."""

import logging
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import sources
from hemadata.build import Built, Options, build
from hemadata.errors import FormatError, LayoutError
from hemadata.formats import marks
from hemadata.formats.rawfile import RawFile
from hemadata.phantom import jpeg_bytes
from hemadata.sources.base import Raw, Ref
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

PF, PV, SICKLE = "thick-blood-smears", "nlm-thick-pv", "sickle-cell"
Spots = list[tuple[int, int]]


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def blank(size: tuple[int, int] = (300, 400), orientation: int | None = None) -> bytes:
    return jpeg_bytes(Image.new("RGB", size, (225, 215, 225)), orientation=orientation)


def spotted(size: tuple[int, int], spots: Spots, turn: int | None = None, radius: int = 8) -> bytes:
    """A picture with dark spots; `turn` stores it turned, with the EXIF orientation that turns it back."""
    picture = Image.new("RGB", size, (225, 215, 225))
    for x, y in spots:
        ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(90, 50, 120))
    if turn:
        back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}[turn]
        picture = picture.transpose(back)
    return jpeg_bytes(picture, orientation=turn)


def text(*lines: str, announced: int | None = None) -> str:
    return "\n".join([f"{len(lines) if announced is None else announced},4032,3024", *lines]) + "\n"


def circle(x1: float, y1: float, x2: float, y2: float, word: str = "Parasite") -> str:
    return f"19-1,{word},No_Comment,Circle,2,{x1:g},{y1:g},{x2:g},{y2:g}"


def pair(root: Path, patient: str, stem: str, picture: bytes, page: str) -> None:
    put(root / PF / f"Thick_Smears_150/{patient}/{stem}.jpg", picture)
    put(root / PF / f"Thick_Smears_150/GT_updated/{patient}/{stem}.txt", page)


def plan(name: str, root: Path) -> tuple[list[Ref], Raw]:
    raw = sources.get(name).open_raw([root])
    return list(sources.get(name).index(raw)), raw


def built(name: str, root: Path, tmp_path: Path) -> tuple[Built, dict[str, dict[str, Any]]]:
    result = build([name], root, tmp_path / "corpus", Options(jobs=1))[0]
    assert result.error is None, result.error
    with hemadata.open(tmp_path / "corpus") as corpus:
        return result, {row["sample_id"].partition("/")[2]: row for row in corpus.rows("detection")}


def frames(ref: Ref) -> list[tuple[float, ...]]:
    return [box.xywh for box in ref.objects or ()]


# Marks


class Page(RawFile):
    def __init__(self, content: str) -> None:
        super().__init__("", "marks.txt")
        self.content = content

    def read(self) -> bytes:
        return self.content.encode()


def test_circle_is_centre_and_rim_in_any_spelling() -> None:
    line = " 19-1 , Parasitized,No_Comment, circle ,2, 1948,1493,2030,1493 "
    (box,) = marks.read(Page(text(line))).boxes(marks.Reading.CENTRE)
    assert box.xywh == (1866, 1411, 164, 164)
    assert (box.label_raw, box.source_id) == ("Parasitized", "19-1")


@pytest.mark.parametrize(
    ("reading", "box"),
    [("CENTRE", (50, 50, 100, 100)), ("DIAMETER", (90, 95, 50, 50)), ("CORNERS", (100, 100, 30, 40))],
)
def test_three_readings_of_two_points(reading: str, box: tuple[float, ...]) -> None:
    assert marks.box_of((100, 100, 130, 140), marks.Reading[reading]) == box


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 400)), max_size=5))
def test_pages_are_read_as_written(circles: list[tuple[int, int, int]]) -> None:
    page = marks.page([("Parasite", [(x, y), (x + r, y)]) for x, y, r in circles] + [("W", [(1.5, 2)])], (3024, 4032))
    found = marks.read(Page(page))
    assert [box.xywh for box in found.boxes(marks.Reading.CENTRE)] == [
        (x - r, y - r, 2 * r, 2 * r) for x, y, r in circles
    ]
    assert (found.points, found.damaged) == (Counter({"W": 1}), [])


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        ("1-1,Parasite,No_Comment,Circle,2,10,20", "not 2 x, y"),
        ("1-1,Parasite,No_Comment,Circle,2,10,20,x,20", "no number"),
        ("1-1,Parasite,No_Comment,Circle,2,10,20,nan,20", "not 2 x, y"),
        ("1-1,Parasite,No_Comment,Square,2,10,20,30,20", "fourth field"),
        ("1-1,Parasite", "fourth field"),
    ],
)
def test_damaged_line_is_told_and_the_others_kept(line: str, trouble: str) -> None:
    found = marks.read(Page(text(circle(50, 50, 60, 50), line, circle(90, 90, 99, 90))))
    assert len(found.circles) == 2
    (told,) = found.damaged
    assert "line 3" in told and trouble in told


@pytest.mark.parametrize("content", ["", "Access denied", "1-1,Parasite,No_Comment,Point,1,2,3\n", "<html>\n"])
def test_file_without_its_first_line_is_refused(content: str) -> None:
    with pytest.raises(FormatError, match="line 1"):
        marks.read(Page(content))


def test_fewer_marks_than_announced() -> None:
    whole = text(circle(50, 50, 60, 50), circle(90, 90, 99, 90))
    with pytest.raises(FormatError, match="cut short: 2 marks announced, 1 there"):
        marks.read(Page(whole.rsplit("19-1", 1)[0].rstrip("\n")))
    assert "announces 5" in marks.read(Page(text(circle(50, 50, 60, 50), announced=5))).damaged[0]


# P. falciparum


def test_pf_marks_inside_or_beside_and_a_leading_t(tmp_path: Path) -> None:
    page = text(circle(100, 100, 120, 100))
    for folder in ("TF1N_1522", "TF2N_7"):  # one name in two folders
        put(tmp_path / PF / f"Thick_Smears_150/{folder}/20171023_110309.jpg", blank())
    put(tmp_path / PF / "Thick_Smears_150/F3N_9/20171023_110309.jpg", blank())
    put(tmp_path / PF / "Thick_Smears_150/TF1N_1522/Thumbs.db", "x")
    put(tmp_path / PF / "Thick_Smears_150/GT_updated/TF1N_1522/20171023_110309.txt", page)
    put(tmp_path / PF / "GT_updated/F2N_7/20171023_110309.txt", text(circle(50, 50, 60, 50)))
    put(tmp_path / PF / "GT_updated/TF3N_9/20171023_110309.txt", page)
    refs, raw = plan(PF, tmp_path)
    assert {ref.key: ref.group for ref in refs} == {
        "TF1N_1522/20171023_110309": "patient TF1N_1522",
        "TF2N_7/20171023_110309": "patient TF2N_7",
        "F3N_9/20171023_110309": "patient F3N_9",
    }
    assert {ref.key[:4]: frames(ref) for ref in refs}["TF2N"] == [(40, 40, 20, 20)]
    assert raw.problems == [] and {ref.split_paper for ref in refs} == {"train"}


def test_pf_points_make_no_box_and_are_told(tmp_path: Path) -> None:
    point = "4-36,{},No_Comment,Point,1,138.25,52.4"
    white = [point.format("White_Blood_Cell")] * 3
    pair(tmp_path / "raw", "TF1", "a", blank(), text(circle(100, 100, 120, 100), *white))
    pair(tmp_path / "raw", "TF1", "b", blank(), text(circle(100, 100, 120, 100), point.format("Parasite")))
    pair(tmp_path / "raw", "TF1", "c", blank(), text())
    result, rows = built(PF, tmp_path / "raw", tmp_path)
    assert {q.record: (q.reason, q.detail[:7]) for q in result.quarantine} == {
        "White_Blood_Cell": ("point_marks", "3 marks"),
        "Parasite": ("point_marks", "1 marks"),
    }
    assert [o["label"] for o in rows["TF1/a"]["objects"]] == ["plasmodium"] and rows["TF1/c"]["objects"] == []
    # Where a parasite has no box, what is not boxed is no negative.
    annotated = {key: row["classes_annotated"] for key, row in rows.items()}
    assert annotated == {"TF1/a": ["plasmodium"], "TF1/b": [], "TF1/c": ["plasmodium"]}
    assert rows["TF1/a"]["diagnosis"] == "Plasmodium falciparum"


def test_pf_bad_input_is_quarantined_never_a_wrong_row(tmp_path: Path) -> None:
    root, whole = tmp_path / "raw", text(circle(100, 100, 120, 100))
    pair(root, "TF1", "good", blank(), whole)
    pair(root, "TF1", "outside", blank(), text(circle(9000, 100, 9020, 100), circle(100, 100, 120, 100)))
    pair(root, "TF1", "flat", blank(), text(circle(100, 100, 100, 100)))
    pair(root, "TF1", "border", blank(), text(circle(5, 100, 25, 100)))
    pair(root, "TF1", "damaged", blank(), text(circle(100, 100, 120, 100), "1-1,Parasite"))
    pair(root, "TF1", "cut", blank(), text(circle(100, 100, 120, 100), announced=7)[:-4])
    pair(root, "TF1", "broken", blank()[:-100], whole)
    put(root / PF / "Thick_Smears_150/TF1/alone.jpg", blank())
    put(root / PF / "Thick_Smears_150/GT_updated/TF1/lost.txt", whole)
    result, rows = built(PF, root, tmp_path)
    assert {(q.reason, q.file.rpartition("/")[2]) for q in result.quarantine} == {
        ("box_outside", "outside.jpg"),
        ("degenerate_box", "flat.jpg"),
        ("clipped_box", "border.jpg"),
        ("incomplete_annotation", "damaged.txt"),
        ("unreadable_annotation", "cut.txt"),
        ("truncated_image", "broken.jpg"),
        ("missing_annotation", "alone.jpg"),
        ("missing_image", "lost.txt"),
    }
    good = [[80, 80, 40, 40]]
    boxes = {key[4:]: [o["bbox"] for o in row["objects"]] for key, row in rows.items()}
    assert boxes == {"good": good, "outside": good, "flat": [], "border": [[0, 80, 25, 40]], "damaged": good}


def test_pf_unknown_class_word_stops_the_source(tmp_path: Path) -> None:
    pair(tmp_path / "raw", "TF1", "a", blank(), text(circle(100, 100, 120, 100, "Platelet")))
    (result,) = build([PF], tmp_path / "raw", tmp_path / "corpus", Options(jobs=1))
    assert result.error and "'Platelet'" in str(result.error) and "thick-blood-smears.toml" in str(result.error)


@pytest.mark.parametrize("turn", [6, 8])
@pytest.mark.parametrize("spots", [[(100, 300), (200, 380)], [(100, 200), (200, 260)]])
def test_pf_marks_of_the_shown_frame(spots: Spots, turn: int, tmp_path: Path) -> None:
    """Pictures stored as landscape, marks in portrait: proven by what reaches beyond 300, or else by the pixels."""
    page = text(*[circle(x, y, x + 12, y) for x, y in spots])
    for number in range(3):
        pair(tmp_path / "raw", f"TF{number}", "a", spotted((300, 400), spots, turn), page)
    _, rows = built(PF, tmp_path / "raw", tmp_path)
    row = rows["TF1/a"]
    assert (row["width"], row["height"], row["flags"]) == (300, 400, ["exif_rotated"])
    assert [o["bbox"] for o in row["objects"]] == [[x - 12, y - 12, 24, 24] for x, y in spots]


@pytest.mark.parametrize("spots", [[(310, 100), (350, 200), (380, 250)], [(100, 200), (260, 200), (200, 270)]])
def test_pf_marks_of_the_stored_frame(spots: Spots, tmp_path: Path) -> None:
    picture = Image.new("RGB", (400, 300), (225, 215, 225))
    for x, y in spots:
        ImageDraw.Draw(picture).ellipse((x - 8, y - 8, x + 8, y + 8), fill=(90, 50, 120))
    page = text(*[circle(x, y, x + 12, y) for x, y in spots])
    for number in range(3):
        pair(tmp_path / "raw", f"TF{number}", "a", jpeg_bytes(picture, orientation=6), page)
    _, rows = built(PF, tmp_path / "raw", tmp_path)
    assert (rows["TF1/a"]["width"], rows["TF1/a"]["height"]) == (300, 400)
    assert [o["bbox"] for o in rows["TF1/a"]["objects"]] == [[300 - y - 12, x - 12, 24, 24] for x, y in spots]


@pytest.mark.parametrize("orientation", [None, 6])
def test_pf_marks_that_fit_no_frame_stop_with_the_file_to_change(orientation: int | None, tmp_path: Path) -> None:
    """Portrait marks over landscape pictures that nothing turns; or a tie."""
    spots = [(100, 310 + 10 * n) for n in range(5)] if orientation is None else [(100, 100)]
    pair(tmp_path, "TF1", "a", blank((400, 300), orientation), text(*[circle(x, y, x + 9, y) for x, y in spots]))
    with pytest.raises(LayoutError, match=r"neither fits.*mark_pixels\.py"):
        plan(PF, tmp_path)


@pytest.mark.parametrize(
    ("points", "box", "word"),
    [
        (lambda x, y: (x, y, x + 14, y), lambda x, y: (x - 14, y - 14, 28, 28), "centre and rim"),
        (lambda x, y: (x - 10, y, x + 10, y), lambda x, y: (x - 10, y - 10, 20, 20), "ends of a diameter"),
        (lambda x, y: (x - 10, y - 9, x + 10, y + 9), lambda x, y: (x - 10, y - 9, 20, 18), "corners"),
    ],
)
def test_pf_what_two_points_mean_is_told_from_the_pixels(
    points: Any, box: Any, word: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spots = [(75 + 75 * (n % 3), 80 + 100 * (n // 3)) for n in range(9)]
    for patient in range(4):
        page = text(*[circle(*points(x, y)) for x, y in spots])
        pair(tmp_path, f"TF{patient}", "a", spotted((300, 400), spots), page)
    with caplog.at_level(logging.INFO):
        refs, _ = plan(PF, tmp_path)
    assert frames(refs[0]) == [box(x, y) for x, y in spots]
    (record,) = caplog.records
    assert word in record.getMessage() and "16 circles" in record.getMessage()
    assert record.levelname == ("INFO" if word.startswith("centre") else "WARNING")


# P. vivax


def test_pv_underscores_doubled_folder_and_lone_files(tmp_path: Path) -> None:
    top = tmp_path / PV / "NIH-NLM-ThickBloodSmearsPV/NIH-NLM-ThickBloodSmearsPV"
    line = circle(150, 150, 170, 150, "Parasitized")
    for image, page in (("1_2", "1_2"), ("3_4_", "3_4"), ("5_6", "56"), ("7_8", None), (None, "9")):
        if image:
            put(top / f"All_PvTk/PvTk1/{image}.jpg", blank())
        if page:
            put(top / f"All_annotations/PvTk1/{page}.txt", text(line))
    refs, raw = plan(PV, tmp_path)
    assert [ref.key for ref in refs] == ["PvTk1/1_2", "PvTk1/3_4_", "PvTk1/5_6"]
    assert {ref.group for ref in refs} == {"patient PvTk1"} and frames(refs[0]) == [(130, 130, 40, 40)]
    assert {p.file.rpartition("/")[2]: p.reason for p in raw.problems} == {
        "7_8.jpg": "missing_annotation",
        "9.txt": "missing_image",
    }


def test_pv_names_that_are_one_without_underscores_are_never_guessed(tmp_path: Path) -> None:
    for name in ("1_23", "12_3"):
        put(tmp_path / PV / f"All_PvTk/P/{name}.jpg", blank())
    put(tmp_path / PV / "All_annotations/P/123.txt", text())
    refs, raw = plan(PV, tmp_path)
    assert refs == [] and Counter(p.reason for p in raw.problems) == {"missing_annotation": 2, "missing_image": 1}


def test_pv_any_word_of_parasites_is_a_parasite() -> None:
    labels = sources.get(PV).label_map()
    assert {labels.resolve(word).node for word in ("Parasitized", "parasite", "PARASITES")} == {"plasmodium"}


def test_two_copies_of_a_tree_are_refused(tmp_path: Path) -> None:
    for top in ("old", "new"):
        put(tmp_path / PV / top / "All_PvTk/P/1.jpg", blank())
    with pytest.raises(LayoutError, match=r"new/.*old/"):
        plan(PV, tmp_path)


# Sickle cells


def smear(number: int = 0) -> Image.Image:
    picture = Image.new("RGB", (300, 260), (215, 200, 205))
    for x, y in ((90, 80), (190, 150), (60 + number, 200)):
        ImageDraw.Draw(picture).ellipse((x - 20, y - 12, x + 20, y + 12), fill=(165, 110, 120))
    return picture


def labelled(*boxes: tuple[int, int, int, int], picture: Image.Image | None = None) -> Image.Image:
    copy = (picture or smear()).copy()
    for box in boxes:
        ImageDraw.Draw(copy).rectangle(box, outline="black", width=2)
    return copy


BOX = (66, 62, 113, 97)


def sickle(root: Path, name: str, clean: bytes | None, copy: bytes | None, folder: str = "UnLabelled") -> None:
    for part, data in ((folder, clean), ("Labelled", copy)):
        if data is not None:
            put(root / SICKLE / f"Positive/{part}/{name}.jpg", data)


def test_sickle_boxes_are_found_in_the_labelled_copy_and_the_clean_one_is_kept(tmp_path: Path) -> None:
    root, clean = tmp_path / "raw", jpeg_bytes(smear())
    sickle(root, "1", clean, jpeg_bytes(labelled(BOX, (160, 130, 220, 170), (100, 85, 180, 140))))
    put(root / SICKLE / "Negative/Clear/1.jpg", jpeg_bytes(smear(3)))
    put(root / SICKLE / "Negative/2.jpg", jpeg_bytes(smear(4)))
    result, rows = built(SICKLE, root, tmp_path)
    assert result.quarantine == [] and set(rows) == {"positive/1", "negative/1", "negative/2"}
    row = rows["positive/1"]
    assert row["image"]["bytes"] == clean
    assert [o["bbox"] for o in row["objects"]] == [
        pytest.approx(box, abs=1) for box in ([66, 62, 48, 36], [100, 85, 81, 56], [160, 130, 61, 41])
    ]
    assert {(o["label"], o["label_raw"]) for o in row["objects"]} == {("rbc_sickle", "(drawn rectangle)")}
    assert (rows["negative/1"]["objects"], row["classes_annotated"]) == ([], ["rbc_sickle"])
    assert (row["split_paper"], row["native_group"]) == (None, None)
    assert sources.get(SICKLE).facts.annotation_origin == "derived"


def test_sickle_bad_input_is_quarantined_never_a_wrong_row(tmp_path: Path) -> None:
    root, clean, copy = tmp_path / "raw", jpeg_bytes(smear()), jpeg_bytes(labelled(BOX))
    open_outline = labelled(BOX)
    ImageDraw.Draw(open_outline).line([(160, 130), (220, 130), (220, 170)], fill="black", width=2)
    pairs: dict[str, tuple[bytes | None, bytes | None]] = {
        "good": (clean, copy),
        "none": (clean, clean),
        "open": (clean, jpeg_bytes(open_outline)),
        "other": (clean, jpeg_bytes(ImageOps.invert(smear()))),
        "shape": (clean, jpeg_bytes(smear().crop((0, 0, 150, 260)))),
        "cut": (clean, copy[: len(copy) // 2]),
        "text": (clean, b"Access denied"),
        "cut-clean": (clean[: len(clean) // 2], copy),
        "alone": (clean, None),
        "lost": (None, copy),
    }
    for name, (one, other) in pairs.items():
        sickle(root, name, one, other, "Unlabelled")
    result, rows = built(SICKLE, root, tmp_path)
    assert {(q.reason, q.file.removeprefix("Positive/")) for q in result.quarantine} == {
        ("missing_annotation", "Labelled/none.jpg"),
        ("incomplete_annotation", "Labelled/open.jpg"),
        ("unreadable_annotation", "Labelled/other.jpg"),
        ("unreadable_annotation", "Labelled/shape.jpg"),
        ("unreadable_annotation", "Labelled/cut.jpg"),
        ("unreadable_annotation", "Labelled/text.jpg"),
        ("truncated_image", "Unlabelled/cut-clean.jpg"),
        ("missing_annotation", "Unlabelled/alone.jpg"),
        ("missing_image", "Labelled/lost.jpg"),
    }
    assert {key: len(row["objects"]) for key, row in rows.items()} == {"positive/good": 1, "positive/open": 1}
    assert "no box found" in next(q.detail for q in result.quarantine if q.file.endswith("none.jpg"))


@pytest.mark.parametrize("turn", [None, 3, 6, 8])
def test_sickle_turned_picture_and_upright_copy(turn: int | None, tmp_path: Path) -> None:
    back = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
    stored = smear().transpose(back[turn]) if turn else smear()
    sickle(tmp_path / "raw", "1", jpeg_bytes(stored, orientation=turn), jpeg_bytes(labelled(BOX)))
    _, rows = built(SICKLE, tmp_path / "raw", tmp_path)
    (found,) = rows["positive/1"]["objects"]
    assert found["bbox"] == pytest.approx([66, 62, 48, 36], abs=1) and found["bbox_raw"] is None


def test_sickle_no_picture_is_opened_by_the_plan(tmp_path: Path) -> None:
    for number in range(3):
        sickle(tmp_path, str(number), b"not a picture", b"nor this")
    assert len(plan(SICKLE, tmp_path)[0]) == 3


@pytest.mark.parametrize("name", [SICKLE, PF, PV])
def test_zip_is_read_in_place(name: str, tmp_path: Path) -> None:
    sources.get(name).draw(tmp_path / "raw", 4, 0)
    (plain,) = build([name], tmp_path / "raw", tmp_path / "plain", Options(check="none", jobs=1))
    top = tmp_path / "zipped" / name
    top.mkdir(parents=True)
    with zipfile.ZipFile(top / "archive.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((tmp_path / "raw" / name).rglob("*.*")):
            archive.write(path, path.relative_to(tmp_path / "raw" / name))
    (zipped,) = build([name], tmp_path / "zipped", tmp_path / "zip", Options(check="none", jobs=1))
    assert (zipped.error, zipped.images, zipped.objects) == (None, plain.images, plain.objects)
    assert zipped.undeclared == {}


@pytest.mark.parametrize("name", [SICKLE, PF, PV])
def test_other_layout_is_told_with_the_file_to_change(name: str, tmp_path: Path) -> None:
    put(tmp_path / name / "pictures/1.jpg", blank())
    with pytest.raises(LayoutError, match=r"found .*\.py"):
        plan(name, tmp_path)
