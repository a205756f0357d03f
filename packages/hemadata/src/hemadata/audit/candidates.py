"""Which pairs of fingerprints are worth correlating: equal hash keys for all images, every pair for whole fields.

In a small corpus every pair of all images is looked at too: nothing is missed, and the closest others can be told.
"""

from collections.abc import Iterator

import numpy as np

from hemadata.audit.fingerprints import COARSE, FINE, INVERSE, sign_places, signs, terms, turned

TABLES = 28  # each picks its own signs; a copy is missed only where every table holds a wrong sign
SHORTEST = 16  # signs of a key; more for more pictures: about one entry per key, were the signs even
LONGER = (8, 16)  # further signs, asked where more than CROWD entries share a key
CROWD = 64
AGREE = 0.78  # share of equal signs below which a pair is not looked at: copies have 0.85 and more, others 0.5
FIELD_SCORE = 0.6  # coarse correlation above which two fields are looked at
FEW, CLOSE = 6000, 0.45  # so many images are compared pair by pair; fine correlation above which they are looked at

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]
"""first < second, and the turn that makes the first of the second; int64 [pairs] each."""


def by_hash(
    spectrum: np.ndarray, tables: int = TABLES, crowd: int = CROWD, length: int | None = None
) -> tuple[Pairs, int]:
    """Pairs that share a key in one of the tables and agree in their signs.

    Args:
        spectrum: [n, terms]; rows of zeros (blank pictures) are left out.
        tables: how many; more find more.
        crowd: how many entries may share a key.
        length: signs of a key; None: by the number of pictures.

    Returns:
        The pairs, and how many entries of how crowded keys were compared with their neighbours only.
    """
    shown = np.flatnonzero(np.any(spectrum[:, :8], axis=1))
    spectrum = spectrum[shown]
    n, crowded = len(shown), 0
    length = length or max(SHORTEST, (8 * n).bit_length())
    bits = signs(spectrum, 0)
    packed = np.stack([_words(signs(spectrum, turn)) for turn in range(8)])  # [8, n, words]
    found: list[np.ndarray] = []
    chance = np.random.default_rng(0)
    for _ in range(tables):
        keys = _keys(bits, length, chance)
        order = np.argsort(keys, kind="stable")
        for first, second, more in _sharing(keys[order], order, length, n, crowd):
            crowded += more
            codes = _code(first, second, n)
            codes = codes[_agree(packed, *_decode(codes, n)) >= AGREE]
            found.append(np.unique(codes))
    codes = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    a, b, turn = _decode(codes, n)
    return (shown[a], shown[b], turn), crowded


def _keys(bits: np.ndarray, length: int, chance: np.random.Generator) -> np.ndarray:
    """A key of `length` and the further signs, uint64 [8 * n]: entry turn * n + picture is the picture turned."""
    places, key_bits = sign_places()
    used = terms()
    chosen = chance.choice(key_bits, length, replace=False)
    rest = chance.choice(np.arange(key_bits, len(places)), LONGER[-1], replace=False)
    chosen = np.concatenate([chosen, rest])
    where = {term: n for n, term in enumerate(places.tolist())}
    keys = []
    for turn in range(8):
        source = [where[term] for term in used.order[turn][places[chosen]].tolist()]
        negative = (used.sign[turn][places[chosen]] < 0).astype(np.uint8)
        key = np.zeros(bits.shape[1], np.uint64)
        for row, flip in zip(source, negative, strict=True):
            key = (key << np.uint64(1)) | (bits[row] ^ flip)
        keys.append(key)
    return np.concatenate(keys)


def _sharing(
    keys: np.ndarray, entries: np.ndarray, length: int, n: int, crowd: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Entries that share a key: first has turn 0, second any; and how many were too many for all their pairs."""
    for more in (0, *LONGER):
        prefix = keys >> np.uint64(LONGER[-1] - more)
        starts = np.flatnonzero(np.concatenate([[True], prefix[1:] != prefix[:-1]])) if len(keys) else np.zeros(0, int)
        sizes = np.diff(np.append(starts, len(keys)))
        group = np.repeat(np.arange(len(starts)), sizes)
        left = sizes[group] > crowd
        last = more == LONGER[-1]
        use = np.ones(len(keys), bool) if last else ~left
        use &= sizes[group] > 1
        yield from _within(entries[use], group[use], n, crowd, int(left.sum()) if last else 0)
        keys, entries = keys[left], entries[left]


def _within(
    entries: np.ndarray, group: np.ndarray, n: int, crowd: int, crowded: int
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Pairs of sorted groups, by their distance in the order; of groups beyond `crowd`, only so far apart."""
    for distance in range(1, crowd):
        same = np.flatnonzero(group[distance:] == group[:-distance])
        if not len(same):
            return
        a, b = entries[same], entries[same + distance]
        for first, second in ((a, b), (b, a)):
            fits = (first < n) & (second % n != first)
            if fits.any():
                yield first[fits], second[fits], crowded
                crowded = 0


def _code(first: np.ndarray, second: np.ndarray, n: int) -> np.ndarray:
    """A picture and an entry -> one number for the pair, the smaller picture first."""
    other, turn = second % n, second // n
    swap = other < first
    a, b = np.where(swap, other, first), np.where(swap, first, other)
    return np.asarray((a * n + b) * 8 + np.where(swap, INVERSE[turn], turn))


def _decode(codes: np.ndarray, n: int) -> Pairs:
    pair, turn = np.divmod(codes, 8)
    a, b = np.divmod(pair, n)
    return a, b, turn


def _words(bits: np.ndarray) -> np.ndarray:
    """uint8 [bits, n] -> uint64 [n, words]."""
    packed = np.packbits(bits, axis=0)
    padded = np.zeros((-(-packed.shape[0] // 8) * 8, packed.shape[1]), np.uint8)
    padded[: packed.shape[0]] = packed
    return np.asarray(np.ascontiguousarray(padded.T).view(np.uint64))


def _agree(packed: np.ndarray, first: np.ndarray, second: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Share of equal signs."""
    different = np.bitwise_count(packed[0][first] ^ packed[turn, second]).sum(axis=1, dtype=np.int64)
    return np.asarray(1 - different / len(sign_places()[0]))


def among_few(spectrum: np.ndarray) -> Pairs:
    """Every pair whose fine spectra correlate; none where the images are too many."""
    shown = np.flatnonzero(np.any(spectrum[:, :8], axis=1))
    return by_correlation(spectrum, shown if len(shown) <= FEW else shown[:0], FINE, CLOSE)


def by_correlation(
    spectrum: np.ndarray,
    chosen: np.ndarray,
    limits: tuple[int, int] = COARSE,
    least: float = FIELD_SCORE,
    block: int = 4096,
) -> Pairs:
    """Every pair of the chosen pictures whose spectra correlate: for whole fields, which are few enough.

    Args:
        spectrum: [n, terms].
        chosen: positions, rising.
        limits: frequencies that are compared.
        least: correlation of pairs that are given.
        block: pictures multiplied with each other at once.
    """
    band = terms().band(limits)
    coarse = _unit(spectrum[chosen][:, band])
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for turn in range(8):
        for low in range(0, len(chosen), block):
            right = _unit(turned(spectrum[chosen[low : low + block]], turn)[:, band])
            for start in range(0, low + block, block):
                scores = coarse[start : start + block] @ right.T
                a, b = np.nonzero(scores >= least)
                a, b = a + start, b + low
                keep = a < b
                found.append((a[keep], b[keep], np.full(keep.sum(), turn)))
    if not found:
        return tuple(np.zeros((3, 0), np.int64))  # type: ignore[return-value]
    a, b, turns = (np.concatenate(column) for column in zip(*found, strict=True))
    return chosen[a], chosen[b], turns


def _unit(spectrum: np.ndarray) -> np.ndarray:
    values = spectrum.astype(np.float32)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6))


def every_pair(spectrum: np.ndarray) -> Pairs:
    """All pairs in all turns: the slow reference of both searches."""
    n = len(spectrum)
    a, b = np.triu_indices(n, 1)
    return np.tile(a, 8), np.tile(b, 8), np.repeat(np.arange(8), len(a))
