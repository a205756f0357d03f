"""From a mask at stride 8 to a mask at the size of the input image."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hemamodel.model.hemaformer import Masks
from hemamodel.model.layers import group_norm

Norm = Literal["group", "batch"]


def resize(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Plain bilinear: `[B, C, h, w]` -> `[B, C, *size]`."""
    return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)


class ResizeUpsampler(nn.Module):
    """No learning: the mask logits, resized (stage 3 of the paper, and the baseline of the learned one)."""

    def forward(self, masks: Masks, size: tuple[int, int]) -> Tensor:
        """Masks at `[B, 1, h, w]` -> logits `[B, 1, *size]`."""
        return resize(masks.logits, size)


class LearnedUpsampler(nn.Module):
    """Convolutions that sharpen the mask with the two feature maps it came from, in two steps of two.

    The released code normalises by batch and always gives 512 x 512. Here the caller names the size, and `group`
    (variant `paper`) makes the result of an image independent of what shares its batch or its rank.

    Args:
        dim: width D of the feature maps.
        norm: `group`, or `batch` for the authors' checkpoint.
    """

    def __init__(self, dim: int, norm: Norm = "group") -> None:
        super().__init__()
        self.fuse = nn.Sequential(*_convolution(2 * dim, dim, norm), *_convolution(dim, dim, norm))
        self.sharpen_4 = nn.Sequential(*_convolution(dim + 1, dim // 2, norm))
        self.sharpen_2 = nn.Sequential(*_convolution(dim // 2, dim // 4, norm))
        self.project = nn.Conv2d(dim // 4, 1, kernel_size=3, padding=1)

    def forward(self, masks: Masks, size: tuple[int, int]) -> Tensor:
        """Masks with logits `[B, 1, h, w]` -> logits `[B, 1, *size]`; size in pixels (height, width)."""
        x = self.fuse(torch.cat([masks.encoder, masks.backbone], dim=1))  # [B, D, h, w]
        x = torch.cat([x, masks.logits], dim=1)  # [B, D+1, h, w]
        x = self.sharpen_4(_double(x))  # [B, D/2, 2h, 2w]
        x = self.sharpen_2(_double(x))  # [B, D/4, 4h, 4w]
        return resize(self.project(x), size)


def _double(x: Tensor) -> Tensor:
    return resize(x, (2 * x.shape[-2], 2 * x.shape[-1]))


def _convolution(inputs: int, outputs: int, norm: Norm) -> tuple[nn.Module, ...]:
    layer = nn.BatchNorm2d(outputs) if norm == "batch" else group_norm(outputs)
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), layer, nn.ReLU()
