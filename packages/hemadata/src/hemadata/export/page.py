"""A COCO-like page, written entry by entry: images and annotations wait on disk, not in memory."""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

PARTS = ("images", "annotations")


class JsonPage:
    """One JSON object with the lists `images` and `annotations`, and whatever `finish` adds.

    Args:
        path: of the page.
        open_files: closes the parts where the export fails.
    """

    def __init__(self, path: Path, open_files: ExitStack) -> None:
        self.path = path
        self._parts: dict[str, IO[str]] = {
            part: open_files.enter_context(self._part(part).open("w+", encoding="utf-8")) for part in PARTS
        }
        self.count = dict.fromkeys(PARTS, 0)

    def add(self, part: str, entry: dict[str, Any]) -> None:
        """Append an entry to one of the two lists."""
        self._parts[part].write((",\n" if self.count[part] else "") + dumps(entry))
        self.count[part] += 1

    def finish(self, **rest: Any) -> None:
        """Write the page: `rest` first, then the two lists."""
        with self.path.open("x", encoding="utf-8") as page:
            page.write("{")
            for name, value in rest.items():
                page.write(f"{dumps(name)}: {dumps(value)},\n")
            for name, part in self._parts.items():
                page.write(f"{dumps(name)}: [")
                part.seek(0)
                shutil.copyfileobj(part, page)
                page.write("]" if name == PARTS[-1] else "],\n")
                part.close()
                self._part(name).unlink()
            page.write("}\n")

    def _part(self, name: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{name}")


def dumps(value: Any) -> str:
    """JSON on one line; a number that JSON cannot hold is an error."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
