"""Reads the claims out of a sentence: which attribute is said to have which value, and whether that is denied.

Words of the lexicon become terms, each value finds its noun (`syntax.py`), negation turns it round (`negation.py`),
and `scope.py` tells what is no fact about this cell. Nothing here knows a record; `faithful.py` compares.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from hemasynth import fronted, things
from hemasynth.alternatives import joined, outdone
from hemasynth.comparisons import compared, denied_here
from hemasynth.coordination import echoed
from hemasynth.corrections import kept, mended, opens
from hemasynth.lexicon import FOREIGN, NOTHING, Lexicon, Statement, Values, load
from hemasynth.lexicon import IGNORED as IGNORED_READING
from hemasynth.scope import GENERIC, HABIT, IGNORED
from hemasynth.syntax import Sentence
from hemasynth.tokens import sentences
from hemasynth.unheard import unheard

_THIS = frozenset({"it", "this", "that"})
_PRONOUNS = frozenset({"its", "whose", "their", "it", "they"})


@dataclass(frozen=True)
class Claim:
    """One thing that a text says about the cell.

    Attributes:
        attribute: an attribute of the source, "label" for the cell type, "" where the content is outside the lexicon.
        values: the values the words allow; empty when no value can be told ("undecided", or unsupported content).
        polarity: False when the text denies the values.
        span: characters [start, end) in the text.
        words: the text of the span.
        force: "fact", "generic" (hedged), "habit" (of a kind of cell), "foreign" (no record holds it), "undecided"
            (no noun found).
        kind: "said"; "exists" where the noun alone says it; "none" of the answer "none"; "implied" by another claim.
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
        context: the noun that a value without any belongs to ("granule" for the answer "Pink."), or several with "|"
            between, the likeliest first; may be empty.
        lexicon: whose words to read; WBCAtt's by default.
    """
    lexicon = lexicon or load()
    return _read(text, context, lexicon)


@lru_cache(maxsize=65536)
def _read(text: str, context: str, lexicon: Lexicon) -> tuple[Claim, ...]:
    claims: list[Claim] = []
    contexts = tuple(filter(None, context.split("|")))
    found = list(sentences(text, lexicon))
    for number, (terms, end) in enumerate(found):
        sentence = Sentence(terms, lexicon)
        if end != "?" or number == len(found) - 1:  # "Vacuoles? None." asks itself
            said = list(Reader(sentence, contexts).claims())
            claims = [*(kept(claims, said) if opens(sentence) else claims), *said]
        if subject := sentence.subject():
            things_ = {sentence.noun(i): None for i in range(len(terms)) if sentence.noun(i) in lexicon.exists}
            contexts = (subject, *contexts, *things_)
    return tuple(claims)


class Reader:
    """Takes the claims out of one sentence; positions are indices into its terms."""

    def __init__(self, sentence: Sentence, contexts: tuple[str, ...]) -> None:
        self.sentence, self.contexts, self.lexicon = sentence, contexts, sentence.lexicon
        self.context = contexts[0] if contexts else ""
        self.terms, self.kind, self.noun = sentence.terms, sentence.kind, sentence.noun
        self.described: set[tuple[int, str]] = set()  # (noun, attribute) of the values that found their noun
        self.turned: set[int] = set()  # values that a comparison denies: "more dense than loose"

    def claims(self) -> Iterator[Claim]:
        """Yield every claim, each followed by what it implies."""
        modified: set[int] = set()  # nouns that a value stands before: "no pink granules" does not deny granules
        skipped, said = compared(self)
        for at, term in enumerate(self.terms):
            if at in skipped or self.sentence.force[at] == IGNORED or self.kind(at - 1) == "how":
                continue  # "how dense is the chromatin" asks
            if term.kind == "bystander" and (self.sentence.is_said_to_be(at) or self._answers_alone(at)):
                said.append((at, self.claim(at, Statement("label", Values([term.text.lower()])))))
            elif term.kind in ("foreign", "bystander", "among") or (
                term.kind == "another" and self.sentence.force[at] == "foreign"
            ):
                said.append((at, self.claim(at, FOREIGN, "foreign")))
            elif term.kind in ("alone", "label"):
                stated = self.claim(at, term.entry.readings[""])
                absent = term.kind == "alone" and self.sentence.absent_after(at + bool(self.noun(at + 1)))
                said.append((at, replace(stated, polarity=not stated.polarity) if absent else stated))
            elif term.kind == "value":
                said += ((at, claim) for claim in self._value(at, modified))
        if (none := things.answered(self)) is not None:
            said.append(none)
        if (new := unheard(self.sentence)) is not None:
            said.append((new[0], self.claim(*new)))
        for at in range(len(self.terms)):
            claim = None if at in skipped else things.existence(self, at, modified)
            if claim is not None:
                said.append((at, claim))
        said += denied_here(self, said)
        said += list(echoed(self, said))
        ordered = outdone(self.sentence, mended(self.sentence, sorted(said, key=lambda pair: pair[0])))
        yield from self._with_implied(claim for _, claim in joined(self.sentence, ordered))

    def _with_implied(self, claims: Iterable[Claim]) -> Iterator[Claim]:
        told: set[tuple[str, Values, bool]] = set()
        for claim in claims:
            for each in (claim, *self._implied(claim)):
                key = (each.attribute, each.values, each.polarity)
                if each.kind == "said" or key not in told:
                    yield each
                told.add(key)

    def claim(self, at: int, statement: Statement, force: str = "", kind: str = "said") -> Claim:
        """Return what the term at a position claims when it makes a statement."""
        term = self.terms[at]
        denied = self.sentence.denied[at] != (at in self.turned)
        span = (term.start, term.end)
        meant = self.sentence.force[at]
        if meant == HABIT or (meant == GENERIC and not force):
            force = meant
        return Claim(statement.attribute, statement.values, not denied, span, term.text, force or meant, kind)

    def _implied(self, claim: Claim) -> Iterator[Claim]:
        if not claim.attribute or claim.force == "foreign":
            return
        values = claim.values if claim.polarity else self.lexicon.complement(claim.attribute, claim.values)
        for to in self.lexicon.implied(claim.attribute, values):
            yield Claim(to.attribute, to.values, True, claim.span, claim.words, claim.force, "implied")

    # -- values ------------------------------------------------------------------------------------

    def _value(self, at: int, modified: set[int]) -> Iterator[Claim]:
        readings = self.terms[at].entry.readings
        if self.sentence.word(at + 1) in ("way", "manner", "fashion") and self.kind(at - 3) == "alone":
            return  # "vacuolated in a prominent way"
        if self.sentence.word(at) == "course" and self.kind(at - 1) == "value" and not self.noun(at + 1):
            return  # "an uneven course", unlike the misspelt "course granules"
        nouns = self.sentence.nouns_of(at)
        able = (each for each in self.contexts if self.reading(readings, each) not in (None, NOTHING))
        context = next(able, self.context)
        if self.kind(0) == "property" and self.reading(readings, context) == NOTHING:
            context = ""  # "vacuoles: none; texture: clear"
        if (nouns and nouns[0] > at and self._leads(at, nouns[0])) or fronted.of_cell(self, at):
            nouns, context = [], "cell"
        if not nouns and self.reading(readings, context) is None:
            nouns = self.sentence.later(at)
        alone = not nouns and not context
        if alone and not _THIS.isdisjoint((self.sentence.word(0), self.sentence.word(at + 1))):
            context = "cell"
        if (not nouns and "size" in self.sentence.kinds) or (
            alone and self.kind(0) == "property" and self.reading(readings, "cell")
        ):
            context = "cell"  # "Shape: round."
        if self.sentence.word(at + 1) in ("one", "ones") and not any(
            (said := self.reading(readings, self.noun(i))) and said.attribute for i in nouns
        ):
            nouns = [i for i in range(at - 1, -1, -1) if self.reading(readings, self.noun(i))][:1] or nouns
        head = self._list_head(at, nouns[0]) if nouns else None
        nouns = self._through_pronoun(at, readings, nouns) if head is None else [head]
        if nouns and nouns[0] > at and self.sentence.word(at) not in ("a single", "single", "one", "clear", "obvious"):
            modified.add(nouns[0])
        if context and self._answers_first(at) and (statement := self.reading(readings, context)) is not None:
            yield from self._stated(at, statement)
            return
        for noun in nouns:
            statement = self.reading(readings, self.noun(noun))
            if statement is not None:
                yield from self._stated(at, statement, noun)
                partner = self.sentence.partner(noun) if noun < at else ""
                if partner in readings and partner != self.noun(noun) and readings[partner] != NOTHING:
                    yield self.claim(at, readings[partner])
                return
        owned = not nouns or (self.kind(at + 1) == "property" and self.kind(at - 1) == "determiner")
        if owned and (statement := self.reading(readings, context)) is not None:
            yield from self._stated(at, statement)  # also "an irregular shape" in a list
        elif IGNORED_READING in readings:
            return
        elif nouns:  # "a pink nucleus": the record holds no such thing
            yield self.claim(at, FOREIGN, "foreign")
        elif not context and (only := self._only_meaning(readings)) is not None:
            yield from self._stated(at, only)
        elif not context and (statement := self.reading(readings, "cell")) is not None:
            yield from self._stated(at, statement)
        else:
            yield self.claim(at, FOREIGN, "undecided")

    @staticmethod
    def _only_meaning(readings: dict[str, Statement]) -> Statement | None:
        """Return what a value states where it can be said of one thing only: "dense" is of chromatin."""
        meant = [said for said in readings.values() if said != NOTHING]
        return meant[0] if len(meant) == 1 else None

    def _through_pronoun(self, at: int, readings: dict[str, Statement], nouns: list[int]) -> list[int]:
        """Put a noun first that can have the value where "its", "whose" or "they" leaves open which is meant."""
        if nouns and nouns[0] > at + 1 and not self.reading(readings, self.noun(nouns[0])):
            after = [i for i in range(nouns[0], len(self.terms)) if self.reading(readings, self.noun(i))]
            parted = any(self.kind(i) in ("and", "not_phrase", "break") for i in range(at, nouns[0]))
            return after[:1] if parted and after else nouns  # "frosted and free of vacuoles: that is the cytoplasm"
        if not nouns or nouns[0] > at or _PRONOUNS.isdisjoint(self.sentence.word(i) for i in range(nouns[0], at)):
            return nouns
        able = [i for i in range(at) if (said := self.reading(readings, self.noun(i))) and said.attribute]
        return nouns if nouns[0] in able or not able else [able[-1], *nouns]

    def _leads(self, at: int, noun: int) -> bool:
        """Tell whether a value before a list is the cell's: "big, irregular, indented nucleus", "though big, it"."""
        readings = self.terms[at].entry.readings
        opening = range(at)
        first = all(
            self.kind(i) in ("value", "alone", "other", "break") or self.sentence.word(i) == "," for i in opening
        )
        if "cell" not in readings or self.sentence.word(at + 1) != "," or not first:
            return False
        if self.sentence.word(at + 2) in ("it", "this"):
            return True
        if not all(self.kind(i) in ("value", "alone") or self.sentence.word(i) == "," for i in range(at, noun)):
            return False
        own = self.reading(readings, self.noun(noun))
        others = [
            self.reading(self.terms[i].entry.readings, self.noun(noun))
            for i in range(at + 1, noun)
            if self.kind(i) == "value"
        ]
        others += [self.terms[i].entry.readings[""] for i in range(at + 1, noun) if self.kind(i) == "alone"]
        return own is not None and any(
            other and other.attribute == own.attribute and not other.values & own.values for other in others
        )

    def _answers_alone(self, at: int) -> bool:
        """Tell whether a noun is all that an answer says: "Which cell is it?" - "A giant platelet."."""
        others = [kind for i, kind in enumerate(self.sentence.kinds) if i != at]
        named = (
            self.context == ""
            and not self.terms[at].plural
            and all(kind in ("and", "other", "determiner") for kind in others)
        )
        return named or (self.context == "cell" and all(kind in ("value", "determiner", "other") for kind in others))

    def _answers_first(self, at: int) -> bool:
        """Tell whether an answer begins with its value: "Low, with much room around the nucleus"."""
        after = self.kind(at + 2) not in ("value", "alone", "anchor", "label")
        return at == 0 and self.sentence.word(1) == "," and after

    def _list_head(self, at: int, noun: int) -> int | None:
        """Return the first noun of a caption for a value in its list: "lymphoblast: large, scanty cytoplasm".

        It is meant where the noun that follows cannot have the value, or has another one of the same attribute.
        """
        first = next((i for i in range(at) if self.noun(i)), None)
        if first is None or noun <= at + 1 or self.sentence.word(at + 1) != "," or self._has_verb():
            return None
        readings = self.terms[at].entry.readings
        here, there = self.reading(readings, self.noun(first)), self.reading(readings, self.noun(noun))
        beside = self.terms[noun - 1].entry.readings
        other = self.reading(beside, self.noun(noun)) or beside.get("")
        rival = there and other and there.attribute == other.attribute and not there.values & other.values
        return first if here is not None and (there is None or rival) else None

    def _has_verb(self) -> bool:
        return any(
            kind == "have" or (kind == "be" and self.terms[i].text != ":") for i, kind in enumerate(self.sentence.kinds)
        )

    def _stated(self, at: int, statement: Statement, noun: int | None = None) -> Iterator[Claim]:
        if noun is not None:
            self.described.add((noun, statement.attribute))
        if statement == NOTHING:
            return
        if statement.attribute:
            absent = self.sentence.absent_after(at if noun is None or noun < at else noun)
            claim = self.claim(at, statement)
            yield replace(claim, polarity=not claim.polarity) if absent else claim
        else:
            yield self.claim(at, statement, "foreign")

    def reading(self, readings: dict[str, Statement], noun: str) -> Statement | None:
        """Return what a value states of a noun, or of one that it may stand for."""
        for each in (noun, *self.lexicon.fallbacks.get(noun, ())):
            if each in readings:
                return readings[each]
        return None
