"""Results as files that other programs read: masks as PNG, boxes as COCO, features as npz."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hemadata.atomic import write_bytes, write_text
from PIL import Image

from hemamodel.predict.predictor import Result


def unique_names(files: Sequence[Path]) -> dict[Path, str]:
    """A name for what is written of each file: its own, with its folder before it where two files share one."""
    counts: dict[str, int] = {}
    for path in files:
        counts[path.name] = counts.get(path.name, 0) + 1
    return {path: path.name if counts[path.name] == 1 else "_".join(path.parts[-3:]).lstrip("/") for path in files}


def write_mask(result: Result, folder: Path, name: str) -> Path:
    """The mask of a picture at its stored size: a PNG of 0 and 255."""
    assert result.mask is not None, "segmentation gives a mask"
    path, buffer = folder / f"{name}.png", io.BytesIO()
    Image.fromarray(result.mask.numpy().astype(np.uint8) * 255).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())
    return path


class CocoFile:
    """Detections gathered into one COCO file.

    Args:
        names: of the classes, in the order of their ids; category ids count from 1.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(self, result: Result) -> None:
        """Take the objects of a picture."""
        width, height = result.size
        number = len(self._images) + 1
        self._images.append({"id": number, "file_name": str(result.image), "width": width, "height": height})
        for each in result.answer["objects"]:
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": number,
                    "category_id": self._names.index(each["label"]) + 1,
                    "bbox": each["bbox"],
                    "area": round(each["bbox"][2] * each["bbox"][3], 2),
                    "iscrowd": 0,
                    "score": each["score"],
                    "attributes": each["attributes"],
                }
            )

    def write(self, path: Path) -> None:
        """Write the file."""
        categories = [{"id": number, "name": name} for number, name in enumerate(self._names, 1)]
        whole = {"images": self._images, "annotations": self._annotations, "categories": categories}
        write_text(path, json.dumps(whole) + "\n")


def write_features(path: Path, rows: Iterable[tuple[Path, np.ndarray]]) -> tuple[int, int]:
    """`names` (text) and `features` (float32 [n, D]) in one npz; returns n and D. No rows: no file, and 0, 0."""
    names, features = [], []
    for name, feature in rows:
        names.append(str(name))
        features.append(feature)
    if not names:
        return 0, 0
    buffer, table = io.BytesIO(), np.stack(features)
    np.savez(buffer, names=np.array(names), features=table)
    write_bytes(path, buffer.getvalue())
    return table.shape[0], table.shape[1]
