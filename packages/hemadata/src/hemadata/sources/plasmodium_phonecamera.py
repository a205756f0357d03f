"""Makerere thick smears, phone camera: squares of 40 pixels around clicks, which reach over the border."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.formats import voc_like
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref
from hemadata.sources.plasmodium import HEAD, field, fields

OUTSIDE = 408  # boxes of the archive that reach over the border
BESIDE = 26  # of them in one picture of the phantom


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; picture and page lie side by side, the class stands in <label>."""
    return fields(raw, "plasmodium-phone", "plasmodium-phone-0001.jpg with .xml beside it", ("label", "name"))


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields of 750 x 750, every fifth without parasites; boxes reach over the upper border; a .gitkeep."""
    top, smear, left = out / "plasmodium-phonecamera" / "plasmodium-phonecamera", Smear(seed, (750, 750)), OUTSIDE
    top.mkdir(parents=True)
    (top / ".gitkeep").touch()
    for number in range(1, n + 1):
        cells = {"white_blood_cell": 1, "parasite": 0 if number % 5 == 0 else 2}
        picture, boxes = field(smear, number, cells, "parasite", "plasmodium")
        if number % 5:
            over = min(BESIDE, left)
            left -= over
            corners = [(21.3 + 27 * at, -19.3 + at % 19) for at in range(over)]
            boxes += [("plasmodium", (x, y, x + 40, y + 40)) for x, y in corners]
        name = f"plasmodium-phone-{number:04d}"
        (top / f"{name}.jpg").write_bytes(picture)
        (top / f"{name}.xml").write_text(voc_like.page("label", boxes, HEAD))
