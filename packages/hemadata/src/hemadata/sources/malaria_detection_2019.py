"""Malaria-Detection-2019: tiles and binary masks in two folders; a table of points gives the stages of the objects."""

import re
from collections import defaultdict
from collections.abc import Iterator
from math import dist
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.errors import FormatError
from hemadata.formats import xlsx
from hemadata.formats.boxes import Box, Boxes
from hemadata.formats.decimals import decimal
from hemadata.formats.masks import Foreground, Pixels, boxes_of, read_grey, to_mask
from hemadata.formats.paired import by_stem, pairs
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref, Sample

IMAGES, MASKS, SUFFIX = "Giemsa stained images", "Ground truth images", "_GT"
# Trip 017 Day 1 19-10-05 Image 14 add_1: tile 1 of 16 of a photograph taken on trip 17
TILE = re.compile(r"Trip (?P<trip>\d{3}) Day [12] \d\d-\d\d-\d\d Image \d+( add)?_\d{1,2}")
TABLE, COLUMNS = "LifeStages.xlsx", {"imageName", "stage", "center_x", "center_y"}
NEAR = 50  # pixels between a row's point and the middle of its object
PHANTOM = {"lymphocyte": "WBC", "debris": "DEBRIS"}
ALONE = 174  # rows of the table that no object of the masks is near
LOSSY = 0.001  # of the pixels between black and white: more, and the file was encoded anew


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per tile; groups are trips: a trip holds whole photographs, and about one patient.

    The objects of a reference are the table's points, without extent: `load` gives them that of the mask's components.
    """
    if not all(raw.own.has_folder(folder) for folder in (IMAGES, MASKS)):
        raise raw.unlike(f'the folders "{IMAGES}" and "{MASKS}"')
    images = by_stem(raw.own.find(IMAGES).each(f"{IMAGES}/*.png"))
    masks = by_stem(raw.own.find(MASKS).each(f"{MASKS}/*.png"), SUFFIX)
    points = _points(raw)
    for stem, image, mask in pairs(images, masks, raw.problem):
        tile = raw.named(image, TILE, "Trip 017 Day 1 19-10-05 Image 14 add_1.png")
        said = Boxes.of(points.pop(stem, ())) if points is not None else None
        yield Ref(stem, image, mask=mask, objects=said, group=f"trip {tile['trip']}")
    for stem in sorted(points or ()):
        raw.problem(TABLE, stem, "missing_image", f"no tile {stem}.png")


def _points(raw: Raw) -> dict[str, list[Box]] | None:
    """Name of a tile -> its rows in the table; None where the table was not downloaded."""
    tables = [file for name, file in raw.own.files.items() if f"/{name}".lower().endswith(f"/{TABLE.lower()}")]
    if not tables:
        raw.problem(TABLE, "", "incomplete_annotation", "it is not there: no object has a stage")
        return None
    points: dict[str, list[Box]] = defaultdict(list)
    for number, row in enumerate(xlsx.read_records(tables[0], COLUMNS), start=2):
        try:
            centre = decimal(row["center_x"]), decimal(row["center_y"])
        except ValueError as error:
            raise FormatError(f"{tables[0].name}, row {number}: the centre is not two numbers ({error}).") from error
        points[row["imageName"].rpartition(".")[0]].append(Box((*centre, 0.0, 0.0), row["stage"]))
    return points


def load(ref: Ref) -> Sample:
    """Objects are what is not 0, or what is over 127 where the mask was encoded anew."""
    assert ref.mask
    cells = objects_of(read_grey(ref.mask.read()))
    sample = Sample(ref.image.read(), to_mask(cells))
    if ref.objects is not None:
        components = [Box(frame, None) for frame in boxes_of(cells, 1)]
        alone = _join(components, list(ref.objects))
        found = (f"{p.label_raw} at {p.xywh[:2]}: no object of the mask within {NEAR} pixels is left" for p in alone)
        sample.objects, sample.flags = Boxes.of(components), ("boxes_from_mask",)
        sample.problems = tuple(("point_marks", detail) for detail in found)
    return sample


def _join(components: list[Box], points: list[Box]) -> list[Box]:
    """Give each component the stage of its point, the nearest pairs first; returns the points that are left over."""
    distances = sorted(
        (dist((x + w / 2, y + h / 2), point.xywh[:2]), a, b)
        for a, (x, y, w, h) in enumerate(component.xywh for component in components)
        for b, point in enumerate(points)
    )
    left_components, left_points = set(range(len(components))), set(range(len(points)))
    for distance, a, b in distances:
        if distance <= NEAR and a in left_components and b in left_points:
            components[a].label_raw = points[b].label_raw
            left_components.remove(a)
            left_points.remove(b)
    return [points[b] for b in sorted(left_points)]


def objects_of(grey: Pixels) -> Foreground:
    """Objects of a mask [H, W] in any encoding; they never fill half a tile, so a mask that does is inverted."""
    lossy = grey.max(initial=0) > 1 and ((grey > 0) & (grey < 255)).mean() > LOSSY
    objects = np.asarray(grey > (127 if lossy else 0))
    return ~objects if objects.mean() > 0.5 else objects


def draw(out: Path, n: int, seed: int) -> None:
    """`n` tiles of 1382 x 1030, sixteen a photograph, every second photograph marked "add"; masks are 0 and 255."""
    top, smear = out / "malaria-detection-2019" / "5bf2kmwvfn-1", Smear(seed, (691, 515), red_cell=60)
    for folder in (IMAGES, MASKS):
        (top / folder).mkdir(parents=True)
    rows: list[tuple[str | float, ...]] = [("imageName", "stage", "center_x", "center_y")]
    for number in range(n):
        photograph, tile = divmod(number, 16)
        day, extra = photograph % 2 + 1, " add" * (photograph % 2)
        name = f"Trip {17 + photograph % 17:03d} Day {day} 19-10-05 Image {14 + photograph}{extra}_{tile + 1}"
        field = smear.field(number, {"red_blood_cell": 15, "lymphocyte": number % 2, "debris": 1})
        objects = Image.fromarray(np.where(field.mask > 2, 255, 0).astype(np.uint8))
        image = field.image.resize((1382, 1030), Image.Resampling.BILINEAR)
        image.save(top / IMAGES / f"{name}.png", compress_level=1)
        mask = objects.resize((1382, 1030), Image.Resampling.NEAREST)
        mask.save(top / MASKS / f"{name}{SUFFIX}.png", compress_level=1)
        for cell in field.cells:
            if cell.kind in PHANTOM:
                x, y, w, h = cell.box
                rows.append((f"{name}.png", PHANTOM[cell.kind], 2 * x + w, 2 * y + h))
    rows += [(rows[1][0], "DEBRIS", -NEAR - 1, number) for number in range(ALONE)]
    xlsx.write(top / TABLE, rows)
