"""One run: plan -> prompt -> engine -> parse -> check -> repair or template -> journal -> raw tree."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

from hemadata.errors import HemaError

from hemasynth import prompt
from hemasynth.engines.base import Engine, Reply, Request
from hemasynth.engines.template import TemplateEngine
from hemasynth.faithful import Checker
from hemasynth.journal import Entry, Journal
from hemasynth.language import english
from hemasynth.parse import Draft, RefusedError, parse
from hemasynth.plan import Cell, Item, frames_text, plan
from hemasynth.sessions import Session

BATCH = 256  # entries between two syncs of the journal: what a kill can cost

T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Attempt:
    """How freely the engine may write on one rung of the repair ladder."""

    temperature: float
    top_p: float = 0.95


LADDER = (Attempt(0.8), Attempt(0.8), Attempt(0.2))


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
    """

    engine: Engine
    seed: int = 0
    checker: Checker = field(default_factory=Checker)

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
        began = perf_counter()
        items = plan(cells, self.checker.lexicon, self.seed, limit)[shard[0] - 1 :: shard[1]]
        keys = self._keys(items)
        decided, refused = self._resume(items, keys, journal.entries)
        pending = [item for item in items if item.id not in decided]
        try:
            if pending:
                self._start()
            for number, attempt in enumerate(LADDER):
                requests = (
                    self._request(item, number, attempt, refused.get(item.id, []))
                    for item in pending
                    if len(refused.get(item.id, [])) == number  # more: an earlier run was refused on this rung
                )
                for batch in _batches(self.session.watch(self.engine.generate(requests))):
                    entries = [self._entry(reply, keys[reply.request.item.id]) for reply in batch]
                    journal.append(entries)
                    self._note(entries, decided, refused)
                    if progress is not None:
                        progress(len(decided), len(items))
                pending = [item for item in pending if item.id not in decided]
            for last in _batches(pending):
                journal.append(self._last_resort(item, keys[item.id]) for item in last)
            self.session.ended = "done"
        except BaseException as error:
            self.session.ended = type(error).__name__
            raise
        finally:
            self.session.seconds = perf_counter() - began - self.session.start_seconds
        return self._outcome(items, keys, journal)

    def _start(self) -> None:
        began = perf_counter()
        try:
            self.engine.start()
        finally:
            self.session.start_seconds = perf_counter() - began
            self.session.version = getattr(self.engine, "version", "")

    # -- one pair ----------------------------------------------------------------------------------

    def _request(self, item: Item, number: int, attempt: Attempt, refused: Sequence[Sequence[str]]) -> Request:
        if not self.engine.needs_prompt:
            return Request(item, attempt=number)
        lexicon = self.checker.lexicon
        text = prompt.render(item, lexicon, refused[-1] if refused else ())
        last = number == len(LADDER) - 1
        schema = prompt.schema(item.topic, lexicon, item.cell.record if last else None)
        seed = (item.seed + number) % 2**31
        return Request(item, text, schema, attempt.temperature, attempt.top_p, seed, attempt=number)

    def _entry(self, reply: Reply, key: str) -> Entry:
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
        by_template = self.engine.name == "template" or (self.engine.name == "replay" and writer == "template")
        origin = "template" if by_template else ("model_repaired" if number else "model")
        return {**entry, "row": _row(item, draft, origin, writer)}

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

    def _last_resort(self, item: Item, key: str) -> Entry:
        """Write from frames what the engine could not; without a row where even that is refused."""
        number = len(LADDER)
        reply = next(self._fallback.generate([Request(item, attempt=number)]))
        draft = parse(reply.text)
        entry = {"id": item.id, "key": key, "attempt": number}
        gates = self._gates(item, draft)
        row = None if gates else _row(item, draft, "template", self._fallback.model)
        return {**entry, "row": row, "gates": gates}

    # -- the journal -------------------------------------------------------------------------------

    def _keys(self, items: Iterable[Item]) -> dict[str, str]:
        return keys(items, self.settings())

    def _resume(
        self, items: Sequence[Item], keys: dict[str, str], entries: Iterable[Entry]
    ) -> tuple[set[str], dict[str, list[Sequence[str]]]]:
        """Return the ids that an earlier run decided, and the refusals of the others."""
        decided: set[str] = set()
        refused: dict[str, list[Sequence[str]]] = {}
        self._note((entry for entry in entries if keys.get(entry["id"]) == entry["key"]), decided, refused)
        return decided, refused

    @staticmethod
    def _note(entries: Iterable[Entry], decided: set[str], refused: dict[str, list[Sequence[str]]]) -> None:
        for entry in entries:
            if "row" in entry:
                decided.add(entry["id"])
            else:
                refused.setdefault(entry["id"], []).append(entry["gates"])

    def _outcome(self, items: Sequence[Item], keys: dict[str, str], journal: Journal) -> Outcome:
        entries = [entry for entry in journal.entries if keys.get(entry["id"]) == entry["key"]]
        pairs = sorted((entry["row"] for entry in entries if entry.get("row")), key=lambda row: str(row["question_id"]))
        counts = {
            "cells": len({item.cell.sample_id for item in items}),
            "planned": len(items),
            "pairs": len(pairs),
            "refused": len(items) - len(pairs),
            "question_type": _count(row["question_type"] for row in pairs),
            "origin": _count(row["origin"] for row in pairs),
            "refusals": _count(gate for entry in entries for gate in entry.get("gates", ())),
        }
        return Outcome({**self.settings(), "counts": counts}, pairs)


def keys(items: Iterable[Item], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return a hash per item of all that its text depends on: a changed record or setting is written anew.

    Args:
        items: of the plan.
        settings: `Run.settings`, or `run.json` without its counts.
    """
    common = json.dumps(dict(settings), sort_keys=True)
    texts = {
        item.id: f"{common}{item.cell.vector}{item.topic}{item.turn}{item.seed}{item.split_hard}" for item in items
    }
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in texts.items()}


def _row(item: Item, draft: Draft, origin: str, generated_by: str) -> dict[str, Any]:
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
        "origin": origin,
        "generated_by": generated_by,
        "split_upstream": item.cell.split_upstream,
        "split_hard": item.split_hard,
    }


def _batches(replies: Iterable[T]) -> Iterator[list[T]]:
    batch: list[T] = []
    failed: BaseException | None = None
    try:
        for reply in replies:
            batch.append(reply)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except (HemaError, KeyboardInterrupt) as error:
        failed = error  # what came before it is kept
    if batch:
        yield batch
    if failed is not None:
        raise failed


def _count(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))


def journal_path(raw: Path, slug: str) -> Path:
    """Return the place of a set's journal: beside the raw tree."""
    return raw / slug / ".hemasynth" / "journal.jsonl"
