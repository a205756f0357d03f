"""Makerere thick smears, camera on the microscope; the word `person` in the pages means a malaria parasite."""

import re
from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import LayoutError
from hemadata.formats import voc_like
from hemadata.formats.boxes import Boxes
from hemadata.formats.paired import PICTURES, matched
from hemadata.formats.rawtree import RawFile
from hemadata.formats.scan import shelf_of_files
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

BAD = re.compile(r"<bad>\s*1\s*</bad>")
HEAD = "<source><database>Makerere Automated Lab Diagnostics Database</database></source>"


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture in images/ with a page in annotation/."""
    return fields(raw, "plasmodium", "images/plasmodium-0000.jpg and annotation/plasmodium-0000.xml", ("name", "label"))


def fields(raw: Raw, name: str, expected: str, tags: tuple[str, ...]) -> Iterator[Ref]:
    """Pictures and pages `<name>-<number>` in whatever folders; a page without object is a field without parasites.

    Args:
        raw: of the source.
        name: beginning of the file names.
        expected: the layout, for the message.
        tags: where the class may stand.
    """
    match = re.compile(rf"(?:.*/)?({name}-\d+)(\.[a-z]+)", re.IGNORECASE).fullmatch
    images, pages = shelf_of_files(), shelf_of_files()
    for path, file in raw.own.files.items():
        if (found := match(path)) and (ending := found[2].lower()) in (*PICTURES, ".xml"):
            first = (pages if ending == ".xml" else images).setdefault(found[1].lower(), file)
            if first is not file:
                raise LayoutError(f"{first.name} and {file.name} are one file twice. Keep one of them.")
    if not images or not pages:
        raise LayoutError(
            f"{raw.own.root}: expected {expected}; found {len(images)} pictures and {len(pages)} pages so named. "
            "If the archive names them in another way, change fields() in sources/plasmodium.py."
        )

    def read(page: RawFile) -> tuple[Boxes, tuple[str, ...]]:
        text = page.text()
        return voc_like.objects(text, tags), ("called_bad",) if BAD.search(text) else ()

    for stem, image, (boxes, flags) in matched(images, pages, read, raw.problem):
        # The paper trains on the pictures that have a box.
        yield Ref(stem, image, objects=boxes, split_paper="train" if len(boxes) else None, flags=flags)


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields at half their size, numbered from 0, every ninth without parasites; pages say which are called bad."""
    top, smear = out / "plasmodium" / "plasmodium-images", Smear(seed, (512, 384))
    for folder in ("images", "annotation"):
        (top / folder).mkdir(parents=True)
    for number in range(n):
        count = 0 if number % 9 == 8 else 1 + number % 4
        head = f"{HEAD}<status><bad>{int(number % 7 == 6)}</bad></status>"
        picture, boxes = field(smear, number, {"parasite": count, "white_blood_cell": 1}, "parasite", "person")
        (top / "images" / f"plasmodium-{number:04d}.jpg").write_bytes(picture)
        (top / "annotation" / f"plasmodium-{number:04d}.xml").write_text(voc_like.page("name", boxes, head))


def field(
    smear: Smear, number: int, cells: dict[str, int], kind: str, word: str
) -> tuple[bytes, list[tuple[str, tuple[float, float, float, float]]]]:
    """A JPEG, and class word and corners of its cells of one kind."""
    drawn, boxes = smear.field(number, {name: count for name, count in cells.items() if count}), []
    for cell in drawn.cells:
        if cell.kind == kind:
            x, y, w, h = map(float, cell.box)
            boxes.append((word, (x, y, x + w, y + h)))
    return jpeg_bytes(drawn.image), boxes
