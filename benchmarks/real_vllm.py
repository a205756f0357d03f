"""What `real_vllm.sh` does once its environment stands: `python benchmarks/real_vllm.py FOLDER`."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
AMOUNT = {"vqa": ("--limit", "16"), "mlm": ("--sentences", "12")}  # cells; sentences
SOURCES = {"vqa": ("wbcatt", "wbcatt-vqa"), "mlm": ("leukemiaattri", "leukemiaattri-mlm")}
SERVER = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
WITHOUT = """
import runpy, sys
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
ChatCompletionRequest.extract_structured_outputs = lambda self: None  # what a server without structured outputs does
sys.argv[0] = "api_server"
runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")
"""
NOT_JSON = {"schema", "truncated", "empty", "failed"}
EAGER = json.dumps({"enforce_eager": True})  # no compilation: it costs more than it saves on a model this small
failures: list[str] = []


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


def expect(holds: bool, what: str) -> None:
    say(("ok      " if holds else "FAILED  ") + what)
    if not holds:
        failures.append(what)


def hemasynth(*words: str, code: int = 0) -> str:
    command = [sys.executable, "-c", "from hemasynth.cli import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    if done.returncode != code:
        raise SystemExit(f"hemasynth {' '.join(words)}: exit {done.returncode}, expected {code}\n{done.stderr[-4000:]}")
    return done.stdout + done.stderr


def write(task: str, work: Path, name: str, *options: str) -> Path:
    """Run a task into a folder of its own and return the folder of its set."""
    hemasynth(*words(task, work, name), *AMOUNT[task], "--json", *options)
    return work / name / SOURCES[task][1]


def words(task: str, work: Path, name: str) -> list[str]:
    """Return a task with what it reads and where it writes: tables of labels, or a corpus."""
    if task == "vqa":
        return [task, "--labels", str(work / "raw" / "wbcatt"), "--out", str(work / name)]
    return [task, "--corpus", str(work / "corpus"), "--raw", str(work / "raw"), "--out", str(work / name)]


def judge(task: str, engine: str, first: Path, second: Path) -> None:
    """Tell whether all replies were JSON, and whether the second run wrote the bytes of the first."""
    lines = (first / ".hemasynth" / "journal.jsonl").read_text().splitlines()
    entries: list[dict[str, Any]] = [json.loads(line)["entry"] for line in lines]
    asked = [entry for entry in entries if entry.get("tokens_out")]
    broken = [entry for entry in asked if NOT_JSON & set(entry.get("gates", ()))]
    expect(bool(asked) and not broken, f"{task} {engine}: {len(asked) - len(broken)} of {len(asked)} replies are JSON")
    files = [
        {file.name: file.read_bytes() for file in sorted((each / "hemasynth").iterdir())} for each in (first, second)
    ]
    expect(files[0] == files[1], f"{task} {engine}: same seed, same bytes in {', '.join(files[0])}")
    run = json.loads(files[0]["run.json"])
    say(f"        pairs by origin {run['counts']['origin']}, refusals {run['counts']['refusals']}")
    sessions = first / ".hemasynth" / "sessions.jsonl"
    if not sessions.is_file():
        return
    last = json.loads(sessions.read_text().splitlines()[-1])
    rate = last["tokens_out"] / max(last["engine_seconds"], 1e-9)
    say(
        f"        {last['replies']} replies, {last['tokens_in']:,} tokens in ({last['tokens_cached']:,} cached), "
        f"{last['tokens_out']:,} out, {rate:,.0f} tokens/s"
    )
    expect(
        last["tokens_cached"] > 0.5 * last["tokens_in"], f"{task} {engine}: the fixed part comes from the prefix cache"
    )


@contextmanager
def server(work: Path, model: Path, launcher: list[str], name: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--model", str(model), "--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port)]
    options += ["--max-model-len", "2048", "--dtype", "bfloat16", "--enforce-eager", "--enable-prompt-tokens-details"]
    options += ["--structured-outputs-config", '{"backend":"xgrammar","disable_any_whitespace":true}']
    log = work / f"{name}.log"
    began = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [*launcher, *options], stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        while True:
            if process.poll() is not None or time.monotonic() - began > 600:
                raise SystemExit(f"the server did not come up; the end of {log}:\n{log.read_text()[-3000:]}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                time.sleep(1)
        say(f"server {name} is up after {time.monotonic() - began:.0f} s")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, 15)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)


def tasks() -> list[str]:
    told = hemasynth("--help")
    return [task for task in SOURCES if re.search(rf"^\s+{task}\s", told, re.MULTILINE)]


def main() -> None:
    work = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no server outlives the script
    model = work / "tiny-mistral"
    for folder in work.glob("*") if work.is_dir() else ():
        if folder != model:
            shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
    work.mkdir(parents=True, exist_ok=True)
    from hemadata import sources
    from hemadata.build import build

    found = tasks()
    for task in found:
        sources.get(SOURCES[task][0]).draw(work / "raw", 24, 0)
    if "mlm" in found:
        build(["leukemiaattri"], work / "raw", work / "corpus")
    if not (model / "model.safetensors").is_file():
        subprocess.run([sys.executable, str(HERE / "tiny_mistral.py"), str(model)], check=True)
    say(f"tiny Mistral in {model}; tasks: {', '.join(found)}")
    named = ("--engine", "vllm", "--model", str(model), "--engine-args", EAGER)
    for task in found:
        judge(task, "offline", write(task, work, "offline", *named), write(task, work, "offline-again", *named))
    with server(work, model, SERVER, "server") as url:
        served = ("--engine", "endpoint", "--model", "tiny", "--base-url", url)
        for task in found:
            judge(task, "endpoint", write(task, work, "served", *served), write(task, work, "served-again", *served))
        state = json.loads(hemasynth("doctor", "--base-url", url, "--model", "tiny", "--json").splitlines()[0])
        expect(any(each["name"] == "server" and each["state"] == "ok" for each in state), "the canary passes")
    with server(work, model, [sys.executable, "-c", WITHOUT], "server-without") as url:
        for task in found:
            told = hemasynth(
                *words(task, work, "refused"), "--engine", "endpoint", "--model", "tiny", "--base-url", url, code=1
            )
            expect("ignores response_format" in told, f"{task}: the canary fails where structured outputs are off")
            expect(not (work / "refused" / SOURCES[task][1] / "hemasynth").exists(), f"{task}: and nothing is written")
    say(f"{len(failures)} of the checks failed" if failures else "all holds")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
