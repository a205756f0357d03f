"""One-to-one matching of queries and boxes."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import generalized_box_iou

from hemamodel.model.boxes import to_corners

CLASS_COST, BOX_COST, OVERLAP_COST = 2.0, 5.0, 2.0  # DINO's
ALPHA, GAMMA = 0.25, 2.0


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs of queries and annotated boxes of one image with the least total cost.

    Args:
        logits: class logits [Q, C].
        boxes: predicted centre x, centre y, width, height [Q, 4].
        labels: class of each annotated box [n].
        targets: annotated boxes, in the same form [n, 4].

    Returns:
        Query and box of each pair, long [m] each, m = min(Q, n), ordered by box.
    """
    if len(labels) == 0:
        return labels.new_zeros(0), labels.new_zeros(0)
    scores = logits.float().sigmoid()[:, labels]  # [Q, n]
    hit = ALPHA * (1 - scores) ** GAMMA * -(scores + 1e-8).log()
    miss = (1 - ALPHA) * scores**GAMMA * -(1 - scores + 1e-8).log()
    distance = torch.cdist(boxes.float(), targets.float(), p=1)  # [Q, n]
    overlap = generalized_box_iou(to_corners(boxes.float()), to_corners(targets.float()))
    cost = CLASS_COST * (hit - miss) + BOX_COST * distance - OVERLAP_COST * overlap
    if cost.is_meta:  # a rehearsal without numbers: any pairs take the same memory
        pairs = torch.arange(min(cost.shape), device=cost.device)
        return pairs, pairs
    queries, found = linear_sum_assignment(cost.T.cpu().numpy())[::-1]
    order = torch.from_numpy(found).to(labels.device)
    return torch.from_numpy(queries).to(labels.device), order
