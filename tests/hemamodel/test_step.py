"""One step of each stage: only the stage's groups move, and each of their tensors gets a gradient from some batch."""

from pathlib import Path

import hemadata
import pytest
import torch
from hemadata.build import Options
from hemadata.build import build as hemadata_build
from hemamodel.config import load_preset
from hemamodel.data import Batch, CorpusDataset, Transform, collate
from hemamodel.errors import ConfigError
from hemamodel.model.tokenizer import word_tokenizer
from hemamodel.model.unihema import UniHema, build_model
from hemamodel.stages import STAGES, load
from hemamodel.train import set_trainable, step_loss
from transformers import T5Tokenizer

SMALL = ("queries=20", "text.layers=1", "backbone.width=8", "dim=32", "text.dim=32", "hidden=32")


@pytest.fixture(scope="module")
def batches(phantom_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Batch]:
    """A batch of three of each task, detection with rated boxes; vqa stands for both text tasks."""
    rated = tmp_path_factory.mktemp("rated")
    assert not hemadata_build(["leukemiaattri"], rated, rated, Options(phantom=8))[0].error
    found, size = {}, Transform(fit="squash", sizes=(64,))
    for path, tasks in ((phantom_corpus, ("classification", "segmentation", "vqa")), (rated, ("detection",))):
        with hemadata.open(path) as corpus:
            for task in tasks:
                data = CorpusDataset(corpus, task, transform=size)
                found[task] = collate([data[n] for n in range(3)])
    with hemadata.open(phantom_corpus) as corpus:
        texts = CorpusDataset(corpus, "vqa", read_images=False)
        found["text"] = collate([texts[n] for n in range(3)])
    return found


@pytest.fixture(scope="module")
def tokenizer(batches: dict[str, Batch]) -> T5Tokenizer:
    return word_tokenizer([t for batch in batches.values() for t in [*batch.prompts, *(batch.answers or [])]], 200)


def build(tokenizer: T5Tokenizer, *settings: str) -> UniHema:
    torch.set_num_threads(2)
    torch.manual_seed(0)
    return build_model(load_preset("tiny", [*SMALL, *settings]), len(tokenizer))


def tensors(model: UniHema) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def of_stage(stage: int, batches: dict[str, Batch]) -> list[Batch]:
    if stage == 2:
        return [batches["text"]]
    return [batches["vqa" if task in ("vqa", "mlm") else task] for task in load(stage).tasks]


@pytest.mark.parametrize("stage", STAGES)
def test_step_moves_the_groups_of_the_stage_and_nothing_else(
    stage: int, batches: dict[str, Batch], tokenizer: T5Tokenizer
) -> None:
    model = build(tokenizer)
    learning = set_trainable(model, load(stage).trainable)
    before = {name: tensor.detach().clone() for name, tensor in tensors(model).items()}
    mine = {id(p) for name in learning for module in model.groups()[name] for p in module.parameters()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, weight_decay=0.1)
    reached: set[str] = set()
    # Twice: what stands behind a layer that starts at zero is reached from the second step on.
    for batch in of_stage(stage, batches) * 2:
        optimizer.zero_grad()
        terms = step_loss(model, tokenizer, batch, seed=1)
        assert all(torch.isfinite(term) for term in terms.values()), terms
        sum(terms.values(), torch.zeros(())).backward()
        reached |= {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        optimizer.step()
    changed = {name for name, tensor in tensors(model).items() if not torch.equal(tensor, before[name])}
    inside = {name for name, p in model.named_parameters() if id(p) in mine}
    assert changed <= inside, f"outside the stage's groups: {sorted(changed - inside)[:5]}"
    assert not inside - reached, f"stage {stage}: no batch reaches {sorted(inside - reached)[:12]}"


def test_frozen_parts_are_in_eval_mode(tokenizer: T5Tokenizer) -> None:
    model = build(tokenizer)
    set_trainable(model, ["scfe"])
    assert model.classifier.training and not model.text.t5.encoder.training and not model.image_encoder.training
    with pytest.raises(ConfigError, match="there are backbone"):
        set_trainable(model, ["scef"])


def test_smoothed_targets_are_a_part_of_every_class(batches: dict[str, Batch], tokenizer: T5Tokenizer) -> None:
    model, batch = build(tokenizer).eval(), batches["classification"]
    assert batch.images is not None and batch.padding is not None and batch.labels is not None
    likely = model.classify(batch.images, batch.padding).double().log_softmax(-1)  # [B, classes]
    right = -likely.gather(-1, batch.labels[:, None]).mean()
    for part in (0.0, 0.1):
        found = step_loss(model, tokenizer, batch, label_smoothing=part)["classification"]
        torch.testing.assert_close(found.double(), (1 - part) * right - part * likely.mean(), rtol=1e-5, atol=1e-5)


def test_steps_learn_a_batch(batches: dict[str, Batch], tokenizer: T5Tokenizer) -> None:
    """Every task's loss on its own batch falls to less than two thirds in a few steps."""
    for task, steps in (("classification", 30), ("segmentation", 30), ("detection", 25), ("vqa", 25)):
        model = build(tokenizer)
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        losses = []
        for _ in range(steps):
            optimizer.zero_grad()
            loss = sum(step_loss(model, tokenizer, batches[task], seed=1).values(), torch.zeros(()))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert min(losses[-3:]) < losses[0] * 2 / 3, (task, losses[:2], losses[-3:])
