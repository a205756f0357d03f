"""The lexicon of a source: which words state which attribute value, and the few words of grammar around them."""

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

Values = frozenset[str]


@dataclass(frozen=True)
class Statement:
    """An attribute and the values that a word allows for it: one value, or several when the word is partial."""

    attribute: str
    values: Values


@dataclass(frozen=True)
class Entry:
    """What a phrase of the lexicon can be.

    Attributes:
        kind: "value", "alone", "anchor", "label", "foreign", or a word class of the `[grammar]` table.
        name: the anchor of an anchor, the node of a label, else empty.
        readings: per anchor noun, what a value word states; the key "" holds for any noun.
    """

    kind: str
    name: str = ""
    readings: dict[str, Statement] = field(default_factory=dict)


@dataclass
class Trie:
    """Phrases by their tokens; `longest` is the only question that is asked."""

    next: dict[str, "Trie"] = field(default_factory=dict)
    entry: Entry | None = None

    def add(self, phrase: str, entry: Entry) -> None:
        """Store a phrase given with blanks between its tokens; a value phrase joins the readings that are there."""
        node = self
        for token in phrase.split():
            node = node.next.setdefault(token, Trie())
        if node.entry is not None and node.entry.kind == entry.kind == "value":
            entry = Entry("value", readings={**node.entry.readings, **entry.readings})
        elif node.entry is not None and node.entry.kind in ("value", "alone"):
            return  # grammar never hides a value
        node.entry = entry

    def longest(self, tokens: list[str], at: int) -> tuple[int, Entry | None]:
        """Return the end of the longest phrase that starts at `at`, and its entry (None when there is none)."""
        node, end, found = self, at + 1, None
        for i in range(at, len(tokens)):
            child = node.next.get(tokens[i])
            if child is None:
                break
            node = child
            if node.entry is not None:
                end, found = i + 1, node.entry
        return end, found


class Lexicon:
    """A lexicon read from its TOML text.

    Attributes:
        name: the source it belongs to.
        digest: sha256 of the text, 16 digits; it goes into `run.json`.
        values: per attribute, its closed list of values in the spelling of the source.
        anchor: per attribute, the noun that it belongs to.
        exists: per noun whose mere presence is a value ("granule"), the attribute that says so.
        labels: the cell types.
    """

    def __init__(self, text: str) -> None:
        table = tomllib.loads(text)
        self.name: str = table["name"]
        self.digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        attributes: dict[str, dict[str, Any]] = table["attributes"]
        self.values: dict[str, tuple[str, ...]] = {name: tuple(a["values"]) for name, a in attributes.items()}
        self.anchor: dict[str, str] = {name: a["anchor"] for name, a in attributes.items()}
        self.exists: dict[str, str] = {a["exists"]: name for name, a in attributes.items() if "exists" in a}
        self.labels: tuple[str, ...] = tuple(table["labels"])
        self.spelling: dict[str, str] = table["spelling"]
        self.acronyms: frozenset[str] = frozenset(table["foreign"]["acronyms"])
        self._implied: list[tuple[Statement, tuple[Statement, ...]]] = [
            (_statement(rule["from"]), tuple(_statement(to) for to in rule["to"])) for rule in table["implies"]
        ]
        self.trie = Trie()
        for phrase, entry in self._entries(table):
            self.trie.add(phrase, entry)
        self.words: frozenset[str] = frozenset(_tokens(self.trie))

    @staticmethod
    def _entries(table: dict[str, Any]) -> Iterator[tuple[str, Entry]]:
        for attribute, facts in table["attributes"].items():
            for value, words in facts["values"].items():
                for word in words:
                    yield word, Entry("value", readings={facts["anchor"]: Statement(attribute, Values([value]))})
            for value, words in facts.get("alone", {}).items():
                for word in words:
                    yield word, Entry("alone", readings={"": Statement(attribute, Values([value]))})
            for partial in facts.get("partial", []):
                for word in partial["words"]:
                    yield word, Entry("alone", readings={"": Statement(attribute, Values(partial["values"]))})
        for kind in ("anchor", "label"):
            for name, words in table[f"{kind}s"].items():
                for word in words:
                    yield word, Entry(kind, name)
        for word in table["foreign"]["words"]:
            yield word, Entry("foreign")
        for kind, words in table["grammar"].items():
            for word in words:
                yield word, Entry(kind)

    def fold(self, word: str) -> str:
        """Bring a lower-case word to the form of the lexicon: British spelling, singular where only that is known."""
        word = self.spelling.get(word, word)
        if word in self.words or not word.endswith("s") or len(word) < 4:
            return word
        return word[:-1] if word[:-1] in self.words else word

    def implied(self, attribute: str, values: Values) -> Iterator[Statement]:
        """Yield what a claim that `attribute` is one of `values` says about other attributes."""
        for source, targets in self._implied:
            if source.attribute == attribute and values <= source.values:
                yield from targets

    def complement(self, attribute: str, values: Values) -> Values:
        """Return the values that "not `values`" leaves."""
        everything = self.labels if attribute == "label" else self.values[attribute]
        return Values(everything) - values


def _statement(table: dict[str, Any]) -> Statement:
    return Statement(table["attribute"], Values(table["values"]))


def _tokens(trie: Trie) -> Iterator[str]:
    for token, child in trie.next.items():
        yield token
        yield from _tokens(child)


@cache
def load(name: str = "wbcatt") -> Lexicon:
    """Return the lexicon of a source, read once."""
    return Lexicon(resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8"))
