"""What one thing shares with another: "the former ... the latter", "and so is the nucleus", "the cell is not"."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from hemasynth.lexicon import Entry
from hemasynth.tokens import Term

if TYPE_CHECKING:
    from hemasynth.alternatives import Placed
    from hemasynth.claims import Reader

_FIRST, _SECOND = frozenset({"former"}), frozenset({"latter"})
_TOO = frozenset({"too", "as well", "likewise", "also", "similarly", "alike"})
_ENDS = ("end", "break", "and")


def referred(terms: list[Term]) -> list[Term]:
    """Put the nouns in the place of "the former" and "the latter", "the one" and "the other"."""
    words = [term.text.lower() for term in terms]
    paired = "other" in words and any(pair == ("the", "one") for pair in pairwise(words))
    if not paired and _FIRST.isdisjoint(words) and _SECOND.isdisjoint(words):
        return terms
    nouns: list[str] = []
    found = list(terms)
    for at, term in enumerate(terms):
        if term.kind in ("anchor", "size") and not (at + 1 < len(terms) and terms[at + 1].kind == "anchor"):
            nouns.append(term.entry.name or "cell")
        if len(nouns) < 2 or at == 0 or words[at - 1] != "the":
            continue
        if words[at] in _FIRST or (paired and words[at] == "one"):
            found[at] = replace(term, entry=Entry("anchor", nouns[0]), kind="anchor")
        elif words[at] in _SECOND or (paired and words[at] == "other"):
            found[at] = replace(term, entry=Entry("anchor", nouns[1]), kind="anchor")
    return found


def echoed(reader: "Reader", said: "list[Placed]") -> "Iterator[Placed]":
    """Yield what a clause without a value takes over: "and so is the nucleus", "the cell body is not"."""
    sentence = reader.sentence
    for at in range(2, len(reader.terms)):
        if sentence.kind(at) != "be" or sentence.word(at) == ":":
            continue
        if sentence.word(at - 1) in ("so", "nor", "neither", "as"):
            start, noun, denies = at - 1, _noun_after(reader, at), False
        elif (turn := _turn(reader, at)) is not None:
            start, noun, denies = _clause_start(reader, at), at - 1, turn
        else:
            continue
        if noun is None or not sentence.noun(noun):
            continue
        before = [place for place in range(start) if sentence.kind(place) == "be"]
        for place, claim in said:
            term = reader.terms[place]
            if not before or not before[-1] < place < start or term.kind not in ("value", "alone"):
                continue
            statement = reader.reading(term.entry.readings, sentence.noun(noun))
            if statement is not None and statement.attribute and claim.kind == "said" and claim.attribute:
                told = reader.claim(noun, statement)
                yield noun, replace(told, polarity=claim.polarity != denies)


def _turn(reader: "Reader", verb: int) -> bool | None:
    """Tell whether "the cell is not" denies (True) or "the cell is too" repeats (False); None where neither stands."""
    sentence = reader.sentence
    after = verb + 1
    if sentence.noun(verb - 1) == "" or _clause_start(reader, verb) < 2 or sentence.kind(after + 1) not in _ENDS:
        return None
    if sentence.kind(after) == "not_predicate":
        return True
    return False if sentence.word(after) in _TOO else None


def _clause_start(reader: "Reader", at: int) -> int:
    """Return where the clause begins that has nothing but its subject before the verb at a position, else 0."""
    i = at - 1
    while reader.kind(i) in ("anchor", "determiner", "label", "other"):
        i -= 1
    return i + 1 if reader.kind(i) in ("and", "break") else 0


def _noun_after(reader: "Reader", verb: int) -> int | None:
    i = verb + 1
    while reader.kind(i) in ("determiner", "other"):
        i += 1
    while reader.sentence.noun(i + 1):
        i += 1
    return i if reader.sentence.noun(i) and reader.kind(i + 1) in _ENDS else None
