"""Losses of the paper's section 3.1, each term by itself; the stages weigh and add them."""

from hemamodel.losses.detection import detection_loss
from hemamodel.losses.matching import match
from hemamodel.losses.morphology import asymmetric_loss
from hemamodel.losses.segmentation import dice_loss, focal_loss

__all__ = ["asymmetric_loss", "detection_loss", "dice_loss", "focal_loss", "match"]
