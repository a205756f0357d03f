"""Members of .zip and plain .tar archives, read in place: nothing is unpacked to disk or read past its size."""

import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from hemadata.errors import LayoutError
from hemadata.formats.rawfile import RawFile

IN_PLACE = (".zip", ".tar")
TO_UNPACK = (".rar", ".7z", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")  # solid: no member can be read alone
MAX_MEMBER = 1 << 30  # bytes of one unpacked member; a larger one is not a picture or a table, but perhaps a bomb
STORED, DEFLATED = 0, 8
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


def members(path: str, prefix: str) -> Iterator[RawFile]:
    """Members of an archive, by its directory (zip) or its headers (tar); folders and links are left out.

    Args:
        path: the archive.
        prefix: put before each name.

    Raises:
        LayoutError: the archive is cut or damaged, a member would leave its folder, or is encrypted.
    """
    listing = _zip(path) if path.lower().endswith(".zip") else _tar(path)
    try:
        for name, size, at, packed, method, check in listing:
            whole = name.replace("\\", "/")
            parts = [part for part in whole.split("/") if part not in ("", ".")]
            if ".." in parts or whole.startswith("/") or not parts:
                raise LayoutError(f"{path}: the member {name!r} would leave its folder: not the published archive.")
            yield Member(path, prefix + "/".join(parts), size, at, packed, method, check)
    except (zipfile.BadZipFile, tarfile.TarError, OSError, ValueError, NotImplementedError) as error:
        raise LayoutError(f"{path}: the archive is cut or damaged ({error}). Download it again.") from error


def _zip(path: str) -> Iterator[tuple[str, int, int, int, int | None, int]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & 1:
                raise LayoutError(f"{path}: {info.filename} is encrypted. Unpack the archive with its password.")
            method = info.compress_type
            yield info.filename, info.file_size, info.header_offset, info.compress_size, method, info.CRC


def _tar(path: str) -> Iterator[tuple[str, int, int, int, int | None, int]]:
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            if info.isreg() and not info.issparse():
                yield info.name.removeprefix("./"), info.size, info.offset_data, info.size, None, int(info.mtime)
        # A tar has no directory: a cut one just ends, perhaps in the middle of a member.
        last = next(reversed(archive.getmembers()), None)
        if last is None or last.offset_data + last.size > os.stat(path).st_size:  # noqa: PTH116
            raise tarfile.ReadError("it ends in the middle of a member")
