"""Which detection found which annotated box: for confusion, morphology, and an average precision with weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor
from torchvision.ops import box_iou

from hemamodel.predict.results import Detections

OVERLAP = 0.5
OVERLAPS = tuple(np.linspace(0.5, 0.95, 10))  # COCO's
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
        hit: whether each found a box, at each overlap, [overlaps, m].
        image: its image, [m].
        boxes: annotated boxes of the class in each image, [images].
    """

    hit: np.ndarray
    image: np.ndarray
    boxes: np.ndarray

    def precision(self, weight: np.ndarray) -> float:
        """Average precision, mean over the overlaps, images counting by `weight` [images]; nan without boxes."""
        total = float((self.boxes * weight).sum())
        if not total:
            return float("nan")
        counts = weight[self.image]
        return float(np.mean([_precision(hit * counts, ~hit * counts, total) for hit in self.hit]))


def _precision(right: np.ndarray, wrong: np.ndarray, total: float) -> float:
    """Mean precision over COCO's recalls; what each detection adds to right and wrong [m], boxes in all."""
    if not len(right):
        return 0.0
    right, wrong = np.cumsum(right), np.cumsum(wrong)
    precision = right / np.maximum(right + wrong, 1e-12)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(right / total, RECALLS, side="left")
    return float(np.where(place < len(precision), precision[np.minimum(place, len(precision) - 1)], 0.0).mean())


def class_hits(
    boxes: Sequence[Tensor],
    labels: Sequence[Tensor],
    found: Sequence[Detections],
    kind: int,
    overlaps: Sequence[float] = (OVERLAP,),
) -> ClassHits:
    """Hits of one class at some overlaps: other arguments as for `scores.detection`."""
    scores, hits, images, count = list[float](), list[list[bool]](), list[int](), np.zeros(len(boxes))
    for image, (each, kinds, guess) in enumerate(zip(boxes, labels, found, strict=True)):
        wanted, mine = each[kinds == kind], guess.labels == kind
        count[image] = len(wanted)
        if not mine.any():
            continue
        order = guess.scores[mine].argsort(descending=True, stable=True)
        boxes_ = guess.boxes[mine][order].cpu()
        right = [{detection for detection, _ in pairs(boxes_, wanted, overlap)} for overlap in overlaps]
        scores += guess.scores[mine][order].tolist()
        hits += [[number in each for each in right] for number in range(len(order))]
        images += [image] * len(order)
    best = np.argsort(-np.asarray(scores), kind="stable") if scores else np.zeros(0, int)
    hit = np.asarray(hits, bool).reshape(-1, len(overlaps))[best].T
    return ClassHits(hit, np.asarray(images, int)[best], count)
