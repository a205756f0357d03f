"""Folders that are filled in secret: an output that is seen whole or not at all, a place to work that goes again."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hemadata.errors import HemaError, UsageError


@contextmanager
def scratch(place: Path, busy: HemaError) -> Iterator[Path]:
    """An empty folder inside `place`, which one process at a time has; all of `place` is removed at the end.

    What a killed run has left there is removed before.

    Args:
        place: made where it is not there.
        busy: raised where another process has it.
    """
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise busy from None
    try:
        content = place / "content"
        shutil.rmtree(content, ignore_errors=True)
        content.mkdir()
        yield content
    finally:
        shutil.rmtree(place, ignore_errors=True)
        lock.release()


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to fill; it gets its name when the block ends without an error, else it is removed.

    Args:
        out: the name; it must not be there yet, or be empty.

    Raises:
        UsageError: something is there, or another process is writing it.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link that the user named
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is there already. Choose another --out, or remove it first.")
    busy = UsageError(f"{out} is being written by another process. Wait for it, or choose another --out.")
    with scratch(out.with_name(f".{out.name}.partial"), busy) as content:
        yield content
        content.replace(out)  # not forced to disk: after a power failure the export is made again
