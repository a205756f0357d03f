"""The page about masked sentences: the same sections as for pairs, from the plan and the blanks beside the journal."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hemadata.errors import InputMissingError
from markupsafe import escape

from hemasynth import sessions
from hemasynth.faithful import Record
from hemasynth.journal import read as read_journal
from hemasynth.ladder import valid
from hemasynth.lexicon import load
from hemasynth.mlm import masking
from hemasynth.mlm.check import FieldChecker
from hemasynth.mlm.command import BLANKS, ITEMS
from hemasynth.mlm.fields import Field
from hemasynth.report import diversity, measure, sample

Item = Mapping[str, Any]
_SPAN = ("start", "end", "attribute", "value", "label")


def measured(folder: Path, run: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Item]]:
    """Return the numbers of the page, the rows in the form of pairs, and the plan by id.

    Args:
        folder: the set, such as `raw/leukemiaattri-mlm`.
        run: its `run.json`.

    Raises:
        InputMissingError: the plan or the blanks do not stand beside the journal.
    """
    own = folder / ".hemasynth"
    items: dict[str, Item] = {item["id"]: item for item in _lines(own / ITEMS)}
    blanks = _lines(own / BLANKS)
    entries = valid(read_journal(own / "journal.jsonl")[0], {name: item["key"] for name, item in items.items()})
    spans: dict[str, list[masking.Span]] = defaultdict(list)
    for blank in blanks:
        spans[blank["id"]].append(masking.Span(*(blank[name] for name in _SPAN)))
    rows = [_row(items[one["id"]], one["row"], spans[one["id"]]) for one in entries if one.get("row")]
    rows.sort(key=lambda row: str(row["question_id"]))
    counts = run["counts"]
    told = {
        "counts": {**counts, "pairs": counts["sentences"], "cells": counts["fields"]},
        "quotas": measure.against(
            ((item["split"], item["style"]) for item in items.values()),
            ((row["split_upstream"], row["question_type"]) for row in rows),
        ),
        "acceptance": measure.acceptance(entries),
        "types": measure.by_type({name: item["style"] for name, item in items.items()}, entries),
        "coverage": _coverage(blanks, items),
        "leaks": _leaks(rows, items),
        "diversity": diversity.measure(rows),
        "duplicates": diversity.duplicates(rows),
        "lengths": diversity.lengths(rows),
        "blind": [],
        "fill": counts["blind_fill"],
        "throughput": measure.throughput(sessions.read(own / sessions.NAME)),
    }
    return told, rows, items


def cards(rows: Sequence[Mapping[str, Any]], items: Mapping[str, Item], pictures: Path | None) -> list[dict[str, Any]]:
    """Return what the page shows of each sentence: marked claims, the facts of its cell types, and the picture."""
    checker, found = FieldChecker(load("leukemiaattri")), []
    there = sample.files(pictures) if pictures is not None else {}
    for row in rows:
        item = items[row["question_id"]]
        records = {label: Record(label, facts) for label, facts in item["facts"].items()}
        report = checker.text(Field(item["image_id"], item["counts"], records, item["group"]), row["answer"])
        used = {tuple(use) for use in item["uses"]}
        facts = [
            {"name": label, "value": f"{count} in the field", "used": (label, "label") in used}
            for label, count in item["counts"].items()
        ]
        facts += [
            {"name": f"{label}: {name}", "value": value, "used": (label, name) in used}
            for label, known in item["facts"].items()
            for name, value in known.items()
        ]
        found.append(
            {
                "id": row["question_id"],
                "type": row["question_type"],
                "origin": row["origin"],
                "verdict": report.verdict,
                "question": escape(row["question"]),
                "answer": sample.mark(row["answer"], report.claims),
                "facts": facts,
                "picture": sample.thumbnail(there[row["image"]]) if row["image"] in there else None,
            }
        )
    return found


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise InputMissingError(f"There is no {path}. It stands beside the journal of a run: hemasynth mlm")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _row(item: Item, written: Mapping[str, Any], spans: Sequence[masking.Span]) -> dict[str, Any]:
    """Return a sentence in the columns that the measures of pairs read."""
    return {
        "question_id": item["id"],
        "question": masking.mask(written["text"], sorted(spans, key=lambda span: span.start)).masked_text,
        "answer": written["text"],
        "question_type": item["style"],
        "origin": written["origin"],
        "split_upstream": item["split"],
        "image": item["image_id"].rpartition("/")[2] + ".png",
    }


def _coverage(blanks: Sequence[Mapping[str, Any]], items: Mapping[str, Item]) -> list[dict[str, Any]]:
    """Return how often each value is masked, and in how many fields a cell type has it; the rarest first."""
    masked = Counter((blank["attribute"], blank["value"], items[blank["id"]]["split"]) for blank in blanks)
    by_field: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for item in items.values():
        by_field[item["image_id"]] |= {("label", label) for label in item["counts"]}
        by_field[item["image_id"]] |= {pair for known in item["facts"].values() for pair in known.items()}
    has = Counter(pair for known in by_field.values() for pair in known)
    lexicon = load("leukemiaattri")
    names = {**lexicon.values, "label": lexicon.labels}
    counts = sorted({value for attribute, value, _ in masked if attribute == "count"})
    found = [
        {
            "attribute": name,
            "value": value,
            "train": masked[name, value, "train"],
            "test": masked[name, value, "test"],
            "cells": has[name, value],
        }
        for name, values in [*names.items(), ("count", counts)]
        for value in values
    ]
    return sorted(found, key=lambda one: (one["train"] + one["test"], one["attribute"], one["value"]))


def _leaks(rows: Sequence[Mapping[str, Any]], items: Mapping[str, Item]) -> list[dict[str, Any]]:
    parts = {side: [row for row in rows if row["split_upstream"] == side] for side in ("train", "test")}
    keys: dict[str, Callable[[Mapping[str, Any]], Any]] = {
        "pictures": lambda row: row["image"],
        "patients": lambda row: items[row["question_id"]]["group"],
        "sentences": lambda row: row["answer"],
    }
    shares = {}
    for what, key in keys.items():
        seen = {key(row) for row in parts["train"]}
        shares[what] = sum(key(row) in seen for row in parts["test"]) / len(parts["test"]) if parts["test"] else 0.0
    return [{"split": "by patient", **{side: len(own) for side, own in parts.items()}, "shares": shares}]
