"""Of what a sentence speaks: this cell, cells of a kind in general, another cell of the picture, or nothing for sure."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemasynth.syntax import Sentence

FACT, GENERIC, FOREIGN, IGNORED = "fact", "generic", "foreign", "ignored"
HABIT = "habit"  # generic too, and then whatever is said is: "neutrophils fight infections"
_STATIVE = frozenset({"has", "have", "is", "are", "contains", "contain"})
_ASKING = frozenset({"what", "how", "why", "do", "are", "which", "when", "where", "can"})
_OPENS = ("break", "and", "relative", "end", "with")


def forces(sentence: "Sentence") -> list[str]:
    """Return the force of every term of a sentence, in the words of `claims.Claim`; "ignored" makes no claim."""
    force = [FACT] * len(sentence.terms)
    for start, end in _segments(sentence):
        for kind, meant in (("hedge", GENERIC), ("habit", HABIT)):
            if any(sentence.kinds[i] == kind and not _was_able(sentence, i) for i in range(start, end)):
                force[start:end] = [meant] * (end - start)
    for at in range(len(force)):
        if force[at] == FACT and _in_general(sentence, at):
            end = _until(sentence, at, ("break",))
            force[at:end] = [HABIT] * (end - at)
    for at, kind in enumerate(sentence.kinds):
        if kind == "elsewhere" or (kind == "another" and _is_cell(sentence, at + 1)):
            subject = kind == "another" and at <= 1
            end = _until(sentence, at, ("break",) if subject else ("break", "and", "relative", "have"))
            if any(sentence.noun(i) in ("cell", "bystander") for i in range(at, end)):
                force[at:end] = [FOREIGN] * (end - at)
        elif kind == "whether":
            end = at + 1
            while sentence.kind(end) in ("value", "alone", "and", "label", "determiner"):
                end += 1
            force[at:end] = [IGNORED] * (end - at)
        elif kind == "label" and sentence.denied[at] and "relative" in (sentence.kind(at + 1), sentence.kind(at + 2)):
            end = _until(sentence, at + 3, ("break", "and"))  # "unlike monocytes, which have ...,"
            force[at + 1 : end] = [GENERIC] * (end - at - 1)
    return force


def _segments(sentence: "Sentence") -> list[tuple[int, int]]:
    cuts = [i for i, kind in enumerate(sentence.kinds) if kind == "break"]
    return list(zip([0, *cuts], [*cuts, len(sentence.kinds)], strict=True))


def _was_able(sentence: "Sentence", at: int) -> bool:
    """Tell "granules could be seen" from "it could be a monocyte"."""
    after = (sentence.kind(at + 1), sentence.kind(at + 2), sentence.kind(at + 3))
    return sentence.word(at) == "could" and ("present" in after or after[0] == "not_predicate")


def _until(sentence: "Sentence", at: int, kinds: tuple[str, ...]) -> int:
    return next((i for i in range(at + 1, len(sentence.kinds)) if sentence.kinds[i] in kinds), len(sentence.kinds))


def _is_cell(sentence: "Sentence", at: int) -> bool:
    return sentence.noun(at) in ("cell", "bystander") or sentence.noun(at + 1) in ("cell", "bystander")


def _in_general(sentence: "Sentence", at: int) -> bool:
    """Tell whether a cell type begins a general statement: "Neutrophils have ...", "A monocyte is ..."."""
    if sentence.kind(at) != "label":
        return False
    before = at - 1
    while sentence.kind(before) == "other" and sentence.word(before) in sentence.lexicon.habitual:
        before -= 1
    verb = at + 1
    while sentence.kind(verb) in ("other", "with", "anchor") and verb < at + 3:
        verb += 1
    if sentence.terms[at].plural:
        if sentence.word(0) in _ASKING and sentence.kind(before) != "determiner":
            return True
        return sentence.kind(before) in _OPENS and sentence.kind(verb) in ("be", "have", "habit")
    indefinite = sentence.word(before) in ("a", "an", "any", "every", "each") and sentence.kind(before - 1) in ("end", "break")
    return (
        indefinite and sentence.word(at + 1) in _STATIVE and sentence.kind(at + 2) not in ("present", "hedge", "not_predicate")
    )
