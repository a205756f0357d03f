"""BCCD: 364 fields of view, one VOC page each; re-issues as Roboflow exports are read too. Facts in bccd.toml."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from hemadata.errors import LayoutError
from hemadata.formats import roboflow, supervisely, voc
from hemadata.formats.namelists import read_splits, write_splits
from hemadata.formats.paired import by_stem, matched
from hemadata.phantom import DrawnCell, Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

SPLITS = {"train": "train", "val": "validation", "test": "test"}
WORDS = {"red_blood_cell": "RBC", "white_blood_cell": "WBC", "platelet": "Platelets"}
CLICKS = [("RBC", (504, 337, 504, 337)), ("RBC", (181, 329, 181, 329))]  # the two degenerate boxes of the archive
Boxed = tuple[str, tuple[int, int, int, int]]


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per image, in name order; ImageSets may be missing in a copy."""
    if roboflow.is_export(raw.own):
        if raw.own.has_folder("JPEGImages"):
            raise LayoutError(
                f"{raw.own.root}: holds the archive and a Roboflow export of the same pictures: two versions. Keep one."
            )
        yield from _exported(raw)
        return
    if not raw.own.has_folder("JPEGImages"):
        yield from _of_dataset_ninja(raw)
        return
    tree = raw.own.find("JPEGImages")
    split_of = read_splits(tree, "ImageSets/Main/{}.txt", SPLITS)
    images = by_stem(tree.each("JPEGImages/*.jp*g"))
    pages = by_stem(tree.each("Annotations/*.xml"))
    for stem, image, boxes in matched(images, pages, lambda page: voc.objects(page.text()), raw.problem):
        yield Ref(stem, image, objects=boxes, group=stem, split_upstream=split_of.get(stem))


def _exported(raw: Raw) -> Iterator[Ref]:
    """The pictures of a re-issue, under the numbers of the archive; its split is the exporter's, not the archive's."""
    version = {"source_version": f"{raw.facts.version}, a Roboflow export"}
    for split, image, boxes in roboflow.read(raw.own, raw.problem):
        key = f"{split}/{image.stem}" if split else image.stem
        group = roboflow.source_photograph(image.stem)
        # The paper seems to have used the 255 / 73 / 36 of this re-issue: no other split has 36 test pictures.
        paper = split if split != "validation" else None
        yield Ref(key, image, objects=boxes, group=group, split_upstream=split, split_paper=paper, about=version)


def _of_dataset_ninja(raw: Raw) -> Iterator[Ref]:
    """The copy that the paper links: its data sets are the archive's lists, its corners those of the pages."""
    images, pages = supervisely.places(raw.own)
    if not images or not pages:
        raise raw.unlike(
            "BCCD/JPEGImages with BCCD/Annotations, an export of Roboflow, or img with ann of Dataset Ninja"
        )
    version = {"source_version": f"{raw.facts.version}, the copy of Dataset Ninja"}
    for key, image, boxes in matched(images, pages, lambda page: supervisely.rectangles(page, 1), raw.problem):
        folder, _, stem = key.partition("/")
        yield Ref(stem, image, objects=boxes, group=stem, split_upstream=SPLITS.get(folder), about=version)


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields of 640 x 480 with pages and lists; the first page holds the two degenerate boxes of the archive."""
    smear, fields = Smear(seed, (640, 480)), []
    for number in range(n):
        kind = ("neutrophil", "lymphocyte", "monocyte", "eosinophil")[number % 4]
        field = smear.field(number, {"red_blood_cell": 18, kind: 1, "platelet": number % 3})
        fields.append((field.image, boxed(field.cells) + (CLICKS if number == 0 else [])))
    write(out / "bccd" / "BCCD", fields)


def boxed(cells: Sequence[DrawnCell]) -> list[Boxed]:
    """Class word and corners of drawn cells, counted from 1, far edge inside."""
    frames = ((WORDS.get(cell.kind, "WBC"), cell.box) for cell in cells)
    return [(word, (x + 1, y + 1, x + w, y + h)) for word, (x, y, w, h) in frames]


def write(top: Path, fields: Sequence[tuple[Image.Image, list[Boxed]]]) -> None:
    """The tree of the archive: pictures, pages and the three lists."""
    (top / "JPEGImages").mkdir(parents=True)
    (top / "Annotations").mkdir()
    names = [f"BloodImage_{number:05d}" for number in range(len(fields))]
    for name, (image, boxes) in zip(names, fields, strict=True):
        (top / "JPEGImages" / f"{name}.jpg").write_bytes(jpeg_bytes(image))
        (top / "Annotations" / f"{name}.xml").write_text(voc.page(f"{name}.jpg", image.size, boxes))
    write_splits(top / "ImageSets" / "Main", names, {"train": 0.56, "val": 0.24, "test": 0.20})
