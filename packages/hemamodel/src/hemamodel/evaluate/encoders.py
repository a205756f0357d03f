"""Encoders of single cells: a run's own, or somebody else's, behind one call."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hemamodel.data import Batch
from hemamodel.errors import InputMissingError
from hemamodel.model.hemaformer import masked_mean
from hemamodel.stages import stage_of
from hemamodel.train.start import load_run

SIZE = 224  # pixels; what the published encoders were trained with


@dataclass(frozen=True)
class Encoder:
    """Pictures -> features.

    Attributes:
        name: of the run or the model.
        size: side of the square that a picture is brought to, pixels.
        features: batch on the device -> float [B, F].
    """

    name: str
    size: int
    features: Callable[[Batch], Tensor]


def own(run: Path, device: torch.device, maps: bool = False) -> Encoder:
    """What SCFE makes of a cell, at the size that the run reads cells in.

    Args:
        run: folder of a complete run.
        device: where it runs.
        maps: beside it the mean and the spread of each map of the backbone: SCFE keeps what its stages asked for, the
            maps still hold size and shape.
    """
    found, model, _ = load_run(run)
    model.to(device)
    image = stage_of("classification", found.settings.stage).tasks["classification"].image
    assert image is not None, "classification reads images"

    def features(batch: Batch) -> Tensor:
        assert batch.images is not None and batch.padding is not None
        levels, paddings = model.backbone(batch.images, batch.padding)
        found = [model.extract(model.neck(levels, paddings))]
        if maps:
            found += [statistics(level, padding) for level, padding in zip(levels, paddings, strict=True)]
        return torch.cat(found, dim=-1)

    return Encoder(f"{run} with maps" if maps else str(run), image.evaluation_size, features)


def statistics(level: Tensor, padding: Tensor) -> Tensor:
    """Mean and standard deviation of a map [B, C, h, w] where it is not padded, [B, h, w] -> [B, 2 C]."""
    tokens, padding = level.flatten(2).mT, padding.flatten(1)  # [B, N, C], [B, N]
    mean = masked_mean(tokens, padding)
    variance = masked_mean((tokens - mean[:, None]) ** 2, padding)
    return torch.cat([mean, variance.sqrt()], dim=-1)


def foreign(name: str, device: torch.device, size: int = SIZE) -> Encoder:
    """A vision model that transformers can load (DINOv2, a DinoBloom in its format, ...): its pooled output.

    Args:
        name: folder or Hub name.
        device: where it runs.
        size: side of its images.

    Raises:
        InputMissingError: there is no such model.
    """
    from transformers import AutoModel

    try:
        model: Any = AutoModel.from_pretrained(name, trust_remote_code=False).to(device).eval()
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputMissingError(f"No encoder can be read from {name}: {reason} Name a folder or a Hub id.") from None

    def features(batch: Batch) -> Tensor:
        output = model(pixel_values=batch.images)  # normalised as ImageNet, which they expect too
        pooled: Tensor | None = getattr(output, "pooler_output", None)
        return output.last_hidden_state[:, 0] if pooled is None else pooled.flatten(1)

    return Encoder(name, size, features)
