"""The training loop. Every step is a function of (settings, corpus, step): a run that was stopped goes on exactly."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import T5Tokenizer

from hemamodel.data import Batch, Positions, TrainingStream, training_loader
from hemamodel.data.order import key
from hemamodel.errors import DivergedError
from hemamodel.model.unihema import UniHema
from hemamodel.train.checkpoint import forget_checkpoints, load_checkpoint, save_checkpoint, save_weights
from hemamodel.train.freeze import set_trainable
from hemamodel.train.runs import Run
from hemamodel.train.schedule import factor
from hemamodel.train.settings import RunSettings
from hemamodel.train.step import step_loss

if TYPE_CHECKING:
    from hemamodel.data import CorpusDataset

LOG_EVERY = 10  # steps
SAVE_EVERY = 300.0  # seconds between checkpoints inside an epoch; each epoch ends with one

Progress = Callable[[int, int, Mapping[str, float]], None]
"""Called with steps done, steps in all, and the latest numbers: loss, learning rate, samples per second."""


@dataclass(frozen=True)
class Length:
    """Steps of a run."""

    per_epoch: int
    all: int


def length(settings: RunSettings, datasets: Mapping[str, "CorpusDataset"]) -> Length:
    """An epoch is as many samples as the stage's `epoch_task` has."""
    stage = settings.stage
    per_epoch = -(
        -len(_stream(settings, stage.epoch_task, datasets[stage.epoch_task])) // stage.batches[stage.epoch_task]
    )
    return Length(per_epoch, per_epoch * stage.epochs)


def fit(
    run: Run,
    model: UniHema,
    tokenizer: T5Tokenizer,
    datasets: Mapping[str, "CorpusDataset"],
    *,
    workers: int = 0,
    device: torch.device | str = "cpu",
    stop_after: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Train to the end of the stage, from the run's last checkpoint if it has one.

    Args:
        run: brought up to date as training goes on.
        model: with its first weights; changed in place.
        tokenizer: of the text branch.
        datasets: task -> training data.
        workers: processes that load images; their number changes nothing but the speed.
        device: where to train.
        stop_after: stop with a checkpoint once so many steps are done, as if killed there.
        progress: told after every step.

    Raises:
        DivergedError: a loss or the gradient is not finite.
    """
    settings, steps = run.settings, length(run.settings, datasets)
    model.to(device)
    set_trainable(model, settings.stage.trainable)
    optimiser = _optimiser(model, settings)
    first = load_checkpoint(run.path, model, optimiser)
    run.step, run.steps = first, steps.all
    run.save()
    last = steps.all if stop_after is None else min(stop_after, steps.all)
    batches = {task: _batches(settings, task, each, first, last, workers) for task, each in datasets.items()}
    samples, saved = sum(settings.stage.batches[task] for task in datasets), time.monotonic()
    with closing(_Log(run.path / "log.jsonl", first)) as log:
        for step in range(first, last):
            torch.manual_seed(key(settings.seed, "step", step) >> 1)  # dropout
            scale = factor(settings.stage, step, steps.per_epoch, steps.all)
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * scale
            terms = _step(model, tokenizer, optimiser, step, steps, settings, batches, device)
            numbers = log.add(step + 1, settings.stage.lr * scale, samples, terms)
            if progress:
                progress(step + 1, steps.all, numbers)
            ends_epoch = (step + 1) % steps.per_epoch == 0
            if step + 1 == last or ends_epoch or time.monotonic() - saved > SAVE_EVERY:
                run.step, saved = step + 1, time.monotonic()
                save_checkpoint(run.path, run.step, model, optimiser)
                run.save()
    if last == steps.all:
        save_weights(model, run.weights)
        run.finish()
        forget_checkpoints(run.path)


def _step(
    model: UniHema,
    tokenizer: T5Tokenizer,
    optimiser: torch.optim.Optimizer,
    step: int,
    steps: Length,
    settings: RunSettings,
    batches: Mapping[str, Iterator[Batch]],
    device: torch.device | str,
) -> dict[str, Tensor]:
    """One step: the tasks' losses add up, task by task so that only one graph is in memory."""
    optimiser.zero_grad(set_to_none=True)
    # One seed an epoch: the noise of an image changes from epoch to epoch, whatever batch it is in.
    noise, terms, seen = key(settings.seed, "noise", step // steps.per_epoch), dict[str, Tensor](), list[Batch]()
    for each in batches.values():
        batch = next(each).to(device)
        found = step_loss(model, tokenizer, batch, noise)
        torch.stack(list(found.values())).sum().backward()  # type: ignore[no-untyped-call]
        terms |= {f"{batch.task}/{name}": term.detach() for name, term in found.items()}
        seen.append(batch)
    norm = torch.nn.utils.clip_grad_norm_(_learning(model), settings.stage.clip)
    if not torch.isfinite(norm):
        raise DivergedError(_what_broke(step, terms, seen))
    optimiser.step()
    return terms


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
    return torch.optim.AdamW(groups, weight_decay=stage.weight_decay)


def _learning(model: UniHema) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _stream(settings: RunSettings, task: str, dataset: "CorpusDataset") -> TrainingStream:
    weights = settings.stage.data.train[task]  # type: ignore[index]
    return TrainingStream(dataset, settings.seed, weights, settings.stage.data.temperature)


def _batches(
    settings: RunSettings, task: str, dataset: "CorpusDataset", first: int, last: int, workers: int
) -> Iterator[Batch]:
    positions = Positions(settings.stage.batches[task], first, last)
    return iter(training_loader(_stream(settings, task, dataset), positions, workers))  # type: ignore[arg-type]


class _Log:
    """`log.jsonl`: a line every few steps, the means since the line before."""

    def __init__(self, path: Path, first: int) -> None:
        kept = [line for line in path.read_text().splitlines() if _step_of(line) <= first] if path.exists() else []
        path.write_text("".join(f"{line}\n" for line in kept))  # what comes after the checkpoint is done again
        self._file = path.open("a", buffering=1)
        self._sums: dict[str, Tensor] = {}
        self._count, self._since = 0, time.monotonic()
        self._latest: dict[str, float] = {}

    def add(self, step: int, rate: float, samples: int, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Take the terms of a step; returns the numbers of the last line."""
        for name, term in terms.items():
            self._sums[name] = self._sums[name] + term if name in self._sums else term
        self._count += 1
        if step % LOG_EVERY == 0 or not self._latest:
            means = {name: (total / self._count).item() for name, total in self._sums.items()}
            seconds = time.monotonic() - self._since
            speed = samples * self._count / seconds
            self._latest = {"step": step, "loss": sum(means.values()), "lr": rate, "samples_per_second": speed, **means}
            self._file.write(json.dumps({name: _short(value) for name, value in self._latest.items()}) + "\n")
            self._sums, self._count, self._since = {}, 0, time.monotonic()
        return self._latest

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that was cut by a kill
        return float("inf")
