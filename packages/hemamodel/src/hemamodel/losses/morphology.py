"""Asymmetric loss of the morphology head (equation 5)."""

import torch
from torch import Tensor
from torch.nn.functional import one_hot

IGNORE = -100  # nobody rated the attribute
GAMMA_NEGATIVE, GAMMA_POSITIVE, CLIP = 4.0, 1.0, 0.08  # as trained by the authors


def asymmetric_loss(logits: Tensor, values: Tensor) -> Tensor:
    """Sum over attributes and their values, each value a yes or no of its own; unrated attributes count nothing.

    Args:
        logits: [n, A, V] for n boxes, A attributes of V values.
        values: long [n, A], `IGNORE` where nobody rated.
    """
    rated = values != IGNORE  # [n, A]
    wanted = one_hot(values.where(rated, 0), logits.shape[-1]).to(logits.dtype)  # [n, A, V]
    yes = logits.sigmoid()
    no = (1 - yes + CLIP).clamp(max=1)
    with torch.no_grad():  # the focusing weight is a weight, not a way for the gradient
        right = yes * wanted + no * (1 - wanted)
        weight = (1 - right) ** (GAMMA_POSITIVE * wanted + GAMMA_NEGATIVE * (1 - wanted))
    terms = wanted * yes.clamp(min=1e-8).log() + (1 - wanted) * no.clamp(min=1e-8).log()
    return -(weight * terms * rated[..., None]).sum()
