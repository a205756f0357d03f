"""A raw tree as a user has it: files found once, names compared as they are, junk recognised."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hemadata.errors import LayoutError
from hemadata.formats import archives
from hemadata.formats.rawfile import RawFile

__all__ = ["RawFile", "RawTree", "unlike"]

JUNK_FILES = {"thumbs.db", "desktop.ini"}
JUNK_FOLDERS = {"__macosx"}


@dataclass(slots=True)
class RawTree:
    """The files below one raw folder, by relative name in sorted order."""

    root: Path
    files: dict[str, RawFile]
    junk: list[RawFile] = field(default_factory=list)
    prefix: str = ""  # of the names in reports, where this is part of a tree

    @classmethod
    def scan(cls, root: Path) -> "RawTree":
        """List every file below `root` once, members of .zip and .tar archives too; links to folders are not followed.

        Raises:
            LayoutError: an archive is damaged.
        """
        found: list[RawFile] = []
        junk: list[RawFile] = []
        _walk(str(root), "", found, junk)
        # Of an archive that was unpacked where it lies, the unpacked files count.
        files: dict[str, RawFile] = {}
        for file in sorted(found, key=lambda file: file.name):
            if file.name not in files or isinstance(files[file.name], archives.Member):
                files[file.name] = file
        return cls(root, files, sorted(junk, key=lambda file: file.name))

    def find(self, marker: str) -> "RawTree":
        """The part of the tree below which `marker` lies, however many folders were put around it.

        Args:
            marker: a relative folder or file that the published layout has, e.g. `BCCD/Annotations`.

        Raises:
            LayoutError: it is nowhere, or in several places.
        """
        where = re.compile(rf"^((?:[^/]+/)*?(?:{re.escape(marker)}/)*){re.escape(marker)}(?:/|$)")
        tops = sorted(
            {m.group(1) for name in self.files if (m := where.match(name))}, key=lambda top: (top.count("/"), top)
        )
        shallowest = [top for top in tops if top.count("/") == tops[0].count("/")]
        if len(shallowest) != 1:
            found = f"found in {', '.join(shallowest)}" if tops else f"found {self._top()}"
            packed = sorted(name for name in self.files if name.lower().endswith(archives.TO_UNPACK))
            advice = f"Unpack {packed[0]} first." if packed else f"Put the archive, or what is in it, into {self.root}."
            raise LayoutError(f"{self.root}: expected {marker} once; {found}. {advice}")
        return self.below(shallowest[0])

    def below(self, folder: str) -> "RawTree":
        """The files of one folder; their names in reports stay relative to the raw folder."""
        top = folder.rstrip("/") + "/" if folder.strip("/") else ""
        inside = {name[len(top) :]: file for name, file in self.files.items() if name.startswith(top)}
        prefix = self.prefix + top
        return RawTree(self.root / folder, inside, [file for file in self.junk if file.name.startswith(prefix)], prefix)

    def each(self, pattern: str) -> Iterator[RawFile]:
        """Files whose relative name matches a pattern; `*` and `?` do not cross folders. In name order."""
        wild = {"*": "[^/]*", "?": "[^/]"}
        match = re.compile("".join(wild.get(char) or re.escape(char) for char in pattern)).fullmatch
        return (file for name, file in self.files.items() if match(name))

    def has_folder(self, folder: str) -> bool:
        """Whether a file lies below a folder of that name, e.g. `Train/images`, however many folders are around it."""
        return any(f"/{folder}/" in f"/{name}" for name in self.files)

    def get(self, name: str) -> RawFile | None:
        """The file of that relative name, or None."""
        return self.files.get(name)

    def file(self, name: str) -> RawFile:
        """The file of that relative name.

        Raises:
            LayoutError: there is none.
        """
        if (file := self.files.get(name)) is None:
            raise LayoutError(f"{self.root}: {name} is missing; found {self._top()}.")
        return file

    def _top(self) -> str:
        names = sorted({name.split("/", 1)[0] for name in self.files})
        return (", ".join(names[:5]) + (", …" if len(names) > 5 else "")) or "nothing"


def unlike(tree: RawTree, source: str, expected: str) -> LayoutError:
    """The error of a tree that has another layout: what was expected, what is there, and where to change it."""
    tops = sorted(path.name for path in tree.root.iterdir()) if tree.root.is_dir() else []
    there = (", ".join(tops[:8]) + (", …" if len(tops) > 8 else "")) or "nothing"
    module = source.replace("-", "_")
    return LayoutError(
        f"{tree.root}: expected {expected}; found {there}. Put the archive, or what is in it, into {tree.root} "
        f"(hemadata sources show {source}). If a release has another layout, change index() in sources/{module}.py."
    )


def _walk(folder: str, prefix: str, found: list[RawFile], junk: list[RawFile]) -> None:
    """Sort files into data and junk; the members of an archive stand as if it were unpacked where it lies."""
    with os.scandir(folder) as entries:
        for entry in entries:
            # Old archives hold names in other encodings: their odd bytes are spelled out.
            name = entry.name
            if not name.isascii():
                name = os.fsencode(name).decode("utf-8", "backslashreplace")
            if entry.is_dir(follow_symlinks=False):
                _walk(entry.path, f"{prefix}{name}/", junk if _is_junk(name, JUNK_FOLDERS) else found, junk)
            elif entry.is_file() or (entry.is_symlink() and not entry.is_dir()):  # a link to a file is followed
                (junk if _is_junk(name, JUNK_FILES) else found).append(RawFile(entry.path, prefix + name))
                if name.lower().endswith(archives.IN_PLACE) and found is not junk:
                    for member in archives.members(entry.path, prefix):
                        *folders, last = member.name.removeprefix(prefix).split("/")
                        is_junk = _is_junk(last, JUNK_FILES) or any(_is_junk(f, JUNK_FOLDERS) for f in folders)
                        (junk if is_junk else found).append(member)


def _is_junk(name: str, known: set[str]) -> bool:
    return name[0] == "." or name.lower() in known
