"""Answers from the journal of an earlier run: the same texts, parsed and checked again."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from hemasynth.engines.base import Reply, Request
from hemasynth.errors import EngineMissingError
from hemasynth.journal import Entry, read


class ReplayEngine:
    """Gives what a journal holds; a request that it does not hold is answered with an empty text.

    Args:
        path: the journal, `raw/<set>/.hemasynth/journal.jsonl` of the earlier run.
    """

    name = "replay"
    needs_prompt = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = "replay"
        self._entries: dict[tuple[str, int], Entry] = {}

    def start(self) -> None:
        """Read the journal.

        Raises:
            EngineMissingError: there is none.
            JournalError: it is damaged.
        """
        if not self.path.is_file():
            raise EngineMissingError(f"There is no journal {self.path} to replay; give --journal FILE.")
        entries, _ = read(self.path)
        self._entries = {(entry["id"], entry["attempt"]): entry for entry in entries}

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield the replies in the order of the requests."""
        for request in requests:
            entry = self._entries.get((request.item.id, request.attempt), {})
            row = entry.get("row")
            text = _text(row) if row else entry.get("text", "")
            yield Reply(
                request,
                text,
                entry.get("finish_reason", "stop"),
                row["generated_by"] if row else self.model,
                entry.get("tokens_in", 0),
                entry.get("tokens_out", 0),
                entry.get("tokens_cached", 0),
            )


def _text(row: Entry) -> str:
    """Return an accepted row as the reply it was made from."""
    if "text" in row:
        return json.dumps({"cell_types": [], "sentence": row["text"]})
    uses = [{"attribute": use["name"], "value": use["value"]} for use in row["uses"]]
    return json.dumps({"uses": uses, "question": row["question"], "answer": row["answer"]})
