"""What is put in front and denied at the end of its clause: "granules it has not", "pink the granules are not"."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemasynth.syntax import Sentence

_AUXILIARIES = frozenset({"do", "does", "did", "can", "could"})
_PRONOUNS = frozenset({"it", "they", "this", "these", "those", "i", "we", "one", "you"})
_LEADS = frozenset({"what", "something", "anything", "exactly", "just", "precisely", "a", "thing", "that", "which"})
_CONTENT = ("value", "alone", "anchor", "label", "bystander")
_FINAL = ("have", "be", "present", "other")  # "... does not have", "... has n't got"


def topic(sentence: "Sentence", at: int) -> range | None:
    """Return the positions that the "not" at a position denies because they stand in front of its subject, if any."""
    end = at + 1
    while sentence.kind(end) in _FINAL:
        end += 1
    if sentence.kind(end) not in ("end", "break", "and") or end - at > 3:
        return None
    subject = _subject(sentence, at)
    if subject is None:
        return None
    start = subject
    while sentence.kind(start - 1) not in ("end", "break", "and"):
        start -= 1
    front = subject
    while sentence.word(front - 1) in _LEADS or sentence.kind(front - 1) == "relative":
        front -= 1
    cleft = front < subject and sentence.kind(front - 1) == "be"
    front -= cleft  # "dense chromatin is what this nucleus has not"
    kinds = sentence.kinds[start:front]
    if not any(kind in _CONTENT for kind in kinds) or "be" in kinds or "have" in kinds or front + cleft < subject - 3:
        return None
    if front < subject and not cleft:
        return None  # a relative clause: "granules which the cell does not have"
    return range(start, front)


def _subject(sentence: "Sentence", at: int) -> int | None:
    """Return where the subject of a clause-final "not" begins: "it", "this nucleus", "the granules"."""
    verb = at - 1
    while sentence.kind(verb) == "other" and sentence.word(verb) not in _AUXILIARIES:
        verb -= 1
    if sentence.kind(verb) not in ("be", "have") and sentence.word(verb) not in _AUXILIARIES:
        return None
    last = verb - 1
    if sentence.word(last) in _PRONOUNS:
        return last
    while sentence.noun(last):
        last -= 1
    return last if last < verb - 1 and sentence.kind(last) == "determiner" else None
