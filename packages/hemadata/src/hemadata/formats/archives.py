"""Members of .zip and plain .tar archives, read in place: nothing is unpacked to disk or read past its size."""

import io
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

from hemadata.errors import LayoutError
from hemadata.formats.limits import Limits, too_much
from hemadata.formats.rawfile import MAX_FILE, RawFile

IN_PLACE = (".zip", ".tar")
MAX_HEADER = 1 << 20  # bytes of a long name or of extended facts in a tar; tarfile would read any size into memory
LIMITS = Limits()
STREAM = 256 << 10  # bytes that a stream holds
STORED, DEFLATED = 0, 8
if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

Listed = tuple[str, int, int, int, int | None, int]
LeftOut = Callable[[str, str], None]
"""Takes the name of a member that is never read, and what it is: a link, say."""
_EXTENDED = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_LOCAL = struct.Struct(
    "<4s22xHH"
)  # signature, lengths of name and extra field: what stands before a zip member's bytes


class Member(RawFile):
    """A member of an archive.

    Args:
        path: the archive.
        name: as if the archive were unpacked where it lies.
        size: unpacked.
        at: where the member's local header (zip) or its bytes (tar) begin.
        compressed: bytes in the archive, for a zip.
        method: compression of a zip; None: the bytes stand as they are.
        check: CRC of a zip member; for a tar the time of the member.
    """

    __slots__ = ("at", "check", "compressed", "method")

    def __init__(
        self, path: str, name: str, size: int, at: int, compressed: int, method: int | None, check: int
    ) -> None:
        super().__init__(path, name)
        self.at, self.compressed, self.method, self.check = at, compressed, method, check
        self._size, self._stamp = size, check

    def packed(self) -> tuple[object, ...]:
        """As of a plain file."""
        return self.path, self.name, self._size, self.at, self.compressed, self.method, self.check

    @property
    def archive(self) -> str:
        """Name without ending of the archive."""
        return os.path.basename(self.path).rpartition(".")[0]  # noqa: PTH119

    def read(self) -> bytes:
        """The unpacked bytes.

        Raises:
            OSError: the archive is cut or damaged, or says too large a size.
        """
        if self.size > MAX_FILE:
            raise self._broken(f"{self.size:,} bytes unpacked; at most {MAX_FILE:,} are read")
        archive = os.open(self.path, os.O_RDONLY)
        try:
            data = os.pread(archive, self.size, self.at) if self.method is None else self._unzip(archive)
        finally:
            os.close(archive)
        if len(data) != self.size:
            raise self._broken(f"{len(data):,} bytes, {self.size:,} announced")
        return data

    def open(self) -> IO[bytes]:
        """The unpacked bytes as a stream, which raises OSError where `read` does."""
        return io.BufferedReader(_Blocks(self._blocks()), STREAM)

    def _unzip(self, archive: int) -> bytes:
        data = os.pread(archive, self.compressed, self._begin(archive))
        if self.method == DEFLATED:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
            except zlib.error as error:
                raise self._broken(str(error)) from error
        if zlib.crc32(data) != self.check:
            raise self._broken("its checksum is wrong")
        return data

    def _begin(self, archive: int) -> int:
        """Where the bytes of a zip's member begin."""
        if self.method not in (STORED, DEFLATED):
            raise self._broken(f"compression method {self.method}: unpack the archive by hand")
        head = os.pread(archive, _LOCAL.size, self.at)
        if len(head) < _LOCAL.size or not head.startswith(b"PK\3\4"):
            raise self._broken("no member begins where the directory says")
        _, name, extra = _LOCAL.unpack(head)
        return self.at + _LOCAL.size + int(name) + int(extra)

    def _blocks(self) -> Iterator[bytes]:
        size = check = 0
        with open(self.path, "rb") as archive:  # noqa: PTH123
            archive.seek(self.at if self.method is None else self._begin(archive.fileno()))
            for block in self._inflated(archive) if self.method == DEFLATED else _read(archive, self.compressed):
                size, check = size + len(block), zlib.crc32(block, check)
                if size > self.size:
                    break
                yield block
        if size != self.size:
            raise self._broken(f"{size:,} bytes, {self.size:,} announced")
        if self.method is not None and check != self.check:
            raise self._broken("its checksum is wrong")

    def _inflated(self, archive: IO[bytes]) -> Iterator[bytes]:
        unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for packed in _read(archive, self.compressed):
                block = unpacking.decompress(packed, STREAM)
                while block:
                    yield block
                    block = unpacking.decompress(unpacking.unconsumed_tail, STREAM)
        except zlib.error as error:
            raise self._broken(str(error)) from error

    def _broken(self, found: str) -> OSError:
        return OSError(5, f"{found}, in {os.path.basename(self.path)}", self.path)  # noqa: PTH119


class _Blocks(io.RawIOBase):
    """Blocks of bytes as a stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        super().__init__()
        self._blocks, self._rest = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: "Buffer") -> int:
        if not self._rest:
            self._rest = memoryview(next(self._blocks, b""))
        target = memoryview(into)
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _read(file: IO[bytes], size: int) -> Iterator[bytes]:
    while size and (block := file.read(min(size, STREAM))):
        size -= len(block)
        yield block


def members(path: str, prefix: str, leave_out: LeftOut) -> Iterator[Member]:
    """Members of an archive, by its directory (zip) or its headers (tar).

    Args:
        path: the archive.
        prefix: put before each name.
        leave_out: told of links and devices, which are never followed.

    Raises:
        LayoutError: the archive is cut or damaged, a member would leave its folder or is encrypted, or all unpack to
            more than `Limits`.
    """
    allowed, total, count = LIMITS.of(os.stat(path).st_size), 0, 0  # noqa: PTH116
    listing = _zip(path, leave_out) if path.lower().endswith(".zip") else _tar(path, leave_out)
    try:
        for name, size, at, packed, method, check in listing:
            total, count = total + size, count + 1
            if count > LIMITS.files or total > allowed:
                raise too_much(path, f"{total:,} bytes in {count:,} members", f"{allowed:,} in {LIMITS.files:,}")
            yield Member(path, prefix + inside(path, name), size, at, packed, method, check)
    except (zipfile.BadZipFile, tarfile.TarError, OSError, ValueError, NotImplementedError) as error:
        raise LayoutError(f"{path}: the archive is cut or damaged ({error}). Download it again.") from error


def inside(path: str, name: str) -> str:
    """A member's name as a path with forward slashes that stays in its folder.

    Raises:
        LayoutError: it would not stay there.
    """
    whole = name.replace("\\", "/")
    parts = [part for part in whole.split("/") if part not in ("", ".")]
    if ".." in parts or whole.startswith("/") or "\0" in whole or not parts:
        raise LayoutError(f"{path}: the member {name!r} would leave its folder: not the published archive.")
    return "/".join(parts)


def odd_kind(info: tarfile.TarInfo) -> str | None:
    """What a member of a tar is, where it is no plain file."""
    if info.isreg() and not info.issparse():
        return None
    return "link" if info.issym() or info.islnk() else "sparse file" if info.isreg() else "device"


class TarHeader(tarfile.TarInfo):
    """A header whose extended part is bounded."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:  # which tarfile names as the place to override
        if self.type in _EXTENDED and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {self.size:,} bytes; at most {MAX_HEADER:,} are read")
        return super()._proc_member(archive)  # type: ignore[misc,no-any-return]


def _zip(path: str, leave_out: LeftOut) -> Iterator[Listed]:
    with zipfile.ZipFile(path) as archive:
        waiting = archive.infolist()[::-1]
        archive.filelist.clear()
        archive.NameToInfo.clear()  # else the entries of a large archive would stay in memory beside its members
        while waiting:
            info = waiting.pop()
            if not info.filename:
                leave_out("?", "member without a name")
                continue
            if info.is_dir():
                continue
            if stat.S_ISLNK(info.external_attr >> 16):
                leave_out(info.filename, "link")
                continue
            if info.flag_bits & 1:
                raise LayoutError(f"{path}: {info.filename} is encrypted. Unpack the archive with its password.")
            method = info.compress_type
            yield info.filename, info.file_size, info.header_offset, info.compress_size, method, info.CRC


def _tar(path: str, leave_out: LeftOut) -> Iterator[Listed]:
    with tarfile.open(path, "r:", tarinfo=TarHeader) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # likewise
            if odd := odd_kind(info):
                if not info.isdir():
                    leave_out(info.name, odd)
            else:
                yield info.name, info.size, info.offset_data, info.size, None, int(info.mtime)
        # A tar has no directory: a cut or broken one just ends, perhaps in the middle of a member.
        with open(path, "rb") as file:  # noqa: PTH123
            file.seek(archive.offset)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError("it ends without its end mark")
