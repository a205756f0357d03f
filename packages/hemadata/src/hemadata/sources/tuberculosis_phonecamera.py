"""Makerere sputum smears, phone camera: bacilli in Ziehl-Neelsen stain, pages as those of the thick smears."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.formats import voc_like
from hemadata.phantom import ZIEHL_NEELSEN, Smear
from hemadata.sources.base import Raw, Ref
from hemadata.sources.plasmodium import HEAD, field, fields


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; picture and page lie side by side, the class stands in <label>."""
    return fields(raw, "tuberculosis-phone", "tuberculosis-phone-0001.jpg with .xml beside it", ("label", "name"))


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields at half their size, every seventh without bacilli."""
    top = out / "tuberculosis-phonecamera" / "tuberculosis-phonecamera"
    top.mkdir(parents=True)
    smear = Smear(seed, (816, 612), stain=ZIEHL_NEELSEN)
    for number in range(1, n + 1):
        cells = {"white_blood_cell": 1, "tb_bacillus": 0 if number % 7 == 0 else 2 + number % 3}
        picture, boxes = field(smear, number, cells, "tb_bacillus", "TBbacillus")
        (top / f"tuberculosis-phone-{number:04d}.jpg").write_bytes(picture)
        (top / f"tuberculosis-phone-{number:04d}.xml").write_text(voc_like.page("label", boxes, HEAD))
