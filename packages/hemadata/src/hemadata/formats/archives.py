"""Members of .zip and plain .tar archives, read in place: nothing is unpacked to disk or read past its size."""

import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator

from hemadata.errors import LayoutError
from hemadata.formats.rawfile import RawFile

IN_PLACE = (".zip", ".tar")
MAX_MEMBER = 1 << 30  # bytes of one unpacked member; a larger one is not a picture or a table, but perhaps a bomb
MAX_HEADER = 1 << 20  # bytes of a long name or of extended facts in a tar; tarfile would read any size into memory
STORED, DEFLATED = 0, 8
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
        packed: bytes in the archive, for a zip.
        method: compression of a zip; None: the bytes stand as they are.
        check: CRC of a zip member; for a tar the time of the member.
    """

    __slots__ = ("at", "check", "method", "packed")

    def __init__(self, path: str, name: str, size: int, at: int, packed: int, method: int | None, check: int) -> None:
        super().__init__(path, name)
        self.at, self.packed, self.method, self.check = at, packed, method, check
        self._status = size, check

    @property
    def archive(self) -> str:
        """Name without ending of the archive."""
        return os.path.basename(self.path).rpartition(".")[0]  # noqa: PTH119

    def read(self) -> bytes:
        """The unpacked bytes.

        Raises:
            OSError: the archive is cut or damaged, or says too large a size.
        """
        if self.size > MAX_MEMBER:
            raise self._broken(f"{self.size:,} bytes unpacked; at most {MAX_MEMBER:,} are read")
        archive = os.open(self.path, os.O_RDONLY)
        try:
            data = os.pread(archive, self.size, self.at) if self.method is None else self._unzip(archive)
        finally:
            os.close(archive)
        if len(data) != self.size:
            raise self._broken(f"{len(data):,} bytes, {self.size:,} announced")
        return data

    def _unzip(self, archive: int) -> bytes:
        head = os.pread(archive, _LOCAL.size, self.at)
        if len(head) < _LOCAL.size or not head.startswith(b"PK\3\4"):
            raise self._broken("no member begins where the directory says")
        _, name, extra = _LOCAL.unpack(head)
        data = os.pread(archive, self.packed, self.at + _LOCAL.size + name + extra)
        if self.method == DEFLATED:
            try:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
            except zlib.error as error:
                raise self._broken(str(error)) from error
        elif self.method != STORED:
            raise self._broken(f"compression method {self.method}: unpack the archive by hand")
        if zlib.crc32(data) != self.check:
            raise self._broken("its checksum is wrong")
        return data

    def _broken(self, found: str) -> OSError:
        return OSError(5, f"{found}, in {os.path.basename(self.path)}", self.path)  # noqa: PTH119


def members(path: str, prefix: str, leave_out: LeftOut) -> Iterator[RawFile]:
    """Members of an archive, by its directory (zip) or its headers (tar).

    Args:
        path: the archive.
        prefix: put before each name.
        leave_out: told of links and devices, which are never followed.

    Raises:
        LayoutError: the archive is cut or damaged, a member would leave its folder, or is encrypted.
    """
    listing = _zip(path, leave_out) if path.lower().endswith(".zip") else _tar(path, leave_out)
    try:
        for name, size, at, packed, method, check in listing:
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
        for info in archive.infolist():
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
        for info in archive:
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
