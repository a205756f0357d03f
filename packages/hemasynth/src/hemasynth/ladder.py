"""The repair ladder, the same for every task: ask, judge, ask again with the reason, then templates; all journalled."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, TypeVar

from hemadata.errors import HemaError

from hemasynth.engines.base import Engine, Reply, Request
from hemasynth.journal import Entry, Journal
from hemasynth.sessions import Session

BATCH = 256  # entries between two syncs of the journal: what a kill can cost

T = TypeVar("T")
Progress = Callable[[int, int], None]
Gates = Sequence[str]


@dataclass(frozen=True)
class Attempt:
    """How freely the engine may write on one rung of the repair ladder."""

    temperature: float
    top_p: float = 0.95


LADDER = (Attempt(0.8), Attempt(0.8), Attempt(0.2))


class Planned(Protocol):
    """An item of a plan."""

    @property
    def id(self) -> str:
        """Its name, in journal and result."""


class Task(Protocol):
    """What a task tells the ladder: how its items are asked for, judged, and written when all else fails."""

    engine: Engine
    session: Session

    def request(self, item: Any, number: int, attempt: Attempt, refused: Sequence[Gates]) -> Request:
        """Return the request for an item on a rung, given the gates that refused it before."""

    def entry(self, reply: Reply, key: str) -> Entry:
        """Judge a reply: an entry with its row, or with the gates that refuse it."""

    def last_resort(self, item: Any, key: str) -> Entry:
        """Write from frames what the engine could not; without a row where even that is refused."""


def climb(
    task: Task, items: Sequence[Any], keys: Mapping[str, str], journal: Journal, progress: Progress | None = None
) -> None:
    """Bring every item to a decision in the journal; what an earlier run decided with the same key is kept.

    Args:
        task: asks and judges.
        items: of the plan, with an `id`.
        keys: per id, a hash of all that its text depends on.
        journal: open.
        progress: told how many items are decided, and of how many.

    Raises:
        EngineMissingError, EngineError: the engine fails; the journal keeps what was done.
    """
    began, session = perf_counter(), task.session
    decided: set[str] = set()
    refused: dict[str, list[Gates]] = {}
    _note(valid(journal.entries, keys), decided, refused)
    pending = [item for item in items if item.id not in decided]
    try:
        if pending:
            _start(task)
        for number, attempt in enumerate(LADDER):
            requests = (
                task.request(item, number, attempt, refused.get(item.id, []))
                for item in pending
                if len(refused.get(item.id, [])) == number  # more: an earlier run was refused on this rung
            )
            for batch in _batches(session.watch(task.engine.generate(requests))):
                entries = [task.entry(reply, keys[reply.request.item.id]) for reply in batch]
                journal.append(entries)
                _note(entries, decided, refused)
                if progress is not None:
                    progress(len(decided), len(items))
            pending = [item for item in pending if item.id not in decided]
        for last in _batches(pending):
            journal.append(task.last_resort(item, keys[item.id]) for item in last)
        session.ended = "done"
    except BaseException as error:
        session.ended = type(error).__name__
        raise
    finally:
        session.seconds = perf_counter() - began - session.start_seconds


def valid(entries: Iterable[Entry], keys: Mapping[str, str]) -> list[Entry]:
    """Return the entries that were written for these very items and settings."""
    return [entry for entry in entries if keys.get(entry["id"]) == entry["key"]]


def hashed(texts: Iterable[tuple[str, str]], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return a key per id from a text of all that its result depends on, besides the settings of the run."""
    common = json.dumps(dict(settings), sort_keys=True)
    return {name: hashlib.sha256(f"{common}{text}".encode()).hexdigest()[:16] for name, text in texts}


def origin(engine: Engine, writer: str, number: int) -> str:
    """Return where an accepted text comes from: "model", "model_repaired" or "template"."""
    if engine.name == "template" or (engine.name == "replay" and writer == "template"):
        return "template"
    return "model_repaired" if number else "model"


def counted(words: Iterable[str]) -> dict[str, int]:
    """Return how often each word stands there, in the order of the words."""
    return dict(sorted(Counter(words).items()))


def journal_path(raw: Path, slug: str) -> Path:
    """Return the place of a set's journal: beside the raw tree."""
    return raw / slug / ".hemasynth" / "journal.jsonl"


def _start(task: Task) -> None:
    began = perf_counter()
    try:
        task.engine.start()
    finally:
        task.session.start_seconds = perf_counter() - began
        task.session.version = getattr(task.engine, "version", "")


def _note(entries: Iterable[Entry], decided: set[str], refused: dict[str, list[Gates]]) -> None:
    for entry in entries:
        if "row" in entry:
            decided.add(entry["id"])
        else:
            refused.setdefault(entry["id"], []).append(entry["gates"])


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
