"""What every engine takes and gives."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from hemasynth.plan import Item


@dataclass(frozen=True)
class Request:
    """One attempt at one pair.

    Attributes:
        prompt: the text for a language model; the template engine reads `item` alone.
        schema: JSON schema that the answer must obey.
        attempt: 0 for the first; each attempt has a seed of its own.
    """

    item: Item
    prompt: str = ""
    schema: dict[str, Any] = field(default_factory=dict)
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    max_tokens: int = 256
    attempt: int = 0


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        finish_reason: "stop" for a complete text, "length" for one that was cut, "failed" for a request that the engine
            could not answer though it answers others.
        tokens_cached: tokens of the prompt that the engine had read before.
    """

    request: Request
    text: str
    finish_reason: str = "stop"
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0


class Engine(Protocol):
    """Anything that answers requests.

    Attributes:
        name: the word of `--engine`.
        model: what writes, as it stands in `generated_by`.
        needs_prompt: False when the engine reads the item and no prompt need be rendered.

    It may have more, told in `run.json`: `revision`, `weights`, and `constraint`, which is "schema" where the engine
    holds every text to its schema and "parsed" where a text that breaks it is refused and tried again.
    """

    name: str
    model: str
    needs_prompt: bool

    def start(self) -> None:
        """Prove that the engine works, before anything is planned on it.

        Raises:
            EngineMissingError: something that it needs is not there.
            EngineError: it works in a way that cannot be trusted.
        """

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield one reply per request, in any order."""
