"""A dict by names that goes to a temporary file when it grows: a source may have more files than memory should hold."""

import errno
import marshal
import os
import sqlite3
import tempfile
from abc import abstractmethod
from collections.abc import Callable, ItemsView, Iterator, Mapping, MutableMapping, ValuesView
from contextlib import contextmanager
from typing import Any, TypeVar

Value = TypeVar("Value")
HELD = 1 << 13  # entries that stay in memory
CACHE_KIB = 1024  # of the file
FETCHED = 1024  # entries read at a time


class InOrder(Mapping[str, Value]):
    """A mapping that reads names and values together, in the order of the names."""

    @abstractmethod
    def entries(self) -> Iterator[tuple[str, Value]]:
        """Names and values."""

    def items(self) -> ItemsView[str, Value]:
        """Names and values."""
        return _Items(self)

    def values(self) -> ValuesView[Value]:
        """Values, in the order of the names."""
        return _Values(self)


class _Items(ItemsView[str, Value]):
    _mapping: InOrder[Value]

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return self._mapping.entries()


class _Values(ValuesView[Value]):
    _mapping: InOrder[Value]

    def __iter__(self) -> Iterator[Value]:
        return (value for _, value in self._mapping.entries())


class Shelf(InOrder[Value], MutableMapping[str, Value]):
    """Values by name, iterated in the order of the names. Up to `HELD` they are the very objects that were put in.

    Names compare as Python compares them. It must not be changed while it is iterated.

    Args:
        pack: value -> what `marshal` writes; the name need not be in it.
        unpack: name and what `pack` gave -> an equal value.

    Raises:
        OSError: by any method: there is no space for temporary files.
    """

    def __init__(
        self,
        pack: Callable[[Value], Any] = lambda value: value,
        unpack: Callable[[str, Any], Value] = lambda _, packed: packed,
    ) -> None:
        self._pack, self._unpack = pack, unpack
        self._held: dict[str, Value] = {}
        self._is_sorted = True
        self._file: sqlite3.Connection | None = None

    def __setitem__(self, name: str, value: Value) -> None:
        self._held[name] = value
        self._is_sorted = False
        if len(self._held) > HELD:
            self._put_away()

    def __getitem__(self, name: str) -> Value:
        if name in self._held:
            return self._held[name]
        if self._file is not None and (row := self._row("value", name)):
            return self._unpack(name, marshal.loads(row[0]))
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if name in self._held:
            return True
        return self._file is not None and isinstance(name, str) and self._row("1", name) is not None

    def __delitem__(self, name: str) -> None:
        if self._file is not None:
            self._put_away()
            with _told():
                if not self._file.execute("DELETE FROM shelf WHERE name = ?", (_bytes(name),)).rowcount:
                    raise KeyError(name)
        else:
            del self._held[name]

    def __len__(self) -> int:
        if self._file is None:
            return len(self._held)
        self._put_away()
        with _told():
            return int(self._file.execute("SELECT count(*) FROM shelf").fetchone()[0])

    def __bool__(self) -> bool:
        return bool(self._held) or (self._file is not None and len(self) > 0)

    def __iter__(self) -> Iterator[str]:
        return self.names()

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names that begin so."""
        if self._file is None:
            return (name for name in self._in_order() if name.startswith(prefix))
        return (name for name, _ in self._rows("name, NULL", prefix))

    def entries(self, prefix: str = "") -> Iterator[tuple[str, Value]]:
        """Names that begin so, and their values."""
        if self._file is None:
            return ((name, value) for name, value in self._in_order().items() if name.startswith(prefix))
        return ((name, self._unpack(name, marshal.loads(value))) for name, value in self._rows("name, value", prefix))

    def below(self, prefix: str) -> "Below[Value]":
        """The part of it whose names begin so."""
        return Below(self, prefix)

    def _in_order(self) -> dict[str, Value]:
        if not self._is_sorted:
            self._held = {name: self._held[name] for name in sorted(self._held)}
            self._is_sorted = True
        return self._held

    def _rows(self, columns: str, prefix: str) -> Iterator[tuple[str, bytes]]:
        assert self._file
        self._put_away()
        start = _bytes(prefix)
        with _told():
            rows = self._file.execute(f"SELECT {columns} FROM shelf WHERE name >= ? ORDER BY name", (start,))
            rows.arraysize = FETCHED
            while some := rows.fetchmany():
                for name, value in some:
                    if not name.startswith(start):
                        return
                    yield name.decode("utf-8", "surrogatepass"), value

    def _row(self, columns: str, name: str) -> Any:
        assert self._file
        try:
            return self._file.execute(f"SELECT {columns} FROM shelf WHERE name = ?", (_bytes(name),)).fetchone()
        except sqlite3.OperationalError as error:
            raise _trouble(error) from error

    def _put_away(self) -> None:
        """Move what is held into the file."""
        if not self._held:
            return
        with _told():
            if self._file is None:
                self._file = sqlite3.connect("", isolation_level=None)  # a file without a name: gone with its last user
                self._file.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
                self._file.execute("PRAGMA journal_mode = OFF")
                self._file.execute("CREATE TABLE shelf (name BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
            held = self._in_order().items()
            self._file.execute("BEGIN")
            self._file.executemany(
                "INSERT OR REPLACE INTO shelf VALUES (?, ?)",
                ((_bytes(name), marshal.dumps(self._pack(value))) for name, value in held),
            )
            self._file.execute("COMMIT")
        self._held = {}


class Below(InOrder[Value]):
    """The part of a shelf whose names begin alike, without that beginning."""

    def __init__(self, shelf: Shelf[Value], prefix: str) -> None:
        self._shelf, self._prefix = shelf, prefix

    def __getitem__(self, name: str) -> Value:
        return self._shelf[self._prefix + name]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._prefix + name in self._shelf

    def __len__(self) -> int:
        return sum(1 for _ in self._shelf.names(self._prefix))

    def __bool__(self) -> bool:
        return any(True for _ in self._shelf.names(self._prefix))

    def __iter__(self) -> Iterator[str]:
        return (name[len(self._prefix) :] for name in self._shelf.names(self._prefix))

    def entries(self) -> Iterator[tuple[str, Value]]:
        """Names and values."""
        return ((name[len(self._prefix) :], value) for name, value in self._shelf.entries(self._prefix))

    def below(self, prefix: str) -> "Below[Value]":
        """A part of it."""
        return Below(self._shelf, self._prefix + prefix)


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")  # whose order is that of the characters


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise _trouble(error) from error


def _trouble(error: sqlite3.OperationalError) -> OSError:
    number = errno.ENOSPC if "full" in str(error) else errno.EIO
    folder = os.environ.get("SQLITE_TMPDIR") or tempfile.gettempdir()
    return OSError(number, f"{os.strerror(number)} ({error}); TMPDIR names another folder", folder)
