"""Heads for other classes: rows of classes that both views know are kept, the others start anew."""

from collections.abc import Callable, Mapping, Sequence

from hemadata.ontology import View
from hemadata.ontology import load as ontology
from torch import Tensor, nn

from hemamodel.data.records import VIEWS
from hemamodel.train.checkpoint import read_weights
from hemamodel.train.runs import Run
from hemamodel.train.settings import RunSettings

# Tensors with a row for each class.
ROWS = {
    "detection": (
        "selection.label.weight",
        "selection.label.bias",
        "det_heads.label.weight",
        "det_heads.label.bias",
        "denoising.label.weight",  # and a last one for empty slots
    ),
    "classification": ("classifier.6.weight", "classifier.6.bias"),
}


def with_new_heads(
    settings: RunSettings, parent: Run, model: nn.Module, say: Callable[[str], None]
) -> dict[str, Tensor]:
    """The weights of a run's parent, with heads for other classes where the views differ.

    Args:
        settings: of the run.
        parent: a complete run.
        model: with fresh weights.
        say: told which classes are kept.
    """
    stored, tree = read_weights(parent.weights), ontology()
    for task, default in VIEWS.items():
        views = (each.stage.data.views.get(task) for each in (parent.settings, settings))  # type: ignore[call-overload]
        before, after = (tree.view(name or default) for name in views)
        if task not in settings.stage.data.views or before.name == after.name:
            continue
        if parent.settings.model.classes != settings.model.classes or before.members != after.members:
            stored, kept = swapped(stored, model, task, before, after)
            new = [name for name in after.classes if name not in kept]
            say(f"Head of {task}: {len(before.classes)} classes become {len(after.classes)}. Kept by name: "
                f"{', '.join(kept) or 'none'}. New: {', '.join(new) or 'none'}.")  # fmt: skip
    return stored


def swapped(
    stored: Mapping[str, Tensor], model: nn.Module, task: str, before: View, after: View
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights of a run as a model with other classes needs them.

    Args:
        stored: tensors of the run.
        model: with fresh weights, and as many classes as `after`.
        task: whose head changes.
        before: view that the run was trained on.
        after: view of the model.

    Returns:
        All tensors, and the names of the classes whose rows were kept.
    """
    pairs = matching(before, after)
    fresh, result = model.state_dict(), dict(stored)
    for name in ROWS[task]:
        if name not in stored:
            continue
        rows = fresh[name].clone()
        for new, old in pairs:
            rows[new] = stored[name][old]
        if len(rows) == len(after.classes) + 1:
            rows[-1] = stored[name][-1]
        result[name] = rows
    return result, [after.classes[new] for new, _ in pairs]


def matching(before: View, after: View) -> list[tuple[int, int]]:
    """(class of `after`, class of `before`) that stand for the same nodes."""

    def keys(view: View) -> Sequence[frozenset[str]]:
        return [frozenset(members) for members in view.members]

    known: dict[frozenset[str], int] = {}
    for number, members in enumerate(keys(before)):
        if members:
            known.setdefault(members, number)
    return [(number, known[members]) for number, members in enumerate(keys(after)) if members in known]
