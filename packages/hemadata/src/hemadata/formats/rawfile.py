"""A file of a raw tree, not yet read."""

import codecs
import os

from hemadata.errors import FormatError

BLOCK = 64 << 10  # bytes; most crops and all pages are one read


class RawFile:
    """A file of a raw tree, not yet read.

    Args:
        path: on disk.
        name: relative to the raw folder, with forward slashes: what people read in reports.
    """

    __slots__ = ("_status", "name", "path")

    def __init__(self, path: str, name: str) -> None:
        self.path, self.name = path, name
        self._status: tuple[int, int] | None = None

    def _stat(self) -> tuple[int, int]:
        if self._status is None:  # asked for images only: text annotations are read at once
            try:
                status = os.stat(self.path)  # noqa: PTH116 - half the cost of a Path
                self._status = status.st_size, status.st_mtime_ns
            except OSError:  # a dead link: reported when it is read
                self._status = 0, 0
        return self._status

    @property
    def size(self) -> int:
        """Bytes."""
        return self._stat()[0]

    @property
    def stamp(self) -> int:
        """Changes when the content may have changed."""
        return self._stat()[1]

    @property
    def stem(self) -> str:
        """File name without folder and last ending."""
        return self.name.rpartition("/")[2].rpartition(".")[0]

    @property
    def archive(self) -> str:
        """Name without ending of the archive that is read in place; empty: the file lies on disk."""
        return ""

    def read(self) -> bytes:
        """The bytes of the file."""
        file = os.open(self.path, os.O_RDONLY)  # half the cost of a file object, twice for every image of a build
        try:
            data = os.read(file, BLOCK)
            if len(data) < BLOCK:
                return data
            parts, size = [data], os.fstat(file).st_size
            while parts[-1]:
                parts.append(os.read(file, max(size - BLOCK, BLOCK)))
            return b"".join(parts)
        finally:
            os.close(file)

    def text(self, fallback: str | None = None) -> str:
        """The file as UTF-8 text, a byte-order mark removed.

        Args:
            fallback: encoding of a file that is not UTF-8; None: such a file is an error.

        Raises:
            FormatError: it cannot be read, or is not text.
        """
        try:
            data = self.read().removeprefix(codecs.BOM_UTF8)
            try:
                return data.decode()
            except UnicodeDecodeError:
                if fallback is None:
                    raise
                return data.decode(fallback)
        except OSError as error:
            raise FormatError(f"{self.name}: cannot be read ({error.strerror}).") from error
        except UnicodeDecodeError as error:
            raise FormatError(f"{self.name}: not UTF-8 text ({error.reason} at byte {error.start}).") from error
