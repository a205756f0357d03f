"""Which picture may be a window of which: equal codes of blobs, and whether they agree on where the window lies."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hemadata.audit.keypoints import SIGNS, Keypoints, turned_codes

TABLES = 20  # hash tables, each of other signs of the codes
FEWEST, LONGEST = 10, 24  # signs of a key
CROWD = 64  # blobs of one key; more say nothing
BLOCK = 1 << 17  # codes looked up at once
TOGETHER = 250  # small pictures looked for at once
WRONG = 12  # signs that may differ; fewer where there are many blobs
ASKED = 200  # blobs of a small picture that are looked for, the clearest first
OVERHANG = 0.25  # of its side, by which a window may first seem to leave its picture: it may have been stretched
KEPT = 8  # windows kept for a picture, those of most votes


@dataclass(frozen=True, slots=True)
class Window:
    """A place in a large picture that a small one may show.

    Args:
        small: position of the small picture.
        large: position of the large one.
        turn: number of the turn in `fingerprints.TURNS` that makes the window of the small picture.
        frame: x and y of the middle, width and height, in pixels of the large picture.
        votes: blobs that agree.
    """

    small: int
    large: int
    turn: int
    frame: tuple[float, float, float, float]
    votes: int


@dataclass(frozen=True, slots=True)
class Blobs:
    """Blobs of many pictures, end to end: place [n, 3], code [n], picture [n], and size [pictures, 2]."""

    place: np.ndarray
    code: np.ndarray
    owner: np.ndarray
    size: np.ndarray

    @classmethod
    def of(cls, pictures: Sequence[Keypoints], most: int | None = None) -> "Blobs":
        """Blobs of pictures, of each the clearest only."""
        counts = [len(each.code[:most]) for each in pictures]
        return cls(
            np.concatenate([each.place[:most] for each in pictures]),
            np.concatenate([each.code[:most] for each in pictures]),
            np.repeat(np.arange(len(pictures)), counts),
            np.array([each.size for each in pictures], np.float32).reshape(-1, 2),
        )


def windows(pictures: Sequence[Keypoints], asked: Sequence[int]) -> list[Window]:
    """Windows that the asked pictures may be, in any other picture; the best ones of each.

    Args:
        pictures: their blobs.
        asked: positions of those that may be windows.
    """
    if not asked:
        return []
    large, found = Blobs.of(pictures), defaultdict[int, list[Window]](list)
    for start in range(0, len(asked), TOGETHER):
        few = np.asarray(asked[start : start + TOGETHER])
        small = Blobs.of([pictures[n] for n in few], ASKED)
        i, turn, j, wrong = _matches(small.code, large.code)
        other = few[small.owner[i]] != large.owner[j]
        for window in _agreed(small, large, (i[other], turn[other], j[other], wrong[other]), few):
            others = found[window.small]
            if len(others) < KEPT and all((w.large, w.turn) != (window.large, window.turn) for w in others):
                others.append(window)
    return [window for small_one in sorted(found) for window in found[small_one]]


Matches = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Blob of a small picture, turn, blob of a large one, signs that differ; [matches] each."""


def _matches(small: np.ndarray, large: np.ndarray) -> Matches:
    """Blobs of two sets with nearly equal codes, the first turned."""
    turned = np.concatenate([turned_codes(small, turn) for turn in range(8)])
    bits = len(large).bit_length()
    length, most = int(np.clip(bits, FEWEST, LONGEST)), int(np.clip(WRONG - (bits - 17) * 2 / 3, WRONG - 4, WRONG))
    chance = np.random.default_rng(0)
    picks = [chance.choice(SIGNS, length, replace=False).astype(np.uint64) for _ in range(TABLES)]
    masks = [np.bitwise_or.reduce(np.uint64(1) << pick) for pick in picks]
    found = [np.zeros((2, 0), np.int64)]
    for number, mask in enumerate(masks):
        keys = large & mask
        order = np.argsort(keys, kind="stable")
        keys, asked = keys[order], turned & mask
        start, end = np.searchsorted(keys, asked, "left"), np.searchsorted(keys, asked, "right")
        count = np.where(end - start > CROWD, 0, end - start)
        for part in range(0, len(turned), BLOCK):
            few, first = count[part : part + BLOCK], start[part : part + BLOCK]
            entry = np.repeat(np.arange(part, part + len(few)), few)
            other = order[np.arange(len(entry)) - np.repeat(np.cumsum(few) - few - first, few)]
            different = turned[entry] ^ large[other]
            new = np.bitwise_count(different) <= most
            entry, other, different = entry[new], other[new], different[new]
            for earlier in masks[:number]:  # a table before has given it
                new = (different & earlier) != 0
                entry, other, different = entry[new], other[new], different[new]
            found.append(np.stack([entry, other]))
    entry, other = np.concatenate(found, axis=1)
    turn, first = np.divmod(entry, len(small))
    return first, turn, other, np.bitwise_count(turned[entry] ^ large[other])


def _agreed(small: Blobs, large: Blobs, matches: Matches, asked: np.ndarray) -> Iterator[Window]:
    """Windows that several matches point to, those of most votes first."""
    i, turn, j, wrong = matches
    ratio = large.place[j, 2] / small.place[i, 2]
    side = np.where((turn >= 4)[:, None], small.size[small.owner[i]][:, ::-1], small.size[small.owner[i]])
    away = _turned(small.place[i, :2] - small.size[small.owner[i]] / 2, turn)  # from the middle of the small picture
    middle, extent, room = large.place[j, :2] - away * ratio[:, None], side * ratio[:, None], large.size[large.owner[j]]
    half = extent * (0.5 - OVERHANG)
    inside = ((middle >= half) & (middle <= room - half)).all(axis=1)
    inside &= (extent <= room * (1 + OVERHANG)).all(axis=1)
    i, turn, j, wrong, ratio, side, away, middle = (c[inside] for c in (i, turn, j, wrong, ratio, side, away, middle))
    cells = []
    for shift in (0.0, 0.5):  # two grids: what a border of one parts, the other holds together
        scale = np.floor(np.log2(ratio) * 3 + shift)
        step = np.exp2(scale / 3)[:, None] * side.mean(axis=1, keepdims=True) / 4
        where = np.floor(middle / step + shift)
        owners = np.stack([small.owner[i], large.owner[j], turn, scale], axis=1)
        cells.append(np.concatenate([owners, where, np.full((len(i), 1), shift)], axis=1))
    which = np.tile(np.arange(len(i)), 2)
    _, cell = np.unique(np.concatenate(cells), axis=0, return_inverse=True)
    voters = np.unique(cell * len(small.code) + i[which]) // len(small.code)  # a blob votes once
    order = np.argsort(cell, kind="stable")
    cell, which = cell[order], which[order]
    starts = np.searchsorted(cell, np.arange(cell[-1] + 2)) if len(cell) else np.zeros(1, int)
    votes, first = np.bincount(voters), which[starts[:-1]]
    alike = np.minimum.reduceat(wrong[which], starts[:-1]) if len(first) else first
    for number in _best(small.owner[i[first]], votes, alike):
        members = which[starts[number] : starts[number + 1]]
        one = members[0]
        zoom = float(np.median(ratio[members]))
        x, y = (_fitted(away[members, axis], large.place[j[members], axis], zoom, side[one, axis]) for axis in (0, 1))
        yield Window(
            int(asked[small.owner[i[one]]]),
            int(large.owner[j[one]]),
            int(turn[one]),
            (x[0], y[0], x[1] * float(side[one, 0]), y[1] * float(side[one, 1])),
            int(votes[number]),
        )


def _best(owner: np.ndarray, votes: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Cells of most votes, then of the most equal codes: twice as many of each picture as are kept, as two overlap."""
    order = np.lexsort((alike, -votes, owner))
    starts = np.searchsorted(owner[order], owner[order])
    return np.asarray(order[np.arange(len(order)) - starts < 2 * KEPT])


def _turned(away: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Offsets x, y from the middle of a picture, in the turned picture."""
    swapped = np.where((turn >= 4)[:, None], away[:, ::-1], away)
    sign = np.stack([np.where(turn & 1, -1, 1), np.where(turn & 2, -1, 1)], axis=1)
    return np.asarray(swapped * sign)


def _fitted(away: np.ndarray, place: np.ndarray, zoom: float, side: float) -> tuple[float, float]:
    """Middle and zoom along one axis by least squares, held near a zoom where the blobs lie close together."""
    hold = (0.1 * side) ** 2
    spread = away - away.mean()
    along = float((zoom * hold + spread @ (place - place.mean())) / (hold + spread @ spread))
    return float(place.mean() - along * away.mean()), along
