"""Whether a file is what it should be: its first bytes, its size, its checksums, the directory of an archive."""

import hashlib
import html
import re
import zipfile
from pathlib import Path

from hemadata.errors import LayoutError
from hemadata.formats import archives
from hemadata.sources.facts import Download

HEAD = 2048  # bytes that tell the kind of a file, and the title of a web page
BLOCK = 1 << 20
_ZIP = (b"PK\3\4", b"PK\5\6")
_MAGIC: dict[str, tuple[bytes, ...]] = {
    "zip": _ZIP,
    "npz": _ZIP,
    "rar": (b"Rar!\x1a\x07",),
    "7z": (b"7z\xbc\xaf\x27\x1c",),
    "tar.gz": (b"\x1f\x8b",),
}
_PAGE = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml[^>]*>\s*<(!doctype html|html))", re.IGNORECASE)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)


def found_instead(head: bytes, kind: str) -> str | None:
    """What a file is, where its first bytes are not those of `kind`; None where they are.

    Args:
        head: the first `HEAD` bytes, or all where there are fewer.
        kind: of `Download`.
    """
    if _PAGE.match(head.removeprefix(b"\xef\xbb\xbf")):
        title = _TITLE.search(head)
        words = " ".join(html.unescape(title[1].decode("utf-8", "replace")).split())[:80] if title else ""
        return f"a web page{f' called “{words}”' if words else ''}"
    if not head:
        return "nothing"
    if kind in _MAGIC and not head.startswith(_MAGIC[kind]):
        return f"no {kind}: it begins with {head[:12]!r}"
    if kind in ("csv", "text") and b"\0" in head:
        return "no text: it holds zero bytes"
    return None


def fault(path: Path, download: Download) -> str | None:
    """What is wrong with a finished file, or None.

    Args:
        path: the file.
        download: what is declared of it.
    """
    size = path.stat().st_size
    if download.bytes is not None and size != download.bytes:
        return f"{size:,} bytes, {download.bytes:,} are declared"
    with path.open("rb") as file:
        if other := found_instead(file.read(HEAD), download.kind):
            return other
    for name, published in (("sha256", download.sha256), ("md5", download.md5), ("git_sha1", download.git_sha1)):
        if published and (found := checksum(path, name)) != published:
            return f"its {name} is {found}, published is {published}"
    return _cut_archive(path, download.kind)


def _cut_archive(path: Path, kind: str) -> str | None:
    """Where a zip or a tar ends too early: the directory of a zip stands at its end, a tar stops inside a member."""
    try:
        if kind in ("zip", "npz"):
            zipfile.ZipFile(path).close()
        elif kind == "tar":
            for _ in archives.members(str(path), "", lambda name, kind: None):
                pass
    except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
        return f"the archive is cut or damaged ({error})"
    except LayoutError as error:
        return str(error)
    return None


def how_checked(download: Download) -> str:
    """The strongest check that the declared facts allow: a checksum's name, size, or form."""
    for name in ("sha256", "md5", "git_sha1"):
        if getattr(download, name):
            return name
    return "size" if download.bytes is not None else "form"


def checksum(path: Path, name: str) -> str:
    """Hex digest of a file.

    Args:
        path: the file.
        name: sha256, md5, or git_sha1 (the id under which git stores the content).
    """
    digest = hashlib.new("sha1" if name == "git_sha1" else name, usedforsecurity=False)
    if name == "git_sha1":
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
