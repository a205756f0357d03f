"""What experts say of each cell of a set, kept beside its journal: report and export need no corpus."""

import json
from collections.abc import Iterable
from pathlib import Path

from hemadata.atomic import write_text
from hemadata.errors import InputMissingError

from hemasynth.faithful import Record
from hemasynth.plan import Cell

NAME = "records.json"


def write(path: Path, cells: Iterable[Cell]) -> None:
    """Write the cells: each set of facts once, and which cell has which."""
    ordered = sorted(cells, key=lambda cell: cell.sample_id)
    table = {
        "facts": {cell.vector: [cell.record.label, dict(cell.record.attributes)] for cell in ordered},
        "cells": {cell.sample_id: [cell.image, cell.vector, cell.split_upstream] for cell in ordered},
    }
    write_text(path, json.dumps(table, sort_keys=True) + "\n")


def read(path: Path) -> list[Cell]:
    """Return the cells.

    Raises:
        InputMissingError: there is no such file.
    """
    if not path.is_file():
        raise InputMissingError(f"There is no {path}. It stands beside the journal of a run: hemasynth vqa")
    table = json.loads(path.read_text(encoding="utf-8"))
    records = {name: Record(label, attributes) for name, (label, attributes) in table["facts"].items()}
    return [Cell(name, image, records[vector], split) for name, (image, vector, split) in table["cells"].items()]
