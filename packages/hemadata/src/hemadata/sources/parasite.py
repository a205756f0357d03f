"""Parasite Detection: a Roboflow project in whatever export the user chose."""

import json
from collections import Counter
from collections.abc import Iterator
from hashlib import md5
from itertools import chain, islice
from pathlib import Path
from typing import Any

from hemadata.formats import roboflow
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

PAPER = {"train": 225, "test": 40}  # an export that is cut so has the paper's split
WORDS = {"leishmania_clump": "concentrated_leishman_parasite", "leishmania": "leishman_parasite"}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; augmented copies of a photograph are one group."""
    found = roboflow.read(raw.own, raw.problem)
    first = list(islice(found, sum(PAPER.values()) + 1))
    is_paper = Counter(split for split, _, _ in first) == PAPER
    for split, image, boxes in chain(first, found):
        photograph = roboflow.source_photograph(image.stem)
        key = f"{split}/{image.stem}" if split else image.stem
        yield Ref(
            key, image, objects=boxes, group=photograph, split_upstream=split, split_paper=split if is_paper else None
        )


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields as a COCO export, 70 / 15 / 15; category 0 is the project's own and has no box."""
    top, smear = out / "parasite", Smear(seed, (640, 640), red_cell=60)
    categories = [{"id": 0, "name": "parasites", "supercategory": "none"}]
    categories += [{"id": i, "name": w, "supercategory": "parasites"} for i, w in enumerate(WORDS.values(), start=1)]
    pages: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for number in range(n):
        split = ("train", "valid", "test")[(number % 7 > 4) + (number % 7 > 5)]
        page = pages.setdefault(split, {"images": [], "annotations": []})
        field = smear.field(number, {"leishmania": 1 + number % 3, "leishmania_clump": number % 2, "red_blood_cell": 6})
        data = jpeg_bytes(field.image)
        name = f"photo-{number}_jpg.rf.{md5(data).hexdigest()}.jpg"
        (top / split).mkdir(parents=True, exist_ok=True)
        (top / split / name).write_bytes(data)
        picture = len(page["images"])
        page["images"].append({"id": picture, "file_name": name, "width": 640, "height": 640})
        for cell in field.cells:
            if cell.kind in WORDS:
                category = list(WORDS).index(cell.kind) + 1
                entry = {"id": len(page["annotations"]), "image_id": picture, "category_id": category}
                page["annotations"].append(entry | {"bbox": list(cell.box), "iscrowd": 0, "segmentation": []})
    for split, page in pages.items():
        (top / split / "_annotations.coco.json").write_text(json.dumps(page | {"categories": categories}))
    for name in ("README.dataset.txt", "README.roboflow.txt"):
        (top / name).write_text("parasite-detection\n")
