"""Which detection found which annotated box: for confusion, morphology, and an average precision with weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torchvision.ops import box_iou

from hemamodel.predict.results import Detections

OVERLAP = 0.5
RECALLS = np.linspace(0, 1, 101)  # COCO's


def pairs(found: Tensor, wanted: Tensor, overlap: float = OVERLAP) -> list[tuple[int, int]]:
    """Detections, best first, each with the free box that it overlaps most, if by IoU of `overlap` or more.

    Args:
        found: x1, y1, x2, y2 [m, 4], in descending order of their scores.
        wanted: the same [n, 4].
        overlap: least IoU.

    Returns:
        (detection, box) each, as COCO matches them.
    """
    if not len(found) or not len(wanted):
        return []
    ious = box_iou(found.double(), wanted.double()).numpy()  # [m, n]
    result: list[tuple[int, int]] = []
    free = np.ones(len(wanted), bool)
    for detection in np.flatnonzero(ious.max(1) >= overlap):
        row = np.where(free, ious[detection], -1.0)
        box = int(row.argmax())
        if row[box] >= overlap:
            free[box] = False
            result.append((int(detection), box))
    return result


@dataclass(frozen=True)
class ClassHits:
    """Detections of one class over all images, best first.

    Attributes:
        hit: whether each found a box, [m].
        image: its image, [m].
        boxes: annotated boxes of the class in each image, [images].
    """

    hit: np.ndarray
    image: np.ndarray
    boxes: np.ndarray

    def precision(self, weight: np.ndarray) -> float:
        """Average precision at the one overlap, images counting by `weight` [images]; nan without boxes."""
        total = float((self.boxes * weight).sum())
        if not total:
            return float("nan")
        counts = weight[self.image]
        right, wrong = np.cumsum(self.hit * counts), np.cumsum(~self.hit * counts)
        precision = right / np.maximum(right + wrong, 1e-12)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        place = np.searchsorted(right / total, RECALLS, side="left")
        inside = place < len(precision)
        return (
            float(np.where(inside, precision[np.minimum(place, len(precision) - 1)], 0.0).mean())
            if len(precision)
            else 0.0
        )


def class_hits(boxes: Sequence[Tensor], labels: Sequence[Tensor], found: Sequence[Detections], kind: int) -> ClassHits:
    """Hits of one class: arguments as for `scores.detection`."""
    scores, hits, images, count = list[float](), list[bool](), list[int](), np.zeros(len(boxes))
    for image, (each, kinds, guess) in enumerate(zip(boxes, labels, found, strict=True)):
        wanted, mine = each[kinds == kind], guess.labels == kind
        count[image] = len(wanted)
        if not mine.any():
            continue
        order = guess.scores[mine].argsort(descending=True, stable=True)
        right = {detection for detection, _ in pairs(guess.boxes[mine][order].cpu(), wanted)}
        scores += guess.scores[mine][order].tolist()
        hits += [number in right for number in range(len(order))]
        images += [image] * len(order)
    best = np.argsort(-np.asarray(scores), kind="stable") if scores else np.zeros(0, int)
    return ClassHits(np.asarray(hits, bool)[best], np.asarray(images, int)[best], count)
