"""One task of a model on one dataset: run it over every sample, then score."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from transformers import T5Tokenizer

from hemamodel.data import Batch, CorpusDataset, decode, evaluation_loader
from hemamodel.data.records import Record
from hemamodel.evaluate import scores
from hemamodel.evaluate.scores import Scores
from hemamodel.model.tokenizer import decode as words
from hemamodel.model.unihema import UniHema
from hemamodel.predict.results import detections, masks
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
    """

    model: UniHema
    tokenizer: T5Tokenizer
    dataset: CorpusDataset
    batch_size: int = 8
    workers: int = 0
    told: Told | None = None

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
def examine(what: Examination) -> Scores:
    """Scores of a model on every sample of a dataset: those of the task, and `samples`."""
    run = {"classification": _classification, "detection": _detection, "segmentation": _segmentation}
    return {"samples": len(what.dataset), **run.get(what.dataset.task, _text)(what)}


def _classification(what: Examination) -> Scores:
    truth, found = list[int](), list[int]()
    for batch in what.batches():
        assert batch.images is not None and batch.padding is not None and batch.labels is not None
        truth += batch.labels.tolist()
        found += what.model.classify(batch.images, batch.padding).argmax(-1).tolist()
    return scores.classification(truth, found, what.dataset.class_names)


def _detection(what: Examination) -> Scores:
    records, boxes, labels, found = what.records(), [], [], []
    for batch in what.batches():
        assert batch.images is not None and batch.padding is not None
        outputs = what.model.detect(batch.images, batch.padding, prompt_of(what.model, what.tokenizer, batch))
        found += detections(outputs, batch.original_sizes)
        boxes += [torch.from_numpy(records[name]["boxes"]) for name in batch.sample_ids]
        labels += [torch.from_numpy(records[name]["labels"]) for name in batch.sample_ids]
    return scores.detection(boxes, labels, found, what.dataset.class_names)


def _segmentation(what: Examination) -> Scores:
    records, truth, found = what.records(), [], []
    for batch in what.batches():
        assert batch.images is not None and batch.padding is not None and batch.sizes is not None
        logits = what.model.segment(batch.images, batch.padding, prompt_of(what.model, what.tokenizer, batch))
        found += [mask.cpu().numpy() for mask in masks(logits, batch.sizes, batch.original_sizes)]
        for name in batch.sample_ids:  # the mask as stored, not the resized one that the model sees
            data = what.dataset.corpus.mask(name)
            assert data is not None
            truth.append(decode.mask(data, records[name]["foreground"])[0].numpy().astype(bool))
    return scores.segmentation(truth, found)


def _text(what: Examination) -> Scores:
    truth, found = list[str](), list[str]()
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
    return scores.text(truth, found)
