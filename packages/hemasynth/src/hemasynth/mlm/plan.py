"""The plan of masked sentences: which facts of which field each one states. No engine is needed to make it."""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from hemasynth.mlm.fields import Field

SENTENCES = 6940  # of the paper's table 4
MOST = 3  # of one field
TEST_SHARE = 0.2  # 1,388 of 6,940
STYLES = ("count", "attribute", "attributes", "two_types", "summary")


@dataclass(frozen=True)
class Topic:
    """What a sentence states: `uses` are (cell type, attribute) pairs, attribute "label" for the type and its count."""

    style: str
    uses: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Item:
    """One sentence to be written."""

    id: str
    field: Field
    topic: Topic
    seed: int
    split: str = "train"


def plan(
    fields: Iterable[Field],
    seed: int = 0,
    sentences: int = SENTENCES,
    possible: Callable[[Item], bool] = lambda item: True,
) -> list[Item]:
    """Deal sentences to fields, one a round, until there are enough or no field has more to say.

    Patients are kept whole: those of the test part hold about `TEST_SHARE` of the sentences.

    Args:
        fields: what is described.
        seed: of every choice.
        sentences: how many are wanted.
        possible: tells whether an item can be written within the length gate; others are not planned.
    """
    ordered = sorted(fields, key=lambda field: field.image_id)
    decks = {field.image_id: _first(_deck(field, seed), field, possible) for field in ordered}
    dealt: list[Item] = []
    for turn in range(MOST):
        fair = sorted(
            ordered, key=lambda field: digest(f"{seed}:{turn}:{field.image_id}")
        )  # who goes without is chance
        for field in fair:
            if len(dealt) < sentences and turn < len(decks[field.image_id]):
                name = f"{field.image_id}-{turn}"
                number = int(digest(f"{seed}:{name}")[:8], 16) % 2**31
                dealt.append(Item(name, field, decks[field.image_id][turn], number))
    test = _test_groups(dealt, seed)
    split = [Item(i.id, i.field, i.topic, i.seed, "test" if i.field.group in test else "train") for i in dealt]
    return sorted(split, key=lambda item: item.id)


def digest(text: str) -> str:
    """Return a hash as hex: chance that is the same on every machine."""
    return hashlib.sha256(text.encode()).hexdigest()


def _test_groups(items: Sequence[Item], seed: int) -> set[str]:
    sizes = Counter(item.field.group for item in items)
    chosen: set[str] = set()
    if len(sizes) < 2:
        return chosen
    left = round(TEST_SHARE * len(items))
    for group in sorted(sizes, key=lambda name: digest(f"{seed}:test:{name}")):
        if (sizes[group] <= left or not chosen) and len(chosen) < len(sizes) - 1:
            chosen.add(group)
            left -= sizes[group]
        if left <= 0:
            break
    return chosen


def _first(deck: Iterable[Topic], field: Field, possible: Callable[[Item], bool]) -> list[Topic]:
    topics = (topic for topic in deck if possible(Item(field.image_id, field, topic, 0)))
    return list(islice(topics, MOST))


def _deck(field: Field, seed: int) -> list[Topic]:
    """List what can be said of a field in shuffled order, styles in turn."""
    by_style: dict[str, list[Topic]] = {style: [] for style in STYLES}
    for label, record in field.records.items():
        names = sorted(record.attributes)
        by_style["count"].append(Topic("count", ((label, "label"),)))
        by_style["attribute"] += [Topic("attribute", ((label, name),)) for name in names]
        by_style["attributes"] += [
            Topic("attributes", ((label, one), (label, two))) for i, one in enumerate(names) for two in names[i + 1 :]
        ]
        by_style["summary"] += [Topic("summary", ((label, "label"), (label, name))) for name in names]
    labels = sorted(field.records)
    for i, first in enumerate(labels):
        for second in labels[i + 1 :]:
            shared = sorted(field.records[first].attributes.keys() & field.records[second].attributes.keys())
            by_style["two_types"] += [Topic("two_types", ((first, name), (second, name))) for name in shared]
    chance = random.Random(f"{seed}:{field.image_id}")
    styles = [style for style in STYLES if by_style[style]]
    chance.shuffle(styles)
    for style in styles:
        chance.shuffle(by_style[style])
    deck: list[Topic] = []
    while any(by_style.values()):
        deck += [by_style[style].pop() for style in styles if by_style[style]]
    return deck
