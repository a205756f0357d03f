"""Samples and batches say what the corpus says, in any process and after any restart."""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hemadata
import pytest
import torch
from hemadata.build import Options, build
from hemadata.corpus import Corpus
from hemadata.errors import InputMissingError
from hemamodel.data import (
    IGNORE,
    MORPHOLOGY,
    CorpusDataset,
    Positions,
    TrainingStream,
    Transform,
    collate,
    decode,
    evaluation_loader,
    training_loader,
)
from hemamodel.data.records import PARTLY, Reader
from PIL import Image
from torch import Tensor


@pytest.fixture(scope="module")
def corpus(phantom_corpus: Path) -> Iterator[Corpus]:
    torch.set_num_threads(1)
    with hemadata.open(phantom_corpus) as opened:
        yield opened


# --- samples


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_datasets_turns_them(orientation: int) -> None:
    picture = Image.new("RGB", (6, 4))
    picture.putpixel((0, 0), (255, 0, 0))
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(buffer, "PNG", exif=exif)
    seen = decode.image(buffer.getvalue())
    assert tuple(seen.shape) == ((3, 4, 6) if orientation < 5 else (3, 6, 4))
    bottom, right = orientation in (3, 4, 7, 8), orientation in (2, 3, 6, 7)
    assert seen[0, -1 if bottom else 0, -1 if right else 0] == 255


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    buffer = io.BytesIO()
    Image.new("I;16", (3, 2), 40000).save(buffer, "PNG")
    assert decode.image(buffer.getvalue()).unique().tolist() == [40000 >> 8]


def test_detection_samples_say_what_the_corpus_says(corpus: Corpus) -> None:
    dataset = CorpusDataset(corpus, "detection")
    rows = {row["sample_id"]: row for row in corpus.rows("detection", columns=["sample_id", "objects"])}
    view = corpus.view("uni_hema_det_30")
    assert len(dataset) == len(rows) and dataset.classes == 30
    for index in range(0, len(dataset), 5):
        sample = dataset[index]
        objects = rows[sample["sample_id"]]["objects"]
        x, y, w, h = objects[0]["bbox"]
        assert sample["boxes"][0].tolist() == [x, y, x + w, y + h]
        expected = [view.id("bccd", each["label_raw"], each["label"]) for each in objects]
        assert sample["labels"].tolist() == expected
        assert sample["attributes"].unique().tolist() == [IGNORE]  # BCCD rates no morphology
        assert tuple(sample["image"].shape[-2:]) == sample["original_size"]
        # BCCD annotates white cells (24) and platelets (21) exhaustively, red cells (23) in part; 0 is background.
        assert {int(n): sample["annotated"][n] for n in sample["annotated"].nonzero()} == {
            0: 1,
            21: 1,
            24: 1,
            23: PARTLY,
        }
        assert sample["prompt"] == "This image is for the detection of Normal of cells."


def test_attributes_come_in_the_order_of_the_head_and_null_is_ignored(corpus: Corpus) -> None:
    reader = Reader(corpus, "detection", None)
    rated = {"nucleolus": "prominent", "nuclear_chromatin": "open", "cytoplasm": None, "cell_size": "large"}
    values = reader._attributes([{"name": name, "value": value} for name, value in rated.items()])
    assert dict(zip(MORPHOLOGY, values, strict=True)) == {
        "nuclear_chromatin": 0,
        "nuclear_shape": IGNORE,
        "nucleolus": 1,
        "cytoplasm": IGNORE,
        "cytoplasmic_basophilia": IGNORE,
        "cytoplasmic_vacuoles": IGNORE,
    }


def test_attributes_of_leukemiaattri_reach_the_sample_beside_their_boxes(tmp_path: Path) -> None:
    build(["leukemiaattri"], Path("nowhere"), tmp_path / "corpus", Options(phantom=6))
    with hemadata.open(tmp_path / "corpus") as opened:
        dataset = CorpusDataset(opened, "detection")
        vocabulary = opened.ontology.morphology("leukemiaattri").attributes
        rows = {row["sample_id"]: row for row in opened.rows("detection", columns=["sample_id", "objects"])}
        rated = 0
        for index in range(len(dataset)):
            sample = dataset[index]
            objects = rows[sample["sample_id"]]["objects"]
            for each, values in zip(objects, sample["attributes"].tolist(), strict=True):
                said = {a["name"]: a["value"] for a in each["attributes"] or () if a["value"] is not None}
                expected = [vocabulary[n].values.index(said[n]) if n in said else IGNORE for n in MORPHOLOGY]
                assert values == expected
                rated += len(said)
        assert rated > 0


def test_a_source_that_does_not_say_annotates_the_classes_that_it_has(corpus: Corpus) -> None:
    reader = Reader(corpus, "detection", None)
    assert reader._annotated("m5", None, [17, 18], []) == {0: 1, 17: 1, 18: 1}
    assert reader._annotated("bccd", ["platelet", "smudge_cell"], [23], []) == {0: 1, 21: 1}
    assert reader._annotated("bccd", ["platelet"], [23], [21, 23]) == {0: 1, 21: 1, 23: PARTLY}, (
        "some of many are boxed"
    )


def test_masks_hold_the_foreground_of_the_source_or_the_regions_asked_for(corpus: Corpus) -> None:
    rows = {row["sample_id"]: row for row in corpus.rows("segmentation", columns=["sample_id", "mask_classes"])}
    dataset = CorpusDataset(corpus, "segmentation", regions=[["nucleus"], ["nucleus", "cytoplasm"]])
    default = CorpusDataset(corpus, "segmentation")
    for index in range(0, len(dataset), 6):
        sample = dataset[index]
        pixels = {each["label"]: each["pixels"] for each in rows[sample["sample_id"]]["mask_classes"]}
        counted = sample["mask"].sum((1, 2)).tolist()
        assert counted == [pixels["nucleus"], pixels["nucleus"] + pixels["cytoplasm"]]
        assert default[index]["mask"].shape[0] == 1
        assert default[index]["mask"].sum() == counted[1]  # nucleus and cytoplasm are the declared foreground


def test_classification_labels_come_through_the_view_and_the_rest_is_counted(corpus: Corpus) -> None:
    dataset = CorpusDataset(corpus, "classification", sources=["raabin", "bmc"])
    assert dataset.missing == ("bmc",)
    view, rows = (
        corpus.view("uni_hema_45"),
        corpus.rows("classification", columns=["label", "label_raw"], source="raabin"),
    )
    expected = [number for row in rows if (number := view.id("raabin", row["label_raw"], row["label"])) is not None]
    assert [dataset.record(index)["label"] for index in range(len(dataset))] == expected
    pbc = CorpusDataset(corpus, "classification", sources=["wbcatt"], view="blast_equivalent")
    assert len(pbc) + sum(pbc.left_out.values()) == corpus.count("classification", source="wbcatt")


def test_a_question_is_a_sample_and_keeps_its_answer(corpus: Corpus) -> None:
    dataset = CorpusDataset(corpus, "vqa", read_images=False)
    rows = list(corpus.rows("vqa", columns=["sample_id", "qa"]))
    pairs = [(r["sample_id"], f"Q: {qa['question']}", qa["answer"]) for r in rows for qa in r["qa"]]
    samples = [dataset[index] for index in range(len(dataset))]
    assert [(s["sample_id"], s["prompt"], s["answer"]) for s in samples] == pairs
    assert collate(samples[:3]).images is None


def test_nothing_to_read_is_an_error_that_says_so(corpus: Corpus) -> None:
    with pytest.raises(InputMissingError, match="detection for bmc"):
        CorpusDataset(corpus, "detection", sources=["bmc"])


# --- batches

SMALL = Transform(fit="shorter", sizes=[64, 96], longest=200, crop=0.5, flip=0.5, stain=0.1, light=0.1)


def test_padding_is_marked_and_boxes_are_relative_to_the_image_itself(corpus: Corpus) -> None:
    dataset = CorpusDataset(corpus, "detection", transform=SMALL)
    samples = [dataset.sample(index, index) for index in range(6)]
    batch = collate(samples)
    assert batch.images is not None and batch.padding is not None and batch.boxes is not None
    assert batch.images.shape[-2] % 64 == batch.images.shape[-1] % 64 == 0
    for i, sample in enumerate(samples):
        h, w = sample["image"].shape[-2:]
        assert torch.equal(batch.images[i, :, :h, :w], sample["image"].as_subclass(Tensor))
        assert not batch.padding[i, :h, :w].any() and batch.padding[i].sum() == batch.padding[i].numel() - h * w
        assert not batch.images[i][:, batch.padding[i]].any()
        cx, cy, bw, bh = (batch.boxes[i] * torch.tensor([w, h, w, h])).unbind(-1)
        back = torch.stack([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2], -1)
        assert torch.allclose(back, sample["boxes"].as_subclass(Tensor), atol=1e-3)
    assert batch.classes_annotated is not None and batch.classes_annotated.shape == (6, 30)
    assert batch.to("cpu").boxes is not None and len(batch) == 6


def test_masks_are_padded_with_their_images(corpus: Corpus) -> None:
    batch = collate([CorpusDataset(corpus, "segmentation", transform=SMALL)[index] for index in range(4)])
    assert batch.masks is not None and batch.images is not None and batch.padding is not None
    assert batch.masks.shape == (4, 1, *batch.images.shape[-2:])
    assert batch.masks.any() and not batch.masks[:, 0][batch.padding].any()


def test_only_equal_padded_sizes_share_an_evaluation_batch(corpus: Corpus) -> None:
    dataset = CorpusDataset(corpus, "segmentation", transform=Transform(fit="shorter", sizes=[100], longest=150))
    seen = []
    for batch in evaluation_loader(dataset, 5):
        assert len({tuple(-(-side // 64) * 64 for side in size) for size in batch.sizes.tolist()}) == 1
        seen += batch.sample_ids
    assert sorted(seen) == sorted(dataset.record(index)["sample_id"] for index in range(len(dataset)))


def same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def test_workers_give_what_the_process_itself_gives_also_after_a_resume(corpus: Corpus) -> None:
    stream = TrainingStream(CorpusDataset(corpus, "detection", "train", transform=SMALL), seed=3, temperature=2)
    steps = 2 * len(stream) // 4  # into the second epoch
    straight = list(training_loader(stream, Positions(4, 0, steps)))
    resumed = list(training_loader(pickle.loads(pickle.dumps(stream)), Positions(4, 3, steps), workers=1))
    assert len(resumed) == steps - 3
    for first, second in zip(straight[3:], resumed, strict=True):
        assert all(same(value, vars(second)[name]) for name, value in vars(first).items())
    names = [name for batch in straight for name in batch.sample_ids]
    assert names[: len(stream)] != names[len(stream) : 2 * len(stream)]
