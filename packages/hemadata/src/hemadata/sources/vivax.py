"""BBBC041v1: two JSON lists of fields, boxes by row and column; test pictures are of another size and format."""

import hashlib
import json
from array import array
from collections.abc import Iterator
from pathlib import Path
from sys import intern
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from hemadata.errors import FormatError
from hemadata.formats import json_page
from hemadata.formats.boxes import Boxes
from hemadata.formats.paired import is_picture
from hemadata.formats.rawtree import RawFile
from hemadata.phantom import Smear, jpeg_bytes, png_bytes
from hemadata.sources.base import Raw, Ref

PAGES = {"training.json": "train", "test.json": "test"}
WORDS = {
    "red_blood_cell": "red blood cell",
    "plasmodium_trophozoite": "trophozoite",
    "plasmodium_ring": "ring",
    "plasmodium_undetermined": "difficult",
    "plasmodium_schizont": "schizont",
    "plasmodium_gametocyte": "gametocyte",
    "white_blood_cell": "leukocyte",
}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per record; the group is the field's UUID, which the mask set of the same pictures shares."""
    tree, named = raw.own.find("training.json"), set()
    images = {file.stem: file for file in tree.each("images/*") if is_picture(file)}  # UUIDs
    for name, split in PAGES.items():
        page = tree.file(name)
        for number, record in enumerate(_records(page), start=1):
            try:
                path = str(record["image"]["pathname"]).lstrip("/")
                stem = path.rpartition("/")[2].rpartition(".")[0]
                boxes = _boxes(record["objects"])
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                detail = f"not a record with image and objects ({type(error).__name__}: {error})"
                raw.problem(page, f"record {number}", "unreadable_annotation", detail)
                continue
            named.add(stem)
            if image := images.get(stem):
                yield Ref(stem, image, objects=boxes, group=stem, split_upstream=split, split_paper=split)
            else:
                raw.problem(page, path, "missing_image", f"no {path}")
    for stem, file in images.items():
        if stem not in named:
            raw.problem(file, stem, "missing_annotation", f"neither {' nor '.join(PAGES)} names it")


def _records(page: RawFile) -> Iterator[Any]:
    for key, _, record in json_page.entries(page):
        if key != json_page.TOP:
            raise FormatError(f"{page.name}: expected a list of records, found an object.")
        yield record


def _boxes(objects: list[dict[str, Any]]) -> Boxes:
    """Rows and columns -> boxes; the far edge is the first row and column behind the object."""
    numbers: list[float] = []
    for entry in objects:
        low, high = entry["bounding_box"]["minimum"], entry["bounding_box"]["maximum"]
        x, y = float(low["c"]), float(low["r"])
        numbers += (x, y, float(high["c"]) - x, float(high["r"]) - y)
    return Boxes(array("d", numbers), tuple(intern(str(entry["category"])) for entry in objects))


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields at a third of their size, every tenth a test picture: JPEG of another size."""
    top, kinds = out / "vivax" / "malaria", list(WORDS)
    (top / "images").mkdir(parents=True)
    pages: dict[str, list[dict[str, Any]]] = {name: [] for name in PAGES}
    for number in range(n):
        is_test = number % 10 == 9
        size, ending = ((648, 461), "jpg") if is_test else ((533, 400), "png")
        field = Smear(seed, size).field(number, {"red_blood_cell": 20, kinds[1 + number % 6]: 1})
        name = f"{uuid5(NAMESPACE_URL, f'{seed} {number}')}.{ending}"
        data = jpeg_bytes(field.image) if is_test else png_bytes(field.image)
        (top / "images" / name).write_bytes(data)
        objects = [
            {
                "bounding_box": {"minimum": {"r": y, "c": x}, "maximum": {"r": y + h, "c": x + w}},
                "category": WORDS[cell.kind],
            }
            for cell in field.cells
            for x, y, w, h in [cell.box]
        ]
        shape = {"r": size[1], "c": size[0], "channels": 3}
        image = {"checksum": hashlib.md5(data).hexdigest(), "pathname": f"/images/{name}", "shape": shape}
        pages["test.json" if is_test else "training.json"].append({"image": image, "objects": objects})
    for name, records in pages.items():
        (top / name).write_text(json.dumps(records))
