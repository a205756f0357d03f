"""How fast random images are read through the index: `python benchmarks/loader.py [--corpus DIR] [--json]`.

One process and one thread, page cache warm. Without `--corpus` a corpus is built from phantoms of BCCD and Raabin.

* read: the bytes of random images through `hemadata.open(...).image`, without decoding.
* baseline: `os.pread` alone on the same bytes with places looked up beforehand: what the machine can do.
* decode: reading and decoding with Pillow to uint8 tensors: the bound of a training worker.
* sample: the whole of a training sample of the corpus' largest task, with the transform of its stage.
"""

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hemadata
import torch
from hemadata.corpus import Corpus
from hemamodel.data import CorpusDataset, TrainingStream, Transform, decode
from hemamodel.stages import load

ASKED = 20_000  # reads per second
STAGE = {"classification": 1, "detection": 4, "segmentation": 5, "vqa": 6, "mlm": 6}


def rate(act: Callable[[int], object], count: int, rounds: int) -> list[float]:
    """Calls per second in each round; one round more goes ahead to warm up."""
    rates = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for number in range(count):
            act(number)
        rates.append(count / (time.perf_counter() - start))
    return rates[1:]


def measure(corpus: Corpus, reads: int, decodes: int, rounds: int) -> dict[str, object]:
    index = corpus.index.select(["sample_id", "file", "offset", "length", "task"]).to_pylist()
    drawn = random.Random(0).choices(index, k=reads)
    names = [row["sample_id"] for row in drawn]
    files = {file: os.open(corpus.path / file, os.O_RDONLY) for file in {row["file"] for row in drawn}}
    places = [(files[row["file"]], row["length"], row["offset"]) for row in drawn]
    tasks = [row["task"] for row in index]
    task = max(sorted(set(tasks)), key=tasks.count)
    image = load(STAGE[task]).tasks[task].image  # type: ignore[index]
    assert image is not None
    stream = TrainingStream(CorpusDataset(corpus, task, transform=Transform(**image.training())))
    rates = {
        "read": rate(lambda n: corpus.image(names[n]), reads, rounds),
        "baseline": rate(lambda n: os.pread(*places[n]), reads, rounds),
        "decode": rate(lambda n: decode.image(corpus.image(names[n])), decodes, rounds),
        "sample": rate(lambda n: stream[n], max(1, decodes // 4), rounds),
    }
    for file in files.values():
        os.close(file)
    size = statistics.mean(row["length"] for row in drawn)
    read = statistics.median(rates["read"])
    return {
        "images": len(index),
        "bytes_per_image": round(size),
        "reads_per_second": round(read),
        "reads_per_second_slowest": round(min(rates["read"])),
        "megabytes_per_second": round(read * size / 1e6),
        "asked_reads_per_second": ASKED,
        "meets": min(rates["read"]) >= ASKED,
        "pread_alone_per_second": round(statistics.median(rates["baseline"])),
        "decodes_per_second": round(statistics.median(rates["decode"])),
        "sample_task": task,
        "samples_per_second": round(statistics.median(rates["sample"]), 1),
        "cores": os.cpu_count(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, help="an existing corpus; default: phantoms, built for the occasion")
    parser.add_argument("--images", type=int, default=400, help="phantoms of each source")
    parser.add_argument("--reads", type=int, default=20_000)
    parser.add_argument("--decodes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = args.corpus
        if path is None:
            from hemadata.build import Options, build

            path = Path(folder) / "corpus"
            build(["bccd", "raabin"], Path(folder), path, Options(phantom=args.images))
        with hemadata.open(path) as corpus:
            found = measure(corpus, args.reads, args.decodes, args.rounds)
    if args.json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:26} {value if isinstance(value, bool | str) else format(value, ',')}")


if __name__ == "__main__":
    main()
