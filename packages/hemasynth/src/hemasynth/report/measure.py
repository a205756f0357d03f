"""What a set holds against what was planned, and how much of what was written passed."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hemasynth.journal import Entry
from hemasynth.ladder import LADDER
from hemasynth.lexicon import Lexicon
from hemasynth.plan import Item
from hemasynth.quota import side

Row = Mapping[str, Any]
ORIGINS = ("model", "model_repaired", "template")
ATTEMPTS = [*(f"attempt {number + 1}" for number in range(len(LADDER))), "template"]


def quotas(items: Iterable[Item], rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Return planned and written pairs per side and question type."""
    return against(
        ((side(item.cell.split_upstream), item.topic.question_type) for item in items),
        ((side(row["split_upstream"]), row["question_type"]) for row in rows),
    )


def against(plan: Iterable[tuple[str, str]], found: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return, per (side, type), how many were planned and how many are there."""
    planned, written = Counter(plan), Counter(found)
    return [
        {
            "side": its,
            "type": kind,
            "planned": number,
            "written": written[its, kind],
            "missing": number - written[its, kind],
        }
        for (its, kind), number in sorted(planned.items())
    ]


def acceptance(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return replies, accepted and refused per attempt, and how often each gate refused on each attempt.

    A refused reply counts once in `refused` and once per gate in `gates`.
    """
    attempts: dict[int, Counter[str]] = defaultdict(Counter)
    gates: dict[str, Counter[int]] = defaultdict(Counter)
    for entry in entries:
        number = entry["attempt"]
        attempts[number]["replies"] += 1
        attempts[number]["accepted" if entry.get("row") else "refused"] += 1
        for gate in entry.get("gates", ()):
            gates[gate][number] += 1
    order = sorted(gates, key=lambda gate: (-gates[gate].total(), gate))
    return {
        "attempts": [
            {"name": ATTEMPTS[min(number, len(LADDER))], **{k: counts[k] for k in ("replies", "accepted", "refused")}}
            for number, counts in sorted(attempts.items())
        ],
        "gates": [{"gate": gate, "by_attempt": [gates[gate][n] for n in sorted(attempts)]} for gate in order],
        "replies": len(entries),
        "accepted": sum(counts["accepted"] for counts in attempts.values()),
        "refused": sum(counts["refused"] for counts in attempts.values()),
    }


def by_type(kinds: Mapping[str, str], entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Return, per type, how many first replies passed and where the texts come from; `kinds` is the type by id."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        counts = found[kinds[entry["id"]]]
        counts["first"] += entry["attempt"] == 0
        counts["first_accepted"] += entry["attempt"] == 0 and bool(entry.get("row"))
        if entry.get("row"):
            counts[entry["row"]["origin"]] += 1
    names = ("first", "first_accepted", *ORIGINS)
    return [{"type": kind, **{name: counts[name] for name in names}} for kind, counts in sorted(found.items())]


def coverage(rows: Iterable[Row], items: Iterable[Item], lexicon: Lexicon) -> list[dict[str, Any]]:
    """Return how many pairs state each value of each attribute, and how many cells have it; the rarest first."""
    stated: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        for name, value in {(use["name"], use["value"]) for use in row["uses"]}:
            stated[name, value, side(row["split_upstream"])] += 1
    cells = {item.cell.sample_id: item.cell for item in items}
    has: Counter[tuple[str, str | None]] = Counter()
    names = {**lexicon.values, "label": lexicon.labels}
    for cell in cells.values():
        has.update((name, cell.record.value(name)) for name in names)
    found = [
        {
            "attribute": name,
            "value": value,
            "train": stated[name, value, "train"],
            "test": stated[name, value, "test"],
            "cells": has[name, value],
        }
        for name, values in names.items()
        for value in values
    ]
    return sorted(found, key=lambda one: (one["train"] + one["test"], one["attribute"], one["value"]))


def leaks(rows: Sequence[Row], items: Iterable[Item]) -> list[dict[str, Any]]:
    """Return, for both splits, how much of the test side is known from training: pictures, facts, texts."""
    vectors = {item.id: item.cell.vector for item in items}
    found = []
    for name, column in (("WBCAtt's own", "split_upstream"), ("hard", "split_hard")):
        test = [row for row in rows if row[column] == "test"]
        train = [row for row in rows if row[column] == "train"]
        keys: dict[str, Callable[[Row], Any]] = {
            "pictures": lambda row: row["image"],
            "facts": lambda row: vectors[row["question_id"]],
            "question and answer": lambda row: (row["question"], row["answer"]),
        }
        shares = {}
        for what, key in keys.items():
            seen = {key(row) for row in train}
            shares[what] = sum(key(row) in seen for row in test) / len(test) if test else 0.0
        found.append({"split": name, "train": len(train), "test": len(test), "shares": shares})
    return found


def throughput(sessions: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the sessions with their rates."""
    found = []
    for one in sessions:
        seconds = max(float(one["seconds"]), 1e-9)
        engine = max(float(one["engine_seconds"]), 1e-9)
        found.append(
            {
                **one,
                "per_second": one["replies"] / seconds,
                "tokens_per_second": one["tokens_out"] / engine,
                "engine_share": min(one["engine_seconds"] / seconds, 1.0),
                "cached_share": one["tokens_cached"] / one["tokens_in"] if one["tokens_in"] else 0.0,
            }
        )
    return found
