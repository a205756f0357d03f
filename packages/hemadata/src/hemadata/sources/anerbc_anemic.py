"""AneRBC-II, anemic part: laid out and read as the healthy one."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.sources.anerbc_healthy import draw_part, index_part, load
from hemadata.sources.base import Raw, Ref

__all__ = ["draw", "index", "load"]

PART = "Anemic_individuals"


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per tile of the anemic part; groups are persons."""
    return index_part(raw, PART)


def draw(out: Path, n: int, seed: int) -> None:
    """`n` tiles of the anemic part, whose masks are darker than those of the healthy one."""
    draw_part(out, n, seed, PART, "a", darkness=0.1)
