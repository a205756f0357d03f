"""What the search of crops costs in a family like Raabin: fields of 5312 x 2988 pixels, crops of 575 x 575 elsewhere.

No Raabin is at hand: each field is a mosaic of twelve real BCCD fields, twice enlarged, and each crop is cut around a
white cell of one, compressed again, its name lost. CPU seconds by stage, from which follows what all of Raabin (17,769
fields, 14,514 crops) would need, were no crop joined by its name. Looking up is timed in an index as full as a task's:
the blobs of the fields many times, each time other quarters of their signs flipped.
"""

import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from hemadata.audit.crops import CONFIRMED, LARGE, TOGETHER, Search
from hemadata.audit.described import Described
from hemadata.audit.families import Family
from hemadata.audit.keypoints import SIGNS, Keypoints, keypoints
from hemadata.audit.parallel import Workers
from hemadata.audit.votes import ASKED, KEPT, allowed, windows
from hemadata.build.images import decoded
from hemadata.corpus import Place
from PIL import Image

from duplication.common import Row, times
from duplication.crops import SHIFTED, cut

FIELD, TILE, CROP = (5312, 2988), (1328, 996), 575
TILES = (FIELD[0] // TILE[0]) * (FIELD[1] // TILE[1])
RAABIN = {"fields": 17_769, "crops": 14_514}


def drawn(raw: Path, share: float, out: Path) -> tuple[list[Place], list[Place], list[set[int]]]:
    """Fields, crops, and the fields that show the cell of each crop: where BCCD fields overlap, two."""
    paths = sorted((raw / "bccd/BCCD/JPEGImages").glob("*.jpg"))
    count = max(2, round(share * len(paths) / TILES))
    fields, crops, owner = list[Place](), list[Place](), list[set[int]]()
    for number in range(count):
        field = Image.new("RGB", FIELD)
        boxes = list[tuple[float, float, str]]()
        for n, path in enumerate(paths[number * TILES : (number + 1) * TILES]):
            x, y = n % 4 * TILE[0], n // 4 * TILE[1]
            field.paste(Image.open(path).convert("RGB").resize(TILE, Image.Resampling.BICUBIC), (x, y))
            if box := cut(path.parents[1] / "Annotations" / f"{path.stem}.xml", "WBC", 0.0):
                zoom = TILE[0] / 640
                boxes.append((x + zoom * (box[0] + box[2]) / 2, y + zoom * (box[1] + box[3]) / 2, path.stem))
        fields.append(_written(field, out / f"field{number}.jpg", 92))
        for x, y, page in boxes:
            left, top = (int(np.clip(c - CROP / 2, 0, s - CROP)) for c, s in zip((x, y), FIELD, strict=True))
            crop = field.crop((left, top, left + CROP, top + CROP))
            crops.append(_written(crop, out / f"crop{len(crops)}.jpg", 85))
            same = {page} | {end for pair in SHIFTED if page in pair for end in pair}
            owner.append({n // TILES for n, path in enumerate(paths) if path.stem in same})
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
        pair = looked_up(fields[:8], crops, Path(folder)) if args.jobs == 1 else 0.0
    passed = [w for w, value in zip(found, values, strict=True) if (value or 0) >= CONFIRMED]
    right = {w.small for w in passed if w.large in owner[w.small - n]}
    yield {
        "fields": n,
        "crops": m,
        "recall": round(len(right) / m, 4),
        "false": len(passed) - sum(w.large in owner[w.small - n] for w in passed),
        "tested": sum(value is not None for value in values),
        "jobs": args.jobs,
        "wall_s": round(wall, 1),
        **times(),
    }
    if args.jobs > 1:  # what workers spend is theirs
        return
    field, crop = (seconds / count for seconds, count in zip(alone, (min(8, n), min(64, m)), strict=True))
    test = stages.of("second test") / max(1, sum(value is not None for value in values))
    yield {
        "describe_field_cpu_ms": round(1e3 * field, 1),
        "describe_crop_cpu_ms": round(1e3 * crop, 1),
        "look_up_cpu_ms_per_crop_and_field": round(1e3 * pair, 4),
        "second_test_cpu_ms_per_window": round(1e3 * test, 1),
    }
    whole = RAABIN["fields"] * 2 * field + RAABIN["crops"] * (crop + KEPT * test)  # each is decoded once more
    whole += RAABIN["fields"] * RAABIN["crops"] * pair
    yield {"raabin": RAABIN, "cpu_hours_at_most": round(whole / 3600, 2)}


def looked_up(fields: list[Place], crops: list[Place], folder: Path) -> float:
    """Seconds for a crop and a field, in a task of the full size."""
    known, asked = ([keypoints(decoded(place.read())) for place in places] for places in (fields, crops))
    chance, pictures = np.random.default_rng(0), list[Keypoints]()
    while sum(len(each.code) for each in pictures) < LARGE:
        each = known[len(pictures) % len(known)]
        flipped = np.packbits(chance.random((len(each.code), SIGNS)) < 0.25, axis=1)
        pictures.append(Keypoints(each.place, each.code ^ flipped.view(np.uint64)[:, 0], each.size))
    fields_n = len(pictures)
    pictures += [asked[n % len(asked)] for n in range(TOGETHER)]
    found = Described.write(folder, pictures, [0] * fields_n + [1] * TOGETHER)
    small, large = found.blobs(np.arange(fields_n, fields_n + TOGETHER), ASKED), found.blobs(np.arange(fields_n))
    start = time.process_time()
    for _ in windows(small, large, allowed(RAABIN["fields"] * len(known[0].code))):
        pass
    return (time.process_time() - start) / (fields_n * TOGETHER)


def _cpu(search: Search, places: list[Place]) -> float:
    """Seconds to describe some pictures."""
    start = time.process_time()
    with Workers() as workers:
        alone = Search(search.family, [], [], np.zeros(len(places), np.int64), np.zeros(0, np.int64))
        alone.windows(places, workers, None)
    return time.process_time() - start
