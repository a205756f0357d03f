"""Whole copies: every real image is copied with one change at a time and with all together.

Recall is the share of copies that the whole cascade accepts, precision counts every accepted pair that is neither a
copy nor a known duplicate. All pairs of different real images are correlated too; the closest rejected ones are
printed, and from the tail of that distribution the number of false pairs to expect at 400,000 crops.
"""

import random
from argparse import Namespace
from collections.abc import Iterator

import numpy as np
from hemadata.audit import candidates, fingerprints
from hemadata.audit.confirm import confirm, evened, turn_grid
from hemadata.audit.duplicates import CELLS, FIELDS, Threshold
from hemadata.build.images import decoded
from hemadata.build.thumbnail import grid, thumbnail

from duplication.common import CHANGES, Row, copy, real_images

# The same picture or the same cell, photographed or cropped twice: looked at by eye, beside the byte-equal ones.
KNOWN = {("wbc1/166", "wbc1/171"), ("wbc1/167", "wbc1/169"), ("wbc1/157", "wbc1/158")}
KNOWN |= {("bccd/BloodImage_00037", "bccd/BloodImage_00038"), ("wbc1/112", "wbc1/139")}
KNOWN |= {("acevedo/BA_251042", "acevedo/BA_988506")}
CROPS = 400_000
TAIL = 200  # closest pairs that the tail is fitted to


def spectrum_of(files: list[bytes]) -> np.ndarray:
    return fingerprints.spectra(fingerprints.to_array(thumbnail(decoded(data)) for data in files))


def is_known(a: str, b: str) -> bool:
    return (min(a, b), max(a, b)) in KNOWN


def planted(names: list[str], files: list[bytes], limit: Threshold, key: int | None) -> Iterator[Row]:
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


def all_pairs(names: list[str], files: list[bytes], limit: Threshold) -> Row:
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


def run(args: Namespace) -> Iterator[Row]:
    """Fields, all single cells, and tight ones."""
    every = list(real_images(args.raw))
    for kind, sets, limit in (
        ("fields", ("bccd",), FIELDS),
        ("cells", ("acevedo", "wbc1", "wbc2"), CELLS),
        ("tight cells", ("wbc1",), CELLS),
    ):
        chosen = [(name, data) for which, name, data in every if which in sets]
        names, files = [name for name, _ in chosen], [data for _, data in chosen]
        for row in planted(names, files, limit, args.key or None):
            yield {"kind": kind, **row}
        yield {"kind": kind, **all_pairs(names, files, limit), "second_test_of_different": second_test_apart(files)}
