"""`hemadata check`: reads a corpus as a stranger would, and lists every way in which it breaks its own contract."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hemadata import schema
from hemadata.audit.leakage import read_pairs
from hemadata.audit.pictures import CROP
from hemadata.build.assign import read_assignment
from hemadata.build.digest import rows_digest
from hemadata.build.images import Check, look
from hemadata.build.parquet import IMAGE_LEAVES
from hemadata.build.records import Manifest, Shard, file_hash
from hemadata.build.shards import INDEX_SCHEMA
from hemadata.corpus import Corpus
from hemadata.errors import DefectError, HemaError, UnknownNodeError
from hemadata.formats.pictures import decode, open_picture

MAX_ROW_GROUP = 100 << 20  # bytes; above it, viewers and streaming readers suffer
ROUNDING = 1e-3  # pixels: boxes are float32, their far edge may round up


@dataclass(frozen=True, slots=True)
class Finding:
    """One breach: which rule, which file or record, what was found."""

    rule: str
    where: str
    found: str


@dataclass(slots=True)
class Report:
    """What a check has read and found."""

    sources: int = 0
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, rule: str, where: str, found: str) -> None:
        """Note a breach."""
        self.findings.append(Finding(rule, where, found))


def check(path: Path, depth: Check = "full", progress: Callable[[str, int, int], None] | None = None) -> Report:
    """Check a whole corpus.

    Args:
        path: its folder.
        depth: `full` decodes every image and mask, `header` reads their headers, `none` only tables.
        progress: told (source, rows so far, rows in all).

    Raises:
        InputMissingError: there is no corpus.
    """
    with Corpus(path) as corpus:
        report = Report()
        total = sum(manifest.images for manifest in corpus.manifests.values())
        indexed = all([_check_index(corpus, manifest, report) for manifest in corpus.manifests.values()])
        for manifest in corpus.manifests.values():
            report.sources += 1
            for shard in manifest.shards:
                if _check_file(corpus, shard, report) and indexed:
                    _try_rows(corpus, manifest, shard, depth, report)
                report.rows += shard.rows
                if progress:
                    progress(manifest.source, report.rows, total)
        _check_stray_files(corpus, report)
        if indexed:
            _check_decisions(corpus, report)
        return report


def _check_file(corpus: Corpus, shard: Shard, report: Report) -> bool:
    """The file is there and is the one that was written."""
    path = corpus.path / shard.path
    if not path.exists():
        report.add("shard-missing", shard.path, "named by the manifest, not there")
        return False
    if file_hash(path) != shard.xxh3:
        report.add("shard-changed", shard.path, "its hash is not the manifest's")
    try:
        return bool(pq.read_metadata(path).num_rows == shard.rows)
    except (pa.ArrowException, OSError) as error:  # Arrow tells a broken footer as an OSError
        report.add("shard-unreadable", shard.path, str(error))
        return False


def _try_rows(corpus: Corpus, manifest: Manifest, shard: Shard, depth: Check, report: Report) -> None:
    try:
        _check_rows(corpus, manifest, shard, depth, report)
    except HemaError:
        raise
    except Exception as error:  # a broken page may end in a dozen kinds of error
        report.add("shard-unreadable", shard.path, f"{type(error).__name__}: {error}")


def _check_rows(corpus: Corpus, manifest: Manifest, shard: Shard, depth: Check, report: Report) -> None:
    file = pq.ParquetFile(corpus.path / shard.path)
    if not file.schema_arrow.equals(schema.arrow_schema(manifest.task)):
        report.add("schema", shard.path, f"columns differ from schema {schema.SCHEMA_VERSION}")
        return
    _check_layout(file, shard, report)
    places = _places(corpus, shard.path)
    descriptor = os.open(corpus.path / shard.path, os.O_RDONLY)

    def groups() -> Iterator[pa.Table]:
        position = 0
        for number in range(file.num_row_groups):
            table = file.read_row_group(number)
            for row in table.to_pylist():
                _check_row(corpus, manifest, row, depth, report)
                _check_place(descriptor, row, places, position, report)
                position += 1
            yield table

    try:
        if rows_digest(groups()) != shard.rows_digest:
            report.add("rows-changed", shard.path, "its rows_digest is not the manifest's")
    finally:
        os.close(descriptor)


def _check_layout(file: pq.ParquetFile, shard: Shard, report: Report) -> None:
    """Image bytes are plain, every row group is small enough."""
    meta = file.metadata
    for number in range(meta.num_row_groups):
        group = meta.row_group(number)
        if group.total_byte_size > MAX_ROW_GROUP and group.num_rows > 1:
            report.add("row-group", shard.path, f"row group {number} has {group.total_byte_size:,} bytes")
        for column in (group.column(c) for c in range(group.num_columns)):
            if column.path_in_schema in IMAGE_LEAVES and column.compression != "UNCOMPRESSED":
                report.add("layout", shard.path, f"{column.path_in_schema} is compressed: pread cannot read it")


def _places(corpus: Corpus, file: str) -> list[dict[str, Any]]:
    index = corpus.index.filter(pc.equal(corpus.index["file"], file))
    places: list[dict[str, Any]] = index.select(
        [
            *(column.name for column in schema.COLUMNS if column.is_scalar),
            "offset",
            "length",
            "mask_offset",
            "mask_length",
        ]
    ).to_pylist()
    return places


def _check_place(
    descriptor: int, row: dict[str, Any], places: list[dict[str, Any]], position: int, report: Report
) -> None:
    """The index names this row at this position, and its bytes lie where it says."""
    sample_id = row["sample_id"]
    if position >= len(places) or places[position]["sample_id"] != sample_id:
        report.add("index", sample_id, "the index has another row at its place")
        return
    place = places[position]
    for name, value in place.items():
        if name in row and row[name] != value:
            report.add("index", sample_id, f"{name} is {value!r} there and {row[name]!r} in the shard")
    if not _lies(descriptor, place["offset"], place["length"], row["image"]["bytes"]):
        report.add("offset", sample_id, f"byte {place['offset']} of the shard is not its image")
    mask = row.get("mask")
    if mask and not _lies(descriptor, place["mask_offset"], place["mask_length"], mask["bytes"]):
        report.add("offset", sample_id, f"byte {place['mask_offset']} of the shard is not its mask")


def _lies(descriptor: int, offset: int | None, length: int | None, data: bytes) -> bool:
    return offset is not None and length == len(data) and os.pread(descriptor, length, offset) == data


def _check_row(corpus: Corpus, manifest: Manifest, row: dict[str, Any], depth: Check, report: Report) -> None:
    sample_id, size = row["sample_id"], (row["width"], row["height"])
    if not sample_id.startswith(f"{manifest.source}/") or row["source"] != manifest.source:
        report.add("source", sample_id, f"lies among the rows of {manifest.source}")
    if depth != "none":
        _check_image(row, depth, report)
    for label, raw in [(row["label"], row["label_raw"])] + [
        (o["label"], o["label_raw"]) for o in row.get("objects") or ()
    ]:
        if label is not None:
            _check_label(corpus, sample_id, label, raw, report)
    for number, entry in enumerate(row.get("objects") or ()):
        x, y, w, h = entry["bbox"]
        if not (x >= 0 and y >= 0 and w > 0 and h > 0 and x + w <= size[0] + ROUNDING and y + h <= size[1] + ROUNDING):
            report.add("box", sample_id, f"object {number}: {entry['bbox']} in an image of {size[0]} x {size[1]}")
    if depth == "full" and row.get("mask"):
        _check_mask(row, report)


def _check_image(row: dict[str, Any], depth: Check, report: Report) -> None:
    try:
        picture = look(row["image"]["bytes"], depth)
    except DefectError as defect:
        report.add("image", row["sample_id"], str(defect))
        return
    if picture.size != (row["width"], row["height"]):
        report.add("size", row["sample_id"], f"decodes to {picture.size}, columns say {row['width']} x {row['height']}")
    if depth == "full" and row["pixel_hash"] not in (None, picture.pixel_hash):
        report.add("pixels", row["sample_id"], "the decoded pixels do not have the row's pixel_hash")


def _check_label(corpus: Corpus, sample_id: str, label: str, raw: str | None, report: Report) -> None:
    if raw is None:
        report.add("label", sample_id, f"{label} has no raw label beside it")
    try:
        if corpus.ontology.node(label).name != label:
            report.add("label", sample_id, f"{label} is an alias; rows hold the node's own name")
    except UnknownNodeError:
        report.add("label", sample_id, f"{label} is no node of the corpus' ontology")


def _check_mask(row: dict[str, Any], report: Report) -> None:
    mask = decode(open_picture(row["mask"]["bytes"], "unreadable_mask"), "unreadable_mask")
    if mask.mode != "P" or mask.size != (row["width"], row["height"]):
        report.add(
            "mask", row["sample_id"], f"mode {mask.mode}, size {mask.size}; a palette PNG of the image's size is due"
        )
        return
    counts = np.bincount(np.asarray(mask).ravel(), minlength=256)
    declared = {entry["value"]: entry["pixels"] for entry in row["mask_classes"]}
    found = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    if found != {value: pixels for value, pixels in declared.items() if pixels}:
        report.add("mask", row["sample_id"], f"holds {found}, mask_classes says {declared}")


def _check_index(corpus: Corpus, manifest: Manifest, report: Report) -> bool:
    """Whether the index file can be read; what else is wrong with it is reported."""
    path = corpus.path / "index" / f"{manifest.source}.parquet"
    try:
        rows = pq.read_table(path, schema=INDEX_SCHEMA).num_rows
    except (pa.ArrowException, OSError) as error:
        report.add("index", manifest.source, f"has no index that can be read ({error}): build it again")
        return False
    if rows != manifest.images:
        report.add("index", manifest.source, f"{rows} index rows for {manifest.images} images")
    elif not pq.read_schema(path).equals(INDEX_SCHEMA):
        report.add("schema", f"index/{manifest.source}.parquet", f"columns differ from schema {schema.SCHEMA_VERSION}")
    return True


def _check_stray_files(corpus: Corpus, report: Report) -> None:
    named = {shard.path for manifest in corpus.manifests.values() for shard in manifest.shards}
    for path in sorted((corpus.path / "data").rglob("*.parquet")):
        if (name := path.relative_to(corpus.path).as_posix()) not in named:
            report.add("shard-unknown", name, "no manifest names it; an interrupted build left it: run the build again")


def _check_decisions(corpus: Corpus, report: Report) -> None:
    """Every row is unique and assigned, lies where it is assigned to, and no group straddles the splits."""
    index, assigned = corpus.index, read_assignment(corpus.path)
    counts = pc.value_counts(index["sample_id"])
    for entry in counts.filter(pc.greater(counts.field("counts"), 1)).to_pylist():
        report.add("unique", entry["values"], f"{entry['counts']} rows have this sample_id")
    names = ("sample_id", "split", "group_id")
    split_of, group_of = {}, {}
    for sample_id, split, group in zip(*(assigned[name].to_pylist() for name in names), strict=True):
        split_of[sample_id], group_of[sample_id] = split, group
    joined: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    columns = ("sample_id", "split", "group_id", "dup_cluster", "file")
    for sample_id, split, group, cluster, file in zip(*(index[name].to_pylist() for name in columns), strict=True):
        if split_of.get(sample_id) != split or not file.rpartition("/")[2].startswith(f"{split}-"):
            report.add("split", sample_id, f"lies in {file}, assigned to {split_of.get(sample_id)}")
        if group_of.get(sample_id) != group:
            report.add(
                "group", sample_id, f"is of {group} in the index, of {group_of.get(sample_id)} in the assignment"
            )
        if split != "excluded":
            joined["group", group].setdefault(split, sample_id)
            if cluster is not None:
                joined["duplicate", cluster].setdefault(split, sample_id)
    for pair in read_pairs(corpus.path) or ():
        splits = {split_of.get(pair.sample_a), split_of.get(pair.sample_b)} - {None, "excluded"}
        if pair.kind == CROP and len(splits) > 1:
            ends = {str(split_of[key]): key for key in (pair.sample_a, pair.sample_b)}
            joined["crop", f"{pair.sample_a} and {pair.sample_b}"] = ends
    for (rule, name), members in joined.items():
        if len(members) > 1:
            crossing = ", ".join(f"{sample} ({split})" for split, sample in sorted(members.items()))
            report.add(rule, name, f"crosses the split: {crossing}. Run hemadata split {corpus.path}")
