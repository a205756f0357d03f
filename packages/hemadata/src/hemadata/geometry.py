"""Boxes and the eight EXIF orientations. Pixels, origin at the top left corner, boxes as `x, y, w, h`."""

from collections.abc import Iterable
from math import isfinite

XYWH = tuple[float, float, float, float]


def turn_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Size of the displayed frame for a stored frame of width x height."""
    return (height, width) if orientation >= 5 else (width, height)


def turn_box(box: XYWH, width: int, height: int, orientation: int) -> XYWH:
    """Box of the stored frame -> box of the frame that a viewer shows.

    Args:
        box: x, y, w, h in the stored frame.
        width: of the stored frame.
        height: of the stored frame.
        orientation: EXIF tag 274, 1 to 8.
    """
    x, y, w, h = box
    right, below = width - x - w, height - y - h
    match orientation:
        case 2:
            return right, y, w, h
        case 3:
            return right, below, w, h
        case 4:
            return x, below, w, h
        case 5:
            return y, x, h, w
        case 6:
            return below, x, h, w
        case 7:
            return below, right, h, w
        case 8:
            return y, right, h, w
        case _:
            return box


def outside(boxes: Iterable[XYWH], width: int, height: int) -> list[int]:
    """Numbers of the boxes that have no area or do not lie in their image."""
    return [
        number
        for number, (x, y, w, h) in enumerate(boxes)
        if not (x >= 0 and w > 0 and x + w <= width and y >= 0 and h > 0 and y + h <= height)
    ]


def fit_box(box: XYWH, width: int, height: int, overhang: float) -> tuple[XYWH | None, str]:
    """What to do with a box that is `outside` its image.

    Args:
        box: x, y, w, h.
        width: of the image.
        height: of the image.
        overhang: pixels by which a box may reach over the border and be cut.

    Returns:
        The box cut to the image and `clipped_box`; or None and why it cannot be used
        (`box_not_finite`, `degenerate_box`, `box_outside`).
    """
    x, y, w, h = box
    if not all(map(isfinite, box)):
        return None, "box_not_finite"
    if w <= 0 or h <= 0:
        return None, "degenerate_box"
    if x < -overhang or y < -overhang or x + w > width + overhang or y + h > height + overhang:
        return None, "box_outside"
    left, top = max(x, 0.0), max(y, 0.0)
    w, h = min(x + w, width) - left, min(y + h, height) - top
    return ((left, top, w, h), "clipped_box") if w > 0 and h > 0 else (None, "box_outside")
