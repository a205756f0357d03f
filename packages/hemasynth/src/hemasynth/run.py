"""One run: plan -> prompt -> engine -> parse -> check -> repair or template -> journal -> raw tree."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from hemasynth import prompt
from hemasynth.engines.base import Engine, Reply, Request
from hemasynth.engines.template import TemplateEngine
from hemasynth.faithful import Checker
from hemasynth.journal import Entry, Journal
from hemasynth.ladder import LADDER, Attempt, Gates, Progress, climb, counted, hashed, origin, valid
from hemasynth.language import english
from hemasynth.parse import Draft, RefusedError, parse
from hemasynth.plan import Cell, Item, frames_text, plan
from hemasynth.sessions import Session


@dataclass
class Outcome:
    """What a run wrote.

    Attributes:
        run: the content of `run.json`.
        pairs: the rows of `pairs.parquet`, sorted by `question_id`.
    """

    run: dict[str, Any]
    pairs: list[dict[str, Any]] = field(repr=False)

    @property
    def refused(self) -> int:
        """Number of planned pairs that no attempt could write faithfully."""
        return int(self.run["counts"]["refused"])


@dataclass
class Run:
    """Everything that decides what is written.

    Args:
        engine: writes.
        seed: of the plan and of every request.
        checker: refuses.
        times: so many times the paper's number of pairs.
    """

    engine: Engine
    seed: int = 0
    checker: Checker = field(default_factory=Checker)
    times: int = 1

    def __post_init__(self) -> None:
        self._fallback = TemplateEngine(self.checker.lexicon.name)
        self.session = Session(self.engine.name, self.engine.model)

    def settings(self) -> dict[str, Any]:
        """Return what two runs must share to write the same pairs: part of `run.json` and of every journal key."""
        lexicon = self.checker.lexicon
        frames = hashlib.sha256(frames_text(lexicon.name).encode()).hexdigest()[:16]
        return {
            "source": lexicon.name,
            "engine": self.engine.name,
            "model": self.engine.model,
            "revision": getattr(self.engine, "revision", None),
            "weights": getattr(self.engine, "weights", None),
            "constraint": getattr(self.engine, "constraint", None),
            "seed": self.seed,
            "times": self.times,
            "versions": {"hemasynth": version("hemasynth")},
            "lexicon": lexicon.digest,
            "templates": frames,
            "prompt": prompt.digest(lexicon) if self.engine.needs_prompt else None,
            "ladder": [vars(attempt) for attempt in LADDER],
        }

    def write(
        self,
        cells: Iterable[Cell],
        journal: Journal,
        limit: int | None = None,
        progress: Progress | None = None,
        shard: tuple[int, int] = (1, 1),
    ) -> Outcome:
        """Write the pairs of all cells into the journal, and return them from there.

        Args:
            cells: what is described.
            journal: open; entries of an earlier run with the same settings are kept and not written again.
            limit: only so many cells.
            progress: told how many pairs are decided, and of how many.
            shard: (k, n): only every n-th pair from the k-th on, for n processes with a journal each.

        Raises:
            EngineMissingError, EngineError: the engine fails; the journal keeps what was done.
        """
        items = plan(cells, self.checker.lexicon, self.seed, limit, self.times)[shard[0] - 1 :: shard[1]]
        found = keys(items, self.settings())
        climb(self, items, found, journal, progress)
        return self._outcome(items, found, journal)

    # -- one pair ----------------------------------------------------------------------------------

    def request(self, item: Item, number: int, attempt: Attempt, refused: Sequence[Gates]) -> Request:
        """Return the request for a pair on a rung of the ladder."""
        if not self.engine.needs_prompt:
            return Request(item, attempt=number)
        lexicon = self.checker.lexicon
        text = prompt.render(item, lexicon, refused[-1] if refused else ())
        last = number == len(LADDER) - 1
        schema = prompt.schema(item.topic, lexicon, item.cell.record if last else None)
        seed = (item.seed + number) % 2**31
        return Request(item, text, schema, attempt.temperature, attempt.top_p, seed, attempt=number)

    def entry(self, reply: Reply, key: str) -> Entry:
        """Judge a reply: an entry with its row, or with the gates that refuse it."""
        item, number = reply.request.item, reply.request.attempt
        entry = {"id": item.id, "key": key, "attempt": number}
        entry |= {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out}
        refused = {"text": reply.text, "finish_reason": reply.finish_reason}  # kept, so that `replay` can judge it anew
        try:
            draft = parse(reply.text, reply.finish_reason)
        except RefusedError as error:
            return {**entry, **refused, "gates": [error.gate]}
        gates = self._gates(item, draft)
        if gates:
            return {**entry, **refused, "gates": gates}
        writer = reply.model or self.engine.model
        return {**entry, "row": _row(item, draft, origin(self.engine, writer, number), writer)}

    def _gates(self, item: Item, draft: Draft) -> list[str]:
        uses = [(use.attribute, use.value) for use in draft.uses]
        report = self.checker.pair(item.cell.record, draft.question, draft.answer, item.topic.asked, uses)
        gates = list(report.gates)
        if not {name for name, _ in uses} >= set(item.topic.uses) and "uses" not in gates:
            gates.append("uses")
        if "language" not in gates and not all(
            english(text, self.checker.lexicon) for text in (draft.question, draft.answer)
        ):
            gates.append("language")
        return gates

    def last_resort(self, item: Item, key: str) -> Entry:
        """Write from frames what the engine could not; without a row where even that is refused."""
        number = len(LADDER)
        reply = next(self._fallback.generate([Request(item, attempt=number)]))
        draft = parse(reply.text)
        entry = {"id": item.id, "key": key, "attempt": number}
        gates = self._gates(item, draft)
        row = None if gates else _row(item, draft, "template", self._fallback.model)
        return {**entry, "row": row, "gates": gates}

    def _outcome(self, items: Sequence[Item], keys: dict[str, str], journal: Journal) -> Outcome:
        entries = valid(journal.entries, keys)
        pairs = sorted((entry["row"] for entry in entries if entry.get("row")), key=lambda row: str(row["question_id"]))
        counts = {
            "cells": len({item.cell.sample_id for item in items}),
            "planned": len(items),
            "pairs": len(pairs),
            "refused": len(items) - len(pairs),
            "question_type": counted(row["question_type"] for row in pairs),
            "origin": counted(row["origin"] for row in pairs),
            "refusals": counted(gate for entry in entries for gate in entry.get("gates", ())),
        }
        return Outcome({**self.settings(), "counts": counts}, pairs)


def keys(items: Iterable[Item], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return a hash per item of all that its text depends on: a changed record or setting is written anew.

    Args:
        items: of the plan.
        settings: `Run.settings`, or `run.json` without its counts.
    """
    return hashed(
        ((item.id, f"{item.cell.vector}{item.topic}{item.turn}{item.seed}{item.split_hard}") for item in items),
        settings,
    )


def _row(item: Item, draft: Draft, written: str, generated_by: str) -> dict[str, Any]:
    topic = item.topic
    return {
        "image": item.cell.image,
        "cell_id": item.cell.sample_id,
        "question_id": item.id,
        "question": draft.question,
        "answer": draft.answer,
        "question_type": topic.question_type,
        "attribute": topic.asked,
        "uses": [{"name": use.attribute, "value": use.value} for use in draft.uses],
        "answer_type": "closed" if topic.question_type == "yes_no" else "open",
        "origin": written,
        "generated_by": generated_by,
        "split_upstream": item.cell.split_upstream,
        "split_hard": item.split_hard,
    }
