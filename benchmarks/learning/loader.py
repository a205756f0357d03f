"""Row `loader`: random reads through the index, as benchmarks/loader.py measures them, on the real BCCD."""

import hemadata
from loader import measure

from learning.common import Bench, Clock, Row


def run(bench: Bench) -> Row:
    """Reads per second without decoding, and the decode bound beside it."""
    clock = Clock()
    with hemadata.open(bench.corpus("bccd", "bccd")) as corpus:
        found = measure(corpus, reads=20_000, decodes=200, rounds=3)
    return {**found, "minutes": clock.minutes}
