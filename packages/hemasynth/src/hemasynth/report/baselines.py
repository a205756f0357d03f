"""What can be answered without looking at the picture: any model has to beat this."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hemasynth.plan import Item
from hemasynth.report.diversity import tokens

Row = Mapping[str, Any]
NEAREST = 400  # test pairs for the nearest question, which is the slow one


def blind(rows: Sequence[Row], items: Iterable[Item]) -> list[dict[str, Any]]:
    """Return the accuracy of four blind answers on the test side of both splits, for pairs that ask for one value.

    "majority" gives the commonest answer to the attribute; "question" the commonest answer to the same question;
    "nearest" that to the most similar question in training; "type" the commonest value of the attribute in cells of the
    same type, which is what a model knows that sees the cell type and nothing else.
    """
    about = {item.id: item for item in items}
    asked = [row for row in rows if row["attribute"] and _answer(row)]
    found = []
    for name, column in (("WBCAtt's own", "split_upstream"), ("hard", "split_hard")):
        train = [row for row in asked if row[column] == "train"]
        test = [row for row in asked if row[column] == "test"]
        if not train or not test:
            continue
        keys: dict[str, Callable[[Row], Any]] = {
            "majority": lambda row: (row["attribute"], row["answer_type"]),
            "question": lambda row: row["question"].lower(),
            "type": lambda row: (_premise(row, about), about[row["question_id"]].cell.record.label),
        }
        scores = {what: _score(train, test, key, keys["majority"]) for what, key in keys.items()}
        scores["nearest"] = _nearest(train, test)
        found.append(
            {"split": name, "test": len(test), **scores, "by_attribute": _by_attribute(train, test, keys, about)}
        )
    return found


def _answer(row: Row) -> str | None:
    """Return what has to be answered: "yes" or "no" to a closed question, else the value of the attribute."""
    if row["answer_type"] == "closed":
        return str(row["answer"]).partition(",")[0].strip(" .").lower()
    return next((use["value"] for use in row["uses"] if use["name"] == row["attribute"]), None)


def _premise(row: Row, about: Mapping[str, Item]) -> tuple[str, str | None]:
    return row["attribute"], about[row["question_id"]].topic.premise


def _fit(train: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, str]:
    counts: dict[Any, Counter[str]] = defaultdict(Counter)
    for row in train:
        counts[key(row)][_answer(row) or ""] += 1
    return {name: min(own, key=lambda answer: (-own[answer], answer)) for name, own in counts.items()}


def _score(
    train: Sequence[Row], test: Sequence[Row], key: Callable[[Row], Any], else_key: Callable[[Row], Any]
) -> float:
    table, fallback = _fit(train, key), _fit(train, else_key)
    hits = sum((table.get(key(row)) or fallback.get(else_key(row))) == _answer(row) for row in test)
    return hits / len(test)


def _nearest(train: Sequence[Row], test: Sequence[Row]) -> float:
    table = _fit(train, lambda row: row["question"].lower())
    known = [(question, frozenset(tokens(question))) for question in table]
    drawn = test[:: max(len(test) // NEAREST, 1)]
    hits = 0
    for row in drawn:
        words = frozenset(tokens(row["question"]))
        best = max(known, key=lambda one: (len(words & one[1]) / len(words | one[1]), one[0]))
        hits += table[best[0]] == _answer(row)
    return hits / len(drawn)


def _by_attribute(
    train: Sequence[Row], test: Sequence[Row], keys: Mapping[str, Callable[[Row], Any]], about: Mapping[str, Item]
) -> list[dict[str, Any]]:
    found = []
    for name in sorted({row["attribute"] for row in test}):
        own = [row for row in test if row["attribute"] == name]
        seen = [row for row in train if row["attribute"] == name]
        scores = {what: _score(seen, own, key, keys["majority"]) for what, key in keys.items()} if seen else {}
        found.append({"attribute": name, "test": len(own), **scores})
    return found
