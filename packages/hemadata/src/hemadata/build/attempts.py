"""Tries at units: a folder of its own for each, so that two machines at the same unit share no file.

A folder holds shards, index rows and, written last, the record that says it is done; `finish` gives the shards their
place. A try that was presumed dead and is not can write where it likes: nothing reads it, or it says the same.
"""

import contextlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from hemadata.build.records import Shard, UnitRecord, file_hash

RECORD = "record.json"


def state_folder(corpus: Path, source: str) -> Path:
    """Where tries are kept until the whole source is done; made by whoever holds the source's lock, never by a unit."""
    return corpus / ".building" / source


@contextlib.contextmanager
def attempt(corpus: Path, source: str, bucket: int) -> Iterator[Path]:
    """A new folder for one try at a unit; gone again where the try fails.

    Raises:
        FileNotFoundError: the source was finished meanwhile, so that nobody waits for this unit any more.
    """
    folder = state_folder(corpus, source) / f"{bucket:02x}-{uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def staged(folder: Path, shard: str) -> Path:
    """Where a try leaves a shard."""
    return folder / shard.rpartition("/")[2]


def index_part(folder: Path) -> Path:
    """Where a try leaves its rows of the index."""
    return folder / "index.arrow"


def read_part(folder: Path) -> list[pa.Table]:
    """What a try has left for `finish`: index rows and thumbnails, a table for each of its shards.

    Raises:
        OSError, ArrowException: it is not there, or was cut by a power failure.
    """
    with pa.memory_map(str(index_part(folder))) as file, pa.ipc.open_file(file) as part:
        return [pa.Table.from_batches([part.get_batch(number)]) for number in range(part.num_record_batches)]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A try that came to its end; `record` is None where a power failure cut it."""

    folder: Path
    record: UnitRecord | None

    def is_whole(self, corpus: Path) -> bool:
        """Whether its rows and all its shards are there: in its folder, or where a stopped `finish` has put them."""
        if self.record is None:
            return False
        try:
            rows = sum(table.num_rows for table in read_part(self.folder))
        except (OSError, pa.ArrowException):  # cut by a power failure
            return False
        return rows == sum(shard.rows for shard in self.record.shards) and all(
            self._holds(corpus, shard) for shard in self.record.shards
        )

    def _holds(self, corpus: Path, shard: Shard) -> bool:
        if is_there(staged(self.folder, shard.path), shard):
            return True
        # In its place may lie what another try has put there since; its size alone would not tell.
        return is_there(corpus / shard.path, shard) and file_hash(corpus / shard.path) == shard.xxh3


def is_there(path: Path, shard: Shard) -> bool:
    """Whether a file of the shard's size lies there."""
    return path.exists() and path.stat().st_size == shard.bytes


def attempts(corpus: Path, source: str) -> dict[int, list[Attempt]]:
    """Bucket -> tries of an unfinished run that came to their end, the newest last."""
    found: dict[int, list[tuple[int, str, Attempt]]] = defaultdict(list)
    for path in state_folder(corpus, source).glob(f"*-*/{RECORD}"):
        record = None
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            record = UnitRecord.from_dict(json.loads(path.read_text(encoding="utf-8")))
        bucket = int(path.parent.name.partition("-")[0], 16)
        found[bucket].append((path.stat().st_mtime_ns, path.parent.name, Attempt(path.parent, record)))
    return {bucket: [attempt for *_, attempt in sorted(found[bucket], key=lambda t: t[:2])] for bucket in sorted(found)}


def clear(corpus: Path, source: str) -> None:
    """Remove all tries of a source at once: a stop in the middle leaves nothing that looks like one."""
    state = state_folder(corpus, source)
    with contextlib.suppress(FileNotFoundError):
        state.rename(state.with_name(f"{_gone(source)}{uuid4().hex}"))
    sweep(corpus, source)


def sweep(corpus: Path, source: str) -> None:
    """Remove what a stopped `clear` has left."""
    folder = state_folder(corpus, source).parent
    for left in folder.glob(f"{_gone(source)}*"):
        shutil.rmtree(left, ignore_errors=True)
    with contextlib.suppress(OSError):  # another source may still be at work there
        folder.rmdir()


def _gone(source: str) -> str:
    return f".{source}-done-"
