"""AML Matek: class folders of RGBA TIFF crops; annotations.dat adds what each of three ratings said."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from hemadata.errors import FormatError, UnknownLabelError
from hemadata.formats.class_folders import crops, is_named_after_class
from hemadata.labels import LabelMap
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref

TOP = "PKG - AML-Cytomorphology_LMU/AML-Cytomorphology_LMU"
# code -> what the phantom draws; the codes are the class folders
CODES = {
    **{"BAS": "basophil", "EBO": "erythroblast", "EOS": "eosinophil", "KSC": "smudge_cell"},
    **{"LYA": "atypical_lymphocyte", "LYT": "lymphocyte", "MMZ": "metamyelocyte", "MOB": "monoblast"},
    **{"MON": "monocyte", "MYB": "myelocyte", "MYO": "myeloblast", "NGB": "band_neutrophil"},
    **{"NGS": "segmented_neutrophil", "PMB": "bilobed_promyelocyte", "PMO": "promyelocyte"},
}
TABLES = ("annotations.dat", "annotations_augmented.dat")  # the second is the name on a mirror
RATERS = ("annotation", "re-annotation 1", "re-annotation 2")
NOTHING = ("nan", "none", "null", "na", "-")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop; the folder is the label. Alpha stays: 0 marks padding at the scan border."""
    ratings = _ratings(raw)
    for crop in crops(raw.own, raw.facts.name, CODES, raw.problem, (".tiff", ".tif")):
        stem = _plain(crop.image.name)
        if not is_named_after_class(crop, stem, raw.problem):
            continue
        said = ratings.pop(stem, None)
        about = {"ratings": said} if said else {}
        yield Ref(stem, crop.image, label_raw=crop.label, split_paper="train", about=about)  # the paper trains on all
    for stem in ratings:
        raw.problem(TABLES[0], stem, "missing_image", f"no picture {stem}.tiff")


def _plain(path: str) -> str:
    """File name without any ending: one file is called .tiff.tiff on disk and .tiff in the table."""
    return re.sub(r"(?:\.tiff?)+$", "", path.rpartition("/")[2], flags=re.IGNORECASE)


def _ratings(raw: Raw) -> dict[str, list[dict[str, Any]]]:
    """Name -> ratings of the table of raters; empty where it was not downloaded."""
    tables = [f for table in TABLES for name, f in raw.own.files.items() if f"/{name}".lower().endswith(f"/{table}")]
    labels, ratings = LabelMap(raw.facts.labels, raw.facts.name), {}
    for file in tables[:1]:
        for number, line in enumerate(filter(str.strip, file.text().splitlines()), start=1):
            path, *words = line.split()
            if not re.search(r"\.tiff?$", path, re.IGNORECASE) or not 1 <= len(words) <= len(RATERS):
                raise FormatError(
                    f"{file.name}, line {number}: expected a .tiff path and up to three codes, found {line[:80]!r}."
                )
            ratings[_plain(path)] = [
                {"rater": rater, "raw": word, "label": _node(labels, word)}
                for rater, word in zip(RATERS, words, strict=False)
                if word.lower() not in NOTHING
            ]
    return ratings


def _node(labels: LabelMap, word: str) -> str | None:
    try:
        return labels.resolve(word).node
    except UnknownLabelError:  # a rater's own word; the label of the image is the folder
        return None


def draw(out: Path, n: int, seed: int) -> None:
    """`n` RGBA crops of 400 x 400: the first has a doubled ending, every seventh is padded at the bottom."""
    top, smear, lines = out / "aml-matek", Smear(seed, (400, 400)), []
    for number in range(n):
        code = list(CODES)[number % len(CODES)]
        name = f"{code}_{number // len(CODES) + 1:04d}.tiff"
        picture = smear.single_cell(number, CODES[code]).image.convert("RGBA")
        if number % 7 == 6:
            picture.paste((0, 0, 0, 0), (0, 318, 400, 400))
        (top / TOP / code).mkdir(parents=True, exist_ok=True)
        (top / TOP / code / (name if number else f"{name}.tiff")).write_bytes(_tiff(picture))
        lines.append(f"{code}/{name} {code} {f'{code} MON' if number % 4 == 1 else 'nan nan'}\n")
    (top / "annotations.dat").write_text("".join(lines))
    (top / "abbreviations.txt").write_text("".join(f"{code} {node}\n" for code, node in CODES.items()))


def _tiff(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "TIFF", compression=None)
    return out.getvalue()
