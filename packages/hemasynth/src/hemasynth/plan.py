"""The plan: which questions are asked of which cell. Deterministic, and no engine is needed to make it."""

import hashlib
import json
import random
import tomllib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol

from hemasynth import quota
from hemasynth.faithful import Record
from hemasynth.hard import hard_split
from hemasynth.lexicon import Lexicon

QUESTION_TYPES = ("single", "pair", "yes_no", "type_from_features", "features_from_type", "description")


class Corpus(Protocol):
    """The part of a hemadata corpus that hemasynth reads."""

    def rows(
        self, task: str, *, source: str | None = None, columns: list[str] | None = None
    ) -> Iterable[Mapping[str, Any]]:
        """Yield the rows of a task as dicts."""


@dataclass(frozen=True)
class Cell:
    """One cell of the source: its place in the corpus and what experts say of it."""

    sample_id: str
    image: str
    record: Record
    split_upstream: str | None = None

    @property
    def vector(self) -> str:
        """Name of the cell's facts: equal for all cells that experts describe alike."""
        facts = json.dumps([self.record.label, sorted(self.record.attributes.items())])
        return hashlib.sha256(facts.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Topic:
    """What a question is about.

    Attributes:
        question_type: one of `QUESTION_TYPES`.
        uses: the attributes that question and answer state, "label" among them where the cell type is named.
        asked: the one that the answer must state; None when it is free.
        premise: the value that a yes/no question supposes.
        group: the part of the cell that a "features_from_type" question is about.
    """

    question_type: str
    uses: tuple[str, ...]
    asked: str | None = None
    premise: str | None = None
    group: str | None = None


@dataclass(frozen=True)
class Item:
    """One pair to be written.

    Attributes:
        id: unique and stable: cell and slot.
        turn: how often this topic was drawn before for the same facts; engines take another style for each turn.
        split_hard: the side of the hard split (`hard.py`).
    """

    id: str
    cell: Cell
    topic: Topic
    turn: int
    seed: int
    split_hard: str | None = None


@cache
def frames(name: str = "wbcatt") -> dict[str, Any]:
    """Return the sentence frames of a source and the groups of attributes that are asked together."""
    return tomllib.loads(frames_text(name))


@cache
def frames_text(name: str = "wbcatt") -> str:
    """Return the frames file as text; its hash goes into `run.json`."""
    return resources.files(__package__).joinpath("templates", f"{name}.toml").read_text(encoding="utf-8")


def cells(corpus: Corpus, source: str = "wbcatt") -> Iterator[Cell]:
    """Yield the cells of a source, in the order of the corpus."""
    columns = ["sample_id", "label", "attributes", "split_upstream", "source_file"]
    for row in corpus.rows(task="classification", source=source, columns=columns):
        attributes = {each["name"]: each["value"] for each in row["attributes"] or () if each["value"] is not None}
        image = str(row["source_file"]).rsplit("/", 1)[-1]
        yield Cell(row["sample_id"], image, Record(row["label"], attributes), row["split_upstream"])


def plan(
    cells: Iterable[Cell], lexicon: Lexicon, seed: int = 0, limit: int | None = None, times: int = 1
) -> list[Item]:
    """Plan the paper's number of pairs for so many cells, with a fixed share of each question type (`quota.py`).

    Cells with the same facts share one deck of topics per question type, so that thousands of equal records are asked
    different things.

    Args:
        cells: all that are described: quotas are counted over them, also where `limit` takes a part.
        lexicon: what can be asked.
        seed: of everything that is drawn.
        limit: only the first so many cells that get pairs.
        times: so many times the paper's number.
    """
    ordered = sorted(cells, key=lambda cell: cell.sample_id)
    sides = {cell.sample_id: quota.side(cell.split_upstream) for cell in ordered}
    numbers = quota.pairs_of_cells(sides, seed, times)
    shares = quotas(ordered, lexicon, seed, times)
    dealers = {its: quota.Dealer(parts, f"{seed}:{its}") for its, parts in shares.items()}
    hard = hard_split(ordered, seed)
    decks: dict[str, dict[str, Deck]] = {}
    items: list[Item] = []
    for cell in [cell for cell in ordered if numbers[cell.sample_id]][:limit]:
        vector, name = cell.vector, cell.sample_id.rsplit("/", 1)[-1]
        if vector not in decks:
            decks[vector] = _decks(cell, lexicon, seed)
        own = decks[vector]
        room = {kind: len(deck.topics) for kind, deck in own.items()}
        taken: list[Topic] = []
        for slot, kind in enumerate(dealers[sides[cell.sample_id]].deal(numbers[cell.sample_id], room)):
            topic = own[kind].draw(taken)
            taken.append(topic)
            turn = own[kind].turns[topic]
            own[kind].turns[topic] += 1
            number = _number(f"{seed}:{cell.sample_id}:{slot}")
            items.append(Item(f"{name}-{slot}", cell, topic, turn, number, hard[vector]))
    return items


def quotas(cells: Sequence[Cell], lexicon: Lexicon, seed: int = 0, times: int = 1) -> dict[str, dict[str, int]]:
    """Return the number of pairs per question type, for "train" and "test"."""
    sides = {cell.sample_id: quota.side(cell.split_upstream) for cell in cells}
    totals: Counter[str] = Counter()
    for name, number in quota.pairs_of_cells(sides, seed, times).items():
        totals[sides[name]] += number
    shares = frames(lexicon.name)["plan"]["shares"]
    return {its: quota.apportion(total, shares) for its, total in totals.items()}


def _decks(cell: Cell, lexicon: Lexicon, seed: int) -> dict[str, "Deck"]:
    kinds: dict[str, list[Topic]] = defaultdict(list)
    for topic in topics(cell.record, lexicon):
        kinds[topic.question_type].append(topic)
    return {kind: Deck(found, f"{seed}:{cell.vector}:{kind}") for kind, found in kinds.items()}


class Deck:
    """Topics in shuffled order, dealt without replacement and shuffled again when they run out."""

    def __init__(self, topics: list[Topic], key: str) -> None:
        self.topics, self.key, self.round = topics, key, 0
        self.pile: list[Topic] = []
        self.turns: dict[Topic, int] = defaultdict(int)

    def draw(self, taken: Container[Topic] = ()) -> Topic:
        """Deal the next topic that is not taken; there must be one."""
        held: list[Topic] = []
        while True:
            if not self.pile:
                self.pile = list(self.topics)
                random.Random(f"{self.key}:{self.round}").shuffle(self.pile)
                self.round += 1
            topic = self.pile.pop()
            if topic not in taken:
                self.pile += reversed(held)
                return topic
            held.append(topic)


def topics(record: Record, lexicon: Lexicon) -> list[Topic]:
    """List what can be asked about a record, each topic once."""
    rules = frames(lexicon.name)["plan"]
    known = [name for name in lexicon.values if not _blurred(record, name)]
    found: list[Topic] = []
    for name in known:
        value = record.value(name)
        found.append(Topic("single", (name,), asked=name))
        if value != "nil":
            found.append(Topic("yes_no", (name,), asked=name, premise=value))
        others = [other for other in lexicon.values[name] if other not in (value, "nil")]
        other = others[_number(f"{name}:{sorted(record.attributes.items())}") % len(others)]
        found.append(Topic("yes_no", (name,), asked=name, premise=other))
    for pair in rules["pairs"]:
        if set(pair) <= set(known) and record.value(pair[0]) != "nil":
            found.append(Topic("pair", tuple(pair)))
    if record.label is not None:
        for chosen in rules["features"]:
            if stated := _stated(record, chosen):
                found.append(Topic("type_from_features", (*stated, "label"), asked="label"))
        for group, chosen in rules["groups"].items():
            if stated := _stated(record, chosen):
                found.append(Topic("features_from_type", (*stated, "label"), group=group))
        if set(record.attributes) >= set(lexicon.values):
            found.append(Topic("description", (*known, "label")))
    return list(dict.fromkeys(found))


def _blurred(record: Record, name: str) -> bool:
    """Tell whether a value is missing, or says "no granules" where the record has granules (three records do)."""
    value = record.value(name)
    return value is None or (value == "nil" and record.value("granularity") != "no")


def _stated(record: Record, names: Iterable[str]) -> tuple[str, ...]:
    """Leave out what is not known, and say whether there are granules where they have no type or colour."""
    stated = ("granularity" if record.value(name) == "nil" else name for name in names)
    return tuple(dict.fromkeys(name for name in stated if record.value(name) is not None))


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
