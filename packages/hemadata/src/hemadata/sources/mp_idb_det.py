"""MP-IDB, boxes: Falciparum has a table whose header lies; elsewhere they are the components of the masks."""

from collections import defaultdict
from collections.abc import Iterator

from hemadata.errors import DefectError, FormatError
from hemadata.formats.boxes import Box, Boxes
from hemadata.formats.decimals import decimal
from hemadata.formats.masks import boxes_of
from hemadata.formats.paired import pairs
from hemadata.formats.pictures import open_picture
from hemadata.formats.rawfile import RawFile
from hemadata.formats.tables import read_csv
from hemadata.sources.base import Raw, Ref, Sample
from hemadata.sources.mp_idb import HEADER, SPECK, TABLE, draw, number_of, parasites_of, parts, refer

__all__ = ["draw", "index", "load"]

LISTED = "Falciparum"  # the species with a table
ENOUGH = 20  # rows: so many corners cannot all look like corners by chance
STAGES = ("R", "T", "S", "G")
PAPER = "test"  # the paper tests on 106 pictures: all but those of Falciparum


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; groups are slides."""
    for species, images, masks in parts(raw):
        if species == LISTED:
            yield from _listed(raw, images)
            continue
        for stem, image, mask in pairs(images, masks, raw.problem):
            yield refer(species, stem, image, mask=mask, split_paper=PAPER)


def load(ref: Ref) -> Sample:
    """The picture, and its boxes: those of the table, or the components of the mask, of one stage where one is named.

    Raises:
        DefectError: picture or mask cannot be read, or they differ in size.
    """
    data = ref.image.read()
    if ref.mask is None:
        return Sample(data, objects=ref.objects)
    parasites, size = parasites_of(ref.mask.read()), open_picture(data).size
    if parasites.shape != size[::-1]:
        found = f"{parasites.shape[1]} x {parasites.shape[0]}"
        raise DefectError("mask_size", f"mask of {found}, picture of {size[0]} x {size[1]}")
    word = stage_of(ref.image.stem)
    return Sample(data, objects=Boxes.of(Box(b, word) for b in boxes_of(parasites, SPECK)), flags=("boxes_from_mask",))


def stage_of(stem: str) -> str:
    """The letter of the one stage that a name lists; `parasite` where it lists several, each of some object."""
    letters = set(stem.partition(number_of(stem))[2].replace("_", "-").strip("-").split("-"))
    return letters.pop() if len(letters) == 1 and letters <= {*STAGES} else "parasite"


def _listed(raw: Raw, images: dict[str, RawFile]) -> Iterator[Ref]:
    """Pictures of the species with a table, joined to its rows by slide and number."""
    tables = [file for name, file in raw.own.files.items() if name.rpartition("/")[2] == TABLE]
    if len(tables) != 1:
        raise raw.unlike(f"one {TABLE} beside {LISTED}/img, {len(tables)} are there, among other files")
    boxes = read_table(tables[0])
    for stem, image in images.items():
        if found := boxes.pop(number_of(stem), None):
            yield refer(LISTED, stem, image, objects=Boxes.of(found))
        else:
            raw.problem(image, stem, "missing_annotation", f"no row in {TABLE}")
    for number in sorted(boxes):
        raw.problem(tables[0], number, "missing_image", f"no picture {LISTED}/img/{number}-*")


def read_table(table: RawFile) -> dict[str, list[Box]]:
    """Slide and number -> boxes. The header says xmin, xmax, ymin, ymax; the numbers are x, y, width, height.

    Raises:
        FormatError: another header, a row without numbers, or all rows fit the header: then a release has mended it.
    """
    header = next(iter(table.text().splitlines()), "")
    if [cell.strip() for cell in header.lower().split(",")] != HEADER.split(","):
        raise FormatError(
            f"{table.name}, line 1: expected {HEADER}, found {header[:120]!r}. The known release holds x, y, width, "
            "height under that header. If the file was mended, change read_table() in sources/mp_idb_det.py."
        )
    boxes: dict[str, list[Box]] = defaultdict(list)
    fitting, rows = 0, 0
    for rows, (name, word, *cells) in enumerate(read_csv(table, columns=6), start=1):
        try:
            x, y, width, height = map(decimal, cells)
        except ValueError as error:
            raise FormatError(f"{table.name}, row {rows}: {cells} are not four numbers") from error
        fitting += x < y and width < height
        boxes[number_of(name.rpartition(".")[0])].append(Box((x, y, width, height), word))
    if rows >= ENOUGH and fitting == rows:
        raise FormatError(
            f"{table.name}: its {rows} rows fit the header {HEADER}; the known release holds x, y, width, height under "
            "it. If the file was mended, change read_table() in sources/mp_idb_det.py."
        )
    return boxes
