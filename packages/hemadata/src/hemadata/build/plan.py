"""The plan of a source: its references in a fixed order, cut into units that do not depend on who works on them."""

import json
import marshal
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from sys import intern
from typing import Any

import xxhash

from hemadata import schema
from hemadata.build.dealing import HELD, Brief, Dealing, Unit
from hemadata.errors import FormatError, HemaError, LayoutError, UnknownLabelError
from hemadata.formats.rawtree import RawFile
from hemadata.quarantine import REASONS, Quarantined
from hemadata.sources.base import Raw, Ref, Source

UNIT_BYTES = 256 << 20
UNIT_IMAGES = 256
UNITS_BY_COUNT = 16  # beyond that, bytes make more units, and
UNIT_MOST = 2048  # images: what a unit holds in memory must not grow with the source


@dataclass(slots=True)
class Plan:
    """Everything that a build of one source will do, made before any image is opened."""

    source: Source
    buckets: int
    units: list[Unit]
    problems: list[Quarantined]
    versions: frozenset[str] = frozenset()

    @property
    def refs(self) -> Iterator[Ref]:
        """All references, unit by unit."""
        return (ref for unit in self.units for ref in unit.refs)

    @property
    def images(self) -> int:
        """Number of images planned."""
        return sum(len(unit.refs) for unit in self.units)

    def briefs(self) -> Iterator[Brief]:
        """What the assignment asks of each reference, in the same order."""
        return (brief for unit in self.units for brief in unit.briefs())


@dataclass(slots=True)
class _Seen:
    """What is known of all references when the last one has come."""

    bytes: int = 0
    versions: set[str] = field(default_factory=set)
    labels: dict[str | None, str] = field(default_factory=dict)  # the first image that has each
    fine: dict[str | None, str] = field(default_factory=dict)

    def add(self, ref: Ref, version: str) -> None:
        self.bytes += ref.image.size
        self.versions.add(ref.about.get("source_version", version))
        self.fine.setdefault(ref.label_fine_raw, ref.image.name)
        self.labels.setdefault(ref.label_raw, ref.image.name)
        for word in ref.objects.words() if ref.objects else ():
            self.labels.setdefault(word, ref.image.name)


def make_plan(source: Source, raw: Raw, limit: int | None = None) -> Plan:
    """Index the raw tree and cut it into units.

    Args:
        source: what to plan.
        raw: its scanned folders.
        limit: only the first so many images, in the reader's order.

    Raises:
        HemaError: the layout is not the published one, a key comes twice, or a raw label is not in the map.
    """
    dealing, seen = Dealing(source.name), _Seen()
    try:
        for ref in _lean(islice(source.index(raw), limit)):
            dealing.add(ref)
            seen.add(ref, source.facts.version)
    except LayoutError as error:
        raise LayoutError(" ".join([str(error), *_where_to_change(source, error), *_advice(raw)])) from error
    except (HemaError, OSError):
        raise
    except Exception as error:  # a reader met what nobody has seen in these data: no reason for a traceback
        raise FormatError(f"{raw.own.root}: {_stopped(source, error)}") from error
    buckets = _bucket_count(len(dealing), seen.bytes)
    units = dealing.units(buckets)
    _refuse_doubles(source, units)
    _refuse_unknown_labels(source, seen)
    for tree in raw.trees.values() if len(raw.trees) == 1 else [raw.own]:
        for file in tree.junk:
            raw.problem(file, "", "junk_file", f"{file.size} bytes")
        for name, why in tree.left_out:
            raw.problem(name, "", "left_out", why)
    if not units:
        found = f"{raw.own.root}: no image of {source.name} was found there; see hemadata sources show {source.name}."
        raise HemaError(" ".join([found, *_most_common(raw.problems), *_advice(raw)]))
    return Plan(source, buckets, units, raw.problems, frozenset(seen.versions))


def _lean(refs: Iterable[Ref]) -> Iterator[Ref]:
    """The same references, of which those that say the same hold it once: there may be hundreds of thousands."""
    once: dict[Any, Any] = {}
    for ref in refs:
        if len(once) > HELD:  # they say nothing that is the same
            once.clear()
        if ref.group is not None:
            ref.group = intern(ref.group)
        if ref.label_raw is not None:
            ref.label_raw = intern(ref.label_raw)
        said = tuple(ref.about.items())
        if all(isinstance(value, str | None) for _, value in said):
            ref.about = once.setdefault(said, ref.about)
        yield ref


def _advice(raw: Raw) -> list[str]:
    return [advice for tree in raw.trees.values() if (advice := tree.advice())]


def _where_to_change(source: Source, error: LayoutError) -> list[str]:
    """The place of the reader, for a message that names none."""
    if source.is_foreign or any(f" {folder}/" in str(error) for folder in ("sources", "formats")):
        return []
    return [f"If a release has another layout, change index() in sources/{source.name.replace('-', '_')}.py."]


def _most_common(problems: list[Quarantined]) -> list[str]:
    """What befell most files, with the first of them."""
    counts = Counter(problem.reason for problem in problems if problem.severity != "ignored")
    for reason, count in counts.most_common(1):
        first = next(problem for problem in problems if problem.reason == reason)
        return [f"{count:,} times {REASONS[reason][1]}, first {first.file}: {first.detail}."]
    return []


def _stopped(source: Source, error: Exception) -> str:
    """What a person reads, and whoever repairs the reader."""
    at = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"the reader of {source.name} stopped: {type(error).__name__}: {error} ({at.filename}, line {at.lineno}). "
        "A file is not as published, or the reader has a gap: compare it with the archive, or report this line."
    )


def unit_key(plan: Plan, refs: Iterable[Ref], options: dict[str, str]) -> str:
    """Hash of everything that decides what a unit's rows say: inputs, TOML, schema, options.

    Args:
        plan: of the source.
        refs: of one of its units.
        options: build options that change rows.
    """
    digest = xxhash.xxh3_128(plan.source.toml)
    digest.update(json.dumps([schema.SCHEMA_VERSION, options], sort_keys=True).encode())
    for ref in refs:
        # marshal's version 2 has no back references: equal facts give equal bytes, at a tenth of the cost of JSON.
        digest.update(marshal.dumps(_facts(ref), 2))
    return digest.hexdigest()


def _facts(ref: Ref) -> tuple[Any, ...]:
    # Names and stamps, not absolute paths: a raw tree may move.
    files = [(file.name, file.size, file.stamp) for file in (ref.image, ref.mask) if isinstance(file, RawFile)]
    boxes = None
    if (found := ref.objects) is not None:
        columns = found.labels, found.attributes, found.source_ids, found.ratings, found.flags
        boxes = found.numbers.tobytes(), *columns, ref.objects_shown
    plain = (ref.key, ref.label_raw, ref.label_fine_raw, ref.attributes, ref.group, ref.split_upstream, ref.split_paper)
    return (*plain, ref.flags, files, boxes, sorted(ref.about.items()))


def _bucket_count(images: int, size: int) -> int:
    wanted = max(-(-size // UNIT_BYTES), min(UNITS_BY_COUNT, -(-images // UNIT_IMAGES)), images // UNIT_MOST, 1)
    return 1 << (wanted - 1).bit_length()


def _refuse_doubles(source: Source, units: list[Unit]) -> None:
    for unit in units:
        counts = Counter(brief.key for brief in unit.briefs())
        if len(counts) < len(unit.refs):
            ((key, _),) = counts.most_common(1)
            first, second, *_ = (ref.image.name for ref in unit.refs if ref.key == key)
            raise HemaError(
                f'{source.name}: two files have the key "{key}": {first} and {second}. '
                "Keep one of them, or two versions of the archive are mixed."
            )


def _refuse_unknown_labels(source: Source, seen: _Seen) -> None:
    """Every raw label must be in the map before any work is done; all unknown ones are told at once."""
    unknown = []
    for named, labels in ((seen.labels, source.label_map()), (seen.fine, source.fine_map())):
        for raw in sorted(name for name in named if name is not None):
            try:
                labels.resolve(raw)
            except UnknownLabelError as error:
                unknown.append(f"{error} First seen at {named[raw]}.")
    if unknown:
        table = f"packages/hemadata/src/hemadata/sources/{source.name}.toml"
        raise UnknownLabelError("\n".join([*unknown, f"If the label is right, add it to [labels] of {table}."]))


def plan_summary(plan: Plan) -> dict[str, object]:
    """What `--dry-run` prints."""
    size = objects = 0
    for ref in plan.refs:
        size += ref.image.size
        objects += len(ref.objects or ())
    return {
        "images": plan.images,
        "bytes": size,
        "units": len(plan.units),
        "objects": objects,
        "problems": [asdict(p) for p in plan.problems],
    }
