"""M5: the same fields under two microscopes and three magnifications; names alone are not unique."""

import re
from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import LayoutError
from hemadata.formats import voc
from hemadata.formats.paired import matched
from hemadata.formats.scan import shelf_of_files
from hemadata.phantom import Smear, png_bytes
from hemadata.sources.base import Raw, Ref

PLACE = re.compile(
    r"(?:.*/)?(?P<scope>HCM|LCM|Olympus|China)/(?P<split>train|val|test)/(?P<mag>1000|400|100)x/(?P<stem>[^/]+)\.(?P<ending>png|xml)",
    re.IGNORECASE,
)
SCOPES = {"olympus": "HCM", "china": "LCM"}  # words of older copies
SPLITS = {"train": "train", "val": "validation", "test": "test"}
KINDS = ("ring", "trophozoite", "schizont", "gametocyte")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; the group is the stem, which all microscopes and magnifications of a field share."""
    images, pages = shelf_of_files(), shelf_of_files()
    splits: dict[str, str] = {}
    for name, file in raw.own.files.items():
        if not (place := PLACE.fullmatch(name)):
            continue
        scope, mag = place["scope"].lower(), f"{place['mag']}x"
        # The stem holds dots (stage positions): only the ending and the magnification are taken off.
        stem = re.sub(rf"_{mag}$", "", place["stem"], flags=re.IGNORECASE)
        key = f"{SCOPES.get(scope, scope.upper())}/{mag}/{stem}"
        first = (images if place["ending"].lower() == "png" else pages).setdefault(key, file)
        if first is not file:
            raise LayoutError(
                f"{first.name} and {file.name} are one file twice: two copies are mixed. Keep one of them."
            )
        splits.setdefault(key, SPLITS[place["split"].lower()])
    if not images or not pages:
        raise LayoutError(
            f"{raw.own.root}: expected Images/<HCM or LCM>/<train, val, test>/<100x, 400x, 1000x>/*.png and "
            f"the same below Annotations with *.xml; found {len(images)} pictures and {len(pages)} pages there. "
            "Put all parts of the download there; other folder names go into PLACE of sources/m5.py."
        )
    for key, image, boxes in matched(images, pages, lambda page: voc.objects(page.text()), raw.problem):
        mag, stem = key.split("/", 2)[1:]
        split = splits[key]
        # The paper's counts are six times those of the folders train and test.
        paper = split if split != "validation" else None
        yield Ref(
            key, image, objects=boxes, group=stem, split_upstream=split, split_paper=paper, about={"magnification": mag}
        )


def draw(out: Path, n: int, seed: int) -> None:
    """`n` pictures of up to six for a field, larger with the magnification; words in mixed case, <size> twice."""
    top = out / "m5" / "M5-Malaria Dataset"
    lists: dict[tuple[str, str], list[str]] = {}
    for number in range(n):
        field_number, scope = number // 6, ("HCM", "LCM")[number % 2]
        mag, size = ((100, (158, 109)), (400, (316, 218)), (1000, (632, 436)))[number // 2 % 3]
        split = ("train", "train", "test", "val")[field_number % 4]
        stem = f"Malaria_CM{field_number % 3 + 1}_21Jun2021101548_{field_number + 1:04d}_127.9_{field_number + 10}.9"
        kind = KINDS[field_number % 4]
        field = Smear(seed, size).field(field_number, {"red_blood_cell": 8, f"plasmodium_{kind}": 1 + field_number % 2})
        boxes = []
        for cell in field.cells:
            if cell.kind != "red_blood_cell":
                x, y, w, h = cell.box
                boxes.append((kind.title() if number % 5 == 0 else kind, (x + 1, y + 1, x + w, y + h)))
        name, place = f"{stem}_{mag}x", Path(scope) / split / f"{mag}x"
        text = voc.page(f"{stem} {mag}x.png", size, boxes)
        tag = re.search(r"<size>.*</size>", text)
        text = text.replace("<annotation>", '<annotation verified="yes">').replace("\t\t<difficult>0</difficult>\n", "")
        for kind_of_file, ending, data in (
            ("Images", "png", png_bytes(field.image)),
            ("Annotations", "xml", (text.replace(tag[0], tag[0] * 2) if tag else text).encode()),
        ):
            (top / kind_of_file / place).mkdir(parents=True, exist_ok=True)
            (top / kind_of_file / place / f"{name}.{ending}").write_bytes(data)
        lists.setdefault((scope, split), []).append(stem)
    for (scope, split), stems in lists.items():
        (top / "Annotations" / scope / split / f"{split}.txt").write_text(
            "".join(f"{s}\n" for s in dict.fromkeys(stems))
        )
