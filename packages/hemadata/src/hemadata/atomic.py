"""Writing files so that a reader, or a crash, sees the old one or the new one and nothing between."""

import os
from pathlib import Path


def publish(temporary: Path, path: Path) -> None:
    """Give a finished file its name: fsync, rename, fsync of the folder. A reader sees the old file or the new one."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; an equal file is left as it is."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file atomically; an equal file is left as it is."""
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(data)
    publish(temporary, path)
