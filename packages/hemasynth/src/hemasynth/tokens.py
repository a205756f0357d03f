"""From text to sentences of terms: the phrases of the lexicon, with their place in the text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hemasynth import marks
from hemasynth.lexicon import Entry, Lexicon

_TOKEN = re.compile(
    r"\d+(?:[.,]\d+)*|[^\W_]+?(?=n't\b)|n't\b|[^\W_]+|[.,;:!?()/=&+%\u2014\u2013\u2295\u2296]", re.UNICODE
)
_OTHER, _END, _FOREIGN = Entry("other"), Entry("end"), Entry("foreign")
_SENTENCE_ENDS = frozenset(".;!?")
_PREFIXES = frozenset({"multi", "bi", "tri", "poly", "non", "un", "mono", "hyper", "hypo"})


@dataclass(slots=True)
class Term:
    """A phrase of the text with its entry in the lexicon."""

    entry: Entry
    kind: str
    start: int
    end: int
    text: str

    @property
    def plural(self) -> bool:
        """Tell whether the phrase ends as a plural does."""
        return self.text.endswith("s")


def sentences(text: str, lexicon: Lexicon) -> Iterator[tuple[list[Term], str]]:
    """Split a text into sentences: their terms, and the character that ends them ("" at the end of the text)."""
    plain = marks.plain(text)
    found = list(_TOKEN.finditer(plain))
    words = [lexicon.fold(match.group().lower()) for match in found]
    terms: list[Term] = []
    at = 0
    while at < len(words):
        start = found[at].start()
        end, entry = at + 1, _FOREIGN
        if found[at].group() not in lexicon.acronyms:
            end, match = lexicon.trie.longest(words, at)
            if end <= at + 2 and words[at] in _PREFIXES and at + 1 < len(words):  # "multi-lobulated"
                _, joined = lexicon.trie.longest([lexicon.fold(words[at] + words[at + 1])], 0)
                end, match = (at + 2, joined) if joined is not None else (end, match)
            entry = match or _unknown(words[at])
        stop = found[end - 1].end()
        if entry is _END:
            if terms:
                yield terms, words[at]
            terms = []
        else:
            terms.append(Term(entry, entry.kind, start, stop, text[start:stop]))
        at = end
    if terms:
        yield terms, ""


def _unknown(word: str) -> Entry:
    if word in _SENTENCE_ENDS:
        return _END
    marker = word.startswith("cd") and word[2:].isdigit()
    return _FOREIGN if marker or word[0].isdigit() else _OTHER  # no record holds a measure
