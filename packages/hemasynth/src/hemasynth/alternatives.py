"""Values that stand beside each other in one sentence: "pink or red" is one of two, "not just slight" gives way."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hemasynth.lexicon import Values

if TYPE_CHECKING:
    from hemasynth.claims import Claim
    from hemasynth.syntax import Sentence

Placed = tuple[int, "Claim"]  # a claim with its position in the sentence
_NOT_ONLY = frozenset({"not only", "not just", "not merely", "not simply", "not solely", "not exclusively"})


def outdone(sentence: "Sentence", said: Sequence[Placed]) -> Iterator[Placed]:
    """Leave out what another value outdoes: "moderate and not just slight" is moderate."""
    for at, claim in said:
        before = at - 1
        while sentence.kind(before) in ("determiner", "with") or (
            sentence.kind(before) == "other" and sentence.word(before) not in _NOT_ONLY
        ):
            before -= 1
        rival = any(
            other.attribute == claim.attribute != "" and other.polarity and not other.values & claim.values
            for _, other in said
        )
        if sentence.word(before) not in _NOT_ONLY or not rival:
            yield at, claim


def offered(claims: Sequence["Claim"]) -> list["Claim"]:
    """Join what a question offers to choose from: "small, medium, large?", "(a) round (b) indented?"."""
    found: list[Claim] = []
    for claim in claims:
        rival = next((i for i, other in enumerate(found) if _rivals(other, claim)), None)
        if rival is None:
            found.append(claim)
        else:
            other = found[rival]
            words = other.words.replace(" or ", ", ") + f" or {claim.words}"
            found[rival] = replace(other, values=other.values | claim.values, words=words)
    return found


def _rivals(one: "Claim", two: "Claim") -> bool:
    stated = one.attribute == two.attribute != "" and one.polarity == two.polarity is True
    return stated and one.kind == two.kind == "said" and not one.values & two.values


def joined(sentence: "Sentence", said: Iterable[Placed]) -> Iterator[Placed]:
    """Join what "or" joins, given each claim with its place: "pink, red or purple granules" are one of the three."""
    group: list[Placed] = []
    for at, claim in said:
        if group and not _one_of(sentence, group[-1], (at, claim)):
            yield from _as_one(sentence, group)
            group = []
        group.append((at, claim))
    yield from _as_one(sentence, group)


def _one_of(sentence: "Sentence", first: Placed, second: Placed) -> bool:
    """Tell whether two claims next to each other are parts of one list of values: "pink, red", "pink or red"."""
    between = range(first[0] + 1, second[0])
    listed = any(sentence.word(i) in ("or", "/", ",") for i in between)
    parted = any(sentence.kind(i) in ("be", "have", "with", "break") or sentence.word(i) == "and" for i in between)
    one, two = first[1], second[1]
    alike = one.attribute == two.attribute != "" and one.polarity == two.polarity is True
    return listed and not parted and alike and one.kind == two.kind == "said"


def _as_one(sentence: "Sentence", group: list[Placed]) -> Iterator[Placed]:
    if len(group) > 1:
        (before, first), (at, last) = group[-2:]
        either = any(sentence.word(i) in ("or", "/") for i in range(before + 1, at))
        if either and not first.values & last.values:  # "unsegmented/round" says both
            claims = [claim for _, claim in group]
            values = Values().union(*(claim.values for claim in claims))
            words = ", ".join(claim.words for claim in claims[:-1]) + f" or {last.words}"
            yield at, replace(last, values=values, span=(claims[0].span[0], last.span[1]), words=words)
            return
    yield from group
