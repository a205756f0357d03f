"""An output folder that is seen whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hemadata.errors import UsageError


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """A folder to fill; it gets its name when the block ends without an error, else it is removed.

    What a killed run has left is removed by the next one.

    Args:
        out: the name; it must not be there yet, or be empty.

    Raises:
        UsageError: something is there, or another process is writing it.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link that the user named
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} is there already. Choose another --out, or remove it first.")
    partial = out.with_name(f".{out.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    lock = FileLock(partial / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UsageError(f"{out} is being written by another process. Wait for it, or choose another --out.") from None
    try:
        content = partial / "content"
        shutil.rmtree(content, ignore_errors=True)
        content.mkdir()
        yield content
        content.replace(out)  # not forced to disk: after a power failure the export is made again
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        lock.release()
