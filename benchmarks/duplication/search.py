"""What the search of crops costs in a family like Raabin: fields of 5312 x 2988 pixels, crops of 575 x 575 elsewhere.

No Raabin is at hand: each field is a mosaic of twelve real BCCD fields, twice enlarged, and each crop is cut around a
white cell of one, compressed again, its name lost. CPU seconds by stage, from which follows what all of Raabin (17,769
fields, 14,514 crops) would need, were no crop joined by its name.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hemadata.audit.crops import CONFIRMED, Search
from hemadata.audit.families import Family
from hemadata.audit.parallel import Workers
from hemadata.corpus import Place
from PIL import Image

from duplication.common import Row, times
from duplication.crops import cut

FIELD, TILE, CROP = (5312, 2988), (1328, 996), 575
TILES = (FIELD[0] // TILE[0]) * (FIELD[1] // TILE[1])
RAABIN = {"fields": 17_769, "crops": 14_514}


def drawn(raw: Path, share: float, out: Path) -> tuple[list[Place], list[Place], list[int]]:
    """Fields, crops, and the field of each crop."""
    paths = sorted((raw / "bccd/BCCD/JPEGImages").glob("*.jpg"))
    count = max(2, round(share * len(paths) / TILES))
    fields, crops, owner = list[Place](), list[Place](), list[int]()
    for number in range(count):
        field = Image.new("RGB", FIELD)
        boxes = list[tuple[float, float]]()
        for n, path in enumerate(paths[number * TILES : (number + 1) * TILES]):
            x, y = n % 4 * TILE[0], n // 4 * TILE[1]
            field.paste(Image.open(path).convert("RGB").resize(TILE, Image.Resampling.BICUBIC), (x, y))
            if box := cut(path.parents[1] / "Annotations" / f"{path.stem}.xml", "WBC", 0.0):
                zoom = TILE[0] / 640
                boxes.append((x + zoom * (box[0] + box[2]) / 2, y + zoom * (box[1] + box[3]) / 2))
        fields.append(_written(field, out / f"field{number}.jpg", 92))
        for x, y in boxes:
            left, top = (int(np.clip(c - CROP / 2, 0, s - CROP)) for c, s in zip((x, y), FIELD, strict=True))
            crop = field.crop((left, top, left + CROP, top + CROP))
            crops.append(_written(crop, out / f"crop{len(crops)}.jpg", 85))
            owner.append(number)
    return fields, crops, owner


def _written(image: Image.Image, path: Path, quality: int) -> Place:
    image.save(path, quality=quality)
    return Place(str(path), 0, path.stat().st_size)


class Stages:
    """CPU and wall seconds of each stage that a search tells of."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = {}
        self._last = time.process_time()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Told of progress."""
        now = time.process_time()
        self.cpu[stage] = self.cpu.get(stage, 0.0) + now - self._last
        self._last = now

    def of(self, word: str) -> float:
        """Seconds of the stages whose name has a word."""
        return sum(seconds for stage, seconds in self.cpu.items() if word in stage)


def run(args: Namespace) -> Iterator[Row]:
    """Recall, what each stage costs, and what Raabin would."""
    with tempfile.TemporaryDirectory() as folder:
        fields, crops, owner = drawn(args.raw, args.share, Path(folder))
        places, n, m = [*fields, *crops], len(fields), len(crops)
        homes = np.array([0] * n + [1] * m, np.int64)
        search = Search(Family({"fields": 0, "crops": 1}), list(range(n + m)), [], homes, np.arange(n, n + m))
        start, stages = time.perf_counter(), Stages()
        with Workers(args.jobs) as workers:
            found = search.windows(places, workers, stages)
            values = search.test(places, found, workers, stages)
        wall = time.perf_counter() - start
        alone = [_cpu(search, chosen) for chosen in (fields[:8], crops[:64])]
    passed = [w for w, value in zip(found, values, strict=True) if (value or 0) >= CONFIRMED]
    right = {w.small for w in passed if owner[w.small - n] == w.large}
    yield {
        "fields": n,
        "crops": m,
        "recall": round(len(right) / m, 4),
        "false": len(passed) - sum(owner[w.small - n] == w.large for w in passed),
        "tested": sum(value is not None for value in values),
        "jobs": args.jobs,
        "wall_s": round(wall, 1),
        **times(),
    }
    if args.jobs > 1:  # what workers spend is theirs
        return
    field, crop = (seconds / count for seconds, count in zip(alone, (8, 64), strict=True))
    pair, test = stages.of("looked up") / (n * m), stages.of("second test") / m
    yield {
        "describe_field_cpu_ms": round(1e3 * field, 1),
        "describe_crop_cpu_ms": round(1e3 * crop, 1),
        "look_up_cpu_ms_per_crop_and_field": round(1e3 * pair, 3),
        "second_test_cpu_ms_per_crop": round(1e3 * test, 1),
    }
    whole = RAABIN["fields"] * field + RAABIN["crops"] * (crop + test) + RAABIN["fields"] * RAABIN["crops"] * pair
    yield {"raabin": RAABIN, "cpu_hours": round(whole / 3600, 2)}


def _cpu(search: Search, places: list[Place]) -> float:
    """Seconds to describe some pictures."""
    start = time.process_time()
    with Workers() as workers:
        alone = Search(search.family, [], [], np.zeros(len(places), np.int64), np.zeros(0, np.int64))
        alone.windows(places, workers, None)
    return time.process_time() - start
