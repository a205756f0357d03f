"""Denials that stand behind their noun: "vacuoles are absent", "granules cannot be seen", "granules it has not"."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemasynth.syntax import Sentence

_STOPS = ("and", "break", "value", "alone", "anchor", "label", "with", "relative", "have")


def absent_after(sentence: "Sentence", at: int) -> bool:
    """Tell whether the clause after a noun denies it: "are absent", "are not visible", "cannot be seen"."""
    negated = False
    if sentence.noun(at) in sentence.lexicon.exists and (_none_left(sentence, at) or _paired(sentence, at)):
        return True
    while sentence.kind(at + 1) in ("value", "alone"):
        at += 1  # "dense clumps are absent"
    for i in range(_phrase_after(sentence, _last_of(sentence, at)), len(sentence.terms)):
        kind = sentence.kinds[i]
        if kind == "absent":
            return not negated
        if kind == "not_predicate":
            negated = True
        elif kind == "not_phrase" and (
            sentence.kind(i + 1) in ("end", "and", "break", "be", "not_before")
            or (sentence.word(i) == "lacking" and sentence.word(i + 1) in ("in", "from", "within"))
        ):
            return not negated  # "granules are lacking"
        elif kind == "present" and negated:
            return True
        elif _goes_on(sentence, at, i):
            negated = negated and sentence.word(i + 1) != "being"
        elif kind in _STOPS:
            return negated and _like_the_other(sentence, at, i)
    return negated and _like_the_other(sentence, at, len(sentence.terms))


def _like_the_other(sentence: "Sentence", noun: int, end: int) -> bool:
    """Tell whether "not" ends what is said behind "are present": "granules are present, the vacuoles are not"."""
    bare = sentence.kind(end - 1) == "not_predicate" and sentence.kind(end - 2) == "be"
    return bare and sentence.noun(noun) in sentence.lexicon.exists and "present" in sentence.kinds[:noun]


def _goes_on(sentence: "Sentence", noun: int, i: int) -> bool:
    """Tell whether a comma or a further phrase does not end what is said of a noun."""
    kind, after = sentence.kinds[i], sentence.word(i + 1 + (sentence.kind(i + 1) == "break"))
    if kind in ("and", "break") and "absent" in sentence.kinds[i:]:
        if after in ("there", "none", "being"):
            return True  # "one looks for granules, there are none", "the vacuoles are not, being absent"
        ahead = next(j for j in range(i, len(sentence.kinds)) if sentence.kinds[j] == "absent")
        if after in ("we", "i", "one", "you") and all(
            kind in ("other", "one") for kind in sentence.kinds[i + 1 : ahead]
        ):
            return True  # "as for vacuoles, we drew a blank"
    if sentence.word(i) == "," and after in ("its", "their") and sentence.word(i + 2) == "presence":
        return True  # "as for vacuoles, their presence could not be established"
    return kind in ("with", "anchor") and "presence" in (sentence.word(j) for j in range(noun, i))


def _none_left(sentence: "Sentence", at: int) -> bool:
    """Tell whether "none" at the end is of this noun: "where granules are expected, the cytoplasm offers none"."""
    last = len(sentence.terms) - 1
    if sentence.word(last) != "none" or sentence.kind(last - 1) != "have":
        return False
    return not any(sentence.noun(i) in sentence.lexicon.exists for i in range(at + 1, last))


def _paired(sentence: "Sentence", at: int) -> bool:
    """Tell whether "respectively" pairs a noun with "absent"."""
    return any(kind == "absent" and sentence.in_turn(i) == at for i, kind in enumerate(sentence.kinds) if i > at)


def _phrase_after(sentence: "Sentence", at: int) -> int:
    """Return where the verb of "segmentation of the nucleus is absent" stands, or what follows the noun."""
    i = at + 1
    if sentence.word(i) not in ("of", "in", "within", "inside"):
        return i
    while sentence.kind(i) in ("with", "determiner", "value", "anchor", "other"):
        i += 1
    return i if sentence.kind(i) == "be" and sentence.noun(i - 1) else at + 1


def _last_of(sentence: "Sentence", at: int) -> int:
    """Return the last noun of "granules and vacuoles", which share what follows them."""
    i = at + 1
    if not sentence.noun(at):
        return at  # "is large and its vacuoles are absent": a new subject
    while sentence.word(i) in ("and", "or") or (i > at + 1 and sentence.kind(i) in ("determiner", "value")):
        i += 1
    return i if i > at + 1 and sentence.noun(i) in sentence.lexicon.exists else at
