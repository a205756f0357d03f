"""Multi-scale deformable attention as a loop over every single sample: slow, plain, and what the tests trust."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def deformable_attention_reference(
    value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """The definition, in float64. Shapes as in :func:`hemamodel.ops.multi_scale_deformable_attention`."""
    batch, _, heads, _ = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    dtype = value.dtype
    value, locations, weights = value.double(), locations.double(), weights.double()
    rows = []
    for b in range(batch):
        for q in range(queries):
            for h in range(heads):
                total, start = torch.zeros_like(value[b, 0, h]), 0
                for level, (height, width) in enumerate(shapes):
                    cells = value[b, start : start + height * width, h].reshape(height, width, -1)  # [h, w, D]
                    for p in range(points):
                        sample = _bilinear(cells, locations[b, q, h, level, p])
                        total = total + weights[b, q, h, level, p] * sample
                    start += height * width
                rows.append(total)
    return torch.stack(rows).view(batch, queries, -1).to(dtype)


def _bilinear(cells: Tensor, location: Tensor) -> Tensor:
    """Value of a map [h, w, D] at (x, y) in [0, 1]; cell (i, j) has its centre at ((j + 0.5) / w, (i + 0.5) / h)."""
    height, width, _ = cells.shape
    x, y = location[0] * width - 0.5, location[1] * height - 0.5
    left, top = math.floor(x.item()), math.floor(y.item())
    result = torch.zeros_like(cells[0, 0])
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < height and 0 <= j < width:  # outside the map everything is zero
                result = result + (1 - (x - j).abs()) * (1 - (y - i).abs()) * cells[i, j]
    return result
