"""`train --profile`: where the time of a step goes."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, schedule

PHASES = ("data", "forward", "match", "backward", "optimiser")
WAIT, WARMUP, ACTIVE = 1, 2, 5  # steps
SHOWN = 10  # operations

After = Callable[[int, int, Mapping[str, float]], None]


@contextmanager
def profiled(folder: Path, device: torch.device, say: Callable[[str], None], progress: After | None) -> Iterator[After]:
    """Watch steps 4 to 8: a table is told, `trace.json` in the folder is for Perfetto or chrome://tracing.

    Yields:
        What is to be called after each step.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "5")  # it tells on standard error that there is no GPU
    folder.mkdir(parents=True, exist_ok=True)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]

    def ready(done: Any) -> None:
        done.export_chrome_trace(str(folder / "trace.json"))
        for line in table(done.key_averages()):
            say(line)
        say(f"Steps {WAIT + WARMUP + 1} to {WAIT + WARMUP + ACTIVE} in full: {folder / 'trace.json'}")

    plan = schedule(wait=WAIT, warmup=WARMUP, active=ACTIVE, repeat=1)
    with profile(activities=activities, schedule=plan, on_trace_ready=ready) as running:

        def after(step: int, steps: int, numbers: Mapping[str, float]) -> None:
            running.step()
            if progress:
                progress(step, steps, numbers)

        yield after


def table(averages: Any) -> Iterator[str]:
    """Milliseconds of a step by phase, as the host sees them, and the operations that take longest."""
    of = {each.key: each for each in averages}
    yield "Phase of a step           ms   (match is a part of forward)"
    for name in PHASES:
        if name in of:
            yield f"  {name:16} {of[name].cpu_time_total / 1e3 / ACTIVE:>10,.1f}"

    def own(each: Any) -> float:
        return float(max(each.self_device_time_total, each.self_cpu_time_total))

    rest = [each for key, each in of.items() if key not in PHASES and not key.startswith("ProfilerStep")]
    yield f"{'Operation':44} {'ms a step':>10} {'calls':>8}"
    for each in sorted(rest, key=own, reverse=True)[:SHOWN]:
        yield f"  {each.key[:42]:42} {own(each) / 1e3 / ACTIVE:>10,.1f} {each.count / ACTIVE:>8,.0f}"
