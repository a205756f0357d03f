"""What a step of every stage costs on this machine: `python benchmarks/throughput.py [--preset tiny] [--device cuda]`.

The batch of table 5, pictures of phantoms at the sizes of the stage, random weights, the vocabulary of FLAN-T5; in bf16
on a GPU, in float32 on the CPU. Prints Markdown, for `benchmarks/results/`:

* images a second over some steps, loading included;
* most memory that tensors held in a step: as the allocator of the GPU counts, or each operation of the CPU;
* milliseconds of a step by phase. A GPU is waited for at both ends of a phase, so that these are other, slower steps.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hemadata
import torch
from hemadata.build import Options, build
from hemamodel.data.tasks import stage_datasets
from hemamodel.device import device_of
from hemamodel.errors import HemaError
from hemamodel.stages import STAGES, load
from hemamodel.train import loop
from hemamodel.train import step as step_module
from hemamodel.train.loop import Length, Machine, Trainer, check_parts
from hemamodel.train.memory import peak
from hemamodel.train.parallel import World
from hemamodel.train.profile import PHASES
from hemamodel.train.start import Call, model_of, settings_of
from hemamodel.train.words import tokenizer_of
from memory import READ, VOCABULARY

WARM = 2  # steps: caches of kernels and of the allocator


def row(corpus: Path, stage: int, args: argparse.Namespace) -> dict[str, Any]:
    """Warm up, then steps as they are, then steps whose phases are timed."""
    device = device_of(args.device)
    gc.collect()  # what the stage before held
    sources = {task: {READ[task]: 1} for task in load(stage).tasks}
    call = Call(
        stage,
        corpus,
        preset=args.preset,
        assignments=(f"data.train={json.dumps(sources)}", "data.held_out=[]", *args.changes),
        precision=args.precision,
    )
    with hemadata.open(corpus) as opened:
        settings = settings_of(call, opened, None, device)
        datasets = stage_datasets(opened, settings.stage)
        machine = Machine(device, World(), args.workers, args.accumulate, args.checkpointing)
        check_parts(settings.stage, datasets, machine)
        model = model_of(settings, None, VOCABULARY, lambda line: None)
        last = WARM + 2 * args.steps
        trainer = Trainer(settings, model, tokenizer_of(settings, None, opened), Length(last, last), machine)
        batches = {task: trainer.batches(task, each, 0, last) for task, each in datasets.items()}

        def steps(first: int, count: int) -> float:
            """Seconds of a step."""
            wait(device)
            start = time.perf_counter()
            for step in range(first, first + count):
                trainer.step(step, batches)
            wait(device)
            return (time.perf_counter() - start) / count

        with peak(device) as most:
            steps(0, WARM)
        seconds = steps(WARM, args.steps)
        with phases(device) as spent:
            timed = steps(WARM + args.steps, args.steps)
    batch = {str(task): settings.stage.batches[task] for task in datasets}
    return {
        "stage": stage,
        "batch": batch,
        "precision": settings.precision,
        "accumulate": args.accumulate,
        "images_per_second": round(sum(batch.values()) / seconds, 2),
        "memory_gb": round(most.bytes / 1e9, 2),
        "step_ms": round(seconds * 1e3, 1),
        "phases_ms": {name: round(spent[name] / args.steps * 1e3, 1) for name in PHASES},
        "phases_step_ms": round(timed * 1e3, 1),
    }


@contextmanager
def phases(device: torch.device) -> Iterator[Counter[str]]:
    """Seconds by phase, of what runs inside; `match` is a part of `forward`."""
    spent: Counter[str] = Counter()

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        wait(device)
        start = time.perf_counter()
        yield
        wait(device)
        spent[name] += time.perf_counter() - start

    with patch.object(loop, "record_function", timed), patch.object(step_module, "record_function", timed):
        yield spent


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine_name(device: torch.device) -> str:
    """For the record."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    return f"{where}, torch {torch.__version__}, Python {sys.version.split()[0]}"


def page(each: dict[str, Any]) -> str:
    """A line of Markdown."""
    batch = ", ".join(f"{task} {count}" for task, count in each["batch"].items())
    cells = [each["stage"], batch, each["accumulate"], each["precision"], each["images_per_second"], each["memory_gb"]]
    return f"| {' | '.join(str(cell) for cell in [*cells, each['step_ms'], *each['phases_ms'].values()])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=("tiny", "base"), default="base")
    parser.add_argument("--stage", type=int, action="append", choices=STAGES, help="default: all")
    parser.add_argument("--device", help="default: a GPU if there is one")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="default: bf16 on a GPU, else fp32")
    parser.add_argument("--accumulate", type=int, default=1, help="parts of a step; stage 1 needs 4 on 24 GB")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="processes that load images, of each task")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="key=value, as of `train`")
    parser.add_argument("--corpus", type=Path, help="one with the sources of memory.READ; default: made from phantoms")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.json:
        print(f"{args.preset} preset; {machine_name(device_of(args.device))}\n")
        print(f"| stage | batch | parts | precision | images/s | GB | step, ms | {', ms | '.join(PHASES)}, ms |")
        print(f"|{'---|' * (7 + len(PHASES))}")
    with tempfile.TemporaryDirectory() as folder:
        corpus = args.corpus or Path(folder) / "corpus"
        if args.corpus is None:
            build(list(READ.values()), [], corpus, Options(phantom=64))
        for stage in args.stage or STAGES:
            try:
                found = row(corpus, stage, args)
            except (HemaError, torch.OutOfMemoryError) as error:  # of this stage; the others may do
                print(f"stage {stage}: {error}", file=sys.stderr)
                continue
            print(json.dumps(found) if args.json else page(found), flush=True)


if __name__ == "__main__":
    main()
