"""YOLO text labels: a line per object, `class cx cy w h`, centre and size as shares of the image.

The shares become pixels when the image is read, so the plan needs no image: until then boxes are `RelativeBoxes`.
"""

import re
from array import array
from collections.abc import Iterable, Sequence

from hemadata.errors import DefectError, FormatError
from hemadata.formats.boxes import Boxes
from hemadata.formats.decimals import decimal
from hemadata.formats.paired import PICTURES
from hemadata.formats.pictures import open_picture
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.formats.scan import shelf_of_files
from hemadata.shelf import Shelf

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
# images/<split>/ with labels/<split>/ beside it, or <split>/images/ with <split>/labels/
_PLACE = re.compile(
    r"(?P<top>(?:.*/)?)(?:(?P<kind>images|labels)/(?P<split>{0})|(?P<split2>{0})/(?P<kind2>images|labels))/(?P<file>[^/]+)".format(
        "|".join(SPLITS)
    )
)


class RelativeBoxes(Boxes):
    """Boxes whose numbers are centre and size, as shares of width and height."""

    __slots__ = ()


def read(page: RawFile, words: Sequence[str]) -> RelativeBoxes:
    """Boxes of a label file. A line with more than four numbers is a polygon: its bounding rectangle is taken.

    Args:
        page: the label file; empty where nothing is annotated.
        words: class word of each number.

    Raises:
        FormatError: a line is not of that form, or its class has no word.
    """
    numbers: list[float] = []
    labels: list[str] = []
    for count, line in enumerate(page.text().splitlines(), start=1):
        if not (parts := line.split()):
            continue
        try:
            kind, (_, *shares) = int(parts[0]), map(decimal, parts)
        except ValueError as error:
            raise FormatError(f"{page.name}, line {count}: {line.strip()[:60]!r} is not a line of numbers") from error
        if not 0 <= kind < len(words):
            raise FormatError(f"{page.name}, line {count}: class {kind}, expected 0 to {len(words) - 1}")
        if len(shares) == 4:
            numbers += shares
        elif len(shares) >= 6 and len(shares) % 2 == 0:
            across, down = shares[::2], shares[1::2]
            width, height = max(across) - min(across), max(down) - min(down)
            numbers += (min(across) + width / 2, min(down) + height / 2, width, height)
        else:
            raise FormatError(f"{page.name}, line {count}: {len(shares)} numbers after the class, expected 4")
        labels.append(words[kind])
    return RelativeBoxes(array("d", numbers), tuple(labels))


def in_pixels(boxes: Boxes | None, image: bytes) -> Boxes | None:
    """Boxes in pixels of the stored frame; an image that does not open keeps the shares, and is withheld later.

    Shares are written with six digits, so an edge may lie some thousandths of a pixel outside: it is put on the border.
    """
    if not isinstance(boxes, RelativeBoxes):
        return boxes
    try:
        size = open_picture(image).size
    except DefectError:
        return boxes
    numbers: list[float] = []
    for x, y, width, height in boxes.frames():
        left, right = _edges(x - width / 2, width, size[0])
        top, bottom = _edges(y - height / 2, height, size[1])
        numbers += (left, top, right - left, bottom - top)
    return Boxes(array("d", numbers), boxes.labels)


def _edges(start: float, length: float, pixels: int) -> tuple[float, float]:
    low, high, slack = start * pixels, (start + length) * pixels, 2e-6 * pixels
    return (0.0 if -slack < low < 0 else low), (float(pixels) if pixels < high < pixels + slack else high)


def places(tree: RawTree) -> tuple[Shelf[RawFile], Shelf[RawFile]]:
    """Images and label files by `split/name without ending`, the split as the corpus calls it.

    `classes.txt` is no label file.
    """
    images, pages = shelf_of_files(), shelf_of_files()
    for name, file in tree.files.items():
        if not (place := _PLACE.fullmatch(name)):
            continue
        stem, dot, ending = place["file"].rpartition(".")
        key = f"{SPLITS[place['split'] or place['split2']]}/{stem}"
        is_image = (place["kind"] or place["kind2"]) == "images"
        if is_image and (dot + ending).lower() in PICTURES:
            _add(images, key, file)
        elif not is_image and ending == "txt" and stem != "classes":
            _add(pages, key, file)
    return images, pages


def _add(files: Shelf[RawFile], key: str, file: RawFile) -> None:
    if (first := files.setdefault(key, file)) is not file:
        raise FormatError(f"{first.name} and {file.name} are one picture twice: two versions are mixed. Keep one.")


def class_words(page: RawFile) -> list[str]:
    """The `names` of a data.yaml: in brackets, one a line after a dash, or one a line after its number.

    Raises:
        FormatError: the file has no `names`.
    """
    found = re.search(
        r"^names\s*:[ \t]*(?:\[(?P<row>[^\]]*)\]|(?P<lines>(?:\s*\n[ \t]*(?:-|\d+\s*:)[^\n]*)+))", page.text(), re.M
    )
    if found is None:
        raise FormatError(f"{page.name}: no class names; expected names: [first, second]")
    parts = (
        found["row"].split(",") if found["row"] is not None else re.findall(r"(?:-|\d+\s*:)([^\n]*)", found["lines"])
    )
    return [part.strip().strip("'\"") for part in parts if part.strip()]


def page(boxes: Iterable[tuple[int, tuple[float, float, float, float]]], size: tuple[int, int]) -> str:
    """A label file.

    Args:
        boxes: class and x, y, w, h in pixels.
        size: width, height of the image.
    """
    lines = []
    for number, (x, y, w, h) in boxes:
        shares = (x + w / 2) / size[0], (y + h / 2) / size[1], w / size[0], h / size[1]
        lines.append(" ".join([str(number), *(f"{share:.6f}" for share in shares)]))
    return "\n".join(lines)
