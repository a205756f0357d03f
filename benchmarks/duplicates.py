"""How well and how fast copies are found: `python benchmarks/duplicates.py [--raw DIR] [--crops | --scale | --cost]`.

Real images: every one is copied with one change at a time (scale 0.5 to 1, JPEG quality 50 to 95, 8 orientations,
brightness and contrast +- 20 %) and with all together; recall is the share of copies that the whole cascade accepts,
precision counts every accepted pair that is neither a copy nor a known duplicate. All pairs of different real images
are correlated too; the closest rejected ones are printed, and from the tail of that distribution the number of false
pairs to expect at 400,000 crops.

--crops: cells cut from real BCCD fields, changed in the same ways, looked for in all fields; recall is the share that
is found in its own field, precision counts every other field that is accepted and does not show the same cell.
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
from xml.etree import ElementTree

import numpy as np
from hemadata.audit import candidates, fingerprints
from hemadata.audit.align import fit, green
from hemadata.audit.confirm import confirm, evened, turn_grid
from hemadata.audit.crops import CONFIRMED
from hemadata.audit.duplicates import CELLS, FIELDS, Threshold
from hemadata.audit.keypoints import keypoints
from hemadata.audit.votes import windows
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
    """Every pair of different images in every turn: false ones, the closest, and what to expect of many more.

    A pair is as close as the weakest of its three tests says: 1 is where it would be taken for a duplicate.
    """
    pixels = [decoded(data) for data in files]
    spectrum = fingerprints.spectra(fingerprints.to_array(thumbnail(each) for each in pixels)).astype(np.float32)
    grids = np.stack([evened(grid(each, 64, 320)) for each in pixels]).astype(np.float32)
    fine, n = fingerprints.terms().band(fingerprints.FINE), len(files)
    first, both = np.full((n, n), -1.0, np.float32), np.full((n, n), -1.0, np.float32)
    for turn in range(8):
        other = fingerprints.turned(spectrum, turn)
        a, b = unit(spectrum[:, fine]), unit(other[:, fine])
        turned_grids = np.stack([turn_grid(each, turn) for each in grids])
        second = reached(grids.reshape(n, -1) @ turned_grids.reshape(n, -1).T, limit.confirmed)
        score = np.minimum(reached(spectrum @ other.T, limit.whole), reached(a @ b.T, limit.fine))
        np.maximum(first, score, out=first)
        np.maximum(both, np.minimum(score, second), out=both)
    i, j = np.triu_indices(n, 1)
    unknown = np.array([not is_known(names[a], names[b]) for a, b in zip(i, j, strict=True)])
    i, j = i[unknown], j[unknown]
    before, after = first[i, j], both[i, j]
    closest = np.argsort(-after)[:10].tolist()
    return {
        "images": n,
        "pairs": len(after),
        "false": int((after >= 1).sum()),
        "expected_false_at_400k_before_second_test": expected(before),
        "expected_false_at_400k": expected(after),
        "closest_rejected": [[names[i[k]], names[j[k]], round(float(after[k]), 3)] for k in closest],
    }


def reached(correlation: np.ndarray, limit: float) -> np.ndarray:
    """Share of a limit that correlations reach, both as Fisher's z: there, chance gives a normal distribution."""
    return np.asarray(np.arctanh(np.clip(correlation, -0.999, 0.999)) / np.arctanh(limit))


def unit(values: np.ndarray) -> np.ndarray:
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True))


def expected(closeness: np.ndarray) -> float:
    """Pairs beyond 1 among all pairs of 400,000 crops, were they as alike as these.

    The tail above the TAIL-th closest pair is taken as exponential. A normal one falls faster, so this is more than is
    to be expected.
    """
    top = -np.sort(-closeness)[:TAIL]
    share = TAIL / len(closeness) * float(np.exp(-(1 - top[-1]) / np.mean(top - top[-1])))
    return float(f"{share * CROPS * (CROPS - 1) / 2:.2g}")


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


# Crops inside their field.

# Fields of BCCD that overlap: they show the same cell, shifted. Looked at by eye.
SHIFTED = {(f"BloodImage_{a:05}", f"BloodImage_{b:05}") for a, b in ((40, 41), (205, 276), (382, 395), (384, 393))}
CUTS = (("WBC", 0.2, "white cells, a fifth wider than their box"), ("WBC", 0.0, "white cells, their box"))
CUTS += (("RBC", 0.3, "red cells, a third wider than their box"),)


def cut(page: Path, name: str, margin: float) -> tuple[int, int, int, int] | None:
    """The first box of a name on a page of BCCD, wider on all sides; None where all are smaller than 40 pixels."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    for entry in ElementTree.parse(page).iter("object"):
        x, y, right, bottom = (int(entry.findtext(f"bndbox/{side}")) for side in sides)
        if entry.findtext("name") == name and min(right - x, bottom - y) > 40:
            wide, high = round((right - x) * margin), round((bottom - y) * margin)
            return max(0, x - wide), max(0, y - high), min(640, right + wide), min(480, bottom + high)
    return None


def crops(raw: Path, share: float) -> Iterator[dict[str, Any]]:
    paths = sorted((raw / "bccd/BCCD/JPEGImages").glob("*.jpg"))
    paths = paths[: round(share * len(paths))]
    fields = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    described, channels = [keypoints(pixels) for pixels in fields], [green(pixels) for pixels in fields]
    for name, margin, kind in CUTS:
        chance = random.Random(kind)
        boxes = [cut(path.parents[1] / "Annotations" / f"{path.stem}.xml", name, margin) for path in paths]
        own = [n for n, box in enumerate(boxes) if box]
        cells = [Image.fromarray(fields[n]).crop(boxes[n]) for n in own]
        cells = [compressed(turned(scaled(cell, chance), chance), chance) for cell in cells]
        found = windows(
            [*described, *(keypoints(np.asarray(cell)) for cell in cells)], range(len(fields), len(fields) + len(own))
        )
        right, wrong, closest = set[int](), set[tuple[str, str]](), list[tuple[float, str, str]]()
        for window in found:
            if window.large < len(fields):
                number = window.small - len(fields)
                value, _ = fit(green(np.asarray(cells[number])), channels[window.large], window.turn, window.frame)
                ends = paths[own[number]].stem, paths[window.large].stem
                if ends[0] == ends[1]:
                    right.update([number] if value >= CONFIRMED else [])
                elif (min(ends), max(ends)) not in SHIFTED:
                    wrong.update([ends] if value >= CONFIRMED else [])
                    closest.append((value, *ends))
        closest = sorted(closest, reverse=True)[:10]
        yield {
            "kind": kind,
            "crops": len(own),
            "recall": round(len(right) / len(own), 4),
            "precision": round(len(right) / (len(right) + len(wrong)), 4),
            "closest_rejected": [[a, b, round(value / CONFIRMED, 3)] for value, a, b in closest],
        }


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
    parser.add_argument("--crops", action="store_true", help="cells cut from fields instead of whole copies")
    parser.add_argument("--scale", action="store_true", help="the large fixture instead of real images")
    parser.add_argument("--cost", action="store_true", help="of fingerprints in the decode pass")
    parser.add_argument("--share", type=float, default=1.0, help="of the large fixture, or of the fields")
    parser.add_argument(
        "--key", type=int, default=23, help="signs per key, as a corpus of 700,000 images has; 0: as few"
    )
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    rows = []
    parts = {
        "crops": lambda: crops(args.raw, args.share),
        "scale": lambda: scale(args.share),
        "cost": lambda: cost(args.raw),
    }
    chosen = next((part for name, part in parts.items() if getattr(args, name)), lambda: quality(args.raw, args.key))
    for row in chosen():
        rows.append(row)
        if not args.json:
            closest = row.pop("closest_rejected", [])
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            for a, b, share in closest:
                print(f"    {a:28} {b:28} {share:6.3f} of the thresholds")
    if args.json:
        print(json.dumps(rows))


if __name__ == "__main__":
    main()
