"""The training loop. Every step is a function of (settings, corpus, step): a run that was stopped goes on exactly."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.autograd.profiler import record_function
from transformers import T5Tokenizer

from hemamodel.data import Batch, Positions, TrainingStream, training_loader
from hemamodel.data.order import key
from hemamodel.errors import ConfigError, DivergedError
from hemamodel.model.unihema import UniHema
from hemamodel.stages import StageConfig
from hemamodel.train.average import Average
from hemamodel.train.checkpoint import forget_checkpoints, load_checkpoint, save_checkpoint, save_weights
from hemamodel.train.freeze import set_trainable
from hemamodel.train.log import Log
from hemamodel.train.parallel import World
from hemamodel.train.runs import Run
from hemamodel.train.schedule import factor
from hemamodel.train.settings import RunSettings
from hemamodel.train.step import step_loss
from hemamodel.train.whole import Whole

if TYPE_CHECKING:
    from hemamodel.data import CorpusDataset

SAVE_EVERY = 300.0  # seconds between checkpoints inside an epoch; each epoch ends with one

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with steps done, steps in all, and the latest numbers: loss, learning rate, samples per second."""


@dataclass(frozen=True)
class Length:
    """Steps of a run."""

    per_epoch: int
    all: int


@dataclass(frozen=True)
class Machine:
    """How the steps are done. Nothing here changes what is learnt, but for rounding.

    Attributes:
        device: where to train.
        world: this process among those of the run.
        workers: processes that load images.
        parts: a step is done in so many parts, one after the other, to take less memory.
        checkpointing: layers are computed again in the backward pass instead of being kept.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    world: World = field(default_factory=World)
    workers: int = 0
    parts: int = 1
    checkpointing: bool = False


def length(settings: RunSettings, datasets: Mapping[str, "CorpusDataset"]) -> Length:
    """An epoch is as many samples as the stage's `epoch_task` has."""
    stage = settings.stage
    per_epoch = -(
        -len(_stream(settings, stage.epoch_task, datasets[stage.epoch_task])) // stage.batches[stage.epoch_task]
    )
    return Length(per_epoch, per_epoch * stage.epochs)


def check_parts(stage: StageConfig, tasks: Iterable[str], machine: Machine) -> None:
    """Each task's batch divides among the processes and the parts of a step, or a ConfigError."""
    size, parts = machine.world.size, machine.parts
    for task in tasks:
        if stage.batches[task] % (size * parts):
            raise ConfigError(
                f"{task}: {stage.batches[task]} samples a step do not divide among {size} "
                f"process{'es' if size > 1 else ''} in {parts} parts each; --accumulate, the number of processes or "
                f"--set batch_size=... must change"
            )


def fit(
    run: Run,
    model: UniHema,
    tokenizer: T5Tokenizer,
    datasets: Mapping[str, "CorpusDataset"],
    *,
    machine: Machine | None = None,
    stop_after: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Train to the end of the stage, from the run's last checkpoint if it has one.

    Args:
        run: brought up to date as training goes on.
        model: with its first weights; changed in place.
        tokenizer: of the text branch.
        datasets: task -> training data.
        machine: how; None: on the CPU, in this process.
        stop_after: stop with a checkpoint once so many steps are done, as if killed there.
        progress: told after every step.

    Raises:
        DivergedError: a loss or the gradient is not finite.
    """
    machine = machine or Machine()
    settings, steps, first_rank = run.settings, length(run.settings, datasets), machine.world.first
    trainer = Trainer(settings, model, tokenizer, steps, machine)
    first = load_checkpoint(run.path, model, trainer.optimiser, trainer.average)
    run.step, run.steps = first, steps.all
    if first_rank:
        run.save()
    last = steps.all if stop_after is None else min(stop_after, steps.all)
    batches = {task: trainer.batches(task, each, first, last) for task, each in datasets.items()}
    samples, saved = sum(settings.stage.batches[task] for task in datasets), time.monotonic()
    with closing(Log(run.path, first, machine.device)) if first_rank else nullcontext() as log:
        for step in range(first, last):
            rate, terms = trainer.step(step, batches)
            if log is not None:
                numbers = log.add(step + 1, rate, samples, terms)
                if progress:
                    progress(step + 1, steps.all, numbers)
            ends_epoch = (step + 1) % steps.per_epoch == 0
            if first_rank and (step + 1 == last or ends_epoch or time.monotonic() - saved > SAVE_EVERY):
                run.step, saved = step + 1, time.monotonic()
                save_checkpoint(run.path, run.step, model, trainer.optimiser, trainer.average)
                run.save()
    run.step = last
    if last < steps.all:
        return
    if not first_rank:
        run.status = "complete"
        return
    with trainer.average.in_place() if trainer.average else nullcontext():
        save_weights(model, run.weights)
    run.finish()
    forget_checkpoints(run.path)


class Trainer:
    """Model, optimiser and averages, and the step that moves them.

    Args:
        settings: of the run.
        model: its groups are frozen and released as the stage says.
        tokenizer: of the text branch.
        steps: of the run.
        machine: how the steps are done.
    """

    def __init__(
        self, settings: RunSettings, model: UniHema, tokenizer: T5Tokenizer, steps: Length, machine: Machine
    ) -> None:
        self.settings, self.model, self.tokenizer, self.steps, self.machine = settings, model, tokenizer, steps, machine
        model.to(machine.device)
        model.compute_again(machine.checkpointing)
        set_trainable(model, settings.stage.trainable)
        self.learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimiser = _optimiser(model, settings)
        self.average = None if settings.stage.ema is None else Average(model, settings.stage.ema)

    def batches(self, task: str, dataset: "CorpusDataset", first: int, last: int) -> Iterator[Batch]:
        """This process' batches of a task from one step to another."""
        world, parts, batch = self.machine.world, self.machine.parts, self.settings.stage.batches[task]
        positions = Positions(batch, first, last, world.rank, world.size, parts)
        stream = _stream(self.settings, task, dataset)
        pin = self.machine.device.type == "cuda"
        return iter(training_loader(stream, positions, self.machine.workers, pin))  # type: ignore[arg-type]

    def step(self, step: int, batches: Mapping[str, Iterator[Batch]]) -> tuple[float, dict[str, Tensor]]:
        """One step: the losses of tasks and parts add up, one after the other so that one graph is in memory.

        Returns:
            The learning rate, and the terms of the loss.
        """
        stage, world = self.settings.stage, self.machine.world
        torch.manual_seed(key(self.settings.seed, "step", step, *([world.rank] if world.rank else [])) >> 1)  # dropout
        scale = factor(stage, step, self.steps.per_epoch, self.steps.all)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * scale
        self.optimiser.zero_grad(set_to_none=True)
        # One seed an epoch: the noise of an image changes from epoch to epoch, whatever batch it is in.
        noise, terms, seen = key(self.settings.seed, "noise", step // self.steps.per_epoch), dict[str, Tensor](), []
        for task, each in batches.items():
            with record_function("data"):
                parts = [next(each) for _ in range(self.machine.parts)]
                mine = Whole.of(parts, self.tokenizer, self.model.config.text.max_length)
                whole = mine.together([Whole(*row) for row in world.others(astuple(mine))])
            for part in parts:
                batch = part.padded_to(whole.height, whole.width).to(self.machine.device)
                with record_function("forward"):
                    found = step_loss(
                        self.model,
                        self.tokenizer,
                        batch,
                        noise,
                        whole=whole,
                        precision=self.settings.precision,
                        label_smoothing=stage.label_smoothing,
                    )
                with record_function("backward"):
                    torch.stack(list(found.values())).sum().backward()  # type: ignore[no-untyped-call]
                for name, term in found.items():
                    place = f"{task}/{name}"
                    terms[place] = terms[place] + term.detach() if place in terms else term.detach()
            seen += parts
        with record_function("optimiser"):
            world.add_gradients(self.learning)
            norm = torch.nn.utils.clip_grad_norm_(self.learning, stage.clip)
            if not norm.is_meta and not torch.isfinite(norm):
                raise DivergedError(_what_broke(step, terms, seen))
            self.optimiser.step()
            if self.average:
                self.average.update(step + 1)
        return stage.lr * scale, terms


def _what_broke(step: int, terms: Mapping[str, Tensor], batches: list[Batch]) -> str:
    bad = next((name for name, term in terms.items() if not torch.isfinite(term)), None)
    task = bad.split("/")[0] if bad else None
    names = ", ".join(name for batch in batches if task in (None, batch.task) for name in batch.sample_ids)
    what = f"the loss {bad} is {terms[bad].item()}" if bad else "the gradient is not finite, though all losses are"
    return (
        f"Step {step + 1}: {what}, in the batch of {names}. The last checkpoint is kept. Look at these images "
        f"(hemadata view), or go on with a lower rate: --set lr=..."
    )


def _optimiser(model: UniHema, settings: RunSettings) -> torch.optim.AdamW:
    stage, backbone = settings.stage, {id(parameter) for parameter in model.backbone.parameters()}
    slow = [p for p in model.parameters() if p.requires_grad and id(p) in backbone]
    fast = [p for p in model.parameters() if p.requires_grad and id(p) not in backbone]
    groups: list[dict[str, Any]] = [
        {"params": parameters, "base": rate, "lr": rate}
        for parameters, rate in ((fast, stage.lr), (slow, stage.lr_backbone))
        if parameters
    ]
    return torch.optim.AdamW(groups, weight_decay=stage.weight_decay, fused=True)


def _stream(settings: RunSettings, task: str, dataset: "CorpusDataset") -> TrainingStream:
    weights = settings.stage.data.train[task]  # type: ignore[index]
    return TrainingStream(dataset, settings.seed, weights, settings.stage.data.temperature)
