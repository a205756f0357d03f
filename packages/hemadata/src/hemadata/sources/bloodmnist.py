"""BloodMNIST: pictures stacked in the arrays of an .npz, one file per size; a picture is a row, and has no name."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hemadata.errors import FormatError, HemaError
from hemadata.formats import npz
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref

PARTS = {"train": "train", "val": "validation", "test": "test"}
PAPER = {"train": "train", "val": None, "test": "test"}
NEEDED = {f"{part}_{what}" for part in PARTS for what in ("images", "labels")}
PHANTOM = ("train", "train", "train", "test", "train", "val")  # about 7 : 1 : 2
KINDS = (
    *("basophil", "eosinophil", "erythroblast", "immature_granulocyte"),
    *("lymphocyte", "monocyte", "neutrophil", "platelet"),
)


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per row of the largest size that is there, by part and number: the same in all sizes."""
    places = npz.arrays(raw.own)
    sizes = {place: _size(place, held) for place, held in places.items() if NEEDED & held.keys()}
    if not sizes:
        raise raw.unlike(f"bloodmnist_224.npz or another size, with {_words(NEEDED)}")
    chosen = max(sizes, key=lambda place: sizes[place])
    for place, size in sizes.items():
        if place != chosen and size == sizes[chosen]:
            raise HemaError(
                f"{raw.own.root}: {chosen} and {place} both hold pictures of {size} pixels: one set twice, or two "
                "versions mixed. Keep one of them."
            )
        if place != chosen:
            raw.problem(place, "", "junk_file", f"the pictures at {size} pixels; those at {sizes[chosen]} are read")
    held = places[chosen]
    for part, split in PARTS.items():
        images, labels = held[f"{part}_images"].rows(), held[f"{part}_labels"].values().reshape(-1)
        if len(images) != len(labels):
            raise FormatError(
                f"{chosen}: {len(images)} {part}_images, but {len(labels)} {part}_labels. Download it again."
            )
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            key = f"{part}/{number:05d}"
            yield Ref(key, image, label_raw=str(label), split_upstream=split, split_paper=PAPER[part])


def _size(place: str, held: dict[str, npz.Array]) -> int:
    """Side of the pictures in pixels; the three parts must agree."""
    if missing := NEEDED - held.keys():
        raise FormatError(f"{place or 'The raw folder'}: {_words(missing)} missing; found {_words(held)}.")
    shapes = {held[f"{part}_images"].shape[1:] for part in PARTS}
    if len(shapes) != 1:
        raise FormatError(f"{place}: parts of several sizes: {_words(map(str, shapes))}. Two versions are mixed.")
    return max(shapes.pop(), default=0)


def _words(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def draw(out: Path, n: int, seed: int) -> None:
    """`n` pictures of 28 pixels in the three parts of one deflated .npz."""
    smear = Smear(seed, (56, 56))
    held: dict[str, list[tuple[np.ndarray, int]]] = {part: [] for part in PARTS}
    for number in range(n):
        picture = smear.single_cell(number, KINDS[number % len(KINDS)]).image.resize((28, 28))
        held[PHANTOM[number % len(PHANTOM)]].append((np.asarray(picture), number % len(KINDS)))
    stacks: dict[str, np.ndarray] = {}
    for part, rows in held.items():
        stacks[f"{part}_images"] = np.array([image for image, _ in rows], np.uint8).reshape(-1, 28, 28, 3)
        stacks[f"{part}_labels"] = np.array([label for _, label in rows], np.uint8).reshape(-1, 1)
    (out / "bloodmnist").mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "bloodmnist" / "bloodmnist.npz", allow_pickle=False, **stacks)
