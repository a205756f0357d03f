"""Multi-scale deformable attention in plain torch: bilinear samples by ``grid_sample``, one level at a time."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def deformable_attention_torch(
    value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> Tensor:
    """Weighted sum of bilinear samples (Deformable DETR, equation 3; the softmax is already in `weights`).

    Shapes as in :func:`hemamodel.ops.multi_scale_deformable_attention`. Coordinates and sums keep the dtype of
    `locations`: with 8 bits of mantissa a position on a map 150 cells wide is off by half a cell, so a bfloat16
    model passes float32 locations. The result has the dtype of `value`.
    """
    batch, _, heads, dim = value.shape
    queries = locations.shape[1]
    grid = (2 * locations - 1).transpose(1, 2).flatten(0, 1)  # [B*H, Q, L, P, 2] in [-1, 1]
    weights = weights.to(locations.dtype).transpose(1, 2).flatten(0, 1)  # [B*H, Q, L, P]
    maps = value.to(locations.dtype).permute(0, 2, 3, 1).flatten(0, 1)  # [B*H, D, N]
    result = torch.zeros(batch * heads, dim, queries, dtype=locations.dtype, device=value.device)
    sizes = [height * width for height, width in shapes]
    for level, (tokens, shape) in enumerate(zip(torch.split(maps, sizes, dim=-1), shapes, strict=True)):
        sampled = F.grid_sample(
            tokens.reshape(-1, dim, *shape),
            grid[:, :, level],
            mode="bilinear",
            padding_mode="zeros",
            align_corners=False,
        )  # [B*H, D, Q, P]
        result = result + (sampled * weights[:, None, :, level]).sum(-1)
    return result.view(batch, heads * dim, queries).transpose(1, 2).to(value.dtype)  # [B, Q, H*D]
