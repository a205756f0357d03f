"""Is a sentence true of a field? Each claim is compared with the cells of the type that it speaks of."""

import re
from dataclasses import replace

from hemasynth.claims import Claim, read
from hemasynth.faithful import Judged, Report
from hemasynth.language import english
from hemasynth.lexicon import Lexicon
from hemasynth.mlm.fields import Field

NUMBERS = {
    word: (n, n)
    for n, word in enumerate(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], start=1
    )
}
BANDS = {"single": (1, 1), "few": (2, 3), "several": (4, 7), "many": (8, 10_000), "numerous": (8, 10_000)}
COUNTS = {**NUMBERS, **BANDS}
_COUNTED = re.compile(r"(?P<word>[a-z]+)\s+(?:[a-z-]+\s+){0,2}$", re.IGNORECASE)
_BREAKS = re.compile(r"[.;]")


class FieldChecker:
    """Judges sentences about a field; every claim is about the cell type named last before it in its sentence."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon

    def text(self, field: Field, text: str) -> Report:
        """Judge a sentence, with the gates that refuse it."""
        judged: list[Judged] = []
        claims = read(text, "", self.lexicon)
        for claim in claims:
            if claim.attribute == "label":
                judged += self._types(field, claim, text)
            else:
                judged.append(self._of_type(field, claim, claims, text))
        gates = sorted({one.verdict for one in judged} - {"supported"})
        if not judged:
            gates.append("undecided")
        if not text.rstrip().endswith("."):
            gates.append("sentence")
        if not text.isascii() or not english(text, self.lexicon):
            gates.append("language")
        return Report(tuple(judged), tuple(gates))

    def _types(self, field: Field, claim: Claim, text: str) -> list[Judged]:
        if claim.force != "fact":
            return [Judged(claim, "generic" if claim.force in ("generic", "habit") else "unsupported", "text")]
        here = sum(count for label, count in field.counts.items() if label in claim.values)
        found = [Judged(claim, "supported" if (here > 0) == claim.polarity else "contradicted", "text")]
        number = _number(text, claim)
        if number is not None and claim.polarity:
            word, start = number
            low, high = COUNTS[word.lower()]
            said = Claim("count", frozenset({word.lower()}), True, (start, start + len(word)), word)
            found.insert(0, Judged(said, "supported" if low <= here <= high else "contradicted", "text"))
        return found

    def _of_type(self, field: Field, claim: Claim, claims: tuple[Claim, ...], text: str) -> Judged:
        if claim.force in ("generic", "habit"):
            return Judged(claim, "generic", "text")
        if claim.force != "fact" or not claim.attribute:
            return Judged(claim, "undecided" if claim.force == "undecided" else "unsupported", "text")
        label = subject(claim, claims, text)
        if label is None:
            return Judged(claim, "undecided", "text")
        records = [field.records[name] for name in label.values if name in field.records]
        truths = {record.value(claim.attribute) for record in records}
        if not truths or None in truths:
            return Judged(claim, "unsupported", "text")
        right = all((truth in claim.values) == claim.polarity for truth in truths)
        return Judged(replace(claim), "supported" if right else "contradicted", "text")


def subject(claim: Claim, claims: tuple[Claim, ...], text: str) -> Claim | None:
    """Return the cell type that a claim is about: the last before it in its sentence, else the next one."""
    labels = [each for each in claims if each.attribute == "label" and each.polarity]
    before = [each for each in labels if each.span[0] <= claim.span[0]]
    after = [
        each
        for each in labels
        if each.span[0] > claim.span[0] and not _BREAKS.search(text, claim.span[1], each.span[0])
    ]
    same = [each for each in before if not _BREAKS.search(text, each.span[1], claim.span[0])]
    attributive = [each for each in after if text[claim.span[1] : each.span[0]].strip(" ,") in ("", "and")]
    if attributive:
        return attributive[0]
    if same:
        return same[-1]
    return after[0] if after else (before[-1] if before else None)


def _number(text: str, claim: Claim) -> tuple[str, int] | None:
    """Return the number word before a cell type and its place."""
    start = max((match.end() for match in _BREAKS.finditer(text, 0, claim.span[0])), default=0)
    words = list(re.finditer(r"[A-Za-z]+|[^\sA-Za-z]", text[start : claim.span[0]]))[-3:]
    for word in reversed(words):
        if word.group().lower() in COUNTS:
            return word.group(), start + word.start()
    return None
