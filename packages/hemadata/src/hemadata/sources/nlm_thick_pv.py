"""NLM thick smears of P. vivax: pictures in All_PvTk, marks in All_annotations; some names differ by an underscore."""

import re
from collections.abc import Iterator
from pathlib import Path

from hemadata.formats.paired import collected
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref
from hemadata.sources.thick_blood_smears import field, smears, write

PICTURES = re.compile(r"(?:.*/)?All_PvTk/([^/]+)/([^/]+)\.jpe?g", re.IGNORECASE)
MARKS = re.compile(r"(?:.*/)?All_annotations/([^/]+)/([^/]+)\.txt", re.IGNORECASE)


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture that has a text file, paired without underscores where needed; groups are patients."""
    images, pages = collected(raw.own.files, PICTURES), collected(raw.own.files, MARKS)
    if not images or not pages:
        raise raw.unlike("All_PvTk/<patient>/<name>.jpg and All_annotations/<patient>/<name>.txt")
    return smears(raw, images, pages, _without_underscores, "Plasmodium vivax")


def _without_underscores(key: str) -> str:
    patient, _, name = key.partition("/")
    return f"{patient}/{name.replace('_', '')}"


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields at an eighth of their size in a doubled folder, some names with an underscore more; a lone picture."""
    name = "NIH-NLM-ThickBloodSmearsPV"
    top, smear = out / "nlm-thick-pv" / name / name, Smear(seed, (378, 504), red_cell=50)
    for number in range(n + 1):
        patient, stem = f"PvTk{number % 5 + 1}", f"20170613_{143000 + number}"
        picture, page = field(smear, number, "Parasitized")
        write(top / "All_PvTk" / patient / f"{stem}{'_' * (number % 3 == 1)}.jpg", picture)
        if number < n:
            write(top / "All_annotations" / patient / f"{stem}.txt", page.encode())
