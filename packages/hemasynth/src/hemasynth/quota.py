"""How many pairs a cell gets, and of which question types: fixed numbers, dealt out by a seeded hand."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

# Pairs and cells of WBCAtt-VQA (table 4 of the paper's supplement: 17,859 for training, 3,085 for testing; WBCAtt has
# 6,169 + 1,030 cells for training and validation, 3,099 for testing). Fewer cells get pairs in the same proportion.
PAPER = {"train": Fraction(17_859, 6_169 + 1_030), "test": Fraction(3_085, 3_099)}


def side(split: str | None) -> str:
    """Return the side of the paper's two that a split belongs to: validation cells count as training cells."""
    return "test" if split == "test" else "train"


def pairs_of_cells(sides: Mapping[str, str], seed: int, times: int = 1) -> dict[str, int]:
    """Return how many pairs each cell gets, so that each side gets the paper's number for so many cells.

    All cells of a side get the same number but for one more that a part of them, drawn by the seed, gets.

    Args:
        sides: "train" or "test" by cell.
        seed: draws the part.
        times: so many times the paper's number.
    """
    found: dict[str, int] = {}
    for name, rate in PAPER.items():
        cells = [cell for cell, its in sides.items() if its == name]
        if not cells:
            continue
        total = max(round(len(cells) * rate * times), 1)
        each, more = divmod(total, len(cells))
        drawn = sorted(cells, key=lambda cell: hashlib.sha256(f"{seed}:more:{cell}".encode()).digest())
        found |= {cell: each + (place < more) for place, cell in enumerate(drawn)}
    return found


def apportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Split a number by shares, the remainders to the largest (Hamilton); the parts sum to the number."""
    whole = sum(shares.values())
    exact = {name: total * share / whole for name, share in shares.items()}
    parts = {name: int(value) for name, value in exact.items()}
    left = total - sum(parts.values())
    for name in sorted(exact, key=lambda name: (parts[name] - exact[name], name))[:left]:
        parts[name] += 1
    return parts


class Dealer:
    """Deals question types until every quota is used up, as if all were in one shuffled pile.

    Args:
        quotas: pairs per question type.
        key: of the shuffle.

    Attributes:
        left: what is still to be dealt.
        traded: types dealt in place of another that fitted no cell any more.
    """

    def __init__(self, quotas: Mapping[str, int], key: str) -> None:
        self.left = dict(quotas)
        self.traded: Counter[str] = Counter()
        self._random = random.Random(key)

    def deal(self, count: int, room: Mapping[str, int]) -> list[str]:
        """Deal types for one cell, different ones as long as there are any.

        Args:
            count: how many.
            room: how many different questions of each type the cell can be asked.
        """
        hand: list[str] = []
        for _ in range(count):
            fits = [name for name in self.left if room.get(name, 0) > hand.count(name)]
            for offered in (
                [name for name in fits if self.left[name] and name not in hand],
                [name for name in fits if self.left[name]],
            ):
                if offered:
                    hand.append(self._draw(offered))
                    break
            else:
                if not fits:
                    break  # a record with too little in it
                name = max(fits, key=room.__getitem__)
                self.traded[name] += 1
                hand.append(name)
        return hand

    def _draw(self, offered: Iterable[str]) -> str:
        names = list(offered)
        at = self._random.random() * sum(self.left[name] for name in names)
        for name in names:
            at -= self.left[name]
            if at < 0:
                break
        self.left[name] -= 1
        return name
