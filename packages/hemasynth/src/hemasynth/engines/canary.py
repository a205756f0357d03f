"""The canary: a request that no model answers rightly unless the schema makes it."""

import json
from typing import Any

WORD = "nine-legged-teapot"
QUESTION = "Name a white blood cell."
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"word": {"type": "string", "enum": [WORD]}},
    "required": ["word"],
    "additionalProperties": False,
}
MAX_TOKENS = 64


def obeyed(text: str) -> bool:
    """Tell whether a reply to `QUESTION` is what `SCHEMA` allows."""
    try:
        return bool(json.loads(text, strict=False) == {"word": WORD})
    except ValueError:
        return False
