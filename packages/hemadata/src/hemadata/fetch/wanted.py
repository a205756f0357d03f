"""Which files a source needs, and in which folder below `--raw` each belongs."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hemadata import sources
from hemadata.errors import UsageError
from hemadata.sources.base import Source
from hemadata.sources.facts import Download


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file of one raw folder.

    Args:
        owner: the source whose page declares it.
        folder: below `--raw`.
        download: what is declared.
    """

    owner: Source
    folder: str
    download: Download

    @property
    def name(self) -> str:
        """Its name below the folder: the declared one, else the end of the link."""
        if self.download.file:
            return self.download.file
        kind, last = self.download.kind, posixpath.basename(unquote(urlsplit(self.download.url).path))
        return last if last.lower().endswith(f".{kind}") else f"{self.owner.name}.{kind}"

    def path(self, root: Path) -> Path:
        """Where it lies below `--raw`."""
        return root / self.folder / self.name


def owners(source: Source) -> list[tuple[str, Source]]:
    """Raw folder -> the source whose page tells how to fill it: itself, or the one that lends its folder."""
    found = []
    for place, folder in enumerate(source.facts.raw_folders):
        is_own = place == 0 and bool(source.facts.download or source.facts.instructions)
        is_lent = folder != source.name and folder in sources.names()
        found.append((folder, sources.get(folder) if is_lent and not is_own else source))
    return found


def wanted(source: Source, files: Sequence[str] = ()) -> list[Wanted]:
    """What a program may fetch for a source, in the order of its pages.

    Args:
        source: of which.
        files: names of optional files; empty: everything that is not optional.

    Raises:
        UsageError: a name is not declared, or only a person may fetch it.
    """
    every = [Wanted(owner, folder, download) for folder, owner in owners(source) for download in owner.facts.download]
    fetched = [entry for entry in every if entry.download.by_program]
    if unknown := [name for name in files if name not in {entry.name for entry in fetched}]:
        known = ", ".join(entry.name for entry in fetched) or "none"
        raise UsageError(f'{source.name} has no file "{unknown[0]}" that a program may fetch; it has: {known}.')
    return [entry for entry in fetched if (entry.name in files if files else not entry.download.optional)]


def by_person(source: Source) -> list[tuple[str, Source]]:
    """Raw folders for which no program may fetch what is needed, each with the source that tells the steps."""
    return [
        (folder, owner)
        for folder, owner in owners(source)
        if not any(d.by_program and not d.optional for d in owner.facts.download) or _more_is_needed(owner)
    ]


def _more_is_needed(owner: Source) -> bool:
    return any(not download.by_program and not download.optional for download in owner.facts.download)


def steps(owner: Source, folder: Path) -> list[str]:
    """What a person does, one step a line, the last of them where the files go."""
    facts = owner.facts
    if facts.instructions:
        lines = facts.instructions.strip().splitlines()
    else:
        pages = [download for download in facts.download if not download.optional] or list(facts.download)
        lines = [f"Download {d.file or 'the files'} from {d.url}{_size(d)}." for d in pages]
        lines = lines or [f"Download the data from {facts.homepage}."]
    if not lines[0].startswith("1."):
        lines = [f"1. {lines[0]}", *(f"   {line}" for line in lines[1:])] if facts.instructions else _numbered(lines)
    last = max((int(line.split(".")[0]) for line in lines if line.split(".")[0].isdecimal()), default=0)
    return [*lines, f"{last + 1}. The folder to put the files in is {folder}"]


def _numbered(lines: list[str]) -> list[str]:
    return [f"{number}. {line}" for number, line in enumerate(lines, 1)]


def _size(download: Download) -> str:
    return f" ({download.bytes:,} bytes)" if download.bytes is not None else ""
