"""Which rows are exported, in which order, and under which file names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

from hemadata import schema
from hemadata.corpus import Corpus
from hemadata.errors import UsageError
from hemadata.export.format import DECIDED, Format

MAX_STEM = 120  # characters; endings and mask names still fit everywhere
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")  # a dot too: webdataset and YOLO readers cut names at the first one


@dataclass(frozen=True, slots=True)
class Selection:
    """What is exported.

    Args:
        sources: slugs.
        splits: names of `schema.SPLITS`.
        left_out: source -> rows that the format or the choice of splits leaves out, with the reason.
    """

    sources: tuple[str, ...]
    splits: tuple[str, ...]
    left_out: tuple[tuple[str, str, int], ...]


def select(opened: Corpus, to: Format, tasks: list[str], sources: list[str], splits: list[str]) -> Selection:
    """Settle what a call asks for; an empty list asks for everything that the format has room for.

    Raises:
        UsageError: an unknown name, or a task or source that was asked for and that the format cannot hold.
    """
    for task in tasks:
        opened.count(task)
        if task not in to.tasks:
            raise UsageError(f"{to.name} has no room for {task}; it holds {', '.join(to.tasks)}.")
    chosen, left_out = [], []
    for source in sources or opened.sources:
        opened.count("detection", source=source)  # an unknown name is an error, not an empty folder
        task = opened.manifests[source].task
        if task in to.tasks and (not tasks or task in tasks):
            chosen.append(source)
        elif sources:
            held = ", ".join(tasks or to.tasks)
            raise UsageError(f"{source} is a set for {task}; asked for was {held} as {to.name}.")
        elif not tasks:
            left_out.append((source, f"{to.name} has no room for {task}", opened.count(task, source=source)))
    wanted = tuple(split for split in schema.SPLITS if split in (splits or schema.SPLITS[:3]))
    for split in splits:
        opened.count("detection", split)
    for source in chosen if not splits else ():
        if count := opened.count(opened.manifests[source].task, "excluded", source):
            left_out.append((source, "excluded from every split (--split excluded has them)", count))
    if not any(opened.count(opened.manifests[s].task, split, s) for s in chosen for split in wanted):
        held = ", ".join(f"{source} ({opened.manifests[source].task})" for source in opened.sources)
        raise UsageError(f"Nothing to export as {to.name}: {opened.path} holds {held}.")
    return Selection(tuple(dict.fromkeys(chosen)), wanted, tuple(left_out))


def walk(opened: Corpus, selection: Selection) -> Iterator[tuple[dict[str, Any], str]]:
    """Rows with all their columns and what the corpus decided, each with its file stem: split by split, by source."""
    names = Names(opened)
    for split in selection.splits:
        for source in selection.sources:
            task = opened.manifests[source].task
            wanted = [*(column.name for column in schema.columns(task)), *DECIDED]
            for row in opened.rows(task, split, wanted, source):
                yield row, names.stem(row["sample_id"])


class Names:
    """File stems of a corpus: plain ASCII, and never two alike, not even where case does not count.

    A stem depends on the corpus alone, not on what is selected. Eight bytes of memory per row.
    """

    def __init__(self, opened: Corpus) -> None:
        tables = (table for source in opened.sources for table in opened.index_of(source, ["sample_id"]))
        ids = (sample_id for table in tables for sample_id in table["sample_id"].to_pylist())
        found, counts = np.unique(
            np.fromiter((_digest(plain(sample_id).lower()) for sample_id in ids), np.uint64), return_counts=True
        )
        self._shared = frozenset(found[counts > 1].tolist())

    def stem(self, sample_id: str) -> str:
        """Stem of a row's files."""
        stem = plain(sample_id)
        is_alone = _digest(stem.lower()) not in self._shared and len(stem) <= MAX_STEM
        return stem if is_alone else f"{stem[:MAX_STEM]}-{_digest(sample_id):016x}"


def plain(sample_id: str) -> str:
    """A sample id as one path component: `bccd/BloodImage_00001` -> `bccd__BloodImage_00001`."""
    return _UNSAFE.sub("_", sample_id.replace("/", "__"))


def _digest(text: str) -> int:
    return xxhash.xxh3_64_intdigest(text.encode())
