"""What the rows of one source add up to, counted shard by shard."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hemadata import schema

Key = tuple[Any, ...]


class Tally:
    """Counts of one source. `add` takes the tables of `scan.shards`; every count is exact."""

    def __init__(self) -> None:
        self.images = Counter[str]()  # split -> images
        self.upstream, self.paper = Counter[str | None](), Counter[str | None]()
        self.licences, self.flags = Counter[str | None](), Counter[str]()
        self.labels = Counter[Key]()  # (split, label, raw label, relation) -> images
        self.object_labels = Counter[Key]()  # the same -> objects
        self.images_with = Counter[Key]()  # (label,) -> images that show it
        self.attributes = Counter[Key]()  # (name, value) -> images and objects
        self.sizes = Counter[Key]()  # (width, height) in pixels -> images
        self.box_sides = Counter[int]()  # square root of the area, pixels, rounded -> boxes
        self.box_shares = Counter[int]()  # the same in per mille of the image's -> boxes
        self.objects = Counter[int]()  # objects in an image -> images
        self.regions = Counter[Key]()  # (region,) -> images whose mask holds it
        self.region_pixels = Counter[str]()  # region -> pixels
        self.questions, self.texts = Counter[Key](), Counter[Key]()  # (type, origin), (origin,) -> how many

    def add(self, split: str, table: pa.Table) -> None:
        """Count the rows of one shard."""
        self.images[split] += table.num_rows
        for name, counter in (("split_upstream", self.upstream), ("split_paper", self.paper)):
            counter.update(_values(table[name]))
        self.licences.update(_values(table["license"]))
        self.flags.update(_values(pc.list_flatten(table["flags"])))
        self.sizes.update(_groups({"w": table["width"], "h": table["height"]}))
        shown = {name: table[name] for name in ("label", "label_raw", "label_relation")}
        self.labels.update({(split, *key): n for key, n in _groups(shown).items()})
        self._add_attributes(table["attributes"])
        if "objects" in table.column_names:
            self._add_objects(split, table)
        if "mask_classes" in table.column_names:
            self._add_regions(table["mask_classes"])
        for name, entries_of in (("qa", self.questions), ("texts", self.texts)):
            if name in table.column_names:
                entries = pc.list_flatten(table[name])
                entries_of.update(_groups({field.name: field_of(entries, field.name) for field in entries.type}))

    def _add_objects(self, split: str, table: pa.Table) -> None:
        known = pc.list_value_length(table["objects"]).drop_null()  # null: nobody published objects of this image
        self.objects.update(_values(known))
        rows, entries = pc.list_parent_indices(table["objects"]), pc.list_flatten(table["objects"])
        if not len(entries):
            return
        shown = {name: field_of(entries, name) for name in ("label", "label_raw", "label_relation")}
        self.object_labels.update({(split, *key): n for key, n in _groups(shown).items()})
        in_image = pa.table({"row": rows, "label": shown["label"]}).group_by(["row", "label"]).aggregate([])
        self.images_with.update(_groups({"label": in_image["label"]}))
        self._add_attributes(field_of(entries, "attributes"))
        boxes = pc.list_flatten(field_of(entries, "bbox")).to_numpy().reshape(-1, 4).astype(float)
        sides = np.sqrt(boxes[:, 2] * boxes[:, 3])
        whole = np.sqrt(table["width"].to_numpy().astype(float) * table["height"].to_numpy())
        self.box_sides.update(_integers(sides))
        self.box_shares.update(_integers(1000 * sides / whole[rows.to_numpy()]))

    def _add_attributes(self, attributes: pa.ChunkedArray) -> None:
        entries = pc.list_flatten(attributes)
        if len(entries):
            self.attributes.update(_groups({name: field_of(entries, name) for name in ("name", "value")}))

    def _add_regions(self, masks: pa.ChunkedArray) -> None:
        entries = pc.list_flatten(masks)
        held = pa.table({name: field_of(entries, name) for name in ("label", "pixels")})
        held = held.filter(pc.greater(held["pixels"], 0))
        self.regions.update(_groups({"label": held["label"]}))
        pixels = held.group_by("label").aggregate([("pixels", "sum")])
        for label, count in zip(pixels["label"].to_pylist(), pixels["pixels_sum"].to_pylist(), strict=True):
            self.region_pixels[label] += count


def field_of(entries: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A field of a column of structs."""
    return pc.struct_field(entries, name)


def _groups(columns: dict[str, pa.ChunkedArray]) -> dict[Key, int]:
    """Distinct rows of some columns -> how often."""
    table = pa.table(columns).group_by(list(columns)).aggregate([([], "count_all")])
    keys = zip(*(table[name].to_pylist() for name in columns), strict=True)
    return dict(zip(keys, table["count_all"].to_pylist(), strict=True))


def _values(column: pa.ChunkedArray) -> dict[Any, int]:
    return {entry["values"]: entry["counts"] for entry in pc.value_counts(column).to_pylist()}


def _integers(values: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(np.rint(values).astype(np.int64), return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def spread(counts: Counter[int]) -> dict[str, int] | None:
    """Smallest, 5 %, median, 95 % and largest of counted whole numbers (nearest rank); None where there are none."""
    if not (total := sum(counts.values())):
        return None
    values = sorted(counts)
    below = np.cumsum([counts[value] for value in values])
    ranks = {"smallest": 1, "p5": -(-total * 5 // 100), "median": -(-total // 2), "p95": -(-total * 95 // 100)}
    at = {name: values[int(np.searchsorted(below, rank))] for name, rank in ranks.items()}
    return {**at, "largest": values[-1], "count": total}


def by_split(counts: Counter[Key]) -> Iterator[tuple[str | None, dict[str, int]]]:
    """(split, label, …) -> how many, as label -> split -> how many; the most frequent label first."""
    table: dict[str | None, Counter[str]] = {}
    for (split, label, *_), count in counts.items():
        table.setdefault(label, Counter())[split] += count
    for label in sorted(table, key=lambda name: (-table[name].total(), name or "")):
        yield label, {split: table[label][split] for split in schema.SPLITS}


def most(counts: Iterable[tuple[Key, int]]) -> list[tuple[Key, int]]:
    """Largest count first, ties by name; nulls last among equals."""
    return sorted(counts, key=lambda item: (-item[1], [(part is None, str(part)) for part in item[0]]))
