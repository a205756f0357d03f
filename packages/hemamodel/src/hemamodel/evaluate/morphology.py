"""Attributes of cells in fields: scored on the annotated boxes that a detection found (table 7 of the paper)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from torch import Tensor

from hemamodel.data.records import IGNORE, MORPHOLOGY
from hemamodel.evaluate.matching import pairs
from hemamodel.predict.results import Detections


@dataclass(frozen=True)
class RatedPairs:
    """Annotated boxes beside the detections that found them.

    Attributes:
        rated: boxes of each image with an attribute that somebody rated, [images].
        truth: values of the boxes that were found, [n, A]; -100 where nobody rated.
        guess: values of their detections, [n, A].
        image: of each pair, [n].
    """

    rated: np.ndarray
    truth: np.ndarray
    guess: np.ndarray
    image: np.ndarray

    @classmethod
    def of(
        cls, boxes: Sequence[Tensor], attributes: Sequence[Tensor], found: Sequence[Detections], threshold: float
    ) -> Self:
        """Match each image.

        Args:
            boxes: annotated x1, y1, x2, y2 of each image in pixels, [n, 4].
            attributes: values of each box, long [n, A].
            found: detections of each image, with morphology.
            threshold: least score of a detection that counts; 0: whatever lies on the box.
        """
        rated, truth, guess, images = np.zeros(len(boxes), int), list[Tensor](), list[Tensor](), list[int]()
        for image, (wanted, values, each) in enumerate(zip(boxes, attributes, found, strict=True)):
            sure = each.above(threshold)
            rated[image] = int((values != IGNORE).any(-1).sum()) if len(values) else 0
            for at, box in pairs(sure.boxes.cpu(), wanted):
                truth.append(values[box])
                guess.append(sure.morphology[at].cpu())
                images.append(image)
        return cls(rated, _stacked(truth), _stacked(guess), np.array(images, int))

    def score(self) -> dict[str, Any]:
        """F1 of each attribute, their mean, and how many of the rated boxes were found; empty where none is rated."""
        from sklearn.metrics import f1_score

        if not self.rated.sum():
            return {}
        each: dict[str, Any] = {}
        for column, name in enumerate(MORPHOLOGY):
            known = self.truth[:, column] != IGNORE
            if known.any():
                pair = self.truth[known, column], self.guess[known, column]
                each[name] = {
                    "macro_f1": float(f1_score(*pair, average="macro", zero_division=0.0)),
                    "f1": float(f1_score(*pair, pos_label=1, average="binary", zero_division=0.0)),
                    "boxes": int(known.sum()),
                }
        return {
            "rated_boxes": int(self.rated.sum()),
            "found_boxes": int((self.truth != IGNORE).any(-1).sum()),
            "attributes": each,
            "macro_f1": float(np.mean([value["macro_f1"] for value in each.values()])) if each else 0.0,
        }

    def macro_f1(self, weight: np.ndarray) -> float:
        """The mean, images counting by `weight` [images]; nan where none with a rated box counts."""
        if not (self.rated * weight).sum():
            return float("nan")
        counts, values = weight[self.image], []
        for column in range(len(MORPHOLOGY)):
            known = (self.truth[:, column] != IGNORE) & (counts > 0)
            if known.any():
                truth, guess = self.truth[known, column], self.guess[known, column]
                f1 = []
                for value in np.union1d(truth, guess):
                    true, said = truth == value, guess == value
                    f1.append(2 * counts[known] @ (true & said) / (counts[known] @ true + counts[known] @ said))
                values.append(np.mean(f1))
        return float(np.mean(values)) if values else 0.0


def _stacked(rows: Sequence[Tensor]) -> np.ndarray:
    return np.stack([row.numpy() for row in rows]).astype(int) if rows else np.zeros((0, len(MORPHOLOGY)), int)
