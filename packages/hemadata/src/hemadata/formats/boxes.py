"""Annotated objects as format parsers hand them on."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from hemadata.formats.packed import (
    pack_numbers,
    pack_texts,
    pack_values,
    unpack_numbers,
    unpack_texts,
    unpack_values,
)
from hemadata.geometry import XYWH

Attribute = tuple[str, str | None, str | None]
"""Name, canonical value (None: not stated) and raw value of a morphology attribute."""

Rating = tuple[str, str]
"""A rater and the class word that he gave; who gave none has no rating."""

Packed = tuple[Any, ...]
"""Columns of the boxes of an image, packed."""


@dataclass(slots=True)
class Box:
    """One annotated object, in the frame in which the file is stored (before EXIF).

    Args:
        xywh: left, top, width, height in pixels, origin 0, top left corner.
        label_raw: class word as the source spells it.
        attributes: (name, value or None, raw value) of the morphology vocabulary.
        source_id: the annotation's own number, where it has one.
        ratings: what each rater said, where the source tells them apart.
        flags: words of `schema.FLAGS` that the source's text gives.
    """

    xywh: XYWH
    label_raw: str | None
    attributes: tuple[Attribute, ...] = ()
    source_id: str | None = None
    ratings: tuple[Rating, ...] = ()
    flags: tuple[str, ...] = ()


class Boxes(Sequence[Box]):
    """The objects of one image, column by column: less memory and time than a box each.

    Args:
        numbers: x, y, w, h of each, one after the other.
        labels: raw class word of each.
        attributes: of each, or empty where none has any.
        source_ids: of each, or empty where none has one.
        ratings: of each, or empty where none has any.
        flags: of each, or empty where none has any.
    """

    __slots__ = ("attributes", "flags", "labels", "numbers", "ratings", "source_ids")

    def __init__(
        self,
        numbers: "array[float]",
        labels: tuple[str | None, ...],
        attributes: tuple[tuple[Attribute, ...], ...] = (),
        source_ids: tuple[str | None, ...] = (),
        ratings: tuple[tuple[Rating, ...], ...] = (),
        flags: tuple[tuple[str, ...], ...] = (),
    ) -> None:
        self.numbers, self.labels, self.attributes = numbers, labels, attributes
        self.source_ids, self.ratings, self.flags = source_ids, ratings, flags

    def packed(self) -> Packed:
        """What `unpacked` makes equal boxes of, in less memory: for readers that must hold those of all pictures."""
        rare = (
            self.attributes and pack_values(self.attributes),
            self.source_ids and pack_texts(self.source_ids),
            self.ratings and pack_values(self.ratings),
            self.flags and pack_values(self.flags),
        )
        return *pack_numbers(self.numbers), *pack_values(self.labels), *(rare if any(rare) else ())

    @classmethod
    def unpacked(cls, packed: Packed) -> "Boxes":
        """The boxes that `packed` was asked of."""
        numbers, kind, labels, codes, *rare = packed
        attributes, source_ids, ratings, flags = rare or ((), (), (), ())
        return cls(
            unpack_numbers(numbers, kind),
            unpack_values(labels, codes),
            attributes and unpack_values(*attributes),
            source_ids and unpack_texts(source_ids),
            ratings and unpack_values(*ratings),
            flags and unpack_values(*flags),
        )

    @classmethod
    def of(cls, boxes: Iterable[Box]) -> "Boxes":
        """Pack single boxes."""
        boxes = list(boxes)
        attributes = tuple(box.attributes for box in boxes) if any(box.attributes for box in boxes) else ()
        source_ids = tuple(box.source_id for box in boxes) if any(box.source_id for box in boxes) else ()
        ratings = tuple(box.ratings for box in boxes) if any(box.ratings for box in boxes) else ()
        flags = tuple(box.flags for box in boxes) if any(box.flags for box in boxes) else ()
        numbers = array("d", [number for box in boxes for number in box.xywh])
        return cls(numbers, tuple(box.label_raw for box in boxes), attributes, source_ids, ratings, flags)

    def words(self) -> set[str | None]:
        """Every class word, those of single raters too."""
        return {*self.labels, *(word for rated in self.ratings for _, word in rated)}

    def frames(self) -> Iterator[XYWH]:
        """x, y, w, h of each."""
        numbers = iter(self.numbers)
        return zip(numbers, numbers, numbers, numbers, strict=True)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Box]:
        count = len(self)
        attributes, source_ids = self.attributes or ((),) * count, self.source_ids or (None,) * count
        ratings, flags = self.ratings or ((),) * count, self.flags or ((),) * count
        for columns in zip(self.frames(), self.labels, attributes, source_ids, ratings, flags, strict=True):
            yield Box(*columns)

    @overload
    def __getitem__(self, at: int) -> Box: ...

    @overload
    def __getitem__(self, at: slice) -> list[Box]: ...

    def __getitem__(self, at: int | slice) -> Box | list[Box]:
        return list(self)[at]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Boxes.of({list(self)!r})"
