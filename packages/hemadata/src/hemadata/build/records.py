"""What a build remembers: a record per finished unit, and one manifest per source."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import xxhash

from hemadata.atomic import temporary_name, write_text
from hemadata.errors import CorpusError
from hemadata.quarantine import Quarantined


@dataclass(slots=True)
class Shard:
    """One file of a unit. `rows_digest` tells whether it says the same, `xxh3` whether it is the same file."""

    path: str
    split: str
    rows: int
    bytes: int
    xxh3: str
    rows_digest: str


@dataclass(slots=True)
class UnitRecord:
    """A finished unit: written last, after its shards.

    Args:
        bucket: number of the unit.
        key: hash of its inputs.
        placed: hash of what the corpus decided about its rows.
        objects: annotated objects in its rows.
        shards: its files.
        quarantine: what was withheld or repaired.
    """

    bucket: int
    key: str
    placed: str
    objects: int
    shards: list[Shard]
    quarantine: list[Quarantined]

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> "UnitRecord":
        """Read back what `asdict` wrote."""
        shards = [Shard(**shard) for shard in record["shards"]]
        quarantine = [Quarantined(**{k: entry[k] for k in Quarantined.__slots__}) for entry in record["quarantine"]]
        return cls(record["bucket"], record["key"], record["placed"], record["objects"], shards, quarantine)

    def write(self, path: Path) -> None:
        """Leave the record where `finish` and a later run find it: the unit is done. No folder is made for it."""
        temporary = temporary_name(path)
        temporary.write_text(json.dumps(asdict(self), ensure_ascii=False), encoding="utf-8")
        temporary.replace(path)


@dataclass(slots=True)
class Manifest:
    """Everything about one source of a corpus: `manifest/<source>.json`."""

    source: str
    task: str
    source_version: str
    phantom: int | None
    images: int
    objects: int
    options: dict[str, str]
    buckets: int
    units: list[UnitRecord]
    problems: list[Quarantined] = field(default_factory=list)
    declared: dict[str, int] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def shards(self) -> list[Shard]:
        """All shards, unit by unit."""
        return [shard for unit in self.units for shard in unit.shards]

    @property
    def quarantine(self) -> list[Quarantined]:
        """Everything reported, by the plan and by the units, in a fixed order."""
        entries = [*self.problems, *(entry for unit in self.units for entry in unit.quarantine)]
        return sorted(entries, key=lambda e: (e.severity, e.reason, e.file, e.record))

    def write(self, corpus: Path) -> None:
        """Write `manifest/<source>.json` atomically."""
        write_text(manifest_path(corpus, self.source), json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")


def shard_path(task: str, source: str, split: str, bucket: int) -> str:
    """Place of a shard, relative to the corpus."""
    return f"data/{task}/{source}/{split}-{bucket:02x}.parquet"


def manifest_path(corpus: Path, source: str) -> Path:
    """Where the manifest of a source lies."""
    return corpus / "manifest" / f"{source}.json"


def read_manifest(corpus: Path, source: str) -> Manifest | None:
    """The manifest of a source, or None where it was never finished.

    Raises:
        CorpusError: the file is not a manifest of this schema.
    """
    path = manifest_path(corpus, source)
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["units"] = [UnitRecord.from_dict(unit) for unit in record["units"]]
        record["problems"] = [Quarantined(**entry) for entry in record["problems"]]
        return Manifest(**record)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorpusError(
            f"{path} is not a manifest of this version ({error}). Remove it and build {source} again."
        ) from error


def read_manifests(corpus: Path) -> list[Manifest]:
    """All manifests, by slug."""
    found = (
        read_manifest(corpus, path.stem)
        for path in sorted((corpus / "manifest").glob("*.json"), key=lambda path: path.stem)
    )
    return [manifest for manifest in found if manifest]


def file_hash(path: Path) -> str:
    """xxh3-128 hex of a file's bytes."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
