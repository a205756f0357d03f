"""Annotations of a task, read once from a corpus and packed: what a worker needs beside the pixels."""

import pickle
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hemadata.corpus import Corpus

Record = dict[str, Any]

IGNORE = -100  # attribute that nobody rated; the value that `cross_entropy` leaves out by default

# The six attributes of the morphology head, in the order of table 7 ("N-C ratio" there is nuclear chromatin).
MORPHOLOGY = (
    "nuclear_chromatin",
    "nuclear_shape",
    "nucleolus",
    "cytoplasm",
    "cytoplasmic_basophilia",
    "cytoplasmic_vacuoles",
)
VOCABULARY = "leukemiaattri"
VIEWS = {"classification": "uni_hema_45", "detection": "uni_hema_det_30"}

# Of a class that an image boxes in part, a place without a box is probably, not surely, a place without the class.
# Without any weight nothing would tell the model where such a class is not, and it would see it everywhere.
PARTLY = 0.5

_ALWAYS = ("sample_id", "source", "width", "height", "disease")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "classification": ("label", "label_raw"),
    "detection": ("objects", "classes_annotated"),
    "segmentation": ("mask_classes", "foreground", "mask_length"),
    "vqa": ("qa", "label"),
    "mlm": ("texts", "label"),
}


class Reader:
    """Turns the rows of one task into records.

    Args:
        corpus: an open corpus.
        task: one of `hemadata.schema.TASKS`.
        view: class view; None: that of the paper's head.
        regions: segmentation: per channel of the mask, the regions that are foreground; None: one channel with what
            each source declares as its foreground.

    Attributes:
        left_out: reason -> number of images or boxes that give no target. Nothing is dropped silently.
    """

    def __init__(
        self, corpus: "Corpus", task: str, view: str | None, regions: Sequence[Sequence[str]] | None = None
    ) -> None:
        self.corpus, self.task, self.regions = corpus, task, regions
        name = view or VIEWS.get(task)
        self.view = corpus.view(name) if name else None
        self.classes = len(self.view.classes) if self.view else 0
        self.left_out: Counter[str] = Counter()
        vocabulary = corpus.ontology.morphology(VOCABULARY)
        self._values = [vocabulary.attributes[each].values for each in MORPHOLOGY]

    def read(self, source: str, split: str | None, by: str = "split") -> list[Record]:
        """Records of one source, in corpus order; `by` as for `Corpus.rows`."""
        rows = self.corpus.rows(self.task, split, [*_ALWAYS, *_COLUMNS[self.task]], source, by)
        records = [record for row in rows for record in getattr(self, f"_{self.task}")(row)]
        if self.task == "detection":
            # A source that does not say what it annotates whole is taken to annotate the classes that it has.
            seen = sorted({int(each) for record in records for each in record["labels"]})
            for record in records:
                record["annotated"] = self._annotated(source, record.pop("classes_annotated"), seen, record["labels"])
        return records

    def _classification(self, row: Mapping[str, Any]) -> Iterator[Record]:
        assert self.view is not None
        number = self.view.id(row["source"], row["label_raw"], row["label"])
        if number is None:
            self.left_out[f"{row['source']}: images whose label {row['label']!r} is not in {self.view.name}"] += 1
        else:
            yield self._common(row) | {"label": number}

    def _detection(self, row: Mapping[str, Any]) -> Iterator[Record]:
        assert self.view is not None
        if row["objects"] is None:
            self.left_out[f"{row['source']}: images without box annotation"] += 1
            return
        objects = []
        for each in row["objects"]:
            number = self.view.id(row["source"], each["label_raw"], each["label"])
            if number is None:
                self.left_out[f"{row['source']}: boxes whose label {each['label']!r} is not in {self.view.name}"] += 1
            else:
                objects.append((number, each["bbox"], self._attributes(each["attributes"])))
        boxes = np.array([box for _, box, _ in objects], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]  # x, y, w, h -> x1, y1, x2, y2
        yield self._common(row) | {
            "boxes": boxes,
            "labels": np.array([number for number, _, _ in objects], np.int64),
            "attributes": np.array([values for _, _, values in objects], np.int64).reshape(-1, len(MORPHOLOGY)),
            "classes_annotated": row["classes_annotated"],
        }

    def _segmentation(self, row: Mapping[str, Any]) -> Iterator[Record]:
        channels = self.regions or [row["foreground"] or ()]
        value_of = {each["label"]: each["value"] for each in row["mask_classes"] or ()}
        values = [[value_of[name] for name in channel if name in value_of] for channel in channels]
        if row["mask_length"] is None:
            self.left_out[f"{row['source']}: images without mask"] += 1
        elif not all(values):
            self.left_out[f"{row['source']}: masks that do not annotate {channels[values.index([])]}"] += 1
        else:
            yield self._common(row) | {"foreground": values}

    def _vqa(self, row: Mapping[str, Any]) -> Iterator[Record]:
        for pair in row["qa"] or ():
            yield self._text(row, "qa", pair, pair["answer"])

    def _mlm(self, row: Mapping[str, Any]) -> Iterator[Record]:
        for text in row["texts"] or ():
            yield self._text(row, "texts", text, text["text"])

    def _common(self, row: Mapping[str, Any]) -> Record:
        return {name: row[name] for name in _ALWAYS}

    def _text(self, row: Mapping[str, Any], column: str, chosen: Mapping[str, Any], answer: str) -> Record:
        # One record per question or sentence: `prompt` then has nothing to choose, and the answer fits it.
        words = {name: chosen[name] for name in ("question", "masked_text") if name in chosen}
        about = {  # for the evaluation alone
            "kind": row["label"],
            "topic": chosen.get("attribute"),
            "values": [(each["name"], each["value"]) for each in chosen.get("uses") or ()],
        }
        return self._common(row) | {column: [words], "answer": answer, "about": about}

    def _attributes(self, attributes: Sequence[Mapping[str, Any]] | None) -> list[int]:
        value_of = {each["name"]: each["value"] for each in attributes or ()}
        pairs = zip(MORPHOLOGY, self._values, strict=True)
        return [values.index(v) if (v := value_of.get(name)) in values else IGNORE for name, values in pairs]

    def _annotated(
        self, source: str, nodes: Sequence[str] | None, seen: Sequence[int], boxed: Sequence[int]
    ) -> dict[int, float]:
        """Class -> how much a place without a box says: all, or `PARTLY` where the image boxes some of many."""
        assert self.view is not None
        ids = set(seen) if nodes is None else {self.view.id(source, None, node) for node in nodes}
        # A class without nodes (background) is never in an image: always a negative.
        ids |= {number for number, members in enumerate(self.view.members) if not members}
        whole = {number: 1.0 for number in sorted(n for n in ids if n is not None)}
        return {int(number): PARTLY for number in boxed} | whole


class Packed:
    """A list of records in one byte string: small, quick to send to a worker, shared by forked ones."""

    def __init__(self, records: Sequence[Record]) -> None:
        parts = [pickle.dumps(record, pickle.HIGHEST_PROTOCOL) for record in records]
        self._data = b"".join(parts)
        self._ends = np.cumsum([0, *map(len, parts)], dtype=np.int64)

    def __len__(self) -> int:
        """Number of records."""
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> Record:
        """Record number `index`."""
        if not 0 <= index < len(self):
            raise IndexError(f"record {index} is outside 0 to {len(self) - 1}")
        # Bytes of our own making, in memory only: no file is ever unpickled.
        record: Record = pickle.loads(memoryview(self._data)[self._ends[index] : self._ends[index + 1]])
        return record
