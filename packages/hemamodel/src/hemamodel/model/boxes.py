"""Box forms. Everywhere in the model a box is (cx, cy, w, h) in 0..1 of the unpadded image."""

import torch
from torch import Tensor


def to_corners(boxes: Tensor) -> Tensor:
    """(cx, cy, w, h) -> (x1, y1, x2, y2), [..., 4]."""
    centre, size = boxes.chunk(2, dim=-1)
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def to_centre(corners: Tensor) -> Tensor:
    """(x1, y1, x2, y2) -> (cx, cy, w, h), [..., 4]."""
    low, high = corners.chunk(2, dim=-1)
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def inverse_sigmoid(x: Tensor, eps: float = 1e-3) -> Tensor:
    """Logit of `x`, clamped to [eps, 1 - eps] (1e-3 as in DINO: half a pixel of a 512-pixel image)."""
    return torch.logit(x, eps=eps)
