"""CPU of a build with `--check full` that makes fingerprints, against the same build without, interleaved."""

import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hemadata.build import Options, build, images

from duplication.common import Row


def run(args: Namespace, pairs: int = 7) -> Iterator[Row]:
    """Each real source: how much more a build costs that makes them."""
    make = images.thumbnail
    for source in ("bccd", "acevedo", "wbc-image-dataset"):
        ratios, without = [], 1.0
        with tempfile.TemporaryDirectory() as folder:
            for number in range(2 * pairs + 2):  # the first two warm the page cache
                images.thumbnail = make if number % 2 else lambda _: None
                start = time.process_time()
                (result,) = build([source], args.raw, Path(folder) / str(number), Options())
                took = time.process_time() - start
                if number % 2:
                    ratios.append(took / without)
                without = took
        ratio = float(np.median(ratios[1:]))
        yield {"source": source, "images": result.images, "pairs": pairs, "cpu_ratio": round(ratio, 3), "asked": 1.25}
    images.thumbnail = make
