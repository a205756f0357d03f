"""Small layers that several parts share."""

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class MLP(nn.Module):
    """Linear layers with ReLU between them.

    Args:
        widths: width of the input, of each hidden layer, and of the output.
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """[..., widths[0]] -> [..., widths[-1]]."""
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)  # type: ignore[no-any-return]


class FeedForward(nn.Module):
    """Two linear layers with ReLU, residual and norm after (post-norm, dropout 0 as in DINO)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim, hidden)
        self.linear2 = nn.Linear(hidden, dim)
        self.norm = nn.LayerNorm(dim)
        for linear in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return self.norm(x + self.linear2(F.relu(self.linear1(x))))  # type: ignore[no-any-return]


def group_norm(channels: int) -> nn.GroupNorm:
    """GroupNorm with 32 groups where they hold at least 8 channels each (256 and up), fewer groups below.

    Groups of one channel would be an instance norm: it removes each channel's mean, and with it the stain's colour.
    """
    return nn.GroupNorm(math.gcd(32, max(1, channels // 8), channels), channels)


def kept(layer: nn.Module, compute_again: bool) -> Callable[..., Tensor]:
    """The layer, or the layer without memory of its inner values: the backward pass computes them again."""
    if not (compute_again and torch.is_grad_enabled()):
        return layer
    return partial(checkpoint, layer, use_reentrant=False)
