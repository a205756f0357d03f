"""Attribute vocabularies: what experts say about the shape of a cell."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hemadata.errors import FormatError

ANCHORS = ("cell", "nucleus", "chromatin", "nucleolus", "cytoplasm", "vacuole", "granule")


@dataclass(frozen=True)
class Attribute:
    """One attribute of a cell.

    Attributes:
        name: the attribute in a corpus.
        key: its exact spelling in the published file.
        display: name for people.
        anchor: what it is about: cell, nucleus, chromatin, nucleolus, cytoplasm, vacuole or granule.
        description: one line.
        values: every value, in the published spelling.
        codes: published integer -> value, or None for "not applicable"; empty where the file holds words.
        counts: cells with each value, where published.
        disagreement: re-annotated cells for which the second rater chose another value, where published.
    """

    name: str
    key: str
    display: str
    anchor: str
    description: str
    values: tuple[str, ...]
    codes: Mapping[int, str | None] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    disagreement: int | None = None


@dataclass(frozen=True)
class Vocabulary:
    """The attributes of one annotation effort, in published order.

    Attributes:
        name: name of the vocabulary.
        title: name for people.
        attributes: attribute name -> attribute.
        cells: number of annotated cells, where published.
        reannotated: number of cells that a second rater saw, where published.
    """

    name: str
    title: str
    attributes: dict[str, Attribute]
    cells: int | None = None
    reannotated: int | None = None


def read(name: str, table: Mapping[str, Any]) -> Vocabulary:
    """Read one table of `morphology.toml`; FormatError where an attribute contradicts itself."""
    nulls: dict[int, str | None] = {code: None for code in table.get("not_applicable", [])}
    attributes = [_read_attribute(name, entry, nulls) for entry in table["attribute"]]
    return Vocabulary(
        name, table["title"], {each.name: each for each in attributes}, table.get("cells"), table.get("reannotated")
    )


def _read_attribute(vocabulary: str, entry: Mapping[str, Any], nulls: Mapping[int, str | None]) -> Attribute:
    codes: dict[int, str] = {int(code): value for code, value in entry.get("codes", {}).items()}
    attribute = Attribute(
        name=entry["name"],
        key=entry["key"],
        display=entry["display"],
        anchor=entry["anchor"],
        description=entry["description"],
        values=tuple(entry.get("values", codes.values())),
        codes={**codes, **nulls} if codes else {},
        counts=dict(entry.get("counts", {})),
        disagreement=entry.get("disagreement"),
    )
    where = f"morphology.toml, {vocabulary}.{attribute.name}"
    if attribute.anchor not in ANCHORS:
        raise FormatError(f"{where}: anchor is {attribute.anchor!r}, expected one of {', '.join(ANCHORS)}.")
    if unknown := [value for value in (*codes.values(), *attribute.counts) if value not in attribute.values]:
        raise FormatError(f"{where}: {unknown[0]!r} is not among its values {', '.join(attribute.values)}.")
    return attribute
