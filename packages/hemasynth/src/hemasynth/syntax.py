"""The little grammar that the checker needs: the noun that a value belongs to."""

from hemasynth import absence, coordination, negation, scope
from hemasynth.lexicon import Lexicon
from hemasynth.tokens import Term

_VERBS = ("be", "have")
_QUALIFIERS = (
    "other",
    "not_predicate",
    "present",
    "hedge",
    "habit",
    "more",
    "less",
)  # between verb and value


class Sentence:
    """The terms of one sentence and the questions asked of them; positions are indices into `terms`."""

    def __init__(self, terms: list[Term], lexicon: Lexicon) -> None:
        self.terms, self.lexicon = coordination.referred(terms), lexicon
        self.kinds = [term.kind for term in self.terms]
        self._words = [term.text.lower() for term in self.terms]
        self._size = len(self.terms)
        self.denied = negation.denied(self)
        self.force = scope.forces(self)

    def kind(self, at: int) -> str:
        """Return the kind of the term at a position, "end" outside."""
        return self.kinds[at] if 0 <= at < self._size else "end"

    def word(self, at: int) -> str:
        """Return the text of the term at a position in lower case, "" outside."""
        return self._words[at] if 0 <= at < self._size else ""

    def noun(self, at: int) -> str:
        """Return the anchor at a position; a cell type is a cell, and what lies around is a "bystander"."""
        kind = self.kind(at)
        if kind == "anchor":
            return self.terms[at].entry.name
        if kind == "label":
            return "cell"
        return kind if kind == "bystander" else ""

    def subject(self) -> str:
        """Return what the sentence is about: its first noun."""
        first = self._first_noun()
        return self.noun(first) if first is not None else ""

    # -- which noun a value belongs to -------------------------------------------------------------

    def nouns_of(self, at: int) -> list[int]:
        """Return the positions of the nouns that the value at a position may belong to, the likeliest first."""
        if self.noun(at + 1):
            head = self._head(at + 1)
            return [head, *range(head - 1, at, -1)]  # "a high N/C ratio cell"
        if (paired := self.in_turn(at)) is not None:
            return [paired]
        first = self._chain_start(at)
        verb = self._verb_before(first)
        if (
            first == at
            and self.noun(at - 1)
            and self.kind(at + 1) in ("and", "end", "break")
            and not self._opens(at - 1)
            and "be" not in self._clause_before(at)
        ):
            return [
                at - 1,
                self._climb(at - 1),
            ]  # "its nucleus irregular, and ...", "call the nucleus of this cell round"
        copula = verb is not None and self.kind(verb) == "be" and self.terms[verb].text != ":"  # "cell: big nucleus"
        if not copula or self.kind(first - 1) == "determiner":
            ahead = self._ahead(at)
            if ahead is not None:
                return [ahead]
        elif self.kind(at + 1) == "value":
            return self.nouns_of(at + 1)
        behind = self._behind(first, verb)
        if behind:
            return behind
        return [] if copula and first > 1 else self.later(at)

    def in_turn(self, at: int) -> int | None:
        """Pair nouns and values in their order: "cell and nucleus are round and indented, respectively"."""
        if not self._in_order():
            return None
        verb = next((i for i in range(at - 1, -1, -1) if self.kinds[i] in _VERBS), None)
        if verb is None:
            return None
        nouns = [i for i in range(verb) if self.noun(i) and not self.noun(i + 1)]
        values = [
            i for i in range(verb + 1, len(self.terms)) if self.kinds[i] in ("value", "alone", "absent", "present")
        ]
        return nouns[values.index(at)] if len(nouns) == len(values) and at in values else None

    def _in_order(self) -> bool:
        return any(self.word(i) == "respectively" for i in range(len(self.terms)))

    def later(self, at: int) -> list[int]:
        """Return the position of the first noun after a value, for want of a better one."""
        noun = next((i for i in range(at + 1, len(self.terms)) if self.noun(i)), None)
        return [] if noun is None else [self._head(noun)]

    def _clause_before(self, at: int) -> list[str]:
        """Return the kinds between the last comma, "and" or "but" and a position."""
        start = next((i for i in range(at - 1, -1, -1) if self.kinds[i] in ("and", "break")), -1)
        return self.kinds[start + 1 : at]

    def _opens(self, noun: int) -> bool:
        """Tell whether nothing but a cell type stands before: "lymphocyte small, round ..." may go on with a noun."""
        return noun == 0 and self.kind(noun) == "label"

    def is_said_to_be(self, at: int) -> bool:
        """Tell whether the noun at a position is what something is said to be: "the cell is a platelet"."""
        verb = self._verb_before(at)
        named = verb is not None and self.kind(verb) == "be" and self.word(verb - 1) != "there"
        return named and not self.terms[at].plural

    def _head(self, noun: int) -> int:
        """Return the last noun of a run: "cytoplasmic granules" are granules."""
        while self.noun(noun + 1):
            noun += 1
        return noun

    def _chain_start(self, at: int) -> int:
        """Return the first value of "big, round and ..."."""
        first = at
        while True:
            before = first - 1
            while self.kind(before) in ("and", "property", "size") or (
                self.kind(before) == "other" and self.kind(before - 1) in ("and", "value", "alone")
            ):
                before -= 1
            if self.kind(before) not in ("value", "alone"):
                return first
            first = before

    def _verb_before(self, at: int) -> int | None:
        """Return the verb right before a phrase, over "not", adverbs and articles."""
        before = at - 1
        while self.kind(before) in (*_QUALIFIERS, "determiner", "not_phrase"):
            before -= 1
        return before if self.kind(before) in _VERBS else None

    def _ahead(self, at: int) -> int | None:
        """Find the noun that a value stands before: "frosted, light blue cytoplasm", "a round shape of the nucleus"."""
        others = 0
        i = at + 1
        while i < len(self.terms):
            kind = self.kinds[i]
            if kind in ("anchor", "label"):
                return None if self.kind(i - 1) == "and" else self._head(i)
            if kind in ("property", "size"):
                i += 1
                if self.noun(i):
                    return self._head(i)
                if self.kind(i) == "with" and self.word(i) not in ("of", "in", "for"):
                    return None  # "of large size with a round nucleus"
                while self.kind(i) in ("with", "determiner", "value") and i < len(self.terms):
                    i += 1
                return self._head(i) if self.noun(i) and self.kind(i - 1) != "property" else None
            if kind == "other" and others < 2:
                others += 1
            elif kind not in ("value", "alone", "and", "not_predicate", "not_phrase") and not (
                kind == "break" and self.terms[i].text.lower() == "but"
            ):
                return None
            i += 1
        return None

    def _behind(self, first: int, verb: int | None) -> list[int]:
        """Find the noun that a value is said of: "the nucleus is round", "the cell has pink granules and is small"."""
        if verb is not None:
            return self._subject_of(verb)
        nearest = self._noun_before(first)
        if nearest is None:
            return []
        if self.kinds[0] == "be":  # "is the nucleus of the cell round?"
            return [self._climb(nearest)]
        said_by = next((i for i in range(first - 1, -1, -1) if self.kinds[i] in _VERBS), None)
        before = self.kind(first - 1)
        if said_by is not None and (
            # "... and a round shape"
            (before == "determiner" and self.kind(first - 2) != "with" and not self.noun(first - 2))
            or (before == "and" and self.kind(said_by) == "be")  # "is free of vacuoles and frosted"
        ):
            return [*self._subject_of(said_by), nearest]
        subject = self._first_noun()
        return [nearest] if subject is None else [nearest, subject]

    def _subject_of(self, verb: int) -> list[int]:
        before = verb - 1
        while self.kind(before) in _QUALIFIERS:
            before -= 1
        if self.word(verb - 1) == "they" or (self.kind(verb - 1) == "property" and self.word(verb - 2) == "their"):
            plural = [i for i in range(before) if self.noun(i) and self.terms[i].plural]
            if plural:
                return plural[-1:]
        if self.word(before) == "," and (owner := self._before_clause(before)) is not None:
            return [owner]
        if self.kind(before) in ("and", "break", *_VERBS):  # "..., and is small": the subject of the verb before
            earlier = next((i for i in range(before, -1, -1) if self.kinds[i] in _VERBS), None)
            if earlier is not None and (owner_ := self._subject_of(earlier)):
                return owner_
            first = self._first_noun()
            return [] if first is None else [first]
        nearest = self._noun_before(verb)
        if nearest is None:
            return []
        while self.kind(before) in ("property", "size"):  # "granules whose colour is pink"
            before -= 1
        if self.kind(before) == "relative":  # "granules in the cytoplasm that are pink"
            return [nearest, self._climb(nearest)]
        return [self._climb(nearest)]

    def _before_clause(self, comma: int) -> int | None:
        """Return the noun that a relative clause between commas: "the nucleus, whose chromatin is loose, has ..."."""
        opens = next((i for i in range(comma - 1, 0, -1) if self.kinds[i] == "relative"), None)
        if opens is not None and self.kind(opens - 1) == "with":
            opens -= 1  # "the cytoplasm, in which vacuoles are seen, is ..."
        if opens is None or self.word(opens - 1) != "," or "," in [self.word(i) for i in range(opens, comma)]:
            return None
        return self._noun_before(opens - 1)

    def _noun_before(self, at: int) -> int | None:
        return next((i for i in range(at - 1, -1, -1) if self.noun(i)), None)

    def _first_noun(self) -> int | None:
        first = next((i for i in range(len(self.terms)) if self.noun(i)), None)
        return None if first is None else self._head(first)

    def _climb(self, noun: int) -> int:
        """Go from "the cytoplasm" of "the granules in the clear cytoplasm" to the granules."""
        i = noun - 1
        while self.kind(i) in ("anchor", "label", "value", "alone", "determiner", "and", "other", "present"):
            if self.noun(i) and self.kind(i + 1) == "and":
                return noun
            i -= 1
        if self.kind(i) in ("with", "have"):
            i -= 1
            while "and" not in self.kinds[i:noun] and self.kind(i) in (
                "other",
                "relative",
                "be",
            ):  # "granules that lie in the cytoplasm"
                i -= 1
            if self.noun(i):
                return self._climb(i)
        return noun

    def partner(self, noun: int) -> str:
        """Return the first of two nouns that share a predicate: "the cell and its nucleus are round"."""
        i = noun - 1
        verb = noun + 1
        while self.kind(verb) == "other":
            verb += 1  # "cell and nucleus alike are round"
        if self._in_order() or self.kind(verb) != "be":
            return ""
        while self.kind(i) in ("determiner", "other", "anchor"):
            i -= 1
        if self.word(i) not in ("and", "nor", "as well as") or any(kind in _VERBS for kind in self.kinds[:i]):
            return ""
        return self.noun(i - 1)

    def absent_after(self, at: int) -> bool:
        """Tell whether the clause after a noun denies it: "are absent", "are not visible", "cannot be seen"."""
        return absence.absent_after(self, at)
