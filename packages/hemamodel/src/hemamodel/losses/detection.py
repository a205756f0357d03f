"""Set losses of detection (equation 4): class, box distance, overlap."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

from hemamodel.losses.matching import ALPHA, GAMMA
from hemamodel.model.boxes import to_corners

Pairs = Sequence[tuple[Tensor, Tensor]]
"""Matched queries and boxes of each image, long [m] each."""


def detection_loss(
    logits: Tensor,
    boxes: Tensor,
    labels: Sequence[Tensor],
    targets: Sequence[Tensor],
    annotated: Tensor,
    pairs: Pairs,
    boxes_in_all: float,
) -> dict[str, Tensor]:
    """Terms of one decoder layer, unweighted; DINO weighs them 1, 5, 2.

    A class that a source does not annotate gives no negatives: a red cell without a box may still be a red cell. One
    that it annotates in part gives weaker ones.

    Args:
        logits: [B, Q, C].
        boxes: centre x, centre y, width, height [B, Q, 4].
        labels: classes of each image's boxes, [n].
        targets: each image's boxes, [n, 4].
        annotated: [B, C], weight of a negative: 1 where the source annotates the class exhaustively, 0 where it says
            nothing of it.
        pairs: of `match`.
        boxes_in_all: annotated boxes in the global batch, at least 1; every term is a sum over it.

    Returns:
        `class`, `box` and `overlap`.
    """
    wanted = torch.zeros_like(logits)  # [B, Q, C]
    predicted, truth = [], []
    for image, (queries, found) in enumerate(pairs):
        wanted[image, queries, labels[image][found]] = 1
        predicted.append(boxes[image, queries])
        truth.append(targets[image][found].to(boxes.dtype))
    counted = torch.maximum(annotated[:, None, :].to(wanted.dtype), wanted)  # [B, Q, C]
    focal = sigmoid_focal_loss(logits, wanted, ALPHA, GAMMA)  # [B, Q, C]
    ours, theirs = torch.cat(predicted), torch.cat(truth)  # [m, 4]
    overlap = generalized_box_iou_loss(to_corners(ours), to_corners(theirs))  # [m]
    return {
        "class": (focal * counted).sum() / boxes_in_all,
        "box": (ours - theirs).abs().sum() / boxes_in_all,
        "overlap": overlap.sum() / boxes_in_all,
    }
