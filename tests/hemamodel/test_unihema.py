"""The assembled model: every task runs, runs only what it needs, and reads what it should."""

import pytest
import torch
from hemamodel.config import load_preset
from hemamodel.model.unihema import Prompt, UniHema, build_model, count_parameters
from hemamodel.stages import GROUPS
from torch import Tensor

VOCABULARY = 40
SMALL = ("queries=12", "text.layers=1", "encoder_layers=1", "backbone.width=8", "dim=32", "text.dim=32", "hidden=32")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def model(*settings: str) -> UniHema:
    torch.manual_seed(0)
    return build_model(load_preset("tiny", [*SMALL, *settings]), VOCABULARY).eval()


def pictures(count: int = 2, seed: int = 1) -> tuple[Tensor, Tensor]:
    images = torch.randn(count, 3, 64, 128, generator=torch.Generator().manual_seed(seed))
    return images, torch.zeros(count, 64, 128, dtype=torch.bool)


def prompt(count: int = 2, length: int = 5, first: int = 3) -> Prompt:
    return Prompt(torch.arange(first, first + length).repeat(count, 1), torch.zeros(count, length, dtype=torch.bool))


def test_every_parameter_is_in_exactly_one_group() -> None:
    for variant in ("paper", "released"):
        whole = model(f"variant={variant}")
        groups = whole.groups()
        assert tuple(groups) == GROUPS or set(groups) == set(GROUPS)
        held = [p for modules in groups.values() for module in modules for p in module.parameters()]
        assert len({id(p) for p in held}) == len(held) == len(list(whole.parameters()))
        assert sum(count_parameters(groups).values()) == sum(p.numel() for p in whole.parameters())


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_every_task_gives_its_shapes(variant: str) -> None:
    whole, (images, padding) = model(f"variant={variant}"), pictures()
    asked = prompt(length=64 if variant == "released" else 5, first=3 if variant == "paper" else 0)
    asked = Prompt(asked.ids % VOCABULARY, asked.padding)
    assert whole.classify(images, padding).shape == (2, 45)
    found = whole.detect(images, padding, asked)
    assert found.labels.shape == (2, 2, 12, 30) and found.boxes.shape == (2, 2, 12, 4)
    assert found.morphology.shape == (2, 2, 12, 6, 2) and found.noisy == 0
    assert whole.segment(images, padding, asked).shape == (2, 1, 64, 128)
    states, state_padding = whole.fuse(images, padding, asked)
    assert states.shape[-1] == whole.text.dim and state_padding.shape == states.shape[:2]
    assert whole.answer(images, padding, asked).shape[0] == 2


def test_answer_depends_on_the_image_and_so_does_its_loss() -> None:
    whole, asked, answers = model(), prompt(), torch.tensor([[5, 6, 1], [7, 8, 1]])
    images, padding = pictures()
    images.requires_grad_(True)
    loss = whole.answer_loss(images, padding, asked, answers)
    loss.backward()
    assert images.grad is not None and images.grad.abs().sum() > 0
    other = whole.answer_loss(pictures(seed=2)[0], padding, asked, answers)
    assert not torch.isclose(loss, other)
    assert torch.equal(whole.text_loss(asked, answers), whole.text_loss(asked, answers))


def test_prompt_changes_what_is_found_unless_it_is_switched_off() -> None:
    (images, padding), one, two = pictures(), prompt(first=3), prompt(first=20)
    for switch, differs in (("on", True), ("off", False)):
        whole = model(f"prompts={switch}")
        first, second = (whole.detect(images, padding, asked).labels for asked in (one, two))
        assert torch.equal(first, second) != differs


def test_denoising_is_active_and_tells_the_matching_queries_nothing() -> None:
    whole, (images, padding) = model().train(), pictures()
    labels = [torch.tensor([1, 2]), torch.tensor([3])]
    boxes = [torch.tensor([[0.3, 0.3, 0.2, 0.2], [0.6, 0.6, 0.2, 0.3]]), torch.tensor([[0.5, 0.5, 0.4, 0.4]])]
    whole.eval()
    plain = whole.detect(images, padding, prompt())
    noise = whole.denoising(labels, boxes, ["a", "b"], seed=0)
    noisy = whole.detect(images, padding, prompt(), noise)
    assert noisy.noisy > 0 and noisy.labels.shape[2] == noisy.noisy + 12
    torch.testing.assert_close(noisy.boxes[:, :, noisy.noisy :], plain.boxes, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("features", ["encoder", "backbone", "both"])
def test_cell_feature_runs_the_encoder_only_where_it_is_read(features: str) -> None:
    whole, (images, padding) = model(f"scfe.features={features}"), pictures()
    whole.classify(images, padding).sum().backward()
    gradient = next(whole.image_encoder.parameters()).grad
    assert (gradient is None) == (features == "backbone")
    assert all(p.grad is None for p in whole.image_decoder.parameters())
    assert all(p.grad is None for p in whole.text.parameters())


def test_result_of_an_image_does_not_depend_on_its_batch() -> None:
    whole, (images, padding) = model(), pictures(3)
    for task in (whole.classify, whole.segment):
        together = task(images, padding)
        alone = torch.cat([task(images[i : i + 1], padding[i : i + 1]) for i in range(3)])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
