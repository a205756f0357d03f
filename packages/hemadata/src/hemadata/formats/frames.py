"""In which frame boxes hold: as the picture is stored, or turned by a quarter. Some sets do not say; windows can tell.

A frame is named by the EXIF orientation that leads to it from the stored one: 1 as stored, 6 and 8 the quarter turns.
"""

from array import array
from collections.abc import Iterable
from math import isfinite

import numpy as np

from hemadata.formats.boxes import Boxes
from hemadata.formats.pictures import decode, grey_of, open_picture, orientation_of
from hemadata.geometry import turn_box, turn_size

STORED, CLOCKWISE, COUNTER = 1, 6, 8
_BACK = {CLOCKWISE: COUNTER, COUNTER: CLOCKWISE}
_MIDDLE = 150 / 575  # of a window: the nucleus of the cell that it is centred on


def look(image: bytes) -> tuple[tuple[int, int], int]:
    """Width and height of the stored frame, and the EXIF orientation; DefectError where it is no image."""
    opened = open_picture(image)
    return opened.size, orientation_of(opened)


def possible(reach: tuple[float, float], size: tuple[int, int], orientation: int) -> tuple[int, ...]:
    """Frames that hold all boxes of a group of pictures of one size; none where the boxes fit no frame.

    Args:
        reach: largest right and largest lower edge of the boxes.
        size: of the stored frame.
        orientation: EXIF orientation of the pictures: where only the quarter turns are left, it says which.
    """
    fitting = []
    for frame in (STORED, CLOCKWISE, COUNTER):
        width, height = turn_size(*size, frame)
        if reach[0] <= width and reach[1] <= height:
            fitting.append(frame)
    return (orientation,) if orientation in _BACK and fitting == [*_BACK] else tuple(fitting)


def to_stored(boxes: Boxes, size: tuple[int, int], frame: int) -> Boxes:
    """Boxes of a frame -> boxes of the stored frame.

    Args:
        boxes: in the frame.
        size: of the stored frame.
        frame: 1, 6 or 8.
    """
    if frame == STORED:
        return boxes
    shown = turn_size(*size, frame)
    numbers = array("d", [n for box in boxes.frames() for n in turn_box(box, *shown, _BACK[frame])])
    return Boxes(numbers, boxes.labels, boxes.attributes, boxes.source_ids, boxes.ratings, boxes.flags)


def score(pictures: Iterable[tuple[bytes, Boxes]], frame: int) -> float:
    """How dark and purple the middles of the windows are if they hold in `frame`; nuclei are both. Mean over windows.

    Args:
        pictures: files and their labelled windows.
        frame: 1, 6 or 8.
    """
    found: list[float] = []
    for data, boxes in pictures:
        opened = decode(open_picture(data))
        pixels = np.asarray(grey_of(opened), dtype=np.float32), np.asarray(opened.convert("RGB"))
        for x, y, w, h in to_stored(boxes, opened.size, frame).frames():
            if not all(map(isfinite, (x, y, w, h))):  # withheld by the engine
                continue
            half = max(1, round(_MIDDLE * min(w, h) / 2))
            column, row = round(x + w / 2), round(y + h / 2)
            here = np.s_[max(0, row - half) : row + half, max(0, column - half) : column + half]
            grey, colour = pixels[0][here], pixels[1][here].astype(np.float32)
            if grey.size:
                purple = np.clip((colour[..., 0] + colour[..., 2]) / 2 - colour[..., 1], 0, None)
                found.append(float(255 - grey.mean() + purple.mean()))
    return float(np.mean(found)) if found else 0.0
