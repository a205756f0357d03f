"""What the model learns from real smears: `python benchmarks/learn.py [--only ROW] [--raw DIR] [--json]`.

Tiny preset, from scratch, on the CPU. Each row prints its baselines, measured on the same images in the same run.
`--preset base --device cuda --set lr=2e-4 --set lr_backbone=2e-4 --only detection` asks the same of another model and
machine, to whose sizes the settings of the rows are not fitted.

* classification: eight classes of `acevedo`, stage 1; test part of the corpus.
* attributes: the eleven attributes of `wbcatt` by a linear probe on the features of that run.
* segmentation: nucleus and whole cell of `wbc-image-dataset` Dataset 1, stage 5; its test part, and Dataset 2.
* detection: sixteen fields of `bccd` learnt by heart, stage 4; then its training part, with AP50 of the test part as it
  goes.
* vqa: questions on `wbcatt`, stage 6 from stage 1, beside the same network blind; cells unlike any of training.
* by_heart: eight cells, one question, eight answers, stage 6 from stage 1; then with exchanged images, and blind.
* stages: all six chained for a few steps on phantoms, each stopped at the end of an epoch and gone on with.
* step: a step of each stage moves the tensors of its groups and no other, and reaches each of them.
* loader: see benchmarks/loader.py.
"""

import argparse
import importlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

# Two at a time, a thread each: so small a network gains little from a second one. Rows of a chain share runs.
CHAINS = (
    ("classification", "attributes", "vqa", "by_heart"),
    ("segmentation", "detection", "stages", "step", "loader"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sum(CHAINS, ()), action="append", help="a row; may be given several times")
    parser.add_argument("--raw", type=Path, default=Path(__file__).parents[2] / "shared" / "raw")
    parser.add_argument("--work", type=Path, help="folder for corpora and runs; default: a temporary one")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies epochs and questions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", choices=("tiny", "base"), default="tiny")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="key=value, of every run")
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="of each chain of rows")
    parser.add_argument("--workers", type=int, default=1, help="processes that load images, of each chain")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    wanted = [[name for name in chain if name in (args.only or chain)] for chain in CHAINS]
    wanted = [chain for chain in wanted if chain]
    start, found = time.monotonic(), {}
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(len(wanted), mp_context=get_context("spawn")) as pool,
    ):
        args.work = args.work or Path(folder)
        for rows in pool.map(partial(run, args=args), wanted):
            found |= rows
    print(json.dumps(found) if args.json else f"all in {(time.monotonic() - start) / 60:.1f} minutes")


def run(names: Sequence[str], args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Rows one after another."""
    import torch  # here: processes that build a corpus import this file and need neither
    from learning.common import Bench

    torch.set_num_threads(args.threads)
    bench = Bench(
        args.raw, args.work, args.workers, args.scale, args.seed, args.preset, args.device, tuple(args.changes)
    )
    found = {}
    for name in names:
        before = sum(os.times()[:4])  # of the processes that load images, too
        row = found[name] = importlib.import_module(f"learning.{name}").run(bench)
        row["cpu_minutes"] = round((sum(os.times()[:4]) - before) / 60, 2)
        if not args.json:
            meets = "meets what is asked" if row["meets"] else "DOES NOT MEET what is asked"
            print("\n".join([f"{name}: {meets}", *lines(row)]), flush=True)
    return found


def lines(row: dict[str, Any], indent: int = 2) -> list[str]:
    """A row as text."""
    found = []
    for key, value in row.items():
        if isinstance(value, dict):
            found += [f"{' ' * indent}{key}", *lines(value, indent + 2)]
        else:
            found.append(f"{' ' * indent}{key:36} {round(value, 4) if isinstance(value, float) else value}")
    return found


if __name__ == "__main__":
    main()
