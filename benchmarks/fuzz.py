"""Hostile input, at random: `nice python benchmarks/fuzz.py --seconds 3600 --seed 1 [--only TARGET] [--input N]`.

Every input is a function of (seed, target, number): one that failed is made again with `--only TARGET --input N`.
Targets take turns in child processes with a bound on address space and on the time of one input. A finding is any error
that is not hemadata's own, a write outside the output folder, a corpus that breaks its contract, a crash or a hang.
Exit code 1 where there are findings; `--record FILE` writes the table.
"""

import argparse
import collections
import datetime
import json
import multiprocessing
import os
import random
import sys
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from fuzzing.guard import WAITING, Box, bound_memory, bounded_time, hook
from fuzzing.seeds import Seeds
from fuzzing.targets import TARGETS

ROUND = 20.0  # seconds that a target has before the next one's turn


def once(target: str, seed: int, number: int, made: Seeds, box: Box) -> str:
    """Make and read one input; returns what became of it."""
    box.clean()
    with bounded_time():
        return TARGETS[target](random.Random(f"{seed}/{target}/{number}"), made, box)


def work(
    target: str, seed: int, numbers: range, until: float, folder: Path, real: Path | None, told: Connection
) -> None:
    """Inputs in a bounded child; tells (number, outcome, traceback) of each, and its number before."""
    import pandas  # noqa: F401 - Arrow imports it on the way, in the time of one input

    hook()
    made, box = Seeds(folder / "seeds", real), Box(folder / f"box-{target}")
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115 - Pillow and Arrow warn on it
    bound_memory()
    for number in numbers:
        if time.monotonic() > until:
            return
        told.send((number, None, ""))
        try:
            told.send((number, once(target, seed, number, made, box), ""))
        except BaseException:
            told.send((number, "FINDING", traceback.format_exc(limit=-8)))


def turn(
    target: str, seed: int, numbers: range, seconds: float, folder: Path, real: Path | None
) -> tuple[int, collections.Counter[str], list[tuple[int, str]]]:
    """One child's turn: the next number, outcomes, findings."""
    here, there = multiprocessing.Pipe(duplex=False)
    spawn = multiprocessing.get_context("spawn")
    words = (target, seed, numbers, time.monotonic() + seconds, folder, real, there)
    child = spawn.Process(target=work, args=words, daemon=True)
    child.start()
    there.close()
    number, outcomes, findings = numbers.start, collections.Counter[str](), list[tuple[int, str]]()
    pending: int | None = None
    while True:
        try:
            if not here.poll(2 * WAITING):
                findings.append((number, "hangs where no signal reaches it"))
                child.kill()
                return number + 1, outcomes, findings
            number, outcome, trace = here.recv()
        except EOFError:
            break
        pending = number if outcome is None else None
        if outcome is not None:
            outcomes[outcome] += 1
            if trace:
                findings.append((number, trace))
    child.join()
    if child.exitcode and pending is not None:
        findings.append((pending, f"the process ended with {child.exitcode}"))
    return number + 1, outcomes, findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, help="of each target, however long they take; then it ends")
    parser.add_argument("--only", action="append", choices=sorted(TARGETS))
    parser.add_argument("--input", type=int, help="only this one, with its traceback")
    parser.add_argument("--raw", type=Path, help="real raw data, for more seeds")
    parser.add_argument("--log", type=Path, help="findings, one JSON a line, as they come")
    parser.add_argument("--record", type=Path, help="write the table as Markdown")
    words = parser.parse_args()
    names = words.only or list(TARGETS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if words.input is not None:
            hook()
            print(once(names[0], words.seed, words.input, Seeds(folder / "seeds", words.raw), Box(folder / "box")))
            return
        seconds = float("inf") if words.inputs else words.seconds
        begun, until = time.monotonic(), time.monotonic() + seconds
        following = dict.fromkeys(names, 0)
        outcomes = {name: collections.Counter[str]() for name in names}
        findings: list[tuple[str, int, str]] = []
        while time.monotonic() < until and not all(following[name] >= (words.inputs or sys.maxsize) for name in names):
            for name in names:
                left = until - time.monotonic()
                if left <= 0 or following[name] >= (words.inputs or sys.maxsize):
                    continue
                share = min(ROUND, max(seconds / len(names), 5.0), left)
                numbers = range(following[name], words.inputs or sys.maxsize)
                following[name], counted, found = turn(name, words.seed, numbers, share, folder, words.raw)
                outcomes[name].update(counted)
                findings += [(name, number, trace) for number, trace in found]
                if words.log:
                    with words.log.open("a") as log:
                        log.writelines(
                            json.dumps({"target": name, "input": number, "trace": trace}) + "\n"
                            for number, trace in found
                        )
        table = report(outcomes, findings, words.seed, time.monotonic() - begun)
    print(table)
    if words.record:
        words.record.write_text(table)
    raise SystemExit(1 if findings else 0)


def report(
    outcomes: dict[str, collections.Counter[str]], findings: list[tuple[str, int, str]], seed: int, seconds: float
) -> str:
    """The record, as Markdown."""
    wrong = collections.Counter(name for name, _, _ in findings)
    total = sum(sum(counted.values()) for counted in outcomes.values())
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, seed {seed}: {seconds:,.0f} s, {total:,} inputs, "
        f"{len(findings)} findings.",
        "",
        "| target | inputs | read | in quarantine | refused | findings |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, counted in outcomes.items():
        numbers = [sum(counted.values()), *(counted[word] for word in ("read", "quarantined", "refused")), wrong[name]]
        lines.append(f"| {name} | {' | '.join(f'{number:,}' for number in numbers)} |")
    for name, number, trace in findings[:50]:
        lines += ["", f"`--only {name} --input {number}`", "", "```", trace.rstrip()[-1500:], "```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
