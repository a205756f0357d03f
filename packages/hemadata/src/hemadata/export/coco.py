"""COCO: instances pages for objects, stuff pages for masks, as in the data set of that name."""

from itertools import count
from typing import Any

import numpy as np
from pycocotools import mask as run_lengths

from hemadata.export.format import SPLIT_NAMES, Classes, Format, Writer, flagged, image_name, said
from hemadata.export.page import JsonPage
from hemadata.formats.pictures import open_picture
from hemadata.regions import REGIONS


class CocoWriter(Writer):
    """Image ids run through all pages, so that an image has the same id in both of its split."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._classes = Classes(self.opened, self.sources, first=1)
        self._licenses: dict[str, int] = {}
        self._pages: dict[tuple[str, str], JsonPage] = {}
        self._image_ids, self._ids = count(1), count(1)

    def add(self, row: dict[str, Any], stem: str) -> str | None:
        """Write the image and its entries."""
        objects, mask = row["objects"], row.get("mask")
        if objects is None and mask is None:
            return "its source publishes no boxes and no mask"  # an image without entries would be a negative
        split, name = SPLIT_NAMES[row["split"]], image_name(row, stem)
        self.save(f"{split}/{name}", row["image"]["bytes"])
        image = {"id": next(self._image_ids), "file_name": name} | said(row, "image", "mask", "objects", "license")
        if row["license"] is not None:
            image["license"] = self._licenses.setdefault(row["license"], len(self._licenses) + 1)
        if objects is not None:
            page = self._page("instances", split)
            page.add("images", image)
            for entry in objects:
                page.add("annotations", {"id": next(self._ids), "image_id": image["id"]} | self._object(entry))
        if mask is not None:
            page = self._page("stuff", split)
            page.add("images", image)
            for region in _regions(mask["bytes"]):
                page.add("annotations", {"id": next(self._ids), "image_id": image["id"]} | region)
        return None

    def finish(self) -> None:
        """Write the pages with their categories."""
        licenses = [{"id": number, "name": name} for name, number in self._licenses.items()]
        for (kind, _), page in self._pages.items():
            page.finish(info=self.about, licenses=licenses, categories=self._categories(kind))

    def _page(self, kind: str, split: str) -> JsonPage:
        if (kind, split) not in self._pages:
            self._pages[kind, split] = JsonPage(self.path(f"annotations/{kind}_{split}.json"), self.open_files)
        return self._pages[kind, split]

    def _object(self, entry: dict[str, Any]) -> dict[str, Any]:
        rle = entry["rle"]
        _, _, width, height = entry["bbox"]
        return {
            "category_id": self._classes[entry["label"]],
            "area": float(run_lengths.area(_for_pycocotools(rle))) if rle else width * height,
            "segmentation": rle or [],
            "iscrowd": int(flagged(entry, "crowd")),
        } | said(entry, "label", "rle")

    def _categories(self, kind: str) -> list[dict[str, Any]]:
        if kind == "stuff":
            regions = sorted((region.value, region.name) for region in REGIONS.values() if region.value)
            return [{"id": value, "name": name, "supercategory": "region"} for value, name in regions]
        return [
            {"id": number, "name": name, "supercategory": self._parent(name)} for name, number in self._classes.items()
        ]

    def _parent(self, name: str) -> str:
        tree = self.opened.ontology
        return ([name, *tree.path(name)][-2]) if name in tree.names else ""


def _regions(mask: bytes) -> list[dict[str, Any]]:
    """One annotation per region that a palette mask shows; background is what no region covers."""
    values = np.asarray(open_picture(mask, "unreadable_mask"))
    found = []
    for value in np.unique(values[values > 0]).tolist():
        rle = run_lengths.encode(np.asfortranarray(values == value))
        area, bbox = float(run_lengths.area(rle)), run_lengths.toBbox(rle).tolist()
        segmentation = {"size": list(map(int, rle["size"])), "counts": rle["counts"].decode("ascii")}
        found.append({"category_id": value, "segmentation": segmentation, "area": area, "bbox": bbox, "iscrowd": 0})
    return found


def _for_pycocotools(rle: dict[str, Any]) -> dict[str, Any]:
    return {"size": rle["size"], "counts": rle["counts"].encode("ascii")}


FORMAT = Format(
    name="coco",
    summary="COCO, as pycocotools, torchvision's `CocoDetection` and most training code read it. Objects are in "
    "`instances` pages, the regions of masks in `stuff` pages, run-length encoded. Other keys than COCO's own carry "
    "what the corpus knows beside it; a null is an absent key. The `area` of an object without run lengths is that of "
    "its box. Class numbers follow the ontology's order and hold for all splits.",
    layout="annotations/instances_<split>.json  annotations/stuff_<split>.json  <split>/<image>",
    tasks=("detection", "segmentation"),
    places={
        "image.bytes": "the file, untouched",
        "license": "`licenses[].name` by `images[].license`",
        "split": "name of the page: train, val, test",
        "mask.bytes": "stuff page: a run-length encoded annotation per region, `category_id` is the value",
        "objects.bbox": "`annotations[].bbox`",
        "objects.label": "`categories[].name` by `category_id`; `unlabelled` for null",
        "objects.rle": "`annotations[].segmentation`",
        "objects.flags": "`annotations[].flags`; `crowd` is `iscrowd` too",
    }
    | {
        f"objects.{key}": f"`annotations[].{key}`"
        for key in ("bbox_raw", "label_raw", "label_relation", "attributes", "ratings", "source_id")
    }
    | {
        f"mask_classes.{k}": f"`images[].mask_classes[].{k}`" for k in ("value", "label", "label_raw", "cell", "pixels")
    },
    rest="`images[].{}`",
    lost=frozenset({"image.path", "mask.path"}),
    writer=CocoWriter,
)
