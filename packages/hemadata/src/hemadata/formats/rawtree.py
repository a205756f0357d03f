"""A raw tree as a user has it: files found once, names compared as they are, junk recognised."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hemadata.errors import LayoutError
from hemadata.formats.rawfile import RawFile
from hemadata.formats.scan import NOT_UNPACKED, Scan
from hemadata.formats.spool import Spool
from hemadata.shelf import Below, Shelf

__all__ = ["RawFile", "RawTree", "unlike"]


@dataclass(slots=True)
class RawTree:
    """The files below one raw folder, by relative name in sorted order."""

    root: Path
    files: Mapping[str, RawFile]
    junk: list[RawFile] = field(default_factory=list)
    prefix: str = ""  # of the names in reports, where this is part of a tree
    left_out: list[tuple[str, str]] = field(default_factory=list)  # name and reason: links, archives nobody could open
    spool: Spool | None = None  # for readers of files that cannot be read in place

    @classmethod
    def scan(cls, root: Path, spool: Spool | None = None) -> "RawTree":
        """List every file below `root` once, members of archives too; links to folders are not followed.

        Args:
            root: the raw folder.
            spool: where archives are unpacked that cannot be read in place; None: they are left out.

        Raises:
            LayoutError: an archive is damaged, or holds other content under the names of another one.
        """
        scan = Scan(spool)
        scan.folder(str(root), "")
        return cls(root, scan.files(), sorted(scan.junk, key=lambda file: file.name), "", sorted(scan.left_out), spool)

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
            advice = f"Put the archive, or what is in it, into {self.root}."
            raise LayoutError(f"{self.root}: expected {marker} once; {found}. {advice}")
        return self.below(shallowest[0])

    def below(self, folder: str) -> "RawTree":
        """The files of one folder; their names in reports stay relative to the raw folder."""
        top = folder.rstrip("/") + "/" if folder.strip("/") else ""
        inside = self.files
        if top and isinstance(inside, Shelf | Below):
            inside = inside.below(top)
        elif top:
            inside = {name[len(top) :]: file for name, file in self.files.items() if name.startswith(top)}
        prefix = self.prefix + top
        junk = [file for file in self.junk if file.name.startswith(prefix)]
        left_out = [entry for entry in self.left_out if entry[0].startswith(prefix)]
        return RawTree(self.root / folder, inside, junk, prefix, left_out, self.spool)

    def each(self, pattern: str) -> Iterator[RawFile]:
        """Files whose relative name matches a pattern, case aside; `*` and `?` do not cross folders. In name order."""
        wild = {"*": "[^/]*", "?": "[^/]"}
        match = re.compile("".join(wild.get(char) or re.escape(char) for char in pattern), re.IGNORECASE).fullmatch
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

    def advice(self) -> str:
        """What to do about an archive that was left out; empty where there is none."""
        return next((f"{name} is {why}." for name, why in self.left_out if why.startswith(NOT_UNPACKED)), "")

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
