"""Listing a raw folder: every file once, archives as if they were unpacked where they lie, junk recognised."""

import os
from dataclasses import dataclass, field

from hemadata.errors import LayoutError
from hemadata.formats import archives, streams
from hemadata.formats.rawfile import RawFile
from hemadata.formats.spool import Spool

JUNK_FILES = {"thumbs.db", "desktop.ini"}
JUNK_FOLDERS = {"__macosx"}
MAX_DEPTH = 3  # archives within archives: a chain without end is a bomb
NOT_UNPACKED = "not unpacked"
NO_TOOL = f"{NOT_UNPACKED}: install {' or '.join(streams.TOOLS)}, or unpack it by hand where it lies"
NO_SPOOL = f"{NOT_UNPACKED}: it can only be read from the front, which a build does; or unpack it by hand where it lies"
NESTED = f"{NOT_UNPACKED}: it lies in another archive, which a build opens; or unpack that one by hand where it lies"


@dataclass(slots=True)
class Scan:
    """What is found in a raw folder.

    Args:
        spool: where archives are unpacked that cannot be read in place; None: they are left out.
        found: plain files.
        packed: members of archives, beside the archive that holds them.
        junk: of systems and their tools.
        left_out: name and reason.
    """

    spool: Spool | None
    found: list[RawFile] = field(default_factory=list)
    packed: list[tuple[RawFile, str]] = field(default_factory=list)
    junk: list[RawFile] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)

    def files(self) -> dict[str, RawFile]:
        """Files by name, in name order. Of an archive that was unpacked where it lies, the unpacked files count.

        Raises:
            LayoutError: two archives hold other content under one name.
        """
        unpacked = {file.name for file in self.found}
        first: dict[str, tuple[RawFile, str]] = {}
        for file, archive in sorted(self.packed, key=lambda pair: pair[1]):
            if file.name in unpacked:
                continue
            other, where = first.setdefault(file.name, (file, archive))
            if where == archive:  # a tar that was appended to: what comes last counts
                first[file.name] = file, archive
            elif not _alike(other, file):
                raise LayoutError(
                    f"{where} and {archive} both hold {file.name}, with different content: two versions of the "
                    "archive are mixed. Keep one of them."
                )
        every = [*self.found, *(file for file, _ in first.values())]
        return {file.name: file for file in sorted(every, key=lambda file: file.name)}

    def folder(self, folder: str, prefix: str, archive: str = "", is_junk: bool = False, depth: int = 0) -> None:
        """List a folder.

        Args:
            folder: on disk.
            prefix: of its files' names.
            archive: that it was unpacked from.
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
                    self.folder(entry.path, f"{prefix}{name}/", archive, below_junk, depth)
                elif entry.is_file() or (entry.is_symlink() and not entry.is_dir()):  # a link to a file is followed
                    file = RawFile(entry.path, prefix + name)
                    if is_junk or _is_junk(name, JUNK_FILES):
                        self.junk.append(file)
                        continue
                    if archive:
                        self.packed.append((file, archive))
                    else:
                        self.found.append(file)
                    if streams.is_archive(name):
                        self._archive(entry.path, prefix + name, depth)

    def _archive(self, path: str, name: str, depth: int) -> None:
        """List an archive."""
        prefix, in_place = name[: name.rfind("/") + 1], name.lower().endswith(archives.IN_PLACE)
        if depth == MAX_DEPTH:
            raise LayoutError(f"{name}: archives within archives, {MAX_DEPTH} deep. Unpack them by hand.")
        if in_place:
            nested: list[str] = []
            for member in archives.members(path, prefix, lambda inside, kind: self._leave_out(name, inside, kind)):
                *folders, last = member.name.removeprefix(prefix).split("/")
                if _is_junk(last, JUNK_FILES) or any(_is_junk(f, JUNK_FOLDERS) for f in folders):
                    self.junk.append(member)
                else:
                    self.packed.append((member, name))
                    if streams.is_archive(last):
                        nested.append(member.name.removeprefix(prefix))
            if nested and self.spool:
                self._unpacked(path, prefix, name, depth)
            else:
                self.left_out += [(f"{name}/{member}", NESTED) for member in nested]
        elif not streams.can_read(path):
            self.left_out.append((name, NO_TOOL))
        elif self.spool is None:
            self.left_out.append((name, NO_SPOOL))
        else:
            for inside, kind in self._unpacked(path, prefix, name, depth):
                self._leave_out(name, inside, kind)

    def _unpacked(self, path: str, prefix: str, name: str, depth: int) -> list[tuple[str, str]]:
        """List what the spool unpacks of an archive; returns what it left out."""
        assert self.spool
        unpacked = self.spool.unpack(path)
        self.folder(str(unpacked.folder), prefix, name, depth=depth + 1)
        return unpacked.left_out

    def _leave_out(self, archive: str, inside: str, kind: str) -> None:
        self.left_out.append((f"{archive}/{inside}", f"a {kind}, which no archive of pictures holds"))


def _alike(a: RawFile, b: RawFile) -> bool:
    """Whether two archives may hold the same file: by size, and by checksum where both are zips."""
    checks = [file.check for file in (a, b) if isinstance(file, archives.Member) and file.method is not None]
    return a.size == b.size and (len(checks) < 2 or checks[0] == checks[1])


def _is_junk(name: str, known: set[str]) -> bool:
    return name[0] == "." or name.lower() in known
