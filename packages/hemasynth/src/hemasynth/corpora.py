"""Opens the corpus that a set is written from, or says how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import hemadata
from hemadata.errors import InputMissingError

if TYPE_CHECKING:
    from hemadata.corpus import Corpus


@contextmanager
def opened(corpus: Path, source: str, otherwise: str = "") -> "Iterator[Corpus]":
    """Open a corpus that has a source.

    Args:
        corpus: read through `hemadata.open`.
        source: slug that must be in it.
        otherwise: what a person can do without a corpus, for the message.

    Raises:
        InputMissingError: there is no corpus, or it does not have the source.
    """
    how = f"Build it first: hemadata build --source {source} --raw raw --out {corpus}{otherwise}"
    try:
        found = hemadata.open(corpus)
    except InputMissingError as error:
        raise InputMissingError(f"There is no corpus in {corpus}. {how}") from error
    with found:
        if source not in found.sources:
            raise InputMissingError(f"The corpus {corpus} has no {source}: it holds {', '.join(found.sources)}. {how}")
        yield found
