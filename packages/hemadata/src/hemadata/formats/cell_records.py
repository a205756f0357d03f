"""JSON records of field images: one file per image, a key `Cell_<n>` per cell, corners as text, two raters."""

import json
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Any

from hemadata.errors import FormatError
from hemadata.formats.boxes import Boxes, Rating
from hemadata.formats.decimals import decimal
from hemadata.formats.paired import PICTURES
from hemadata.formats.rawtree import RawFile
from hemadata.formats.scan import shelf_of_files
from hemadata.shelf import Shelf

RATERS = ("Label1", "Label2")
_CELL = re.compile(r"Cell_(\d+)")
_PLACE = re.compile(r"(?P<top>(?:.*/)?)(?P<kind>images|jsons)/(?P<stem>[^/]+)\.(?P<ending>[^./]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Record:
    """What a record says: film, and a window around each cell, in the frame that the source used."""

    film: str | None
    boxes: Boxes

    def reach(self) -> tuple[float, float]:
        """Largest right and lower edge."""
        frames = list(self.boxes.frames())
        return max((x + w for x, _, w, _ in frames), default=0.0), max((y + h for _, y, _, h in frames), default=0.0)


def read(page: RawFile) -> Record:
    """Parse a record. A cell's label is the one that no rater contradicts; null where none gave any, or they differ.

    Raises:
        FormatError: not JSON, no cell, or a corner that is no number.
    """
    try:
        whole = json.loads(page.text())
        cells = sorted((int(m[1]), whole[key]) for key in whole if (m := _CELL.fullmatch(key)))
        corners = [[decimal(cell[side]) for side in ("x1", "y1", "x2", "y2")] for _, cell in cells]
        ratings = tuple(_ratings(cell) for _, cell in cells)
        film, ids = whole.get("Film ID"), tuple(_text(cell.get("Cell_ID")) for _, cell in cells)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise FormatError(f"{page.name}: not a record of cells ({type(error).__name__}: {error})") from error
    if not cells:
        raise FormatError(f"{page.name}: no Cell_<n> in it; found {', '.join(list(whole)[:5])}")
    numbers = array("d", [n for x0, y0, x1, y1 in corners for n in (x0, y0, x1 - x0, y1 - y0)])
    labels, ids = tuple(map(_agreed, ratings)), ids if any(ids) else ()
    return Record(film and intern(str(film).strip()), Boxes(numbers, labels, (), ids, ratings if any(ratings) else ()))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _ratings(cell: dict[str, Any]) -> tuple[Rating, ...]:
    given = [(rater, str(cell.get(rater) or "").strip()) for rater in RATERS]
    return tuple((rater, word) for rater, word in given if word not in ("", "null"))


def _agreed(ratings: tuple[Rating, ...]) -> str | None:
    given = {word for _, word in ratings}
    return given.pop() if len(given) == 1 else None


def places(files: Mapping[str, RawFile], microscope: str) -> tuple[Shelf[RawFile], Shelf[RawFile]]:
    """Images and records by file name without ending, from every `images/` and `jsons/` at any depth.

    Args:
        files: of the raw tree.
        microscope: ending of the folder wanted, e.g. First_microscope. Where no folder of the tree is named after a
            microscope, everything is taken.

    Raises:
        FormatError: a name comes twice.
    """
    of_any = re.compile(r"(?:^|[/ ])[A-Za-z]+_microscope/", re.IGNORECASE)
    of_this = re.compile(rf"(?:^|[/ ]){microscope}/", re.IGNORECASE)
    named = any(of_any.search(name) for name in files)
    images, records = shelf_of_files(), shelf_of_files()
    for name, file in files.items():
        if not (place := _PLACE.fullmatch(name)) or (named and not of_this.search(name)):
            continue
        is_image, ending = place["kind"].lower() == "images", "." + place["ending"].lower()
        if ending not in (PICTURES if is_image else (".json",)):
            continue
        first = (images if is_image else records).setdefault(place["stem"], file)
        if first is not file:
            raise FormatError(f"{first.name} and {file.name} are one name twice. Keep one of them.")
    return images, records


def page(
    film: str, cells: Sequence[tuple[str | None, str | None, tuple[int, int, int, int]]], facts: dict[str, str]
) -> str:
    """A record.

    Args:
        film: its number.
        cells: both raters' labels and corners x1, y1, x2, y2 of each cell.
        facts: Zoom, Stain Method, Film Label, Camera, Microscop.
    """
    whole: dict[str, Any] = {}
    for number, (first, second, (x1, y1, x2, y2)) in enumerate(cells):
        sides = {"x1": str(x1), "x2": str(x2), "y1": str(y1), "y2": str(y2)}
        whole[f"Cell_{number}"] = {"Label1": first, "Label2": second, **sides, "Cell_ID": f"{number}.bmp"}
    return json.dumps(whole | facts | {"Film ID": film, "Cell Numbers": len(cells)})
