"""Crops inside their field: cells cut from real BCCD fields, changed in the same ways, looked for in all fields.

Recall is the share that is found in its own field, precision counts every other field that is accepted and does not
show the same cell.
"""

import random
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from hemadata.audit.align import fit, green
from hemadata.audit.crops import CONFIRMED, look_up
from hemadata.audit.described import Described
from hemadata.audit.keypoints import keypoints
from hemadata.audit.parallel import Workers
from PIL import Image

from duplication.common import Row, compressed, scaled, turned

# Fields of BCCD that overlap: they show the same cell, shifted. Looked at by eye.
SHIFTED = {(f"BloodImage_{a:05}", f"BloodImage_{b:05}") for a, b in ((40, 41), (205, 276), (382, 395), (384, 393))}
CUTS = (("WBC", 0.2, "white cells, a fifth wider than their box"), ("WBC", 0.0, "white cells, their box"))
CUTS += (("RBC", 0.3, "red cells, a third wider than their box"),)


def cut(page: Path, name: str, margin: float) -> tuple[int, int, int, int] | None:
    """The first box of a name on a page of BCCD, wider on all sides; None where all are smaller than 40 pixels."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    for entry in ElementTree.parse(page).iter("object"):
        x, y, right, bottom = (int(entry.findtext(f"bndbox/{side}")) for side in sides)
        if entry.findtext("name") == name and min(right - x, bottom - y) > 40:
            wide, high = round((right - x) * margin), round((bottom - y) * margin)
            return max(0, x - wide), max(0, y - high), min(640, right + wide), min(480, bottom + high)
    return None


def run(args: Namespace) -> Iterator[Row]:
    """Each kind of crop: what is found, and the closest that was not taken."""
    paths = sorted((args.raw / "bccd/BCCD/JPEGImages").glob("*.jpg"))
    paths = paths[: round(args.share * len(paths))]
    fields = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    described, channels = [keypoints(pixels) for pixels in fields], [green(pixels) for pixels in fields]
    for name, margin, kind in CUTS:
        chance = random.Random(kind)
        boxes = [cut(path.parents[1] / "Annotations" / f"{path.stem}.xml", name, margin) for path in paths]
        own = [n for n, box in enumerate(boxes) if box]
        cells = [Image.fromarray(fields[n]).crop(boxes[n]) for n in own]
        cells = [compressed(turned(scaled(cell, chance), chance), chance) for cell in cells]
        homes = [0] * len(fields) + [1] * len(own)
        with tempfile.TemporaryDirectory() as folder, Workers() as workers:
            pictures = [*described, *(keypoints(np.asarray(cell)) for cell in cells)]
            found = look_up(Described.write(Path(folder), pictures, homes), np.flatnonzero(homes), workers)
        right, wrong, closest = set[int](), set[tuple[str, str]](), list[tuple[float, str, str]]()
        for window in found:
            number = window.small - len(fields)
            value, _ = fit(green(np.asarray(cells[number])), channels[window.large], window.turn, window.frame)
            ends = paths[own[number]].stem, paths[window.large].stem
            if ends[0] == ends[1]:
                right.update([number] if value >= CONFIRMED else [])
            elif (min(ends), max(ends)) not in SHIFTED:
                wrong.update([ends] if value >= CONFIRMED else [])
                closest += [(value, *ends)] if value < CONFIRMED else []
        closest = sorted(closest, reverse=True)[:10]
        yield {
            "kind": kind,
            "crops": len(own),
            "recall": round(len(right) / len(own), 4),
            "precision": round(len(right) / max(1, len(right) + len(wrong)), 4),
            "accepted_elsewhere": sorted(" ".join(end.removeprefix("BloodImage_") for end in ends) for ends in wrong),
            "closest_rejected": [[a, b, round(value / CONFIRMED, 3)] for value, a, b in closest],
        }
