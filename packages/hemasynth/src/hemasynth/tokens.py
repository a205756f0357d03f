"""From text to sentences of terms: the phrases of the lexicon, with their place in the text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hemasynth.lexicon import Entry, Lexicon

_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W_]+?(?=n't\b)|n't\b|[^\W_]+|[.,;:!?()/=&+%\u2014\u2013]", re.UNICODE)
_POSSESSIVE = re.compile(r"(?<=\w)'(s\b|(?=\s|$))")
_OTHER, _END, _FOREIGN = Entry("other"), Entry("end"), Entry("foreign")
_SENTENCE_ENDS = frozenset(".;!?")


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
    plain = text.replace("\u2019", "'")  # one character each: spans stay true
    plain = _POSSESSIVE.sub(lambda match: " " * len(match.group()), plain)
    found = list(_TOKEN.finditer(plain))
    words = [lexicon.fold(match.group().lower()) for match in found]
    terms: list[Term] = []
    at = 0
    while at < len(words):
        start = found[at].start()
        end, entry = at + 1, _FOREIGN
        if found[at].group() not in lexicon.acronyms:
            end, match = lexicon.trie.longest(words, at)
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
    return _FOREIGN if word[0].isdigit() else _OTHER  # no record holds a measure
