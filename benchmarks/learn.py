"""What the model learns from real smears: `python benchmarks/learn.py [--only ROW] [--raw DIR] [--json]`.

Tiny preset, from scratch, on the CPU. Each row prints its baselines, measured on the same images in the same run.

* classification: eight classes of `acevedo`, stage 1; test part of the corpus.
* attributes: the eleven attributes of `wbcatt` by a linear probe on the features of that run.
* segmentation: nucleus and whole cell of `wbc-image-dataset` Dataset 1, stage 5; its test part, and Dataset 2.
* detection: sixteen fields of `bccd` learnt by heart, stage 4; then its training part, with AP50 of the test part as it
  goes.
* vqa: questions on `wbcatt`, stage 6 from stage 1, beside the same network blind; cells unlike any of training.
* by_heart: eight cells, one question, eight answers, stage 6; then with exchanged images, and blind.
* stages: all six chained for a few steps on phantoms, each stopped at the end of an epoch and gone on with.
* step: a step of each stage moves the tensors of its groups and no other, and reaches each of them.
* loader: see benchmarks/loader.py.
"""

import argparse
import importlib
import json
import os
import tempfile
from pathlib import Path

import torch
from learning.common import Bench, Clock

ROWS = (
    "classification",
    "attributes",
    "segmentation",
    "detection",
    "vqa",
    "by_heart",
    "stages",
    "step",
    "loader",
)


def show(name: str, row: dict[str, object], indent: int = 0) -> None:
    """Print a row."""
    if not indent:
        print(f"{name}: {'meets what is asked' if row['meets'] else 'DOES NOT MEET what is asked'}", flush=True)
    for key, value in row.items():
        if isinstance(value, dict):
            print(f"{' ' * (indent + 2)}{key}")
            show(key, value, indent + 2)
        else:
            print(f"{' ' * (indent + 2)}{key:36} {round(value, 4) if isinstance(value, float) else value}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=ROWS, action="append", help="a row; may be given several times")
    parser.add_argument("--raw", type=Path, default=Path(__file__).parents[2] / "shared" / "raw")
    parser.add_argument("--work", type=Path, help="folder for corpora and runs; default: a temporary one")
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the epochs, to try it quickly")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=1, help="processes that load images")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found, clock = {}, Clock()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.raw, args.work or Path(folder), args.workers, args.scale, args.seed)
        for name in args.only or ROWS:
            before = sum(os.times()[:4])  # of the processes that load images, too
            found[name] = importlib.import_module(f"learning.{name}").run(bench)
            found[name]["cpu_minutes"] = round((sum(os.times()[:4]) - before) / 60, 2)
            if not args.json:
                show(name, found[name])
    if args.json:
        print(json.dumps(found))
    else:
        print(f"all in {clock.minutes} minutes")


if __name__ == "__main__":
    main()
