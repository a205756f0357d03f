"""The large fixture: 84,000 fields and 616,000 crops as fingerprints, 5 % planted copies, 20 buckets of look-alikes."""

from argparse import Namespace
from collections.abc import Iterator

import numpy as np
from hemadata.audit import candidates, fingerprints
from hemadata.audit.confirm import turn_grid
from hemadata.audit.duplicates import CELLS, FIELDS
from hemadata.build.thumbnail import SIDE

from duplication.common import Clock, Row, times

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


def run(args: Namespace) -> Iterator[Row]:
    """Each stage: seconds and memory; each kind: what is found."""
    thumbnails, is_field, original, look_alike = fixture(np.random.default_rng(0), args.share)
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
