"""A running mean of the weights (EMA): what is evaluated and handed on, where a stage asks for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Mean of the weights that learn, the past falling by `decay` a step.

    Over the first steps the decay is smaller, (1 + n) / (10 + n), or the random start would stay in the mean.

    Args:
        model: its present weights are the first mean.
        decay: 0.999 looks back about a thousand steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self._model = decay, model
        self.tensors = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        parameters = dict(self._model.named_parameters())
        mine = list(self.tensors.values())
        torch._foreach_lerp_(mine, [parameters[name] for name in self.tensors], 1 - decay)

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the mean of a checkpoint."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model holds the mean, and its own weights again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        parameters = dict(self._model.named_parameters())
        for name, tensor in self.tensors.items():
            kept = parameters[name].clone()
            parameters[name].copy_(tensor)
            tensor.copy_(kept)
