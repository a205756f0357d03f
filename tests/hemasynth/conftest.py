"""Records, a scripted engine and a stub server for the tests of hemasynth."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hemasynth.engines.base import Reply, Request
from hemasynth.faithful import Record
from hemasynth.plan import Cell

NEUTROPHIL = Record(
    "neutrophil",
    {
        "cell_size": "big",
        "cell_shape": "round",
        "nucleus_shape": "segmented-bilobed",
        "nuclear_cytoplasmic_ratio": "low",
        "chromatin_density": "densely",
        "cytoplasm_vacuole": "no",
        "cytoplasm_texture": "clear",
        "cytoplasm_colour": "light blue",
        "granule_type": "small",
        "granule_colour": "pink",
        "granularity": "yes",
    },
)
NO_GRANULES = {"granule_type": "nil", "granule_colour": "nil", "granularity": "no"}
LYMPHOCYTE = Record(
    "lymphocyte", {**NEUTROPHIL.attributes, **NO_GRANULES, "nucleus_shape": "unsegmented-round", "cell_size": "small"}
)


@pytest.fixture
def neutrophil() -> Record:
    return NEUTROPHIL


@pytest.fixture
def lymphocyte() -> Record:
    return LYMPHOCYTE


@pytest.fixture
def cells() -> list[Cell]:
    """Forty cells with two sets of facts, a quarter of them for testing."""
    records = (NEUTROPHIL, LYMPHOCYTE)
    return [
        Cell(f"wbcatt/C_{n:03d}", f"C_{n:03d}.jpg", records[n % 2], "test" if n % 4 == 3 else "train")
        for n in range(40)
    ]


class ScriptedEngine:
    """Writes what a function says, and keeps the requests."""

    name = "endpoint"
    model = "scripted"
    needs_prompt = True

    def __init__(self, script: Callable[[Request], Reply]) -> None:
        self.script, self.seen, self.started = script, [], 0
        self.seen: list[Request] = []

    def start(self) -> None:
        self.started += 1

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        for request in requests:
            self.seen.append(request)
            yield self.script(request)


@pytest.fixture
def scripted() -> type[ScriptedEngine]:
    return ScriptedEngine


class StubServer:
    """An OpenAI-compatible server on loopback.

    Args:
        answers: reply text by prompt.
        obeys: whether it heeds the schema of the canary.
        troubles: statuses to send before the first good reply.
        reasons: finish reason by prompt, where it is not "stop".
        broken: prompts that always get a 500.
        delays: seconds to wait before the next replies.
        lives: good replies before the connection is dropped for good; None for ever.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.obeys = True
        self.troubles: list[int] = []
        self.reasons: dict[str, str] = {}
        self.broken: set[str] = set()
        self.delays: list[float] = []
        self.lives: int | None = None
        self._count = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stub._count:
                    dead = stub.lives is not None and stub.lives <= 0
                    if stub.lives is not None:
                        stub.lives -= 1
                if dead:
                    self.close_connection = True
                    return
                stub.requests.append(body)
                if stub.delays:
                    time.sleep(stub.delays.pop(0))
                status, reply = stub.reply(body) if self.path == "/v1/chat/completions" else (404, {"error": self.path})
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("retry-after-ms", "5")
                with contextlib.suppress(OSError):  # who has waited too long is gone
                    self.end_headers()
                    self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self._handler, self._port = Handler, 0
        self.open()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def open(self) -> None:
        """Serve, at the same port as before."""
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def reply(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.troubles:
            return self.troubles.pop(0), {"error": {"message": "in trouble"}}
        prompt = body["messages"][0]["content"]
        if prompt in self.broken:
            return 500, {"error": {"message": "broken"}}
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema", {})
        words = schema.get("properties", {}).get("word", {}).get("enum")
        if words and self.obeys:
            text = json.dumps({"word": words[0]})
        else:
            text = self.answers.get(prompt, "Certainly! It is a neutrophil.")
        choice = {
            "index": 0,
            "finish_reason": self.reasons.get(prompt, "stop"),
            "message": {"role": "assistant", "content": text},
        }
        usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        return 200, {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stub() -> Iterator[StubServer]:
    server = StubServer()
    yield server
    server.close()
