"""Plan -> units -> shards, for one source or many. Kill it anywhere and run again: only unfinished units are done."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hemadata import sources
from hemadata.build import finish
from hemadata.build.assign import assign, placement
from hemadata.build.attempts import state_folder
from hemadata.build.dealing import Unit
from hemadata.build.executors import Executor, executor
from hemadata.build.images import Check
from hemadata.build.plan import Plan, make_plan, plan_summary, unit_key
from hemadata.build.records import Manifest, UnitRecord, read_manifest
from hemadata.build.replace import replace_stale
from hemadata.build.units import UnitTask, collector_paused, memory_given_back, run_unit
from hemadata.errors import CorpusError, HemaError, UsageError
from hemadata.formats.spool import Spool, Tell
from hemadata.quarantine import WITHHELD, Quarantined, undeclared
from hemadata.sources.base import Source

PHANTOM_SEED = 0
Progress = Callable[[str, int, int], None]
"""Called with source, images done, images in all."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster to do the units on; None as address: `hemadata.build.cluster.Cluster` tells which."""

    address: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How a build is done; only `check` and `prompt` change what the rows say. On a cluster, 0 jobs are all it has."""

    check: Check = "full"
    jobs: int = 1
    limit: int | None = None
    phantom: int | None = None
    dry_run: bool = False
    prompt: str | None = None
    variant: str | None = None
    cluster: Cluster | None = None

    @property
    def of_rows(self) -> dict[str, str]:
        """The options that are part of a unit's key."""
        return {
            "check": self.check,
            "prompt": self.prompt or "",
            "phantom": "" if self.phantom is None else str(self.phantom),
        }


@dataclass(slots=True)
class Built:
    """What became of one source."""

    source: str
    task: str
    images: int = 0
    objects: int = 0
    shards: int = 0
    planned: int = 0
    units: int = 0
    units_done: int = 0
    quarantine: list[Quarantined] = field(default_factory=list)
    undeclared: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)  # followers whose rows went to the anchor's splits
    error: HemaError | None = None
    plan: dict[str, Any] | None = None

    @property
    def quarantined(self) -> int:
        """Images and boxes that were withheld."""
        return sum(entry.severity in WITHHELD for entry in self.quarantine)

    def as_dict(self) -> dict[str, Any]:
        """The object of `build --json`."""
        if self.plan is not None:
            return {key: value for key, value in self.plan.items() if key != "problems"} | {"dry_run": True}
        result: dict[str, Any] = {"images": self.images, "objects": self.objects, "quarantined": self.quarantined}
        result |= {"shards": self.shards, "undeclared": self.undeclared}
        return result | ({"error": str(self.error)} if self.error else {})


def build(
    names: Sequence[str],
    raw: Path | Sequence[Path],
    out: Path,
    options: Options | None = None,
    progress: Progress | None = None,
    tell: Tell = lambda line: None,
) -> list[Built]:
    """Build sources into a corpus, one after the other; a source that cannot be built does not stop the next.

    Args:
        names: slugs; an anchor of a family is built before those that follow it.
        raw: folder with one raw folder per slug, or several that are searched in order.
        out: folder of the corpus, made where it is not.
        options: how.
        progress: told of every finished unit.
        tell: told, in a line for a person, before an archive is unpacked, and what stays of it after an error.

    Raises:
        UsageError: a slug is not known, or no source has the variant; nothing was done.
    """
    options = options or Options()
    roots = [raw] if isinstance(raw, Path) else list(raw)
    if options.cluster:  # other machines know nothing of the folder that we are in
        roots, out = [root.absolute() for root in roots], out.absolute()
    wanted = sorted((sources.get(name) for name in dict.fromkeys(names)), key=_anchors_first)
    _refuse_unknown_variant(wanted, options.variant)
    results = []
    for source in wanted:
        try:
            with collector_paused(), memory_given_back():
                results.append(_build_one(source, roots, out, options, progress, tell))
            if source.facts.anchor == source.name and source.facts.family and not options.dry_run:
                results[-1].moved = replace_stale(out, source.facts.family, besides=source.name)
        except HemaError as error:
            results.append(Built(source.name, source.facts.task, error=error))
        except OSError as error:  # a file that cannot be read, a full disk
            told = HemaError(f"{source.name}: {error.filename or out}: {error.strerror or error}")
            results.append(Built(source.name, source.facts.task, error=told))
    return results


def _refuse_unknown_variant(wanted: Sequence[Source], variant: str | None) -> None:
    known = sorted({name for source in wanted for name in source.facts.variants})
    if variant is not None and variant not in known:
        raise UsageError(f"--variant {variant}: the sources asked for have {', '.join(known) or 'no variants'}.")


def _anchors_first(source: Source) -> bool:
    return source.facts.anchor not in (None, source.name)


def _build_one(
    source: Source, roots: Sequence[Path], out: Path, options: Options, progress: Progress | None, tell: Tell
) -> Built:
    if options.dry_run:
        with tempfile.TemporaryDirectory() as folder:
            phantom = draw_phantom(source, Path(folder) / "phantom", options)
            spool = Spool(Path(folder) / "spool", tell)
            plan = _plan(source, [phantom] if phantom else roots, spool, options)
            return Built(source.name, source.facts.task, plan=plan_summary(plan), quarantine=plan.problems)
    (out / "manifest").mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(out / "manifest" / f".{source.name}.lock", timeout=0):
            phantom = draw_phantom(source, out / ".building" / f"{source.name}-phantom", options)
            spool = Spool(out / ".building" / f"{source.name}-spool", tell)
            try:
                plan = _plan(source, [phantom] if phantom else roots, spool, options)
                built = _run(plan, out, options, progress, spool)
                spool.remove()
                return built
            finally:
                if spool.folder.exists():
                    tell(f"{spool.folder} keeps what was unpacked for the next run; remove it if there is none.")
                if phantom:
                    shutil.rmtree(phantom)
                    with contextlib.suppress(OSError):  # another source may still be at work there
                        phantom.parent.rmdir()
    except Timeout as error:
        raise CorpusError(
            f"{source.name} is being built into {out} by another process. Wait for it, or use another --out."
        ) from error


def _plan(source: Source, roots: Sequence[Path], spool: Spool, options: Options) -> Plan:
    return make_plan(source, source.open_raw(roots, spool, options.variant), options.limit)


def draw_phantom(source: Source, folder: Path, options: Options) -> Path | None:
    """Draw a raw tree of n images into a folder; equal calls give equal trees, file times included."""
    if options.phantom is None:
        return None
    if options.phantom < 1:
        raise UsageError(f"--phantom {options.phantom}: at least one image is drawn.")
    shutil.rmtree(folder, ignore_errors=True)
    source.draw(folder, options.phantom, PHANTOM_SEED)
    for path in folder.rglob("*"):
        os.utime(path, ns=(0, 0))
    return folder


def _run(plan: Plan, out: Path, options: Options, progress: Progress | None, spool: Spool) -> Built:
    source, name = plan.source, plan.source.name
    old = read_manifest(out, name)
    if old and (old.phantom is None) != (options.phantom is None):
        held, asked = ("real data", "a phantom") if old.phantom is None else ("a phantom", "real data")
        raise CorpusError(
            f"{out} holds {held} of {name}; {asked} would replace them. Use another --out, or remove {out} first."
        )
    assigned = assign(out, plan)
    units = {unit.bucket: unit for unit in plan.units}

    def task_of(bucket: int) -> UnitTask:
        refs = list(units[bucket].refs)
        return UnitTask(
            source=name,
            corpus=out,
            bucket=bucket,
            key=unit_key(plan, refs, options.of_rows),
            refs=refs,
            assigned={f"{name}/{ref.key}": assigned[f"{name}/{ref.key}"] for ref in refs},
            check=options.check,
            prompt=options.prompt,
            phantom=options.phantom,
        )

    def facts_of(bucket: int) -> tuple[str, str]:
        task = task_of(bucket)
        return task.key, placement(task.assigned)

    done = finish.finished_units(out, name, units, facts_of, old)
    due = [unit for unit in plan.units if unit.bucket not in done]
    tasks = (task_of(unit.bucket) for unit in due)
    if due:
        spool.fill()
        state_folder(out, name).mkdir(parents=True, exist_ok=True)
    records = [*done.values(), *_do(tasks, due, plan, out, options, progress)]
    manifest = Manifest(
        source=name,
        task=source.facts.task,
        source_version=_version(plan) if options.phantom is None else f"phantom-{options.phantom}",
        phantom=options.phantom,
        images=sum(shard.rows for record in records for shard in record.shards),
        objects=sum(record.objects for record in records),
        options=options.of_rows,
        buckets=plan.buckets,
        units=sorted(records, key=lambda record: record.bucket),
        problems=plan.problems,
        declared=source.facts.defects,
        facts=source.facts.model_dump(mode="json"),
    )
    finish.finish(out, manifest, old)
    return Built(
        source=name,
        task=manifest.task,
        images=manifest.images,
        objects=manifest.objects,
        shards=len(manifest.shards),
        planned=plan.images,
        units=len(plan.units),
        units_done=len(due),
        quarantine=manifest.quarantine,
        undeclared=undeclared(manifest.quarantine, source.facts.defects),
    )


def _version(plan: Plan) -> str:
    """Version of the rows: that of the facts page, or the one that the reader found."""
    return " and ".join(sorted(plan.versions))


def _workers(units: int, plan: Plan, out: Path, options: Options) -> Executor:
    if not options.cluster or not units:
        return executor(min(options.jobs, units))
    from hemadata.build import cluster, sight

    seen = sight.Sight.of(state_folder(out, plan.source.name), plan.source.name, plan.refs, plan.images)
    try:
        return cluster.Cluster(options.cluster.address, options.jobs, seen)
    except BaseException:
        seen.close()
        raise


def _do(
    tasks: Iterator[UnitTask], due: list[Unit], plan: Plan, out: Path, options: Options, progress: Progress | None
) -> list[UnitRecord]:
    """Run the tasks of the units that are due; tells progress in images."""
    sizes = {unit.bucket: len(unit.refs) for unit in due}
    so_far = plan.images - sum(sizes.values())
    if progress:
        progress(plan.source.name, so_far, plan.images)
    workers = _workers(len(due), plan, out, options)
    records: list[UnitRecord] = []
    try:
        for task in islice(tasks, workers.room):
            workers.submit(run_unit, task)
        for record in workers.wait():
            assert isinstance(record, UnitRecord)
            records.append(record)
            for task in islice(tasks, 1):
                workers.submit(run_unit, task)
            so_far += sizes[record.bucket]
            if progress:
                progress(plan.source.name, so_far, plan.images)
    finally:
        workers.cancel()
    return records
