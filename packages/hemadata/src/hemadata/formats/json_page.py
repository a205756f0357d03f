"""JSON pages of any size, entry by entry: the lists of a page are never held whole.

Only the frame around the entries is read here; each entry is parsed by the standard library.
"""

import codecs
import json
import re
from collections.abc import Collection, Iterator
from typing import IO, Any

from hemadata.errors import FormatError
from hemadata.formats.rawfile import RawFile

BLOCK = 1 << 18  # bytes
MAX_ENTRY = 64 << 20  # characters of an entry of a list, or of a value beside the lists
LITERAL = 12  # characters: no word or number that is cut at the end of a block looks wrong further from its end
_PARSE = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\n\r]*")
TOP = ""
"""Key of the entries of a page that is a list."""


def entries(page: RawFile, needed: Collection[str] = ()) -> Iterator[tuple[str, int, Any]]:
    """Key, number from 1, and entry of every list of a page, in file order; a value that is no list is one entry.

    Args:
        page: an object of lists, or one list, whose entries have the key `TOP`.
        needed: keys that the page must have, be their lists empty.

    Raises:
        FormatError: it cannot be read, is not JSON, nests too deeply, or holds an entry of more than `MAX_ENTRY`.
    """
    try:
        with page.open() as file:
            reader = _Reader(file)
            yield from reader.page()
    except OSError as error:
        raise FormatError(f"{page.name}: cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{page.name}: not UTF-8 text ({error.reason}).") from error
    except RecursionError as error:
        raise FormatError(f"{page.name}: not JSON that can be read (it nests too deeply).") from error
    except ValueError as error:
        raise FormatError(f"{page.name}: not JSON ({error}).") from error
    if missing := [key for key in needed if key not in reader.keys]:
        there = ", ".join(list(reader.keys)[:8]) or "none"
        raise FormatError(f"{page.name}: expected {', '.join(needed)}; {missing[0]} is missing, found {there}.")


class _Reader:
    """A window on the text, which moves along."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._at, self._before = file, 0, 0
        self.keys: dict[str, None] = {}
        first = file.read(BLOCK)
        is_wide = first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        self._decoder = codecs.getincrementaldecoder("utf-16" if is_wide else "utf-8-sig")()
        self._text, self._ended = self._decoder.decode(first), not first

    def page(self) -> Iterator[tuple[str, int, Any]]:
        if self._next() == "[":
            yield from self._list(TOP)
        elif self._next() == "{":
            yield from self._object()
        else:
            raise self._unlike("{ or [")
        if self._next():
            raise self._unlike("the end")

    def _object(self) -> Iterator[tuple[str, int, Any]]:
        self._at += 1
        while self._next() != "}":
            key = self._value()
            if not isinstance(key, str):
                raise self._unlike("a key")
            self.keys[key] = None
            self._take(":")
            if self._next() == "[":
                yield from self._list(key)
            else:
                yield key, 1, self._value()
            if self._next() != "}":
                self._take(",")
                if self._next() != '"':
                    raise self._unlike("a key")
        self._at += 1

    def _list(self, key: str) -> Iterator[tuple[str, int, Any]]:
        self._at += 1
        number = 0
        while self._next() != "]":
            number += 1
            yield key, number, self._value()
            if self._next() != "]":
                self._take(",")
                if self._next() == "]":
                    raise self._unlike("an entry")
        self._at += 1

    def _value(self) -> Any:
        self._next()
        while True:
            try:
                value, end = _PARSE(self._text, self._at)
            except json.JSONDecodeError as error:
                is_cut = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - LITERAL
                if not is_cut or not self._more():
                    raise ValueError(f"{error.msg} at character {self._before + error.pos:,}") from error
                continue
            is_whole = not isinstance(value, int | float) or len(self._text) - end > len("e-1")
            if is_whole or not self._more():  # a number may go on behind the window
                self._at = end
                return value

    def _next(self) -> str:
        """The next character that is no white space; it stays. Nothing at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match
            self._at = match.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _take(self, char: str) -> None:
        if self._next() != char:
            raise self._unlike(char)
        self._at += 1

    def _more(self) -> bool:
        """Move the window on, unless nothing is left; it grows with the entry in it, so that few parses are in vain."""
        kept = len(self._text) - self._at
        if kept > MAX_ENTRY:
            raise ValueError(f"an entry of more than {MAX_ENTRY:,} characters at character {self._before + self._at:,}")
        if self._ended:
            return False
        block = self._file.read(max(BLOCK, kept))
        self._ended = not block
        new = self._decoder.decode(block, final=self._ended)
        if new:
            self._text, self._before, self._at = self._text[self._at :] + new, self._before + self._at, 0
        return not self._ended

    def _unlike(self, expected: str) -> ValueError:
        found = repr(self._text[self._at : self._at + 20]) if self._next() else "the end"
        return ValueError(f"expected {expected} at character {self._before + self._at:,}, found {found}")
