"""Augmentation that keeps pixels, boxes, labels, attributes and masks together.

Everything per object passes through one index (`select`): a box that a crop drops takes its label and its attribute
row with it. Colours are moved along the stain axes and in brightness only: which colour a granule has is a label, so
channels are never exchanged and hue is never turned.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torchvision import tv_tensors  # type: ignore[import-untyped]
from torchvision.transforms.v2 import functional as F  # type: ignore[import-untyped]
from torchvision.tv_tensors import BoundingBoxes, Image, Mask, TVTensor  # type: ignore[import-untyped]

Sample = dict[str, Any]

PER_OBJECT = ("boxes", "labels", "attributes")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which the backbone starts from

# Optical density of hematoxylin, eosin and the rest in red, green, blue (Ruifrok and Johnston 2001). The azure and
# eosin of blood stains lie close to the first two.
STAINS = torch.tensor([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_UNMIX = torch.linalg.inv(STAINS)


class Transform:
    """Crop, resize, flip, colour and normalise, in this order. The pixels come out as float32 [3, H, W].

    Args:
        fit: `squash` to a square, or `shorter`: the shorter side gets the size and the aspect stays.
        sizes: in pixels; one is drawn for every sample.
        longest: `shorter` only: bound of the longer side.
        crop: probability of a random crop.
        crop_from: the crop is drawn on an image whose shorter side has one of these lengths, ...
        crop_sizes: ... with sides between these.
        min_visible: part of a box that must be left for the crop to keep the box.
        flip: probability of each of the three mirrorings (horizontal, vertical, diagonal), which make all eight
            symmetries of a square; a smear has no up or left.
        stain: how far the amount of each stain moves: a factor in 1 - stain ... 1 + stain.
        light: the same for brightness and contrast.
    """

    def __init__(
        self,
        *,
        fit: Literal["squash", "shorter"],
        sizes: Sequence[int],
        longest: int | None = None,
        crop: float = 0.0,
        crop_from: Sequence[int] = (400, 500, 600),
        crop_sizes: tuple[int, int] = (384, 600),
        min_visible: float = 0.25,
        flip: float = 0.0,
        stain: float = 0.0,
        light: float = 0.0,
    ) -> None:
        self.fit, self.sizes, self.longest = fit, tuple(sizes), longest
        self.crop, self.crop_from, self.crop_sizes, self.min_visible = crop, tuple(crop_from), crop_sizes, min_visible
        self.flip, self.stain, self.light = flip, stain, light

    def __call__(self, sample: Sample, key: int) -> Sample:
        """A new sample; equal keys draw equal numbers, and the global generator is left alone."""
        random = torch.Generator().manual_seed(key & (1 << 63) - 1)
        sample = dict(sample)
        if self._happens(self.crop, random):
            sample = self._crop(sample, random)
        height, width = sample["image"].shape[-2:]
        size = self.sizes[_integer(0, len(self.sizes) - 1, random)]
        sample = _map(sample, F.resize, list(self.fitted(height, width, size)), antialias=True)
        for mirror in (F.horizontal_flip, F.vertical_flip, transpose):
            if self._happens(self.flip, random):
                sample = _map(sample, mirror)
        pixels = sample["image"].as_subclass(Tensor).float() / 255  # [3, H, W]
        if self.stain or self.light:
            factors = 1 + self.stain * _symmetric(3, random)
            brightness, contrast = (1 + self.light * _symmetric(2, random)).tolist()
            pixels = relight(restain(pixels, factors), brightness, contrast)
        mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
        sample["image"] = tv_tensors.Image(pixels.sub_(mean).div_(std))
        return sample

    def fitted(self, height: int, width: int, size: int) -> tuple[int, int]:
        """Height and width that an image gets for one of the sizes."""
        if self.fit == "squash":
            return size, size
        scale = size / min(height, width)
        if self.longest is not None:
            scale = min(scale, self.longest / max(height, width))
        return max(1, round(height * scale)), max(1, round(width * scale))

    def _crop(self, sample: Sample, random: torch.Generator) -> Sample:
        height, width = sample["image"].shape[-2:]
        scale = min(height, width) / self.crop_from[_integer(0, len(self.crop_from) - 1, random)]
        low, high = self.crop_sizes
        h = min(height, max(1, round(_integer(low, high, random) * scale)))
        w = min(width, max(1, round(_integer(low, high, random) * scale)))
        top, left = _integer(0, height - h, random), _integer(0, width - w, random)
        cropped = _map(sample, F.crop, top, left, h, w)
        if "boxes" in sample:
            before, after = _areas(sample["boxes"]), _areas(cropped["boxes"])
            cropped = select(cropped, (after > 0) & (after >= self.min_visible * before))
        return cropped

    def _happens(self, probability: float, random: torch.Generator) -> bool:
        return probability > 0 and torch.rand((), generator=random).item() < probability


def select(sample: Sample, keep: Tensor) -> Sample:
    """The sample with only those objects; keep bool [n] is applied to every per-object field."""
    kept = {name: sample[name][keep] for name in PER_OBJECT if name in sample}
    if "boxes" in kept:
        kept["boxes"] = tv_tensors.wrap(kept["boxes"], like=sample["boxes"])
    return sample | kept


def transpose(value: TVTensor) -> TVTensor:
    """Mirror along the main diagonal; with the two flips it makes the turns by 90 degrees, without resampling."""
    if isinstance(value, BoundingBoxes):
        height, width = value.canvas_size
        turned = value.as_subclass(Tensor)[:, [1, 0, 3, 2]]
        return BoundingBoxes(turned, format="XYXY", canvas_size=(width, height))
    return tv_tensors.wrap(value.as_subclass(Tensor).transpose(-1, -2).contiguous(), like=value)


def restain(pixels: Tensor, factors: Tensor) -> Tensor:
    """Scale the amount of each stain: pixels [3, H, W] in 0 to 1, factors [3]. Background stays background."""
    if bool((factors == 1).all()):
        return pixels
    density = pixels.clamp(min=1 / 255).log_().flatten(1)  # minus the optical density, [3, H * W]
    change = _UNMIX @ torch.diag(factors) @ STAINS  # [3, 3], from the left as its transpose
    changed: Tensor = (change.T @ density).exp_().clamp_(0, 1).view_as(pixels)
    return changed


def relight(pixels: Tensor, brightness: float, contrast: float) -> Tensor:
    """Scale brightness, then contrast about the mean grey; all channels alike. pixels [3, H, W] in 0 to 1."""
    lit = (pixels * brightness).clamp_(0, 1)
    mean = lit.mean()
    changed: Tensor = lit.sub_(mean).mul_(contrast).add_(mean).clamp_(0, 1)
    return changed


def _map(sample: Sample, function: Any, *args: Any, **kwargs: Any) -> Sample:
    return {
        name: function(value, *args, **kwargs) if isinstance(value, Image | Mask | BoundingBoxes) else value
        for name, value in sample.items()
    }


def _areas(boxes: BoundingBoxes) -> Tensor:
    x1, y1, x2, y2 = boxes.as_subclass(Tensor).unbind(-1)
    areas: Tensor = (x2 - x1).clamp(min=0) * (y2 - y1).clamp(min=0)
    return areas


def _integer(low: int, high: int, random: torch.Generator) -> int:
    """Uniform among low ... high, both included."""
    return low + math.floor(torch.rand((), generator=random, dtype=torch.float64).item() * (high - low + 1))


def _symmetric(count: int, random: torch.Generator) -> Tensor:
    """Uniform in -1 ... 1, [count]."""
    return 2 * torch.rand(count, generator=random) - 1
