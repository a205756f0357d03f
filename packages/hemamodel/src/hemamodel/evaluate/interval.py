"""95 % intervals by bootstrap: units (patients, films, cells) are drawn again, not single images."""

from collections.abc import Callable, Sequence

import numpy as np

DRAWS, SEED = 1000, 0
Metric = Callable[[np.ndarray], float]
"""A score as a function of how often each sample counts, float [n]."""


def weights(units: Sequence[str], draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """How often each sample counts in each draw, [draws, n]; samples of one unit are drawn together."""
    names, place = np.unique(np.asarray(units), return_inverse=True)
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)  # [draws, units]
    return counts[:, place].astype(float)


def interval(metric: Metric, units: Sequence[str], draws: int = DRAWS) -> tuple[float, float] | None:
    """Percentiles 2.5 and 97.5 of a score; None where there is only one unit, of which nothing can be said."""
    if len(set(units)) < 2:
        return None
    values = [metric(row) for row in weights(units, draws)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def difference(one: Metric, other: Metric, units: Sequence[str], draws: int = DRAWS) -> tuple[float, float, float]:
    """Paired: how much better `one` is than `other` on the same draws; the difference and its interval."""
    even = np.ones(len(units))
    values = [one(row) - other(row) for row in weights(units, draws)]
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return one(even) - other(even), float(low), float(high)
