"""What a question offers to choose from, which it does not assert, and answers that choose by place: "(b)"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hemasynth import wording
from hemasynth.claims import Claim

_ORDINALS = {"first": 0, "former": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4}
_LAST = frozenset({"last", "latter", "final"})
_MARKS = ("abcdefgh", ("i", "ii", "iii", "iv", "v", "vi"), "12345678")
_HINTS = re.compile(r"[:)|]|option|choice|alternative|choose|select|pick|possib", re.IGNORECASE)


@dataclass(frozen=True)
class Offer:
    """A question without its options (blanks in their place), and the options with their marks ("" without one)."""

    question: str
    options: tuple[tuple[str, str], ...] = ()


def offer(question: str) -> Offer:
    """Take the options out of a question: "Options: big; small.", "a) small b) round", "Vacuoles: none or many?"."""
    if _HINTS.search(question) is None:
        return Offer(question)
    marks = _marked(question)
    if marks:
        ends = [*(mark.start() for mark in marks[1:]), len(question)]
        texts = [question[mark.end() : end] for mark, end in zip(marks, ends, strict=True)]
        options = tuple(
            ((mark[1] or mark[2]).lower(), wording.OPTION_EDGE.sub("", text))
            for mark, text in zip(marks, texts, strict=True)
        )
        return Offer(_blanked(question, marks[0].start(), len(question)), options)
    found = wording.OFFERED.search(question) or wording.EITHER.search(question)
    if found is None:
        return Offer(question)
    return Offer(_blanked(question, *found.span()), tuple(("", text) for text in _parts(found[1])))


def _blanked(question: str, start: int, end: int) -> str:
    """Blank the options; a question that ended with them still ends as one."""
    kept = "?" if "?" in question[start:end] else ""
    return question[:start] + kept.rjust(end - start) + question[end:]


def _marked(question: str) -> list[re.Match[str]]:
    """Return the marks of options where they run on: a, b, c."""
    marks = list(wording.MARKED.finditer(question))
    names = [(mark[1] or mark[2]).lower() for mark in marks]
    runs = any(names == list(order[: len(names)]) for order in _MARKS)
    return marks if len(marks) > 1 and runs else []


def _parts(listed: str) -> list[str]:
    return [part for part in (wording.OPTION_EDGE.sub("", each) for each in wording.OPTION_CUT.split(listed)) if part]


def chosen(answer: str, found: Offer, asked: Sequence[Claim]) -> str | None:
    """Return the words that an answer chooses by place or mark: "the former", "(b)", "the last of the three"; or None.

    Args:
        answer: the answer.
        found: what the question offers.
        asked: the claims of the question; "clear or frosted" is an offer too.
    """
    own = wording.OF_OPTIONS.match(answer)
    if own is not None:
        return _at(_parts(own["list"]), own["place"].lower())
    words = next((claim.words for claim in asked if " or " in claim.words), "")
    options = found.options or tuple(("", word) for word in re.split(", | or ", words) if word)
    match, letter = wording.CHOICE.match(answer), wording.LETTER.match(answer)
    if match is not None and options:
        return _at([text for _, text in options], match["place"].lower())
    if letter is not None and options:
        mark = letter["mark"].lower()
        return next((text for name, text in options if name == mark), None) or _by_mark(options, mark)
    head = wording.MARKED.match(answer)
    if head is not None and (head[1] or head[2]).lower() in (name for name, _ in options):
        return " " * head.end() + answer[head.end() :]  # "d) absent"
    return None


def _by_mark(options: Sequence[tuple[str, str]], mark: str) -> str | None:
    for order in _MARKS:
        if mark in order and order.index(mark) < len(options):
            return options[order.index(mark)][1]
    return None


def _at(options: Sequence[str], place: str) -> str | None:
    at = -1 if place in _LAST else _ORDINALS[place]
    return options[at] if at < len(options) else None
