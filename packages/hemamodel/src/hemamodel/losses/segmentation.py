"""Dice and focal loss of the mask (equation 3). Each image counts alike, padding counts nothing."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

SMOOTH = 1.0
ALPHA, GAMMA = 0.25, 2.0


def dice_loss(logits: Tensor, masks: Tensor, padding: Tensor) -> Tensor:
    """1 - soft Dice, the mean over images.

    Args:
        logits: [B, 1, H, W].
        masks: 0 or 1, [B, 1, H, W].
        padding: bool [B, H, W], True where padded.
    """
    inside = ~padding[:, None]  # [B, 1, H, W]
    found = (logits.sigmoid() * inside).flatten(1)  # [B, H*W]
    wanted = (masks * inside).flatten(1)
    both = (found * wanted).sum(1)  # [B]
    return (1 - (2 * both + SMOOTH) / (found.sum(1) + wanted.sum(1) + SMOOTH)).mean()


def focal_loss(logits: Tensor, masks: Tensor, padding: Tensor) -> Tensor:
    """Focal loss, the mean over images of the mean over pixels; arguments as for `dice_loss`."""
    inside = ~padding[:, None]
    cross_entropy = binary_cross_entropy_with_logits(logits, masks, reduction="none")  # [B, 1, H, W]
    missed = 1 - (-cross_entropy).exp()
    terms = (ALPHA * missed**GAMMA * cross_entropy * inside).flatten(1)  # [B, H*W]
    return (terms.sum(1) / inside.flatten(1).sum(1).clamp(min=1)).mean()
