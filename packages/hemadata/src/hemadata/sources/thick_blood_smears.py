"""NLM thick smears of P. falciparum: pictures in patient folders, marks in GT_updated under the same two names."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hemadata.errors import DefectError, LayoutError
from hemadata.formats import mark_pixels, marks
from hemadata.formats.marks import Marks, Reading
from hemadata.formats.paired import collected, loosely, matched
from hemadata.formats.rawfile import RawFile
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

LOG = logging.getLogger(__name__)
READING: Reading | None = None  # of the two points of a circle; None: told from the pixels
LOOKED_AT = 16  # pictures of as many patients as there are
PICTURES = re.compile(r"(?!(?:.*/)?GT_updated/)(?:.*/)?([^/]+)/([^/]+)\.jpe?g", re.IGNORECASE)
MARKS = re.compile(r"(?:.*/)?GT_updated/([^/]+)/([^/]+)\.txt", re.IGNORECASE)
WITHOUT_MARKS = 53  # pictures of the archive
Smears = list[tuple[str, RawFile, Marks]]


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture that has a text file; groups are patients, whose folder may lack its leading T."""
    images, pages = collected(raw.own.files, PICTURES), collected(raw.own.files, MARKS)
    if not images or not pages:
        raise raw.unlike("<patient>/<time>.jpg and GT_updated/<patient>/<time>.txt")
    return smears(raw, images, pages, lambda key: key.removeprefix("T"), "Plasmodium falciparum")


def smears(
    raw: Raw, images: Mapping[str, RawFile], pages: Mapping[str, RawFile], loose: Callable[[str], str], species: str
) -> Iterator[Ref]:
    """References of a set of thick smears. What the marks mean is told once, from some of the pictures.

    Args:
        raw: of the source.
        images: by patient/name.
        pages: by patient/name.
        loose: what of such a key counts where no two are equal.
        species: of the parasites.
    """
    found = list(matched(images, loosely(images, pages, loose), marks.read, raw.problem))
    _report(raw, found)
    shown, reading = _meaning(raw, found)
    for key, image, smear in found:
        about: dict[str, object] = {"diagnosis": species}
        if any("paras" in word.lower() for word in smear.points):
            about["classes_annotated"] = []  # parasites without a box: what lies beside the boxes is no negative
        yield Ref(
            key,
            image,
            objects=smear.boxes(reading),
            objects_shown=shown,
            group=f"patient {key.partition('/')[0]}",
            split_paper="train",  # the paper trains on all of them
            about=about,
        )


def _report(raw: Raw, found: Smears) -> None:
    """Damaged lines one by one, points in one entry per type: there are thousands."""
    points: Counter[str] = Counter()
    for key, _, smear in found:
        points.update(smear.points)
        for trouble in smear.damaged:
            raw.problem(smear.file, key, "incomplete_annotation", trouble)
    for word, count in sorted(points.items()):
        raw.problem(raw.own.root.name, word, "point_marks", f"{count:,} marks; a box would have to be invented")


def _meaning(raw: Raw, found: Smears) -> tuple[bool, Reading]:
    """Whether the marks hold in the shown frame, and what the two points of a circle are.

    Raises:
        LayoutError: the frame cannot be told.
    """
    seen = list(_looked_at(found))
    shown = mark_pixels.frame(seen) if seen else True
    if shown is None:
        raise LayoutError(
            f"{raw.own.root}: expected marks in the frame that a viewer shows, or in the stored one; in {len(seen)} "
            "pictures looked at neither fits alone. Keep pictures and text files as downloaded; the rule is in "
            "frame() of formats/mark_pixels.py."
        )
    circles = [circle for *_, smear in found for circle in smear.circles]
    told, why, is_expected = mark_pixels.reading(seen, shown, circles)
    reading = READING or told
    level = logging.INFO if is_expected else logging.WARNING
    LOG.log(level, "%s: the two points of a circle are read as %s (%s)", raw.facts.name, reading, why)
    return shown, reading


def _looked_at(found: Smears) -> Iterator[mark_pixels.Seen]:
    """Some pictures with circles, the first of each patient before the second of any."""
    nth: Counter[str] = Counter()
    order: list[tuple[int, int]] = []
    for place, (key, _, smear) in enumerate(found):
        if smear.circles:
            patient = key.partition("/")[0]
            order.append((nth[patient], place))
            nth[patient] += 1
    order.sort()
    # Every n-th of those that come first: patients from the whole set.
    step = max(1, min(len(nth), len(order)) // LOOKED_AT)
    for _, place in order[::step][:LOOKED_AT]:
        _, image, smear = found[place]
        try:
            yield mark_pixels.look(image.read(), smear.circles)
        except (DefectError, OSError):  # withheld by the engine
            continue


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields at an eighth of their size with GT_updated inside; 53 pictures without text, a Thumbs.db."""
    top, smear = out / "thick-blood-smears" / "ThickBloodSmears_150", Smear(seed, (378, 504), red_cell=38)
    for number in range(n + WITHOUT_MARKS):
        patient, name = f"TF{number % 7}N_{1522 + number % 7}", f"20171023_{110309 + number}"
        if number < n:
            picture, page = field(smear, number, "Parasite", point="Parasite" if number % 6 == 2 else None)
            write(top / "GT_updated" / patient / f"{name}.txt", page.encode())
        write(top / patient / f"{name}.jpg", picture)  # the last ones repeat the last picture
    write(top / "TF0N_1522" / "Thumbs.db", b"\xd0\xcf\x11\xe0")


def field(smear: Smear, number: int, word: str, point: str | None = None) -> tuple[bytes, str]:
    """A JPEG and its text: parasites as circles by centre and rim, one as a point if asked, white cells as points."""
    drawn = smear.field(number, {"parasite": 4 + number % 3, "white_blood_cell": 2})
    found: list[tuple[str, list[tuple[float, float]]]] = []
    for cell in drawn.cells:
        x, y, w, h = cell.box
        centre = x + w / 2, y + h / 2
        radius = min(0.6 * max(w, h), *centre, smear.size[0] - centre[0], smear.size[1] - centre[1])
        if cell.kind == "parasite":
            found.append((word, [centre, (centre[0] + radius, centre[1])]))
        else:
            found.append(("White_Blood_Cell", [centre]))
    if point:
        found.append((point, [(150.25, 261.5)]))
    return jpeg_bytes(drawn.image), marks.page(found, smear.size)


def write(path: Path, data: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
