"""Multi-scale deformable attention as a layer: projections, sampling offsets, weights."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hemamodel.ops import multi_scale_deformable_attention


class MultiScaleDeformableAttention(nn.Module):
    """Each query reads a few points around its reference in every level (Deformable DETR, equation 3).

    Args:
        dim: width D of queries and features.
        heads: number of heads H.
        levels: number of feature levels L.
        points: samples P per head and level.
        backend: a key of `hemamodel.ops.BACKENDS`.
    """

    def __init__(self, dim: int, heads: int = 8, levels: int = 4, points: int = 4, backend: str = "torch") -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"deformable attention: dim {dim} is not a multiple of heads {heads}")
        self.heads, self.levels, self.points, self.backend = heads, levels, points, backend
        self.sampling_offsets = nn.Linear(dim, heads * levels * points * 2)
        self.attention_weights = nn.Linear(dim, heads * levels * points)
        self.value_proj = nn.Linear(dim, dim)
        self.output_proj = nn.Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Offsets on a ring (one direction a head, point p at radius p + 1), equal weights, Xavier projections."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ring = torch.stack([angle.cos(), angle.sin()], dim=-1)
        ring = ring / ring.abs().amax(dim=-1, keepdim=True)  # [H, 2], on the unit square
        radius = torch.arange(1, self.points + 1)
        offsets = ring[:, None, None, :] * radius[None, None, :, None]  # [H, 1, P, 2]
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.sampling_offsets.weight)
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for linear in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(
        self,
        query: Tensor,
        reference: Tensor,
        features: Tensor,
        shapes: Sequence[tuple[int, int]],
        padding: Tensor | None = None,
    ) -> Tensor:
        """Read `features` around `reference`.

        Args:
            query: [B, Q, D], position already added.
            reference: [B, Q, L, 2] points (x, y) or [B, Q, L, 4] boxes (cx, cy, w, h), in units of each level.
                Offsets count cells around a point, and halves of the box divided by P around a box.
            features: [B, N, D], the levels end to end.
            shapes: (height, width) of each level.
            padding: [B, N], True where padded: those cells read as zero, like all cells outside the level.

        Returns:
            [B, Q, D].
        """
        value = self.value_proj(features)  # [B, N, D]
        if padding is not None:
            value = value.masked_fill(padding[..., None], 0.0)
        value = value.unflatten(-1, (self.heads, -1))  # [B, N, H, D/H]
        # Coordinates never in half precision, see hemamodel.ops.deformable.
        exact = torch.promote_types(query.dtype, torch.float32)
        grid = (self.heads, self.levels, self.points)
        offsets = self.sampling_offsets(query).to(exact).unflatten(-1, (*grid, 2))  # [B, Q, H, L, P, 2]
        weights = self.attention_weights(query).to(exact).unflatten(-1, (self.heads, -1))  # [B, Q, H, L*P]
        weights = weights.softmax(dim=-1).unflatten(-1, grid[1:])  # [B, Q, H, L, P]
        reference = reference.to(exact)[:, :, None, :, None]  # [B, Q, 1, L, 1, 2 or 4]
        if reference.shape[-1] == 4:
            offsets = offsets * reference[..., 2:] * (0.5 / self.points)
        else:
            offsets = offsets / _sizes(shapes, offsets)[:, None]
        locations = reference[..., :2] + offsets
        read = multi_scale_deformable_attention(value, shapes, locations, weights, self.backend)  # [B, Q, D]
        return self.output_proj(read)  # type: ignore[no-any-return]


def _sizes(shapes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """(width, height) of each level as a tensor [L, 2] on the device of `like`, without waiting for the device."""
    sizes = torch.tensor([(width, height) for height, width in shapes], dtype=like.dtype)
    return sizes.to(like.device, non_blocking=True)
