"""What a negation covers: for every term of a sentence, whether an odd number of negators denies it."""

from typing import TYPE_CHECKING

from hemasynth import topics, wrapping

if TYPE_CHECKING:
    from hemasynth.syntax import Sentence

_INSTEAD = ("instead of", "rather than", "as opposed to", "in place of", "not")
_CONTENT = ("value", "alone", "anchor", "label")
_AFTER_NOUN = ("property", "size", "anchor", "label", "bystander", "one")
_PHRASE = (
    "other",
    "determiner",
    "value",
    "alone",
    "property",
    "size",
    "anchor",
    "label",
    "present",
    "not_phrase",
    "one",
    "bystander",
    "foreign",
)


def denied(sentence: "Sentence") -> list[bool]:
    """Tell for every term whether it is denied."""
    cover, used = wrapping.wrapped(sentence)
    cover = list(cover)
    for at, kind in enumerate(sentence.kinds):
        if at in used:
            continue  # "it is not untrue that"
        if kind == "not_phrase" or (kind == "absent" and _names_what_is_absent(sentence, at)) or kind == "contrast":
            end = _phrase_end(sentence, at + 1)
        elif kind == "not_each":
            noun = next((i for i in range(at + 1, len(cover)) if sentence.noun(i)), at)
            for i in range(noun + 1, _predicate_end(sentence, noun + 1)):
                cover[i] = not cover[i]
            continue
        elif kind == "not_predicate" and _cannot_be_more(sentence, at):
            continue
        elif kind == "not_predicate" and _ends(sentence, at):
            cover[:at] = [not each for each in cover[:at]]  # "a round cell this is not"
            continue
        elif kind == "not_predicate" and (topic := topics.topic(sentence, at)) is not None:
            for i in topic:
                cover[i] = not cover[i]
            continue
        elif kind == "not_predicate" and sentence.word(at - 1) == "but" and "not_phrase" in sentence.kinds[:at]:
            continue  # "lacks granules but not vacuoles"
        elif kind == "not_predicate":
            end = _predicate_end(sentence, at + 1)
        else:
            continue
        for i in range(at + 1, end):
            cover[i] = not cover[i]
    return cover


def _names_what_is_absent(sentence: "Sentence", at: int) -> bool:
    """Tell "absent vacuoles" from "vacuoles are absent"."""
    i = at + 1 + (at == 0 and sentence.kind(1) == "be")  # "gone are the granules"
    while sentence.kind(i) in ("value", "alone", "determiner"):
        i += 1
    return sentence.kind(i) == "anchor" and sentence.kind(at - 1) not in ("be", "not_predicate")


def _cannot_be_more(sentence: "Sentence", at: int) -> bool:
    """Tell "the cytoplasm could not be clearer", which says that it is clear."""
    able = sentence.word(at - 1) in ("could", "can") or sentence.word(at) == "cannot"
    more = sentence.word(at + 2).endswith("er") or sentence.kind(at + 2) == "more"
    return able and sentence.kind(at + 1) == "be" and more and "than" not in sentence.kinds


def _ends(sentence: "Sentence", at: int) -> bool:
    """Tell whether "not" ends a sentence of one clause, or what stands before it is "not the shade of" its noun."""
    if sentence.kind(at - 1) == "be" and sentence.kind(at - 2) in ("value", "alone") and sentence.word(at + 1) == "the":
        before = {sentence.noun(i) for i in range(at)}
        behind = {"value", "alone", "label", "present", "absent"}.isdisjoint(sentence.kinds[at:])
        return before == {""} and sentence.kind(at + 2) in ("property", "size") and behind
    one_clause = {"break", "and", "relative"}.isdisjoint(sentence.kinds)
    return one_clause and at > 1 and at == len(sentence.kinds) - 1 and sentence.kind(at - 1) == "be"


def _phrase_end(sentence: "Sentence", at: int) -> int:
    """Return the end of the phrase that "no" covers: its noun, and further ones after "or", "and", commas."""
    i, noun = at, False
    while i < len(sentence.terms):
        kind = sentence.kinds[i]
        if (kind == "not_phrase" and noun) or (sentence.word(i) == ":" and i > at):
            break
        if kind == "and":
            if not _more(sentence, i) and not _in_place_of(sentence, at - 1, i) and not _fronted(sentence, at - 1, i):
                break
        elif kind == "with" and noun and sentence.kind(i - 1) == "and" and sentence.word(i) == "of":
            pass  # "free of granules and of vacuoles"
        elif kind == "with":
            if noun or sentence.kind(i - 1) in ("value", "alone"):
                break  # "no evidence of granules" goes on, "no granules in the cell" ends
        elif (
            noun
            and kind in ("value", "alone")
            and not sentence.noun(i + 1)
            and (sentence.noun(i - 1) or sentence.kind(i - 1) == "and")
        ):
            pass  # "no chromatin clumping", "no nuclear clefts or folds"
        elif kind not in (_AFTER_NOUN if noun else _PHRASE) and not (kind in ("be", "have") and not noun):
            break
        noun = noun or bool(sentence.noun(i)) or kind == "alone" or (kind == "one" and i > at)
        i += 1
    return i


def _fronted(sentence: "Sentence", negator: int, joint: int) -> bool:
    """Tell whether "and" stands in a phrase that a comma ends: "rather than loose and lacy, the chromatin is ..."."""
    fronted = sentence.word(negator) in _INSTEAD and sentence.kind(negator - 1) in ("end", "break")
    if not fronted or sentence.word(joint) != "and" or sentence.kind(joint + 1) not in ("value", "alone"):
        return False
    return "," in (sentence.word(i) for i in range(joint, len(sentence.terms)))


def _in_place_of(sentence: "Sentence", negator: int, joint: int) -> bool:
    """Tell whether "coarse and purple instead of round and red" denies as many values as it states."""
    if sentence.word(negator) not in _INSTEAD:
        return False
    before, i = 0, negator - 1
    while sentence.kind(i) in ("value", "alone", "and", "other"):
        before += sentence.kind(i) in ("value", "alone")
        i -= 1
    return (
        before > 1 and sentence.kind(joint + 1) in ("value", "alone") and sentence.kind(joint + 2) in ("end", "break")
    )


def _predicate_end(sentence: "Sentence", at: int) -> int:
    i, content = at, False
    inverted = sentence.kind(at - 2) in ("end", "break", "and") and sentence.word(at - 1) != "not"
    while i < len(sentence.terms):
        kind = sentence.kinds[i]
        if kind in ("break", "not_clause") or (kind == "and" and not _more(sentence, i)):
            break
        if sentence.word(i) == ":" and (content or i == at or sentence.kind(i - 1) in ("absent", "present")):
            break  # "neither large nor medium: the cell is small"
        if content and kind in ("not_predicate", "not_phrase") and not sentence.word(i).startswith("anything"):
            break  # without content between them, two negators undo each other
        if kind == "with" and not content and sentence.kind(i - 1) == "present":
            break  # "vacuoles are not seen in the large cell"
        if inverted and sentence.word(i) == "nor":
            break
        content = content or (kind in _CONTENT and not (inverted and sentence.noun(i)))
        i += 1
    return i


def _more(sentence: "Sentence", at: int) -> bool:
    """Tell whether a negation goes on after the "and" at a position: before "or", or "no granules and vacuoles"."""
    word = sentence.terms[at].text.lower()
    if word in ("or", "/"):
        return True
    if word == "nor":
        return False  # it denies by itself
    i = at + 1
    while sentence.kind(i) in ("and", "other") or sentence.word(i) == "of":
        i += 1
    if i >= len(sentence.terms):
        return False
    exists = sentence.lexicon.exists
    attributes = {statement.attribute for statement in exists.values()}
    names = {statement.attribute for statement in sentence.terms[i].entry.readings.values()}
    is_thing = sentence.noun(i) in exists or (sentence.kind(i) == "alone" and not names.isdisjoint(attributes))
    return is_thing and sentence.kind(i + 1) not in ("be", "present", "have")
