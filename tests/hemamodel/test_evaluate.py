"""Scores against slow references, and independent of the batch."""

import shutil
from dataclasses import replace
from pathlib import Path

import hemadata
import numpy as np
import pytest
import torch
from hemadata.build import Options
from hemadata.build import build as build_corpus
from hemamodel.config import load_preset
from hemamodel.data.tasks import stage_dataset
from hemamodel.errors import InputMissingError, UsageError, WeightsError
from hemamodel.evaluate import scores
from hemamodel.evaluate.run import evaluate
from hemamodel.evaluate.symmetry import over_symmetries, views
from hemamodel.evaluate.tasks import Examination, examine
from hemamodel.evaluate.tell import table
from hemamodel.model.tokenizer import word_tokenizer
from hemamodel.model.unihema import UniHema, build_model
from hemamodel.predict.results import Detections, masks
from hemamodel.stages import load
from hemamodel.train.runs import Run
from hemamodel.train.settings import choose
from hemamodel.train.start import Call, load_run, train
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

TOKENIZER = word_tokenizer(["This image is for the detection of Normal of cells.", "Which cell is it? A cell."], 200)


def found(boxes: list[list[float]], scores_: list[float], labels: list[int]) -> Detections:
    return Detections(
        torch.tensor(boxes).reshape(-1, 4), torch.tensor(scores_), torch.tensor(labels), torch.zeros(len(labels), 6)
    )


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_f1_is_that_of_the_definition(pairs: list[tuple[int, int]]) -> None:
    truth, guess = [a for a, _ in pairs], [b for _, b in pairs]
    result = scores.classification(truth, guess, "abcd")
    each = {}
    for kind in set(truth):
        hits = sum(a == b == kind for a, b in pairs)
        each[kind] = 2 * hits / (truth.count(kind) + guess.count(kind))
    assert result["macro_f1"] == pytest.approx(sum(each.values()) / len(each))
    assert result["weighted_f1"] == pytest.approx(sum(each[k] * truth.count(k) for k in each) / len(truth))
    assert sum(n for row in result["confusion"].values() for n in row.values()) == len(pairs)


def test_dice_of_known_masks() -> None:
    whole, half, none = np.ones((2, 4), bool), np.array([[1, 1, 0, 0]] * 2, bool), np.zeros((2, 4), bool)
    assert scores.overlap(whole, half) == pytest.approx((2 / 3, 0.5))
    assert scores.overlap(none, none) == (1, 1) and scores.overlap(half, none) == (0, 0)


def test_average_precision_of_known_boxes() -> None:
    truth, labels = [torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30]])], [torch.tensor([1, 1])]
    names = ["a", "b", "c"]
    exact = scores.detection(truth, labels, [found(truth[0].tolist(), [0.9, 0.8], [1, 1])], names)
    assert exact["ap50"] == exact["ap"] == pytest.approx(1) and set(exact["classes"]) == {"b"}
    wrong_class = scores.detection(truth, labels, [found(truth[0].tolist(), [0.9, 0.8], [2, 2])], names)
    assert wrong_class["ap50"] == 0
    # Best first: a miss (precision 0), then a hit (1/2 at recall 1/2): 51 of 101 recall points at 1/2.
    late = scores.detection(truth, labels, [found([[50, 50, 60, 60], [0, 0, 10, 10]], [0.9, 0.5], [1, 1])], names)
    assert late["ap50"] == pytest.approx(51 / 101 / 2, abs=1e-3)
    # IoU 0.6: counted at 0.5 to 0.6 of the ten thresholds.
    loose = scores.detection([truth[0][:1]], [labels[0][:1]], [found([[0, 0, 10, 6.01]], [0.9], [1])], names)
    assert loose["ap50"] == pytest.approx(1) and loose["ap"] == pytest.approx(0.3)
    assert scores.detection(truth, labels, [found([], [], [])], names)["ap50"] == 0
    assert scores.detection([truth[0][:0]], [labels[0][:0]], [found([], [], [])], names)["ap50"] is None


def test_text_scores_of_known_sentences() -> None:
    same = scores.text(["A small round cell", "No"], ["a small  round cell", "no"])
    assert [same[name] for name in ("exact_match", "bleu_1", "rouge_l")] == pytest.approx([1, 1, 1])
    other = scores.text(["a small round cell"], ["a big round cell"])
    assert (
        other["exact_match"] == 0
        and other["bleu_1"] == pytest.approx(3 / 4)
        and other["rouge_l"] == pytest.approx(3 / 4)
    )


def test_masks_come_back_to_the_stored_size_without_padding() -> None:
    logits = torch.full((1, 1, 64, 128), -9.0)
    logits[..., :64, :50] = 9  # left half of an image of 64 x 100, padded to 128
    (mask,) = masks(logits, torch.tensor([[64, 100]]), torch.tensor([[128, 200]]))
    assert mask.shape == (128, 200) and mask[:, :98].all() and not mask[:, 102:].any()


def build(*settings: str) -> UniHema:
    torch.manual_seed(0)
    small = ("queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8")
    return build_model(load_preset("tiny", [*small, *settings]), len(TOKENIZER)).eval()


@pytest.mark.parametrize(
    ("stage", "task", "source"),
    [
        (1, "classification", "raabin"),
        (4, "detection", "bccd"),
        (5, "segmentation", "wbc-image-dataset"),
        (6, "vqa", "wbcatt-vqa"),
    ],
)
def test_scores_do_not_depend_on_the_batch(stage: int, task: str, source: str, phantom_corpus: Path) -> None:
    _, config = choose(stage, "tiny", "paper", [f"tasks.{task}.image.evaluation_size=96"])
    model = build()
    outputs: list[list[Tensor]] = []
    with hemadata.open(phantom_corpus) as corpus:
        data = stage_dataset(corpus, config, task, None, training=False, sources=[source], limit=7)
        evidence = [examine(Examination(model, TOKENIZER, data, batch)) for batch in (1, 3)]
    assert len(evidence[0]) == 7 and not outputs
    results = [each.score() for each in evidence]
    flat = [list(numbers(result)) for result in results]
    assert flat[0] == pytest.approx(flat[1], abs=1e-4)


def test_no_turn_of_a_cell_changes_what_the_symmetries_say() -> None:
    torch.manual_seed(0)
    model, images, padding = build(), torch.zeros(2, 3, 64, 64), torch.ones(2, 64, 64, dtype=torch.bool)
    images[..., :48, :48], padding[:, :48, :48] = torch.rand(2, 3, 48, 48), False
    sizes = torch.full((2, 2), 48)

    def said(pictures: Tensor) -> Tensor:
        return model.classify(pictures, padding).softmax(-1)

    with torch.no_grad():
        mean = over_symmetries(said, images, sizes)
        turned = images.clone()
        turned[..., :48, :48] = images[..., :48, :48].rot90(1, (-2, -1))
        torch.testing.assert_close(over_symmetries(said, turned, sizes), mean)
        assert not torch.allclose(said(images), said(turned))
    assert len({view.numpy().tobytes() for view in views(images, 48)}) == 8
    with pytest.raises(UsageError, match="square"):
        over_symmetries(said, images, torch.tensor([[48, 48], [48, 40]]))


CELLS = (
    "queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8", "ema=0.9", "epochs=3",
    "data.train={classification: {raabin: 1}}", "batch_size=4", "lr_backbone=1e-3",
    "tasks.classification.image.sizes=[64]", "tasks.classification.image.evaluation_size=64",
)  # fmt: skip


def test_a_run_that_still_trains_is_scored_at_its_checkpoint(phantom_corpus: Path, tmp_path: Path) -> None:
    call = Call(1, phantom_corpus, tmp_path, "tiny", assignments=CELLS, overfit=8, device="cpu")
    stopped = train(replace(call, stop_after=2))
    with pytest.raises(UsageError, match="stopped after step 2 of 6"):
        evaluate(stopped.path, phantom_corpus, split="train", device="cpu")
    found = evaluate(stopped.path, phantom_corpus, split="train", device="cpu", unfinished=True, symmetries=True)
    assert (found["step"], found["steps"], found["symmetries"]) == (2, 6, True)
    _, model, _ = load_run(stopped.path, unfinished=True)
    mean = load_file(stopped.path / "checkpoint-000002" / "average.safetensors")
    parameters = dict(model.named_parameters())
    assert mean and all(torch.equal(parameters[name], tensor) for name, tensor in mean.items())
    begun = Run(tmp_path / "begun", stopped.settings)
    begun.save()
    shutil.copytree(stopped.text, begun.text)
    with pytest.raises(WeightsError, match="has no checkpoint yet"):
        load_run(begun.path, unfinished=True)


def test_all_rows_are_scored_of_another_corpus_alone(phantom_corpus: Path, tmp_path: Path) -> None:
    call = Call(1, phantom_corpus, tmp_path / "runs", "tiny", assignments=CELLS, overfit=4, device="cpu")
    run = train(call)
    with pytest.raises(UsageError, match="was trained on a part of"):
        evaluate(run.path, phantom_corpus, split="all", device="cpu")
    (built,) = build_corpus(["raabin"], Path("nowhere"), tmp_path / "other", Options(phantom=12))
    assert not built.error
    scores_ = evaluate(run.path, tmp_path / "other", split="all", device="cpu")["scores"]["classification"]
    with hemadata.open(tmp_path / "other") as corpus:
        assert scores_["samples"] == corpus.count("classification") > corpus.count("classification", "test")


def numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [n for key in sorted(value) for n in numbers(value[key])]
    return [float(value)] if isinstance(value, int | float) else []


def test_a_run_is_scored_by_its_tasks_or_by_others(phantom_corpus: Path, tmp_path: Path) -> None:
    settings = (
        "queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8",
        "data.train={segmentation: {wbc-image-dataset: 1}}", "epochs=1", "batch_size=4",
        "tasks.segmentation.image.sizes=[64]", "tasks.segmentation.image.evaluation_size=64",
    )  # fmt: skip
    run = train(Call(5, phantom_corpus, tmp_path, "tiny", assignments=settings, overfit=4, device="cpu"))
    result = evaluate(run.path, phantom_corpus, split="train", limit=3, device="cpu")
    assert result["scores"].keys() == {"segmentation"} and result["sources"] == {"segmentation": ["wbc-image-dataset"]}
    assert result["corpus_id"] == result["trained_on_corpus_id"] and result["overfit"] == 4
    assert "segmentation: 3 samples of wbc-image-dataset" in table(result)
    other = evaluate(
        run.path, phantom_corpus, split="train", tasks=["classification"], sources=["raabin"], limit=2, device="cpu"
    )
    assert other["scores"]["classification"]["samples"] == 2
    with pytest.raises(InputMissingError, match="nothing to read in test of mlm"):
        evaluate(run.path, phantom_corpus, tasks=["mlm"])
    with pytest.raises(UsageError, match="There is no task 'detect'"):
        evaluate(run.path, phantom_corpus, tasks=["detect"])


def test_every_task_has_a_home() -> None:
    from hemadata.schema import TASKS
    from hemamodel.stages import HOME

    assert set(HOME) == set(TASKS)
    assert all(load(stage).tasks[task].image for task, stage in HOME.items())  # type: ignore[index]
