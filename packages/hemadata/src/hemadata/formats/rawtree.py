"""A raw tree as a user has it: files found once, names compared as they are, junk recognised."""

import codecs
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hemadata.errors import FormatError, LayoutError

BLOCK = 64 << 10  # bytes; most crops and all pages are one read
JUNK_FILES = {"thumbs.db", "desktop.ini"}
JUNK_FOLDERS = {"__macosx"}


class RawFile:
    """A file of a raw tree, not yet read.

    Args:
        path: on disk.
        name: relative to the raw folder, with forward slashes: what people read in reports.
    """

    __slots__ = ("_status", "name", "path")

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name
        self._status: tuple[int, int] | None = None

    def _stat(self) -> tuple[int, int]:
        if self._status is None:  # asked for images only: text annotations are read at once
            try:
                status = os.stat(self.path)  # noqa: PTH116 - half the cost of a Path
                self._status = status.st_size, status.st_mtime_ns
            except OSError:  # a dead link: reported when it is read
                self._status = 0, 0
        return self._status

    @property
    def size(self) -> int:
        """Bytes."""
        return self._stat()[0]

    @property
    def stamp(self) -> int:
        """Changes when the content may have changed."""
        return self._stat()[1]

    @property
    def stem(self) -> str:
        """File name without folder and last ending."""
        return self.name.rpartition("/")[2].rpartition(".")[0]

    def read(self) -> bytes:
        """The bytes of the file."""
        file = os.open(self.path, os.O_RDONLY)  # half the cost of a file object, twice for every image of a build
        try:
            data = os.read(file, BLOCK)
            if len(data) < BLOCK:
                return data
            parts, size = [data], os.fstat(file).st_size
            while parts[-1]:
                parts.append(os.read(file, max(size - BLOCK, BLOCK)))
            return b"".join(parts)
        finally:
            os.close(file)

    def text(self) -> str:
        """The file as UTF-8 text, a byte-order mark removed."""
        try:
            return self.read().removeprefix(codecs.BOM_UTF8).decode()
        except OSError as error:
            raise FormatError(f"{self.name}: cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise FormatError(f"{self.name}: not UTF-8 text ({error.reason} at byte {error.start}).") from error


@dataclass(slots=True)
class RawTree:
    """The files below one raw folder, by relative name in sorted order."""

    root: Path
    files: dict[str, RawFile]
    junk: list[RawFile] = field(default_factory=list)

    @classmethod
    def scan(cls, root: Path) -> "RawTree":
        """List every regular file below `root` once; links to folders are not followed."""
        found: list[RawFile] = []
        junk: list[RawFile] = []
        _walk(str(root), "", found, junk)
        found.sort(key=lambda file: file.name)
        return cls(root, {file.name: file for file in found}, sorted(junk, key=lambda file: file.name))

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
            raise LayoutError(
                f"{self.root}: expected {marker} once; {found}. Unpack the archive as it is into {self.root}."
            )
        return self.below(shallowest[0])

    def below(self, folder: str) -> "RawTree":
        """The files of one folder; their names in reports stay relative to the raw folder."""
        top = folder.rstrip("/") + "/" if folder.strip("/") else ""
        inside = {name[len(top) :]: file for name, file in self.files.items() if name.startswith(top)}
        junk = [file for file in self.junk if Path(file.path).is_relative_to(self.root / folder)]
        return RawTree(self.root / folder, inside, junk)

    def each(self, pattern: str) -> Iterator[RawFile]:
        """Files whose relative name matches a pattern; `*` and `?` do not cross folders. In name order."""
        wild = {"*": "[^/]*", "?": "[^/]"}
        match = re.compile("".join(wild.get(char) or re.escape(char) for char in pattern)).fullmatch
        return (file for name, file in self.files.items() if match(name))

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


def _walk(folder: str, prefix: str, found: list[RawFile], junk: list[RawFile]) -> None:
    """Sort files into data and junk; what lies below a hidden or archive-tool folder is junk too."""
    with os.scandir(folder) as entries:
        for entry in entries:
            # Old archives hold names in other encodings: their odd bytes are spelled out.
            name = os.fsencode(entry.name).decode("utf-8", "backslashreplace")
            if entry.is_dir(follow_symlinks=False):
                _walk(entry.path, f"{prefix}{name}/", junk if _is_junk(name, JUNK_FOLDERS) else found, junk)
            elif entry.is_file() or (entry.is_symlink() and not entry.is_dir()):  # a link to a file is followed
                (junk if _is_junk(name, JUNK_FILES) else found).append(RawFile(entry.path, prefix + name))


def _is_junk(name: str, known: set[str]) -> bool:
    return name[0] == "." or name.lower() in known
