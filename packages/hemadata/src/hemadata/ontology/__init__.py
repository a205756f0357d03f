"""Canonical labels, the views on them, and the attribute vocabularies. The facts are in the TOML files beside this."""

import hashlib
import json
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Self

from hemadata.errors import FormatError, UsageError
from hemadata.ontology import morphology
from hemadata.ontology.morphology import Attribute, Vocabulary
from hemadata.ontology.suggest import nearest
from hemadata.ontology.tree import Node, Tree
from hemadata.ontology.views import View

__all__ = ["FILES", "Attribute", "Node", "Ontology", "View", "Vocabulary", "files", "load"]

FILES = ("cells.toml", "views.toml", "morphology.toml")
NODES = "nodes:"  # a view made on the spot


class Ontology(Tree):
    """The nodes, with the views and vocabularies that speak of them.

    Args:
        tables: file name -> its parsed content.

    Attributes:
        version: 12 hex digits over the content of the three files; comments and layout do not count.
        views: names of the views.
        vocabularies: names of the attribute vocabularies.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(tables["cells.toml"]["node"])
        self._views = {name: View(name, table, self) for name, table in tables["views.toml"].items()}
        self._vocabularies = {name: morphology.read(name, table) for name, table in tables["morphology.toml"].items()}
        self.views = tuple(self._views)
        self.vocabularies = tuple(self._vocabularies)
        content = json.dumps([tables[name] for name in FILES], sort_keys=True, ensure_ascii=False)
        self.version = hashlib.sha256(content.encode()).hexdigest()[:12]

    @classmethod
    def from_texts(cls, texts: Mapping[str, bytes]) -> Self:
        """Read an ontology from the texts of its three files, such as the copy in a corpus.

        Args:
            texts: file name (`FILES`) -> UTF-8 text of the file.

        Raises:
            FormatError: a file is missing, is not TOML, or contradicts itself or the others.
        """
        tables: dict[str, Mapping[str, Any]] = {}
        for name in FILES:
            if name not in texts:
                raise FormatError(f"The ontology has no {name}; expected {', '.join(FILES)}. Add the file.")
            try:
                tables[name] = tomllib.loads(texts[name].decode("utf-8"))
            except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
                raise FormatError(f"{name} cannot be read as TOML: {error}. Correct the file.") from error
        try:
            return cls(tables)
        except KeyError as error:
            raise FormatError(f"The ontology lacks the key {error}. Compare with the files of this release.") from error

    def view(self, name: str) -> View:
        """The view of that name; UsageError where there is none.

        `nodes:basophil,monocyte` is a view made on the spot: these nodes, numbered in this order, without roll-up.
        """
        if name.startswith(NODES):
            return self._view_of(name.removeprefix(NODES).split(","))
        if name not in self._views:
            raise UsageError(f"No view is called {name!r}{nearest(name, self._views)}")
        return self._views[name]

    def _view_of(self, nodes: list[str]) -> View:
        if unknown := [node for node in nodes if node not in self.names]:
            raise UsageError(f"{NODES}... names {unknown[0]!r}, which is no node{nearest(unknown[0], self.names)}")
        if len(set(nodes)) < len(nodes):
            raise UsageError(f"{NODES}{','.join(nodes)}: a node stands there twice.")
        classes = [{"id": number, "name": node.replace("_", " "), "nodes": [node]} for number, node in enumerate(nodes)]
        table = {"rule": "these nodes alone", "roll_up": False, "classes": classes}
        return View(NODES + ",".join(nodes), table, self)

    def morphology(self, name: str) -> Vocabulary:
        """The attribute vocabulary of that name; UsageError where there is none."""
        if name not in self._vocabularies:
            raise UsageError(f"No attribute vocabulary is called {name!r}{nearest(name, self._vocabularies)}")
        return self._vocabularies[name]


def files() -> dict[str, bytes]:
    """The three TOML files of this release, file name -> text, for copying into a corpus."""
    folder = resources.files(__name__)
    return {name: folder.joinpath(name).read_bytes() for name in FILES}


@cache
def load() -> Ontology:
    """The ontology of this release, read once per process."""
    return Ontology.from_texts(files())
