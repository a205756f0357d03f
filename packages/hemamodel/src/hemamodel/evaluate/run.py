"""Scores of a run: its tasks, on the sources that it trained on or on others."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hemadata
import torch

from hemamodel.data.tasks import stage_dataset
from hemamodel.errors import InputMissingError, UsageError
from hemamodel.evaluate.tasks import Examination, examine
from hemamodel.stages import stage_of
from hemamodel.train.start import load_run

Told = Callable[[str, int, int], None]


def evaluate(
    run: Path,
    corpus: Path,
    *,
    split: str = "test",
    tasks: Sequence[str] = (),
    sources: Sequence[str] = (),
    batch_size: int = 8,
    workers: int = 0,
    device: str | None = None,
    limit: int | None = None,
    told: Told | None = None,
) -> dict[str, Any]:
    """Scores of a complete run.

    Args:
        run: its folder.
        corpus: folder of the corpus.
        split: train, validation or test.
        tasks: none given: those of the run's stage that the corpus has.
        sources: none given: those that the stage trains on.
        batch_size: samples at once; no score depends on it.
        workers: processes that load images.
        device: None: a GPU if there is one.
        limit: only the first so many samples of each task.
        told: told of the progress, task by task.

    Returns:
        `run, stage, corpus_id, trained_on_corpus_id, split, overfit, sources`, `absent` (tasks of the stage that the
        corpus has nothing for) and `scores`, task -> scores.

    Raises:
        InputMissingError: the corpus has nothing to evaluate a task on.
    """
    found, model, tokenizer = load_run(run)
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    settings, results, used, absent = found.settings, dict[str, Any](), dict[str, list[str]](), list[str]()
    with hemadata.open(corpus) as opened:
        for task in tasks or settings.stage.tasks:
            config = stage_of(task, settings.stage)
            try:
                dataset = stage_dataset(
                    opened, config, task, split, training=False, sources=sources or None, limit=limit
                )
            except InputMissingError:
                if tasks or len(settings.stage.tasks) == 1:
                    raise
                absent.append(task)
                continue
            built = getattr(model.config.classes, task, 0)
            if dataset.classes != built:
                raise UsageError(f"{run} tells {built} classes of {task} apart, this corpus has {dataset.classes}.")
            tell = (lambda done, all_, task=task: told(task, done, all_)) if told else None
            results[task] = examine(Examination(model, tokenizer, dataset, batch_size, workers, tell))
            used[task] = [source for source, samples in dataset.ranges.items() if samples]
        return {
            "run": str(run),
            "stage": settings.stage.stage,
            "corpus_id": opened.corpus_id,
            "trained_on_corpus_id": settings.corpus_id,
            "split": split,
            "overfit": settings.overfit,
            "sources": used,
            "absent": absent,
            "scores": results,
        }
