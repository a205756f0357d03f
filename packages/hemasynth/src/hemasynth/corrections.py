"""A speaker who mends a word: "pink, no, purple", "coarse - or rather, open"; the mended value counts alone."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemasynth.alternatives import Placed
    from hemasynth.claims import Claim
    from hemasynth.syntax import Sentence

_TRUTH = frozenset({"reality", "truth", "fact", "actuality"})
_NO = frozenset({"no", "nay", "rather"})


def mended(sentence: "Sentence", said: Iterable["Placed"]) -> list["Placed"]:
    """Leave out the claims of a sentence that words behind them take back."""
    said = list(said)
    for at in range(1, len(sentence.terms)):
        if _mends(sentence, at):
            after = [claim for place, claim in said if place > at]
            said = [(place, claim) for place, claim in said if place > at or not _taken_back(claim, after)]
    return said


def opens(sentence: "Sentence") -> bool:
    """Tell whether a sentence begins by mending the one before: "Sorry, I meant open.", "In reality it is big."."""
    return sentence.kind(0) == "correction" or (sentence.word(0) == "in" and sentence.word(1) in _TRUTH)


def kept(before: Sequence["Claim"], after: Sequence["Claim"]) -> list["Claim"]:
    """Return the claims that a sentence which mends them leaves."""
    return [claim for claim in before if not _taken_back(claim, after)]


def _mends(sentence: "Sentence", at: int) -> bool:
    if sentence.kind(at) == "correction":
        return True
    inserted = sentence.kind(at - 1) in ("and", "break") and sentence.kind(at + 1) in ("and", "break")
    return inserted and sentence.word(at) in _NO and sentence.word(at - 1) != "or"


def _taken_back(claim: "Claim", after: Sequence["Claim"]) -> bool:
    return claim.attribute != "" and any(
        other.attribute == claim.attribute and other.force == "fact" and other.values != claim.values for other in after
    )
