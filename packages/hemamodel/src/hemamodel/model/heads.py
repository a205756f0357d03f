"""Prediction heads. Each is one module that all decoder layers share."""

import math
from typing import NamedTuple

from torch import Tensor, nn

from hemamodel.model.layers import MLP


def class_head(dim: int, classes: int, prior: float = 0.01) -> nn.Linear:
    """Linear layer whose sigmoid starts at `prior` everywhere, so that the focal loss starts small (RetinaNet)."""
    head = nn.Linear(dim, classes)
    nn.init.constant_(head.bias, -math.log((1 - prior) / prior))
    return head


def box_head(dim: int) -> MLP:
    """MLP to 4 numbers that starts at zero: the first boxes are the references themselves."""
    head = MLP(dim, dim, dim, 4)
    last = head.layers[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return head


class Detections(NamedTuple):
    """Logits of the decoder's states: labels [..., C] and morphology [..., A, V]."""

    labels: Tensor
    morphology: Tensor


class DetectionHeads(nn.Module):
    """Class, box and morphology of each query.

    `box` is called by the decoder between its layers, with the reference at hand; `forward` gives the rest.

    Args:
        dim: width D of the decoder's states.
        classes: number of classes C (30 in table 5).
        attributes: number of morphology attributes A.
        values: values V of each attribute.
    """

    def __init__(self, dim: int, classes: int, attributes: int = 6, values: int = 2) -> None:
        super().__init__()
        self.attributes, self.values = attributes, values
        self.label = class_head(dim, classes)
        self.box = box_head(dim)
        self.morphology = nn.Linear(dim, attributes * values)

    def forward(self, states: Tensor) -> Detections:
        """States [..., D] -> logits [..., C] and [..., A, V]."""
        return Detections(self.label(states), self.morphology(states).unflatten(-1, (self.attributes, self.values)))
