"""A raw tree as a user has it: files found once, names compared as they are, junk recognised."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path

from hemadata.errors import LayoutError

_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_|Thumbs\.db$|desktop\.ini$|\.git/|\.ipynb_checkpoints/)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RawFile:
    """A file of a raw tree, not yet read. `stamp` changes when the content may have changed."""

    path: str
    name: str  # relative to the raw folder, with forward slashes: what people read in reports
    size: int
    stamp: int

    @property
    def stem(self) -> str:
        """File name without folder and last ending."""
        return self.name.rpartition("/")[2].rpartition(".")[0]

    def read(self) -> bytes:
        """The bytes of the file."""
        with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123 - the fast path of every build
            return file.read()

    def text(self) -> str:
        """The file as UTF-8 text, a byte-order mark removed."""
        return self.read().decode("utf-8-sig")


@dataclass(slots=True)
class RawTree:
    """The files below one raw folder, by relative name in sorted order."""

    root: Path
    files: dict[str, RawFile]
    junk: list[RawFile] = field(default_factory=list)

    @classmethod
    def scan(cls, root: Path) -> "RawTree":
        """List every regular file below `root` once; links to folders are not followed."""
        files, junk = {}, []
        for file in sorted(_walk(str(root), ""), key=lambda f: f.name):
            if _JUNK.search(file.name):
                junk.append(file)
            else:
                files[file.name] = file
        return cls(root, files, junk)

    def find(self, marker: str) -> "RawTree":
        """The part of the tree below which `marker` lies, however many folders were put around it.

        Args:
            marker: a relative folder or file that the published layout has, e.g. `BCCD/Annotations`.

        Raises:
            LayoutError: it is nowhere, or in several places.
        """
        where = re.compile(rf"^((?:[^/]+/)*?){re.escape(marker)}(?:/|$)")
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
        junk = [file for file in self.junk if file.name.startswith(top)]
        return RawTree(self.root / folder, inside, junk)

    def each(self, pattern: str) -> Iterator[RawFile]:
        """Files whose relative name matches a shell pattern in which `*` does not cross folders, in name order."""
        match = re.compile(translate(pattern).replace(".*", "[^/]*")).match
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


def _walk(folder: str, prefix: str) -> Iterator[RawFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
                continue
            try:
                status = entry.stat()  # a link to a file is followed: people link large data; one to a folder is not
            except OSError:  # a dead link: listed as empty, so that it is reported like any file that cannot be read
                yield RawFile(entry.path, prefix + entry.name, 0, 0)
                continue
            if stat.S_ISREG(status.st_mode):
                yield RawFile(entry.path, prefix + entry.name, status.st_size, status.st_mtime_ns)
