"""What a step takes, told before and while it is done; and a run that is killed, whenever that is."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest
import torch
from hemamodel.cli import app
from hemamodel.train.memory import peak
from safetensors.torch import load_file
from small import SMALL
from typer.testing import CliRunner

CELLS = (
    "data.train={classification: {raabin: 1}}",
    "tasks.classification.image.sizes=[64]",
    "batch_size=4",
    "epochs=2",
)
# Two tasks with dropout, and text beside images.
BOTH = (
    "data.train={vqa: {wbcatt-vqa: 1}, mlm: {leukemiaattri-mlm: 1}}",
    "data.held_out=[]",
    *(f"tasks.{task}.image.sizes=[64]" for task in ("vqa", "mlm")),
    "tasks.vqa.share=1",
    "batch_size=4",
    "epochs=3",
    "dropout=0.3",
)


def arguments(corpus: Path, out: Path, stage: int, changes: tuple[str, ...], *more: str) -> list[str]:
    given = [part for change in (*SMALL, *changes) for part in ("--set", change)]
    where = ["--preset", "tiny", "--corpus", str(corpus), "--out", str(out), "--device", "cpu"]
    return ["train", "--stage", str(stage), *where, "--workers", "0", *given, *more]


def test_peak_counts_what_is_alive_together() -> None:
    megabyte = torch.zeros(2**18)
    with peak(torch.device("cpu")) as found:
        weight = torch.nn.Parameter(megabyte)
        x = weight
        for _ in range(4):
            x = (x * 1.0).exp()  # each exponential is kept for the backward pass, the product is not
        x.sum().backward()
    assert 5 * 2**20 <= found.bytes <= 8 * 2**20
    with peak(torch.device("cpu")) as found:
        for _ in range(50):
            torch.zeros(2**18)
    assert found.bytes <= 2 * 2**20, "what is gone does not count"


def test_dry_run_tells_and_writes_nothing(phantom_corpus: Path, tmp_path: Path) -> None:
    def rehearsed(*more: str) -> dict[str, float]:
        done = CliRunner().invoke(
            app, arguments(phantom_corpus, tmp_path / "runs", 1, CELLS, "--dry-run", "--json", *more)
        )
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    whole = rehearsed()
    assert whole["bytes"] > 2 * whole["weights"] > 0 and whole["steps"] > 1 and whole["seconds"] > 0
    larger = rehearsed("--set", "tasks.classification.image.sizes=[64,128]")
    assert larger["bytes"] > 2 * whole["bytes"], "the largest size counts"
    parts = rehearsed("--accumulate", "4", "--set", "tasks.classification.image.sizes=[128]")["bytes"]
    assert parts < larger["bytes"] * 0.6
    shapes = rehearsed("--device", "meta", "--set", "tasks.classification.image.sizes=[128]")["bytes"]
    assert larger["bytes"] <= shapes <= 1.1 * larger["bytes"], "the same without the numbers, some kernels in pieces"
    again = rehearsed("--checkpointing", "--set", "tasks.classification.image.sizes=[128]")
    assert again["bytes"] < larger["bytes"]
    assert not (tmp_path / "runs").exists()


def test_profile_tells_phases_and_keeps_a_trace(phantom_corpus: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, arguments(phantom_corpus, tmp_path, 1, CELLS, "--profile", "--overfit", "16"))
    assert done.exit_code == 0, done.output
    for phase in ("data", "forward", "backward", "optimiser"):
        assert f"  {phase} " in done.stdout
    trace = json.loads((tmp_path / "stage1-tiny-001" / "profile" / "trace.json").read_text())
    assert {"forward", "backward"} <= {event["name"] for event in trace["traceEvents"] if "name" in event}


def test_tensorboard_reads_what_the_log_holds(phantom_corpus: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for stop in (("--stop-after", "3"), ()):
        done = CliRunner().invoke(app, arguments(phantom_corpus, tmp_path, 1, CELLS, "--overfit", "20", *stop))
        assert done.exit_code == 0, done.output
    board = EventAccumulator(str(tmp_path / "stage1-tiny-001" / "tensorboard")).Reload()
    lines = [json.loads(line) for line in (tmp_path / "stage1-tiny-001" / "log.jsonl").read_text().splitlines()]
    assert {"loss", "lr", "memory_gb", "samples_per_second"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("loss")] == [line["step"] for line in lines]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from hemadata.build import Options, build

    out = tmp_path_factory.mktemp("texts") / "corpus"
    assert not [r.error for r in build(["wbcatt-vqa", "leukemiaattri-mlm"], out, out, Options(phantom=10)) if r.error]
    return out


def test_killed_at_any_moment_it_ends_with_the_same_weights(texts: Path, tmp_path: Path) -> None:
    """kill -9 three times, two tasks, dropout, two workers: every tensor as in a run in one go."""

    def started(out: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "hemamodel.cli", *arguments(texts, tmp_path / out, 6, BOTH, "--workers", "2")]
        alike = os.environ | {"OMP_NUM_THREADS": "1"}  # another number of threads would round otherwise
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=alike,
                                start_new_session=True)  # fmt: skip

    run = tmp_path / "killed" / "stage6-tiny-001"
    for wanted in (1, 1, 2):  # checkpoints: one at the end of each epoch; the second time as soon as it starts
        process, deadline = started("killed"), time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline and _epochs(run) < wanted:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    for out in ("killed", "straight"):
        if out == "straight" or _epochs(run) < 3:  # it may have been quicker than the kill
            process = started(out)
            _, told = process.communicate(timeout=300)
            assert process.returncode == 0, told.decode()
    one, other = (load_file(tmp_path / out / "stage6-tiny-001" / "model.safetensors") for out in ("killed", "straight"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not list((tmp_path / "killed").glob("stage6-tiny-002"))


def test_throughput_tells_what_a_step_costs_and_of_what_it_is_made(phantom_corpus: Path) -> None:
    script = Path(__file__).parents[2] / "benchmarks" / "throughput.py"
    changes = [*SMALL, "tasks.detection.image.sizes=[64]", "tasks.detection.image.crop=0", "batch_size=2"]
    how = {"--preset": "tiny", "--device": "cpu", "--stage": "4", "--steps": "2", "--workers": "0"}
    call = [sys.executable, str(script), *chain.from_iterable(how.items()), "--corpus", str(phantom_corpus), "--json"]
    call += [word for each in changes for word in ("--set", each)]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["batch"] == {"detection": 2} and found["images_per_second"] > 0 and found["memory_gb"] > 0
    phases = found["phases_ms"]
    assert all(phases.values()) and phases["match"] < phases["forward"]
    assert sum(phases[name] for name in ("data", "forward", "backward", "optimiser")) < found["phases_step_ms"] + 1


def _epochs(run: Path) -> int:
    """Checkpoints that the run has reached, by the steps of its record."""
    try:
        about = json.loads((run / "run.json").read_text())
    except (OSError, ValueError):
        return 0
    return (
        3
        if about["status"] == "complete"
        else int(about["step"] // max(1, about["steps"] // 3))
        if about["steps"]
        else 0
    )
