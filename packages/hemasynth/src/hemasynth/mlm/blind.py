"""How often a blank is filled right without the picture: by the value that is commonest in the training part."""

from collections import Counter, defaultdict
from collections.abc import Iterable

from hemasynth.mlm.masking import Span

EASY = 0.6  # a blank that is filled blind more often than this is no test of sight


def fit(spans: Iterable[Span]) -> dict[tuple[str, str], tuple[str, float]]:
    """Return per (attribute, type) the commonest value among blanks, and its share; type "" over all types."""
    seen: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for span in spans:
        for label in {_context(span), ""}:
            seen[span.attribute, label][span.value] += 1
    best = {}
    for key, values in seen.items():
        value, count = min(values.items(), key=lambda pair: (-pair[1], pair[0]))
        best[key] = (value, count / values.total())
    return best


def guess(model: dict[tuple[str, str], tuple[str, float]], span: Span) -> tuple[str, float]:
    """Return what the model fills in, and how often that was right in training ("" and 0 for an unseen attribute)."""
    return model.get((span.attribute, _context(span))) or model.get((span.attribute, "")) or ("", 0.0)


def rates(model: dict[tuple[str, str], tuple[str, float]], spans: Iterable[Span]) -> dict[str, dict[str, float]]:
    """Return per attribute the number of blanks and the share that is filled right blind, and of all ("all")."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for span in spans:
        for name in (span.attribute, "all"):
            total[name] += 1
            right[name] += guess(model, span)[0] == span.value
    return {
        name: {"blanks": total[name], "filled_blind": round(right[name] / total[name], 4)} for name in sorted(total)
    }


def _context(span: Span) -> str:
    return "" if span.attribute == "label" else span.label
