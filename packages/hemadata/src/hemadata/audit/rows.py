"""Rows against the contract: a row group is looked at column by column, single rows only where something is wrong."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hemadata import schema
from hemadata.build.images import Check, look
from hemadata.build.records import Manifest
from hemadata.errors import DefectError, UnknownNodeError
from hemadata.formats.pictures import decode, open_picture
from hemadata.ontology import Ontology

ROUNDING = 1e-3  # pixels: boxes are float32, their far edge may round up
Add = Callable[[str, str, str], None]
"""Notes a breach: rule, record, what was found."""
_SCALARS = [column.name for column in schema.COLUMNS if column.is_scalar]


class RowChecker:
    """Checks the rows of one source.

    Args:
        manifest: of the source.
        ontology: that the corpus carries.
        depth: `full` decodes images and masks, `header` reads headers, `none` looks at no image.
        add: told of every breach.
    """

    def __init__(self, manifest: Manifest, ontology: Ontology, depth: Check, add: Add) -> None:
        self._source, self._ontology, self._depth, self._add = manifest.source, ontology, depth, add
        self._nodes = pa.array(sorted(ontology.names), pa.string())

    def check(self, table: pa.Table) -> None:
        """Check the rows of one row group."""
        for number in np.flatnonzero(self._suspects(table)).tolist():
            plain = [name for name in table.column_names if name not in ("image", "mask")]
            (row,) = table.select(plain).slice(number, 1).to_pylist()
            self._check_row(row)
        if self._depth != "none":
            names = ("sample_id", "width", "height", "pixel_hash", "image")
            for row in _rows(table, names):
                self._check_image(row)
        if self._depth == "full" and "mask" in table.column_names:
            for row in _rows(table, ("sample_id", "width", "height", "mask", "mask_classes")):
                if row["mask"]:
                    self._check_mask(row)

    def _suspects(self, table: pa.Table) -> np.ndarray:
        """Rows in which `_check_row` may find something, bool [rows]."""
        wrong = pc.or_(
            pc.invert(pc.starts_with(table["sample_id"], f"{self._source}/")),
            pc.not_equal(table["source"], self._source),
        )
        found = _flags(pc.or_(wrong, self._bad_label(table["label"], table["label_raw"])))
        if "objects" not in table.column_names or not len(entries := pc.list_flatten(table["objects"])):
            return found
        rows = pc.list_parent_indices(table["objects"]).to_numpy()
        label, raw, bbox = (pc.struct_field(entries, name) for name in ("label", "label_raw", "bbox"))
        x, y, w, h = pc.list_flatten(bbox).to_numpy().reshape(-1, 4).astype(np.float64).T
        width, height = (table[side].to_numpy()[rows] for side in ("width", "height"))
        with np.errstate(invalid="ignore"):
            fits = (x >= 0) & (y >= 0) & (w > 0) & (h > 0) & (x + w <= width + ROUNDING) & (y + h <= height + ROUNDING)
        found[rows[~fits | _flags(self._bad_label(label, raw))]] = True
        return found

    def _bad_label(self, label: pa.ChunkedArray, raw: pa.ChunkedArray) -> pa.ChunkedArray:
        known = pc.and_(pc.is_in(label, self._nodes), pc.is_valid(raw))
        return pc.and_(pc.is_valid(label), pc.invert(known))

    def _check_row(self, row: dict[str, Any]) -> None:
        sample_id, (width, height) = row["sample_id"], (row["width"], row["height"])
        if not sample_id.startswith(f"{self._source}/") or row["source"] != self._source:
            self._add("source", sample_id, f"lies among the rows of {self._source}")
        objects = row.get("objects") or ()
        for entry in (row, *objects):
            if entry["label"] is not None:
                self._check_label(sample_id, entry["label"], entry["label_raw"])
        for number, entry in enumerate(objects):
            x, y, w, h = entry["bbox"]
            fits = x + w <= width + ROUNDING and y + h <= height + ROUNDING
            if not (x >= 0 and y >= 0 and w > 0 and h > 0 and fits):
                self._add("box", sample_id, f"object {number}: {entry['bbox']} in an image of {width} x {height}")

    def _check_label(self, sample_id: str, label: str, raw: str | None) -> None:
        if raw is None:
            self._add("label", sample_id, f"{label} has no raw label beside it")
        try:
            if self._ontology.node(label).name != label:
                self._add("label", sample_id, f"{label} is an alias; rows hold the node's own name")
        except UnknownNodeError:
            self._add("label", sample_id, f"{label} is no node of the corpus' ontology")

    def _check_image(self, row: dict[str, Any]) -> None:
        sample_id, width, height = row["sample_id"], row["width"], row["height"]
        try:
            picture = look(row["image"]["bytes"], self._depth)
        except DefectError as defect:
            self._add("image", sample_id, str(defect))
            return
        if picture.size != (width, height):
            self._add("size", sample_id, f"decodes to {picture.size}, columns say {width} x {height}")
        if self._depth == "full" and row["pixel_hash"] not in (None, picture.pixel_hash):
            self._add("pixels", sample_id, "the decoded pixels do not have the row's pixel_hash")

    def _check_mask(self, row: dict[str, Any]) -> None:
        mask = decode(open_picture(row["mask"]["bytes"], "unreadable_mask"), "unreadable_mask")
        if mask.mode != "P" or mask.size != (row["width"], row["height"]):
            found = f"mode {mask.mode}, size {mask.size}; a palette PNG of the image's size is due"
            self._add("mask", row["sample_id"], found)
            return
        counts = np.bincount(np.asarray(mask).ravel(), minlength=256)
        declared = {entry["value"]: entry["pixels"] for entry in row["mask_classes"]}
        held = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
        if held != {value: pixels for value, pixels in declared.items() if pixels}:
            self._add("mask", row["sample_id"], f"holds {held}, mask_classes says {declared}")


def check_places(descriptor: int, table: pa.Table, places: pa.Table, add: Add) -> None:
    """The index names these rows in this order, says what they say, and their bytes lie where it says.

    Args:
        descriptor: of the shard.
        table: rows of one row group.
        places: rows of the index, of the same positions.
        add: told of every breach.
    """
    there = table["sample_id"].slice(0, places.num_rows)
    strange = _flags(differ(there, places["sample_id"]))
    strange = np.concatenate([strange, np.ones(table.num_rows - len(strange), bool)])
    for sample_id in table["sample_id"].filter(pa.array(strange)).to_pylist():
        add("index", sample_id, "the index has another row at its place")
    same = pa.array(~strange[: places.num_rows])
    rows, places = table.slice(0, places.num_rows).filter(same), places.filter(same)
    for name in _SCALARS:
        if name in rows.column_names and not rows[name].equals(places[name]):
            for number in np.flatnonzero(_flags(differ(rows[name], places[name]))).tolist():
                told, held = places[name][number].as_py(), rows[name][number].as_py()
                add("index", rows["sample_id"][number].as_py(), f"{name} is {told!r} there and {held!r} in the shard")
    for name, prefix in (("image", ""), ("mask", "mask_")):
        if name in rows.column_names:
            where = zip(places[f"{prefix}offset"].to_pylist(), places[f"{prefix}length"].to_pylist(), strict=True)
            for row, (offset, length) in zip(_rows(rows, ("sample_id", name)), where, strict=True):
                if row[name] and not _lies(descriptor, offset, length, row[name]["bytes"]):
                    add("offset", row["sample_id"], f"byte {offset} of the shard is not its {name}")


def _lies(descriptor: int, offset: int | None, length: int | None, data: bytes) -> bool:
    return offset is not None and length == len(data) and os.pread(descriptor, length, offset) == data


def _rows(table: pa.Table, names: tuple[str, ...]) -> Any:
    """Some columns of each row, one after the other: images are not all copied at once."""
    for values in zip(*(table[name] for name in names), strict=True):
        yield {name: value.as_py() for name, value in zip(names, values, strict=True)}


def differ(one: pa.ChunkedArray, other: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where two columns differ; a null equals a null."""
    both_null = pc.and_(pc.is_null(one), pc.is_null(other))
    return pc.and_not(pc.fill_null(pc.not_equal(one, other), True), both_null)


def _flags(column: pa.ChunkedArray) -> np.ndarray:
    return np.array(pc.fill_null(column, True).to_numpy(zero_copy_only=False), bool)
