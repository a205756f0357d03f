"""Sine position: of the cells of a feature map, and of boxes."""

import math

import torch
from torch import Tensor


def sine(coordinates: Tensor, dim: int, temperature: float) -> Tensor:
    """Interleaved sine and cosine of coordinates in 0..1, [...] -> [..., dim]."""
    index = torch.arange(dim, device=coordinates.device) // 2 * 2  # 0 0 2 2 4 4 ...
    phase = coordinates[..., None] * (2 * math.pi) / temperature ** (index.to(coordinates.dtype) / dim)
    return torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], dim=-1).flatten(-2)


def map_position(padding: Tensor, dim: int, dtype: torch.dtype, temperature: float = 20.0) -> Tensor:
    """Position of each cell, relative to the extent that is not padded, so that padding moves nothing.

    Args:
        padding: [B, h, w], True where padded; the valid part is a rectangle at the top left.
        dim: width D, half for y and half for x.
        dtype: dtype of the result, float32 or float64.
        temperature: 20 for DINO's image features.

    Returns:
        [B, h, w, D].
    """
    valid = (~padding).to(dtype)
    y, x = valid.cumsum(1), valid.cumsum(2)  # [B, h, w], counted from 1
    y, x = y / (y[:, -1:] + 1e-6), x / (x[:, :, -1:] + 1e-6)
    return torch.cat([sine(y, dim // 2, temperature), sine(x, dim // 2, temperature)], dim=-1)


def box_position(boxes: Tensor, dim: int, temperature: float = 10000.0) -> Tensor:
    """Position of boxes (cx, cy, w, h) in 0..1, [..., 4] -> [..., 2 * dim] in the order y, x, w, h."""
    cx, cy, w, h = boxes.unbind(-1)
    return sine(torch.stack([cy, cx, w, h], dim=-1), dim // 2, temperature).flatten(-2)
