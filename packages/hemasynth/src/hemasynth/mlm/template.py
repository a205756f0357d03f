"""The engine without a model for masked sentences: short clauses, so that they keep within the gate."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from hemasynth.engines.base import Reply, Request
from hemasynth.mlm.check import NUMBERS
from hemasynth.mlm.plan import Item, digest

_WORDS = {low: word for word, (low, high) in NUMBERS.items() if low == high}
# {n} the cells with their article or number, {v} the value; the second of a pair is shorter
_SAY: dict[str, dict[str, tuple[str, ...]]] = {
    "cell_size": {"*": ("{the} {are} {v} in size.", "{the} {are} {v}.")},
    "nuclear_chromatin": {"*": ("{the} {show} {v} nuclear chromatin.", "{the} {show} {v} chromatin.")},
    "nuclear_shape": {"*": ("{the} {show} a nucleus of {v} shape.", "{the} {have} a nucleus of {v} shape.")},
    "nucleolus": {"*": ("{the} {show} a {v} nucleolus.", "{the} {have} a {v} nucleolus.")},
    "cytoplasm": {"*": ("The cytoplasm of {of} is {v}.", "{the} {have} {v} cytoplasm.")},
    "cytoplasmic_basophilia": {"*": ("{the} {show} {v} cytoplasmic basophilia.", "{the} {show} {v} basophilia.")},
    "cytoplasmic_vacuoles": {
        "prominent": ("{the} {show} prominent vacuoles.", "{the} {have} prominent vacuoles."),
        "absent": ("Vacuoles are absent from {of}.", "{the} {have} absent vacuoles."),
    },
}
_NAMED = {
    "cell_size": "a {v} size", "nuclear_chromatin": "{v} chromatin", "nuclear_shape": "a nucleus of {v} shape",
    "nucleolus": "a {v} nucleolus", "cytoplasm": "{v} cytoplasm", "cytoplasmic_basophilia": "{v} basophilia",
    "cytoplasmic_vacuoles": "{v} vacuoles",
}  # fmt: skip
_COUNT = ("The field contains {n}.", "The field shows {n}.", "{N} {are} seen.")


class MlmTemplates:
    """Writes sentences from frames; each attempt takes the next, shorter frame."""

    name = "template"
    model = "template"
    needs_prompt = False

    def start(self) -> None:
        """Nothing is needed."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield the replies in the order of the requests."""
        for request in requests:
            item: Any = request.item
            text = json.dumps({"cell_types": _types(item), "sentence": write(item, request.attempt)})
            yield Reply(request, text, model=self.model)


def write(item: Item, attempt: int = 0) -> str:
    """Return the sentence of an item."""
    turn = int(digest(item.id)[:6], 16) % 2 if attempt == 0 else attempt
    (label, name), *rest = item.topic.uses
    field, style = item.field, item.topic.style
    words = _nouns(label, field.counts[label])
    if style == "count":
        return _COUNT[min(turn, len(_COUNT) - 1)].format(**words)
    value = field.records[label].attributes.get(name if name != "label" else rest[0][1], "")
    if style == "attribute":
        options = _SAY[name]
        frames = options.get(value) or options["*"]
        return _capital(frames[min(turn, len(frames) - 1)].format(v=value, **words))
    if style == "summary":
        return _capital(f"{words['n']} with {_named(rest[0][1], value)} {words['are']} seen.")
    if style == "attributes":
        second = _named(rest[0][1], field.records[label].attributes[rest[0][1]])
        return _capital(f"{words['the']} {words['have']} {_named(name, value)} and {second}.")
    other, _ = rest[0]
    theirs = _nouns(other, field.counts[other])
    second = _named(name, field.records[other].attributes[name])
    return _capital(f"{words['the']} {words['have']} {_named(name, value)}; {theirs['the']} {theirs['have']} {second}.")


def _named(name: str, value: str) -> str:
    phrase = _NAMED[name].format(v=value)
    return phrase.replace("a in", "an in").replace("a ir", "an ir")


def _nouns(label: str, count: int) -> dict[str, str]:
    singular = label.replace("_", " ")
    one, plural = count == 1, f"{singular}s"
    number = f"{_WORDS[count]} {singular if one else plural}" if count in _WORDS else f"many {plural}"
    many = not one
    return {
        "n": number,
        "N": _capital(number),
        "the": f"the {plural if many else singular}",
        "of": f"the {plural if many else singular}",
        "are": "are" if many else "is",
        "have": "have" if many else "has",
        "show": "show" if many else "shows",
    }


def _types(item: Item) -> list[str]:
    return sorted({label for label, _ in item.topic.uses})


def _capital(text: str) -> str:
    text = text.replace(" a in", " an in").replace(" a ir", " an ir")
    return text[0].upper() + text[1:]
