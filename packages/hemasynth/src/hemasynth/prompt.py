"""Prompts for a language model: the fixed part first, so that a server reads it once; then record and task."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from hemasynth.faithful import Record
from hemasynth.lexicon import Lexicon
from hemasynth.plan import Item, Topic

STYLES = (
    "Plain and short.",
    "As a student would ask a teacher.",
    "As in a laboratory report.",
    "In a full sentence with the word cell.",
    "With the attribute's noun first.",
    "As an examiner would ask.",
    "In a calm, descriptive tone.",
    "As brief as possible.",
)

_TASKS = {
    "single": "one open question about {asked}.",
    "pair": "one open question that asks for {first} and {second} together.",
    "yes_no": 'a yes/no question that supposes {asked} is "{premise}".',
    "type_from_features": "a question that names the features, answered with the cell type.",
    "features_from_type": "a question that names the cell type and asks how its {group} looks, answered with them.",
    "description": "a request for a description of the whole cell, answered with all attributes and the cell type.",
}

_REASONS = {
    "truncated": "the text was cut; be shorter",
    "schema": "it was not the JSON that was asked for",
    "empty": "question or answer was empty",
    "language": "it was not written in English",
    "length": "it was too long",
    "sentence": "question or answer did not end as a sentence",
    "contradicted": "it contradicted the record",
    "unsupported": "it said something that the record does not say",
    "undecided": "it was not clear what a value belongs to; name the noun beside each value",
    "generic": "it hedged or spoke in general; speak of this cell",
    "yes_no": "yes or no was wrong, or was said to an open question",
    "leak": "the question contained its answer",
    "asked": "the answer did not state what was asked",
    "off_topic": "the question did not ask for what the task says",
    "uses": '"uses" did not match what the text states and the record says',
}


@cache
def fixed_text(lexicon: Lexicon) -> str:
    """Return the part that all prompts of a source share."""
    text = resources.files(__package__).joinpath("templates", "vqa_prompt.txt").read_text(encoding="utf-8")
    lines = [f"{name}: {', '.join(values)}" for name, values in lexicon.values.items()]
    lines.append(f"label: {', '.join(lexicon.labels)}")
    return text.format(vocabulary="\n".join(lines))


def digest(lexicon: Lexicon) -> str:
    """Return the hash of the prompt's wording for `run.json`: equal digests, equal prompts."""
    text = json.dumps([fixed_text(lexicon), STYLES, _TASKS, _REASONS])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def render(item: Item, lexicon: Lexicon, refused: Sequence[str] = ()) -> str:
    """Return the prompt of an item.

    Args:
        item: what to write.
        lexicon: its vocabulary is listed.
        refused: the gates that the last attempt failed; the first is told to the model.
    """
    topic, record = item.topic, item.cell.record
    facts = {name: record.value(name) for name in sorted(topic.uses)}
    style = STYLES[item.turn % len(STYLES)]
    lines = [f"Record: {json.dumps(facts, separators=(',', ':'))} Task: {_task(topic)} Style: {style}"]
    if refused and refused[0] in _REASONS:  # a text that did not arrive was not at fault
        lines.append(f"An earlier text was refused: {_REASONS[refused[0]]}.")
    return fixed_text(lexicon) + "\n".join(lines) + "\n"


def schema(topic: Topic, lexicon: Lexicon, record: Record | None = None) -> dict[str, Any]:
    """Return the JSON schema of a reply; "uses" comes first, so that facts are fixed before prose.

    It depends on the number of facts alone: a server compiles a handful of grammars.

    Args:
        topic: how many facts are stated.
        lexicon: all attributes and values.
        record: leaves only the topic's attributes and this record's values, for the last attempt.
    """
    names: list[str] = [*lexicon.values, "label"]
    values = sorted({value for known in lexicon.values.values() for value in known} | set(lexicon.labels))
    if record is not None:
        names = sorted(topic.uses)
        values = sorted({value for name in names if (value := record.value(name)) is not None})
    use = {
        "type": "object",
        "properties": {"attribute": {"enum": names}, "value": {"enum": values}},
        "required": ["attribute", "value"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "uses": {"type": "array", "items": use, "minItems": len(topic.uses), "maxItems": len(topic.uses) + 1},
            "question": {"type": "string", "maxLength": 240},
            "answer": {"type": "string", "maxLength": 320},
        },
        "required": ["uses", "question", "answer"],
        "additionalProperties": False,
    }


def _task(topic: Topic) -> str:
    first, second = (*topic.uses, "", "")[:2]
    slots = {"asked": topic.asked, "premise": topic.premise, "group": topic.group, "first": first, "second": second}
    return _TASKS[topic.question_type].format(**slots)
