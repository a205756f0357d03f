"""TXL-PBC: YOLO labels of cells in pictures of four older sets, whose UUID names hide where each came from."""

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from hemadata.errors import LayoutError
from hemadata.formats import yolo
from hemadata.formats.paired import matched
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

WORDS = ("WBC", "RBC", "Platelets")  # by id: the files disagree on the third word
PAPER = {"train": 1008, "test": 144}  # the paper's split is that of the folders of this release
POINTER = b"version https://git-lfs"
SIZES = ((575, 575), (360, 363), (640, 480), (416, 416))
KINDS = {"neutrophil": 0, "red_blood_cell": 1, "platelet": 2}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per image; folders are found at any depth, `classes.txt` is no label file."""
    images, pages = yolo.places(raw.own)
    if not images:
        raise LayoutError(
            f"{raw.own.root}: expected TXL_PBC/images/train/*.jpg and TXL_PBC/labels/train/*.txt, found no such image. "
            "If the release is laid out in another way, add it to formats/yolo.py."
        )
    first = next(iter(images.values()))
    if first.size < 200 and first.read().startswith(POINTER):
        raise LayoutError(f"{first.name} is a pointer of Git LFS, not a picture. Run git lfs pull in the clone.")
    count = Counter(key.partition("/")[0] for key in images)
    is_paper = all(count[split] == images_of for split, images_of in PAPER.items())
    for key, image, boxes in matched(images, pages, partial(yolo.read, words=WORDS), raw.problem):
        split = key.partition("/")[0]
        yield Ref(key, image, objects=boxes, split_upstream=split, split_paper=split if is_paper else None)


def draw(out: Path, n: int, seed: int) -> None:
    """`n` pictures of the four sizes, 70 / 20 / 10; each split folder also holds a classes.txt."""
    top = out / "txl-pbc" / "TXL_PBC"
    for split in ("train", "val", "test"):
        for kind in ("images", "labels"):
            (top / kind / split).mkdir(parents=True)
        (top / "labels" / split / "classes.txt").write_text("WBC\nRBC\nPC\n")
    (top / "labels" / "classes.txt").write_text("WBC\nRBC\nPlatelet\n")
    (top / "data.yaml").write_text(
        "train: ./images/train/\nval: ./images/val/\ntest: ./images/test/\nnc: 3\nnames: ['WBC', 'RBC','Platelets']"
    )
    for number in range(n):
        size, split = SIZES[number % 4], ("train", "val", "test")[(number % 10 > 6) + (number % 10 > 8)]
        smear = Smear(seed, size)
        if number % 4 < 2:  # crops
            field = smear.single_cell(number, "neutrophil")
        else:
            field = smear.field(number, {"red_blood_cell": 14, "neutrophil": number % 9 > 0, "platelet": 1})
        lines = yolo.page(((KINDS[cell.kind], cell.box) for cell in field.cells), size)
        if number == 2:  # some lines of the archive are repeated
            lines = f"{lines}\n{lines.splitlines()[-1]}"
        name = uuid5(NAMESPACE_URL, f"{seed} {number}")
        (top / "images" / split / f"{name}.jpg").write_bytes(jpeg_bytes(field.image))
        (top / "labels" / split / f"{name}.txt").write_text(lines)
