"""What answers are worth without looking: the commonest answers of training, and the picture of another cell."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from hemamodel.errors import UsageError
from hemamodel.evaluate.evidence import About, TextEvidence
from hemamodel.evaluate.naming import kinds_that_tell, names_any

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

SEED = 0  # of the exchange of pictures


class Majority:
    """The commonest answer of training to a question; of equally common ones the first in the alphabet.

    A question that training does not ask in these words gets the commonest answer on what it asks about, and one that
    training does not ask about the commonest of all.

    Args:
        asked: prompt, what is known of it, and answer, of every training sample.
    """

    def __init__(self, asked: Iterable[tuple[str, About, str]]) -> None:
        counts: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
        for prompt, about, answer in asked:
            for key in _keys(prompt, about, True):
                counts[key][answer] += 1
        self._best = {key: min(each, key=lambda text: (-each[text], text)) for key, each in counts.items()}

    def answers(self, evidence: TextEvidence, by_kind: bool) -> TextEvidence:
        """What it says to each sample; `by_kind`: told the true type of the cell."""
        found = [
            next(self._best[key] for key in _keys(prompt, about, by_kind) if key in self._best)
            for prompt, about in zip(evidence.asked, evidence.about, strict=True)
        ]
        return replace(evidence, found=found)


def _keys(prompt: str, about: About, by_kind: bool) -> Iterator[Hashable]:
    """What training is looked up by, the closest first."""
    topic = about.topic or "|".join(sorted(name for name, _ in about.values))
    if by_kind and about.kind:
        yield "kind", about.kind, prompt
        yield "kind", about.kind, None, topic
    yield "any", prompt
    yield "any", None, topic
    yield "any"


def without_type_named(evidence: TextEvidence, corpus: "Corpus") -> list[int]:
    """The samples whose question names no type of cell; by the names of the ontology."""
    names = kinds_that_tell(corpus.ontology, [each.kind for each in evidence.about if each.kind])
    said = {asked: names_any(asked, names) for asked in set(evidence.asked)}
    return [i for i, asked in enumerate(evidence.asked) if not said[asked]]


def of_unseen_facts(evidence: TextEvidence, facts: Mapping[str, Hashable], train: Iterable[str]) -> list[int] | None:
    """The samples whose cell experts describe like no cell of training; None where they describe none of them.

    Args:
        evidence: all samples.
        facts: of `facts_of`.
        train: sample_ids of training.
    """
    if not any(name in facts for name in evidence.sample_ids):
        return None
    learnt = {facts[name] for name in train if name in facts}
    return [i for i, name in enumerate(evidence.sample_ids) if name in facts and facts[name] not in learnt]


def facts_of(corpus: "Corpus", names: Iterable[str]) -> dict[str, Hashable]:
    """Type and attributes of the cell of each row, by the row or by another row with the same picture file.

    Rows of questions hold no attributes; those of the cells that they ask about do (wbcatt for wbcatt-vqa).
    """
    wanted = set(names)
    columns = corpus.index.select(["sample_id", "sha256", "source", "task", "label"]).to_pylist()
    files = {row["sha256"] for row in columns if row["sample_id"] in wanted}
    described: dict[str, Hashable] = {}
    for task, source in sorted({(row["task"], row["source"]) for row in columns if row["sha256"] in files}):
        for row in corpus.rows(task, None, ["sha256", "label", "attributes"], source):
            if row["sha256"] in files and row["attributes"]:
                values = sorted((each["name"], each["value"] or "") for each in row["attributes"])
                described[row["sha256"]] = (row["label"], tuple(values))
    return {
        row["sample_id"]: described[row["sha256"]]
        for row in columns
        if row["sample_id"] in wanted and row["sha256"] in described
    }


def exchanged(units: Mapping[str, str], seed: int = SEED) -> dict[str, str]:
    """Every picture -> another one, each used once; of another unit (patient, film, cell) where there is enough of it.

    Args:
        units: sample_id -> its unit.
        seed: another one gives another exchange.

    Raises:
        UsageError: there is only one picture.
    """
    if len(units) < 2:
        raise UsageError("One picture alone cannot be exchanged for another: leave --baselines or raise --limit.")

    def drawn(text: str) -> bytes:
        return sha256(f"{seed}:{text}".encode()).digest()

    order = sorted(units, key=lambda name: (drawn(units[name]), units[name], drawn(name)))
    # In this order units lie together: a step as long as the longest of them leaves each of them.
    step = max(Counter(units.values()).values())
    step = step if step < len(order) else 1
    return {name: order[(place + step) % len(order)] for place, name in enumerate(order)}
