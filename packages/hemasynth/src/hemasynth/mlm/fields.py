"""What experts say of a field of view: how many cells of which type, and what most cells of a type look like."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hemadata.errors import InputMissingError

from hemasynth.corpora import opened
from hemasynth.faithful import Record
from hemasynth.lexicon import Lexicon
from hemasynth.mlm import labels as pages

SOURCE = "leukemiaattri"
AGREED = 0.7  # share of a type's cells that must have a value for it to be said of the type


@dataclass(frozen=True)
class Field:
    """One picture.

    Attributes:
        image_id: what follows `leukemiaattri/` in its sample_id.
        counts: number of cells by type; cells that could not be identified are not among them.
        records: per type, the values that at least `AGREED` of its cells with a known value share.
        group: the patient.
    """

    image_id: str
    counts: Mapping[str, int]
    records: Mapping[str, Record]
    group: str


def read_fields(corpus: Path, lexicon: Lexicon, subset: str, labels: Path | None = None) -> list[Field]:
    """Read the annotated fields of a subset.

    Args:
        corpus: with `leukemiaattri`.
        lexicon: of leukemiaattri; a cell type that it does not have is left out of the facts.
        subset: such as H_100X_C2, the one that the paper used and experts marked by hand.
        labels: LeukemiaAttri's COCO pages, in place of the corpus.

    Raises:
        InputMissingError: there is no corpus, no `leukemiaattri` in it, no page, or no field of the subset.
    """
    if labels is not None:
        return _some(fields(pages.rows(labels, lexicon, subset), lexicon, subset), labels, subset)
    otherwise = "\nor read LeukemiaAttri's pages without a corpus: --labels LeukemiaAttri_Dataset"
    with opened(corpus, SOURCE, otherwise) as found:
        rows = found.rows("detection", source=SOURCE, columns=["sample_id", "objects", "native_group"])
        return _some(fields(rows, lexicon, subset), corpus, subset)


def _some(found: Iterable[Field], where: Path, subset: str) -> list[Field]:
    ordered = sorted(found, key=lambda field: field.image_id)
    if not ordered:
        raise InputMissingError(f"{where} has no field of {subset} with cells. Name another one with --subset.")
    return ordered


def fields(rows: Iterable[Mapping[str, Any]], lexicon: Lexicon, subset: str) -> Iterator[Field]:
    """Yield the fields of a subset that have a cell of a known type."""
    for row in rows:
        image_id = str(row["sample_id"]).partition("/")[2]
        if not image_id.upper().startswith(f"{subset.upper()}/"):
            continue
        cells: dict[str, list[dict[str, str]]] = defaultdict(list)
        for each in row["objects"] or ():
            if each["label"] in lexicon.labels:
                known = {a["name"]: a["value"] for a in each["attributes"] or () if a["value"] is not None}
                cells[each["label"]].append(known)
        if cells:
            records = {label: Record(label, _majority(found, lexicon)) for label, found in sorted(cells.items())}
            counts = {label: len(found) for label, found in sorted(cells.items())}
            yield Field(image_id, counts, records, str(row["native_group"] or image_id))


def _majority(cells: list[dict[str, str]], lexicon: Lexicon) -> dict[str, str]:
    agreed = {}
    for name in lexicon.values:
        values = Counter(cell[name] for cell in cells if name in cell)
        if values:
            value, count = min(values.items(), key=lambda pair: (-pair[1], pair[0]))
            if count >= AGREED * values.total():
                agreed[name] = value
    return agreed
