"""What the whole batch of a step holds, over all its parts and ranks. A loss is a mean over it, wherever it was cut."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Self

from transformers import T5Tokenizer

from hemamodel.data import Batch
from hemamodel.model.tokenizer import target_ids


@dataclass(frozen=True)
class Whole:
    """Counts of one task's batch of a step.

    Every part divides by these numbers and is padded to these sides: the sum over parts is then what one process
    would have computed in one go. GroupNorm counts padded cells, so the sides matter too.

    Attributes:
        images: samples.
        objects: annotated boxes.
        words: tokens of the answers.
        most: boxes of the image that has most.
        height: of the padded images, pixels; 0 where there are none.
        width: likewise.
    """

    images: int
    objects: int
    words: int
    most: int
    height: int
    width: int

    @classmethod
    def of(cls, parts: Sequence[Batch], tokenizer: T5Tokenizer, max_length: int) -> Self:
        """Counts over some parts of one task's batch; `max_length` as for `target_ids`."""
        boxes = [len(labels) for part in parts for labels in part.box_labels or ()]
        answers = [answer for part in parts for answer in part.answers or ()]
        sides = [part.images.shape[-2:] for part in parts if part.images is not None]
        return cls(
            images=sum(map(len, parts)),
            objects=sum(boxes),
            words=int((target_ids(tokenizer, answers, max_length) >= 0).sum()) if answers else 0,
            most=max(boxes, default=0),
            height=max((height for height, _ in sides), default=0),
            width=max((width for _, width in sides), default=0),
        )

    def together(self, others: Sequence[Self]) -> Self:
        """Counts of this and other ranks."""
        columns = list(zip(*map(astuple, [self, *others]), strict=True))
        return type(self)(*map(sum, columns[:3]), *map(max, columns[3:]))
