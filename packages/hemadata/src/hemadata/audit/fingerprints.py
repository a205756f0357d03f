"""What is compared of two images: the cosine spectrum of their thumbnails, evened out, and the signs of its terms.

A picture's spectrum falls with frequency, so two different round cells on a bright ground correlate above 0.95. Each
term is multiplied by its frequency: then only what is particular to a picture counts. Mirroring changes the sign of odd
terms, transposing swaps the two axes; so all eight orientations of a fingerprint are made from one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from hemadata.build.thumbnail import SIDE

TURNS = (
    "none",
    "mirrored",
    "flipped",
    "turned 180",
    "transposed",
    "turned 90",
    "turned 270",
    "transverse",
)
INVERSE = np.array([0, 1, 2, 3, 4, 6, 5, 7])
REACH = 24  # terms of frequency 1 to 24 (half-waves per side); above, the grid's own averaging takes over
COARSE, FINE = (2, 12), (16, 24)
KEY, REST = (4, 14), (14, 22)  # signs that make hash keys, signs that only compare
BLANK = 2.0  # grey levels: a thumbnail of smaller standard deviation shows nothing to compare


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of the spectrum that are used, by rising frequency.

    Args:
        rows, columns: frequency of each term along the two axes.
        radius: their common frequency.
        order, sign: [8, n]: turned spectrum = spectrum[order[t]] * sign[t].
    """

    rows: np.ndarray
    columns: np.ndarray
    radius: np.ndarray
    order: np.ndarray
    sign: np.ndarray

    def band(self, limits: tuple[int, int]) -> slice:
        """The terms of a range of frequencies, its upper end not included."""
        return slice(*(int(np.searchsorted(self.radius, limit)) for limit in limits))


@cache
def terms() -> Terms:
    """The terms that fingerprints have."""
    u, v = (axis.ravel() for axis in np.mgrid[:REACH, :REACH])
    radius = np.hypot(u, v)
    wanted = np.flatnonzero((radius >= 1) & (radius < REACH))
    wanted = wanted[np.lexsort((u[wanted], radius[wanted]))]
    u, v, radius = u[wanted], v[wanted], radius[wanted]
    order, sign = turn_terms(u, v)
    return Terms(u, v, radius, order, sign)


def turn_terms(rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How terms change when a picture is turned: turned = terms[order[turn]] * sign[turn], [8, n] each.

    Args:
        rows: frequencies along the rows, [n].
        columns: along the columns; with (a, b), (b, a) is among the terms.
    """
    place = {(a, b): n for n, (a, b) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True))}
    swapped = np.array([place[b, a] for a, b in zip(rows.tolist(), columns.tolist(), strict=True)])
    order = np.stack([np.arange(len(rows)) if turn < 4 else swapped for turn in range(8)])
    sign = np.stack([(-1.0) ** ((turn >> 1 & 1) * rows + (turn & 1) * columns) for turn in range(8)])
    return order, sign.astype(np.float32)


@cache
def _cosines() -> np.ndarray:
    """[REACH, SIDE] of the orthonormal cosine transform."""
    k, n = np.arange(REACH)[:, None], np.arange(SIDE)[None]
    table = np.cos(np.pi * (n + 0.5) * k / SIDE) * np.sqrt(2 / SIDE)
    table[0] /= np.sqrt(2)
    return np.asarray(table, np.float32)


def spectra(thumbnails: np.ndarray, block: int = 8192) -> np.ndarray:
    """Evened spectra of unit length; a blank thumbnail's is zero.

    Args:
        thumbnails: uint8 [n, SIDE, SIDE].
        block: thumbnails transformed at once.

    Returns:
        float16 [n, terms].
    """
    used, table = terms(), _cosines()
    found = np.zeros((len(thumbnails), len(used.radius)), np.float16)
    for start in range(0, len(thumbnails), block):
        grey = thumbnails[start : start + block].astype(np.float32)
        waves = (table @ grey @ table.T)[:, used.rows, used.columns] * used.radius.astype(np.float32)
        length = np.linalg.norm(waves, axis=1)
        shows = grey.std((1, 2)) >= BLANK
        found[start : start + block][shows] = waves[shows] / length[shows, None]
    return found


def turned(spectrum: np.ndarray, turn: int) -> np.ndarray:
    """Spectra of the turned pictures, [..., terms]."""
    used = terms()
    return np.asarray(spectrum[..., used.order[turn]] * used.sign[turn].astype(spectrum.dtype))


@cache
def sign_places() -> tuple[np.ndarray, int]:
    """Terms whose signs are kept, those for keys first, and how many those are.

    Terms even along both axes are left out: a dark cell in the middle gives them the same sign in every picture.
    """
    used = terms()
    odd = (used.rows % 2 == 1) | (used.columns % 2 == 1)
    bands = [np.arange(len(odd))[used.band(limits)] for limits in (KEY, REST)]
    key, rest = (band[odd[band]] for band in bands)
    return np.concatenate([key, rest]), len(key)


def signs(spectrum: np.ndarray, turn: int) -> np.ndarray:
    """Signs of the turned pictures, uint8 [bits, n] of 0 and 1: one row per bit, as the key tables read them."""
    places, _ = sign_places()
    used = terms()
    positive = spectrum[:, used.order[turn][places]] > 0
    return np.ascontiguousarray((positive ^ (used.sign[turn][places] < 0)).T).view(np.uint8)


def correlate(
    spectrum: np.ndarray, first: np.ndarray, second: np.ndarray, turn: np.ndarray, block: int = 1 << 15
) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of pairs, the second turned: over all terms, and over the fine ones.

    Args:
        spectrum: of all pictures.
        first: positions, [pairs].
        second: positions, [pairs].
        turn: of the second, [pairs].
        block: pairs looked at at once.

    Returns:
        Two float32 [pairs].
    """
    used = terms()
    fine = used.band(FINE)
    whole_score, fine_score = np.zeros(len(first), np.float32), np.zeros(len(first), np.float32)
    for start in range(0, len(first), block):
        part = slice(start, start + block)
        a = spectrum[first[part]].astype(np.float32)
        b = spectrum[second[part]].astype(np.float32)
        b = np.take_along_axis(b, used.order[turn[part]], axis=1) * used.sign[turn[part]]
        whole_score[part] = np.einsum("ij,ij->i", a, b)
        a, b = a[:, fine], b[:, fine]
        length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        fine_score[part] = np.einsum("ij,ij->i", a, b) / np.maximum(length, 1e-6)
    return whole_score, fine_score


def to_array(thumbnails: Iterable[bytes]) -> np.ndarray:
    """Thumbnails of the corpus -> uint8 [n, SIDE, SIDE]."""
    return np.frombuffer(b"".join(thumbnails), np.uint8).reshape(-1, SIDE, SIDE)
