"""Killed at random moments, then run again: `python benchmarks/crash.py [--moments 50] [--seed 1] [--raw DIR]`.

A corpus of real sources (where `--raw` has them) and phantoms is made step by step: builds with one or two processes,
each beside the ones before, one of an anchor that moves rows of its family, one that unpacks an archive; then
`duplicates` and `split`. Each moment starts one step from the corpus before it, kills the whole process group with
SIGKILL after a random part of the time that the step takes, up to three times over, lets it run to its end once, and
compares every file with the corpus that nobody disturbed. Exit code 1 where one differs. `--record FILE` writes the
table.
"""

import argparse
import collections
import datetime
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hemadata
from hemadata.audit import duplicates, leakage, splitting
from hemadata.build import Options, build, plan, replace
from hemadata.formats import spool

UNIT_IMAGES = 8  # small units, so that a small set has many of them
REAL = ("bccd", "wbc-image-dataset", "white-blood-cell-dataset")
PHANTOM = ("acevedo", "raabin", "wbcatt", "bloodmnist")  # wbcatt is the anchor of acevedo's family


@dataclass(frozen=True)
class Step:
    """One command; `done` makes it on a corpus."""

    name: str
    done: Callable[[Path], object]


def steps(raw: Path | None, images: int, jobs: int) -> list[Step]:
    """The commands that make the corpus, in order.

    Args:
        raw: real raw data; None: phantoms alone.
        images: of each phantom.
        jobs: processes of a build of real data; phantoms are built in one.
    """

    def built(name: str, options: Options) -> Step:
        def done(out: Path) -> None:
            (result,) = build([name], raw or Path("nowhere"), out, options)
            assert result.error is None, result.error

        return Step(f"build {name}", done)

    real = [built(name, Options(jobs=jobs)) for name in REAL if raw and (raw / name).is_dir()]
    drawn = [built(name, Options(phantom=images)) for name in PHANTOM]
    return [*real[:1], *drawn, *real[1:], Step("duplicates", search), Step("split", splitting.split)]


def search(out: Path) -> None:
    """What `hemadata duplicates` does."""
    replace.settle(out)
    with hemadata.open(out) as corpus:
        found = duplicates.find(corpus)
    leakage.keep(out, found)


def everything(corpus: Path) -> dict[str, bytes]:
    """Every file of a corpus but its locks, folders too."""
    found = {}
    for path in sorted(corpus.rglob("*")):
        if path.suffix != ".lock":
            found[path.relative_to(corpus).as_posix()] = path.read_bytes() if path.is_file() else b"folder"
    return found


def begin(step: Step, out: Path) -> int:
    """Start a step as the head of a process group of its own; returns its number."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        sys.stdout.flush()
        step.done(out)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def finish(step: Step, out: Path) -> float:
    """Let a step run to its end; returns how long it took, in seconds."""
    begun = time.monotonic()
    _, status = os.waitpid(begin(step, out), 0)
    if status:
        raise SystemExit(f"{step.name} failed on {out}")
    return time.monotonic() - begun


def kill(step: Step, out: Path, after: float) -> bool:
    """Start a step and kill its whole group; False where it had ended before."""
    pid = begin(step, out)
    time.sleep(after)
    ended, _ = os.waitpid(pid, os.WNOHANG)
    # The workers are of the same group; the head may be done with while they are not.
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:  # it has not even come to its own group, or is gone
        if not ended:
            os.kill(pid, signal.SIGKILL)
    if not ended:
        os.waitpid(pid, 0)
    return not ended


@dataclass
class Moments:
    """What became of all moments."""

    kills: collections.Counter[str]
    wrong: list[str]


def run(todo: list[Step], moments: int, seed: int, folder: Path) -> Moments:
    """Make the corpus undisturbed, then go through the moments.

    Args:
        todo: the steps.
        moments: how many; the steps take turns.
        seed: of the moments.
        folder: an empty one.
    """
    plan.UNIT_IMAGES = UNIT_IMAGES
    spool.WORTH_TELLING = 1 << 40
    chance, result = random.Random(seed), Moments(collections.Counter(), [])
    taken = []
    for number, step in enumerate(todo):
        before, after = folder / f"{number}", folder / f"{number + 1}"
        if before.exists():
            shutil.copytree(before, after)
        taken.append(finish(step, after))
    wanted = {number: everything(folder / f"{number}") for number in range(1, len(todo) + 1)}
    out = folder / "disturbed"
    for moment in range(moments):
        number = moment % len(todo)
        step = todo[number]
        shutil.rmtree(out, ignore_errors=True)
        if (folder / f"{number}").exists():
            shutil.copytree(folder / f"{number}", out)
        for _ in range(chance.choice((1, 1, 2, 3))):
            result.kills[step.name] += kill(step, out, chance.uniform(0, taken[number]))
        finish(step, out)
        found = everything(out)
        if found != wanted[number + 1]:
            right = wanted[number + 1]
            names = {name for name in found.keys() | right if found.get(name) != right.get(name)}
            result.wrong.append(f"moment {moment}, {step.name}: {', '.join(sorted(names)[:8])}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--images", type=int, default=64, help="of each phantom")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--raw", type=Path, help="real raw data")
    parser.add_argument("--record", type=Path, help="write the table as Markdown")
    words = parser.parse_args()
    todo = steps(words.raw, words.images, words.jobs)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        result = run(todo, words.moments, words.seed, Path(folder))
    killed = sum(result.kills.values())
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, seed {words.seed}: {words.moments} moments, {killed} times "
        f"killed, {len(result.wrong)} corpora that differ; {time.monotonic() - begun:,.0f} s.",
        "",
        "| step | killed |",
        "|---|---:|",
        *(f"| {step.name} | {result.kills[step.name]} |" for step in todo),
        *([""] + [f"* {line}" for line in result.wrong] if result.wrong else []),
    ]
    table = "\n".join(lines) + "\n"
    print(table)
    if words.record:
        words.record.write_text(table)
    raise SystemExit(1 if result.wrong else 0)


if __name__ == "__main__":
    main()
