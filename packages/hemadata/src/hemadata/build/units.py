"""Doing one unit: references in, shards and the record that says it is done out."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from hemadata import prompts, sources
from hemadata.build.assign import Assigned
from hemadata.build.images import Check
from hemadata.build.records import UnitRecord
from hemadata.build.rows import Row, RowMaker
from hemadata.build.shards import Place, write_unit
from hemadata.quarantine import Quarantined
from hemadata.sources.base import Ref


@dataclass(frozen=True, slots=True)
class UnitTask:
    """Everything that another process, or another machine, needs to do a unit."""

    source: str
    corpus: Path
    bucket: int
    key: str
    refs: list[Ref]
    assigned: dict[str, Assigned]
    check: Check
    prompt: str | None
    phantom: int | None


@contextmanager
def collector_paused() -> Iterator[None]:
    """No cyclic garbage collection meanwhile: rows hold no cycles, and looking for them costs a sixth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def memory_given_back() -> Iterator[None]:
    """Arrow's memory from the system meanwhile: its own pool keeps what is freed, a third more at the peak."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


@collector_paused()
@memory_given_back()
def run_unit(task: UnitTask) -> UnitRecord:
    """Do one unit; safe to do again at any time, with the same bytes."""
    source = sources.get(task.source)
    maker = RowMaker(source, task.check, prompts.get(task.prompt) if task.prompt else None, task.phantom)
    by_split: dict[str, list[Ref]] = {}
    for ref in task.refs:
        by_split.setdefault(task.assigned[f"{task.source}/{ref.key}"].split, []).append(ref)
    quarantine: list[Quarantined] = []

    def rows_of(split: str) -> Iterator[Row]:
        for ref in by_split.get(split, []):
            row, found = maker.make(ref)
            quarantine.extend(found)
            if row is not None:
                yield row

    place = Place(task.corpus, task.source, source.facts.task, task.bucket)
    return write_unit(place, task.key, task.assigned, rows_of, quarantine)
