"""The plan of a source: its references in a fixed order, cut into units that do not depend on who works on them."""

import json
import marshal
import traceback
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from sys import intern
from typing import Any

import xxhash

from hemadata import schema
from hemadata.errors import FormatError, HemaError, LayoutError, UnknownLabelError
from hemadata.formats.rawtree import RawFile
from hemadata.quarantine import REASONS, Quarantined
from hemadata.sources.base import Raw, Ref, Source

UNIT_BYTES = 256 << 20
UNIT_IMAGES = 256
UNITS_BY_COUNT = 16  # beyond that, bytes make more units, and
UNIT_MOST = 4096  # images: what a unit holds in memory must not grow with the source


@dataclass(slots=True)
class Unit:
    """A bucket of the plan: the references whose hash begins with its number, in hash order."""

    bucket: int
    refs: list[Ref]


@dataclass(slots=True)
class Plan:
    """Everything that a build of one source will do, made before any image is opened."""

    source: Source
    buckets: int
    units: list[Unit]
    problems: list[Quarantined]

    @property
    def refs(self) -> Iterable[Ref]:
        """All references, unit by unit."""
        return (ref for unit in self.units for ref in unit.refs)

    @property
    def images(self) -> int:
        """Number of images planned."""
        return sum(len(unit.refs) for unit in self.units)

    @property
    def bytes(self) -> int:
        """Bytes of the image files."""
        return sum(ref.image.size for ref in self.refs)


def make_plan(source: Source, raw: Raw, limit: int | None = None) -> Plan:
    """Index the raw tree and cut it into units.

    Args:
        source: what to plan.
        raw: its scanned folders.
        limit: only the first so many images, in the reader's order.

    Raises:
        HemaError: the layout is not the published one, a key comes twice, or a raw label is not in the map.
    """
    try:
        refs = list(_lean(islice(source.index(raw), limit)))
    except LayoutError as error:
        raise LayoutError(" ".join([str(error), *_where_to_change(source, error), *_advice(raw)])) from error
    except (HemaError, OSError):
        raise
    except Exception as error:  # a reader met what nobody has seen in these data: no reason for a traceback
        raise FormatError(f"{raw.own.root}: {_stopped(source, error)}") from error
    _refuse_doubles(source, refs)
    _refuse_unknown_labels(source, refs)
    for tree in raw.trees.values() if len(raw.trees) == 1 else [raw.own]:
        for file in tree.junk:
            raw.problem(file, "", "junk_file", f"{file.size} bytes")
        for name, why in tree.left_out:
            raw.problem(name, "", "left_out", why)
    if not refs:
        found = f"{raw.own.root}: no image of {source.name} was found there; see hemadata sources show {source.name}."
        raise HemaError(" ".join([found, *_most_common(raw.problems), *_advice(raw)]))
    buckets = _bucket_count(len(refs), sum(ref.image.size for ref in refs))
    hashed: dict[int, list[tuple[int, Ref]]] = defaultdict(list)
    for ref in refs:
        sample_id = f"{source.name}/{ref.key}"
        hashed[bucket_of(sample_id, buckets)].append((hash_of(sample_id), ref))
    units = [Unit(b, [ref for _, ref in sorted(hashed[b], key=lambda pair: pair[0])]) for b in sorted(hashed)]
    return Plan(source, buckets, units, raw.problems)


def _lean(refs: Iterable[Ref]) -> Iterator[Ref]:
    """The same references, of which those that say the same hold it once: there may be hundreds of thousands."""
    once: dict[Any, Any] = {}
    for ref in refs:
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


def hash_of(sample_id: str) -> int:
    """64-bit hash that orders the rows of a corpus and deals them out to buckets."""
    return xxhash.xxh3_64_intdigest(sample_id.encode())


def bucket_of(sample_id: str, buckets: int) -> int:
    """Bucket of a row: the leading bits of its hash.

    Args:
        sample_id: key of the row.
        buckets: how many there are, a power of two.
    """
    return hash_of(sample_id) >> (64 - (buckets - 1).bit_length())


def unit_key(plan: Plan, unit: Unit, options: dict[str, str]) -> str:
    """Hash of everything that decides what a unit's rows say: inputs, TOML, schema, options.

    Args:
        plan: of the source.
        unit: one of its units.
        options: build options that change rows.
    """
    digest = xxhash.xxh3_128(plan.source.toml)
    digest.update(json.dumps([schema.SCHEMA_VERSION, options], sort_keys=True).encode())
    for ref in unit.refs:
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


def _refuse_doubles(source: Source, refs: list[Ref]) -> None:
    seen: dict[str, Ref] = {}
    for ref in refs:
        if (first := seen.setdefault(ref.key, ref)) is not ref:
            raise HemaError(
                f'{source.name}: two files have the key "{ref.key}": {first.image.name} and {ref.image.name}. '
                "Keep one of them, or two versions of the archive are mixed."
            )


def _refuse_unknown_labels(source: Source, refs: list[Ref]) -> None:
    """Every raw label must be in the map before any work is done; all unknown ones are told at once."""
    named: dict[bool, set[str | None]] = {False: set(), True: set()}
    for ref in refs:
        named[False].add(ref.label_raw)
        named[True].add(ref.label_fine_raw)
        if ref.objects:
            named[False].update(ref.objects.words())
    unknown = []
    for is_fine, labels in ((False, source.label_map()), (True, source.fine_map())):
        for raw in sorted(name for name in named[is_fine] if name is not None):
            try:
                labels.resolve(raw)
            except UnknownLabelError as error:
                first = next(ref for ref in refs if raw in _raw_labels(ref, is_fine))
                unknown.append(f"{error} First seen at {first.image.name}.")
    if unknown:
        table = f"packages/hemadata/src/hemadata/sources/{source.name}.toml"
        raise UnknownLabelError("\n".join([*unknown, f"If the label is right, add it to [labels] of {table}."]))


def _raw_labels(ref: Ref, is_fine: bool) -> set[str | None]:
    return {ref.label_fine_raw} if is_fine else {ref.label_raw, *(ref.objects.words() if ref.objects else ())}


def plan_summary(plan: Plan) -> dict[str, object]:
    """What `--dry-run` prints."""
    return {
        "images": plan.images,
        "bytes": plan.bytes,
        "units": len(plan.units),
        "objects": sum(len(ref.objects or ()) for ref in plan.refs),
        "problems": [asdict(p) for p in plan.problems],
    }
