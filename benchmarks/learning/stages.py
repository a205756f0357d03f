"""Row `stages`: all six, each from the one before, each stopped at the end of an epoch and gone on with."""

from pathlib import Path

import hemadata
import torch
from hemadata.build import Options, build
from hemadata.corpus import Corpus
from hemamodel.stages import STAGES, load
from hemamodel.train.runs import Run
from hemamodel.train.start import Call, load_run, train

from learning.common import Bench, Clock, Row

SOURCES = ("raabin", "bccd", "leukemiaattri", "wbc-image-dataset", "wbcatt-vqa")
SIZE, IMAGES = 64, 24


def run(bench: Bench) -> Row:
    """Two epochs of every stage with small pictures, in one go and with a stop: the same weights, tensor for tensor."""
    clock = Clock()
    corpus = phantoms(bench)
    row: Row = {"stages": {}}
    for stage in STAGES:
        straight = one(bench, corpus, stage, "straight")
        half = straight.steps // 2
        stopped = one(bench, corpus, stage, "stopped", stop_after=half)
        resumed = one(bench, corpus, stage, "stopped")
        row["stages"][str(stage)] = {
            "parent": straight.settings.parent,
            "steps": straight.steps,
            "resumed_at": stopped.step,
            "same_weights_as_without_stop": same(straight, resumed),
        }
    found = row["stages"].values()
    chain = all(
        each["parent"] == f"stage{stage - 1}-tiny-001" for stage, each in zip(STAGES[1:], list(found)[1:], strict=True)
    )
    row["meets"] = chain and all(each["same_weights_as_without_stop"] for each in found)
    return row | {"chained": chain, "minutes": clock.minutes}


def phantoms(bench: Bench) -> Path:
    """A corpus with something for every task."""
    path = bench.work / "phantoms"
    build(list(SOURCES), [], path, Options(phantom=IMAGES))
    return path


def changes(corpus: Corpus, stage: int) -> tuple[str, ...]:
    """Small pictures, few queries; and what the corpus has of each task stands for the sources of the paper."""
    config = load(stage)
    small = [
        f"tasks.{task}.image.{key}={value}"
        for task, each in config.tasks.items()
        if each.image
        for key, value in (("sizes", [SIZE]), ("evaluation_size", SIZE), ("crop", 0))
    ]
    present = {task: [s for s, m in corpus.manifests.items() if m.task == task] for task in config.tasks}
    sources = ", ".join(f"{task}: {{{', '.join(f'{s}: 1' for s in each)}}}" for task, each in present.items())
    return (*small, f"data.train={{{sources}}}", "data.held_out=[]", "epochs=2", "queries=20")


def one(bench: Bench, path: Path, stage: int, name: str, stop_after: int | None = None) -> Run:
    """A run of a stage, from the last complete one of its folder."""
    with hemadata.open(path) as corpus:
        assignments = changes(corpus, stage)
    return train(
        Call(
            stage=stage,
            corpus=path,
            out=bench.work / "runs" / f"stages-{name}",
            preset="tiny",
            assignments=assignments,
            seed=bench.seed,
            device="cpu",
            stop_after=stop_after,
        )
    )


def same(one: Run, other: Run) -> bool:
    """Whether two runs have equal weights."""
    ours, theirs = (load_run(run.path)[1].state_dict() for run in (one, other))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
