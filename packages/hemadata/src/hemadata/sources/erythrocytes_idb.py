"""erythrocytesIDB2: a folder per smear with the photograph and up to four lossy masks, a quarter of its size."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from hemadata.errors import DefectError
from hemadata.formats.masks import Foreground, read_grey, read_pixels
from hemadata.formats.rawfile import RawFile
from hemadata.phantom import Field, Smear, jpeg_bytes, png_bytes
from hemadata.sources.base import Raw, Ref, Sample

SMEAR = re.compile(r"(?:.*/)?(\d{1,2})erythrocytesIDB2/([^/]+)\.jpe?g", re.IGNORECASE)
# Mask file -> value in the joined mask. Later ones win where blurred borders overlap.
VALUES = {"mask": 1, "mask-circular": 2, "mask-elongated": 3, "mask-other": 4}
LEAST = {"mask": 64}  # a middle grey in the union is said to mean overlapping cells, so it is cell too
SHAPES = {"rbc_round": "mask-circular", "rbc_sickle": "mask-elongated", "rbc_other_deformed": "mask-other"}


class MaskFiles(RawFile):
    """The masks of one smear as one file of the plan; `files` are named as in `VALUES`."""

    __slots__ = ("files",)

    def __init__(self, files: Mapping[str, RawFile]) -> None:
        first = next(iter(files.values()))
        super().__init__(first.path, first.name)
        self.files = dict(files)

    @property
    def size(self) -> int:
        """Bytes of all."""
        return sum(file.size for file in self.files.values())

    @property
    def stamp(self) -> int:
        """Changes when one of them may have changed."""
        return sum(file.stamp for file in self.files.values())


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per smear of erythrocytesIDB2; IDB1 has crops without masks, IDB3 small pictures."""
    smears: dict[int, dict[str, RawFile]] = defaultdict(dict)
    for name, file in raw.own.files.items():
        if hit := SMEAR.fullmatch(name):
            known = smears[int(hit[1])]
            if known.setdefault(hit[2].lower(), file) is not file:
                raise raw.unlike(f"each smear once; {name} and {known[hit[2].lower()].name} are two copies")
    if not smears:
        raise raw.unlike("folders 01erythrocytesIDB2 to 50erythrocytesIDB2 with source.jpg and mask.jpg")
    for number, files in sorted(smears.items()):
        key = f"{number:02d}erythrocytesIDB2"
        masks = {name: files[name] for name in VALUES if name in files}
        image = files.get("source")
        if image is None:
            raw.problem(next(iter(files.values())), key, "missing_image", "no source.jpg")
        elif not masks:
            raw.problem(image, key, "missing_annotation", "no mask.jpg, mask-circular.jpg, …")
        else:
            for name in [name for name in VALUES if name not in masks]:
                raw.problem(image, key, "incomplete_annotation", f"no {name}.jpg: what it would mark is not told")
            yield Ref(key, image, mask=MaskFiles(masks), group=f"smear {number:02d}")


def load(ref: Ref) -> Sample:
    """Joins the masks and brings them to the size of the photograph, by nearest neighbour."""
    assert isinstance(ref.mask, MaskFiles)
    data = ref.image.read()
    height, width = read_pixels(data, "unreadable_image").shape[:2]
    joined = np.zeros((height, width), np.uint8)
    for name, file in ref.mask.files.items():
        joined[_enlarged(_cells(file, LEAST.get(name, 128)), width, height)] = VALUES[name]
    return Sample(data, png_bytes(Image.fromarray(joined)))


def _cells(file: RawFile, least: int) -> Foreground:
    grey = read_grey(file.read())
    # The masks are white on black; where most is white, it is the other way round.
    return np.asarray(grey >= least if (grey > 127).mean() <= 0.5 else grey <= 255 - least)


def _enlarged(cells: Foreground, width: int, height: int) -> Foreground:
    if abs(cells.shape[1] / cells.shape[0] - width / height) > 0.02:
        raise DefectError("mask_size", f"{cells.shape[1]} x {cells.shape[0]}, image {width} x {height}: another shape")
    return np.asarray(Image.fromarray(cells).resize((width, height), Image.Resampling.NEAREST))


def draw(out: Path, n: int, seed: int) -> None:
    """`n` smears of 3136 x 2352 with masks of 784 x 588, the last is 37 or later; beside them a folder of IDB3."""
    top, smear = out / "erythrocytes-idb" / "Version 2, erythrocytesIDB", Smear(seed, (784, 588), red_cell=60)
    crops = top / "erythrocytesIDB1" / "individual cells" / "circular"
    crops.mkdir(parents=True)
    (crops / "1.jpg").write_bytes(jpeg_bytes(Smear(seed, (80, 80)).single_cell(0, "rbc_round").image))
    for number in [*range(1, n), max(n, 37)]:
        field = smear.field(number, {"rbc_round": 12, "rbc_sickle": 4, "rbc_other_deformed": 2})
        folder = top / "erythrocytesIDB2" / f"{number:02d}erythrocytesIDB2"
        folder.mkdir(parents=True)
        source = field.image.resize((3136, 2352), Image.Resampling.BILINEAR)
        (folder / "source.jpg").write_bytes(jpeg_bytes(source))
        (folder / "labeled.jpg").write_bytes(jpeg_bytes(field.image))
        for name, cells in _drawn(field).items():
            if (number, name) != (37, "mask-circular"):  # the archive lacks this one
                (folder / f"{name}.jpg").write_bytes(jpeg_bytes(Image.fromarray(cells)))
    third = top / "erythrocytesIDB3" / "01erythrocytesIDB3"
    third.mkdir(parents=True)
    (third / "source.jpg").write_bytes(jpeg_bytes(field.image.resize((267, 200))))


def _drawn(field: Field) -> dict[str, npt.NDArray[np.uint8]]:
    """The four masks of a drawn field, by name."""
    masks = {name: np.zeros(field.mask.shape, np.uint8) for name in VALUES}
    masks["mask"][field.mask > 0] = 255
    for cell in field.cells:
        x, y, width, height = cell.box
        window = np.s_[y : y + height, x : x + width]
        others = sum(mask[window].astype(int) for name, mask in masks.items() if name != "mask")
        free = (masks["mask"][window] > 0) & (others == 0)
        masks[SHAPES[cell.kind]][window][free] = 255
    return masks
