"""Boxes that a page lists one by one, gathered by picture: packed as they come, in whatever order."""

from array import array
from collections.abc import Iterator
from typing import TypeVar

import numpy as np

from hemadata.formats.boxes import Attribute, Boxes, Packed
from hemadata.formats.packed import shared
from hemadata.geometry import XYWH
from hemadata.shelf import Shelf

Value = TypeVar("Value")
HELD = 1 << 18  # boxes that wait to be packed: 40 MB


def shelf_of_boxes() -> Shelf[Boxes]:
    """A shelf for the boxes of pictures."""
    return Shelf(Boxes.packed, lambda _, packed: Boxes.unpacked(packed))


class Gathered:
    """Boxes by the name of their picture, in the order in which names were first given."""

    def __init__(self) -> None:
        self._packed: dict[str, Packed | None] = {}
        self._clear()

    def _clear(self) -> None:
        self._number: dict[str, int] = {}  # of each picture that waits
        self._of, self._xywh = array("L"), array("d")
        self._labels: list[str | None] = []
        self._attributes: list[tuple[Attribute, ...]] = []
        self._ids: list[str | None] = []
        self._flags: list[tuple[str, ...]] = []

    def name(self, picture: str) -> None:
        """A picture that may have no boxes."""
        self._packed.setdefault(picture, None)

    def add(
        self,
        picture: str,
        xywh: XYWH,
        label: str | None,
        attributes: tuple[Attribute, ...] = (),
        source_id: str | None = None,
        flags: tuple[str, ...] = (),
    ) -> None:
        """A box of a picture."""
        self._of.append(self._number.setdefault(picture, len(self._number)))
        self._xywh.extend(xywh)
        self._labels.append(label)
        self._attributes.append(shared(attributes))
        self._ids.append(source_id)
        self._flags.append(flags)
        if len(self._of) == HELD:
            self._pack()

    def pictures(self) -> Iterator[tuple[str, Boxes]]:
        """Name and boxes of each; boxes of one picture in the order in which they were added."""
        self._pack()
        for picture in list(self._packed):
            packed = self._packed.pop(picture)
            yield picture, Boxes.unpacked(packed) if packed else Boxes.of([])

    def by_picture(self) -> Shelf[Boxes]:
        """The same by name."""
        shelf = shelf_of_boxes()
        shelf.update(self.pictures())
        return shelf

    def _pack(self) -> None:
        of, numbers = np.asarray(self._of), np.asarray(self._xywh).reshape(-1, 4)
        order = np.argsort(of, kind="stable")
        ends = np.cumsum(np.bincount(of, minlength=len(self._number))).tolist()
        start = 0
        for picture, end in zip(self._number, ends, strict=True):
            places = order[start:end].tolist()
            boxes = Boxes(
                array("d", numbers[order[start:end]].tobytes()),
                tuple([self._labels[place] for place in places]),
                _unless_empty([self._attributes[place] for place in places]),
                _unless_empty([self._ids[place] for place in places]),
                (),
                _unless_empty([self._flags[place] for place in places]),
            )
            if before := self._packed.get(picture):
                boxes = Boxes.of([*Boxes.unpacked(before), *boxes])
            self._packed[picture] = boxes.packed()
            start = end
        self._clear()


def _unless_empty(values: list[Value]) -> tuple[Value, ...]:
    return tuple(values) if any(values) else ()
