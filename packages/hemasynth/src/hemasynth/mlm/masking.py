"""Masks on the spans of claims, and nowhere else; both formats from one row."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hemasynth.faithful import Judged
from hemasynth.mlm.length import SENTINEL

MOST = 4


@dataclass(frozen=True)
class Span:
    """A value that can be masked: characters [start, end) of the text, and what they say.

    Attributes:
        label: the cell type that it is said of; the type itself for a type or a count.
    """

    start: int
    end: int
    attribute: str
    value: str
    label: str


@dataclass(frozen=True)
class Masked:
    """A sentence with blanks, T5-native: numbered sentinels; the target repeats them with what they stand for."""

    text: str
    masked_text: str
    target: str
    spans: tuple[Span, ...]


def maskable(text: str, judged: Sequence[Judged], label_of: dict[tuple[int, int], str]) -> list[Span]:
    """Return the spans that may be masked: supported values that are said once and in so many words."""
    spans: dict[tuple[int, int], Span] = {}
    for one in judged:
        claim = one.claim
        if one.verdict == "supported" and claim.polarity and claim.kind == "said" and len(claim.values) == 1:
            value = next(iter(claim.values))
            spans.setdefault(claim.span, Span(*claim.span, claim.attribute, value, label_of.get(claim.span, "")))
    lowered = text.lower()
    return [span for span in spans.values() if lowered.count(text[span.start : span.end].lower()) == 1]


def choose(spans: Sequence[Span], used: Counter[tuple[str, str]], most: int = MOST) -> list[Span]:
    """Choose the spans to mask: the values that were masked least so far first, and always one that is looked up.

    A count and its cell type are not masked together with every other word gone: at least one span stays readable when
    there are several. `used` is updated.
    """
    ranked = sorted(spans, key=lambda span: (used[span.attribute, span.value], span.start))
    wanted = min(most, max(1, len(ranked) - 1))
    chosen: list[Span] = []
    for span in ranked:
        if len(chosen) < wanted and not any(_determines(span, other) for other in chosen):
            chosen.append(span)
    used.update((span.attribute, span.value) for span in chosen)
    return sorted(chosen, key=lambda span: span.start)


def mask(text: str, spans: Sequence[Span]) -> Masked:
    """Put numbered sentinels in place of spans."""
    masked, target, at = "", "", 0
    for number, span in enumerate(spans):
        masked += text[at : span.start] + f"<extra_id_{number}>"
        target += f"<extra_id_{number}> {text[span.start : span.end]} "
        at = span.end
    return Masked(text, masked + text[at:], f"{target}<extra_id_{len(spans)}>", tuple(spans))


def authors(masked_text: str) -> str:
    """Return the masked text in the authors' format: one sentinel for every blank."""
    return SENTINEL.sub("<extra_id_0>", masked_text)


def restore(masked_text: str, answers: Sequence[str]) -> str:
    """Fill the blanks in their order."""
    parts = SENTINEL.split(masked_text)
    return parts[0] + "".join(answer + part for answer, part in zip(answers, parts[1:], strict=True))


def _determines(one: Span, other: Span) -> bool:
    """Tell whether one blank gives the other away: equal values of one attribute."""
    return one.attribute == other.attribute and one.value == other.value
