"""`train --dry-run`: one step with the largest images, to see what a step takes. Nothing is written."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import hemadata
import torch

from hemamodel.data.tasks import stage_datasets
from hemamodel.errors import UsageError
from hemamodel.stages import StageConfig
from hemamodel.train.loop import Machine, Trainer, check_parts, length
from hemamodel.train.memory import peak
from hemamodel.train.parallel import World, world
from hemamodel.train.runs import all_runs
from hemamodel.train.start import Call, Say, check_heads, model_of, parent_of, settings_of
from hemamodel.train.words import tokenizer_of


@dataclass(frozen=True)
class Rehearsal:
    """What a step takes.

    Attributes:
        bytes: most memory that tensors held: weights, gradients, optimiser and inner values.
        weights: bytes of the model.
        seconds: of the step; a first step, everything cold.
        steps: of the whole run.
        terms: of the loss.
    """

    bytes: int
    weights: int
    seconds: float
    steps: int
    terms: Mapping[str, float]


def rehearse(call: Call, say: Say = lambda line: None) -> Rehearsal:
    """Do the first step of a call with every image at the stage's largest size; no run is made.

    Args:
        call: as for `train`; its device may be `meta` too, for the bytes alone, in fp32.
        say: told where the weights would come from.

    Raises:
        HemaError: as `train`.
    """
    ranks, device = (World(), torch.device("meta")) if call.device == "meta" else world(call.device)
    if device.type == "meta" and call.precision == "bf16":
        raise UsageError("--device meta counts in fp32 alone: leave --precision out.")
    machine = Machine(device, ranks, call.workers, call.accumulate, call.checkpointing)
    with hemadata.open(call.corpus) as corpus:
        parent = parent_of(call, corpus, all_runs(call.out, say), say)
        settings = settings_of(call, corpus, parent, device)
        settings = settings.model_copy(update={"stage": _largest(settings.stage)})
        datasets = stage_datasets(corpus, settings.stage, call.overfit)
        check_heads(settings, datasets)
        check_parts(settings.stage, datasets, machine)
        tokenizer = tokenizer_of(settings, parent, corpus)
        steps = length(settings, datasets)
        with _no_look_inside() if device.type == "meta" else nullcontext(), peak(device) as most:
            model = model_of(settings, parent, len(tokenizer), say)
            trainer = Trainer(settings, model, tokenizer, steps, machine)
            _as_after_a_step(trainer.optimiser)
            batches = {task: trainer.batches(task, each, 0, 1) for task, each in datasets.items()}
            start = time.perf_counter()
            _, terms = trainer.step(0, batches)
            numbers = {} if device.type == "meta" else {name: term.item() for name, term in terms.items()}
            seconds = time.perf_counter() - start
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return Rehearsal(most.bytes, weights, seconds, steps.all, numbers)


def _as_after_a_step(optimiser: torch.optim.Optimizer) -> None:
    """Give AdamW the two moments of each parameter that it keeps from its first step on."""
    for group in optimiser.param_groups:
        for each in group["params"]:
            moments = {name: torch.zeros_like(each) for name in ("exp_avg", "exp_avg_sq")}
            optimiser.state[each] = {"step": torch.zeros((), device=each.device), **moments}


@contextmanager
def _no_look_inside() -> Iterator[None]:
    """Tensors without numbers, where others want to know whether all of a mask is true, or how much of it."""
    shapes: Any = import_module("torch.fx.experimental._config")
    masking_utils: Any = import_module("transformers.masking_utils")
    before = masking_utils.is_tracing
    masking_utils.is_tracing = lambda *_: True  # it does not ask while a graph is traced
    try:
        with shapes.patch(meta_nonzero_assume_all_nonzero=True):
            yield
    finally:
        masking_utils.is_tracing = before


def _largest(stage: StageConfig) -> StageConfig:
    """The stage with every image whole and at its largest."""
    tasks = {
        name: task
        if task.image is None
        else task.model_copy(
            update={"image": task.image.model_copy(update={"sizes": (max(task.image.sizes),), "crop": 0.0})}
        )
        for name, task in stage.tasks.items()
    }
    return stage.model_copy(update={"tasks": tasks})
