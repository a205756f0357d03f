"""Contrastive denoising (DINO): the decoder learns to repair boxes and labels that were disturbed on purpose."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from hemamodel.model.boxes import to_centre, to_corners

# Uniform numbers that one noisy copy of a box takes: whether to change the label, to which, 4 signs, 4 lengths.
DRAWS = 10


@dataclass(frozen=True)
class DenoisingQueries:
    """Noisy queries, to be put before the matching queries. T slots = groups x (positive, negative) x boxes.

    Attributes:
        content: [B, T, D], embedded noisy labels.
        reference: [B, T, 4], noisy boxes (cx, cy, w, h) in 0..1.
        absent: [B, T], True where a slot is empty, because the image has fewer boxes than the batch's largest.
        positive: [B, T], True where the query must find its box; other queries that are not absent must find nothing.
        target: [T], the box of its image that a slot belongs to.
        groups: number of groups G.
    """

    content: Tensor
    reference: Tensor
    absent: Tensor
    positive: Tensor
    target: Tensor
    groups: int

    def positive_slots(self, boxes: int) -> Tensor:
        """Where `positive` of an image with so many boxes is True, long [G * boxes]; no look at the device."""
        width = len(self.target) // self.groups
        first = torch.arange(self.groups, device=self.target.device) * width
        return (first[:, None] + torch.arange(boxes, device=self.target.device)).flatten()

    def blocked(self, queries: int) -> Tensor:
        """Self-attention mask [T + queries, T + queries], True where the row must not see the column.

        Matching queries see no noisy query, which would tell them the answer; groups do not see each other. Noisy
        queries see the matching ones.
        """
        slots = len(self.target)
        index = torch.arange(slots + queries, device=self.target.device)
        group = index // (slots // self.groups)
        noisy = index < slots
        return noisy[None, :] & (~noisy[:, None] | (group[:, None] != group[None, :]))

    def all_absent(self, queries: int) -> Tensor:
        """`absent` with the matching queries, none of which is absent, [B, T + queries]."""
        return torch.cat([self.absent, self.absent.new_zeros(len(self.absent), queries)], dim=1)


class Denoising(nn.Module):
    """Make noisy queries from the targets, each group a positive and a negative copy of each box.

    There is at least one slot, so that the label table is part of every step, also of a batch without boxes.

    Args:
        dim: width D.
        classes: number of classes C; row C of the label table fills empty slots.
        number: positive queries in all; groups = max(1, number // most boxes in an image of the batch).
        label_noise: half of this share of the labels is redrawn.
        box_noise: a corner moves by box_noise * u * half the side, u in [0, 1] for positives and [1, 2] for negatives.
    """

    def __init__(
        self, dim: int, classes: int, number: int = 100, label_noise: float = 0.5, box_noise: float = 0.4
    ) -> None:
        super().__init__()
        self.classes, self.number = classes, number
        self.label_noise, self.box_noise = label_noise, box_noise
        self.label = nn.Embedding(classes + 1, dim)

    def forward(
        self,
        labels: Sequence[Tensor],
        boxes: Sequence[Tensor],
        image_ids: Sequence[int | str],
        seed: int,
        most: int | None = None,
    ) -> DenoisingQueries:
        """Draw the noisy queries of a batch.

        The noise of an image depends on `seed` and its id only: not on the other images, nor on the device. More
        groups only add to it.

        Args:
            labels: for each image [n], integers in 0..C-1.
            boxes: for each image [n, 4], (cx, cy, w, h) in 0..1.
            image_ids: for each image.
            seed: to be changed each epoch, or each epoch repeats its noise.
            most: boxes of the image that has most, in the whole batch of which this one is a part; None: in this one.
        """
        counts = [len(one) for one in labels]
        most = max(counts) if most is None else most
        groups = max(1, self.number // most) if most else 1
        most = max(1, most)
        device = boxes[0].device
        draws = torch.zeros(len(counts), groups, 2, most, DRAWS)
        exists = torch.zeros(len(counts), most, dtype=torch.bool)
        for image, (count, image_id) in enumerate(zip(counts, image_ids, strict=True)):
            draws[image, :, :, :count] = draw(groups, count, image_id, seed)
            exists[image, :count] = True
        draws, exists = draws.to(device, non_blocking=True), exists.to(device, non_blocking=True)
        label = torch.stack([pad(one, (0, most - len(one))) for one in labels])  # [B, n]
        box = torch.stack([pad(one, (0, 0, 0, most - len(one))) for one in boxes])  # [B, n, 4]
        exists = exists[:, None, None].expand(-1, groups, 2, -1)  # [B, G, 2, n]
        positive = exists.clone()
        positive[:, :, 1] = False
        label = self._noisy_labels(label[:, None, None], draws).masked_fill(~exists, self.classes)
        box = self._noisy_boxes(box[:, None, None], draws).masked_fill(~exists[..., None], 0.5)
        return DenoisingQueries(
            content=self.label(label.flatten(1)),  # [B, T, D]
            reference=box.flatten(1, 3),
            absent=~exists.flatten(1),
            positive=positive.flatten(1),
            target=torch.arange(most, device=device).repeat(2 * groups),
            groups=groups,
        )

    def _noisy_labels(self, labels: Tensor, draws: Tensor) -> Tensor:
        """Labels [B, 1, 1, n], draws [B, G, 2, n, 10] -> [B, G, 2, n]."""
        redrawn = (draws[..., 1] * self.classes).long()
        return torch.where(draws[..., 0] < self.label_noise / 2, redrawn, labels)

    def _noisy_boxes(self, boxes: Tensor, draws: Tensor) -> Tensor:
        """Boxes [B, 1, 1, n, 4], draws [B, G, 2, n, 10] -> [B, G, 2, n, 4]."""
        sign = torch.where(draws[..., 2:6] < 0.5, -1.0, 1.0).to(boxes.dtype)
        length = draws[..., 6:10].to(boxes.dtype)
        nearest = torch.arange(2, device=boxes.device)[:, None, None]  # 0 for positives, 1 for negatives
        half = torch.cat([boxes[..., 2:], boxes[..., 2:]], dim=-1) / 2  # (w, h, w, h) / 2
        moved = to_corners(boxes) + sign * (length + nearest) * half * self.box_noise
        return to_centre(moved.clamp(0, 1))


def draw(groups: int, boxes: int, image_id: int | str, seed: int) -> Tensor:
    """Uniform numbers [groups, 2, boxes, 10] of one image; the first groups are the same however many are drawn."""
    key = blake2b(f"{seed}:{image_id}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key, "big") >> 1)
    rows = [torch.rand(2, boxes, DRAWS, generator=generator) for _ in range(groups)]
    return torch.stack(rows)
