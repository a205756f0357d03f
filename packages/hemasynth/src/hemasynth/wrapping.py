"""Denials that wrap a whole statement: "it is not untrue that ...", "that it is big is simply wrong".

Every judgement of a statement counts, and so does every negator that stands before it; an odd number denies.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemasynth.syntax import Sentence

TRUE, UNTRUE = "true", "untrue"  # names under which the lexicon has "correct" and "mistaken"
_NEGATORS = ("not_predicate", "not_phrase", "not_clause")
_BETWEEN = ("other", "be", "determiner", "hedge", "habit", "more", "less")
_CONTENT = ("value", "alone", "anchor", "label", "bystander", "absent", "one")
_SPEAKS = ("that", "to", "in")
_FAR = ("anything but", "far from", "far from being", "nowhere near", "no longer", "anything other than")
_THINGS = ("it", "this", "that", "them")
_REASONS = ("it", "they", "the", "its", "this", "these")


def wrapped(sentence: "Sentence") -> tuple[list[bool], frozenset[int]]:
    """Tell for every term whether a judgement denies it, and which negators are used up by judgements."""
    cover, used = [False] * len(sentence.terms), set[int]()
    for at, kind in enumerate(sentence.kinds):
        name = _name(sentence, at)
        if kind != "not_clause" and kind != "not_before" and name not in (TRUE, UNTRUE):
            continue
        if kind == "not_before" and not _speaks(sentence, at):
            for i in _before(sentence, at):
                cover[i] = not cover[i]
            continue
        start, negators = _lead(sentence, at)
        lies = (name != TRUE) != (len(negators) % 2 == 1)
        said = _judged(sentence, start, at, clause=kind in ("not_clause", "not_before"))
        if said is None:
            continue
        used.update(negators)
        for i in said if lies else ():
            cover[i] = not cover[i]
    return cover, frozenset(used)


def judges(sentence: "Sentence", at: int) -> bool:
    """Tell whether a verb leads to a judgement: "would by no means be correct"."""
    i = at + 1
    while sentence.kind(i) in (*_NEGATORS[:2], "be") or (sentence.kind(i) == "other" and not _name(sentence, i)):
        i += 1
    return i > at + 1 and _name(sentence, i) != ""


def _name(sentence: "Sentence", at: int) -> str:
    return sentence.terms[at].entry.name if sentence.kind(at) == "other" else ""


def _judged(sentence: "Sentence", start: int, at: int, *, clause: bool) -> range | None:
    """Return what a judgement is about: the clause that it opens, or the one that it ends; None for neither."""
    verb = any(sentence.kinds[i] == "be" for i in range(start, at))
    if clause or (_speaks(sentence, at) and (verb or start == at)):
        if sentence.word(at + 1) in _THINGS and (
            sentence.kind(at + 2) in ("end", "break", "and") or sentence.word(at + 2) == ":"
        ):
            return range(at + 1, at + 2)  # "reject it: ..."
        end = next((i for i in range(at, len(sentence.kinds)) if _ends_clause(sentence, i)), len(sentence.kinds))
        return range(at + 1, end)
    after = sentence.kind(at + 1)
    ends = after in ("end", "break", "and") or sentence.word(at + 1) in (":", "here", "of", "for", "in")
    return _before(sentence, start) if verb and ends else None


def _speaks(sentence: "Sentence", at: int) -> bool:
    """Tell whether a statement follows: "untrue that", "wrong to say"; "does not apply to this nucleus" ends one."""
    i = at + 1
    return sentence.word(i) == "that" or (
        sentence.word(i) in _SPEAKS and sentence.kind(i + 1) in ("other", "not_clause")
    )


def _lead(sentence: "Sentence", at: int) -> tuple[int, list[int]]:
    """Return where "it is by no means simply" begins before a judgement, and the places of its negators."""
    start, negators = at, []
    while sentence.kind(start - 1) in ("not_predicate", *_BETWEEN) or sentence.word(start - 1) in _FAR:
        start -= 1
        if sentence.kinds[start] in _NEGATORS:
            negators.append(start)
    return start, negators


def _before(sentence: "Sentence", at: int) -> range:
    """Return the clause before a position, or all that stands before where that clause has no content."""
    cut = next((i for i in range(at - 1, -1, -1) if sentence.kinds[i] == "break"), -1) + 1
    return range(cut if any(sentence.kinds[i] in _CONTENT for i in range(cut, at)) else 0, at)


def _ends_clause(sentence: "Sentence", at: int) -> bool:
    """Tell whether a clause ends before a position: at "but", at ", as they are pink"."""
    reason = sentence.word(at) == "," and sentence.word(at + 1) in ("as", "for")
    return sentence.kinds[at] == "break" or (reason and sentence.word(at + 2) in _REASONS)
