"""Listing a raw folder: every file once, archives as if they were unpacked where they lie, junk recognised."""

import os
from collections import defaultdict
from dataclasses import dataclass, field
from operator import methodcaller
from typing import Any

from hemadata.errors import LayoutError
from hemadata.formats import archives, streams
from hemadata.formats.rawfile import RawFile
from hemadata.formats.spool import Spool
from hemadata.shelf import Shelf

JUNK_FILES = {"thumbs.db", "desktop.ini"}
JUNK_FOLDERS = {"__macosx"}
MAX_DEPTH = 3  # archives within archives: a chain without end is a bomb
FROM_DISK = (".npz", ".npy")  # read row by row
NOT_UNPACKED = "not unpacked"
NO_TOOL = f"{NOT_UNPACKED}: install {' or '.join(streams.TOOLS)}, or unpack it by hand where it lies"
NO_SPOOL = f"{NOT_UNPACKED}: it can only be read from the front, which a build does; or unpack it by hand where it lies"
NESTED = f"{NOT_UNPACKED}: it lies in another archive, which a build unpacks; or unpack that one by hand where it lies"
PLAIN = 4  # values of a packed file that is no member
ENDINGS = (*archives.IN_PLACE, *streams.ENDINGS)


def shelf_of_files() -> Shelf[RawFile]:
    """A shelf for files of raw trees."""
    return Shelf(methodcaller("packed"), _unpacked)


def _unpacked(_: str, packed: tuple[Any, ...]) -> RawFile:
    return RawFile.unpacked(*packed) if len(packed) == PLAIN else archives.Member(*packed)


@dataclass(slots=True)
class Scan:
    """What is found in a raw folder.

    Args:
        spool: where archives are unpacked that cannot be read in place; None: they are left out.
        found: plain files.
        packed: members, by the archive that holds them; of a tar that holds a name twice, what comes last.
        junk: of systems and their tools.
        left_out: name and reason.
    """

    spool: Spool | None
    found: Shelf[RawFile] = field(default_factory=shelf_of_files)
    packed: dict[str, Shelf[RawFile]] = field(default_factory=lambda: defaultdict(shelf_of_files))
    junk: list[RawFile] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def files(self) -> Shelf[RawFile]:
        """Files by name. Of an archive that was unpacked where it lies, the unpacked files count.

        Raises:
            LayoutError: two archives hold other content under one name.
        """
        first = shelf_of_files()
        for archive, members in sorted(self.packed.items()):
            for name, file in members.items():
                if name not in self.found and not _alike(first.setdefault(name, file), file):
                    where = next(other for other in sorted(self.packed) if name in self.packed[other])
                    raise LayoutError(
                        f"{where} and {archive} both hold {name}, with different content: two versions of the "
                        "archive are mixed. Keep one of them."
                    )
        self.found.update(first)
        return self.found

    def folder(
        self, folder: str, prefix: str, archive: str = "", outer: str = "", is_junk: bool = False, depth: int = 0
    ) -> None:
        """List a folder.

        Args:
            folder: on disk.
            prefix: of its files' names.
            archive: that it was unpacked from.
            outer: path of the archive around that one and all others.
            is_junk: whether everything in it is.
            depth: archives around it.
        """
        with os.scandir(folder) as entries:
            for entry in entries:
                # Old archives hold names in other encodings: their odd bytes are spelled out.
                name = entry.name
                if not name.isascii():
                    name = os.fsencode(name).decode("utf-8", "backslashreplace")
                if entry.is_dir(follow_symlinks=False):
                    below_junk = is_junk or _is_junk(name, JUNK_FOLDERS)
                    self.folder(entry.path, f"{prefix}{name}/", archive, outer, below_junk, depth)
                elif odd := _odd_kind(entry):
                    self.left_out.append((prefix + name, f"a {odd}, which is not followed"))
                else:
                    file = RawFile(entry.path, prefix + name)
                    if is_junk or _is_junk(name, JUNK_FILES):
                        self.junk.append(file)
                        continue
                    if archive:
                        self.packed[archive][file.name] = file
                    else:
                        self.found[file.name] = file
                    if name.lower().endswith(ENDINGS):
                        self._archive(entry.path, prefix + name, outer or entry.path, depth)

    def _archive(self, path: str, name: str, outer: str, depth: int) -> None:
        """List an archive.

        Args:
            path: on disk.
            name: of the archive, below the raw folder.
            outer: path of the archive around it, or its own.
            depth: archives around it.
        """
        prefix = name[: name.rfind("/") + 1]
        if depth == MAX_DEPTH:
            raise LayoutError(f"{name}: archives within archives, {MAX_DEPTH} deep. Unpack them by hand.")
        if name.lower().endswith(archives.IN_PLACE):
            for member in archives.members(path, prefix, lambda inside, kind: self._leave_out(name, inside, kind)):
                self._member(member, prefix, name, outer, depth)
        elif not streams.can_read(path):
            self.left_out.append((name, NO_TOOL))
        elif self.spool is None:
            self.left_out.append((name, NO_SPOOL))
        else:
            unpacked = self.spool.unpack(path, outer)
            for inside, kind in unpacked.left_out:
                self._leave_out(name, inside, kind)
            self.folder(str(unpacked.folder), prefix, name, outer, depth=depth + 1)

    def _member(self, member: archives.Member, prefix: str, archive: str, outer: str, depth: int) -> None:
        """List a member of an archive; one that is an archive itself, or can only be read from a disk, is copied."""
        inside = member.name.removeprefix(prefix)
        *folders, last = inside.split("/")
        if _is_junk(last, JUNK_FILES) or any(_is_junk(folder, JUNK_FOLDERS) for folder in folders):
            self.junk.append(member)
            return
        if not last.lower().endswith((*ENDINGS, *FROM_DISK)):
            self.packed[archive][member.name] = member
        elif self.spool is None:
            self.packed[archive][member.name] = member
            self.left_out.append((f"{archive}/{inside}", NESTED))
        else:
            copy = str(self.spool.copy(member, outer))
            self.packed[archive][member.name] = RawFile(copy, member.name)
            if last.lower().endswith(ENDINGS):
                self._archive(copy, f"{prefix}{inside}", outer, depth + 1)

    def _leave_out(self, archive: str, inside: str, kind: str) -> None:
        self.left_out.append((f"{archive}/{inside}", f"a {kind}, which no archive of pictures holds"))


def _odd_kind(entry: "os.DirEntry[str]") -> str | None:
    """What an entry is that nobody should open; a link to a file is followed, a dead one is told when it is read."""
    try:
        if entry.is_file():
            return None
        if entry.is_symlink():
            if entry.is_dir():
                return "link to a folder"
            return "link to a device" if os.path.exists(entry.path) else None  # noqa: PTH110
    except OSError:  # a link to itself
        return None
    return "pipe or device"


def _alike(a: RawFile, b: RawFile) -> bool:
    """Whether two archives may hold the same file: by size, and by checksum where both are zips."""
    if a is b:
        return True
    checks = [file.check for file in (a, b) if isinstance(file, archives.Member) and file.method is not None]
    return a.size == b.size and (len(checks) < 2 or checks[0] == checks[1])


def _is_junk(name: str, known: set[str]) -> bool:
    return name[0] == "." or name.lower() in known
