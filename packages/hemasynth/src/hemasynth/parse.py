"""From the text of an engine to a draft: JSON is read tolerantly, then checked strictly; cut text is never mended."""

import json
import re

from pydantic import BaseModel, ConfigDict, ValidationError

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]+")


class Use(BaseModel):
    """An attribute that the pair states, with its value."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    attribute: str
    value: str


class Draft(BaseModel):
    """A reply in the form that the schema asks for."""

    model_config = ConfigDict(extra="forbid")
    uses: list[Use]
    question: str
    answer: str


class RefusedError(Exception):
    """A reply cannot be read; `gate` says why. Caught by the run, which tries again."""

    def __init__(self, gate: str) -> None:
        super().__init__(gate)
        self.gate = gate


def parse(text: str, finish_reason: str = "stop") -> Draft:
    """Return the draft in a reply.

    Raises:
        RefusedError: the engine could not answer ("failed"), the text was cut ("truncated"), nothing was written
            ("empty"), or it is not the JSON that was asked for ("schema").
    """
    if finish_reason == "failed":
        raise RefusedError("failed")
    if finish_reason == "length":
        raise RefusedError("truncated")
    if not text.strip():
        raise RefusedError("empty")
    try:
        found = json.loads(text, strict=False)  # constrained output may hold raw control characters in its strings
        draft = Draft.model_validate(found, strict=True)
    except (ValueError, ValidationError, RecursionError) as error:
        raise RefusedError("schema") from error
    draft.question, draft.answer = _clean(draft.question), _clean(draft.answer)
    return draft


def _clean(text: str) -> str:
    return " ".join(_CONTROL.sub(" ", text).split())
