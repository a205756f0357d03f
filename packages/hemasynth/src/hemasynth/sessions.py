"""What each call did and how long it took: beside the journal, because runs that differ only in time are equal."""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

from hemasynth.engines.base import Reply

NAME = "sessions.jsonl"


@dataclass
class Session:
    """Counts of one call.

    Attributes:
        engine, model, version: what wrote.
        seconds: from the start to the end of the run.
        engine_seconds: of these, spent waiting for replies; the rest is planning, checking and writing.
        start_seconds: loading the model and the canary; not a part of `seconds`.
    """

    engine: str
    model: str
    version: str = ""
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    seconds: float = 0.0
    start_seconds: float = 0.0
    engine_seconds: float = 0.0
    replies: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    ended: str = "running"

    def watch(self, replies: Iterable[Reply]) -> Iterator[Reply]:
        """Pass replies on, and count them and the time waited for them."""
        source = iter(replies)
        while True:
            start = perf_counter()
            try:
                reply = next(source)
            except StopIteration:
                return
            finally:
                self.engine_seconds += perf_counter() - start
            self.replies += 1
            self.tokens_in += reply.tokens_in
            self.tokens_out += reply.tokens_out
            self.tokens_cached += reply.tokens_cached
            yield reply


def append(path: Path, session: Session) -> None:
    """Add a session to a file, in one write."""
    line = json.dumps(
        {**asdict(session), **{n: round(v, 3) for n, v in asdict(session).items() if isinstance(v, float)}}
    )
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(file, line.encode() + b"\n")
    finally:
        os.close(file)


def read(path: Path) -> list[dict[str, Any]]:
    """Return the sessions of a file; a torn line is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
