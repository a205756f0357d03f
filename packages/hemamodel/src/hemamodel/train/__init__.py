"""Training: what learns in a stage, and what a step costs."""

from hemamodel.train.freeze import set_trainable
from hemamodel.train.step import step_loss

__all__ = ["set_trainable", "step_loss"]
