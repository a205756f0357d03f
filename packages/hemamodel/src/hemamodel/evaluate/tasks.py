"""One task of a model on one dataset: run it over every sample, then score."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from transformers import T5Tokenizer

from hemamodel.data import Batch, CorpusDataset, decode, evaluation_loader
from hemamodel.data.batches import by_padded_size
from hemamodel.data.records import Record
from hemamodel.evaluate import scores
from hemamodel.evaluate.evidence import About, BoxEvidence, ClassEvidence, Evidence, MaskEvidence, TextEvidence
from hemamodel.evaluate.symmetry import over_symmetries
from hemamodel.model.tokenizer import decode as words
from hemamodel.model.unihema import UniHema
from hemamodel.predict.results import Detections, detections, masks
from hemamodel.train.step import prompt_of

Told = Callable[[int, int], None]
"""Called with samples done and samples in all."""


@dataclass(frozen=True)
class Examination:
    """What is examined.

    Attributes:
        model: in eval mode, on the device where it shall run.
        tokenizer: of its text branch.
        dataset: one task, with an evaluation transform.
        batch_size: samples at once; the scores do not depend on it.
        workers: processes that load images.
        told: told of the progress.
        threshold: least score of a detection that counts for confusion and morphology.
        symmetries: classification: the mean probability over the eight symmetries of each picture.
    """

    model: UniHema
    tokenizer: T5Tokenizer
    dataset: CorpusDataset
    batch_size: int = 8
    workers: int = 0
    told: Told | None = None
    threshold: float = 0.3
    symmetries: bool = False

    def batches(self) -> Iterator[Batch]:
        """Every sample once."""
        device, done = next(self.model.parameters()).device, 0
        for batch in evaluation_loader(self.dataset, self.batch_size, self.workers):
            yield batch.to(device)  # type: ignore[attr-defined]
            done += len(batch)  # type: ignore[arg-type]
            if self.told:
                self.told(done, len(self.dataset))

    def records(self) -> dict[str, Record]:
        """Records by sample, for tasks with one record an image."""
        return {record["sample_id"]: record for record in map(self.dataset.record, range(len(self.dataset)))}


@torch.no_grad()
def examine(what: Examination) -> Evidence:
    """What a model says of every sample of a dataset."""
    run = {"classification": _classification, "detection": _detection, "segmentation": _segmentation}
    return run.get(what.dataset.task, _text)(what)


def _classification(what: Examination) -> Evidence:
    truth, found, sure, names = list[int](), list[int](), list[float](), _Names()
    for batch in what.batches():
        assert batch.images is not None and batch.padding is not None and batch.labels is not None
        assert batch.sizes is not None

        def probabilities(images: torch.Tensor, padding: torch.Tensor = batch.padding) -> torch.Tensor:
            return what.model.classify(images, padding).float().softmax(-1)

        truth += batch.labels.tolist()
        if what.symmetries:
            best = over_symmetries(probabilities, batch.images, batch.sizes).max(-1)
        else:
            best = probabilities(batch.images).max(-1)
        found += best.indices.tolist()
        sure += best.values.tolist()
        names.add(batch)
    return ClassEvidence(names.samples, names.sources, truth, found, what.dataset.class_names, sure)


def _detection(what: Examination) -> Evidence:
    records, found, names = what.records(), list[Detections](), _Names()
    for batch in what.batches():
        assert batch.images is not None and batch.padding is not None
        outputs = what.model.detect(batch.images, batch.padding, prompt_of(what.model, what.tokenizer, batch))
        found += [each.to("cpu") for each in detections(outputs, batch.original_sizes)]
        names.add(batch)

    def stored(column: str) -> list[torch.Tensor]:
        return [torch.from_numpy(records[name][column]) for name in names.samples]

    truth = (stored("boxes"), stored("labels"), stored("attributes"))
    return BoxEvidence(names.samples, names.sources, *truth, found, what.dataset.class_names, what.threshold)


def _segmentation(what: Examination) -> Evidence:
    records, dice, iou, names = what.records(), list[float](), list[float](), _Names()
    drawn = list[tuple[bytes, bytes]]()
    for batch in what.batches():
        assert batch.images is not None and batch.padding is not None and batch.sizes is not None
        logits = what.model.segment(batch.images, batch.padding, prompt_of(what.model, what.tokenizer, batch))
        found = masks(logits, batch.sizes, batch.original_sizes)
        names.add(batch)
        for name, mask in zip(batch.sample_ids, found, strict=True):
            data = what.dataset.corpus.mask(name)  # as stored, not the resized one that the model sees
            assert data is not None
            truth = decode.mask(data, records[name]["foreground"])[0].numpy().astype(bool)
            ours = mask.cpu().numpy()
            drawn.append((one_bit(truth), one_bit(ours)))
            for kept, value in zip((dice, iou), scores.overlap(truth, ours), strict=True):
                kept.append(value)
    return MaskEvidence(names.samples, names.sources, dice, iou, drawn)


def _text(what: Examination) -> Evidence:
    truth, found, asked, names = list[str](), list[str](), list[str](), _Names()
    for batch in what.batches():
        assert batch.answers is not None
        prompt = prompt_of(what.model, what.tokenizer, batch)
        assert prompt is not None
        if batch.images is None:
            ids = what.model.answer_blind(prompt)
        else:
            assert batch.padding is not None
            ids = what.model.answer(batch.images, batch.padding, prompt)
        truth += batch.answers
        found += words(what.tokenizer, ids)
        asked += batch.prompts
        names.add(batch)
    order = [index for group in by_padded_size(what.dataset, what.batch_size) for index in group]
    about = [About.of(what.dataset.record(index)) for index in order]
    return TextEvidence(names.samples, names.sources, truth, found, asked, about)


def one_bit(mask: np.ndarray) -> bytes:
    """PNG of a bool [H, W]: a few kilobytes, so that those of a whole test fit into memory."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


class _Names:
    """Which samples came by."""

    def __init__(self) -> None:
        self.samples: list[str] = []
        self.sources: list[str] = []

    def add(self, batch: Batch) -> None:
        self.samples += batch.sample_ids
        self.sources += batch.sources
