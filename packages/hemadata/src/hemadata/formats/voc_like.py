"""XML pages that look like Pascal VOC and are not: the class stands in <label>, in <name>, or simply comes first.

Such pages have no <size>, and their corners are decimal numbers counted from 0.
"""

from array import array
from collections.abc import Iterable, Sequence
from sys import intern

from hemadata.errors import FormatError
from hemadata.formats.boxes import Boxes
from hemadata.formats.xml_page import root_of

SIDES = ("xmin", "ymin", "xmax", "ymax")


def objects(page: str, tags: Sequence[str] = ("label", "name")) -> Boxes:
    """Boxes of a page, in file order; none where the page has no object.

    Args:
        page: the XML text.
        tags: where the class may stand, in the order of trial; after them the first child of <object> is taken.

    Raises:
        FormatError: not XML, or an object without class, box or number.
    """
    numbers: list[float] = []
    labels: list[str] = []
    for count, node in enumerate(root_of(page).iter("object"), start=1):
        frame = node.find(".//bndbox")
        word = next((text for tag in tags if (text := node.findtext(tag)) is not None), None)
        if word is None and len(node) and node[0] is not frame:
            word = node[0].text
        if frame is None or not (word or "").strip():
            missing = "<bndbox>" if frame is None else " or ".join(f"<{tag}>" for tag in tags)
            raise FormatError(f"object {count} has no {missing}")
        corners = [frame.findtext(side) or "" for side in SIDES]
        try:
            x0, y0, x1, y1 = map(float, corners)
        except ValueError as error:
            raise FormatError(f"object {count} has corners {corners}, which are not four numbers") from error
        numbers += (x0, y0, x1 - x0, y1 - y0)
        labels.append(intern((word or "").strip()))
    return Boxes(array("d", numbers), tuple(labels))


def page(tag: str, boxes: Iterable[tuple[str, tuple[float, float, float, float]]], head: str = "") -> str:
    """A page of that kind.

    Args:
        tag: where the class stands.
        boxes: class word and corners xmin, ymin, xmax, ymax, counted from 0.
        head: XML before the first object.
    """
    lines = ["<annotation>", *([head] if head else [])]
    for word, corners in boxes:
        frame = "".join(f"<{side}>{value}</{side}>" for side, value in zip(SIDES, corners, strict=True))
        lines.append(
            f"<object><{tag}>{word}</{tag}><pose>Unspecified</pose><truncated>0</truncated><occluded>0</occluded>"
            f"<bndbox>{frame}</bndbox></object>"
        )
    return "\n".join([*lines, "</annotation>", ""])
