"""`hemadata fetch`: gets what a program may get, tells a person what only a person may, and watches it arrive."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from hemadata.errors import HemaError, UsageError
from hemadata.fetch.partial import Partial
from hemadata.fetch.sniff import fault, how_checked
from hemadata.fetch.transfer import LinkError, Patience, Progress, get, open_client
from hemadata.fetch.wanted import Wanted, by_person, owners, steps, wanted
from hemadata.sources.base import Source

__all__ = ["Fetched", "File", "Patience", "by_person", "fetch", "licences", "steps", "wanted"]


@dataclass(frozen=True, slots=True)
class File:
    """What became of one file.

    Args:
        path: where it lies, or would.
        status: fetched now, present before, or failed.
        bytes: its size.
        checked: against sha256, md5, git_sha1, its declared size, or only its form.
        found: why it failed, link by link.
    """

    path: Path
    status: Literal["fetched", "present", "failed"]
    bytes: int
    checked: str
    found: tuple[str, ...] = ()


@dataclass(slots=True)
class Fetched:
    """What became of the files of a source, and what is left to a person: folder -> steps."""

    source: str
    files: list[File] = field(default_factory=list)
    steps: dict[str, list[str]] = field(default_factory=dict)

    @property
    def failed(self) -> list[File]:
        """Files that no link gave."""
        return [file for file in self.files if file.status == "failed"]

    def as_dict(self) -> dict[str, Any]:
        """The object of `fetch --json`."""
        files = [
            {
                "path": str(f.path),
                "status": f.status,
                "bytes": f.bytes,
                "checked": f.checked,
                "found": list(f.found),
            }
            for f in self.files
        ]
        return {"source": self.source, "files": files, "steps": self.steps}


def licences(source: Source) -> list[str]:
    """Name, licence, note and homepage of every source whose files the folders of this one hold."""
    return [_licence(owner) for owner in {owner.name: owner for _, owner in owners(source)}.values()]


def _licence(owner: Source) -> str:
    facts = owner.facts
    note = f" ({facts.license_note})" if facts.license_note else ""
    return f"{facts.name}: licence {facts.license}{note}, {facts.homepage}"


def fetch(
    source: Source,
    root: Path,
    accept_license: bool = False,
    files: Sequence[str] = (),
    patience: Patience | None = None,
    tell: Callable[[str], None] = lambda line: None,
    progress: Progress | None = None,
) -> Fetched:
    """Fetch everything of a source that a program may; what is there and sound is left as it is.

    Args:
        source: of which.
        root: folder with one raw folder per slug.
        accept_license: whoever calls accepts a licence that is not a free one.
        files: optional files instead of the needed ones.
        patience: how often a link is tried.
        tell: told a line before each file.
        progress: told of every block.

    Raises:
        UsageError: the licence is not accepted, or a file is not declared; nothing was fetched.
        HemaError: the disk is full, or another process fetches the same file.
    """
    patience, due = patience or Patience(), wanted(source, files)
    unaccepted = {} if accept_license else {e.owner.name: e.owner for e in due if e.owner.facts.needs_consent}
    if unaccepted:
        text = "\n".join(f"  {_licence(owner)}" for owner in unaccepted.values())
        raise UsageError(
            f"{source.name} is not under a free licence:\n{text}\n"
            "Read its terms at the homepage. If you accept them, add --accept-license."
        )
    result = Fetched(source.name)
    with open_client(patience) as client:
        for entry in due:
            path = entry.path(root)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(path.with_name(f".{path.name}.lock"), timeout=0):
                    result.files.append(_one(client, entry, path, patience, tell, progress))
            except Timeout as error:
                raise HemaError(f"{path} is being fetched by another process. Wait for it.") from error
            path.with_name(f".{path.name}.lock").unlink(missing_ok=True)
    result.steps = {str(root / folder): steps(owner, root / folder) for folder, owner in by_person(source)}
    for entry, file in zip(due, result.files, strict=True):
        if file.status == "failed":
            folder = root / entry.folder
            result.steps.setdefault(str(folder), steps(entry.owner, folder))
    return result


def _one(
    client: Any, entry: Wanted, path: Path, patience: Patience, tell: Callable[[str], None], progress: Progress | None
) -> File:
    download, checked = entry.download, how_checked(entry.download)
    if path.exists():
        wrong = fault(path, download)
        found = (f"{path} is there, but {wrong}. Move it away to fetch it again.",) if wrong else ()
        return File(path, "failed" if wrong else "present", path.stat().st_size, checked, found)
    size = f"{download.bytes:,} bytes" if download.bytes is not None else "size not declared"
    part, refusals = Partial(path), list[str]()
    for link in (download.url, *download.mirrors):
        so_far = f", going on after {part.size:,}" if part.size else ""
        tell(f"{path.name}: {size}{so_far}, from {link}")
        try:
            _whole(client, link, download, part, patience, progress, tell)
        except LinkError as error:
            refusals.append(f"{link}: {error}")
            continue
        part.finish()
        return File(path, "fetched", path.stat().st_size, checked)
    return File(path, "failed", part.size, checked, tuple(refusals))


def _whole(
    client: Any,
    link: str,
    download: Any,
    part: Partial,
    patience: Patience,
    progress: Progress | None,
    tell: Callable[[str], None],
) -> None:
    """Bring the whole file and check it; where a resumed one is wrong, once more from the beginning."""
    was_begun = part.size > 0
    get(client, link, download, part, patience, progress, tell)
    wrong = fault(part.path, download)
    if wrong and was_begun:
        part.discard()
        get(client, link, download, part, patience, progress, tell)
        wrong = fault(part.path, download)
    if wrong:
        part.discard()
        raise LinkError(wrong)
