"""Which picture may be a window of which: equal codes of blobs, and whether they agree on where the window lies."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hemadata.audit.described import SEVERAL, Blobs
from hemadata.audit.keypoints import SIGNS, turned_codes

TABLES = 20  # hash tables, each of other signs of the codes
FEWEST, LONGEST = 10, 24  # signs of a key
CROWD = 64  # blobs of one key; more say nothing
BLOCK = 1 << 17  # codes looked up at once
WRONG = 12  # signs that may differ; fewer where there are many blobs
ASKED = 200  # blobs of a small picture that are looked for, the clearest first
OVERHANG = 0.25  # of its side, by which a window may first seem to leave its picture: it may have been stretched
SMALLEST = 1 / 64  # of the side of its picture, that a window has
KEPT = 8  # windows kept for a picture, those of most votes
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # multiplies signs into a key whose high bits depend on all of them


@dataclass(frozen=True, slots=True)
class Window:
    """A place in a large picture that a small one may show.

    Args:
        small: number of the small picture.
        large: number of the large one.
        turn: number of the turn in `fingerprints.TURNS` that makes the window of the small picture.
        frame: x and y of the middle, width and height, in pixels of the large picture.
        votes: blobs that agree.
        wrong: signs that differ in the most alike of them.
    """

    small: int
    large: int
    turn: int
    frame: tuple[float, float, float, float]
    votes: int
    wrong: int


def windows(small: Blobs, large: Blobs, most: int) -> Iterator[Window]:
    """Windows that small pictures may be in large ones of other homes; the best ones of each.

    Args:
        small: their blobs, ASKED of each.
        large: their blobs.
        most: signs that may differ, see `allowed`.
    """
    i, turn, j, wrong = _matches(small.code, large.code, most)
    mine, theirs = small.owner[i], large.owner[j]
    other = (small.home[mine] != large.home[theirs]) | (small.home[mine] == SEVERAL)
    other &= small.number[mine] != large.number[theirs]
    yield from _agreed(small, large, (i[other], turn[other], j[other], wrong[other]))


def allowed(blobs: int) -> int:
    """Signs that may differ: fewer, the more blobs there are in all that may agree by chance."""
    return int(np.clip(WRONG - (blobs.bit_length() - 17) * 2 / 3, WRONG - 4, WRONG))


def best(found: Iterable[Window]) -> list[Window]:
    """The best windows of each small picture: those of most votes, then those most alike."""
    kept = defaultdict[int, list[Window]](list)
    for window in found:
        kept[window.small].append(window)
        if len(kept[window.small]) >= 4 * KEPT:
            kept[window.small] = _first(kept[window.small])
    return [window for small in sorted(kept) for window in _first(kept[small])]


def _first(found: list[Window]) -> list[Window]:
    return sorted(found, key=lambda window: (-window.votes, window.wrong, window.large, window.turn))[:KEPT]


Matches = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Blob of a small picture, turn, blob of a large one, signs that differ; [matches] each."""


def _matches(small: np.ndarray, large: np.ndarray, most: int) -> Matches:
    """Blobs of two sets with nearly equal codes, the first turned."""
    turned = np.concatenate([turned_codes(small, turn) for turn in range(8)])
    length = int(np.clip(len(large).bit_length(), FEWEST, LONGEST))
    chance = np.random.default_rng(0)
    picks = [chance.choice(SIGNS, length, replace=False).astype(np.uint64) for _ in range(TABLES)]
    masks = [np.bitwise_or.reduce(np.uint64(1) << pick) for pick in picks]
    found = [np.zeros((2, 0), np.int64)]
    for number, mask in enumerate(masks):
        keys = _keys(large, mask, length)
        order = np.argsort(keys, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(keys, minlength=1 << length))])
        for part in range(0, len(turned), BLOCK):
            asked = _keys(turned[part : part + BLOCK], mask, length)
            first = starts[asked]
            count = starts[asked + 1] - first
            count[count > CROWD] = 0
            entry = np.repeat(np.arange(part, part + len(asked)), count)
            other = order[np.arange(len(entry)) - np.repeat(np.cumsum(count) - count - first, count)]
            different = turned[entry] ^ large[other]
            new = ((different & mask) == 0) & (np.bitwise_count(different) <= most)
            entry, other, different = entry[new], other[new], different[new]
            for earlier in masks[:number]:  # a table before has given it
                new = (different & earlier) != 0
                entry, other, different = entry[new], other[new], different[new]
            found.append(np.stack([entry, other]))
    entry, other = np.concatenate(found, axis=1)
    turn, first = np.divmod(entry, max(1, len(small)))
    return first, turn, other, np.bitwise_count(turned[entry] ^ large[other])


def _keys(codes: np.ndarray, mask: np.uint64, length: int) -> np.ndarray:
    return np.asarray((((codes & mask) * _SPREAD) >> np.uint64(64 - length)).astype(np.int64))


def _agreed(small: Blobs, large: Blobs, matches: Matches) -> Iterator[Window]:
    """Windows that several matches point to, those of most votes first."""
    i, turn, j, wrong = matches
    ratio = large.place[j, 2] / small.place[i, 2]
    side = np.where((turn >= 4)[:, None], small.size[small.owner[i]][:, ::-1], small.size[small.owner[i]])
    away = _turned(small.place[i, :2] - small.size[small.owner[i]] / 2, turn)  # from the middle of the small picture
    middle, extent, room = large.place[j, :2] - away * ratio[:, None], side * ratio[:, None], large.size[large.owner[j]]
    half = extent * (0.5 - OVERHANG)
    inside = ((middle >= half) & (middle <= room - half)).all(axis=1)
    inside &= ((extent <= room * (1 + OVERHANG)) & (extent >= room * SMALLEST)).all(axis=1)
    i, turn, j, wrong, ratio, side, away, middle = (c[inside] for c in (i, turn, j, wrong, ratio, side, away, middle))
    if not len(i):
        return
    cells = np.concatenate([_cells(small, large, i, turn, j, ratio, side, middle, shift) for shift in (0.0, 0.5)])
    which = np.tile(np.arange(len(i)), 2)
    order = np.argsort(cells, kind="stable")
    which, cells = which[order], cells[order]
    starts = np.flatnonzero(np.concatenate([[True], cells[1:] != cells[:-1]]))
    number = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(cells))))
    voters = np.unique(number * len(small.code) + i[which]) // len(small.code)  # a blob votes once
    votes, first, alike = np.bincount(voters), which[starts], np.minimum.reduceat(wrong[which], starts)
    ends = np.append(starts, len(which))
    for cell in _best(small.owner[i[first]], (large.owner[j[first]], turn[first]), votes, alike).tolist():
        members = which[starts[cell] : ends[cell + 1]]
        one = members[0]
        zoom = float(np.median(ratio[members]))
        x, y = (_fitted(away[members, axis], large.place[j[members], axis], zoom, side[one, axis]) for axis in (0, 1))
        yield Window(
            int(small.number[small.owner[i[one]]]),
            int(large.number[large.owner[j[one]]]),
            int(turn[one]),
            (x[0], y[0], x[1] * float(side[one, 0]), y[1] * float(side[one, 1])),
            int(votes[cell]),
            int(alike[cell]),
        )


def _cells(
    small: Blobs,
    large: Blobs,
    i: np.ndarray,
    turn: np.ndarray,
    j: np.ndarray,
    ratio: np.ndarray,
    side: np.ndarray,
    middle: np.ndarray,
    shift: float,
) -> np.ndarray:
    """Pictures, turn, scale and place that a match points to, as one number.

    Of two grids half a cell apart, what a border of one parts, the other holds together.
    """
    scale = np.floor(np.log2(ratio) * 3 + shift)
    step = np.exp2(scale / 3)[:, None] * side.mean(axis=1, keepdims=True) / 4
    x, y = np.floor(middle / step + shift).astype(np.int64).T
    code = small.owner[i] * len(large.number) + large.owner[j]
    for value, room in ((turn, 8), (scale.astype(np.int64) + 64, 128), (x, 1 << 10), (y, 1 << 10)):
        code = code * room + np.clip(value, 0, room - 1)
    return np.asarray(code * 2 + int(shift > 0))


def _best(owner: np.ndarray, where: tuple[np.ndarray, np.ndarray], votes: np.ndarray, alike: np.ndarray) -> np.ndarray:
    """Cells of most votes, then of the most equal codes; of each picture KEPT, one for each large picture and turn."""
    order = np.lexsort((alike, -votes, owner))
    large, turn = (column[order] for column in where)
    key = (owner[order] * (large.max() + 1) + large) * 8 + turn
    order = order[np.sort(np.unique(key, return_index=True)[1])]
    starts = np.searchsorted(owner[order], owner[order])
    return np.asarray(order[np.arange(len(order)) - starts < KEPT])


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
