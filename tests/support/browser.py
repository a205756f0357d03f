"""A real browser for tests: a Chromium, spoken to through a pipe, so that nothing else is installed.

`HEMA_CHROMIUM` names one, else one on the PATH is taken; the test is skipped where there is none.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome")
READY = "document.documentElement?.dataset.ready === 'yes'"


class Browser:
    """The least of the DevTools protocol: JSON messages over two pipes, each ended by a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        to_child, self._send = os.pipe()
        self._receive, from_child = os.pipe()
        arguments = [program, "--headless", "--no-sandbox", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        arguments += ["--no-first-run", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
        script = f'exec 3<&{to_child} 4>&{from_child}; exec "$@"'  # the browser wants these two numbers
        self._process = subprocess.Popen(
            ["bash", "-c", script, "bash", *arguments], pass_fds=(to_child, from_child), stderr=subprocess.DEVNULL
        )
        os.close(to_child)
        os.close(from_child)
        self._number, self._rest, self._session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method and wait for its answer; events that come before it are kept."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            block = os.read(self._receive, 1 << 16)
            if not block:
                raise EOFError("the browser is gone")
            self._rest += block
        text, _, self._rest = self._rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def value(self, expression: str) -> Any:
        """What an expression gives on the page; a promise is awaited."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def open(self, path: Path) -> None:
        """Open a file and wait until its script has drawn the gallery."""
        self.call("Page.navigate", url=path.as_uri())
        self.value(
            f"new Promise(done => {{ const wait = () => location.protocol === 'file:' && {READY} ? done() : "
            "setTimeout(wait, 20); wait(); })"
        )

    def until(self, expression: str, seconds: float = 120) -> Any:
        """Wait until an expression gives something true; its value."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.value(expression):
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} s: {expression}")

    def choose_file(self, selector: str, path: Path) -> None:
        """Put a file into an input of the page."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def key(self, name: str, code: int, text: str = "") -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if text and kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **typed)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._send)
        os.close(self._receive)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    program = os.environ.get("HEMA_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not program:
        pytest.skip("no Chromium on the PATH; set HEMA_CHROMIUM to one")
    try:
        started = Browser(program, tmp_path / "profile")
    except (EOFError, BrokenPipeError):
        pytest.skip(f"{program} does not start here")
    yield started
    started.close()
