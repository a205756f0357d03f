"""KRD-WBC, the cell types: one table of class words, joined to the pictures by the digits of its ids alone."""

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from hemadata.errors import FormatError
from hemadata.formats.class_folders import nothing_found
from hemadata.formats.rawtree import RawFile
from hemadata.formats.tables import read_csv
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

TOP = "KRD-WBC dataset"
CLASSES = ("Neutrophil", "Lymphocyte", "Monocyte", "Basophil", "Eosinophil")
PICTURE = re.compile(r"(?:.*/)?image/image0*(\d+)\.jpe?g", re.IGNORECASE)
TABLE = re.compile(r"(?:.*/)?class[ _-]*labels?\.csv", re.IGNORECASE)
RELEASE = 600  # a public copy goes on with pictures and labels of somebody else
TWIN = {202: 200}  # the same picture twice


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture of the release, in the order of their numbers; the group is the picture."""
    pictures = sorted((int(m[1]), name) for name in raw.own.files if (m := PICTURE.fullmatch(name)))
    tables = [file for name, file in raw.own.files.items() if TABLE.fullmatch(name)]
    if not tables or not pictures:
        raise nothing_found(raw.own, raw.facts.name, f"{TOP}/class labels.csv and {TOP}/Dataset/image/image<n>.jpg")
    words = _words(tables[0])
    for number, name in pictures:
        image = raw.own.files[name]
        if number > RELEASE:
            raw.problem(image, image.stem, "junk_file", f"numbers above {RELEASE} are not part of the release")
        elif number in words:
            key = f"image{number}"
            yield Ref(key, image, label_raw=words[number], group=f"image{TWIN.get(number, number)}")
        else:
            raw.problem(image, image.stem, "missing_annotation", f"no row in {tables[0].name}")
    for number in sorted(words.keys() - {number for number, _ in pictures}):
        raw.problem(tables[0], f"Image{number}", "missing_image", f"no image{number}.jpg")


def _words(table: RawFile) -> dict[int, str]:
    """Number -> class word. Ids are spelled Image<n>, image<n> and Imaeg<n>; the headers are not relied on."""
    words: dict[int, str] = {}
    for picture, word in read_csv(table, columns=2):
        if not (digits := re.search(r"\d+", picture)):
            raise FormatError(f"{table.name}: the id {picture!r} holds no number; expected Image<n>.")
        number = int(digits[0])
        if number <= RELEASE and words.setdefault(number, word) != word:
            raise FormatError(f"{table.name}: image {number} is both {words[number]} and {word}. Keep one of the rows.")
    return words


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields of 512 x 512 with their masks, and the table with its odd spellings."""
    top, smear, lines = out / "krd-wbc" / TOP, Smear(seed, (512, 512)), ["Image ID,Categoriy"]
    for part in ("image", "mask"):
        (top / "Dataset" / part).mkdir(parents=True)
    for number in range(1, n + 1):
        label = CLASSES[number % len(CLASSES)]
        field = smear.single_cell(number, label.lower())
        mask = Image.fromarray(((field.mask >= 3) * 255).astype("uint8"))
        (top / "Dataset" / "image" / f"image{number}.jpg").write_bytes(jpeg_bytes(field.image))
        (top / "Dataset" / "mask" / f"mask{number}.jpg").write_bytes(jpeg_bytes(mask))
        lines.append(f"{'image' if number % 9 == 0 else 'Imaeg' if number % 9 == 5 else 'Image'}{number},{label}")
    (top / "class labels.csv").write_bytes("\ufeff".encode() + ("\n".join(lines) + "\n").encode())
