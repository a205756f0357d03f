"""Annotated objects as format parsers hand them on."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

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
    """The objects of one image, packed: a plan holds them for every image, at a fortieth of the memory of single boxes.

    Args:
        numbers: x, y, w, h of each, one after the other.
        labels: raw class word of each.
        attributes: of each, or empty where none has any.
        source_ids: of each, or empty where none has one.
        ratings: of each, or empty where none has any.
        flags: of each, or empty where none has any.
    """

    __slots__ = ("_attributes", "_codes", "_flags", "_kind", "_numbers", "_ratings", "_source_ids", "_words")

    def __init__(
        self,
        numbers: "array[float]",
        labels: tuple[str | None, ...],
        attributes: tuple[tuple[Attribute, ...], ...] = (),
        source_ids: tuple[str | None, ...] = (),
        ratings: tuple[tuple[Rating, ...], ...] = (),
        flags: tuple[tuple[str, ...], ...] = (),
    ) -> None:
        self._numbers, self._kind = pack_numbers(numbers)
        self._words, self._codes = pack_values(labels)
        self._attributes = pack_values(attributes) if attributes else None
        self._source_ids = pack_texts(source_ids) if source_ids else None
        self._ratings = pack_values(ratings) if ratings else None
        self._flags = pack_values(flags) if flags else None

    @property
    def numbers(self) -> "array[float]":
        """x, y, w, h of each, one after the other."""
        return unpack_numbers(self._numbers, self._kind)

    @numbers.setter
    def numbers(self, numbers: "array[float]") -> None:
        self._numbers, self._kind = pack_numbers(numbers)

    @property
    def labels(self) -> tuple[str | None, ...]:
        """Raw class word of each."""
        return unpack_values(self._words, self._codes)

    @property
    def attributes(self) -> tuple[tuple[Attribute, ...], ...]:
        """Attributes of each; empty where none has any."""
        return unpack_values(*self._attributes) if self._attributes else ()

    @property
    def source_ids(self) -> tuple[str | None, ...]:
        """Number of each in the source; empty where none has one."""
        return () if self._source_ids is None else unpack_texts(self._source_ids)

    @property
    def ratings(self) -> tuple[tuple[Rating, ...], ...]:
        """Ratings of each; empty where none has any."""
        return unpack_values(*self._ratings) if self._ratings else ()

    @property
    def flags(self) -> tuple[tuple[str, ...], ...]:
        """Flags of each; empty where none has any."""
        return unpack_values(*self._flags) if self._flags else ()

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
        ratings = self._ratings[0] if self._ratings else ()
        return {*self._words, *(word for rated in ratings for _, word in rated)}

    def frames(self) -> Iterator[XYWH]:
        """x, y, w, h of each."""
        numbers = iter(self.numbers)
        return zip(numbers, numbers, numbers, numbers, strict=True)

    def __len__(self) -> int:
        return len(self._words if self._codes is None else self._codes)

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
