"""What every command that writes a set has in common: where it writes, and how hemadata builds what was written."""

import os
from pathlib import Path
from typing import Any

from hemadata.errors import InputMissingError, UsageError


def target(out: Path | None, raw: Path) -> Path:
    """Return the folder that gets a set: `out`, else the raw folder, where hemadata looks for it.

    Raises:
        UsageError: nothing can be written there.
    """
    folder = out or raw
    there = folder
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "" if out else " What is written goes beside the raw data of --raw unless --out names another folder."
        raise UsageError(f"{there} cannot be written.{why} Give a folder of your own: --out raw-text")
    return folder


def build(slug: str, corpus: Path, raw: Path, pictures: Path, anchor: str) -> dict[str, Any]:
    """Have hemadata build a set into the corpus.

    Args:
        slug: the set.
        corpus: gets it.
        raw: raw folder into which it was written.
        pictures: raw folder that holds `anchor`.
        anchor: the source whose pictures it is about.

    Returns:
        What `hemadata build --json` prints.

    Raises:
        HemaError: the source could not be built.
    """
    from hemadata.build import build as build_sources

    built = build_sources([slug], [raw, pictures], corpus)
    for each in built:
        if isinstance(each.error, InputMissingError):
            raise InputMissingError(
                f"The text is written to {raw / slug}; to build it into {corpus}, the pictures are needed too:\n"
                f"name the folder that holds {anchor}/ with --raw   (hemadata sources show {anchor})"
            ) from each.error
        if each.error is not None:
            raise each.error
    return {"sources": {each.source: each.as_dict() for each in built}}
