"""Scores as a person reads them."""

from collections.abc import Mapping
from typing import Any

MAIN = ("macro_f1", "weighted_f1", "accuracy", "dice", "iou", "ap50", "ap", "exact_match", "bleu_4", "rouge_l")


def table(found: Mapping[str, Any]) -> str:
    """Lines for the answer of `evaluate`."""
    lines = [f"{found['run']} on {found['split']} of corpus {found['corpus_id']}"]
    if found["corpus_id"] != found["trained_on_corpus_id"]:
        lines.append(
            f"It was trained on corpus {found['trained_on_corpus_id']}: its test rows may have been in training."
        )
    lines += [f"{task}: the corpus has nothing for it in {found['split']}." for task in found["absent"]]
    for task, scores in found["scores"].items():
        lines.append(f"{task}: {scores['samples']:,} samples of {', '.join(found['sources'][task])}")
        shown = [f"{name} {_short(scores[name])}" for name in MAIN if name in scores]
        lines.append("  " + "   ".join(shown))
        for name, each in scores.get("classes", {}).items():
            lines.append(f"    {name:32} " + "   ".join(f"{key} {_short(value)}" for key, value in each.items()))
    return "\n".join(lines)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
