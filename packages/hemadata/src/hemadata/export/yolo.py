"""YOLO: a text file of normalised boxes per image, and `data.yaml`."""

import csv
import json
from typing import Any

from hemadata import schema
from hemadata.export.format import DECIDED, SPLIT_NAMES, Classes, Format, Writer, flagged, image_name

SCALARS = (*(column.name for column in schema.COLUMNS if column.is_scalar), *DECIDED)
"""Columns of `samples.csv`, after `file`."""


class YoloWriter(Writer):
    """An image whose annotators found nothing has an empty text file; one that nobody annotated is left out."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._classes = Classes(self.opened, self.sources, first=0)
        self._splits: set[str] = set()
        samples = self.open_files.enter_context(self.path("samples.csv").open("x", newline="", encoding="utf-8"))
        self._samples = csv.writer(samples, lineterminator="\n")
        self._samples.writerow(("file", *SCALARS))

    def add(self, row: dict[str, Any], stem: str) -> str | None:
        """Write the image, its boxes and its line of `samples.csv`."""
        if row["objects"] is None:
            return "its source publishes no boxes"
        split, name = SPLIT_NAMES[row["split"]], image_name(row, stem)
        lines = []
        for entry in row["objects"]:
            if flagged(entry, "crowd"):
                self.notes["boxes around a crowd are left out: YOLO would take each for one object"] += 1
                continue
            x, y, w, h = entry["bbox"]
            numbers = ((x + w / 2) / row["width"], (y + h / 2) / row["height"], w / row["width"], h / row["height"])
            lines.append(f"{self._classes[entry['label']]} " + " ".join(f"{number:.12g}" for number in numbers) + "\n")
        self.save(f"images/{split}/{name}", row["image"]["bytes"])
        self.save(f"labels/{split}/{stem}.txt", "".join(lines).encode())
        self._samples.writerow((f"images/{split}/{name}", *(row[column] for column in SCALARS)))
        self._splits.add(split)
        return None

    def finish(self) -> None:
        """Write `data.yaml`; its paths are relative to itself."""
        lines = [f"{split}: images/{split}" for split in SPLIT_NAMES.values() if split in self._splits]
        lines += ["names:", *(f"  {number}: {json.dumps(name)}" for name, number in self._classes.items())]
        self.save("data.yaml", ("\n".join(lines) + "\n").encode())


FORMAT = Format(
    name="yolo",
    summary="YOLO detection, as Ultralytics and its kin read it: `class x y w h` per line, centre and size as "
    "fractions of the image, twelve digits. YOLO has no place for anything else, so every scalar of a row stands in "
    "`samples.csv` beside it, an empty field for null. Boxes flagged `crowd` are left out and counted.",
    layout="data.yaml  samples.csv  images/<split>/<image>  labels/<split>/<image>.txt",
    tasks=("detection",),
    places={
        "image.bytes": "the file, untouched",
        "objects.bbox": "line of the text file, as fractions (back to pixels within 1e-6, in double precision)",
        "objects.label": "`names` of `data.yaml`; `unlabelled` for null",
    }
    | {name: f"`samples.csv`, `{name}`" for name in SCALARS},
    writer=YoloWriter,
)
