"""What goes wrong in real runs: nothing is lost, nothing is doubled, and the counts add up."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hemasynth import prompt
from hemasynth.engines.base import Reply, Request
from hemasynth.engines.endpoint import EndpointEngine
from hemasynth.engines.template import TemplateEngine
from hemasynth.errors import EngineError, EngineMissingError, JournalError
from hemasynth.journal import Journal, read
from hemasynth.lexicon import load
from hemasynth.plan import Cell, plan
from hemasynth.run import Outcome, Run

LEXICON = load()


def teach(stub: Any, cells: list[Cell]) -> dict[str, list[str]]:
    """Have the stub know good answers to the first prompts; returns item ids by prompt."""
    writer = TemplateEngine()
    ids: dict[str, list[str]] = {}
    for item in plan(cells, LEXICON):
        text = prompt.render(item, LEXICON)
        stub.answers[text] = next(writer.generate([Request(item)])).text
        ids.setdefault(text, []).append(item.id)
    return ids


def endpoint(stub: Any, **options: Any) -> EndpointEngine:
    return EndpointEngine("m", stub.url, **{"slots": 8, "retries": 2, "timeout": 5, "patience": 30, **options})


def write(path: Path, engine: Any, cells: list[Cell]) -> Outcome:
    with Journal(path) as journal:
        return Run(engine).write(cells, journal)


def adds_up(path: Path, outcome: Outcome) -> None:
    entries, _ = read(path)
    accepted = [entry for entry in entries if entry.get("row")]
    assert len({entry["id"] for entry in accepted}) == len(accepted) == len(outcome.pairs)
    assert len({(entry["id"], entry["attempt"]) for entry in entries}) == len(entries)
    counts = outcome.run["counts"]
    assert counts["pairs"] + counts["refused"] == counts["planned"]
    assert sum(counts["origin"].values()) == sum(counts["question_type"].values()) == counts["pairs"]


@pytest.mark.parametrize(
    ("text", "reason", "gate"),
    [
        ("", "stop", "empty"),
        ('{"uses":[],"question":"What', "length", "truncated"),
        ('{"uses":[],"question":"What', "stop", "schema"),
        ('{"uses":[],"question":"¿Cuál es la forma del núcleo?","answer":"El núcleo es redondo."}', "stop", "language"),
        ('{"uses":[],"question":"Какова форма ядра?","answer":"Ядро круглое."}', "stop", "language"),
        ("null", "stop", "schema"),
    ],
)
def test_bad_answers_are_counted_and_replaced(
    tmp_path: Path, cells: list[Cell], stub: Any, text: str, reason: str, gate: str
) -> None:
    ids = teach(stub, cells)
    bad = set(sorted(ids)[::3])
    spoiled = sum(len(ids[text_in]) for text_in in bad)
    total = sum(map(len, ids.values()))
    good = stub.answers
    stub.answers = {text_in: (text if text_in in bad else answer) for text_in, answer in good.items()}
    stub.reasons = dict.fromkeys(bad, reason)
    outcome = write(tmp_path / "journal.jsonl", endpoint(stub), cells)
    adds_up(tmp_path / "journal.jsonl", outcome)
    assert outcome.refused == 0
    assert outcome.run["counts"]["refusals"][gate] >= spoiled
    assert outcome.run["counts"]["origin"] == {"model": total - spoiled, "template": spoiled}


def test_control_characters_inside_json_are_read(tmp_path: Path, cells: list[Cell], stub: Any) -> None:
    teach(stub, cells)
    stub.answers = {text: answer.replace("?", "\n?\x07", 1) for text, answer in stub.answers.items()}
    outcome = write(tmp_path / "journal.jsonl", endpoint(stub), cells)
    assert set(outcome.run["counts"]["origin"]) == {"model"}
    assert not any(ord(char) < 32 for row in outcome.pairs for char in row["question"])


def test_passing_trouble_leaves_no_trace(tmp_path: Path, cells: list[Cell], stub: Any) -> None:
    teach(stub, cells)
    straight = write(tmp_path / "a.jsonl", endpoint(stub), cells)
    engine = endpoint(stub, retries=8)
    engine.start()
    engine.start = lambda: None  # type: ignore[method-assign]
    stub.troubles = [429, 500, 503, 502, 429] * 6
    assert write(tmp_path / "b.jsonl", engine, cells) == straight
    adds_up(tmp_path / "b.jsonl", straight)


def test_one_request_that_always_fails_ends_as_template(tmp_path: Path, cells: list[Cell], stub: Any) -> None:
    ids = teach(stub, cells)
    bad = next(text for text in sorted(ids) if len(ids[text]) == 1)
    stub.broken = {bad}
    outcome = write(tmp_path / "journal.jsonl", endpoint(stub, retries=0), cells)
    adds_up(tmp_path / "journal.jsonl", outcome)
    assert outcome.run["counts"]["refusals"]["failed"] == 3
    assert [row["question_id"] for row in outcome.pairs if row["origin"] == "template"] == ids[bad]


def test_server_that_fails_everything_is_an_error_and_leaves_nothing_refused(
    tmp_path: Path, cells: list[Cell], stub: Any
) -> None:
    ids = teach(stub, cells)
    engine = endpoint(stub, retries=0)
    engine.start()
    engine.start = lambda: None  # type: ignore[method-assign]
    stub.troubles = [500] * 10 * len(ids)
    with pytest.raises(EngineError, match=r"failed \d+ requests in a row: .*in trouble"):
        write(tmp_path / "journal.jsonl", engine, cells)
    assert read(tmp_path / "journal.jsonl")[0] == []
    stub.troubles = []
    assert set(write(tmp_path / "journal.jsonl", endpoint(stub), cells).run["counts"]["origin"]) == {"model"}


def test_time_out_is_tried_again(tmp_path: Path, cells: list[Cell], stub: Any) -> None:
    teach(stub, cells[:6])
    engine = endpoint(stub, timeout=0.5, retries=3)
    engine.start()
    stub.delays = [1.0, 1.0]
    outcome = write(tmp_path / "journal.jsonl", engine, cells[:6])
    assert set(outcome.run["counts"]["origin"]) == {"model"}


def test_server_killed_and_started_again_is_waited_for(tmp_path: Path, cells: list[Cell], stub: Any) -> None:
    teach(stub, cells)
    straight = write(tmp_path / "a.jsonl", endpoint(stub), cells)
    engine = endpoint(stub, retries=0)
    engine.start()
    down = threading.Event()

    def outage() -> None:
        while len(stub.requests) < 40 + before:
            time.sleep(0.005)
        stub.close()
        down.set()
        time.sleep(1.5)
        stub.open()

    before = len(stub.requests)
    thread = threading.Thread(target=outage)
    thread.start()
    try:
        outcome = write(tmp_path / "b.jsonl", engine, cells)
    finally:
        thread.join()
    assert down.is_set()
    assert outcome == straight
    adds_up(tmp_path / "b.jsonl", outcome)


def test_server_that_stays_away_keeps_what_it_answered(tmp_path: Path, cells: list[Cell], stub: Any) -> None:
    ids = teach(stub, cells)
    engine = endpoint(stub, retries=0, patience=0.5)
    engine.start()
    engine.start = lambda: None  # type: ignore[method-assign]
    answered = 25
    stub.lives = answered
    with pytest.raises(EngineMissingError, match="Nothing answers"):
        write(tmp_path / "journal.jsonl", engine, cells)
    kept = len(read(tmp_path / "journal.jsonl")[0])
    assert kept == answered
    stub.lives = None
    asked = len(stub.requests)
    outcome = write(tmp_path / "journal.jsonl", endpoint(stub), cells)
    adds_up(tmp_path / "journal.jsonl", outcome)
    assert (
        len(stub.requests) - asked == sum(map(len, ids.values())) - kept + 1
    )  # and the canary: nothing is asked twice


class Full:
    """A file on a disk that takes half of a batch, and then no more."""

    def __init__(self, file: Any) -> None:
        self.file, self.room = file, 9_000

    def write(self, data: memoryview) -> int:
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        taken: int = self.file.write(data[: self.room])
        self.room -= taken
        return taken

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_full_disk_is_an_error_and_the_next_run_goes_on(tmp_path: Path, cells: list[Cell], scripted: Any) -> None:
    path = tmp_path / "journal.jsonl"
    straight = write(tmp_path / "straight.jsonl", TemplateEngine(), cells)
    with Journal(path) as journal:
        good = journal._file
        assert good is not None
        journal._file = Full(good)  # type: ignore[assignment]
        with pytest.raises(JournalError, match="No space left"):
            Run(TemplateEngine()).write(cells, journal)
        journal._file = good
    assert write(path, TemplateEngine(), cells) == straight
    adds_up(path, straight)


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from conftest import LYMPHOCYTE, NEUTROPHIL
from hemadata.formats import pairs
from hemasynth import ladder, run
from hemasynth.engines.template import TemplateEngine
from hemasynth.journal import Journal
from hemasynth.plan import Cell

ladder.BATCH = 8
cells = [Cell(f"wbcatt/C_{{n:03d}}", f"C_{{n:03d}}.jpg", (NEUTROPHIL, LYMPHOCYTE)[n % 2], "train") for n in range(150)]
folder = Path(sys.argv[1])
with Journal(folder / "journal.jsonl") as journal:
    print("ready", flush=True)
    outcome = run.Run(TemplateEngine()).write(cells, journal)
    pairs.write(folder / "tree", outcome.run, outcome.pairs)
"""


def test_killed_anywhere_the_journal_gives_the_same_bytes(tmp_path: Path) -> None:
    script = SCRIPT.format(tests=str(Path(__file__).parent))

    def start(folder: Path) -> subprocess.Popen[str]:
        folder.mkdir(exist_ok=True)
        process = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    assert start(tmp_path / "straight").wait() == 0
    draw = random.Random(0)
    seen = 0
    for _ in range(4):
        process = start(tmp_path / "killed")
        grown = tmp_path / "killed" / "journal.jsonl"
        until = seen + draw.randrange(1, 20_000)
        while process.poll() is None and grown.stat().st_size < until:
            time.sleep(0.0005)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert grown.stat().st_size >= seen  # what was on the disk stays
        seen = grown.stat().st_size
    assert start(tmp_path / "killed").wait() == 0
    entries = read(tmp_path / "killed" / "journal.jsonl")[0]
    assert max(Counter(entry["id"] for entry in entries).values()) == 1  # nothing was asked twice
    for name in ("run.json", "pairs.parquet"):
        assert (tmp_path / "killed" / "tree" / name).read_bytes() == (
            tmp_path / "straight" / "tree" / name
        ).read_bytes()


def test_parts_of_several_processes_give_the_bytes_of_one(tmp_path: Path, cells: list[Cell], scripted: Any) -> None:
    def script(request: Request) -> Reply:
        spoil = int(request.item.id[2:5]) % 3 == 0 and request.attempt == 0
        return Reply(request, "{}") if spoil else next(TemplateEngine().generate([request]))

    straight = write(tmp_path / "one" / "journal.jsonl", scripted(script), cells)
    for k in (1, 2, 3):
        with Journal(tmp_path / "many" / f"journal.{k}-of-3.jsonl") as journal:
            part = Run(scripted(script)).write(cells, journal, shard=(k, 3))
            assert 0 < len(part.pairs) < len(straight.pairs)
    engine = scripted(script)
    with Journal(tmp_path / "many" / "journal.jsonl") as journal:
        assert journal.adopt() == len(read(tmp_path / "one" / "journal.jsonl")[0])
        assert journal.adopt() == 0
        assert Run(engine).write(cells, journal) == straight
    assert engine.seen == []
    with (
        Journal(tmp_path / "many" / "journal.2-of-3.jsonl"),
        Journal(tmp_path / "many" / "journal.jsonl") as journal,
        pytest.raises(JournalError, match="Another hemasynth is writing"),
    ):
        journal.adopt()


def test_replay_gives_the_same_pairs_from_the_journal_alone(tmp_path: Path, cells: list[Cell], scripted: Any) -> None:
    from hemasynth.engines.replay import ReplayEngine

    def script(request: Request) -> Reply:
        number = int(request.item.id[2:5])
        if number % 5 == 0 or (number % 3 == 0 and request.attempt == 0):
            return Reply(request, json.dumps({"uses": [], "question": "What is this?", "answer": "It is anaemia."}))
        return Reply(request, next(TemplateEngine().generate([request])).text, model="org/model")

    first = write(tmp_path / "a.jsonl", scripted(script), cells)
    second = write(tmp_path / "b.jsonl", ReplayEngine(tmp_path / "a.jsonl"), cells)
    assert second.pairs == first.pairs
    assert second.run["counts"] == first.run["counts"]
    assert {row["origin"] for row in second.pairs} == {"model", "model_repaired", "template"}
    with pytest.raises(EngineMissingError, match="no journal"):
        ReplayEngine(tmp_path / "nowhere.jsonl").start()
