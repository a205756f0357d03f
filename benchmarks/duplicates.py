"""How well and how fast copies are found: `python benchmarks/duplicates.py [--raw DIR] [--scale | --cost] [--json]`.

Real images: every one is copied with one change at a time (scale 0.5 to 1, JPEG quality 50 to 95, 8 orientations,
brightness and contrast +- 20 %) and with all together; recall is the share of copies that the whole cascade accepts,
precision counts every accepted pair that is neither a copy nor a known duplicate. All pairs of different real images
are correlated too; the closest rejected ones are printed, and from the tail of that distribution the number of false
pairs to expect at 400,000 crops.

--scale: 84,000 fields and 616,000 crops as fingerprints, 5 % planted copies, 20 buckets of 5,000 look-alikes.
--cost: CPU of a build with `--check full` that makes fingerprints, against the same build without.
"""

import argparse
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from hemadata.audit import candidates, fingerprints
from hemadata.audit.confirm import confirm, evened, turn_grid
from hemadata.audit.duplicates import CELLS, FIELDS, Threshold
from hemadata.build import Options, build, images
from hemadata.build.images import decoded
from hemadata.build.thumbnail import SIDE, grid, thumbnail
from PIL import Image, ImageEnhance

# The same picture or the same cell, photographed or cropped twice: looked at by eye, beside the byte-equal ones.
KNOWN = {("wbc1/166", "wbc1/171"), ("wbc1/167", "wbc1/169"), ("wbc1/157", "wbc1/158")}
KNOWN |= {("bccd/BloodImage_00037", "bccd/BloodImage_00038"), ("wbc1/112", "wbc1/139")}
KNOWN |= {("acevedo/BA_251042", "acevedo/BA_988506")}
CROPS = 400_000
TAIL = 200  # closest pairs that the tail is fitted to


def real_images(raw: Path) -> Iterator[tuple[str, str, bytes]]:
    """Set, name and file of every real image."""
    for name, folder, pattern in (
        ("bccd", "bccd/BCCD/JPEGImages", "*.jpg"),
        ("acevedo", "acevedo", "**/[!.]*.jpg"),
        ("wbc1", "wbc-image-dataset/Dataset 1", "*.bmp"),
        ("wbc2", "wbc-image-dataset/Dataset 2", "*.bmp"),
    ):
        for path in sorted((raw / folder).glob(pattern)):
            yield name, f"{name}/{path.stem}", path.read_bytes()


def scaled(image: Image.Image, chance: random.Random) -> Image.Image:
    share = chance.uniform(0.5, 1)
    how = chance.choice([Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
    return image.resize((round(image.width * share), round(image.height * share)), how)


def compressed(image: Image.Image, chance: random.Random) -> Image.Image:
    out = BytesIO()
    image.save(out, "JPEG", quality=chance.randint(50, 95))
    return Image.open(out).convert("RGB")


def turned(image: Image.Image, chance: random.Random) -> Image.Image:
    turn = chance.randrange(8)
    return image.transpose(Image.Transpose(turn - 1)) if turn else image


def coloured(image: Image.Image, chance: random.Random) -> Image.Image:
    image = ImageEnhance.Brightness(image).enhance(chance.uniform(0.8, 1.2))
    return ImageEnhance.Contrast(image).enhance(chance.uniform(0.8, 1.2))


Change = Callable[[Image.Image, random.Random], Image.Image]
CHANGES: dict[str, tuple[Change, ...]] = {
    "scale 0.5-1": (scaled,),
    "jpeg 50-95": (compressed,),
    "orientation": (turned,),
    "brightness, contrast": (coloured,),
    "all together": (scaled, coloured, turned, compressed),
}


def copy(data: bytes, changes: tuple[Change, ...], chance: random.Random) -> bytes:
    image = Image.open(BytesIO(data)).convert("RGB")
    for change in changes:
        image = change(image, chance)
    out = BytesIO()
    image.save(out, "BMP")
    return out.getvalue()


def spectrum_of(files: list[bytes]) -> np.ndarray:
    return fingerprints.spectra(fingerprints.to_array(thumbnail(decoded(data)) for data in files))


def is_known(a: str, b: str) -> bool:
    return (min(a, b), max(a, b)) in KNOWN


def planted(names: list[str], files: list[bytes], limit: Threshold, key: int | None) -> Iterator[dict[str, Any]]:
    """Recall and precision of the cascade, change by change."""
    originals, n = spectrum_of(files), len(files)
    for change, steps in CHANGES.items():
        chance = random.Random(change)
        copies = [copy(data, steps, chance) for data in files]
        spectrum = np.concatenate([originals, spectrum_of(copies)])
        (a, b, turn), _ = candidates.by_hash(spectrum, length=key)
        if limit is FIELDS:
            more = candidates.by_correlation(spectrum, np.arange(2 * n))
            a, b, turn = (np.concatenate(both) for both in zip((a, b, turn), more, strict=True))
        whole, fine = fingerprints.correlate(spectrum, a, b, turn)
        passed = limit.admits(whole, fine)
        every, right, wrong = [*files, *copies], set[int](), set[tuple[str, str]]()
        for i, j, t in zip(a[passed].tolist(), b[passed].tolist(), turn[passed].tolist(), strict=True):
            if confirm(every[i], every[j], t) >= limit.confirmed:
                if i % n == j % n:
                    right.add(i % n)
                elif not is_known(names[i % n], names[j % n]):
                    wrong.add((names[i % n], names[j % n]))
        precision = len(right) / max(1, len(right) + len(wrong))
        yield {"change": change, "copies": n, "recall": round(len(right) / n, 4), "precision": round(precision, 4)}


def all_pairs(names: list[str], files: list[bytes], limit: Threshold) -> dict[str, Any]:
    """Every pair of different images in every turn: false ones, the closest, and what to expect of many more."""
    spectrum = spectrum_of(files).astype(np.float32)
    fine = fingerprints.terms().band(fingerprints.FINE)
    n = len(files)
    best, at = np.full((n, n), -1.0, np.float32), np.zeros((n, n), np.int8)
    for turn in range(8):
        other = fingerprints.turned(spectrum, turn)
        whole_score = spectrum @ other.T
        a, b = spectrum[:, fine], other[:, fine]
        fine_score = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
        # How far a pair is on its way to both thresholds: 1 is where the second test begins.
        score = np.minimum(whole_score / limit.whole, fine_score / limit.fine)
        at[score > best] = turn
        np.maximum(best, score, out=best)
    i, j = np.triu_indices(n, 1)
    values = best[i, j]
    order = np.argsort(-values)[: TAIL + 50]
    order = np.array([k for k in order if not is_known(names[i[k]], names[j[k]])])
    reached = values[order]
    closest = []
    for k in order[:10].tolist():
        second = confirm(files[i[k]], files[j[k]], int(at[i[k], j[k]]))
        closest.append([names[i[k]], names[j[k]], round(float(values[k]), 3), round(second, 3)])
    false = sum(entry[2] >= 1 and entry[3] >= limit.confirmed for entry in closest)
    top = reached[:TAIL]
    rate = float(np.mean(top - top[-1]))  # exponential tail above the TAIL-th closest pair
    share = TAIL / len(values) * float(np.exp(-(1 - top[-1]) / rate))
    return {
        "images": n,
        "pairs": len(values),
        "false": false,
        "expected_false_at_400k": float(f"{share * CROPS * (CROPS - 1) / 2:.2g}"),
        "closest_rejected": closest,
    }


def second_test_apart(files: list[bytes], pairs: int = 20_000) -> dict[str, float]:
    """What the second test gives for pairs of different images, drawn by chance."""
    grids = [evened(grid(decoded(data), 64, 320)) for data in files]
    chance = random.Random(0)
    drawn = [(*chance.sample(range(len(files)), 2), chance.randrange(8)) for _ in range(pairs)]
    values = [float(np.sum(grids[a] * turn_grid(grids[b], turn))) for a, b, turn in drawn]
    return {"mean": round(float(np.mean(values)), 4), "largest": round(max(values), 3)}


def quality(raw: Path, key: int | None) -> Iterator[dict[str, Any]]:
    every = list(real_images(raw))
    for kind, sets, limit in (
        ("fields", ("bccd",), FIELDS),
        ("cells", ("acevedo", "wbc1", "wbc2"), CELLS),
        ("tight cells", ("wbc1",), CELLS),
    ):
        chosen = [(name, data) for which, name, data in every if which in sets]
        names, files = [name for name, _ in chosen], [data for _, data in chosen]
        for row in planted(names, files, limit, key):
            yield {"kind": kind, **row}
        yield {"kind": kind, **all_pairs(names, files, limit), "second_test_of_different": second_test_apart(files)}


# The large fixture.

FIELDS_N, CROPS_N, COPIES, BUCKETS, BUCKET = 84_000, 616_000, 0.05, 20, 5_000


def fixture(chance: np.random.Generator, share: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Thumbnails [n, SIDE, SIDE], whether each is a field, the original of each copy or -1, look-alike bucket or -1."""
    fields_n, crops_n, bucket = int(FIELDS_N * share), int(CROPS_N * share), int(BUCKET * share)
    n = fields_n + crops_n
    is_field = np.arange(n) < fields_n
    k, x = np.arange(SIDE)[:, None], np.arange(SIDE)[None]
    table = (np.cos(np.pi * (x + 0.5) * k / SIDE) * np.sqrt(2 / SIDE)).astype(np.float32)
    radius = np.hypot(*np.mgrid[:SIDE, :SIDE]).astype(np.float32)
    fall = 1 / np.maximum(radius, 1)  # natural pictures: amplitude falls with frequency
    disc = np.exp(-((np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2 + 0.5)) / 9) ** 6))  # the cell in the middle
    look_alike = np.full(n, -1)
    for number in range(BUCKETS):  # same coarse picture, own fine structure
        look_alike[fields_n + number * bucket : fields_n + (number + 1) * bucket] = number
    shared = chance.standard_normal((BUCKETS, SIDE, SIDE), np.float32)
    thumbnails = np.empty((n, SIDE, SIDE), np.uint8)
    for start in range(0, n, 20_000):
        part = slice(start, min(n, start + 20_000))
        waves = chance.standard_normal((part.stop - part.start, SIDE, SIDE), np.float32)
        alike = look_alike[part] >= 0
        waves[alike] = np.where(radius < 14, shared[look_alike[part][alike]], waves[alike])
        grey = table.T @ (waves * fall * 150) @ table
        grey -= np.where(is_field[part], 0, 60)[:, None, None] * disc
        thumbnails[part] = np.clip(grey + 170, 0, 255)
    original = np.full(n, -1)
    for kind in (True, False):
        free = chance.permutation(np.flatnonzero((is_field == kind) & (chance.random(n) < 2 * COPIES)))
        half = len(free) // 2
        for target, source in zip(free[:half], free[half:], strict=False):
            picture = turn_grid(thumbnails[source].astype(np.float32), int(chance.integers(8)))
            picture = (picture - 128) * chance.uniform(0.8, 1.2) + 128 * chance.uniform(0.9, 1.1)
            thumbnails[target] = np.clip(picture + chance.normal(0, 1.2, (SIDE, SIDE)), 0, 255)
            original[target], look_alike[target] = source, look_alike[source]
    return thumbnails, is_field, original, look_alike


def scale(share: float) -> Iterator[dict[str, Any]]:
    thumbnails, is_field, original, look_alike = fixture(np.random.default_rng(0), share)
    n = len(thumbnails)
    yield {"fixture": n, "fields": int(is_field.sum()), "copies": int((original >= 0).sum()), **times()}
    clock = Clock()
    spectrum = fingerprints.spectra(thumbnails)
    del thumbnails
    yield {"stage": "spectra", **clock.since()}
    hashed, crowded = candidates.by_hash(spectrum)
    yield {"stage": "hash", "pairs": len(hashed[0]), "crowded": crowded, **clock.since()}
    fields = candidates.by_correlation(spectrum, np.flatnonzero(is_field))
    yield {"stage": "field correlation", "pairs": len(fields[0]), **clock.since()}
    a, b, turn = (np.concatenate(both) for both in zip(hashed, fields, strict=True))
    whole, fine = fingerprints.correlate(spectrum, a, b, turn)
    both = is_field[a] & is_field[b]
    good = np.where(both, FIELDS.admits(whole, fine), CELLS.admits(whole, fine))
    a, b = a[good], b[good]
    true = (original[a] == b) | (original[b] == a)
    reached = np.unique(np.where(original[a] == b, a, b)[true])
    copies = np.flatnonzero(original >= 0)
    for kind, chosen in (
        ("fields", copies[is_field[copies]]),
        ("crops", copies[~is_field[copies] & (look_alike[copies] < 0)]),
        ("look-alikes", copies[look_alike[copies] >= 0]),
    ):
        yield {"kind": kind, "copies": len(chosen), "recall": round(float(np.isin(chosen, reached).mean()), 4)}
    false = np.unique(a[~true] * n + b[~true])
    yield {"stage": "correlate", "false_before_second_test": len(false), **clock.since()}


def cost(raw: Path, pairs: int = 5) -> Iterator[dict[str, Any]]:
    make = images.thumbnail
    for source in ("bccd", "acevedo", "wbc-image-dataset"):
        ratios, without = [], 1.0
        with tempfile.TemporaryDirectory() as folder:
            for number in range(2 * pairs + 2):  # the first two warm the page cache
                images.thumbnail = make if number % 2 else lambda _: None
                start = time.process_time()
                (result,) = build([source], raw, Path(folder) / str(number), Options())
                took = time.process_time() - start
                if number % 2:
                    ratios.append(took / without)
                without = took
        ratio = float(np.median(ratios[1:]))
        yield {"source": source, "images": result.images, "pairs": pairs, "cpu_ratio": round(ratio, 3), "asked": 1.25}
    images.thumbnail = make


class Clock:
    """CPU and wall seconds between looks."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def since(self) -> dict[str, Any]:
        """CPU and wall seconds since the last look, and the peak of memory so far."""
        cpu, wall = time.process_time(), time.perf_counter()
        passed = {"cpu_s": round(cpu - self.cpu, 1), "wall_s": round(wall - self.wall, 1)}
        self.cpu, self.wall = cpu, wall
        return passed | times()


def times() -> dict[str, Any]:
    status = Path("/proc/self/status").read_text()
    return {"peak_mb": int(re.search(r"VmHWM:\s+(\d+)", status)[1]) >> 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"))
    parser.add_argument("--scale", action="store_true", help="the large fixture instead of real images")
    parser.add_argument("--cost", action="store_true", help="of fingerprints in the decode pass")
    parser.add_argument("--share", type=float, default=1.0, help="of the large fixture")
    parser.add_argument(
        "--key", type=int, default=23, help="signs per key, as a corpus of 700,000 images has; 0: as few"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    for row in scale(args.share) if args.scale else cost(args.raw) if args.cost else quality(args.raw, args.key):
        rows.append(row)
        if not args.json:
            closest = row.pop("closest_rejected", [])
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            for a, b, share, second in closest:
                print(f"    {a:28} {b:28} {share:6.3f} of the thresholds, second test {second:.3f}")
    if args.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
