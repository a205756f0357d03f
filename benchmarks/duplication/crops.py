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

# Fields of BCCD that overlap: the slide was photographed there more than once, shifted. These pairs correlate with 0.77
# to 0.94 where they overlap by a tenth or more, all others with less than 0.75; half of them were looked at by eye.
OVERLAPS = (
    "19-20 37-38 40-41 44-45 107-108 160-161 165-193 166-193 204-276 204-277 205-276 206-278 207-279 223-224 223-263 "
    "223-264 224-264 225-262 225-264 226-261 227-260 228-259 229-258 230-257 231-255 231-256 232-255 233-254 236-253 "
    "237-252 239-240 242-248 242-249 243-250 244-247 248-249 255-256 276-277 364-409 365-408 377-400 381-397 382-395 "
    "384-393 386-391"
)
SHIFTED = {tuple(f"BloodImage_{int(number):05}" for number in pair.split("-")) for pair in OVERLAPS.split()}
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
