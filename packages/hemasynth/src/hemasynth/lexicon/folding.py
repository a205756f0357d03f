"""Brings a word of a text to the form in which the lexicon has it: British, singular, without its typing error."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

_SHORT = 4  # a shorter word has too many neighbours to guess what was meant
_MIDDLE = 6  # from here on, a slip is forgiven; a shorter word may have letters swapped or doubled
_LONG = 9  # from here on, two slips are forgiven

# English words that lie one slip from a word of the field, and mean something else
_OTHERS = frozenset(
    [
        "ground",
        "grounded",
        "bounded",
        "bounds",
        "mature",
        "nature",
        "features",
        "featured",
        "lobbed",
        "bands",
        "bonded",
        "showed",
        "planted",
        "created",
        "regulars",
        "regulate",
        "clearing",
        "closed",
        "smell",
        "finely",
        "finesse",
        "course",
        "coarsen",
        "pattern",
        "patient",
        "densest",
        "central",
        "content",
        "contents",
        "contrast",
        "context",
        "general",
        "normal",
        "identity",
        "identical",
        "diffusion",
        "primary",
        "country",
        "counter",
        "counted",
        "shaper",
        "shapes",
        "outlet",
        "ratios",
        "ration",
        "rational",
        "reaction",
        "cellule",
        "sensor",
        "lighter",
        "lightly",
        "slightly",
        "moderately",
        "distinctly",
        "prominently",
        "abundantly",
        "irregularly",
        "regularly",
        "clearly",
        "loosely",
        "densely",
        "visibly",
        "absently",
        "presence",
        "presents",
        "presence",
        "section",
        "sections",
        "inside",
        "outside",
        "neutral",
        "stained",
        "stains",
        "strain",
        "strains",
        "strained",
        "strand",
        "elevate",
        "reduce",
        "increase",
        "decrease",
        "marking",
        "parked",
        "punched",
        "butter",
        "clamped",
        "clever",
        "conform",
        "conforms",
        "decoded",
        "export",
        "exports",
        "extant",
        "latter",
        "linger",
        "locked",
        "locking",
        "messed",
        "string",
        "strings",
        "stroke",
        "suction",
        "tabular",
        "weekly",
        "solver",
        "backed",
        "packet",
        "looser",
        "thinner",
        "single",
        "simple",
        "sample",
        "samples",
        "normally",
    ]
)


class Folding:
    """Callable word -> word; results are remembered, so a text costs one look-up a word.

    Args:
        phrases: the tokens of every phrase of the lexicon.
        spelling: forms that no rule gives.
        certain: words that are never guessed: "inspection" is no misspelt "infection".
    """

    def __init__(self, phrases: Iterable[list[str]], spelling: dict[str, str], certain: frozenset[str]) -> None:
        phrases = list(phrases)
        self.spelling = spelling
        self.words = frozenset(token for phrase in phrases for token in phrase)
        self._alone = frozenset(phrase[0] for phrase in phrases if len(phrase) == 1)
        words = self.words = frozenset(self.inside(token) for token in self.words)
        self._known: dict[str, str] = {}
        self._by_start: dict[str, list[str]] = defaultdict(list)
        self._squeezed = {
            _squeeze(word): word for word in sorted(words - certain) if len(word) >= _SHORT - 1 and word.isalpha()
        }
        for word in sorted((words | spelling.keys()) - certain):
            if len(word) >= _SHORT and word.isalpha():
                self._by_start[word[0]].append(word)

    def inside(self, token: str) -> str:
        """Return the form of a token of a phrase: "takes up" is stored as "take up" where "take" is a word too."""
        token = self.spelling.get(token, token)
        if token in self._alone:
            return token
        return next((stem for stem in self._stems(token) if stem in self.words), token)

    def __call__(self, word: str) -> str:
        """Return the form of a lower-case word that the lexicon knows, or the word as it is."""
        found = self._known.get(word)
        if found is None:
            found = self._fold(word)
            if len(self._known) < 100_000:
                self._known[word] = found
        return found

    def _fold(self, word: str) -> str:
        plain = self._inflected(word)
        if plain in self.words or len(word) < _SHORT or not word.isalpha() or word in _OTHERS:
            return plain
        for each in (word, word.removesuffix("s")):
            near = self._squeezed.get(_squeeze(each)) or self._near(each)
            if near is not None:
                return self._inflected(near)
        return plain

    def _inflected(self, word: str) -> str:
        word = self.spelling.get(word, word)
        if word in self.words:
            return word
        return next((stem for stem in self._stems(word) if stem in self.words), word)

    def _stems(self, word: str) -> Iterator[str]:
        for ending, instead in (("ies", "y"), ("es", ""), ("s", ""), ("ing", ""), ("ed", ""), ("d", "")):
            if word.endswith(ending) and len(word) > len(ending) + (3 if ending == "es" else 2):
                stem = word[: -len(ending)] + instead
                yield self.spelling.get(stem, stem)

    def _near(self, word: str) -> str | None:
        """Return the one lexicon word that is a slip away, if there is one."""
        found = {other for other in self._by_start[word[0]] if other[:-1] == word}  # "larg"
        for other in self._by_start[word[0]]:
            shortest = min(len(word), len(other))
            lacks = len(word) == _MIDDLE - 1 and len(other) == _MIDDLE  # "corse"
            if shortest < _MIDDLE and not lacks and sorted(word) != sorted(other):
                continue
            one_for_another = len(word) == len(other) < _LONG - 1 and sorted(word) != sorted(other)
            if one_for_another and not _vowel_for_vowel(word, other):
                continue  # one letter for another makes too many good words: denied, dented
            allowed = 2 if shortest >= _LONG else 1
            if abs(len(word) - len(other)) <= allowed and _distance(word, other, allowed) <= allowed:
                found.add(other)
        plain = {self._inflected(each) for each in found}
        if len(plain) > 1:  # a neighbour at one slip wins over those at two
            plain = {self._inflected(each) for each in found if _distance(word, each, 1) <= 1}
        return plain.pop() if len(plain) == 1 else None


def _vowel_for_vowel(one: str, two: str) -> bool:
    """Tell whether two words of one length differ in a vowel alone: "reguler"."""
    swapped = [pair for pair in zip(one, two, strict=True) if pair[0] != pair[1]]
    return len(one) >= _MIDDLE and len(swapped) == 1 and all(letter in "aeiou" for letter in swapped[0])


def _squeeze(word: str) -> str:
    """Return a word with each run of one letter as one: what is left of "celll" and "cell"."""
    return "".join(letter for letter, before in zip(word, " " + word, strict=False) if letter != before)


def _distance(one: str, two: str, limit: int) -> int:
    """Return the number of slips (insert, drop, replace, swap neighbours) between two words, or more than `limit`."""
    before: list[int] = []
    row = list(range(len(two) + 1))
    for i, left in enumerate(one, start=1):
        earlier, before, row = before, row, [i]
        for j, right in enumerate(two, start=1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (left != right))
            if i > 1 and j > 1 and left == two[j - 2] and one[i - 2] == right:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
        if min(row) > limit:
            return limit + 1
    return row[-1]
