"""Watching a raw folder fill up: what has arrived, what is missing, and when the source is complete."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hemadata.audit.raw import RawReport, inspect
from hemadata.errors import InputMissingError
from hemadata.fetch.wanted import owners
from hemadata.formats import streams
from hemadata.sources.base import Source

State = tuple[tuple[str, int, int], ...]
"""Folder, number of files, bytes of all: what changes while files arrive."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What has arrived of a source so far.

    Args:
        files: number in its raw folders.
        bytes: of all of them.
        images: that its reader finds.
        missing: what keeps the source from being complete, in sentences; empty: it is complete.
    """

    files: int
    bytes: int
    images: int
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether a build would find everything."""
        return not self.missing


def arrival(source: Source, root: Path) -> Arrival:
    """Read the raw folders once.

    Args:
        source: of which.
        root: folder with one raw folder per slug.
    """
    state = _state(source, root)
    files, size = sum(entry[1] for entry in state), sum(entry[2] for entry in state)
    if absent := [folder for folder, count, _ in state if count == 0]:
        return Arrival(files, size, 0, tuple(f"{root / folder} is empty or not there" for folder in absent))
    try:
        report = inspect(source, [root])
    except InputMissingError as error:
        return Arrival(files, size, 0, (str(error).splitlines()[0],))
    return Arrival(files, size, report.images, tuple(_missing(source, root, report)))


def watch(
    source: Source,
    root: Path,
    tell: Callable[[str], None],
    every: float = 5.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Arrival:
    """Wait until a source is complete; tells what is missing each time that files have come and settled.

    Args:
        source: of which.
        root: folder with one raw folder per slug.
        tell: told a line when something changes.
        every: seconds between two looks.
        sleep: how the time is spent.
    """
    before, read = None, None
    while True:
        state = _state(source, root)
        # A tree is read when it has not changed between two looks: reading it while files come would be in vain.
        if state != read and state == before:
            read, found = state, arrival(source, root)
            if found.is_complete:
                return found
            tell(f"{found.files:,} files, {found.bytes:,} bytes; missing: {'; '.join(found.missing)}")
        elif state != before:
            tell(f"{sum(entry[1] for entry in state):,} files, {sum(entry[2] for entry in state):,} bytes")
        before = state
        sleep(every)


def _missing(source: Source, root: Path, report: RawReport) -> Iterator[str]:
    declared = [
        root / folder / download.file
        for folder, owner in owners(source)
        for download in owner.facts.download
        if download.file and not download.optional
    ]
    # Archives that cannot be read in place are unpacked by the build: here it counts that they are all there.
    needs_build = any(path.name.lower().endswith(streams.ENDINGS) for path in declared)
    is_packed = needs_build and all(path.exists() for path in declared)
    for deviation in report.deviations:
        if deviation.rule in ("size", "unfinished") or (deviation.rule == "layout" and not is_packed):
            yield f"{deviation.where}: {deviation.found}"
    if report.expected is not None and 0 < report.images < report.expected:
        yield f"{report.images:,} of {report.expected:,} images are there"
    if report.images == 0:
        yield from (f"{path} is not there" for path in declared if not path.exists())


def _state(source: Source, root: Path) -> State:
    return tuple((folder, *_files_and_bytes(root / folder)) for folder in source.facts.raw_folders)


def _files_and_bytes(folder: Path) -> tuple[int, int]:
    """Number and bytes of the files below a folder, names that begin with a dot left out."""
    files = size = 0
    for top, _, names in os.walk(folder):
        for name in names:
            if not name.startswith("."):
                files += 1
                try:
                    size += os.stat(os.path.join(top, name)).st_size  # noqa: PTH116, PTH118 - half a million files
                except OSError:  # a temporary name that has gone
                    continue
    return files, size
