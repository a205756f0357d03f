"""Changing bytes, text and JSON at random; whoever passes the same `random.Random` gets the same change."""

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", re.IGNORECASE)
ODD_NUMBERS = (
    *(b"-1", b"0", b"1", b"-0.0", b"nan", b"NaN", b"inf", b"-Infinity", b"1e308", b"-1e308", b"1e999", b"1e-320"),
    *(b"", b" ", b"abc", b"1,5", b"0x10", b"1_000", b"2147483648", b"-9223372036854775809", b"9" * 400),
    *("٣".encode(), "\uff11\uff12".encode(), "½".encode(), b"+7", b"1.", b".5", b"1\x002", b"4294967295", b"1e5"),
)
ODD_TEXT = (
    *("\0", "\ufeff", "\u202e", "\U0001f9ec", "e\u0301", "\r", "\n", "\t", "\x1b[31m", "\u2028", "\x85", "\x0c"),
    *("../", "..\\", "/etc/passwd", "%s%n", "{}", "${HOME}", "'", '"', "`id`", "<", "&", "]]>", "\\", ",", ";", "|"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1e308, float("nan"), float("inf"), 10**40, "", " ", "\0", "x" * 5000, "NaN", "../x"),
    *([], {}, [[]], [None], {"": None}, {"id": []}, [1, 2, 3], "\ud800", "٣"),
)


def mutated(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """A few changes, chosen by what the data look like.

    Args:
        data: a file.
        chance: decides.
        others: files to take parts from.
    """
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        is_text = b"\0" not in data[:512] and (data[:512].decode("utf-8", "ignore").encode() == data[:512])
        ways: list[Callable[[bytes, random.Random], bytes]] = [*BYTES]
        if is_text and data:
            ways += TEXT * 3
            if data.lstrip()[:1] in (b"{", b"["):
                ways += [_json] * 12
        if others and chance.random() < 0.1:
            data = _spliced(data, chance.choice(others), chance)
        else:
            data = chance.choice(ways)(data, chance)
    return data


def _at(data: bytes, chance: random.Random) -> int:
    """A place; the first bytes of a file, where headers are, come up more often."""
    return chance.randrange(min(len(data), 64) if chance.random() < 0.4 else len(data)) if data else 0


def _flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 8))):
        if changed:
            changed[_at(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _set(data: bytes, chance: random.Random) -> bytes:
    at = _at(data, chance)
    value = chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF))
    width = chance.choice((1, 2, 4))
    piece = (value & ((1 << 8 * width) - 1)).to_bytes(width, chance.choice(("little", "big")))
    return data[:at] + piece + data[at + width :]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.choice((0, 1, _at(data, chance), _at(data, chance), max(len(data) - 1, 0)))]


def _drop(data: bytes, chance: random.Random) -> bytes:
    at = _at(data, chance)
    return data[:at] + data[at + chance.choice((1, 2, 4, 16, 256)) :]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    at, length = _at(data, chance), chance.choice((1, 4, 32, 512))
    return data[:at] + data[at : at + length] * chance.choice((2, 3, 50)) + data[at:]


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = _at(data, chance)
    return data[:at] + chance.randbytes(chance.choice((1, 3, 16, 200))) + data[at:]


def _spliced(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: _at(data, chance)] + other[_at(other, chance) :]


def _number(data: bytes, chance: random.Random) -> bytes:
    found = list(NUMBER.finditer(data))
    if not found:
        return _odd_text(data, chance)
    for match in sorted(chance.sample(found, min(len(found), chance.choice((1, 1, 2, 5)))), key=lambda m: -m.start()):
        data = data[: match.start()] + chance.choice(ODD_NUMBERS) + data[match.end() :]
    return data


def _odd_text(data: bytes, chance: random.Random) -> bytes:
    at = _at(data, chance)
    return data[:at] + chance.choice(ODD_TEXT).encode() * chance.choice((1, 1, 1, 300)) + data[at:]


def _lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    a, b = chance.randrange(len(lines)), chance.randrange(len(lines))
    way = chance.randrange(4)
    if way == 0:
        lines[a], lines[b] = lines[b], lines[a]
    elif way == 1:
        lines.insert(a, lines[b])
    elif way == 2:
        del lines[min(a, b) : max(a, b) + 1]
    else:
        lines[a] = lines[a].rstrip() * chance.choice((2, 30)) + b"\n"
    return b"".join(lines)


def _words(data: bytes, chance: random.Random) -> bytes:
    """One word of the text in the place of another."""
    found = list(re.finditer(rb"[\w.]+", data))
    if len(found) < 2:
        return _odd_text(data, chance)
    there, other = chance.choice(found), chance.choice(found)
    return data[: there.start()] + other.group() + data[there.end() :]


def _deep(data: bytes, chance: random.Random) -> bytes:
    opening = chance.choice((b"[", b'{"a":', b"<a>", b"(", b'"', b"<![CDATA[", b"<!--"))
    at = chance.choice((0, _at(data, chance)))
    return data[:at] + opening * chance.choice((1, 200, 30_000)) + data[at:]


def _encoded(data: bytes, chance: random.Random) -> bytes:
    return data.decode("utf-8", "replace").encode(chance.choice(("utf-16", "utf-8-sig", "utf-32", "cp1252")), "replace")


def _json(data: bytes, chance: random.Random) -> bytes:
    """A value, a key or an entry of a JSON page changed; any other data are flipped."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return _flip(data, chance)
    holders: list[Any] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict | list) and value and len(holders) < 5000:
            holders.append(value)
            for inner in value.values() if isinstance(value, dict) else value:
                walk(inner)

    walk(whole)
    if not holders:
        return json.dumps(chance.choice(ODD_VALUES)).encode()
    for _ in range(chance.choice((1, 1, 2, 4))):
        holder = chance.choice(holders)
        key: Any = chance.choice(list(holder)) if isinstance(holder, dict) else chance.randrange(len(holder))
        way = chance.randrange(5)
        if way <= 1:
            holder[key] = chance.choice(ODD_VALUES)
        elif way == 2 and len(holder) > 1:
            del holder[key]
        elif way == 3:
            holder[key] = str(holder[key])[:200] if not isinstance(holder[key], str) else [holder[key]]
        elif isinstance(holder, dict):
            holder[chance.choice(ODD_TEXT) + str(key)] = holder[key]
        else:
            holder.append(holder[key])
        if not holder:
            holders = [held for held in holders if held]
        if not holders:
            break
    try:
        return json.dumps(whole).encode()
    except (ValueError, RecursionError):  # an entry that now holds itself
        return _flip(data, chance)


BYTES = (_flip, _set, _cut, _drop, _repeat, _insert)
TEXT = [_number, _number, _odd_text, _lines, _words, _words, _deep, _encoded]
