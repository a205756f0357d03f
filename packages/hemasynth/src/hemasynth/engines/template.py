"""The engine without a model: frames of `templates/*.toml`, another one for each turn of the same facts."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from zlib import crc32

from hemasynth.engines.base import Reply, Request
from hemasynth.faithful import Record
from hemasynth.plan import Item, Topic, frames

_DESCRIPTION = {
    "size": "cell_size", "shape": "cell_shape", "nucleus": "nucleus_shape", "chromatin": "chromatin_density",
    "ratio": "nuclear_cytoplasmic_ratio", "texture": "cytoplasm_texture", "colour": "cytoplasm_colour",
}  # fmt: skip


class Style:
    """Choices drawn from one number, as digits of changing base: as many numbers, as many different sentences."""

    def __init__(self, number: int) -> None:
        self.number, self.shift = number, 0

    def pick(self, options: Sequence[str]) -> str:
        """Choose one option; consecutive numbers differ in the first choice, and drag the later ones along."""
        self.number, digit = divmod(self.number, len(options))
        choice = (digit + self.shift) % len(options)
        self.shift += digit
        return options[choice]


class TemplateEngine:
    """Writes pairs from frames; its replies have the form that a model's have, and are checked alike."""

    name = "template"
    model = "template"
    needs_prompt = False

    def __init__(self, source: str = "wbcatt") -> None:
        self.frames = frames(source)

    def start(self) -> None:
        """Nothing is needed."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield the replies in the order of the requests."""
        for request in requests:
            question, answer = self.write(request.item, request.attempt)
            record = request.item.cell.record
            uses = [{"attribute": name, "value": record.value(name)} for name in request.item.topic.uses]
            yield Reply(request, json.dumps({"uses": uses, "question": question, "answer": answer}), model=self.model)

    def write(self, item: Item, attempt: int = 0) -> tuple[str, str]:
        """Return question and answer of an item."""
        topic, record = item.topic, item.cell.record
        start = crc32(f"{item.cell.vector}:{topic.uses}:{topic.premise}".encode())
        style = Style(start + item.turn + 7919 * attempt)
        question, answer = getattr(self, f"_{topic.question_type}")(topic, record, style)
        return _sentence(question, ""), _sentence(answer, ".")

    # -- one method per question type: clauses in, the two texts out -------------------------------

    def _single(self, topic: Topic, record: Record, style: Style) -> tuple[str, str]:
        (name,) = topic.uses
        question = self._fill(style.pick(self.frames[name]["ask"]), style)
        return question, self._say(name, record, style)

    def _yes_no(self, topic: Topic, record: Record, style: Style) -> tuple[str, str]:
        (name,) = topic.uses
        premise = topic.premise or ""
        options = self.frames[name]["premise"]
        frame = style.pick(options[premise] if isinstance(options, dict) else options)
        word = self._word(name, premise, style)
        reply = "yes" if record.value(name) == premise else "no"
        return self._fill(frame, style, word), f"{reply}, {self._say(name, record, style)}"

    def _pair(self, topic: Topic, record: Record, style: Style) -> tuple[str, str]:
        first, second = topic.uses
        nouns = {"noun1": self.frames[first]["noun"], "noun2": self.frames[second]["noun"]}
        question = self._fill(style.pick(self.frames["pair"]["ask"]), style, **nouns)
        join = style.pick(self.frames["pair"]["join"])
        return question, join.format(one=self._say(first, record, style), two=self._say(second, record, style))

    def _type_from_features(self, topic: Topic, record: Record, style: Style) -> tuple[str, str]:
        parts = self.frames["type_from_features"]
        features = self._features(topic.uses, record, style)
        question = self._fill(style.pick(parts["ask"]), style, features=features)
        return question, self._fill(style.pick(parts["say"]), style, **_label(record))

    def _features_from_type(self, topic: Topic, record: Record, style: Style) -> tuple[str, str]:
        parts = self.frames["features_from_type"]
        question = self._fill(style.pick(parts["ask"][topic.group]), style, **_label(record))
        say = style.pick(parts["say"])
        return question, self._fill(say, style, features=self._features(topic.uses, record, style), **_label(record))

    def _description(self, topic: Topic, record: Record, style: Style) -> tuple[str, str]:
        question = self._fill(style.pick(self.frames["description"]["ask"]), style)
        slots = _label(record)
        frame = style.pick(self.frames["description"]["say"])
        for slot, name in _DESCRIPTION.items():
            slots[slot] = self._word(name, record.value(name) or "", style)
            slots[f"a_{slot}"] = _article(slots[slot])
        stated = [name for name in ("granule_type", "granule_colour") if name in topic.uses]
        kinds = [self._word(name, record.value(name) or "", style) for name in stated]
        no_granules = record.value("granularity") == "no"
        slots["granules"] = "no granules" if no_granules else f"{', '.join(kinds) or 'visible'} granules"
        slots["vacuoles"] = "with vacuoles" if record.value("cytoplasm_vacuole") == "yes" else "without vacuoles"
        return question, self._fill(frame, style, **slots)

    # -- pieces ------------------------------------------------------------------------------------

    def _fill(self, frame: str, style: Style, word: str = "", **slots: str) -> str:
        if "{cell}" in frame:
            slots["cell"] = style.pick(self.frames["cell"])
        return frame.format(v=word, a=_article(word), **slots)

    def _say(self, name: str, record: Record, style: Style) -> str:
        value = record.value(name) or ""
        options: Any = self.frames[name]["say"]
        if isinstance(options, dict):
            options = options.get(value) or options["*"]
        return self._fill(style.pick(options), style, self._word(name, value, style))

    def _word(self, name: str, value: str, style: Style) -> str:
        words: Sequence[str] = self.frames[name].get("words", {}).get(value, ())
        return style.pick(words) if words else value

    def _features(self, names: Sequence[str], record: Record, style: Style) -> str:
        """Return "a round nucleus, a clear, blue cytoplasm and no granules"; what is denied comes last."""
        words: dict[str, list[str]] = {}
        for name in names:
            value = record.value(name) or ""
            if name != "label":
                frame = self.frames[name]["feature"]
                frame = frame[value] if isinstance(frame, dict) else frame
                words.setdefault(frame, []).append(self._word(name, value, style))
        phrases = sorted(
            (frame.format(v=", ".join(said), a=_article(", ".join(said))) for frame, said in words.items()),
            key=lambda phrase: phrase.startswith("no "),
        )
        return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _label(record: Record) -> dict[str, str]:
    label = (record.label or "").replace("_", " ")
    return {"label": label, "a_label": _article(label)}


def _article(word: str) -> str:
    return f"an {word}" if word[:1] in tuple("aeio") or word.startswith("un") else f"a {word}"


def _sentence(clause: str, stop: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}{stop}"
