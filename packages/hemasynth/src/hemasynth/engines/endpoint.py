"""Any OpenAI-compatible server; `vllm serve` first. It must prove at the start that it obeys a JSON schema."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from hemadata.errors import HemaError

from hemasynth.engines import canary
from hemasynth.engines.base import Reply, Request
from hemasynth.errors import EngineError, EngineMissingError

DEFAULT_URL = "http://127.0.0.1:8000/v1"
IN_A_ROW = 16  # failed requests without a success between them: then it is the server, not the request


class EndpointEngine:
    """Sends chat requests to a server, many at a time.

    A server that goes away is waited for; a request that fails again and again, while others are answered, comes back
    with the finish reason "failed", so that one bad request never ends a run.

    Args:
        model: the name under which the server knows the model.
        base_url: address of the server's `/v1`.
        slots: requests in flight at a time.
        retries: further tries after 429, 5xx or a time-out, after jittered pauses; none after 400.
        timeout: seconds for one request.
        patience: seconds to wait for a server that was there and is gone.
    """

    name = "endpoint"
    needs_prompt = True
    constraint = "schema"

    def __init__(
        self,
        model: str,
        base_url: str = DEFAULT_URL,
        slots: int = 64,
        retries: int = 6,
        timeout: float = 120.0,
        patience: float = 300.0,
    ) -> None:
        import openai  # half a second: not for people who ask for help

        self._asked, self.model = model, _label(model)
        self.base_url, self.slots, self.patience = base_url, slots, patience
        self.revision: str | None = None
        key = os.environ.get("OPENAI_API_KEY", "none")
        self._client = openai.OpenAI(api_key=key, base_url=base_url, max_retries=retries, timeout=timeout)
        self._openai = openai
        self._stop = threading.Event()

    def start(self) -> None:
        """Send a request whose schema allows one absurd word.

        Raises:
            EngineMissingError: nothing answers at the address.
            EngineError: the server refuses the request, or answers and ignores the schema.
        """
        sampling = {"temperature": 0.0, "top_p": 1.0, "seed": 0, "max_tokens": canary.MAX_TOKENS}
        try:
            text = self._ask(canary.QUESTION, canary.SCHEMA, **sampling)["text"]
        except self._openai.APIConnectionError as error:  # time-outs are among them
            raise self._gone(error) from error
        except self._openai.APIError as error:
            raise self._refused(error) from error
        if not canary.obeyed(text):
            raise EngineError(
                f"{self.base_url} ignores response_format: asked for {canary.WORD!r} by schema, "
                f"it wrote {text[:60]!r}.\n"
                "Use a server with structured outputs, such as: vllm serve MODEL (0.30 or newer)"
            )

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield replies as they arrive, and take further requests as slots get free.

        Raises:
            EngineMissingError: the server went away and did not come back; what it had answered is yielded before.
            EngineError: it refuses every request.
        """
        self._stop.clear()
        pool = ThreadPoolExecutor(self.slots)
        waiting: set[Future[Reply]] = set()
        sieve = _Sieve()
        try:
            for request in requests:
                waiting.add(pool.submit(self._reply, request))
                if len(waiting) >= 2 * self.slots:  # the queue never runs dry while replies are checked
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from sieve.pass_on(done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from sieve.pass_on(done)
            yield from sieve.rest(self._works)
        except HemaError:
            self._stop.set()
            done, _ = wait([future for future in waiting if not future.cancel()])
            yield from (future.result() for future in done if future.exception() is None and _good(future.result()))
            raise
        finally:
            self._stop.set()
            pool.shutdown(wait=True, cancel_futures=True)

    def _works(self) -> bool:
        try:
            self.start()
        except HemaError:
            return False
        return True

    def _reply(self, request: Request) -> Reply:
        sampling = {name: getattr(request, name) for name in ("temperature", "top_p", "seed", "max_tokens")}
        openai, deadline = self._openai, time.monotonic() + self.patience
        while True:
            try:
                return Reply(request, **self._ask(request.prompt, request.schema, **sampling))
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as error:
                raise self._refused(error) from error
            except (openai.APIStatusError, openai.APITimeoutError, EngineError) as error:
                return Reply(request, str(error), "failed", self.model)
            except openai.APIConnectionError as error:
                if self._stop.wait(1.0) or time.monotonic() > deadline:
                    raise self._gone(error) from error
            except openai.APIError as error:  # an answer that is no chat completion
                return Reply(request, str(error), "failed", self.model)

    def _gone(self, error: Exception) -> EngineMissingError:
        return EngineMissingError(
            f"Nothing answers at {self.base_url} ({error}).\n"
            f"Start a server, for example: vllm serve {self._asked}   "
            "or try without a model: hemasynth vqa --engine template"
        )

    def _refused(self, error: Exception) -> EngineError:
        return EngineError(f"{self.base_url} refused a request for {self._asked}: {error}{_advice(str(error))}")

    def _ask(self, prompt: str, schema: dict[str, Any], **sampling: Any) -> dict[str, Any]:
        """Send one request and return the fields of a `Reply`."""
        answer = self._client.chat.completions.create(
            model=self._asked,
            messages=[{"role": "user", "content": prompt}],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "reply", "schema": schema, "strict": True},
            },
            **sampling,
        )
        if not getattr(answer, "choices", None):
            raise EngineError(f"{self.base_url} sent a reply without choices for {self._asked}.")
        choice, usage = answer.choices[0], answer.usage
        cached = usage.prompt_tokens_details if usage else None
        return {
            "text": (choice.message.content if choice.message else "") or "",
            "finish_reason": choice.finish_reason or "stop",
            "model": _label(answer.model or self._asked),
            "tokens_in": usage.prompt_tokens if usage else 0,
            "tokens_out": usage.completion_tokens if usage else 0,
            "tokens_cached": (cached.cached_tokens or 0) if cached else 0,
        }


class _Sieve:
    """Holds failed replies back until a good one shows that the server works; then they are that request's fault."""

    def __init__(self) -> None:
        self.held: list[Reply] = []
        self.any_good = False

    def pass_on(self, done: Iterable[Future[Reply]]) -> Iterator[Reply]:
        """Yield what can be told, good replies first; raises `EngineError` when nothing but failures comes."""
        errors = [error for future in done if (error := future.exception()) is not None]
        replies = [future.result() for future in done if future.exception() is None]
        good = [reply for reply in replies if _good(reply)]
        self.held += [reply for reply in replies if not _good(reply)]
        if good:
            self.any_good = True
            yield from good
            held, self.held = self.held, []
            yield from held
        if errors:
            raise errors[0]
        if len(self.held) >= IN_A_ROW:
            raise self._error()

    def rest(self, works: Callable[[], bool]) -> Iterator[Reply]:
        """Yield what is held back at the end; `works` is asked where no good reply has shown that the server does."""
        if self.held and not self.any_good and not works():
            raise self._error()
        yield from self.held

    def _error(self) -> EngineError:
        text = self.held[-1].text
        return EngineError(f"The server failed {len(self.held)} requests in a row: {text[:200]}{_advice(text)}")


def _good(reply: Reply) -> bool:
    return reply.finish_reason != "failed"


def _label(model: str) -> str:
    """Name a model that a server knows by its folder without the folder: no rows say where a machine keeps it."""
    return model.rstrip("/").rpartition("/")[2] if model.startswith(("/", "~", ".")) else model


def _advice(message: str) -> str:
    if "chat template" not in message.lower():
        return ""
    return '\nStart it with a template:  vllm serve MODEL --chat-template "$(hemasynth doctor --chat-template)"'
