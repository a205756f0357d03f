"""The journal: append-only, a checksum on every line, one writer. What is in it is never asked for again."""

import json
import os
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

from filelock import FileLock, Timeout

from hemasynth.errors import JournalError

Entry = Mapping[str, Any]


class Journal:
    """A file of entries, each one JSON object on a line `{"crc": "…", "entry": {…}}`.

    Use it as a context: it is locked and read on entry, and a line torn by a kill is cut off.

    Args:
        path: the file, made where it is not.

    Attributes:
        entries: everything that was written, in order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self._lock = FileLock(path.with_suffix(".lock"))
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise JournalError(f"Another hemasynth is writing {self.path}. Wait for it, or end it first.") from error
        except OSError as error:
            raise JournalError(
                f"{self.path.parent} cannot be written ({error.strerror}). Name another folder with --out."
            ) from error
        try:
            self.entries, good = read(self.path)
            self._file = self.path.open("ab", buffering=0)  # what a failed write left must not come later
            self._file.truncate(good)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        self._lock.release()

    def append(self, entries: Iterable[Entry]) -> None:
        """Write entries and bring them to the disk.

        Raises:
            JournalError: the disk did not take them; the file is as before.
        """
        if self._file is None:
            raise JournalError(f"{self.path} is not open.")
        entries = list(entries)
        size = os.fstat(self._file.fileno()).st_size
        rest = memoryview(b"".join(_line(entry) for entry in entries))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(size)
            raise JournalError(
                f"{self.path} cannot be written ({error.strerror}). What it held before is safe; run again."
            ) from error
        self.entries += entries

    def adopt(self) -> int:
        """Take over what processes with a shard each have written beside this journal; returns how many entries.

        Raises:
            JournalError: one of them is still writing, or its journal is damaged.
        """
        known = {_line(entry) for entry in self.entries}
        taken = 0
        for path in sorted(self.path.parent.glob(f"{self.path.stem}.*-of-*{self.path.suffix}")):
            with Journal(path) as shard:
                new = [entry for entry in shard.entries if _line(entry) not in known]
            self.append(new)
            taken += len(new)
        return taken


def shard_path(path: Path, shard: tuple[int, int]) -> Path:
    """Return the journal of one of n processes, beside the common one."""
    return path.with_name(f"{path.stem}.{shard[0]}-of-{shard[1]}{path.suffix}") if shard[1] > 1 else path


def read(path: Path) -> tuple[list[Entry], int]:
    """Return the entries of a journal and the length of its good part in bytes.

    Raises:
        JournalError: a line before the last is damaged; only the last can be torn by a kill.
    """
    if not path.exists():
        return [], 0
    lines = path.read_bytes().splitlines(keepends=True)
    entries: list[Entry] = []
    good = 0
    for number, line in enumerate(lines, start=1):
        entry = _entry(line)
        if entry is None and number < len(lines):
            raise JournalError(
                f"{path}, line {number}: the checksum is wrong, and it is not the last line.\n"
                "Something else has changed the file. Restore it, or delete it to write all pairs again."
            )
        if entry is not None:
            entries.append(entry)
            good += len(line)
    return entries, good


def _line(entry: Entry) -> bytes:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return f'{{"crc":"{crc32(text.encode()):08x}","entry":{text}}}\n'.encode()


def _entry(line: bytes) -> Entry | None:
    body = line[len(b'{"crc":"00000000","entry":') : -len(b"}\n")]
    if not line.endswith(b"}\n") or not line.startswith(b'{"crc":"%08x","entry":' % crc32(body)):
        return None
    entry: Entry = json.loads(body)
    return entry
