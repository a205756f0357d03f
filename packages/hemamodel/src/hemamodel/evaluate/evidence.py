"""What a model said of every sample, kept apart sample by sample, so that any part of it can be scored again."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Self

import numpy as np
from torch import Tensor

from hemamodel.evaluate import scores
from hemamodel.evaluate.interval import Metric
from hemamodel.evaluate.matching import OVERLAPS, ClassHits, class_hits
from hemamodel.evaluate.morphology import RatedPairs
from hemamodel.evaluate.naming import values_named
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
        return replace(self, **{name: [value[i] for i in at] if value else [] for name, value in self._lists().items()})

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
        return {each.name: value for each in fields(self) if isinstance(value := getattr(self, each.name), list)}

    def in_order(self) -> Self:
        """The same by name, so that two runs agree whatever sizes their images had."""
        return self.part(sorted(range(len(self)), key=self.sample_ids.__getitem__))

    def each(self) -> list[float]:
        """How well each sample was done, higher is better: for choosing some to look at."""
        raise NotImplementedError

    def score(self) -> Scores:
        """All scores of the task."""
        raise NotImplementedError

    def metrics(self) -> dict[str, Metric]:
        """The scores that get an interval, as functions of how often each sample counts."""
        raise NotImplementedError


@dataclass(frozen=True)
class About:
    """What the corpus knows of a question or sentence.

    Attributes:
        kind: ontology node of the image's one cell; None where there is none.
        topic: attribute that is asked about; None: not said.
        values: (attribute, value) that the answer rests on.
    """

    kind: str | None = None
    topic: str | None = None
    values: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """What a record of a text task says."""
        known = record["about"]
        return cls(known["kind"], known["topic"], tuple((name, value) for name, value in known["values"] if value))


@dataclass(frozen=True)
class ClassEvidence(Evidence):
    """Class ids; `names` of all classes; `sure`: the probability of each class that was found."""

    truth: list[int]
    found: list[int]
    names: tuple[str, ...]
    sure: list[float] = field(default_factory=list)

    def each(self) -> list[float]:
        """The probability of the class found, negative where it is wrong."""
        sure = self.sure or [1.0] * len(self)
        return [p if a == b else -p for a, b, p in zip(self.truth, self.found, sure, strict=True)]

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
    """Dice and IoU of each image; `drawn`: true and found mask of each, as PNG of one bit a pixel."""

    dice: list[float]
    iou: list[float]
    drawn: list[tuple[bytes, bytes]] = field(default_factory=list)

    def each(self) -> list[float]:
        """Dice."""
        return self.dice

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

    def each(self) -> list[float]:
        """F1 of the boxes above the threshold, by class and place."""
        return [
            scores.box_f1(boxes, labels, found.above(self.threshold))
            for boxes, labels, found in zip(self.boxes, self.labels, self.found, strict=True)
        ]

    def score(self) -> Scores:
        """Average precision, confusion, and morphology of the boxes found: above the threshold, and at any score."""
        sure, any_ = (self._rated(least).score() for least in (self.threshold, 0.0))
        return {
            **scores.detection(self.boxes, self.labels, self.found, self.names),
            "confusion": scores.confusion(self.boxes, self.labels, self.found, self.names, self.threshold),
            "morphology": sure,
            "morphology_matched": any_,
            **({"morphology_f1": sure["macro_f1"], "morphology_f1_matched": any_["macro_f1"]} if sure else {}),
        }

    def _rated(self, least: float) -> RatedPairs:
        return RatedPairs.of(self.boxes, self.attributes, self.found, least)

    def metrics(self) -> dict[str, Metric]:
        """AP50 and AP, means over the classes that occur; macro F1 of morphology, mean over the attributes."""
        present = sorted({int(label) for each in self.labels for label in each})
        result: dict[str, Metric] = {}
        for name, overlaps in (("ap50", OVERLAPS[:1]), ("ap", OVERLAPS)) if present else ():
            hits = [class_hits(self.boxes, self.labels, self.found, kind, overlaps) for kind in present]
            result[name] = partial(_mean_precision, hits)
        for name, least in (("morphology_f1", self.threshold), ("morphology_f1_matched", 0.0)):
            if (rated := self._rated(least)).rated.any():
                result[name] = rated.macro_f1
        return result


@dataclass(frozen=True)
class TextEvidence(Evidence):
    """Texts that should have come out, that came out, and what was asked.

    Attributes:
        truth: the answers of the corpus.
        found: those of the model.
        asked: prompts.
        about: what the corpus knows of each question.
    """

    truth: list[str]
    found: list[str]
    asked: list[str]
    about: list[About] = field(default_factory=list)

    def each(self) -> list[float]:
        """ROUGE-L."""
        return scores.per_text(self.truth, self.found)["rouge_l"]

    def score(self) -> Scores:
        """See `scores.text`; and the accuracy of attributes, where answers name them."""
        readable = [
            (name, hit) for name, hit in zip(self._topics(), self._attributes(), strict=True) if hit is not None
        ]
        result: Scores = scores.text(self.truth, self.found)
        if readable:
            by_name = {
                name: [hit for each, hit in readable if each == name] for name in sorted({n for n, _ in readable})
            }
            result["attribute_accuracy"] = float(np.mean([hit for _, hit in readable]))
            result["attributes"] = {
                name: {"accuracy": float(np.mean(hits)), "answers": len(hits)} for name, hits in by_name.items()
            }
        return result

    def metrics(self) -> dict[str, Metric]:
        """Exact match, BLEU, ROUGE, accuracy of attributes."""
        result: dict[str, Metric] = {
            name: partial(_mean, values) for name, values in scores.per_text(self.truth, self.found).items()
        }
        counts = scores.NGrams.of(self.truth, self.found)
        result |= {f"bleu_{order}": partial(counts.bleu, order) for order in scores.ORDERS}
        hits = self._attributes()
        known = np.array([hit is not None for hit in hits], bool)
        if known.any():
            right = np.array([float(hit or 0) for hit in hits])

            def accuracy(weight: np.ndarray) -> float:
                return _mean(right[known], weight[known]) if weight[known].sum() else float("nan")

            result["attribute_accuracy"] = accuracy
        return result

    def _topics(self) -> list[str]:
        return [each.topic or "none" for each in self.about] or ["none"] * len(self)

    def _attributes(self) -> list[bool | None]:
        """Whether each answer names the values that the true one names; None where that one names none."""
        if not self.about:
            return [None] * len(self)
        known: dict[str, set[str]] = {}
        for each in self.about:
            for name, value in each.values:
                known.setdefault(name, set()).add(value)
        result: list[bool | None] = []
        for truth, found, each in zip(self.truth, self.found, self.about, strict=True):
            names = sorted({name for name, _ in each.values})
            wanted = [values_named(truth, known[name]) for name in names]
            result.append([values_named(found, known[name]) for name in names] == wanted if any(wanted) else None)
        return result


def _mean_precision(hits: Sequence[ClassHits], weight: np.ndarray) -> float:
    return float(np.nanmean([each.precision(weight) for each in hits]))


def _mean(values: Any, weight: np.ndarray) -> float:
    return float(np.dot(np.asarray(values, float), weight) / weight.sum())
