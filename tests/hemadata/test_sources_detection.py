"""The traps of the detection sets, each on a tree that contains it."""

import json
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import sources
from hemadata.build import Built, Options, build
from hemadata.errors import LayoutError, UnknownLabelError
from hemadata.formats import voc_like, yolo
from hemadata.formats.rawtree import RawFile
from hemadata.phantom import jpeg_bytes, png_bytes
from hemadata.sources.base import Raw, Ref
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def jpeg(size: tuple[int, int] = (64, 48), orientation: int | None = None) -> bytes:
    return jpeg_bytes(Image.new("RGB", size, (240, 230, 235)), orientation=orientation)


def plan(name: str, root: Path) -> tuple[list[Ref], Raw]:
    raw = sources.get(name).open_raw([root])
    return list(sources.get(name).index(raw)), raw


def built(name: str, root: Path, tmp_path: Path) -> tuple[Built, dict[str, dict[str, Any]]]:
    result = build([name], root, tmp_path / "corpus", Options(jobs=1))[0]
    assert result.error is None, result.error
    with hemadata.open(tmp_path / "corpus") as corpus:
        return result, {row["sample_id"]: row for row in corpus.rows("detection")}


def frames(ref: Ref) -> list[tuple[float, ...]]:
    return [box.xywh for box in ref.objects or ()]


def voc_page(*objects: str, head: str = "") -> str:
    return f"<annotation>{head}{''.join(objects)}</annotation>"


def voc_object(word: str, *corners: float, tag: str = "name") -> str:
    sides = "".join(f"<{s}>{c}</{s}>" for s, c in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><{tag}>{word}</{tag}><pose>Unspecified</pose><bndbox>{sides}</bndbox></object>"


# TXL-PBC


def test_txl_labels_without_images_and_classes_files(tmp_path: Path) -> None:
    top = tmp_path / "raw/txl-pbc/TXL_PBC"
    for split in ("train", "val", "test"):
        put(top / f"images/{split}/{split}-1.jpg", jpeg((640, 480)))
        put(top / f"labels/{split}/{split}-1.txt", "2 0.552344 0.508333 0.379688 0.458333\n")
        put(top / f"labels/{split}/classes.txt", "WBC\nRBC\nPC\n")
    put(top / "labels/train/alone.txt", "0 0.5 0.5 0.1 0.1\n")
    put(top / "images/val/unlabelled.jpg", jpeg())
    result, rows = built("txl-pbc", tmp_path / "raw", tmp_path)
    assert Counter(q.reason for q in result.quarantine) == {"missing_image": 1, "missing_annotation": 1}
    (found,) = rows["txl-pbc/validation/val-1"]["objects"]
    assert found["bbox"] == pytest.approx([232, 134, 243, 220], abs=1e-3)
    assert (found["label"], found["label_raw"]) == ("platelet", "Platelets")


def test_txl_later_release_has_no_split_of_the_paper(tmp_path: Path) -> None:
    put(tmp_path / "txl-pbc/x/train/images/a.jpg", jpeg())
    put(tmp_path / "txl-pbc/x/train/labels/a.txt", "0 0.5 0.5 0.5 0.5")
    ((ref,), _) = plan("txl-pbc", tmp_path)
    assert (ref.key, ref.split_upstream, ref.split_paper) == ("train/a", "train", None)


def test_txl_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    put(tmp_path / "txl-pbc/TXL-PBC/images/train/a.jpg", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    put(tmp_path / "txl-pbc/TXL-PBC/labels/train/a.txt", "0 0.5 0.5 0.5 0.5")
    with pytest.raises(LayoutError, match="git lfs pull"):
        plan("txl-pbc", tmp_path)


def test_txl_bad_lines_are_quarantined_with_file_and_line(tmp_path: Path) -> None:
    for name, line in {
        "a": "3 0.5 0.5 0.1 0.1",
        "b": "0 0.5 0.5",
        "c": "RBC 1 1 1 1",
        "d": "1 0.5 0.5 0.5 0.5",
    }.items():
        put(tmp_path / f"txl-pbc/images/train/{name}.jpg", jpeg())
        put(tmp_path / f"txl-pbc/labels/train/{name}.txt", f"\n{line}\n")
    refs, raw = plan("txl-pbc", tmp_path)
    assert [ref.key for ref in refs] == ["train/d"]
    assert [p.reason for p in raw.problems] == ["unreadable_annotation"] * 3
    assert all("line 2" in p.detail for p in raw.problems)


@given(st.tuples(*[st.integers(0, 600)] * 2), st.tuples(*[st.integers(1, 40)] * 2))
def test_yolo_boxes_come_back_to_the_pixel(corner: tuple[int, int], extent: tuple[int, int]) -> None:
    size = (640, 640)
    box = (*corner, *extent)
    relative = yolo.read(_text(yolo.page([(0, box)], size)), ("cell",))
    (found,) = yolo.in_pixels(relative, jpeg(size)) or ()
    assert found.xywh == pytest.approx(box, abs=2e-3)
    x, y, w, h = found.xywh
    assert x >= 0 and y >= 0 and x + w <= 640 and y + h <= 640


def test_yolo_polygon_is_its_rectangle() -> None:
    (box,) = yolo.in_pixels(yolo.read(_text("0 0.1 0.2 0.5 0.2 0.3 0.6"), ("cell",)), jpeg((100, 200))) or ()
    assert box.xywh == pytest.approx((10, 40, 40, 80))


@pytest.mark.parametrize(
    "text", ["names: ['a', \"b\"]", "nc: 2\nnames:\n- a\n- b\n", "names:\n  0: a\n  1: b\nnc: 2\n"]
)
def test_class_words_of_a_data_yaml(text: str) -> None:
    assert yolo.class_words(_text(text)) == ["a", "b"]


class _Text(RawFile):
    def __init__(self, text: str) -> None:
        super().__init__("", "labels.txt")
        self.content = text

    def read(self) -> bytes:
        return self.content.encode()


def _text(text: str) -> RawFile:
    return _Text(text)


# Vivax


def test_vivax_rows_and_columns_and_doubled_folder(tmp_path: Path) -> None:
    top = tmp_path / "vivax/malaria/malaria"
    box = {"minimum": {"r": 10, "c": 20}, "maximum": {"r": 30, "c": 60}}
    for page, name in (("training.json", "a.png"), ("test.json", "b.jpg")):
        record = {"image": {"pathname": f"/images/{name}"}, "objects": [{"bounding_box": box, "category": "ring"}]}
        gone = {"image": {"pathname": f"/images/gone-{name}"}, "objects": []}
        put(top / page, json.dumps([record, gone, {"objects": []}]))
    put(top / "images/a.png", png_bytes(Image.new("RGB", (80, 60))))
    put(top / "images/b.jpg", jpeg())
    put(top / "images/nobody.jpg", jpeg())
    refs, raw = plan("vivax", tmp_path)
    assert [(ref.key, ref.group, ref.split_upstream, ref.split_paper) for ref in refs] == [
        ("a", "a", "train", "train"),
        ("b", "b", "test", "test"),
    ]
    assert frames(refs[0]) == [(20, 10, 40, 20)]
    assert Counter(p.reason for p in raw.problems) == {
        "missing_image": 2,
        "unreadable_annotation": 2,
        "missing_annotation": 1,
    }


# Raabin


def record(*cells: tuple[Any, Any, int, int, int, int], film: str = "95-5-4-1") -> str:
    whole: dict[str, Any] = {}
    for number, (first, second, x1, y1, x2, y2) in enumerate(cells):
        sides = {"x1": str(x1), "x2": str(x2), "y1": str(y1), "y2": str(y2)}
        whole[f"Cell_{number}"] = {"Label1": first, "Label2": second, **sides, "Cell_ID": f"132_{number}.bmp"}
    return json.dumps(whole | {"Film ID": film, "Cell Numbers": len(cells), "Camera": "Samsung Galaxy S5"})


def raabin_pair(root: Path, source: str, folder: str, stem: str, picture: bytes, text: str) -> None:
    put(root / source / folder / "images" / f"{stem}.jpg", picture)
    put(root / source / folder / "jsons" / f"{stem}.json", text)


def test_raabin_m1_boxes_are_turned_into_the_decoded_frame(tmp_path: Path) -> None:
    text = record(("Monocyte", "Monocyte", 10, 20, 30, 50))
    raabin_pair(
        tmp_path / "raw", "raabin-m1", "WBC/First_microscope/95-5-4-1", "20160721_013659", jpeg((160, 90), 6), text
    )
    _, rows = built("raabin-m1", tmp_path / "raw", tmp_path)
    row = rows["raabin-m1/20160721_013659"]
    assert (row["width"], row["height"]) == (90, 160)
    assert row["native_group"] == "raabin/film 95-5-4-1"
    assert row["objects"][0]["bbox"] == [90 - 50, 10, 30, 20]
    assert row["objects"][0]["bbox_raw"] == [10, 20, 20, 30]


def test_raabin_m1_two_raters(tmp_path: Path) -> None:
    raters = [("Band", "Band"), ("Meta", None), (None, "Burst"), ("null", "null"), ("Band", "Meta"), (None, None)]
    text = record(*[(first, second, 1, 2, 31, 32) for first, second in raters])
    raabin_pair(tmp_path, "raabin-m1", "Index of WBC First_microscope/f", "a(1)", jpeg((160, 90)), text)
    raabin_pair(tmp_path, "raabin-m1", "Index of WBC Second_microscope/f", "b", jpeg((160, 90)), text)
    ((ref,), _) = plan("raabin-m1", tmp_path)
    assert [box.label_raw for box in ref.objects or ()] == ["Band", "Meta", "Burst", None, None, None]
    assert ref.key == "a(1)" and (ref.objects or ())[1].source_id == "132_1.bmp"
    _, rows = built("raabin-m1", tmp_path, tmp_path)
    found = [
        [(r["rater"], r["raw"], r["label"]) for r in o["ratings"] or ()] for o in rows["raabin-m1/a(1)"]["objects"]
    ]
    assert found == [
        [("Label1", "Band", "band_neutrophil"), ("Label2", "Band", "band_neutrophil")],
        [("Label1", "Meta", "metamyelocyte")],
        [("Label2", "Burst", "smudge_cell")],
        [],
        [("Label1", "Band", "band_neutrophil"), ("Label2", "Meta", "metamyelocyte")],
        [],
    ]


def test_raabin_word_of_one_rater_that_nobody_knows_stops(tmp_path: Path) -> None:
    raabin_pair(tmp_path, "raabin-m1", "f", "a", jpeg(), record(("Band", "Bnd", 1, 2, 31, 32)))
    (result,) = build(["raabin-m1"], tmp_path, tmp_path / "corpus", Options(jobs=1))
    assert "'Bnd'" in str(result.error) and "images/a.jpg" in str(result.error)


def test_raabin_m1_broken_record_and_lonely_files(tmp_path: Path) -> None:
    raabin_pair(tmp_path, "raabin-m1", "f", "a", jpeg(), record(("Band", "Band", 1, 2, 3, 4)))
    raabin_pair(tmp_path, "raabin-m1", "f", "b", jpeg(), '{"Film ID": "x"}')
    put(tmp_path / "raabin-m1/f/images/c.jpg", jpeg())
    put(tmp_path / "raabin-m1/f/jsons/d.json", "{}")
    refs, raw = plan("raabin-m1", tmp_path)
    assert [ref.key for ref in refs] == ["a"]
    assert Counter(p.reason for p in raw.problems) == {
        "unreadable_annotation": 1,
        "missing_annotation": 1,
        "missing_image": 1,
    }


def with_nucleus(centre: tuple[int, int], orientation: int = 6) -> bytes:
    picture = Image.new("RGB", (400, 300), (240, 230, 235))
    picture.paste((90, 30, 130), (centre[0] - 15, centre[1] - 15, centre[0] + 15, centre[1] + 15))
    return jpeg_bytes(picture, orientation=orientation)


@pytest.mark.parametrize(
    ("window", "nucleus", "stored"),
    [
        ((340, 100, 398, 158), (369, 129), (340, 100, 58, 58)),  # reaches beyond 300: the stored frame, proven
        ((100, 330, 158, 388), (359, 171), (330, 142, 58, 58)),  # reaches below 300: the shown frame, proven
        ((100, 200, 158, 258), (129, 229), (100, 200, 58, 58)),  # either fits, the nucleus is in the stored one
        ((100, 200, 158, 258), (229, 171), (200, 142, 58, 58)),  # either fits, the nucleus is in the shown one
    ],
)
def test_raabin_m2_frame_is_told_from_the_album(
    window: tuple[int, ...], nucleus: tuple[int, int], stored: tuple[int, ...], tmp_path: Path
) -> None:
    text = record(("Basophil", "Basophil", *window), film="Album_4")  # type: ignore[arg-type]
    raabin_pair(
        tmp_path, "raabin-m2", "WBC/Second_microscope/Album_4", "20181219_102325_HDR", with_nucleus(nucleus), text
    )
    ((ref,), _) = plan("raabin-m2", tmp_path)
    assert frames(ref) == [stored]
    assert ref.group == "film Album_4"


def test_raabin_m2_tie_and_disagreement_are_errors(tmp_path: Path) -> None:
    text = record(("Basophil", "Basophil", 100, 200, 158, 258), film="Album_1")
    raabin_pair(tmp_path / "tie", "raabin-m2", "Album_1", "a", jpeg((400, 300), 6), text)
    with pytest.raises(LayoutError, match="a tie"):
        plan("raabin-m2", tmp_path / "tie")
    for film, window in (("Album_1", (340, 100, 398, 158)), ("Album_2", (100, 330, 158, 388))):
        text = record(("Basophil", "Basophil", *window), film=film)
        raabin_pair(tmp_path / "two", "raabin-m2", film, film, jpeg((400, 300), 6), text)
    with pytest.raises(LayoutError, match="Album_1: 1; film Album_2: 6"):
        plan("raabin-m2", tmp_path / "two")


def test_raabin_m2_zero_boxes_are_dropped_and_corners_cut(tmp_path: Path) -> None:
    text = record(("Band", "Band", 0, 0, 0, 0), ("Band", "Band", -200, 10, 375, 290), ("Band", "Band", 390, 1, 399, 9))
    raabin_pair(tmp_path / "raw", "raabin-m2", "Album_1", "a", jpeg((400, 300)), text)
    result, rows = built("raabin-m2", tmp_path / "raw", tmp_path)
    assert Counter(q.reason for q in result.quarantine) == {"degenerate_box": 1, "clipped_box": 1}
    assert [o["bbox"] for o in rows["raabin-m2/a"]["objects"]] == [[0, 10, 375, 280], [390, 1, 9, 8]]


# M5


def test_m5_same_stem_in_every_domain_is_one_group(tmp_path: Path) -> None:
    stem = "Malaria_CM10_14Jul2021122109_0001_137.0_14.0"
    page = voc_page(voc_object(" Ring", 5, 6, 14, 15), head="<filename>a b.png</filename><size/><size/>")
    for scope in ("HCM", "LCM"):
        for mag in ("100x", "400x", "1000x"):
            put(
                tmp_path / f"m5/part-1/Images/{scope}/val/{mag}/{stem}_{mag}.png", png_bytes(Image.new("RGB", (50, 40)))
            )
            put(tmp_path / f"m5/part-2/Annotations/{scope}/val/{mag}/{stem}_{mag}.xml", page)
    put(tmp_path / "m5/part-2/Annotations/LCM/val/100x/broken_100x.xml", "<annotation><object>")
    put(tmp_path / "m5/part-2/Images/LCM/val/100x/broken_100x.png", b"x")
    refs, raw = plan("m5", tmp_path)
    assert len({ref.key for ref in refs}) == 6 and {ref.group for ref in refs} == {stem}
    assert {ref.about["magnification"] for ref in refs} == {"100x", "400x", "1000x"}
    assert {ref.split_upstream for ref in refs} == {"validation"}
    assert frames(refs[0]) == [(4, 5, 10, 10)]
    assert sources.get("m5").label_map().resolve((refs[0].objects or ())[0].label_raw or "").node == "plasmodium_ring"
    assert [p.reason for p in raw.problems] == ["unreadable_annotation"]


def test_m5_older_folder_names_and_stems_without_magnification(tmp_path: Path) -> None:
    put(tmp_path / "m5/Dataset_Final/China/train/400x/a_1.5.png", png_bytes(Image.new("RGB", (50, 40))))
    put(tmp_path / "m5/Annotations/China/train/400x/a_1.5_400x.xml", voc_page())
    ((ref,), _) = plan("m5", tmp_path)
    assert (ref.key, ref.group, len(ref.objects or ())) == ("LCM/400x/a_1.5", "a_1.5", 0)


# Bio-Net


def test_bio_net_words_copies_and_pages_by_file_name(tmp_path: Path) -> None:
    top = tmp_path / "bio-net/x-main/Blood Cell Detection & Counting Dataset/Training"
    words = ("RBC", "WBC", "Platelets", "Platlets", "platelets", "P", "W", "dog")
    page = voc_page(*[voc_object(word, 1, 1, 10, 10) for word in words], head="<filename>999.jpg</filename>")
    for name in ("001", "001(1)", "002"):
        put(top / f"Images/{name}.jpg", jpeg((64, 48) if name != "002" else (64, 50)))
        put(top / f"XML Files/{name}.xml", page)
    refs, _ = plan("bio-net", tmp_path)
    assert {ref.key: ref.group for ref in refs} == {"001": "001", "001(1)": "001", "002": "002"}
    labels = sources.get("bio-net").label_map()
    nodes = [labels.resolve(box.label_raw or "").node for box in refs[0].objects or ()]
    assert Counter(nodes) == {"platelet": 4, "red_blood_cell": 2, "white_blood_cell": 2}


def test_unknown_class_word_stops_before_any_work(tmp_path: Path) -> None:
    top = tmp_path / "raw/bio-net/Training"
    put(top / "Images/001.jpg", jpeg())
    put(top / "XML Files/001.xml", voc_page(voc_object("cat", 1, 1, 10, 10)))
    (result,) = build(["bio-net"], tmp_path / "raw", tmp_path / "corpus", Options(jobs=1))
    assert isinstance(result.error, UnknownLabelError) or "cat" in str(result.error)


# Makerere


def test_makerere_class_in_label_no_size_and_boxes_over_the_border(tmp_path: Path) -> None:
    top = tmp_path / "raw/plasmodium-phonecamera/plasmodium-phonecamera"
    put(top / "plasmodium-phone-0001.jpg", jpeg((100, 100)))
    page = voc_page(voc_object("plasmodium", 80.5, -19.3, 120.0, 20.7, tag="label"))
    put(top / "plasmodium-phone-0001.xml", page)
    put(top / "plasmodium-phone-0002.jpg", jpeg((100, 100)))
    put(top / "plasmodium-phone-0002.xml", voc_page())
    put(top / ".gitkeep", "")
    result, rows = built("plasmodium-phonecamera", tmp_path / "raw", tmp_path)
    assert Counter(q.reason for q in result.quarantine) == {"clipped_box": 1, "junk_file": 1}
    (found,) = rows["plasmodium-phonecamera/plasmodium-phone-0001"]["objects"]
    assert found["bbox"] == pytest.approx([80.5, 0, 19.5, 20.7])
    empty = rows["plasmodium-phonecamera/plasmodium-phone-0002"]
    assert (empty["objects"], empty["split_paper"]) == ([], None)
    assert empty["classes_annotated"] == ["plasmodium"]


@pytest.mark.parametrize("tag", ["name", "label", "category"])
def test_makerere_person_is_a_parasite_wherever_the_word_stands(tag: str, tmp_path: Path) -> None:
    top = tmp_path / "plasmodium/plasmodium-images"
    put(top / "images/plasmodium-0000.jpg", jpeg((100, 100)))
    put(
        top / "annotation/plasmodium-0000.xml",
        voc_page(voc_object("person", 41.0, 23.5, 46.0, 28.5, tag=tag), head="<status><bad>1</bad></status>"),
    )
    ((ref,), _) = plan("plasmodium", tmp_path)
    assert [box.label_raw for box in ref.objects or ()] == ["person"] and frames(ref) == [(41, 23.5, 5, 5)]
    assert sources.get("plasmodium").label_map().resolve("person").node == "plasmodium"
    assert ref.split_paper == "train"


def test_tuberculosis_bacillus_and_its_specimen(tmp_path: Path) -> None:
    top = tmp_path / "raw/tuberculosis-phonecamera"
    put(top / "tuberculosis-phone-0001.jpg", jpeg((100, 100)))
    put(top / "tuberculosis-phone-0001.xml", voc_page(voc_object("TBbacillus", -3.5, 10, 20, 30, tag="label")))
    _, rows = built("tuberculosis-phonecamera", tmp_path / "raw", tmp_path)
    (row,) = rows.values()
    assert (row["specimen"], row["stain"], row["objects"][0]["label"]) == ("sputum", "Ziehl-Neelsen", "tb_bacillus")
    assert row["objects"][0]["bbox"] == [0, 10, 20, 20]


@pytest.mark.parametrize(
    "text", ["<annotation>", "<!DOCTYPE x><annotation/>", voc_page("<object><label>a</label></object>")]
)
def test_voc_like_page_that_cannot_be_read(text: str) -> None:
    with pytest.raises(hemadata.errors.FormatError):
        voc_like.objects(text)


# Parasite

PHOTO = "a-1_jpg.rf.0123456789abcdef0123456789abcdef"
WORD = "concentrated_leishman_parasite"


def export(form: str, top: Path) -> None:
    for split in ("train", "valid"):
        place = top / split / "images" if form == "yolo" else top / split
        put(place / f"{PHOTO}{split}.jpg", jpeg((100, 100)))
        name = f"{PHOTO}{split}.jpg"
        if form == "coco":
            page = {
                "images": [{"id": 7, "file_name": name}],
                "categories": [{"id": 0, "name": "parasites"}, {"id": 1, "name": WORD}],
                "annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 20, 30.5, 40]}],
            }
            put(top / split / "_annotations.coco.json", json.dumps(page))
        elif form == "yolo":
            put(top / "data.yaml", f"train: ../train/images\nnc: 2\nnames: ['{WORD}', 'leishman_parasite']\n")
            put(top / split / "labels" / f"{PHOTO}{split}.txt", "0 0.2525 0.4 0.305 0.4")
        elif form == "voc":
            put(top / split / f"{PHOTO}{split}.xml", voc_page(voc_object(WORD, 11, 21, 41.5, 61)))
        elif form == "csv":
            line = f"{name},100,100,Concentrated-Leishman parasite,10,20,40.5,60"
            put(top / split / "_annotations.csv", f"filename,width,height,class,xmin,ymin,xmax,ymax\n{line}\n")
        else:
            put(top / split / "_classes.txt", f"{WORD}\nleishman_parasite\n")
            put(top / split / "_annotations.txt", f"{name} 10,20,40.5,60,0\n")


@pytest.mark.parametrize("form", ["coco", "yolo", "voc", "csv", "keras"])
def test_parasite_is_read_from_every_export(form: str, tmp_path: Path) -> None:
    export(form, tmp_path / "raw/parasite/one-extra-folder")
    result, rows = built("parasite", tmp_path / "raw", tmp_path)
    assert result.quarantine == []
    assert {row["split_upstream"] for row in rows.values()} == {"train", "validation"}
    for row in rows.values():
        assert row["native_group"] == "parasite/a-1"
        assert row["objects"][0]["bbox"] == pytest.approx([10, 20, 30.5, 40], abs=1e-3)
        assert row["objects"][0]["label"] == "leishmania_clump"


def test_parasite_without_export_says_what_was_expected(tmp_path: Path) -> None:
    put(tmp_path / "parasite/train/a.jpg", jpeg())
    with pytest.raises(LayoutError, match=r"_annotations\.coco\.json"):
        plan("parasite", tmp_path)


@pytest.mark.parametrize("name", ["txl-pbc", "raabin-m1", "raabin-m2", "m5", "plasmodium", "tuberculosis-phonecamera"])
def test_other_layout_is_told_with_the_file_to_change(name: str, tmp_path: Path) -> None:
    put(tmp_path / name / "pictures/1.jpg", BytesIO(jpeg()).getvalue())
    with pytest.raises(LayoutError, match=r"found .*\.py"):
        plan(name, tmp_path)
