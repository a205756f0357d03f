"""Sickle cells of Teso, Uganda: boxes exist only as black rectangles drawn into a labelled copy of each picture."""

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw

from hemadata.errors import DefectError
from hemadata.formats import drawn_boxes
from hemadata.formats.boxes import Box, Boxes
from hemadata.formats.paired import collected, pairs
from hemadata.formats.pictures import decode, open_picture, upright
from hemadata.phantom import LEISHMAN, Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref, Sample

PLACE = r"(?:.*/)?positive/{}/([^/]+)\.(?:jpe?g|png)"
CLEAN, LABELLED = (re.compile(PLACE.format(folder), re.IGNORECASE) for folder in ("un[ _-]?labell?ed", "labell?ed"))
NEGATIVE = re.compile(r"(?:.*/)?negative/(?:clear/)?(.+)\.(?:jpe?g|png)", re.IGNORECASE)
WORD = "(drawn rectangle)"


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per clean picture: positive ones with their labelled copy, negative ones without sickle cells."""
    clean, labelled, negative = (collected(raw.own.files, place) for place in (CLEAN, LABELLED, NEGATIVE))
    if not clean or not labelled:
        raise raw.unlike("Positive/Labelled/<n>.jpg, Positive/Unlabelled/<n>.jpg and Negative/Clear/<n>.jpg")
    for name, image, copy in pairs(clean, labelled, raw.problem, "labelled copy"):
        yield Ref(f"positive/{name}", image, mask=copy, objects_shown=True)
    for name, image in negative.items():
        yield Ref(f"negative/{name}", image, objects=Boxes.of([]))


def load(ref: Ref) -> Sample:
    """The clean picture; its boxes are what the labelled copy has more, both as a viewer shows them."""
    data = ref.image.read()
    if ref.mask is None:
        return Sample(data, objects=ref.objects)
    clean = upright(decode(open_picture(data)))
    copy = decode(open_picture(ref.mask.read(), "unreadable_annotation"), "unreadable_annotation")
    found = drawn_boxes.find(clean, upright(copy))
    problems = [("incomplete_annotation", text) for text in _told(found)]
    if not found.boxes:
        nothing = "no box found: the labelled copy has no black rectangle"
        raise DefectError("missing_annotation", "; ".join([text for _, text in problems] or [nothing]))
    boxes = Boxes.of(Box(box, WORD) for box in found.boxes)
    return Sample(data, objects=boxes, problems=tuple(problems))


def _told(found: drawn_boxes.Drawn) -> Iterator[str]:
    """What could not be read of a labelled copy, or not with certainty."""
    for strokes, text in (
        (found.stray, "black strokes that make no rectangle"),
        (found.unsure, "outlines with bars inside, read as two boxes, though others would look the same"),
    ):
        if strokes:
            first = strokes[0]
            yield f"{len(strokes)} {text}, the first at {first.x0}, {first.y0} to {first.x1}, {first.y1}"


def draw(out: Path, n: int, seed: int) -> None:
    """`n` round fields of view of 400 x 400, every fourth negative; rectangles are drawn into a copy, some overlap."""
    top, smear = out / "sickle-cell" / "archive", Smear(seed, (400, 400), stain=LEISHMAN)
    for folder in ("Positive/Labelled", "Positive/Unlabelled", "Negative/Clear"):
        (top / folder).mkdir(parents=True)
    for number in range(n):
        is_negative, name = number % 4 == 3, f"{number // 4 + 1 if number % 4 == 3 else number - number // 4 + 1}.jpg"
        kinds = {"red_blood_cell": 14} | ({} if is_negative else {"rbc_sickle": 2 + number % 2})
        field = smear.field(number, kinds)
        picture = Image.new("RGB", smear.size)
        view = Image.new("L", smear.size)
        ImageDraw.Draw(view).ellipse((-60, -60, 460, 460), fill=255)
        picture.paste(field.image, mask=view)
        if is_negative:
            (top / "Negative" / "Clear" / name).write_bytes(jpeg_bytes(picture))
            continue
        (top / "Positive" / "Unlabelled" / name).write_bytes(jpeg_bytes(picture))
        pen = ImageDraw.Draw(picture)
        for cell in field.cells:
            if cell.kind == "rbc_sickle":
                x, y, w, h = cell.box
                pen.rectangle((x - 6, y - 5, x + w + 5, y + h + 6), outline="black", width=2 + number % 2)
        (top / "Positive" / "Labelled" / name).write_bytes(jpeg_bytes(picture))
