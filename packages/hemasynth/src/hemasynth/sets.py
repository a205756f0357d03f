"""A set that was written, of either task, read back from its folder."""

from pathlib import Path
from typing import Any

from hemadata.errors import InputMissingError


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the content of `run.json` and the rows of the table beside it.

    Args:
        folder: such as `raw/wbcatt-vqa`.

    Raises:
        InputMissingError: no set is there.
        FormatError: it is not what hemasynth writes.
    """
    from hemadata.formats import pairs, sentences

    tree = folder / "hemasynth"
    if not tree.is_dir():
        raise InputMissingError(
            f"There is no set in {folder}. Write one: hemasynth vqa, or hemasynth mlm and --set leukemiaattri-mlm"
        )
    if (tree / sentences.FILE).is_file():
        run, rows = sentences.read(tree)
        return run, [{name: row[name] for name in sentences.SCHEMA.names} for row in rows]
    return pairs.read(tree)
