"""From samples to a batch: images padded with zeros and a mask of the padding, targets as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from hemamodel.data.transforms import Sample

MULTIPLE = 64  # sides of a padded image: the coarsest level of the encoder has stride 64


@dataclass
class Batch:
    """One batch of one task, of B samples. What the task does not have is None.

    Attributes:
        task: classification, detection, segmentation, vqa or mlm.
        sources: slug of every sample.
        sample_ids: their keys in the corpus.
        prompts: text that goes in.
        original_sizes: long [B, 2], height and width of the stored images.
        images: float32 [B, 3, H, W], normalised; padding is 0. None for text alone.
        padding: bool [B, H, W], True where padded.
        sizes: long [B, 2], height and width before padding.
        labels: long [B], classification.
        boxes: B tensors [n, 4]: centre x, centre y, width, height as parts of the unpadded image, detection.
        box_labels: B tensors long [n].
        box_attributes: B tensors long [n, A], -100 where nobody rated.
        classes_annotated: float [B, classes], what a place without a box says of a class: 1 where the source annotates
            the class exhaustively, `records.PARTLY` where the image boxes some of many, 0 where nothing is known.
        masks: float32 [B, K, H, W] of 0 and 1, segmentation; 0 where padded.
        answers: text that comes out, vqa and mlm.
    """

    task: str
    sources: list[str]
    sample_ids: list[str]
    prompts: list[str]
    original_sizes: Tensor
    images: Tensor | None = None
    padding: Tensor | None = None
    sizes: Tensor | None = None
    labels: Tensor | None = None
    boxes: list[Tensor] | None = None
    box_labels: list[Tensor] | None = None
    box_attributes: list[Tensor] | None = None
    classes_annotated: Tensor | None = None
    masks: Tensor | None = None
    answers: list[str] | None = None

    def __len__(self) -> int:
        """Number of samples B."""
        return len(self.sample_ids)

    def to(self, device: torch.device | str, non_blocking: bool = True) -> Self:
        """The batch with its tensors on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The batch in page-locked memory; a DataLoader calls this."""
        return self._each(lambda tensor: tensor.pin_memory())

    def padded_to(self, height: int, width: int) -> Self:
        """The batch with its images padded further, to at least these sides."""
        if self.images is None or self.padding is None or (height, width) == tuple(self.images.shape[-2:]):
            return self
        more = (0, width - self.images.shape[-1], 0, height - self.images.shape[-2])
        masks = None if self.masks is None else pad(self.masks, more)
        return replace(self, images=pad(self.images, more), padding=pad(self.padding, more, value=True), masks=masks)

    def _each(self, change: Any) -> Self:
        def changed(value: Any) -> Any:
            if isinstance(value, list):
                return [changed(each) for each in value]
            return change(value) if isinstance(value, Tensor) else value

        return type(self)(**{field.name: changed(getattr(self, field.name)) for field in fields(self)})


def padded(side: int) -> int:
    """Side of an image -> the next multiple of 64."""
    return -(-side // MULTIPLE) * MULTIPLE


def collate(samples: Sequence[Sample]) -> Batch:
    """Batch of samples of one task.

    Every image is padded to its own next multiple of 64, then to the largest of the batch.
    """
    first = samples[0]
    batch = Batch(
        task=first["task"],
        sources=[sample["source"] for sample in samples],
        sample_ids=[sample["sample_id"] for sample in samples],
        prompts=[sample["prompt"] for sample in samples],
        original_sizes=torch.tensor([sample["original_size"] for sample in samples]),
    )
    if "image" in first:
        sizes = [tuple(sample["image"].shape[-2:]) for sample in samples]
        height, width = (max(padded(size[axis]) for size in sizes) for axis in (0, 1))
        batch.sizes = torch.tensor(sizes)
        batch.images = torch.stack([_pad(sample["image"], height, width) for sample in samples])  # [B, 3, H, W]
        batch.padding = torch.ones(len(samples), height, width, dtype=torch.bool)
        for padding, (h, w) in zip(batch.padding, sizes, strict=True):
            padding[:h, :w] = False
        if "mask" in first:
            batch.masks = torch.stack([_pad(sample["mask"].float(), height, width) for sample in samples])
    if "label" in first:
        batch.labels = torch.tensor([sample["label"] for sample in samples])
    if "boxes" in first:
        batch.boxes = [_relative(sample) for sample in samples]
        batch.box_labels = [sample["labels"] for sample in samples]
        batch.box_attributes = [sample["attributes"] for sample in samples]
        batch.classes_annotated = torch.stack([sample["annotated"] for sample in samples])
    if "answer" in first:
        batch.answers = [sample["answer"] for sample in samples]
    return batch


def _pad(image: Tensor, height: int, width: int) -> Tensor:
    plain = image.as_subclass(Tensor)  # torch.stack of tv_tensors would keep no size to trust
    return pad(plain, (0, width - plain.shape[-1], 0, height - plain.shape[-2]))


def _relative(sample: Sample) -> Tensor:
    height, width = sample["image"].shape[-2:]
    corners = sample["boxes"].as_subclass(Tensor) / torch.tensor([width, height, width, height])
    low, high = corners.split(2, dim=-1)
    return torch.cat([(low + high) / 2, high - low], dim=-1)  # [n, 4]
