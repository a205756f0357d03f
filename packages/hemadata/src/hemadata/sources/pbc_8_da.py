"""PBC-8-DA: crops of the PBC pictures in eight class folders, renumbered, in the download of RV-PBS."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.formats.class_folders import crops, under
from hemadata.formats.rawtree import RawTree
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

TOP = "PBC_8_DA"
CLASSES = (
    *("basophil", "eosinophil", "lymphocyte", "metamyelocyte", "monocyte", "myelocyte", "neutrophil", "promyelocyte"),
)


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop. The names of PBC are lost, so a crop cannot be joined to its parent by name."""
    tree = under(raw.own, TOP) or _numbered(raw.own)
    for crop in crops(tree, raw.facts.name, CLASSES, raw.problem):
        yield Ref(f"{crop.label}/{crop.inside}", crop.image, label_raw=crop.label)


def _numbered(tree: RawTree) -> RawTree:
    """The tree without its own folder: bare numbers tell these crops from those of the companion set."""
    return RawTree(tree.root, {n: f for n, f in tree.files.items() if f.stem.isdecimal()})


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of several sizes, numbered through the folders."""
    for number in range(n):
        label = CLASSES[number % len(CLASSES)]
        folder = out / "rv-pbs" / TOP / label
        folder.mkdir(parents=True, exist_ok=True)
        size = 140 + 16 * (number % 5)
        picture = Smear(seed, (size, size + 8)).single_cell(number, label, neighbours=1).image
        (folder / f"{number // len(CLASSES)}.jpg").write_bytes(jpeg_bytes(picture))
