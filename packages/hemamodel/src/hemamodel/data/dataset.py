"""Samples of one task: pixels by `pread`, targets from the packed records, in one dict that transforms keep aligned."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from hemadata.errors import InputMissingError
from torch.utils.data import Dataset
from torchvision import tv_tensors  # type: ignore[import-untyped]

from hemamodel.data import decode
from hemamodel.data.order import Mixture, key
from hemamodel.data.records import Packed, Reader, Record
from hemamodel.data.transforms import Sample, Transform

if TYPE_CHECKING:
    from hemadata.corpus import Corpus


class CorpusDataset(Dataset[Sample]):
    """One task of a corpus, in corpus order. Picklable: workers open the shards themselves.

    A sample holds `task, source, sample_id, prompt`, `image` uint8 [3, H, W] (float32 after a transform),
    `original_size` (H, W) of the stored image, and
    detection: `boxes` [n, 4] x1 y1 x2 y2 in pixels, `labels` [n], `attributes` [n, 6], `annotated` float [classes];
    segmentation: `mask` uint8 [K, H, W]; classification: `label` int; vqa, mlm: `answer`, the text to generate.

    Args:
        corpus: an open corpus (`hemadata.open`).
        task: classification, detection, segmentation, vqa or mlm.
        split: train, validation, test; None: all.
        sources: slugs; None: all that the corpus has of the task. Those it lacks stand in `missing`.
        transform: applied to every sample; None: raw pixels.
        view: class view; None: `uni_hema_45` or `uni_hema_det_30`.
        regions: see `records.Reader`.
        template: prompt template.
        read_images: False for text-only training (stage 2): samples then have no `image`.
        limit: only the first so many samples; None: all.
        by: whose split is meant, see `Corpus.rows`.
        without: sample_ids that are left out.
        blind: images are zero after the transform: what a model can tell without looking.
        pictures: sample_id -> whose picture it gets instead of its own, for the text tasks; None: all their own.

    Attributes:
        ranges: source -> its indices.
        left_out: reason -> images or boxes without a target.
        missing: sources asked for that are not built.
        classes: number of classes of the view, or 0.
        class_names: their names, in the order of ids.

    Raises:
        InputMissingError: nothing is left to read.
    """

    def __init__(
        self,
        corpus: "Corpus",
        task: str,
        split: str | None = None,
        sources: Sequence[str] | None = None,
        *,
        transform: Transform | None = None,
        view: str | None = None,
        regions: Sequence[Sequence[str]] | None = None,
        template: str = "1",
        read_images: bool = True,
        limit: int | None = None,
        by: str = "split",
        without: Container[str] = (),
        blind: bool = False,
        pictures: Mapping[str, str] | None = None,
    ) -> None:
        self.corpus, self.task, self.transform = corpus, task, transform
        self._template, self._read_images, self._blind = template, read_images, blind
        reader = Reader(corpus, task, view, regions)
        self.classes = reader.classes
        self.class_names = reader.view.classes if reader.view else ()
        wanted = corpus.sources if sources is None else sources
        self.missing = tuple(source for source in wanted if source not in corpus.sources)
        self.ranges: dict[str, range] = {}
        records: list[Record] = []
        for source in wanted:
            if source in corpus.sources and (found := reader.read(source, split, by)):
                found = [record for record in found if record["sample_id"] not in without] if without else found
                found = found[: None if limit is None else limit - len(records)]
                self.ranges[source] = range(len(records), len(records) + len(found))
                records += found
        if pictures:
            sides = {each["sample_id"]: {name: each[name] for name in ("width", "height")} for each in records}
            records = [each | {"picture": (its := pictures[each["sample_id"]])} | sides[its] for each in records]
        self._records = Packed(records)
        self.left_out: Counter[str] = reader.left_out
        if not records:
            where = f"{split} of {task}" if split else task
            where += "" if by == "split" else f" by {by}"
            raise InputMissingError(
                f"{corpus.path} has nothing to read in {where} for {', '.join(wanted) or 'any source'}; it has "
                f"{', '.join(corpus.sources)}. Build a source of that task: hemadata build --source ..."
            )

    def __len__(self) -> int:
        """Number of samples; a text task has one for each question or sentence."""
        return len(self._records)

    def record(self, index: int) -> Record:
        """What is known of a sample without its pixels; `width` and `height` among it."""
        return self._records[index]

    def prompt(self, record: Record) -> str:
        """Text that goes in with a record."""
        return self.corpus.prompt(record, self._template) or ""

    def __getitem__(self, index: int) -> Sample:
        """Sample `index`; random transforms draw the same numbers every time."""
        return self.sample(index, index)

    def sample(self, index: int, draw: int) -> Sample:
        """Sample `index`, its random transforms keyed by `draw`."""
        record = self._records[index]
        name = record["sample_id"]
        sample: Sample = {
            "task": self.task,
            "source": record["source"],
            "sample_id": name,
            "prompt": self.prompt(record),
            "original_size": (record["height"], record["width"]),
        }
        if self._read_images:
            sample["image"] = decode.image(self.corpus.image(record.get("picture") or name))
        if self.task == "classification":
            sample["label"] = record["label"]
        elif self.task == "detection":
            sample["boxes"] = tv_tensors.BoundingBoxes(
                torch.from_numpy(record["boxes"]), format="XYXY", canvas_size=sample["original_size"]
            )
            sample["labels"] = torch.from_numpy(record["labels"])
            sample["attributes"] = torch.from_numpy(record["attributes"])
            sample["annotated"] = decode.dense(record["annotated"], self.classes)
        elif self.task == "segmentation":
            data = self.corpus.mask(name)
            assert data is not None  # the reader has left out images without mask
            sample["mask"] = decode.mask(data, record["foreground"])
        else:
            sample["answer"] = record["answer"]
        sample = self.transform(sample, draw) if self.transform and self._read_images else sample
        if self._blind and "image" in sample:
            sample["image"] = torch.zeros_like(sample["image"])
        return sample


class TrainingStream(Dataset[Sample]):
    """Endless training samples by position: which image, and how it is augmented, follow from seed and position alone.

    Args:
        dataset: samples of one task.
        seed: of the run.
        weights: weight per source.
        temperature: see `order.shares`.
        length: samples in an epoch; None: all samples of sources with a weight.
    """

    def __init__(
        self,
        dataset: CorpusDataset,
        seed: int = 0,
        weights: Mapping[str, float] | None = None,
        temperature: float = 1.0,
        length: int | None = None,
    ) -> None:
        self.dataset, self.seed = dataset, seed
        sizes = {source: len(found) for source, found in dataset.ranges.items()}
        self.mixture = Mixture(sizes, weights, temperature, seed, length)

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.mixture)

    def __getitem__(self, position: int) -> Sample:
        """Sample at a position; epoch e starts at e * len(self)."""
        source, number = self.mixture.at(position)
        return self.dataset.sample(self.dataset.ranges[source][number], key(self.seed, "augment", position))
