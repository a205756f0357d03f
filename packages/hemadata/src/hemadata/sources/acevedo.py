"""PBC (Acevedo): class folders; the file-name prefix tells band from segmented, and the stages of `ig`."""

from collections.abc import Iterator
from pathlib import Path

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
KINDS = {"IG": "immature_granulocyte", "MMY": "metamyelocyte", "MY": "myelocyte", "PMY": "promyelocyte"}
KINDS |= {"BNE": "band_neutrophil", "SNE": "segmented_neutrophil"}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; the file name is the group, because other sets carry the same pictures under it."""
    for name, image in raw.own.find(TOP).below(TOP).files.items():
        folder, _, file = name.rpartition("/")
        if not file.lower().endswith(".jpg"):
            raw.problem(image, "", "junk_file", "not a .jpg")
            continue
        prefix = file.partition("_")[0]
        fine = prefix if prefix in FINE else None
        yield Ref(f"{folder}/{image.stem}", image, label_raw=folder, label_fine_raw=fine, group=image.stem)


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of 360 x 363 in the eight folders, and the junk file of the archive."""
    top, smear = out / "acevedo" / TOP, Smear(seed, (360, 363))
    for number in range(n):
        folder = sorted(PREFIXES)[number % len(PREFIXES)]
        prefix = PREFIXES[folder][number // len(PREFIXES) % len(PREFIXES[folder])]
        (top / folder).mkdir(parents=True, exist_ok=True)
        picture = smear.single_cell(number, KINDS.get(prefix, folder)).image
        (top / folder / f"{prefix}_{100 + number}.jpg").write_bytes(jpeg_bytes(picture))
    (top / "neutrophil").mkdir(exist_ok=True)
    (top / "neutrophil" / ".DS_169665.jpg").write_bytes(b"\0\0\0\1Bud1" + bytes(6140))
