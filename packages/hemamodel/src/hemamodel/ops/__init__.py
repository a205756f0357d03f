"""Operations that have more than one implementation, behind one name each."""

from collections.abc import Callable, Sequence

from torch import Tensor

from hemamodel.ops.deformable import deformable_attention_torch
from hemamodel.ops.reference import deformable_attention_reference

DeformableAttention = Callable[[Tensor, Sequence[tuple[int, int]], Tensor, Tensor], Tensor]

BACKENDS: dict[str, DeformableAttention] = {
    "torch": deformable_attention_torch,
    "reference": deformable_attention_reference,
}


def multi_scale_deformable_attention(
    value: Tensor,
    shapes: Sequence[tuple[int, int]],
    locations: Tensor,
    weights: Tensor,
    backend: str = "torch",
) -> Tensor:
    """Sample every level of `value` at `locations` and sum with `weights`.

    Args:
        value: [B, N, H, D], the levels flattened row by row and laid end to end.
        shapes: (height, width) of each level, N in all; plain numbers, so that no device is asked for them.
        locations: [B, Q, H, L, P, 2], (x, y) in [0, 1] of each level; outside it every level is zero.
        weights: [B, Q, H, L, P].
        backend: a key of `BACKENDS`.

    Returns:
        [B, Q, H*D], in the dtype of `value`.

    Raises:
        ValueError: the backend is not known.
    """
    if backend not in BACKENDS:
        raise ValueError(f"deformable attention: no backend {backend!r}; there are {', '.join(BACKENDS)}")
    return BACKENDS[backend](value, shapes, locations, weights)
