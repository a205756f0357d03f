"""Archives that can only be read from the front: compressed tars, .gz, .npz, and .rar and .7z by a declared tool.

One pass, member by member, nothing held in memory and nothing written. What comes out is not trusted: `spool.py` bounds
it. A tool never writes either: 7-Zip prints the members one after the other, bsdtar turns any archive into a plain tar.
"""

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast

from hemadata.errors import LayoutError
from hemadata.formats.archives import TarHeader, odd_kind

BLOCK = 1 << 20
PADDING = 16 << 20  # bytes of zeros that may follow the end of a tar
SEVEN_ZIP, BSDTAR = ("7zz", "7z"), "bsdtar"
TOOLS = (*SEVEN_ZIP, BSDTAR)
_OPEN: dict[str, Callable[[str], IO[bytes]]] = {
    **{ending: cast(Any, gzip.open) for ending in (".tar.gz", ".tgz", ".gz")},
    **{ending: cast(Any, bz2.open) for ending in (".tar.bz2", ".tbz2", ".bz2")},
    **{ending: cast(Any, lzma.open) for ending in (".tar.xz", ".txz", ".xz")},
}
BY_TOOL = (".rar", ".7z")
ENDINGS = (*_OPEN, *BY_TOOL)
# What the readers of cut or damaged archives raise.
BROKEN = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)


@dataclass(slots=True)
class Streamed:
    """A member while the stream stands at it.

    Args:
        name: as the archive gives it.
        size: bytes, as announced; None: unknown.
        odd: what it is, where it is no plain file ("link", "device"); such a member is never written.
        blocks: its bytes, to be read before the next member is asked for.
    """

    name: str
    size: int | None
    odd: str | None
    blocks: Iterator[bytes]


@dataclass(slots=True)
class Stream:
    """An archive, open at its front; `total` is the unpacked size in bytes, where the archive announces it."""

    total: int | None
    members: Iterator[Streamed]


def can_read(path: str) -> bool:
    """Whether this machine can unpack an archive of that name: .rar and .7z need one of `TOOLS` on the path."""
    return not path.lower().endswith(BY_TOOL) or any(map(shutil.which, TOOLS))


@contextmanager
def reading(path: str) -> Iterator[Stream]:
    """Open an archive at its front.

    Raises:
        LayoutError: it is cut, damaged or encrypted.
    """
    lower = path.lower()
    try:
        if lower.endswith(BY_TOOL):
            with _by_tool(path) as stream:
                yield stream
        elif lower.endswith(".npz"):
            with zipfile.ZipFile(path) as archive:
                yield Stream(sum(info.file_size for info in archive.infolist()), _zipped(archive))
        else:
            ending = next(ending for ending in _OPEN if lower.endswith(ending))
            with _OPEN[ending](path) as file:
                is_tar = ending.startswith((".t",))
                yield Stream(None, tar_members(file) if is_tar else _single(path, file, ending))
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno not in (None, 5):  # a full disk, no permission
            raise
        raise LayoutError(
            f"{path}: the archive is cut or damaged ({error or type(error).__name__}). Download it again."
        ) from error


def tar_members(file: IO[bytes]) -> Iterator[Streamed]:
    """Members of a tar that is read from the front, to the end of what it is packed in: that checks its checksum."""
    with tarfile.open(fileobj=file, mode="r|", tarinfo=TarHeader) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else all headers would stay in memory
            if not info.isdir():
                odd = odd_kind(info)
                yield Streamed(info.name, info.size, odd, iter(()) if odd else _blocks(archive.extractfile(info)))
    tail = file.read(PADDING)
    if tail.strip(b"\0") or len(tail) == PADDING:
        raise tarfile.ReadError("something follows its end")


def _single(path: str, file: IO[bytes], ending: str) -> Iterator[Streamed]:
    yield Streamed(os.path.basename(path)[: -len(ending)], None, None, _blocks(file))  # noqa: PTH119


def _zipped(archive: zipfile.ZipFile) -> Iterator[Streamed]:
    for info in archive.infolist():
        with archive.open(info) as file:
            yield Streamed(info.filename, info.file_size, None, _blocks(file))


def _blocks(file: IO[bytes] | None, size: int | None = None) -> Iterator[bytes]:
    while file and (block := file.read(BLOCK if size is None else min(size, BLOCK))):
        size = None if size is None else size - len(block)
        yield block


@contextmanager
def _by_tool(path: str) -> Iterator[Stream]:
    """7-Zip, because it lists sizes and checksums beforehand; bsdtar for kinds that it does not know."""
    for tool in filter(shutil.which, SEVEN_ZIP):
        if (listing := _listing(tool, path)) is not None:
            with _output([tool, "x", "-so", "--", path]) as out:
                yield Stream(sum(size for _, size, _, _ in listing), _listed(listing, out))
            return
    if not shutil.which(BSDTAR):
        raise tarfile.ReadError("7-Zip cannot read it")
    with _output([BSDTAR, "-cf", "-", "--format=pax", f"@{path}"]) as out:
        yield Stream(None, tar_members(out))


@contextmanager
def _output(words: list[str]) -> Iterator[IO[bytes]]:
    """What a tool prints; it has no terminal to ask on, and ends with us."""
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=told, start_new_session=True, env=_plain()
        )
        assert process.stdout
        try:
            yield process.stdout
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
        if process.returncode:
            told.seek(0)
            raise tarfile.ReadError(f"{words[0]}: {told.read(300).decode(errors='replace').strip()}")


def _plain() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C.UTF-8"}


def _listing(tool: str, path: str) -> list[tuple[str, int, str | None, int | None]] | None:
    """Name, size, oddness and CRC of every member that is no folder; None where 7-Zip does not know the kind."""
    listed = subprocess.run(
        [tool, "l", "-slt", "-ba", "-sccUTF-8", "--", path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        start_new_session=True,
        env=_plain(),
    )
    if listed.returncode:
        return None
    found = []
    for page in listed.stdout.decode("utf-8", "backslashreplace").split("\n\n"):
        facts = dict(line.split(" = ", 1) for line in page.splitlines() if " = " in line)
        attributes = facts.get("Attributes", "")
        if "Path" not in facts or facts.get("Folder") == "+" or attributes.startswith("D"):
            continue
        if facts.get("Encrypted") == "+":
            raise LayoutError(f"{path}: {facts['Path']} is encrypted. Unpack the archive with its password.")
        # "A lrwxrwxrwx": what kind of file it was on the machine that packed it.
        is_link = " l" in attributes or any(facts.get(key) for key in ("Symbolic Link", "Hard Link"))
        check = int(facts["CRC"], 16) if facts.get("CRC") else None
        found.append((facts["Path"], int(facts.get("Size") or 0), "link" if is_link else None, check))
    return found


def _listed(listing: list[tuple[str, int, str | None, int | None]], out: IO[bytes]) -> Iterator[Streamed]:
    """Cut what 7-Zip prints into members; their checksums tell whether the cuts are right."""
    for name, size, odd, check in listing:
        so_far = [0, 0]  # bytes, CRC

        def blocks(size: int = size, so_far: list[int] = so_far) -> Iterator[bytes]:
            for block in _blocks(out, size):
                so_far[:] = so_far[0] + len(block), zlib.crc32(block, so_far[1])
                yield block

        reading = blocks()
        yield Streamed(name, size, odd, iter(()) if odd else reading)
        for _ in reading:  # of an odd member
            pass
        if so_far[0] != size or check not in (None, so_far[1]):
            raise tarfile.ReadError(f"{name} is not what the listing says")
