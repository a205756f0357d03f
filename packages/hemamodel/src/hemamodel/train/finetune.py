"""`hemamodel finetune`: a complete run trained on with one source, and classes of its own (table 12 of the paper)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hemadata

from hemamodel.errors import UsageError
from hemamodel.stages import HOME, load
from hemamodel.train.runs import read_run
from hemamodel.train.start import Call

HEADS = ("classification", "detection")  # tasks whose head has classes


def finetuning(
    source: str,
    init_from: Path,
    corpus: Path = Path("corpus"),
    view: str | None = None,
    assignments: Sequence[str] = (),
    **more: Any,
) -> Call:
    """The call of `train` that fine-tunes: the stage at home in the source's task, with this source alone.

    Args:
        source: slug; it may be one of those that the stage holds out, since fine-tuning is what they are held out for.
        init_from: run to start from.
        corpus: folder of the corpus.
        view: class view; None: the canonical labels of the source's own training rows, in alphabetical order.
        assignments: `key=value` changes.
        more: other fields of `Call`.

    Raises:
        UsageError: the corpus has no such source, or none of its rows carries a label.
    """
    with hemadata.open(corpus) as opened:
        if source not in opened.sources:
            raise UsageError(f"{corpus} has no source {source!r}; it has {', '.join(opened.sources)}.")
        task = opened.manifests[source].task
        changes = _data(task, source)
        if task in HEADS:
            classes = view or _own_labels(opened, task, source)
            count = len(opened.view(classes).classes)
            changes += [f"data.views={{{task}: '{classes}'}}", f"classes.{task}={count}"]
    config = read_run(init_from).settings.model
    return Call(
        HOME[task],
        corpus,
        preset=config.preset,
        variant=config.variant,
        init_from=init_from,
        finetuned=source,
        assignments=(*changes, *assignments),
        **more,
    )


def _data(task: str, source: str) -> list[str]:
    """The stage reads this source alone."""
    stage = load(HOME[task])
    kept = [each.model_dump() for each in stage.data.held_out if each.source != source]
    train = {other: {source: 1} if other == task else {} for other in stage.tasks}
    return [f"data.train={json.dumps(train)}", f"data.held_out={json.dumps(kept)}", f"epoch_task={task}"]


def _own_labels(corpus: Any, task: str, source: str) -> str:
    """A view of the labels that the source's training rows carry."""
    found: set[str] = set()
    if task == "classification":
        found = {row["label"] for row in corpus.rows(task, "train", ["label"], source)}
    else:
        for row in corpus.rows(task, "train", ["objects"], source):
            found |= {each["label"] for each in row["objects"] or ()}
    labels = sorted(found - {None})
    if not labels:
        raise UsageError(f"{source}: no training row carries a label, so there is nothing to fine-tune on.")
    return "nodes:" + ",".join(labels)
