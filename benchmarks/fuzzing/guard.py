"""What must hold while hostile input is read: own errors, no write outside, bounded memory and time."""

import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MEMORY = 4 << 30  # bytes of address space above what the process has when it begins
SECONDS = 20.0  # of the processor, for one input
WAITING = 120.0  # seconds that an input may wait for the rest of the machine
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "shutil.rmtree")


class Breach(AssertionError):
    """Something that must hold did not."""


class Box:
    """A folder that hostile input is read in.

    `raw` holds the input, `out` is where hemadata may write, `outside` is where it may not.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.raw, self.out, self.outside, self.tmp = (folder / name for name in ("raw", "out", "outside", "tmp"))

    def clean(self) -> None:
        """Make it new."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for path in (self.raw, self.outside, self.tmp):
            path.mkdir(parents=True)
        (self.outside / "keep.txt").write_text("not to be touched")
        os.mkfifo(self.outside / "pipe")

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Nothing but `out` and `tmp` may change meanwhile.

        Raises:
            Breach: something else did, or was about to.
        """
        before, was = self._listing(), tempfile.tempdir
        tempfile.tempdir, _watched[:] = str(self.tmp), [str(self.folder.resolve())]
        try:
            yield
        finally:
            tempfile.tempdir, found = was, list(_breaches)
            _watched.clear()
            _breaches.clear()
        if found:
            raise Breach(f"written outside: {found[:3]}")
        if (after := self._listing()) != before:
            raise Breach(f"changed: {sorted(before ^ after, key=str)[:6]}")

    def _listing(self) -> set[tuple[str, int, int, int]]:
        found = set()
        for top, folders, names in os.walk(self.folder):
            if Path(top) == self.folder:
                folders[:] = [name for name in folders if name not in ("out", "tmp")]
            for name in [*folders, *names]:
                path = Path(top) / name
                status = path.lstat()
                if name not in ("out", "tmp"):
                    is_file = not path.is_dir() or path.is_symlink()
                    found.add((str(path), status.st_mode, status.st_size if is_file else 0, status.st_mtime_ns))
        return found


_watched: list[str] = []
_breaches: list[str] = []


def _hook(event: str, words: tuple[Any, ...]) -> None:
    """Notes every write by Python outside the watched folder; what C++ writes, the listing tells."""
    if not _watched:
        return
    if event == "open":
        path, _, flags = words
        if not (isinstance(flags, int) and flags & WRITING):
            return
    elif event in CHANGING:
        if event in ("os.remove", "os.rmdir") and words[1] != -1:  # relative to a folder that rmtree has open
            return
        path = words[-1] if event in ("os.link", "os.symlink", "os.rename") and len(words) == 2 else words[0]
    else:
        return
    if isinstance(path, str | bytes | os.PathLike):
        real = os.path.realpath(os.fsdecode(path))
        if not real.startswith((_watched[0], "/dev/null", "/proc/self")):
            _breaches.append(f"{event} {real}")


_hooked: list[bool] = []


def hook() -> None:
    """Begin to look at what Python opens; cannot be taken back."""
    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_hook)


def bound_memory(extra: int = MEMORY) -> None:
    """Bound the address space of this process to what it has and so much more."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + extra, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextlib.contextmanager
def bounded_time(seconds: float = SECONDS) -> Iterator[None]:
    """Raise where one input takes more of the processor than it may, or waits for what never comes.

    C code that never returns is ended by the caller.
    """

    def too_long(number: int, _: object) -> None:
        raise Breach(f"more than {seconds:g} s" if number == signal.SIGPROF else f"waits for {WAITING:g} s")

    limits = ((signal.SIGPROF, signal.ITIMER_PROF, seconds), (signal.SIGALRM, signal.ITIMER_REAL, WAITING))
    before = [signal.signal(number, too_long) for number, _, _ in limits]
    for _, timer, limit in limits:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(limits, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)
