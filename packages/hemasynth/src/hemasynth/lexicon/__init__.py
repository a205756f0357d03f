"""The lexicon of a source: which words state which attribute value, and the few words of grammar around them."""

import hashlib
import itertools
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from hemasynth.lexicon.folding import Folding

Values = frozenset[str]
SOURCES = ("wbcatt", "leukemiaattri")
IGNORED = "*"  # anchor under which a word says nothing: "a marked nucleus" is no claim


@dataclass(frozen=True)
class Statement:
    """An attribute and the values that a word allows for it: one value, or several when the word is partial.

    No attribute: content that no record holds.
    """

    attribute: str
    values: Values


FOREIGN = Statement("", Values())
NOTHING = Statement("", Values({"nothing"}))  # a word that is no claim beside a certain noun


@dataclass(frozen=True)
class Entry:
    """What a phrase of the lexicon can be.

    Attributes:
        kind: "value", "alone", "anchor", "label", "bystander", "foreign", or a word class of the `[grammar]` table.
        name: the anchor of an anchor, else empty.
        readings: per anchor noun, what a value word states; the key "" holds for any noun.
    """

    kind: str
    name: str = ""
    readings: dict[str, Statement] = field(default_factory=dict)


# words that are like any other but for their name (`wrapping.py`), or for being no part of the grammar
_GRAMMAR = {"neutral": Entry("other"), "true": Entry("other", "true"), "untrue": Entry("other", "untrue")}


@dataclass
class Trie:
    """Phrases by their tokens; `longest` is the only question that is asked."""

    next: dict[str, "Trie"] = field(default_factory=dict)
    entry: Entry | None = None

    def add(self, phrase: list[str], entry: Entry) -> None:
        """Store a phrase given by its tokens; a value phrase joins the readings that are there."""
        node = self
        for token in phrase:
            node = node.next.setdefault(token, Trie())
        if node.entry is not None and node.entry.kind == entry.kind == "value":
            entry = Entry("value", readings={**entry.readings, **node.entry.readings})
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

    Args:
        text: the words of the source.
        english: the words that all sources share.

    Attributes:
        name: the source it belongs to.
        digest: sha256 of both texts, 16 digits; it goes into `run.json`.
        values: per attribute, its closed list of values in the spelling of the source.
        anchor: per attribute, the noun that it belongs to.
        places: per attribute, all nouns of which its values are said.
        exists: per noun that states something by being there ("granule"), what it states.
        labels: the cell types.
        unrecorded: nouns of which no attribute speaks.
        needs: per noun that every cell has, the attribute that its absence contradicts.
        properties: per noun, the attribute that its "shape", "colour", ... is.
        fallbacks: per noun, the nouns that a value may be meant of instead.
    """

    def __init__(self, text: str, english: str) -> None:
        table, shared = tomllib.loads(text), tomllib.loads(english)
        self.name: str = table["name"]
        self.digest = hashlib.sha256((text + english).encode()).hexdigest()[:16]
        attributes: dict[str, dict[str, Any]] = table["attributes"]
        self.values: dict[str, tuple[str, ...]] = {name: tuple(a["values"]) for name, a in attributes.items()}
        self.anchor: dict[str, str] = {name: a["anchor"] for name, a in attributes.items()}
        self.exists: dict[str, Statement] = {
            each["noun"]: Statement(name, Values(each["values"]))
            for name, a in attributes.items()
            for each in a.get("exists", [])
        }
        self.places: dict[str, frozenset[str]] = {
            name: frozenset([a["anchor"], *(p["anchor"] for p in a.get("partial", []) if "anchor" in p)])
            for name, a in attributes.items()
        }
        spoken_of = frozenset().union(*self.places.values())
        self.unrecorded: frozenset[str] = frozenset(
            table["anchors"].keys() - spoken_of - self.exists.keys() - {"nucleus"}
        )
        self.labels: tuple[str, ...] = tuple(table["labels"])
        self.fallbacks: dict[str, list[str]] = table["fallbacks"]
        self.needs: dict[str, str] = table["needs"]
        self.properties: dict[str, dict[str, str]] = table["properties"]
        self.acronyms: frozenset[str] = frozenset(shared["acronyms"]["words"])
        self.habitual: frozenset[str] = frozenset(shared["grammar"].pop("habitual_subject"))
        self._implied: list[tuple[Statement, tuple[Statement, ...]]] = [
            (_statement(rule["from"]), tuple(_statement(to) for to in rule["to"])) for rule in table.get("implies", [])
        ]
        entries = [*_source_entries(table), *_shared_entries(shared)]
        phrases = (phrase.split() for phrase, _ in entries)
        foreign = {word for table_ in (table, shared) for word in table_["foreign"]["words"]}
        self.fold = Folding(phrases, shared["spelling"], frozenset(foreign))
        self.words: frozenset[str] = self.fold.words
        self.trie = Trie()
        for phrase, entry in entries:
            self.trie.add([self.fold.inside(token) for token in phrase.split()], entry)

    def implied(self, attribute: str, values: Values) -> Iterator[Statement]:
        """Yield what a claim that `attribute` is one of `values` says about other attributes."""
        for source, targets in self._implied:
            if source.attribute == attribute and values <= source.values:
                yield from targets

    def complement(self, attribute: str, values: Values) -> Values:
        """Return the values that "not `values`" leaves."""
        everything = self.labels if attribute == "label" else self.values[attribute]
        return Values(everything) - values


def _source_entries(table: dict[str, Any]) -> Iterator[tuple[str, Entry]]:
    for attribute, facts in table["attributes"].items():
        anchor = facts["anchor"]
        for alone, anchored in ((False, facts["values"]), (True, facts.get("alone", {}))):
            for value, words in anchored.items():
                yield from _words(words, "" if alone else anchor, Statement(attribute, Values([value])))
        for partial in facts.get("partial", []):
            place = "" if partial.get("alone") else partial.get("anchor", anchor)
            yield from _words(partial["words"], place, Statement(attribute, Values(partial["values"])))
        for other in facts.get("other", []):
            place = "" if other.get("alone") else anchor
            for word in other["words"]:
                yield from _words([word], place, Statement(attribute, Values([word])))
    for anchor, words in table["foreign"].get("of", {}).items():
        yield from _words(words, anchor, FOREIGN)
    for anchor, words in table.get("ignored", {}).items():
        yield from _words(words, anchor, NOTHING)
    yield from _words(table.get("soft", {}).get("words", []), IGNORED, FOREIGN)
    for name, words in table["anchors"].items():
        yield from ((word, Entry("anchor", name)) for word in spelt_out(words))
    labels = [(words, [name]) for name, words in table["labels"].items()]
    labels += [(each["words"], each["values"]) for each in table.get("labels_partial", [])]
    labels += [([word], [word]) for word in table["labels_other"]["words"]]
    for words, names in labels:
        entry = Entry("label", readings={"": Statement("label", Values(names))})
        yield from ((word, entry) for word in spelt_out(words))
    for kind in ("bystander", "foreign"):
        yield from ((word, Entry(kind)) for word in table["bystanders" if kind == "bystander" else kind]["words"])


def _words(words: list[str], anchor: str, statement: Statement) -> Iterator[tuple[str, Entry]]:
    for word in spelt_out(words):
        yield word, Entry("value" if anchor else "alone", readings={anchor: statement})


def spelt_out(words: Iterable[str]) -> Iterator[str]:
    """Yield each phrase with every choice of "{a|b|}" made: "{the|its|} cell" is three phrases."""
    for phrase in words:
        parts = [part.split("|") if place % 2 else [part] for place, part in enumerate(re.split(r"[{}]", phrase))]
        for choice in itertools.product(*parts):
            yield " ".join("".join(choice).split())


def _shared_entries(shared: dict[str, Any]) -> Iterator[tuple[str, Entry]]:
    for word in spelt_out(shared["foreign"]["words"]):
        yield word, Entry("foreign")
    for kind, words in shared["grammar"].items():
        for word in spelt_out(words):
            yield word, _GRAMMAR.get(kind) or Entry(kind)


def _statement(table: dict[str, Any]) -> Statement:
    return Statement(table["attribute"], Values(table["values"]))


@cache
def load(name: str = "wbcatt") -> Lexicon:
    """Return the lexicon of a source (one of `SOURCES`), read once."""
    here = resources.files(__package__)
    text, english = (here.joinpath(f"{each}.toml").read_text(encoding="utf-8") for each in (name, "english"))
    return Lexicon(text, english)
