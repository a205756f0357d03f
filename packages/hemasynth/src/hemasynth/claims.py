"""Reads the claims out of a sentence: which attribute is said to have which value, and whether that is denied.

Words of the lexicon become terms, each value finds its noun (`syntax.py`), negation turns it round.
Nothing here knows a record; `faithful.py` compares.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from hemasynth.lexicon import Lexicon, Statement, Values, load
from hemasynth.syntax import Sentence, sentences


@dataclass(frozen=True)
class Claim:
    """One thing that a text says about the cell.

    Attributes:
        attribute: an attribute of the source, "label" for the cell type, "" where the content is outside the lexicon.
        values: the values the words allow; empty when no value can be told ("undecided", or unsupported content).
        polarity: False when the text denies the values.
        span: characters [start, end) in the text.
        words: the text of the span.
        force: "fact", "generic" (hedged), "foreign" (no record holds it), "undecided" (no noun found for the value).
        kind: "said"; "exists" where the noun alone says it; "implied" where another claim does.
    """

    attribute: str
    values: Values
    polarity: bool
    span: tuple[int, int]
    words: str
    force: str = "fact"
    kind: str = "said"


def read(text: str, context: str = "", lexicon: Lexicon | None = None) -> tuple[Claim, ...]:
    """Return the claims of a text, in its order.

    Args:
        text: one or more sentences.
        context: the noun that a value without any belongs to ("granule" for the answer "Pink."); may be empty.
        lexicon: whose words to read; WBCAtt's by default.
    """
    lexicon = lexicon or load()
    return _read(text, context, lexicon)


@lru_cache(maxsize=65536)
def _read(text: str, context: str, lexicon: Lexicon) -> tuple[Claim, ...]:
    claims: list[Claim] = []
    for terms in sentences(text, lexicon):
        sentence = Sentence(terms, lexicon)
        claims += Reader(sentence, context).claims()
        context = sentence.subject() or context
    return tuple(claims)


def nouns(text: str, lexicon: Lexicon | None = None) -> list[str]:
    """Return the anchors of a text in its order: what it speaks of."""
    lexicon = lexicon or load()
    found = (Sentence(terms, lexicon) for terms in sentences(text, lexicon))
    return [noun for sentence in found for at in range(len(sentence.terms)) if (noun := sentence.noun(at))]


class Reader:
    """Takes the claims out of one sentence; positions are indices into its terms."""

    def __init__(self, sentence: Sentence, context: str) -> None:
        self.sentence, self.context, self.lexicon = sentence, context, sentence.lexicon
        self.terms, self.kind, self.noun = sentence.terms, sentence.kind, sentence.noun
        self.hedged = "hedge" in sentence.kinds

    def claims(self) -> Iterator[Claim]:
        """Yield every claim, each followed by what it implies."""
        modified: set[int] = set()  # nouns that a value stands before: "no pink granules" does not deny granules
        said: list[tuple[int, Claim]] = []
        for at, term in enumerate(self.terms):
            if term.kind == "foreign":
                said.append((at, self._claim(at, Statement("", Values()), "foreign")))
            elif term.kind == "label":
                said.append((at, self._claim(at, Statement("label", Values([term.entry.name])))))
            elif self.kind(at - 1) == "other" and self.terms[at - 1].text.lower() == "how":
                continue  # "how dense is the chromatin" asks
            elif term.kind == "alone":
                said.append((at, self._claim(at, term.entry.readings[""])))
            elif term.kind == "value":
                said += ((at, claim) for claim in self._value(at, modified))
        for at in range(len(self.terms)):
            claim = self._existence(at, modified)
            if claim is not None:
                said.append((at, claim))
        told: set[tuple[str, Values, bool]] = set()
        for _, claim in sorted(said, key=lambda pair: pair[0]):
            for each in (claim, *self._implied(claim)):
                key = (each.attribute, each.values, each.polarity)
                if each.kind == "said" or key not in told:
                    yield each
                told.add(key)

    def _claim(self, at: int, statement: Statement, force: str = "", kind: str = "said") -> Claim:
        term = self.terms[at]
        force = force or ("generic" if self.hedged else "fact")
        span = (term.start, term.end)
        return Claim(statement.attribute, statement.values, not self.sentence.denied[at], span, term.text, force, kind)

    def _implied(self, claim: Claim) -> Iterator[Claim]:
        if not claim.attribute:
            return
        values = claim.values if claim.polarity else self.lexicon.complement(claim.attribute, claim.values)
        for to in self.lexicon.implied(claim.attribute, values):
            yield Claim(to.attribute, to.values, True, claim.span, claim.words, claim.force, "implied")

    def _value(self, at: int, modified: set[int]) -> Iterator[Claim]:
        readings = self.terms[at].entry.readings
        nouns = self.sentence.nouns_of(at)
        if nouns and nouns[0] > at:
            modified.add(nouns[0])
        for noun in nouns:
            if self.noun(noun) in readings:
                yield self._claim(at, readings[self.noun(noun)])
                partner = self.sentence.partner(noun) if noun < at else ""
                if partner in readings and partner != self.noun(noun):
                    yield self._claim(at, readings[partner])
                return
        if nouns:  # "a pink nucleus": the record holds no such thing
            yield self._claim(at, Statement("", Values()), "foreign")
        elif self.context in readings:
            yield self._claim(at, readings[self.context])
        elif len(readings) == 1 and not self.context:
            yield self._claim(at, next(iter(readings.values())))
        else:
            yield self._claim(at, Statement("", Values()), "undecided")

    def _existence(self, at: int, modified: set[int]) -> Claim | None:
        """Read a noun that says "yes" by being there: "has granules", "granules are absent"."""
        attribute = self.lexicon.exists.get(self.noun(at))
        if attribute is None or self.noun(at + 1):
            return None
        absent = self.sentence.absent_after(at)
        denied = self.sentence.denied[at] != absent
        if not absent and (self.kind(at + 1) == "property" or (denied and at in modified)):
            return None  # "the granule type": only names it
        statement = Statement(attribute, Values(["no" if denied else "yes"]))
        claim = self._claim(at, statement, kind="exists")
        return Claim(attribute, statement.values, True, claim.span, claim.words, claim.force, "exists")
