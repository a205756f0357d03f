"""`train --dry-run`: one step with the largest images, to see what a step takes. Nothing is written."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import hemadata

from hemamodel.data.tasks import stage_datasets
from hemamodel.stages import StageConfig
from hemamodel.train.loop import Machine, Trainer, length
from hemamodel.train.memory import peak
from hemamodel.train.parallel import world
from hemamodel.train.start import Call, Say, check_heads, model_of, parent_of, settings_of, tokenizer_of


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
        call: as for `train`.
        say: told where the weights would come from.

    Raises:
        HemaError: as `train`.
    """
    ranks, device = world(call.device)
    machine = Machine(device, ranks, call.workers, call.accumulate, call.checkpointing)
    with hemadata.open(call.corpus) as corpus:
        parent = parent_of(call, corpus, say)
        settings = settings_of(call, corpus, parent, device)
        settings = settings.model_copy(update={"stage": _largest(settings.stage)})
        datasets = stage_datasets(corpus, settings.stage, call.overfit)
        check_heads(settings, datasets)
        tokenizer = tokenizer_of(settings, parent, corpus)
        steps = length(settings, datasets)
        with peak(device) as most:
            model = model_of(settings, parent, len(tokenizer), say)
            trainer = Trainer(settings, model, tokenizer, steps, machine)
            batches = {task: trainer.batches(task, each, 0, 1) for task, each in datasets.items()}
            start = time.perf_counter()
            _, terms = trainer.step(0, batches)
            numbers = {name: term.item() for name, term in terms.items()}
            seconds = time.perf_counter() - start
    weights = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    return Rehearsal(most.bytes, weights, seconds, steps.all, numbers)


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
