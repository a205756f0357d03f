"""Raw public blood-cell image sets as one corpus. `hemadata.open(path)` is the one door to it."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

__all__ = ["open"]


def open(path: str | Path, version: str | None = None) -> "Corpus":
    """Open a corpus for reading.

    Args:
        path: its folder.
        version: assignment version such as `v0001`; default: the one in force.

    Raises:
        InputMissingError: there is no corpus, or no such version.
    """
    from hemadata.corpus import Corpus  # imported when needed: `hemadata --help` must not load Arrow

    return Corpus(Path(path), version)
