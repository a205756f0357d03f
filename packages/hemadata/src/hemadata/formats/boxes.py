"""An annotated object as format parsers hand it on."""

from dataclasses import dataclass

Attribute = tuple[str, str | None, str | None]
"""Name, canonical value (None: not stated) and raw value of a morphology attribute."""


@dataclass(slots=True)
class Box:
    """One annotated object, in the frame in which the file is stored (before EXIF).

    Args:
        xywh: left, top, width, height in pixels, origin 0, top left corner.
        label_raw: class word as the source spells it.
        attributes: (name, value or None, raw value) of the morphology vocabulary.
        source_id: the annotation's own number, where it has one.
    """

    xywh: tuple[float, float, float, float]
    label_raw: str | None
    attributes: tuple[Attribute, ...] = ()
    source_id: str | None = None
