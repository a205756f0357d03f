"""The neck: backbone maps of one width, one more level, and everything the transformer must know of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hemamodel.model.backbone import resize_padding
from hemamodel.model.layers import group_norm
from hemamodel.model.position import map_position


@dataclass(frozen=True)
class FeaturePyramid:
    """Feature maps as one row of tokens, level after level, each row by row.

    Attributes:
        tokens: [B, N, D], the projected backbone features (S0, S1, ... of the paper's figure).
        position: [B, N, D], sine position plus level embedding.
        padding: [B, N], True where padded.
        shapes: (height, width) of each level.
        valid: [B, L, 2], (width, height) of the part that is not padded, as a fraction of each level.
    """

    tokens: Tensor
    position: Tensor
    padding: Tensor
    shapes: tuple[tuple[int, int], ...]
    valid: Tensor

    def level(self, tokens: Tensor, index: int) -> Tensor:
        """One level of `tokens` [B, N, D] (these or an encoder's) as a map [B, D, h, w]."""
        sizes = [height * width for height, width in self.shapes]
        rows = torch.split(tokens, sizes, dim=1)[index]  # [B, h*w, D]
        return rows.transpose(1, 2).reshape(rows.shape[0], -1, *self.shapes[index])

    def centres(self) -> Tensor:
        """Centre (x, y) of each token in units of the unpadded image, [B, N, 2]; above 1 where padded."""
        rows = []
        for index, (height, width) in enumerate(self.shapes):
            y = torch.arange(height, dtype=self.valid.dtype, device=self.valid.device) + 0.5
            x = torch.arange(width, dtype=self.valid.dtype, device=self.valid.device) + 0.5
            grid = torch.stack(torch.meshgrid(x / width, y / height, indexing="xy"), dim=-1)  # [h, w, 2]
            rows.append(grid.flatten(0, 1) / self.valid[:, None, index])  # [B, h*w, 2]
        return torch.cat(rows, dim=1)


class Neck(nn.Module):
    """1x1 convolution and GroupNorm for each map, 3x3 with stride 2 for levels beyond the last.

    GroupNorm counts padded cells too: results are the same for equal padded sizes, which is how evaluation batches.

    Args:
        channels: channels of the backbone's maps.
        dim: width D of the tokens.
        levels: number of levels L, at least one for each map.
    """

    def __init__(self, channels: Sequence[int], dim: int, levels: int = 4) -> None:
        super().__init__()
        if levels < len(channels):
            raise ValueError(f"neck: {levels} levels for {len(channels)} maps; there must be at least as many")
        self.dim = dim
        self.maps = len(channels)
        projections = [nn.Sequential(nn.Conv2d(width, dim, kernel_size=1), group_norm(dim)) for width in channels]
        for width in [channels[-1], *[dim] * levels][: levels - len(channels)]:
            projections.append(nn.Sequential(nn.Conv2d(width, dim, 3, stride=2, padding=1), group_norm(dim)))
        self.projections = nn.ModuleList(projections)
        self.level_embed = nn.Parameter(torch.empty(levels, dim))
        nn.init.normal_(self.level_embed)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, maps: Sequence[Tensor], paddings: Sequence[Tensor]) -> FeaturePyramid:
        """Backbone maps [B, C, h, w] and paddings [B, h, w] -> the pyramid."""
        levels = [project(level) for project, level in zip(self.projections, maps, strict=False)]  # [B, D, h, w]
        below = maps[-1]
        for project in list(self.projections)[self.maps :]:
            below = project(below)
            levels.append(below)
        paddings = [*paddings, *(resize_padding(paddings[0], level) for level in levels[self.maps :])]
        return pyramid(levels, paddings, self.level_embed)


def pyramid(levels: Sequence[Tensor], paddings: Sequence[Tensor], level_embed: Tensor) -> FeaturePyramid:
    """Lay out levels [B, D, h, w] with paddings [B, h, w] and a level embedding [L, D] as tokens."""
    dtype, dim = levels[0].dtype, levels[0].shape[1]
    exact = torch.promote_types(dtype, torch.float32)  # geometry is never computed in half precision
    positions = [
        (map_position(padding, dim, exact) + embed).flatten(1, 2)  # [B, h*w, D]
        for padding, embed in zip(paddings, level_embed, strict=True)
    ]
    valid = [torch.stack([(~p[:, 0]).to(exact).mean(-1), (~p[:, :, 0]).to(exact).mean(-1)], dim=-1) for p in paddings]
    return FeaturePyramid(
        tokens=torch.cat([level.flatten(2).transpose(1, 2) for level in levels], dim=1),
        position=torch.cat(positions, dim=1).to(dtype),
        padding=torch.cat([padding.flatten(1) for padding in paddings], dim=1),
        shapes=tuple((level.shape[-2], level.shape[-1]) for level in levels),
        valid=torch.stack(valid, dim=1),
    )
