"""Where archives that cannot be read in place are unpacked: once, bounded, and removed when the source is done.

An archive becomes a folder named by its path, size and time, made under another name and renamed when it is whole: a
kill leaves nothing that looks finished, and the next run takes up what was. Nothing but plain files is ever written.
"""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import xxhash

from hemadata.errors import HemaError, LayoutError
from hemadata.formats import streams
from hemadata.formats.archives import Member, inside
from hemadata.formats.limits import Limits, too_much

Tell = Callable[[str], None]
RECORD = "record.json"
COPIED = 1 << 20  # bytes at a time
WORTH_TELLING = 64 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Unpacked:
    """An archive's folder, how many bytes lie in it, and what was left out of it: name and what it is."""

    folder: Path
    size: int
    left_out: list[tuple[str, str]]


@dataclass(slots=True)
class Spool:
    """The unpacked archives of one source.

    Args:
        folder: of its own; made when something is unpacked.
        tell: called with a line for a person before anything large is written.
        limits: see `Limits`.
    """

    folder: Path
    tell: Tell = lambda line: None
    limits: Limits = field(default_factory=Limits)
    _promised: dict[Path, str] = field(default_factory=dict)
    _came_out: dict[str, int] = field(default_factory=dict)  # bytes, of each archive that lies in no other

    def place(self, archive: str) -> Path:
        """Folder of an archive, there or not."""
        status = os.stat(archive)  # noqa: PTH116
        facts = f"{os.path.realpath(archive)}\n{status.st_size}\n{status.st_mtime_ns}"
        return self.folder / xxhash.xxh3_64_hexdigest(facts.encode("utf-8", "surrogateescape"))

    def promise(self, archive: str) -> Path:
        """Folder in which the members of an archive will lie after `fill`; nothing is unpacked yet."""
        place = self.place(archive)
        self._promised[place] = archive
        return place / "files"

    def fill(self) -> None:
        """Unpack what was promised."""
        for archive in self._promised.values():
            self.unpack(archive)

    def unpack(self, archive: str, outer: str | None = None) -> Unpacked:
        """Unpack an archive, or find it unpacked by an earlier run.

        Args:
            archive: to be unpacked.
            outer: the archive around all others, where this one lay in another; its size bounds what comes out of all.

        Raises:
            LayoutError: it is cut, damaged or encrypted, unpacks to more than the limits, or a member would leave it.
            HemaError: the disk has no room for it.
        """

        def write(part: Path, before: int, allowed: int) -> None:
            _write(archive, part, self.limits.files, before, allowed, self._announce)

        return self._made(self.place(archive), outer or archive, write)

    def copy(self, member: Member, outer: str) -> Path:
        """Copy an archive out of the archive that it lies in, or find it copied by an earlier run.

        Raises:
            LayoutError, HemaError: as `unpack` does.
        """
        facts = f"{self.place(member.path)}\n{member.name}\n{member.at}"
        place = self.folder / xxhash.xxh3_64_hexdigest(facts.encode("utf-8", "surrogateescape"))
        name = member.name.rpartition("/")[2]

        def write(part: Path, before: int, allowed: int) -> None:
            if before + member.size > allowed:
                raise too_much(outer, f"{before + member.size:,} bytes with {member.name}", f"{allowed:,}")
            self._announce(member.path, member.size)
            try:
                with member.open() as packed, (part / "files" / name).open("wb") as file:
                    shutil.copyfileobj(packed, file, COPIED)
            except OSError as error:
                if error.errno not in (None, 5):
                    raise
                raise LayoutError(f"{outer}: {member.name} is cut or damaged ({error}). Download it again.") from error
            _close(part, member.path, [])

        return self._made(place, outer, write).folder / name

    def _made(self, place: Path, outer: str, write: Callable[[Path, int, int], None]) -> Unpacked:
        """What lies in a place, written there where it is not; all that comes out of one archive has one limit."""
        found, before = _whole(place), self._came_out.get(outer, 0)
        if found is None:
            part = place.with_suffix(".part")
            for old in (place, part):
                shutil.rmtree(old, ignore_errors=True)
            (part / "files").mkdir(parents=True)
            try:
                write(part, before, self.limits.of(os.stat(outer).st_size))  # noqa: PTH116
                part.rename(place)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                self.tidy()
                raise
            found = _whole(place)
            assert found
        self._came_out[outer] = before + found.size
        return found

    def remove(self) -> None:
        """Remove everything: the source is done."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.tidy()

    def tidy(self) -> None:
        """Remove the folder where it is empty, and the one around it, where no other source is at work there."""
        with suppress(OSError):
            self.folder.rmdir()
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _announce(self, archive: str, total: int | None) -> None:
        packed, room = os.stat(archive).st_size, shutil.disk_usage(self.folder).free  # noqa: PTH116
        name = os.path.basename(archive)  # noqa: PTH119
        if max(total or 0, packed) > room:
            raise HemaError(
                f"{archive}: at least {total or packed:,} bytes are to be unpacked into {self.folder}, "
                f"where {room:,} are free. Make room, or use another disk: --out of a build, TMPDIR of a check."
            )
        if max(total or 0, packed) < WORTH_TELLING:
            return
        size = f"{_in_words(packed)}, unpacked {_in_words(total) if total is not None else 'more'}"
        self.tell(f"{name} ({size}) is unpacked into {self.folder}, once; it is removed when the source is done.")


def _write(
    archive: str, part: Path, most: int, size: int, allowed: int, announce: Callable[[str, int | None], None]
) -> None:
    """Unpack an archive: at most so many files, and bytes that with `size` before them are allowed."""
    files = 0
    left_out: list[tuple[str, str]] = []
    with streams.reading(archive) as stream:
        if size + (stream.total or 0) > allowed:
            raise too_much(archive, f"{size + (stream.total or 0):,} bytes announced", f"{allowed:,}")
        announce(archive, stream.total)
        for member in stream.members:
            name = inside(archive, member.name)
            files += 1
            if files > most:
                raise too_much(archive, f"more than {most:,} members", f"{most:,}")
            if member.odd:
                left_out.append((name, member.odd))
                continue
            if size + (member.size or 0) > allowed:
                raise too_much(archive, f"{size + (member.size or 0):,} bytes with {name}", f"{allowed:,}")
            before, path = size, _path(archive, part / "files", name)
            with path.open("wb") as file:
                for block in member.blocks:
                    size += len(block)
                    if size > allowed:
                        raise too_much(archive, f"more than {allowed:,} bytes with {name}", f"{allowed:,}")
                    file.write(block)
            if member.size not in (None, size - before):
                raise LayoutError(f"{archive}: {name} is cut short. Download the archive again.")
    _close(part, archive, left_out)


def _close(part: Path, archive: str, left_out: list[tuple[str, str]]) -> None:
    """Write the record of a place, and give its files the time of the archive: it is part of the key of a unit."""
    time = os.stat(archive).st_mtime_ns  # noqa: PTH116
    for path in (part / "files").rglob("*"):
        if path.is_file():
            os.utime(path, ns=(time, time))
    record = {"archive": archive, "sizes": _sizes(part), "left_out": left_out}
    (part / RECORD).write_text(json.dumps(record), encoding="utf-8")


def _path(archive: str, folder: Path, name: str) -> Path:
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise FileExistsError(17, "a folder has that name")
    except (OSError, ValueError) as error:
        raise LayoutError(f"{archive}: {name!r} cannot be a file's name here ({error}).") from error
    return path


def _whole(place: Path) -> Unpacked | None:
    """What an earlier run unpacked, if it is all there: after a power failure files may be short."""
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        if record["sizes"] != _sizes(place):
            return None
        return Unpacked(place / "files", record["sizes"][1], [(name, kind) for name, kind in record["left_out"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _sizes(place: Path) -> list[int]:
    sizes = [path.stat().st_size for path in (place / "files").rglob("*") if path.is_file()]
    return [len(sizes), sum(sizes)]


def _in_words(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
