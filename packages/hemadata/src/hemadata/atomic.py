"""Writing files so that a reader, or a crash, sees the old one or the new one and nothing between."""

import os
from collections.abc import Mapping
from pathlib import Path


def publish(files: Mapping[Path, Path]) -> None:
    """Give finished files of one folder their names: fsync each, rename each, fsync the folder once.

    Args:
        files: temporary path -> final path.
    """
    for temporary in files:
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
    for temporary, path in files.items():
        temporary.replace(path)
    for parent in {path.parent for path in files.values()}:
        folder = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def temporary_name(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(f".{path.name}.tmp")


def write_text(path: Path, text: str, durable: bool = True) -> None:
    """Write a text file atomically; an equal file is left as it is."""
    write_bytes(path, text.encode(), durable)


def write_bytes(path: Path, data: bytes, durable: bool = True) -> None:
    """Write a small file atomically; an equal file is left as it is.

    Args:
        path: where.
        data: what.
        durable: False for what may be lost when the power fails, such as a record of work that can be done again.
    """
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    temporary.write_bytes(data)
    if durable:
        publish({temporary: path})
    else:
        temporary.replace(path)
