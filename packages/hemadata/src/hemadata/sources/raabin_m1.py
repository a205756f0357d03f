"""Raabin fields of the first microscope: a JSON record per picture, equal windows around cells, in the stored frame."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import LayoutError
from hemadata.formats import cell_records
from hemadata.formats.cell_records import Record
from hemadata.formats.paired import matched
from hemadata.formats.rawtree import RawFile
from hemadata.phantom import Field, Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

FACTS = {"Zoom": "100x", "Stain Method": "Giemsa", "Film Label": "Normal", "Camera": "Samsung Galaxy S5"}
WORDS = {
    "neutrophil": "Neutrophil",
    "large_lymphocyte": "Large Lymph",
    "small_lymphocyte": "Small Lymph",
    "eosinophil": "Eosinophil",
    "monocyte": "Monocyte",
    "band_neutrophil": "Band",
    "smudge_cell": "Burst",
    "artefact": "Artifact",
}
Cells = list[tuple[str | None, str | None, tuple[int, int, int, int]]]


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per pair; groups are films, as the cropped cells of the same films have them.

    The boxes stay in the stored frame: the engine turns them with a picture that carries an EXIF orientation.
    """
    for stem, image, record in records(raw, "First_microscope"):
        yield Ref(stem, image, objects=record.boxes, group=film_of(image, record))


def records(raw: Raw, microscope: str) -> Iterator[tuple[str, RawFile, Record]]:
    """Name, picture and record of each pair of one microscope; LayoutError where there is none."""
    images, pages = cell_records.places(raw.own.files, microscope)
    if not images or not pages:
        raise LayoutError(
            f"{raw.own.root}: expected {microscope}/<film>/images/*.jpg and .../jsons/*.json; "
            f"found {len(images)} pictures and {len(pages)} records in such folders. "
            "Put all films there; other folder names go into formats/cell_records.py."
        )
    return matched(images, pages, cell_records.read, raw.problem)


def film_of(image: RawFile, record: Record) -> str:
    """Group key: the record's Film ID, else the folder that holds images/."""
    return f"film {record.film or image.name.split('/')[-3 if image.name.count('/') > 1 else 0]}"


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields at a quarter of their size, from ten films; every picture carries an EXIF turn, boxes do not."""
    smear = Smear(seed, (1328, 747), red_cell=34)
    for number in range(n):
        film, name = f"95-5-{number % 10 + 1}-1", f"20160801_{103240 + number}" + "(1)" * (number == 4)
        field, cells = fields(smear, number)
        top = out / "raabin-m1" / "WBC" / "First_microscope" / film
        write(top, name, jpeg_bytes(field.image, orientation=6), film, cells, FACTS | {"Microscop": "Olympus CX18"})


def fields(smear: Smear, number: int) -> tuple[Field, Cells]:
    """A field and its windows; some cells have one rater, two who differ, or none."""
    kinds = list(WORDS)
    cells: Cells = []
    first, second = kinds[number % 8], kinds[(number + 3) % 8]
    field = smear.field(number, {"red_blood_cell": 40, first: 1, second: 1})
    for cell in field.cells:
        if word := WORDS.get(cell.kind):
            x, y, w, h = cell.box
            left = min(max(round(x + w / 2 - 72), 0), smear.size[0] - 144)
            top = min(max(round(y + h / 2 - 72), 0), smear.size[1] - 144)
            raters = ((word, word), (word, word), (word, None), (word, "Unknn"), (None, None))[
                (number + len(cells)) % 5
            ]
            cells.append((*raters, (left, top, left + 144, top + 144)))
    return field, cells


def write(top: Path, name: str, picture: bytes, film: str, cells: Cells, facts: dict[str, str]) -> None:
    """A picture and its record in the folders of a film."""
    for kind in ("images", "jsons"):
        (top / kind).mkdir(parents=True, exist_ok=True)
    (top / "images" / f"{name}.jpg").write_bytes(picture)
    (top / "jsons" / f"{name}.json").write_text(cell_records.page(film, cells, facts))
