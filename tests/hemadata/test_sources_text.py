"""The traps of the text sets: two layouts, pages whose names nobody knows, blanks in several spellings."""

import json
import zipfile
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.errors import FormatError, LayoutError, UsageError
from hemadata.formats import captions, sentences
from hemadata.phantom import jpeg_bytes, png_bytes
from hemadata.sources.base import Raw, Ref
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

PBC = "acevedo/PBC_dataset_normal_DIB"
FIELDS = "leukemiaattri/LeukemiaAttri_Dataset 2/H_100X_C2/Images"
Words = list[dict[str, Any]]


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def page(pictures: list[str], *annotations: dict[str, Any]) -> str:
    """A page as the authors' loader reads it; `image` of an annotation is the place of its picture."""
    return json.dumps(
        {
            "images": [{"id": i, "width": 360, "height": 363, "file_name": name} for i, name in enumerate(pictures)],
            "annotations": [{"id": i, "category_id": 1} | words for i, words in enumerate(annotations)],
            "categories": [{"id": 1, "name": "QA"}],
        }
    )


def asked(image: int, question: str, answer: str) -> dict[str, Any]:
    return {"image_id": image, "Question": question, "Answer": answer, "task": "QA"}


def masked(image: int, comment: str, text: str) -> dict[str, Any]:
    return {"image_id": image, "masked_comment": comment, "completed_text": text}


def plan(name: str, root: Path, variant: str | None = None) -> tuple[dict[str, Ref], Raw]:
    raw = sources.get(name).open_raw([root], variant=variant)
    return {ref.key: ref for ref in sources.get(name).index(raw)}, raw


def cells(root: Path, *names: str) -> None:
    for name in names:
        put(root / PBC / "neutrophil" / f"{name}.jpg", jpeg_bytes(Image.new("RGB", (36, 36), (240, 230, 235))))


def fields(root: Path, *names: str) -> None:
    for name in names:
        put(root / FIELDS / "train" / f"{name}.png", png_bytes(Image.new("RGB", (64, 64), (240, 230, 235))))


def archive(path: Path, **members: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as packed:
        for name, text in members.items():
            packed.writestr(f"Data_Annotation/{name}.json", text)


# The authors' layout


def test_vqa_of_the_authors_from_their_two_zips(tmp_path: Path) -> None:
    cells(tmp_path, "BNE_1", "SNE_2", "SNE_3")
    train = page(["x/BNE_1.jpg", "x/BNE_1.jpg"], asked(0, "Is it big?", "Yes."), asked(1, "What shape?", "Round."))
    merged = page(["BNE_1.jpg", "8_1_1000_ALL.png"], asked(0, "Is it big?", "Yes."), masked(1, "<mask> cell", "A cell"))
    test = page(
        ["SNE_2.jpg", "SNE_9.jpg"], asked(0, "Any vacuole?", "No."), asked(1, "Lost?", "Yes."), asked(7, "?", "!")
    )
    archive(tmp_path / "wbcatt-vqa/train_annotations.zip", Q_A_train=train, Q_A_val_train_MLM_train=merged)
    archive(tmp_path / "wbcatt-vqa/test_annotation.zip", Q_A_large=test)
    refs, raw = plan("wbcatt-vqa", tmp_path)
    assert {key: (ref.split_upstream, ref.split_paper) for key, ref in refs.items()} == {
        "BNE_1": ("train", "train"),
        "SNE_2": ("test", "test"),
    }
    pairs = [(pair["question"], pair["answer"], pair["origin"]) for pair in refs["BNE_1"].about["qa"]]
    assert pairs == [("Is it big?", "Yes.", "model"), ("What shape?", "Round.", "model")]
    assert refs["BNE_1"].about["source_version"] == "authors" and refs["BNE_1"].label_raw == "neutrophil"
    assert sorted((p.reason, p.record) for p in raw.problems) == [
        ("missing_image", "Q_A_large 2"),
        ("missing_image", "SNE_9"),
    ]
    (result,) = build(["wbcatt-vqa"], tmp_path, tmp_path / "corpus", Options(jobs=1))
    assert (result.error, result.images) == (None, 2)
    with hemadata.open(tmp_path / "corpus") as corpus:
        assert corpus.manifests["wbcatt-vqa"].source_version == "authors"


def test_vqa_records_of_a_list_and_urdu(tmp_path: Path) -> None:
    cells(tmp_path, "BNE_1")
    records = [
        {"cell_image": "t/BNE_1.jpg", "q1": "Big?", "a1": "Yes.", "q2": "Why?", "q3": "\u06a9\u06cc\u0627", "a3": "x"}
    ]
    put(tmp_path / "wbcatt-vqa/Train_cleaned_validated_dataset.json", json.dumps(records))
    refs, raw = plan("wbcatt-vqa", tmp_path)
    assert [pair["question"] for pair in refs["BNE_1"].about["qa"]] == ["Big?"]
    assert refs["BNE_1"].split_upstream == "train"
    assert [(p.reason, p.record.rpartition(" ")[2]) for p in raw.problems] == [
        ("unreadable_annotation", "1-2"),
        ("junk_file", "1-3"),
    ]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("captions/Final_version/Q_A_val_train_MLM_train.json", "train"),
        ("captions/Final_version/Mask_test_fixed.json", "test"),
        ("HCM_100x_c2_train_text_val20.json", "validation"),
        ("HCM_100x_c2_train_text_train80.json", "train"),
        ("Test_cleaned_validated_dataset.json", "test"),
        ("test_annotation/all.json", "test"),
        ("latest.json", None),
    ],
)
def test_split_by_the_name_of_a_page(name: str, split: str | None) -> None:
    from hemadata.formats.rawtree import RawFile

    assert captions.split_of(RawFile(f"/raw/{name}", name)) == split


def test_picture_in_train_and_test_has_no_published_split(tmp_path: Path) -> None:
    cells(tmp_path, "BNE_1")
    for split in ("train", "test"):
        put(tmp_path / f"wbcatt-vqa/Q_A_{split}.json", page(["BNE_1.jpg"], asked(0, f"{split}?", "Yes.")))
    refs, _ = plan("wbcatt-vqa", tmp_path)
    assert refs["BNE_1"].split_upstream is None and len(refs["BNE_1"].about["qa"]) == 2


def test_json_without_questions_is_told(tmp_path: Path) -> None:
    cells(tmp_path, "BNE_1")
    put(tmp_path / "wbcatt-vqa/train.json", page(["BNE_1.jpg"], {"image_id": 0, "prompt": "Big?"}))
    with pytest.raises(LayoutError, match='"Question"'):
        plan("wbcatt-vqa", tmp_path)


@pytest.mark.parametrize(
    "content", ["{", '{"annotations": [3]}', '{"images": [{}], "annotations": []}', "3", "[" * 99999]
)
def test_page_beyond_repair_is_told_by_name(content: str, tmp_path: Path) -> None:
    cells(tmp_path, "BNE_1")
    put(tmp_path / "wbcatt-vqa/train.json", content)
    with pytest.raises((FormatError, LayoutError), match=r"train\.json|Question"):
        plan("wbcatt-vqa", tmp_path)


def test_mlm_of_the_authors(tmp_path: Path) -> None:
    fields(tmp_path, "22_1_1000_AML", "8_3_1000_ALL")
    comment = "Cells show <extra_id_0> chromatin; suggestive of <extra_id_0>."
    text = "Cells show open chromatin; suggestive of AML."
    bad = masked(0, "Some <extra_id_0> cells.", "Other cells.")
    train = page(["22_1_1000_AML.png", "8_3_1000_ALL.png"], masked(0, comment, text), bad, asked(1, "Q?", "A."))
    put(tmp_path / "leukemiaattri-mlm/HCM_100x_c2_train_text_train80.json", train)
    refs, raw = plan("leukemiaattri-mlm", tmp_path)
    (ref,) = refs.values()
    assert (ref.key, ref.group, ref.split_upstream) == ("H_100X_C2/22_1_1000_AML", "slide 22", "train")
    (sentence,) = ref.about["texts"]
    assert (sentence["text"], sentence["masked_text"], sentence["origin"]) == (text, comment, "model")
    assert sentence["targets"] == [{"text": "open", "start": 11, "end": 15}, {"text": "AML", "start": 41, "end": 44}]
    assert [(p.reason, "do not fit" in p.detail) for p in raw.problems] == [("unreadable_annotation", True)]
    assert ref.about["diagnosis"] == "AML" and ref.about["magnification"] == "100x"


@pytest.mark.parametrize(
    ("comment", "completed", "text", "words"),
    [
        ("A <extra_id_0> and <extra_id_1> cell", "A big and round cell", "A big and round cell", ["big", "round"]),
        ("A [MASK] and <mask> cell", "A big and round cell", "A big and round cell", ["big", "round"]),
        ("A <mask> cell", "A <extra_id_0>big cell", "A big cell", ["big"]),
        ("A <mask> of <mask>", "<extra_id_0> cell <extra_id_1> AML <extra_id_2>", "A cell of AML", ["cell", "AML"]),
        ("<mask> cell", "Big cell", "Big cell", ["Big"]),
        ("No blank.", "No blank.", "No blank.", []),
        ("A <mask> cell", "A cell", None, []),
        ("A <mask> cell", "a big cell", None, []),
        ("A <mask> of <mask>", "<mask> cell", None, []),
    ],
)
def test_blanks(comment: str, completed: str, text: str | None, words: list[str]) -> None:
    found = captions.blanks(comment, completed)
    assert (found and found[0]) == text
    assert [blank["text"] for blank in (found[1] if found else [])] == words


WORD = st.text("abc ", min_size=1, max_size=6)


@given(st.lists(WORD, min_size=1, max_size=5), st.lists(WORD, min_size=6, max_size=6))
def test_blanks_are_parts_of_a_text_that_fits_the_mask(fillers: list[str], around: list[str]) -> None:
    parts = around[: len(fillers) + 1]
    completed = parts[0] + "".join(filler + after for filler, after in zip(fillers, parts[1:], strict=True))
    found = captions.blanks("<extra_id_0>".join(parts), completed)
    assert found is not None
    text, blanks = found
    assert text == completed
    rest, kept = 0, ""
    for blank in blanks:
        assert text[blank["start"] : blank["end"]] == blank["text"] != ""
        kept += text[rest : blank["start"]] + "<extra_id_0>"
        rest = blank["end"]
    assert kept + text[rest:] == "<extra_id_0>".join(parts)


# The layout of hemasynth


def sentence(image: str, **changed: Any) -> dict[str, Any]:
    return {
        "image_id": image,
        "text": "Open chromatin.",
        "masked_text": "<extra_id_0> chromatin.",
        "target": "<extra_id_0> Open <extra_id_1>",
        "answers": ["Open"],
        "span_starts": [0],
        "span_ends": [4],
        "attributes": ["nuclear_chromatin"],
        "origin": "template",
        "split": "validation",
        "group": "slide 22",
    } | changed


def write(root: Path, *rows: dict[str, Any]) -> None:
    sentences.write(root / "leukemiaattri-mlm" / "hemasynth", {"engine": "template", "seed": 7}, rows)


def test_mlm_of_hemasynth(tmp_path: Path) -> None:
    fields(tmp_path, "22_1_1000_AML")
    write(
        tmp_path,
        sentence("H_100X_C2/22_1_1000_AML"),
        sentence("H_100X_C2/22_1_1000_AML", origin="model", split=None),
        sentence("L_100X_C2/22_1_1000_AML"),
    )
    (result,) = build(["leukemiaattri-mlm"], tmp_path, tmp_path / "corpus", Options(jobs=1))
    assert (result.error, result.images) == (None, 1)
    assert [(q.reason, q.record) for q in result.quarantine] == [("missing_image", "L_100X_C2/22_1_1000_AML")]
    with hemadata.open(tmp_path / "corpus") as corpus:
        (row,) = corpus.rows("mlm")
    assert row["source_version"] == "hemasynth template seed 7"
    assert (row["native_group"], row["split_upstream"], row["split_paper"]) == (
        "leukemiaattri/slide 22",
        "validation",
        None,
    )
    first, second = row["texts"]
    assert (first["origin"], second["origin"], first["generated_by"]) == ("template", "model", "template")
    assert first["target"] == "<extra_id_0> Open <extra_id_1>" and first["attributes"] == ["nuclear_chromatin"]
    assert first["targets"] == [{"text": "Open", "start": 0, "end": 4}]


@pytest.mark.parametrize(
    "changed", [{"span_ends": [5]}, {"answers": ["open"]}, {"answers": []}, {"text": None}, {"span_starts": None}]
)
def test_blank_beside_its_text_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    fields(tmp_path, "22_1_1000_AML")
    write(tmp_path, sentence("H_100X_C2/22_1_1000_AML", **changed))
    with pytest.raises(FormatError, match=r"row 1 .*22_1_1000_AML"):
        plan("leukemiaattri-mlm", tmp_path)


def test_sentences_follow_the_slides_of_the_boxes(tmp_path: Path) -> None:
    names = ["leukemiaattri-mlm", "leukemiaattri"]
    results = build(names, Path("nowhere"), tmp_path / "corpus", Options(phantom=20))
    assert not [result.error for result in results if result.error]
    with hemadata.open(tmp_path / "corpus") as corpus:
        rows = corpus.index.to_pylist()
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["group_id"], set()).add(row["split"])
    assert len(rows) == 40 and all(len(split - {"excluded"}) == 1 for split in splits.values())


# Both


@pytest.mark.parametrize("name", ["wbcatt-vqa", "leukemiaattri-mlm"])
def test_both_layouts_are_an_error_that_names_the_option(name: str, tmp_path: Path) -> None:
    sources.get(name).draw(tmp_path, 4, 0)
    words = asked(0, "Big?", "Yes.") | masked(0, "A <mask> cell", "A big cell")
    put(tmp_path / name / "train.json", page(["BA_2000.jpg", "0.png"], words))
    with pytest.raises(LayoutError, match=r"--variant hemasynth or .* --variant authors"):
        plan(name, tmp_path)
    assert len(plan(name, tmp_path, "hemasynth")[0]) == 4
    refs, raw = plan(name, tmp_path, "authors")
    assert len(refs) + len(raw.problems) == 1


def test_variant_that_is_not_there_or_that_no_source_has(tmp_path: Path) -> None:
    sources.get("wbcatt-vqa").draw(tmp_path, 2, 0)
    with pytest.raises(LayoutError, match="--variant authors is not there; found hemasynth"):
        plan("wbcatt-vqa", tmp_path, "authors")
    with pytest.raises(UsageError, match="no variants"):
        build(["bccd"], tmp_path, tmp_path / "corpus", Options(variant="authors"))
    with pytest.raises(UsageError, match="authors, hemasynth"):
        build(["bccd", "wbcatt-vqa"], tmp_path, tmp_path / "corpus", Options(variant="author"))


def test_empty_folder_says_what_was_expected(tmp_path: Path) -> None:
    cells(tmp_path, "BNE_1")
    (tmp_path / "wbcatt-vqa").mkdir()
    with pytest.raises(LayoutError, match=r"run\.json.*train_annotations\.zip"):
        plan("wbcatt-vqa", tmp_path)
