"""Views: integer classes computed from a record's source, raw label and label."""

from collections.abc import Mapping
from typing import Any

from hemadata.errors import FormatError
from hemadata.ontology.normal import normalise
from hemadata.ontology.suggest import nearest
from hemadata.ontology.tree import Tree


class View:
    """One numbered list of classes, such as the 45 of the Uni-Hema head.

    Args:
        name: name of the view.
        table: its table in `views.toml`.
        tree: the nodes that it speaks of.

    Attributes:
        name: name of the view.
        rule: one line for people.
        classes: class names in id order.
        members: per class, in id order, the canonical nodes it stands for (empty for a background class).

    Raises:
        FormatError: ids do not run from 0, a node is missing, or two classes claim one node for the same source.
    """

    def __init__(self, name: str, table: Mapping[str, Any], tree: Tree) -> None:
        self.name, self.rule, self._tree = name, str(table["rule"]), tree
        entries: list[Mapping[str, Any]] = table["classes"]
        self.classes: tuple[str, ...] = tuple(entry["name"] for entry in entries)
        self.members: tuple[tuple[str, ...], ...] = tuple(tuple(entry["nodes"]) for entry in entries)
        if [entry["id"] for entry in entries] != list(range(len(entries))):
            raise FormatError(f"views.toml, {name}: ids must run 0, 1, 2, ... in the order of `classes`.")
        self._rolls_up = bool(table["roll_up"])
        self._id_of: dict[tuple[str | None, str], int] = {}  # (source or None, node) -> id
        self._id_of_raw: dict[tuple[str, str], int] = {}  # (source, normalised raw label) -> id
        for entry in entries:
            for source in entry.get("sources", [None]):
                for node in entry["nodes"]:
                    self._claim(source, node, entry["id"])
        for entry in table.get("extra", []):
            if not 0 <= entry["id"] < len(entries):
                raise FormatError(f"views.toml, {name}: extra has id {entry['id']}, expected 0 to {len(entries) - 1}.")
            if "raw" in entry:
                self._id_of_raw[entry["source"], normalise(entry["raw"])] = entry["id"]
            else:
                self._claim(entry["source"], entry["label"], entry["id"])

    def id(self, source: str | None, label_raw: str | None, label: str | None) -> int | None:
        """Class id of a record, or None where the record is not in this view.

        Args:
            source: slug of the record's source; None asks for what holds in every source.
            label_raw: the source's own spelling, or None.
            label: canonical node or alias, or None for an unlabelled record.

        Raises:
            UnknownNodeError: `label` names no node.
        """
        path = self._tree.path(label) if label is not None else ()
        if source is not None and label_raw is not None:
            found = self._id_of_raw.get((source, normalise(label_raw)))
            if found is not None:
                return found
        for node in reversed(path):
            for key in ((source, node), (None, node)):
                if key in self._id_of:
                    return self._id_of[key]
            if not self._rolls_up:
                break
        return None

    def roll_up(self, label: str) -> str | None:
        """Class name of a node in any source, or None where the node is not in this view."""
        found = self.id(None, None, label)
        return None if found is None else self.classes[found]

    def _claim(self, source: str | None, node: str, number: int) -> None:
        if node not in self._tree.names:
            raise FormatError(f"views.toml, {self.name}: {node!r} is no node{nearest(node, self._tree.names)}")
        if (source, node) in self._id_of:
            raise FormatError(
                f"views.toml, {self.name}: {node!r} has the ids {self._id_of[source, node]} and {number} "
                f"for {source or 'all sources'}. Keep one, or limit one by `sources`."
            )
        self._id_of[source, node] = number
