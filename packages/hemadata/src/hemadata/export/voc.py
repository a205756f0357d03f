"""Pascal VOC: an XML page per image, palette masks, lists of names per split."""

import re
from typing import IO, Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from hemadata.export.format import DECIDED, SPLIT_NAMES, Format, Writer, flagged, image_name
from hemadata.formats.pictures import open_picture
from hemadata.labels import UNLABELLED
from hemadata.schema import COLUMNS

SCALARS = (*(c.name for c in COLUMNS if c.is_scalar and c.name not in ("width", "height")), *DECIDED)
"""Columns of the element `hemadata`."""
OF_OBJECT = ("label_raw", "label_relation", "source_id")
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class VocWriter(Writer):
    """Boxes are `xmin = x + 1 .. xmax = x + w`: VOC counts pixels from 1 and includes the last one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._lists: dict[str, IO[str]] = {}

    def add(self, row: dict[str, Any], stem: str) -> str | None:
        """Write image, mask, page and the name in the lists."""
        objects, mask = row["objects"], row.get("mask")
        if objects is None and mask is None:
            return "its source publishes no boxes and no mask"
        split, name = SPLIT_NAMES[row["split"]], image_name(row, stem)
        self.save(f"JPEGImages/{name}", row["image"]["bytes"])
        page = _page(row, name)
        for entry in objects or ():
            page.append(_object(entry))
        ElementTree.indent(page)
        self.save(f"Annotations/{stem}.xml", ElementTree.tostring(page, "utf-8") + b"\n")
        if objects is not None:
            self._list("Main", split).write(stem + "\n")
        if mask is not None:
            self.save(f"SegmentationClass/{stem}.png", mask["bytes"])
            self._list("Segmentation", split).write(stem + "\n")
        return None

    def _list(self, kind: str, split: str) -> IO[str]:
        name = f"ImageSets/{kind}/{split}.txt"
        if name not in self._lists:
            self._lists[name] = self.open_files.enter_context(self.path(name).open("x", encoding="ascii"))
        return self._lists[name]


def _page(row: dict[str, Any], name: str) -> Element:
    page = Element("annotation")
    _texts(page, {"folder": "JPEGImages", "filename": name})
    _texts(SubElement(page, "source"), {"database": row["source"], "annotation": "hemadata"})
    depth = 1 if open_picture(row["image"]["bytes"]).mode in ("1", "L") else 3
    _texts(SubElement(page, "size"), {"width": row["width"], "height": row["height"], "depth": depth})
    _texts(page, {"segmented": int(row.get("mask") is not None)})
    _texts(SubElement(page, "hemadata"), {column: row[column] for column in SCALARS})
    return page


def _object(entry: dict[str, Any]) -> Element:
    x, y, w, h = entry["bbox"]
    node = Element("object")
    _texts(node, {"name": entry["label"] or UNLABELLED, "pose": "Unspecified", "truncated": 0})
    _texts(node, {"difficult": int(flagged(entry, "crowd"))})  # evaluation passes over it, as over a crowd of COCO
    sides = {"xmin": x + 1, "ymin": y + 1, "xmax": x + w, "ymax": y + h}
    _texts(SubElement(node, "bndbox"), {side: int(v) if v.is_integer() else v for side, v in sides.items()})
    _texts(node, {name: entry[name] for name in OF_OBJECT})
    for attribute in entry["attributes"] or ():
        _texts(SubElement(node, "attribute"), attribute)
    return node


def _texts(parent: Element, values: dict[str, Any]) -> None:
    """A child per value that is not null; characters that XML cannot hold become U+FFFD."""
    for tag, value in values.items():
        if value is not None:
            SubElement(parent, tag).text = _NOT_XML.sub("\ufffd", str(value))


FORMAT = Format(
    name="voc",
    summary="Pascal VOC, as torchvision's `VOCDetection` and `VOCSegmentation` read it (they want the folder under the "
    "name `VOCdevkit/VOC2007`, and JPEG images). Boxes that lie between pixels keep their fraction. Pages carry a "
    "further element `hemadata`; a null is an absent element. `difficult` is 1 for boxes flagged `crowd`. The colours "
    "and numbers of masks are those of the corpus, listed in `export.json`.",
    layout="Annotations/<image>.xml  ImageSets/Main/<split>.txt  ImageSets/Segmentation/<split>.txt  "
    "JPEGImages/<image>  SegmentationClass/<image>.png",
    tasks=("detection", "segmentation"),
    places={
        "image.bytes": "`JPEGImages/`, untouched",
        "width": "`size/width`",
        "height": "`size/height`",
        "mask.bytes": "`SegmentationClass/`, untouched",
        "objects.bbox": "`object/bndbox`, from 1, last pixel included",
        "objects.label": "`object/name`; `unlabelled` for null",
        "objects.attributes": "`object/attribute`",
    }
    | {f"objects.{name}": f"`object/{name}`" for name in OF_OBJECT}
    | {name: f"`hemadata/{name}`" for name in SCALARS},
    writer=VocWriter,
)
