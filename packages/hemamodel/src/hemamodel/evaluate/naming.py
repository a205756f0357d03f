"""Names in sentences: whole words, whatever the case and the hyphens."""

import re
from collections.abc import Collection, Iterable
from functools import cache

from hemadata.ontology import Ontology
from hemadata.ontology.normal import normalise

KINDS = ("cell", "group")  # of nodes that are types of cells; debris and parasites are not


def values_named(text: str, values: Collection[str]) -> frozenset[str]:
    """The values that a text names; the longest first, so that `unsegmented-round` does not name `round`."""
    rest, found = _folded(text), set[str]()
    for value in sorted(values, key=lambda value: (-len(value), value)):
        pattern = _pattern(value)
        if pattern.search(rest):
            found.add(value)
            rest = pattern.sub("|", rest)
    return frozenset(found)


def kinds_that_tell(ontology: Ontology, kinds: Iterable[str]) -> frozenset[str]:
    """Names and aliases of cell types, without those that all of `kinds` are: `white blood cell` gives nothing away.

    Where no kind is known, the two upper levels of the tree are taken to give nothing away.
    """
    nodes = [ontology.node(name) for name in ontology.names]
    paths = [set(ontology.path(kind)) - {kind} for kind in set(kinds)]
    common = set.intersection(*paths) if paths else {node.name for node in nodes if len(ontology.path(node.name)) < 3}
    return frozenset(
        _folded(name)
        for node in nodes
        if node.kind in KINDS and node.name not in common
        for name in (node.name, node.display, *node.aliases)
    )


def names_any(text: str, names: Collection[str]) -> bool:
    """Whether a text holds one of the names, in the singular or plural."""
    rest = _folded(text)
    return any(_pattern(name).search(rest) for name in names if name in rest)


def _folded(text: str) -> str:
    return normalise(text)


@cache
def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(_folded(name))}s?(?!\w)")
