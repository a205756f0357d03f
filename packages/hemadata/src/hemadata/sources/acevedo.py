"""PBC (Acevedo): class folders; the file-name prefix tells band from segmented, and the stages of `ig`."""

from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import LayoutError
from hemadata.formats.class_folders import Crop, crops
from hemadata.formats.rawtree import RawTree
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

TOP = "PBC_dataset_normal_DIB"
FINE = ("BNE", "SNE", "MMY", "MY", "PMY")
PREFIXES = {
    "basophil": ("BA",),
    "eosinophil": ("EO",),
    "erythroblast": ("ERB",),
    "ig": ("IG", "MMY", "MY", "PMY"),
    "lymphocyte": ("LY",),
    "monocyte": ("MO",),
    "neutrophil": ("BNE", "SNE", "NEUTROPHIL"),
    "platelet": ("PLATELET",),
}
TWICE = {"EO_225902": "eosinophil", "BNE_191112": "neutrophil"}  # one picture, byte for byte, in two class folders
KINDS = {"IG": "immature_granulocyte", "MMY": "metamyelocyte", "MY": "myelocyte", "PMY": "promyelocyte"}
KINDS |= {"BNE": "band_neutrophil", "SNE": "segmented_neutrophil"}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; the file name is the group, because other sets carry the same pictures under it."""
    for crop in crops(raw.own, raw.facts.name, PREFIXES, raw.problem):
        stem = crop.image.stem
        prefix = stem.partition("_")[0]
        ref = Ref(f"{crop.label}/{stem}", crop.image, label_raw=crop.label, group=stem)
        ref.label_fine_raw = prefix if prefix in FINE else None
        if stem in TWICE:
            ref.flags = ("contradicting_label",)
            ref.about = {"ratings": [{"rater": f"folder of {s}", "raw": w, "label": w} for s, w in TWICE.items()]}
        yield ref


def by_name(tree: RawTree, source: str) -> dict[str, Crop]:
    """Pictures by file name without ending, e.g. `BNE_7323`: how the sets made from these pictures name them.

    Args:
        tree: raw folder of this source.
        source: slug of the set that asks, for messages.

    Raises:
        LayoutError: a name comes twice, or no class folder is there.
    """
    found: dict[str, Crop] = {}
    for crop in crops(tree, source, PREFIXES, lambda *_: None):
        if (first := found.setdefault(crop.image.stem, crop)) is not crop:
            raise LayoutError(f"{first.image.name} and {crop.image.name} are one picture twice. Keep one of them.")
    return found


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of 360 x 363 in the eight folders, from twelve on also the one filed twice; the junk of the archive."""
    top, smear, twice = out / "acevedo" / TOP, Smear(seed, (360, 363)), TWICE if n >= 12 else {}
    for number in range(n - len(twice)):
        folder = sorted(PREFIXES)[number % len(PREFIXES)]
        prefix = PREFIXES[folder][number // len(PREFIXES) % len(PREFIXES[folder])]
        (top / folder).mkdir(parents=True, exist_ok=True)
        picture = smear.single_cell(number, KINDS.get(prefix, folder)).image
        (top / folder / f"{prefix}_{100 + number}.jpg").write_bytes(jpeg_bytes(picture))
    for stem, folder in twice.items():
        (top / folder / f"{stem}.jpg").write_bytes(jpeg_bytes(smear.single_cell(n, "band_neutrophil").image))
    (top / "neutrophil").mkdir(exist_ok=True)
    (top / "neutrophil" / ".DS_169665.jpg").write_bytes(b"\0\0\0\1Bud1" + bytes(6140))
