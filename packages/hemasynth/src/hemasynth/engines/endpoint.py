"""Any OpenAI-compatible server; `vllm serve` first. It must prove at the start that it obeys a JSON schema."""

import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from hemasynth.engines.base import Reply, Request
from hemasynth.errors import EngineError, EngineMissingError

DEFAULT_URL = "http://127.0.0.1:8000/v1"
_CANARY = "nine-legged-teapot"  # no model says this unless the schema makes it


class EndpointEngine:
    """Sends chat requests to a server, many at a time.

    Args:
        model: the name under which the server knows the model.
        base_url: address of the server's `/v1`.
        slots: requests in flight at a time.
        retries: further tries after 429, 5xx, a time-out or a lost connection, after jittered pauses; none after 400.
        timeout: seconds for one request.
    """

    name = "endpoint"
    needs_prompt = True

    def __init__(
        self, model: str, base_url: str = DEFAULT_URL, slots: int = 64, retries: int = 6, timeout: float = 120.0
    ) -> None:
        import openai  # half a second: not for people who ask for help

        self.model, self.base_url, self.slots = model, base_url, slots
        key = os.environ.get("OPENAI_API_KEY", "none")
        self._client = openai.OpenAI(api_key=key, base_url=base_url, max_retries=retries, timeout=timeout)
        self._openai = openai

    def start(self) -> None:
        """Send a request whose schema allows one absurd word.

        Raises:
            EngineMissingError: nothing answers at the address.
            EngineError: the server answers, and ignores the schema.
        """
        schema = {
            "type": "object",
            "properties": {"word": {"type": "string", "enum": [_CANARY]}},
            "required": ["word"],
            "additionalProperties": False,
        }
        text = self._ask("Name a white blood cell.", schema, temperature=0.0, top_p=1.0, seed=0, max_tokens=64)["text"]
        try:
            obeyed = json.loads(text, strict=False) == {"word": _CANARY}
        except ValueError:
            obeyed = False
        if not obeyed:
            raise EngineError(
                f"{self.base_url} ignores response_format: asked for {_CANARY!r} by schema, it wrote {text[:60]!r}.\n"
                "Use a server with structured outputs, such as: vllm serve MODEL (0.30 or newer)"
            )

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield replies as they arrive, and take further requests as slots get free."""
        pool = ThreadPoolExecutor(self.slots)
        waiting: set[Future[Reply]] = set()
        try:
            for request in requests:
                waiting.add(pool.submit(self._reply, request))
                if len(waiting) >= 2 * self.slots:  # the queue never runs dry while replies are checked
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _reply(self, request: Request) -> Reply:
        sampling = {name: getattr(request, name) for name in ("temperature", "top_p", "seed", "max_tokens")}
        return Reply(request, **self._ask(request.prompt, request.schema, **sampling))

    def _ask(self, prompt: str, schema: dict[str, Any], **sampling: Any) -> dict[str, Any]:
        """Send one request and return the fields of a `Reply`."""
        openai = self._openai
        try:
            answer = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "user", "content": prompt}],
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "reply", "schema": schema, "strict": True},
                },
                **sampling,
            )
        except openai.APIConnectionError as error:  # time-outs are among them
            raise EngineMissingError(
                f"Nothing answers at {self.base_url} ({error}).\n"
                f"Start a server, for example: vllm serve {self.model}   "
                "or try without a model: hemasynth vqa --engine template"
            ) from error
        except openai.APIError as error:
            raise EngineError(f"{self.base_url} refused a request for {self.model}: {error}") from error
        if not answer.choices:
            raise EngineError(f"{self.base_url} sent a reply without choices for {self.model}.")
        choice, usage = answer.choices[0], answer.usage
        return {
            "text": choice.message.content or "",
            "finish_reason": choice.finish_reason or "stop",
            "model": answer.model or self.model,
            "tokens_in": usage.prompt_tokens if usage else 0,
            "tokens_out": usage.completion_tokens if usage else 0,
        }
