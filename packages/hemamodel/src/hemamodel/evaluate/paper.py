"""The paper's own numbers, to stand in the next column."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def _tables() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("paper.toml").read_text(encoding="utf-8"))


def published(task: str, source: str) -> tuple[str, float, int] | None:
    """Score, value in 0 to 1 and table that the paper reports for a source; None where it reports none."""
    for metric, rows in _tables().get(task, {}).items():
        if source in rows:
            return metric, rows[source]["value"] / 100, rows[source]["table"]
    return None
