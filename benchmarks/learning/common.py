"""What the rows share: a corpus from raw data, a training call, a clock."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hemadata.build import Options
from hemadata.build import build as build_corpus
from hemamodel.evaluate.run import evaluate
from hemamodel.train.runs import Run
from hemamodel.train.start import Call, train

Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Bench:
    """Where a row works.

    Attributes:
        raw: folder of raw data.
        work: folder for corpora and runs.
        workers: processes that load images.
        scale: multiplies epochs and questions; 1 is what the figures are quoted for.
        seed: of every run.
        preset: of every run; the figures are quoted for tiny.
        device: where to train and to score.
        changes: further settings of every run, the last word.
        trained: complete runs by name.
    """

    raw: Path
    work: Path
    workers: int = 0
    scale: float = 1.0
    seed: int = 0
    preset: str = "tiny"
    device: str = "cpu"
    changes: tuple[str, ...] = ()
    trained: dict[str, Run] = field(default_factory=dict)

    def corpus(self, name: str, *sources: str, raw: Path | None = None) -> Path:
        """A corpus of real data; sources that it has already are left as they are."""
        path = self.work / name
        for result in build_corpus(list(sources), [*([raw] if raw else []), self.raw], path, Options(jobs=2)):
            if result.error:
                raise result.error
        return path

    def train(
        self,
        stage: int,
        corpus: Path,
        epochs: int,
        settings: Sequence[str] = (),
        *,
        name: str,
        overfit: int | None = None,
        init_from: Run | None = None,
        stop_after: int | None = None,
    ) -> Run:
        """A run of the preset, from scratch unless `init_from` is given, in a folder of its own.

        Rows that start from the same run share it. `stop_after` leaves it there; the same call goes on.
        """
        if name in self.trained:
            return self.trained[name]
        epochs = max(1, round(epochs * self.scale))
        call = Call(
            stage=stage,
            corpus=corpus,
            out=self.work / "runs" / name,
            preset=self.preset,
            assignments=(*FAST, f"epochs={epochs}", *settings, *self.changes),
            init_from=init_from.path if init_from else None,
            scratch=init_from is None,
            seed=self.seed,
            overfit=overfit,
            workers=self.workers,
            device=self.device,
            stop_after=stop_after,
        )
        run = train(call, progress=_Ticker(name))
        if run.complete:
            self.trained[name] = run
        return run

    def evaluate(self, run: Run, corpus: Path, **how: Any) -> dict[str, Any]:
        """The report on a run; `how` as in `hemamodel.evaluate.run.evaluate`."""
        return evaluate(run.path, corpus, workers=self.workers, device=self.device, **how)


# From scratch nothing is pretrained that a low rate must spare: one rate for all parts, falling to zero.
FAST = ("lr=1e-3", "schedule=cosine", "warmup=50", "clip=1.0", "weight_decay=0.05", "lr_drop=null")
VISION = "[backbone, neck, image_encoder, image_decoder, det_heads, tgvr, qgmf, upsampler, scfe]"


class Clock:
    """Minutes since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def minutes(self) -> float:
        """Minutes so far."""
        return round((time.monotonic() - self._start) / 60, 2)


class _Ticker:
    """A line on standard error every half minute."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, time.monotonic()

    def __call__(self, step: int, steps: int, numbers: Any) -> None:
        if time.monotonic() - self._last > 30:
            import sys

            self._last = time.monotonic()
            print(
                f"  {self._name}: step {step:,} of {steps:,}, loss {numbers['loss']:.4f}", file=sys.stderr, flush=True
            )
