"""A file that is on its way: its bytes so far, and what the server said about the whole, so that it can go on later."""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hemadata.atomic import publish, write_text


@dataclass(frozen=True, slots=True)
class Told:
    """What a server told about a file.

    Args:
        link: where it was asked.
        total: bytes of the whole; None: not told.
        validator: strong ETag, else Last-Modified; None: a changed file could not be told from the old one.
    """

    link: str
    total: int | None
    validator: str | None


class Partial:
    """The unfinished part of one file, under a name that no reader takes for data.

    Args:
        target: the name that the whole file will get.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def told(self) -> Told | None:
        """What was written down when the part was begun; None where nothing can go on from it."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            return Told(note["link"], note["total"], note["validator"]) if self.size else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def begin(self, told: Told) -> None:
        """Throw away what is there and remember what the server told."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        write_text(self._note, json.dumps(asdict(told)), durable=False)

    def discard(self) -> None:
        """Remove every trace."""
        for path in (self.path, self._note):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()

    def finish(self) -> None:
        """Give the whole file its name, durably."""
        publish({self.path: self.target})
        self.discard()
