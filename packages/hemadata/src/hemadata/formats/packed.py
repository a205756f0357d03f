"""Columns of one image's annotations, as small as they are without losing a bit: a plan holds millions of them."""

from array import array
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

Value = TypeVar("Value")
DECIMALS = 10**6  # labelling tools write six digits behind the point at the most
Kind = tuple[str, int]
"""Type code of numbers, and what they are divided by."""
_WIDE: Kind = ("d", 1)
_NARROW: tuple[Kind, ...] = (("H", 1), ("i", 1), ("i", DECIMALS))
_TYPES: dict[str, np.dtype[Any]] = {"H": np.dtype(np.uint16), "i": np.dtype(np.int32), "d": np.dtype(np.float64)}
_END = "\0"


def pack_numbers(numbers: "array[float]") -> tuple[bytes, Kind]:
    """Whole numbers of 16 bits, or decimals of 32, where they give exactly these numbers back; else 64 bits each."""
    with suppress(ValueError, OverflowError):  # most are pixels: no need of numpy
        whole = array("H", map(int, numbers))
        if array("d", whole).tobytes() == numbers.tobytes():
            return whole.tobytes(), _NARROW[0]
    values = np.asarray(numbers, np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        for kind in _NARROW:
            code, by = kind
            scaled, limits = np.rint(values * by), np.iinfo(_TYPES[code])
            fits = (scaled >= limits.min) & (scaled <= limits.max) & (scaled / by == values)
            if fits.all() and not np.signbit(values[values == 0]).any():
                return scaled.astype(_TYPES[code]).tobytes(), kind
    return values.tobytes(), _WIDE


def unpack_numbers(data: bytes, kind: Kind) -> "array[float]":
    """What `pack_numbers` was given."""
    code, by = kind
    values = np.frombuffer(data, _TYPES[code])
    return array("d", (values / by if by != 1 else values.astype(np.float64)).tobytes())


def pack_values(values: tuple[Value, ...]) -> tuple[tuple[Value, ...], bytes | None]:
    """Values, most of which come again: each once, shared by all images that have the same, and a byte for each place.

    Args:
        values: hashable; where all are different, or more than 256, they are kept as they are, without bytes.
    """
    different = tuple(dict.fromkeys(values))
    if len(different) > 256:
        return values, None
    different = shared(tuple(map(shared, different)))
    if len(different) == len(values):
        return different, None
    code_of = {value: code for code, value in enumerate(different)}
    return different, shared(bytes([code_of[value] for value in values]))


def unpack_values(values: tuple[Value, ...], codes: bytes | None) -> tuple[Value, ...]:
    """What `pack_values` was given."""
    return values if codes is None else tuple([values[code] for code in codes])


@lru_cache(1 << 14)
def shared(value: Value) -> Value:
    """The first of all values that are equal: the others need not be held."""
    return value


Texts = str | bytes | tuple[str | None, ...]


def pack_texts(texts: tuple[str | None, ...]) -> Texts:
    """Texts that are all different: numbers of 32 bits where they are such numbers, else as one text.

    Where one is null or odd, they are kept as they are.
    """
    if None in texts or any(_END in text for text in texts if text):
        return texts
    known = [text for text in texts if text is not None]
    if all(text.isdecimal() and len(text) < 10 and str(int(text)) == text for text in known):
        return array("i", map(int, known)).tobytes()
    return _END.join(known)


def unpack_texts(packed: Texts) -> tuple[str | None, ...]:
    """What `pack_texts` was given; one text at least."""
    if isinstance(packed, bytes):
        return tuple(map(str, array("i", packed)))
    return tuple(packed.split(_END)) if isinstance(packed, str) else packed
