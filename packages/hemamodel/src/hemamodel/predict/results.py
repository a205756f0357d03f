"""From the model's outputs to things in the pixels of the stored image."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from hemamodel.model.boxes import to_corners
from hemamodel.model.unihema import Found


@dataclass(frozen=True)
class Detections:
    """Objects found in one image, best first.

    Attributes:
        boxes: x1, y1, x2, y2 in pixels of the stored image, float32 [n, 4].
        scores: 0 to 1, [n].
        labels: class ids, long [n].
        morphology: value of each attribute, long [n, A].
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    morphology: Tensor

    def to(self, device: torch.device | str) -> "Detections":
        """The same on a device."""
        return Detections(*(each.to(device) for each in (self.boxes, self.scores, self.labels, self.morphology)))

    def above(self, threshold: float) -> "Detections":
        """Those with a score of at least `threshold`."""
        kept = self.scores >= threshold
        return Detections(self.boxes[kept], self.scores[kept], self.labels[kept], self.morphology[kept])


def detections(found: Found, original_sizes: Tensor, most: int = 300) -> list[Detections]:
    """The best (query, class) pairs of each image, as DINO takes them: no suppression of overlaps.

    Args:
        found: output of the model, without denoising queries.
        original_sizes: height and width of the stored images, [B, 2].
        most: objects per image.
    """
    scores = found.labels[-1].float().sigmoid()  # [B, Q, C]
    classes = scores.shape[-1]
    best, place = scores.flatten(1).topk(min(most, scores[0].numel()), dim=1)  # [B, n]
    results = []
    for image, (height, width) in enumerate(original_sizes.tolist()):
        queries, labels = place[image] // classes, place[image] % classes
        boxes = to_corners(found.boxes[-1, image, queries].float()).clamp(0, 1)
        scale = torch.tensor([width, height, width, height], device=boxes.device)
        morphology = found.morphology[-1, image, queries].argmax(-1)  # [n, A]
        results.append(Detections(boxes * scale, best[image], labels, morphology))
    return results


def masks(logits: Tensor, sizes: Tensor, original_sizes: Tensor, threshold: float = 0.5) -> list[Tensor]:
    """Foreground of each image at its stored size, bool [H, W].

    Args:
        logits: [B, 1, H, W], of the padded images.
        sizes: height and width before padding, [B, 2].
        original_sizes: of the stored images, [B, 2].
        threshold: of the probability.
    """
    results = []
    for each, (h, w), size in zip(logits, sizes.tolist(), original_sizes.tolist(), strict=True):
        whole = interpolate(each[None, :, :h, :w].float(), size=size, mode="bilinear", align_corners=False)
        results.append(whole[0, 0].sigmoid() > threshold)
    return results
