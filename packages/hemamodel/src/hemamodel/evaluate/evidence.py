"""What a model said of every sample, kept apart sample by sample, so that any part of it can be scored again."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from torch import Tensor

from hemamodel.evaluate import scores
from hemamodel.evaluate.interval import Metric
from hemamodel.evaluate.matching import class_hits
from hemamodel.evaluate.scores import Scores
from hemamodel.predict.results import Detections


@dataclass(frozen=True)
class Evidence:
    """Samples in the order in which they were examined.

    Attributes:
        sample_ids: of each sample; a text task has several of one picture.
        sources: slug of each.
    """

    sample_ids: list[str]
    sources: list[str]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.sample_ids)

    def part(self, at: Sequence[int]) -> Self:
        """Some of the samples."""
        return replace(self, **{name: [value[i] for i in at] for name, value in self._lists().items()})

    def of_source(self, source: str) -> Self:
        """The samples of one source."""
        return self.part([i for i, each in enumerate(self.sources) if each == source])

    def of_samples(self, names: Container[str]) -> Self:
        """The samples with these names."""
        return self.part([i for i, each in enumerate(self.sample_ids) if each in names])

    def and_of(self, other: Self) -> Self:
        """These samples and others."""
        return replace(self, **{name: value + getattr(other, name) for name, value in self._lists().items()})

    def _lists(self) -> dict[str, list[Any]]:
        return {field.name: value for field in fields(self) if isinstance(value := getattr(self, field.name), list)}

    def score(self) -> Scores:
        """All scores of the task."""
        raise NotImplementedError

    def metrics(self) -> dict[str, Metric]:
        """The scores that get an interval, as functions of how often each sample counts."""
        raise NotImplementedError


@dataclass(frozen=True)
class ClassEvidence(Evidence):
    """Class ids; `names` of all classes."""

    truth: list[int]
    found: list[int]
    names: tuple[str, ...]

    def score(self) -> Scores:
        """See `scores.classification`."""
        return scores.classification(self.truth, self.found, self.names)

    def metrics(self) -> dict[str, Metric]:
        """Macro and weighted F1, accuracy."""
        count = len(self.names)
        cell = np.asarray(self.truth) * count + np.asarray(self.found)
        present = sorted(set(self.truth))

        def each(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            table = np.bincount(cell, weights=weight, minlength=count * count).reshape(count, count)
            right, wanted, guessed = np.diag(table), table.sum(1), table.sum(0)
            f1 = 2 * right / np.maximum(wanted + guessed, 1e-12)
            return f1[present], wanted[present]

        def macro(weight: np.ndarray) -> float:
            f1, wanted = each(weight)
            return float(f1[wanted > 0].mean())  # over the classes that occur, here too

        def weighted(weight: np.ndarray) -> float:
            f1, wanted = each(weight)
            return float((f1 * wanted).sum() / wanted.sum())

        right = np.equal(self.truth, self.found)
        return {"macro_f1": macro, "weighted_f1": weighted, "accuracy": lambda weight: _mean(right, weight)}


@dataclass(frozen=True)
class MaskEvidence(Evidence):
    """Dice and IoU of each image."""

    dice: list[float]
    iou: list[float]

    def score(self) -> Scores:
        """Means over images."""
        return {"dice": float(np.mean(self.dice)), "iou": float(np.mean(self.iou))}

    def metrics(self) -> dict[str, Metric]:
        """The same."""
        return {
            "dice": lambda weight: _mean(self.dice, weight),
            "iou": lambda weight: _mean(self.iou, weight),
        }


@dataclass(frozen=True)
class BoxEvidence(Evidence):
    """Annotated boxes with classes and attributes, and what was found; all in pixels of the stored image."""

    boxes: list[Tensor]
    labels: list[Tensor]
    attributes: list[Tensor]
    found: list[Detections]
    names: tuple[str, ...]
    threshold: float

    def score(self) -> Scores:
        """Average precision, confusion, and morphology of the boxes that were found."""
        return {
            **scores.detection(self.boxes, self.labels, self.found, self.names),
            "confusion": scores.confusion(self.boxes, self.labels, self.found, self.names, self.threshold),
            "morphology": scores.morphology(self.boxes, self.attributes, self.found, self.threshold),
        }

    def metrics(self) -> dict[str, Metric]:
        """AP50, mean over the classes that occur."""
        present = sorted({int(label) for each in self.labels for label in each})
        hits = [class_hits(self.boxes, self.labels, self.found, kind) for kind in present]
        return {"ap50": lambda weight: float(np.nanmean([each.precision(weight) for each in hits]))} if hits else {}


@dataclass(frozen=True)
class TextEvidence(Evidence):
    """Texts that should have come out, that came out, and what was asked."""

    truth: list[str]
    found: list[str]
    asked: list[str]

    def score(self) -> Scores:
        """See `scores.text`."""
        return scores.text(self.truth, self.found)

    def metrics(self) -> dict[str, Metric]:
        """Exact match, ROUGE-L."""
        exact, rouge = scores.per_text(self.truth, self.found)
        return {
            "exact_match": lambda weight: _mean(exact, weight),
            "rouge_l": lambda weight: _mean(rouge, weight),
        }


def _mean(values: Any, weight: np.ndarray) -> float:
    return float(np.dot(np.asarray(values, float), weight) / weight.sum())
