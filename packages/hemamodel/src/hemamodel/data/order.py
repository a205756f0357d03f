"""The order of training images as a pure function: position in, image out. Nothing is shuffled, stored or resumed.

A run that starts at step N therefore sees what a run that never stopped sees, with any number of workers or ranks.
"""

import bisect
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate

ROUNDS = 8  # of the Feistel network; four make it statistically sound, eight also for domains of a few images
_WORD = (1 << 64) - 1


@lru_cache(maxsize=4096)
def key(*parts: str | int) -> int:
    """64-bit key of any parts, the same on every machine and in every process."""
    return int.from_bytes(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest(), "little")


def permute(position: int, size: int, key: int) -> int:
    """Place of `position` in a keyed permutation of `range(size)`, without building it.

    A Feistel network permutes the smallest square power of two that holds the range; a value outside the range is
    sent through again until it falls inside (cycle walking), on average less than four times.

    Args:
        position: 0 to size - 1.
        size: number of elements.
        key: chooses the permutation.

    Raises:
        IndexError: the position is outside the range.
    """
    if not 0 <= position < size:
        raise IndexError(f"position {position} is outside 0 to {size - 1}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    low = (1 << half) - 1
    value = position
    while True:
        left, right = value >> half, value & low
        for round_ in range(ROUNDS):
            left, right = right, left ^ (_mix(key + round_ * 0x9E3779B97F4A7C15 + right) & low)
        value = left << half | right
        if value < size:
            return value


def _mix(value: int) -> int:
    # finaliser of splitmix64: every input bit reaches every output bit
    value &= _WORD
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB & _WORD
    return value ^ value >> 31


def shares(sizes: Mapping[str, int], weights: Mapping[str, float], temperature: float, length: int) -> dict[str, int]:
    """How many of `length` images come from each source: in proportion to weight * size ** (1 / temperature).

    Temperature 1 samples by size, 2 by the square root of the size; a large one treats all sources alike.
    Rounded by largest remainder, so that the shares add up to `length`.
    """
    exact = {name: weights.get(name, 1.0) * size ** (1 / temperature) for name, size in sizes.items() if size}
    total = sum(exact.values())
    if not total:
        return {}
    exact = {name: share * length / total for name, share in exact.items()}
    whole = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (whole[name] - exact[name], name))
    for name in by_remainder[: length - sum(whole.values())]:
        whole[name] += 1
    return whole


class Mixture:
    """An endless weighted interleaving of sources.

    Every epoch holds exactly the shares of `shares`, in a new order. Inside a source no image comes again before all
    of its images have come, also across epochs: each pass over a source is a permutation keyed by
    (seed, source, pass).

    Args:
        sizes: images per source.
        weights: weight per source; 1 where none is given.
        temperature: see `shares`.
        seed: of the run.
        length: images in an epoch; None: the sum of sizes with a weight above 0.
    """

    def __init__(
        self,
        sizes: Mapping[str, int],
        weights: Mapping[str, float] | None = None,
        temperature: float = 1.0,
        seed: int = 0,
        length: int | None = None,
    ) -> None:
        weights = weights or {}
        used = {name: size for name, size in sorted(sizes.items()) if size and weights.get(name, 1.0) > 0}
        self.sizes, self.seed = used, seed
        self.length = sum(used.values()) if length is None else length
        self.shares = shares(used, weights, temperature, self.length)
        self._names = list(self.shares)
        self._ends = list(accumulate(self.shares.values()))

    def __len__(self) -> int:
        """Images in an epoch."""
        return self.length

    def at(self, position: int) -> tuple[str, int]:
        """Source, and number of the image inside it, at a position; epoch e starts at e * len(self)."""
        if not self._names:
            raise IndexError("the mixture has no image")
        epoch, place = divmod(position, self.length)
        slot = permute(place, self.length, key(self.seed, "mixture", epoch))
        at = bisect.bisect_right(self._ends, slot)
        name = self._names[at]
        before = epoch * self.shares[name] + slot - (self._ends[at] - self.shares[name])
        turn, number = divmod(before, self.sizes[name])
        return name, permute(number, self.sizes[name], key(self.seed, name, turn))
