"""Learning rates over the steps of a stage."""

import math

from hemamodel.stages import StageConfig


def factor(stage: StageConfig, step: int, steps_per_epoch: int, steps: int) -> float:
    """What the stage's learning rates are multiplied with at a step (0 is the first)."""
    rise = min(1.0, (step + 1) / (stage.warmup + 1))
    if stage.schedule == "cosine":
        return rise * (1 + math.cos(math.pi * step / steps)) / 2
    dropped = stage.lr_drop is not None and step >= stage.lr_drop * steps_per_epoch
    return rise * (0.1 if dropped else 1.0)
