"""The tree of canonical nodes: names, parents, aliases."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hemadata.errors import FormatError, UnknownNodeError
from hemadata.ontology.suggest import nearest

KINDS = ("cell", "group", "aggregate", "organism", "residual")
MATCHES = ("exact", "near", "none")


@dataclass(frozen=True)
class Node:
    """One canonical label.

    Attributes:
        name: what a corpus writes into `label`; never changes.
        display: name for people.
        kind: cell, group, aggregate, organism or residual.
        match: how `cl` fits: exact, near, or none where the Cell Ontology has no such term.
        cl: id in the Cell Ontology, or None.
        parent: name of the parent, or None for a root.
        also: names of second parents, outside the tree.
        note: a remark for people, or "".
        xref: ids in other vocabularies.
        aliases: earlier names.
    """

    name: str
    display: str
    kind: str
    match: str
    cl: str | None = None
    parent: str | None = None
    also: tuple[str, ...] = ()
    note: str = ""
    xref: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


class Tree:
    """All nodes, in file order.

    Args:
        tables: node name -> its table in `cells.toml`.

    Raises:
        FormatError: a table is malformed, an alias is taken, a parent is missing, or a node is its own ancestor.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        self._nodes = {name: _read(name, table) for name, table in tables.items()}
        self._name_of = {name: name for name in self._nodes}
        for node in self._nodes.values():
            for alias in node.aliases:
                if alias in self._name_of:
                    raise FormatError(f"cells.toml, {node.name}: alias {alias!r} already names a node. Take it out.")
                self._name_of[alias] = node.name
        for node in self._nodes.values():
            for parent in (node.parent, *node.also):
                if parent is not None and parent not in self._nodes:
                    raise FormatError(
                        f"cells.toml, {node.name}: its parent {parent!r} is no node{nearest(parent, self._nodes)}"
                    )
        for name in self._nodes:
            self._refuse_circle(name)
        self._paths = {name: self._climb(name) for name in self._nodes}

    @property
    def names(self) -> tuple[str, ...]:
        """All node names, in file order, without aliases."""
        return tuple(self._nodes)

    def __contains__(self, name: object) -> bool:
        return name in self._name_of

    def node(self, name: str) -> Node:
        """The node of a name or alias; UnknownNodeError where there is none."""
        if name not in self._name_of:
            raise UnknownNodeError(f"No node of the ontology is called {name!r}{nearest(name, self._name_of)}")
        return self._nodes[self._name_of[name]]

    def path(self, name: str) -> tuple[str, ...]:
        """Names from the root down to the node itself, along the tree."""
        return self._paths[self.node(name).name]

    def is_a(self, name: str, ancestor: str, second_parents: bool = False) -> bool:
        """Whether `name` is `ancestor` or lies under it; `second_parents` also climbs through `also`."""
        target, todo = self.node(ancestor).name, [self.node(name)]
        while todo:
            node = todo.pop()
            if node.name == target:
                return True
            above = (node.parent, *(node.also if second_parents else ()))
            todo += [self._nodes[parent] for parent in above if parent is not None]
        return False

    def children(self, name: str) -> tuple[str, ...]:
        """Direct children in the tree, in file order."""
        parent = self.node(name).name
        return tuple(node.name for node in self._nodes.values() if node.parent == parent)

    def _refuse_circle(self, name: str) -> None:
        # Second parents count too: a circle through `also` would trap is_a().
        todo, above = [name], set[str]()
        while todo:
            node = self._nodes[todo.pop()]
            parents = {parent for parent in (node.parent, *node.also) if parent is not None}
            if name in parents:
                raise FormatError(f"cells.toml: {name!r} is its own ancestor, through {node.name!r}. Correct a parent.")
            todo += parents - above
            above |= parents

    def _climb(self, name: str) -> tuple[str, ...]:
        parent = self._nodes[name].parent
        return (name,) if parent is None else (*self._climb(parent), name)


def _read(name: str, table: Mapping[str, Any]) -> Node:
    known = {field.name for field in fields(Node)} - {"name"}
    if unknown := sorted(table.keys() - known):
        raise FormatError(f"cells.toml, {name}: unknown key {unknown[0]!r}{nearest(unknown[0], known)}")
    if missing := sorted({"display", "kind", "match"} - table.keys()):
        raise FormatError(f"cells.toml, {name}: {missing[0]!r} is missing. Add it.")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    node = Node(name, **values)
    if node.kind not in KINDS:
        raise FormatError(f"cells.toml, {name}: kind is {node.kind!r}, expected one of {', '.join(KINDS)}.")
    if node.match not in MATCHES or (node.match == "none") != (node.cl is None):
        raise FormatError(
            f"cells.toml, {name}: match is {node.match!r} and cl is {node.cl!r}; expected exact or near with a cl, "
            "none without."
        )
    return node
