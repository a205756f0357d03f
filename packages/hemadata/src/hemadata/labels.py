"""From a source's raw names to canonical labels: each source has its own map, and a name outside it is an error."""

from collections.abc import Mapping
from dataclasses import dataclass

from hemadata.errors import FormatError, UnknownLabelError, UnknownNodeError
from hemadata.ontology import Ontology, load
from hemadata.ontology.normal import normalise
from hemadata.ontology.suggest import nearest

__all__ = ["RELATIONS", "Label", "LabelMap", "normalise"]

RELATIONS = ("exact", "close", "broad", "narrow")
UNLABELLED = "unlabelled"


@dataclass(frozen=True)
class Label:
    """What one raw name means.

    Attributes:
        raw: the name as the source spells it.
        node: canonical node, or None where the source says that the cell carries no label (target `unlabelled`).
        relation: how the node fits the raw name: exact, close (nearly the same), broad (the node says less than the
            source did) or narrow (it says more).
        fine: a more specific canonical node, or None.
    """

    raw: str
    node: str | None
    relation: str = "exact"
    fine: str | None = None


class LabelMap:
    """The `[labels]` table of one source.

    A key ending in `*` stands for any ending; a key spelled out wins over it, and a longer beginning over a shorter.

    Args:
        table: raw name -> node, or -> `{to = node, relation = ..., fine = node}`.
        source: slug of the source, for messages.
        ontology: the nodes; default: those of this release.

    Attributes:
        source: slug of the source.
        known: the raw names of the table, as spelled there.

    Raises:
        FormatError: an entry is malformed, or two keys mean the same raw name but different labels.
        UnknownNodeError: a target is no node.
    """

    def __init__(
        self, table: Mapping[str, str | Mapping[str, str]], source: str = "", ontology: Ontology | None = None
    ) -> None:
        self.source, self.known = source, tuple(table)
        self._ontology = ontology or load()
        self._whole: dict[str, Label] = {}
        self._beginnings: dict[str, Label] = {}
        spelled: dict[tuple[bool, str], str] = {}
        for key, entry in table.items():
            label, is_beginning = self._read(key, entry), key.endswith("*")
            labels, folded = (self._beginnings, _beginning(key)) if is_beginning else (self._whole, normalise(key))
            if not folded:
                raise FormatError(f"{self._where(key)} stands for every name. Spell the names out.")
            first = spelled.setdefault((is_beginning, folded), key)
            if first != key and _meaning(labels[folded]) != _meaning(label):
                raise FormatError(f"{self._where(key)} and {first!r} are one name with two targets. Keep one.")
            labels.setdefault(folded, label)

    def resolve(self, raw: str) -> Label:
        """The label of a raw name, whose spelling it keeps; UnknownLabelError where the map has no such name."""
        folded = normalise(raw)
        found = self._whole.get(folded)
        if found is None:
            fitting = [beginning for beginning in self._beginnings if f"{folded} ".startswith(beginning)]
            if not fitting:
                raise UnknownLabelError(
                    f"{self.source or 'The label map'} does not know the raw label {raw!r}{nearest(raw, self.known)} "
                    "Add it to [labels]."
                )
            found = self._beginnings[max(fitting, key=len)]
        return Label(raw, found.node, found.relation, found.fine)

    def _read(self, key: str, entry: str | Mapping[str, str]) -> Label:
        table = {"to": entry} if isinstance(entry, str) else entry
        if "to" not in table or (unknown := table.keys() - {"to", "relation", "fine"}):
            found = "no `to`" if "to" not in table else f"the key {sorted(unknown)[0]!r}"
            raise FormatError(f"{self._where(key)} has {found}; expected to, and perhaps relation, fine.")
        relation = table.get("relation", "exact")
        if relation not in RELATIONS:
            raise FormatError(f"{self._where(key)}: relation is {relation!r}; expected {', '.join(RELATIONS)}.")
        node = self._node(key, table["to"])
        fine = self._node(key, table["fine"]) if "fine" in table else None
        return Label(key, None if node == UNLABELLED else node, relation, fine)

    def _node(self, key: str, name: str) -> str:
        try:
            return self._ontology.node(name).name
        except UnknownNodeError as error:
            raise UnknownNodeError(f"{self._where(key)}: {error}") from None

    def _where(self, key: str) -> str:
        return f"{self.source + ', ' if self.source else ''}[labels] {key!r}"


def _beginning(key: str) -> str:
    # The separator before the star stays: "IG_*" must not take "ignored".
    stem = key.removesuffix("*")
    return normalise(stem + "x").removesuffix("x")


def _meaning(label: Label) -> tuple[str | None, str, str | None]:
    return label.node, label.relation, label.fine
