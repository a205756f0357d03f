"""What a sentence sets against its cell: "denser than loose", "monocytes are vacuolated, but this cell is not"."""

from dataclasses import replace
from typing import TYPE_CHECKING

from hemasynth.lexicon import FOREIGN

if TYPE_CHECKING:
    from hemasynth.claims import Claim, Reader


def compared(reader: "Reader") -> "tuple[set[int], list[tuple[int, Claim]]]":
    """Read "than": one value against another, or this cell against something that no record holds."""
    skipped: set[int] = set()
    said: list[tuple[int, Claim]] = []
    for at, kind in enumerate(reader.sentence.kinds):
        if kind != "than":
            continue
        left = next((i for i in range(at - 1, -1, -1) if reader.kind(i) in ("value", "alone")), None)
        right = at + 1
        while reader.kind(right) in ("with", "determiner"):  # "more towards blue than towards purple"
            right += 1
        if left is not None and reader.kind(right) in ("value", "alone") and not reader.noun(right + 1):
            reader.turned.add(left if reader.kind(left - 1) == "less" else right)
            continue
        if left is None and reader.kind(at - 1) == "more" and reader.kind(right) in ("value", "alone"):
            reader.turned.add(right)  # "the basophilia is more than slight"
            continue
        ends = (
            i for i in range(at, len(reader.terms)) if reader.kind(i) in ("break", "and") or reader.terms[i].text == ":"
        )
        end = next(ends, len(reader.terms))
        skipped |= set(range(at if left is None else left, end))
        said.append((at, reader.claim(at, FOREIGN, "foreign")))
    return skipped, said


def denied_here(reader: "Reader", said: "list[tuple[int, Claim]]") -> "list[tuple[int, Claim]]":
    """Read "monocytes are normally vacuolated, but this cell is not": what is general is denied of this cell."""
    last = len(reader.terms) - 1
    here = next((i for i in range(last, 0, -1) if reader.kind(i) == "break"), None)
    if here is None or reader.kind(last) != "not_predicate" or reader.kind(last - 1) not in ("be", "have", "other"):
        return []
    if not all(reader.kind(i) in ("determiner", "anchor", "one", "other", "be", "have") for i in range(here + 1, last)):
        return []
    general = [(at, claim) for at, claim in said if claim.force == "habit" and at < here and claim.attribute != "label"]
    return [
        (last, replace(claim, force="fact", polarity=not claim.polarity)) for _, claim in general if claim.attribute
    ]
