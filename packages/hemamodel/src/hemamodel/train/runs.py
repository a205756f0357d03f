"""Runs on disk: one folder each, found again by what they are made of.

```
runs/stage5-tiny-001/
  run.json            what it is, what it comes from, how far it is
  settings.json       all settings (`RunSettings`)
  text/               tokens and sizes of the text branch
  checkpoint-000400/  while it trains: weights, optimiser, step
  model.safetensors   once it is complete
  log.jsonl           losses
```
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any, Literal

from hemadata.atomic import write_text

from hemamodel.errors import HemaError, InputMissingError, UsageError
from hemamodel.fetch import RECORD as ABOUT
from hemamodel.fetch import WEIGHTS, locate
from hemamodel.train.checkpoint import check_weights
from hemamodel.train.settings import RunSettings

SETTINGS = "settings.json"
STATUS = ("running", "complete")


@dataclass
class Run:
    """What `run.json` says.

    Attributes:
        path: its folder.
        settings: what decides its weights.
        status: `running` until the last step is done.
        step: steps done, as of the last checkpoint.
        steps: steps in all; 0 until training has counted them.
        finished: seconds since 1970, 0 while it runs.
    """

    path: Path
    settings: RunSettings
    status: Literal["running", "complete"] = "running"
    step: int = 0
    steps: int = 0
    finished: float = 0.0

    @property
    def name(self) -> str:
        """Name of the folder; of one in the Hub's cache, repository and commit."""
        fetched = re.search(r"models--([^/]+)--([^/]+)/snapshots/(\w+)$", self.path.as_posix())
        return f"{fetched[1]}/{fetched[2]}@{fetched[3][:12]}" if fetched else self.path.name

    @property
    def complete(self) -> bool:
        """Whether its weights are final."""
        return self.status == "complete"

    @property
    def weights(self) -> Path:
        """Where the final weights lie."""
        return self.path / WEIGHTS

    @property
    def text(self) -> Path:
        """Folder with the tokenizer and the sizes of the T5."""
        return self.path / "text"

    def save(self) -> None:
        """Write `run.json` and `settings.json`."""
        settings = self.settings
        about = {
            "name": self.name,
            "stage": settings.stage.stage,
            "title": settings.stage.title,
            "preset": settings.model.preset,
            "variant": settings.model.variant,
            "corpus_id": settings.corpus_id,
            "seed": settings.seed,
            "parent": settings.parent,
            "trainable": list(settings.stage.trainable),
            **{name: value for name, value in asdict(self).items() if name not in ("path", "settings")},
        }
        write_text(self.path / SETTINGS, settings.model_dump_json(indent=1) + "\n")
        write_text(self.path / ABOUT, json.dumps(about, indent=1) + "\n")

    def finish(self) -> None:
        """Mark it complete; the weights are in place."""
        self.status, self.step, self.finished = "complete", self.steps, time.time()
        self.save()


def read_run(path: Path) -> Run:
    """Open the folder of a run, or a model of the Hub (`hemamodel.fetch.locate`).

    Raises:
        InputMissingError: there is no run in it, or it is damaged.
        HubError: the Hub cannot be reached.
    """
    path = locate(path)
    try:
        about: dict[str, Any] = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        settings = RunSettings.model_validate_json((path / SETTINGS).read_text(encoding="utf-8"))
        if about["status"] not in STATUS:
            raise ValueError(f"its status is {about['status']!r}, expected {' or '.join(STATUS)}")
        return Run(path, settings, about["status"], int(about["step"]), int(about["steps"]), float(about["finished"]))
    except FileNotFoundError as error:
        raise InputMissingError(
            f"{path} holds no run: {error.filename} is not there. Make one: hemamodel train --stage 1"
        ) from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:  # pydantic's and json's are ValueErrors
        raise InputMissingError(f"{path} holds no run that can be read: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{ABOUT} has no {error}"
    return " ".join(str(error).split())


def all_runs(root: Path, say: Callable[[str], None] = lambda line: None) -> list[Run]:
    """The runs below a folder, by name; other folders are none of ours.

    Args:
        root: folder of the runs.
        say: told of each damaged run, which is passed over.
    """
    runs: list[Run] = []
    for path in sorted({file.parent for name in (ABOUT, SETTINGS, WEIGHTS) for file in root.glob(f"*/{name}")}):
        try:
            run = read_run(path)
            if run.complete:
                check_weights(run.weights)
            runs.append(run)
        except HemaError as error:
            say(f"Skips {path}, which is damaged: {error} Mend it or remove the folder.")
    return runs


def new_run(root: Path, settings: RunSettings) -> Run:
    """A run with the next free number: `stage5-tiny-002`."""
    stem = f"stage{settings.stage.stage}-{settings.model.preset}"
    taken = [int(m[1]) for path in root.glob(f"{stem}-*") if (m := re.fullmatch(rf"{stem}-(\d+)", path.name))]
    return Run(root / f"{stem}-{max(taken, default=0) + 1:03}", settings)


def find_unfinished(runs: Sequence[Run], settings: RunSettings, accept_data_change: bool = False) -> Run | None:
    """The run that was stopped on the way to what these settings ask for, the latest if there are several.

    Args:
        runs: to choose from, by name.
        settings: what is asked for.
        accept_data_change: take one that has read another corpus.

    Raises:
        UsageError: there is one, but it has read another corpus.
    """
    for run in reversed(runs):
        if run.complete or run.settings.model_copy(update={"corpus_id": settings.corpus_id}) != settings:
            continue
        if run.settings.corpus_id != settings.corpus_id and not accept_data_change:
            raise UsageError(
                f"{run.path} was stopped at step {run.step} of {run.steps} on corpus {run.settings.corpus_id}, this "
                f"one is {settings.corpus_id}. Go on with the corpus it knows, or --accept-data-change, or --fresh."
            )
        return run
    return None


@dataclass(frozen=True)
class Lineage:
    """Where a stage starts.

    Attributes:
        parent: the complete run to start from; None: from scratch.
        skipped: runs that would have fitted but are not complete, or fine-tuned on a source of their own.
    """

    parent: Run | None
    skipped: tuple[Run, ...]


def find_parent(runs: Iterable[Run], parents: Sequence[int], preset: str, variant: str, corpus_id: str) -> Lineage:
    """The latest complete run of the first stage in `parents` that has one, of this preset, variant and corpus."""

    def fits(run: Run) -> bool:
        model, known = run.settings.model, run.settings.corpus_id
        return (model.preset, model.variant, known) == (preset, variant, corpus_id)

    fitting = [run for run in runs if run.settings.stage.stage in parents and fits(run)]
    skipped = tuple(run for run in fitting if not run.complete or run.settings.finetuned)
    for stage in parents:
        complete = [run for run in fitting if run not in skipped and run.settings.stage.stage == stage]
        if complete:
            return Lineage(max(complete, key=lambda run: run.finished), skipped)
    return Lineage(None, skipped)


@contextmanager
def locked(run: Run) -> Iterator[None]:
    """One process a run.

    Raises:
        UsageError: another one is at it.
    """
    run.path.mkdir(parents=True, exist_ok=True)
    with (run.path / ".lock").open("w") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except OSError:
            raise UsageError(
                f"{run.path} is being trained by another process. --fresh starts a run beside it."
            ) from None
        yield
