"""A file of a raw tree, not yet read."""

import codecs
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from sys import intern
from typing import IO

from hemadata.errors import FormatError

BLOCK = 64 << 10  # bytes; most crops and all pages are one read
MAX_FILE = 1 << 30  # bytes of a file that is read whole; a larger one is not a picture or a page, but perhaps a bomb
MAX_PAGE = 256 << 20  # bytes of a page that is held whole: it may grow twentyfold when it is parsed
UTF8, UTF16 = "utf-8-sig", "utf-16"
MAX_LINE = 4 << 20  # characters of a line of a table


class RawFile:
    """A file of a raw tree, not yet read.

    Args:
        path: on disk.
        name: relative to the raw folder, with forward slashes: what people read in reports.
    """

    __slots__ = ("_size", "_stamp", "_top", "name")

    def __init__(self, path: str, name: str) -> None:
        # A plan holds hundreds of thousands: what stands before their names on disk is held once.
        self._top = intern(path[: -len(name)]) if name and path.endswith("/" + name) else path
        self.name = name
        self._size: int | None = None
        self._stamp = 0

    @property
    def path(self) -> str:
        """Where it lies on disk; of a member the archive."""
        return self._top + self.name if self._top.endswith("/") else self._top

    def packed(self) -> tuple[object, ...]:
        """What `unpacked` makes an equal file of; plain values."""
        assert type(self) is RawFile, "a file of another kind packs itself"
        return self._top, self.name, self._size, self._stamp

    @classmethod
    def unpacked(cls, top: str, name: str, size: int | None, stamp: int) -> "RawFile":
        """The file that `packed` was asked of."""
        file = cls.__new__(cls)
        file._top, file.name, file._size, file._stamp = intern(top), name, size, stamp
        return file

    def _look(self) -> None:
        try:
            status = os.stat(self.path)  # noqa: PTH116 - half the cost of a Path
            self._size, self._stamp = status.st_size, status.st_mtime_ns
        except OSError:  # a dead link: reported when it is read
            self._size = 0

    @property
    def size(self) -> int:
        """Bytes."""
        if self._size is None:  # asked for images only: text annotations are read at once
            self._look()
        return self._size or 0

    @property
    def stamp(self) -> int:
        """Changes when the content may have changed."""
        if self._size is None:
            self._look()
        return self._stamp

    @property
    def stem(self) -> str:
        """File name without folder and last ending."""
        return self.name.rpartition("/")[2].rpartition(".")[0]

    @property
    def archive(self) -> str:
        """Name without ending of the archive that is read in place; empty: the file lies on disk."""
        return ""

    def read(self) -> bytes:
        """The bytes of the file.

        Raises:
            OSError: it cannot be read, or is larger than `MAX_FILE`.
        """
        file = os.open(self.path, os.O_RDONLY)  # half the cost of a file object, twice for every image of a build
        try:
            data = os.read(file, BLOCK)
            if len(data) < BLOCK:
                return data
            parts, size = [data], os.fstat(file).st_size
            if size > MAX_FILE:
                raise OSError(27, f"{size:,} bytes; at most {MAX_FILE:,} are read", self.path)
            while parts[-1]:
                parts.append(os.read(file, max(size - BLOCK, BLOCK)))
            return b"".join(parts)
        finally:
            os.close(file)

    def open(self) -> IO[bytes]:
        """The file as a stream, for one that need not be held whole; reading it raises OSError where `read` does."""
        return open(self.path, "rb")  # noqa: PTH123

    def text(self, fallback: str | None = None) -> str:
        """The file as text: UTF-8, or UTF-16 that begins with its mark; a byte-order mark is removed.

        Args:
            fallback: encoding of a file that is neither; None: such a file is an error.

        Raises:
            FormatError: it cannot be read, or is not text.
        """
        if self.size > MAX_PAGE:
            raise FormatError(f"{self.name}: {self.size:,} bytes; at most {MAX_PAGE:,} of a page are read.")
        try:
            data = self.read()
            encoding = _encoding(data)
            if encoding != UTF16 and b"\0" in data:  # UTF-16 without its mark, or no text: it would pass as UTF-8
                raise UnicodeError("it holds bytes that are 0")
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                if fallback is None:
                    raise
                return data.decode(fallback)
        except (OSError, UnicodeError) as error:
            raise self._trouble(error) from error

    def lines(self, fallback: str | None = None) -> Iterator[str]:
        """The same line by line, endings as they are, for a text that need not be held whole.

        Raises:
            FormatError: it cannot be read, is not text, or has a line of more than `MAX_LINE` characters.
        """
        with self._trouble_told():
            encoding = self._encoding(fallback)
            with self.open() as file:
                text = io.TextIOWrapper(file, encoding, newline="")
                while line := text.readline(MAX_LINE + 1):
                    if "\0" in line:
                        raise UnicodeError("it holds bytes that are 0")
                    if len(line) > MAX_LINE:
                        raise FormatError(f"{self.name}: a line of more than {MAX_LINE:,} characters: not a table.")
                    yield line

    def _encoding(self, fallback: str | None) -> str:
        """Encoding of the text; all of it is looked at where there are two."""
        with self.open() as file:
            first = file.read(BLOCK)
            encoding = _encoding(first)
            if fallback is None:
                return encoding
            decoder = codecs.getincrementaldecoder(encoding)()
            try:
                while first:
                    decoder.decode(first)
                    first = file.read(BLOCK)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return fallback
        return encoding

    @contextmanager
    def _trouble_told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, UnicodeError) as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError | UnicodeError) -> FormatError:
        if isinstance(error, OSError):
            return FormatError(f"{self.name}: cannot be read ({error.strerror}).")
        where = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        why = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        return FormatError(f"{self.name}: not UTF-8 text ({why}{where}).")


def _encoding(head: bytes) -> str:
    is_wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return UTF16 if is_wide else UTF8
