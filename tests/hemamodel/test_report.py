"""Evidence, intervals, matching and the report of `evaluate`, against independent libraries where there are some."""

import json
from pathlib import Path
from typing import Any

import hemadata
import numpy as np
import pytest
import torch
from hemamodel.cli import app
from hemamodel.data import MORPHOLOGY
from hemamodel.errors import UsageError
from hemamodel.evaluate import scores
from hemamodel.evaluate.evidence import BoxEvidence, ClassEvidence, MaskEvidence, TextEvidence
from hemamodel.evaluate.interval import difference, interval, weights
from hemamodel.evaluate.matching import class_hits, pairs
from hemamodel.evaluate.morphology import RatedPairs
from hemamodel.evaluate.paper import published
from hemamodel.evaluate.run import evaluate
from hemamodel.evaluate.several import against, over_seeds
from hemamodel.predict.results import Detections
from hemamodel.train.start import Call, train
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

NAMES = ("a", "b", "c")


def samples(count: int) -> tuple[list[str], list[str]]:
    return [f"s{i}" for i in range(count)], ["first" if i % 2 else "second" for i in range(count)]


def random_boxes(seed: int, images: int = 6) -> BoxEvidence:
    """Boxes, some found again with a shift, some classes mixed up, some made up."""
    draw = torch.Generator().manual_seed(seed)
    boxes, labels, attributes, found = [], [], [], []
    for _ in range(images):
        count = int(torch.randint(0, 7, (), generator=draw))
        corner = torch.rand(count, 2, generator=draw) * 80
        each = torch.cat([corner, corner + 10 + torch.rand(count, 2, generator=draw) * 20], 1)
        kinds = torch.randint(0, 3, (count,), generator=draw)
        guess = torch.cat([each + torch.randn(count, 4, generator=draw) * 2, torch.rand(3, 4, generator=draw) * 50])
        guess[:, 2:] = torch.maximum(guess[:, 2:], guess[:, :2] + 1)
        mixed = torch.cat(
            [torch.where(torch.rand(count, generator=draw) < 0.8, kinds, 0), torch.randint(0, 3, (3,), generator=draw)]
        )
        values = torch.randint(0, 2, (len(guess), len(MORPHOLOGY)), generator=draw)
        order = (score := torch.rand(len(guess), generator=draw)).argsort(descending=True)
        boxes.append(each)
        labels.append(kinds)
        attributes.append(torch.randint(0, 2, (count, len(MORPHOLOGY)), generator=draw))
        found.append(Detections(guess[order], score[order], mixed[order], values[order]))
    return BoxEvidence(*samples(images), boxes, labels, attributes, found, NAMES, 0.3)


@given(st.integers(0, 300))
def test_our_average_precision_is_that_of_coco(seed: int) -> None:
    evidence = random_boxes(seed)
    coco = evidence.score()
    for number, name in enumerate(NAMES):
        hits = class_hits(evidence.boxes, evidence.labels, evidence.found, number)
        mine = hits.precision(np.ones(len(evidence)))
        if name in coco["classes"]:
            assert mine == pytest.approx(coco["classes"][name]["ap50"], abs=1e-6)
        else:
            assert np.isnan(mine)


@given(st.integers(0, 300))
def test_average_precision_and_morphology_as_in_the_score(seed: int) -> None:
    """What the bootstrap draws is the number of the report: COCO's AP, scikit-learn's F1."""
    evidence = random_boxes(seed)
    whole, even = evidence.score(), np.ones(len(evidence))
    for name, metric in evidence.metrics().items():
        assert metric(even) == pytest.approx(whole[name], abs=1e-6), name
    rated = {"morphology_f1", "morphology_f1_matched"}
    assert rated <= set(whole) if any(map(len, evidence.labels)) else not rated & set(whole)
    assert not whole["morphology"] or whole["morphology_matched"]["found_boxes"] >= whole["morphology"]["found_boxes"]


@given(st.integers(0, 300))
def test_weights_are_repetitions(seed: int) -> None:
    """An image that counts three times is an image that is there three times."""
    evidence = random_boxes(seed)
    weight = np.array([0, 1, 3, 1, 2, 1])
    repeated = evidence.part([i for i, times in enumerate(weight) for _ in range(times)])
    for metric in evidence.metrics():
        given_ = evidence.metrics()[metric](weight)
        wanted = repeated.metrics().get(metric, lambda _: float("nan"))(np.ones(len(repeated)))
        assert given_ == pytest.approx(wanted, abs=1e-9, nan_ok=True)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_classification_agrees_with_torchmetrics(rows: list[tuple[int, int]]) -> None:
    from torchmetrics.functional.classification import (
        multiclass_accuracy,
        multiclass_confusion_matrix,
        multiclass_f1_score,
    )

    truth, found = [a for a, _ in rows], [b for _, b in rows]
    evidence = ClassEvidence(*samples(len(rows)), truth, found, NAMES)
    even = {name: metric(np.ones(len(rows))) for name, metric in evidence.metrics().items()}
    whole = evidence.score()
    assert {name: whole[name] for name in even} == pytest.approx(even)
    wanted, ours = torch.tensor(truth), torch.tensor(found)
    assert whole["accuracy"] == pytest.approx(multiclass_accuracy(ours, wanted, 3, average="micro").item(), abs=1e-6)
    weighted = multiclass_f1_score(ours, wanted, 3, average="weighted").item()
    assert whole["weighted_f1"] == pytest.approx(weighted, abs=1e-6)
    each = multiclass_f1_score(ours, wanted, 3, average="none")
    assert whole["macro_f1"] == pytest.approx(each[sorted(set(truth))].mean().item(), abs=1e-6)
    table = multiclass_confusion_matrix(ours, wanted, 3)
    mine = [[whole["confusion"].get(a, {}).get(b, 0) for b in NAMES] for a in NAMES]
    assert table.tolist() == mine


@given(st.integers(0, 100), st.booleans())
def test_dice_agrees_with_torchmetrics(seed: int, empty: bool) -> None:
    from torchmetrics.functional.classification import binary_f1_score, binary_jaccard_index

    draw = np.random.default_rng(seed)
    truth, found = draw.random((2, 9, 7)) > (1.1 if empty else 0.6)
    dice, iou = scores.overlap(truth, found)
    wanted, ours = torch.from_numpy(truth.ravel()).int(), torch.from_numpy(found.ravel()).int()
    if truth.any() or found.any():
        assert dice == pytest.approx(binary_f1_score(ours, wanted).item(), abs=1e-6)
        assert iou == pytest.approx(binary_jaccard_index(ours, wanted).item(), abs=1e-6)
    else:
        assert (dice, iou) == (1, 1)


SENTENCES = st.lists(st.sampled_from(["a", "large", "round", "cell", "no", "vacuoles"]), max_size=7).map(" ".join)


@given(st.lists(st.tuples(SENTENCES, SENTENCES), min_size=1, max_size=6))
@example([("x", "")])
@example([("", "")])
def test_rouge_and_bleu_agree_with_torchmetrics(rows: list[tuple[str, str]]) -> None:
    from sacrebleu.metrics.bleu import BLEU
    from torchmetrics.functional.text import rouge_score, sacre_bleu_score

    truth, found = [a for a, _ in rows], [b for _, b in rows]
    theirs = rouge_score(found, truth, rouge_keys=("rouge1", "rouge2", "rougeL"))
    ours = scores.text(truth, found)
    for mine, name in (("rouge_1", "rouge1"), ("rouge_2", "rouge2"), ("rouge_l", "rougeL")):
        assert ours[mine] == pytest.approx(theirs[f"{name}_fmeasure"].item(), abs=1e-6)
    counts = scores.NGrams.of(truth, found)
    for order in scores.ORDERS:
        whole = BLEU(max_ngram_order=order, effective_order=True).corpus_score(found, [truth])
        assert ours[f"bleu_{order}"] == pytest.approx(whole.score / 100, abs=1e-9)
        if counts.right.sum(0)[:order].all():  # else they smooth otherwise
            other = sacre_bleu_score(found, [[each] for each in truth], n_gram=order).item()
            assert ours[f"bleu_{order}"] == pytest.approx(other, abs=1e-5)


def test_a_text_that_counts_twice_is_there_twice() -> None:
    evidence = TextEvidence(*samples(3), ["a round cell", "no", "large"], ["a cell", "no", "small"], ["q"] * 3)
    twice, weight = evidence.part([0, 1, 1]), np.array([1.0, 2, 0])
    for name, metric in evidence.metrics().items():
        assert metric(weight) == pytest.approx(twice.metrics()[name](np.ones(3))), name
        assert metric(np.ones(3)) == pytest.approx(evidence.score()[name]), name


def test_confusion_counts_every_box_once() -> None:
    evidence = random_boxes(3)
    table = evidence.score()["confusion"]
    annotated = sum(n for truth, row in table.items() if truth != "nothing" for n in row.values())
    assert annotated == sum(map(len, evidence.labels))
    sure = sum(int((each.scores >= 0.3).sum()) for each in evidence.found)
    assert sum(n for row in table.values() for guess, n in row.items() if guess != "missed") == sure


def test_morphology_is_scored_on_the_boxes_that_were_found() -> None:
    box = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 60]])
    rated = torch.tensor([[1, 0, 1, 0, 1, -100], [1, 1, 1, 1, 1, 1]])
    guess = Detections(box[:1] + 0.5, torch.tensor([0.9]), torch.tensor([2]), rated[:1].clamp(min=0))
    result = RatedPairs.of([box], [rated], [guess], 0.3).score()
    assert (result["rated_boxes"], result["found_boxes"], result["macro_f1"]) == (2, 1, 1.0)
    assert set(result["attributes"]) == set(MORPHOLOGY[:5]), "the sixth is not rated on the box that was found"
    assert RatedPairs.of([box], [rated], [guess], 0.95).score()["found_boxes"] == 0
    assert RatedPairs.of([box], [torch.full((2, 6), -100)], [guess], 0.3).score() == {}


def test_pairs_take_the_best_first_and_each_box_once() -> None:
    wanted = torch.tensor([[0.0, 0, 10, 10]])
    assert pairs(torch.tensor([[0.0, 0, 10, 9], [0, 0, 10, 10]]), wanted) == [(0, 0)]
    assert pairs(torch.zeros(0, 4), wanted) == pairs(wanted, torch.zeros(0, 4)) == []


def test_units_are_drawn_whole_and_the_interval_covers() -> None:
    rows = weights(["p", "p", "q", "r"], 50)
    assert (rows[:, 0] == rows[:, 1]).all() and (rows.sum(1) >= 3 - 3).all()
    assert np.array_equal(rows, weights(["p", "p", "q", "r"], 50)), "the same each time"
    hits = np.random.default_rng(0).random(400) < 0.7
    low, high = interval(lambda w: float((hits * w).sum() / w.sum()), [str(i) for i in range(400)]) or (0, 0)
    assert low < hits.mean() < high and high - low == pytest.approx(2 * 1.96 * (0.7 * 0.3 / 400) ** 0.5, rel=0.15)
    assert interval(lambda w: 1.0, ["one", "one"]) is None, "of one patient nothing can be said"
    better, low, high = difference(lambda w: 0.8, lambda w: 0.5, ["a", "b"])
    assert better == low == high == pytest.approx(0.3)


def test_two_runs_are_compared_sample_by_sample() -> None:
    one = TextEvidence(*samples(4), ["a b", "c", "d", "e"], ["a b", "c", "d", "x"], ["?"] * 4)
    other = TextEvidence(*samples(4), ["a b", "c", "d", "e"], ["a b", "x", "x", "x"], ["?"] * 4)
    found = against(one, other, one.sample_ids)
    assert found["exact_match"]["difference"] == 0.5 and found["exact_match"]["low"] >= 0
    with pytest.raises(UsageError, match="same samples"):
        against(one, other.part([0, 1]), one.sample_ids)


def test_mean_and_deviation_over_seeds() -> None:
    def report(dice: float) -> dict[str, Any]:
        both = {"by_source": {"x": {"dice": dice}, "y": {"dice": 1 - dice}}}
        return {
            "run": "r",
            "corpus_id": "c",
            "split": "test",
            "sources": {},
            "scores": {"segmentation": {"dice": dice, **both}},
        }

    found = over_seeds([report(0.8), report(0.9), report(1.0)])["segmentation"]
    assert found["all"]["dice"]["mean"] == pytest.approx(0.9) and found["all"]["dice"]["sd"] == pytest.approx(0.1)
    assert found["y"]["dice"]["values"] == pytest.approx([0.2, 0.1, 0.0])
    with pytest.raises(UsageError, match="corpus_id differs"):
        over_seeds([report(0.8), report(0.9) | {"corpus_id": "d"}])


def test_the_papers_numbers() -> None:
    assert published("segmentation", "malaria-detection-2019") == ("dice", 0.772, 9)
    assert published("detection", "bccd") == ("ap50", 0.878, 8) and published("detection", "vivax") is None


def test_a_report_says_where_other_tests_leak(phantom_corpus: Path, tmp_path: Path) -> None:
    settings = (
        "queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8",
        "data.train={detection: {bccd: 1}}", "epochs=1", "batch_size=4",
        "tasks.detection.image.sizes=[64]", "tasks.detection.image.evaluation_size=64",
    )  # fmt: skip
    run = train(Call(4, phantom_corpus, tmp_path, "tiny", assignments=settings, overfit=4, device="cpu"))
    found = evaluate(run.path, phantom_corpus, device="cpu", draws=20)["scores"]["detection"]
    with hemadata.open(phantom_corpus) as corpus:
        split = {
            row["sample_id"]: row["split"] for row in corpus.rows("detection", None, ["sample_id", "split"], "bccd")
        }
        upstream = {
            row["sample_id"] for row in corpus.rows("detection", "test", ["sample_id"], "bccd", "split_upstream")
        }
    mine = {name for name, part in split.items() if part == "test"}
    assert found["samples"] == len(mine) and "intervals" in found
    if upstream and upstream != mine:
        assert found["split_upstream"]["samples"] == len(upstream)
        assert found["split_upstream"]["leaked"] == sum(split[name] == "train" for name in upstream)
    call = [
        "evaluate",
        str(run.path),
        "--corpus",
        str(phantom_corpus),
        "--device",
        "cpu",
        "--split",
        "train",
        "--limit",
        "3",
    ]
    done = CliRunner().invoke(app, [*call, "--report", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| bccd | 3 |" in text and "ap50 0.878 (table 8)" in text
    stored = json.loads((tmp_path / "report" / "report.json").read_text())
    assert stored["scores"]["detection"]["samples"] == 3
    twice = CliRunner().invoke(app, [call[0], call[1], *call[1:], "--json"])
    assert twice.exit_code == 0 and json.loads(twice.stdout)["over_seeds"]["detection"]["all"]["ap50"]["sd"] == 0


def test_parts_of_evidence() -> None:
    whole = MaskEvidence(*samples(4), [0.1, 0.2, 0.3, 0.4], [0.0] * 4)
    assert whole.of_source("first").dice == [0.2, 0.4]
    assert whole.of_samples({"s0", "s3"}).dice == [0.1, 0.4]
    assert whole.part([0]).and_of(whole.part([2])).sample_ids == ["s0", "s2"]
