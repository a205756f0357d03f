"""Prompt and schema of masked sentences: the fixed part first, facts next."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from hemasynth.lexicon import Lexicon
from hemasynth.mlm.plan import Item

_FIXED = """You write one English sentence about the microscope picture of a blood film of several cells.

Rules:
1. State only what the facts say, in their words. No diagnosis, disease, treatment or general knowledge.
2. Name the cell type of every feature. Begin with "The" or a number word.
3. At most 14 words, one sentence, ending with a full stop.
4. "cell_types" lists the types that the sentence names.
5. Reply with one line of compact JSON and nothing else.

Examples:
Facts: {"myeloblast":{"count":3,"nuclear_chromatin":"open"}}
{"cell_types":["myeloblast"],"sentence":"Three myeloblasts with open chromatin are visible."}
Facts: {"lymphoblast":{"count":1,"cytoplasm":"scanty"}}
{"cell_types":["lymphoblast"],"sentence":"The lymphoblast is rimmed by scanty cytoplasm."}

"""


def digest() -> str:
    """Return the hash of the wording for `run.json`."""
    return hashlib.sha256(_FIXED.encode()).hexdigest()[:16]


def render(item: Item, refused: Sequence[str] = ()) -> str:
    """Return the prompt of an item; the first gate that refused an earlier text is told."""
    facts: dict[str, dict[str, Any]] = {}
    for label, name in item.topic.uses:
        entry = facts.setdefault(label, {"count": item.field.counts[label]})
        if name != "label":
            entry[name] = item.field.records[label].attributes[name]
    lines = [f"Facts: {json.dumps(facts, sort_keys=True, separators=(',', ':'))}"]
    if refused:
        lines.append(f"An earlier text was refused: {refused[0]}.")
    return _FIXED + "\n".join(lines) + "\n"


def schema(item: Item, lexicon: Lexicon) -> dict[str, Any]:
    """Return the JSON schema of a reply: the types come first, so that facts are fixed before prose."""
    types = sorted({label for label, _ in item.topic.uses})
    return {
        "type": "object",
        "properties": {
            "cell_types": {
                "type": "array",
                "items": {"enum": list(lexicon.labels)},
                "minItems": len(types),
                "maxItems": len(types),
            },
            "sentence": {"type": "string", "maxLength": 200},
        },
        "required": ["cell_types", "sentence"],
        "additionalProperties": False,
    }
