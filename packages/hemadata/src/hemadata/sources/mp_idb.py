"""MP-IDB: a folder per species, pictures in img, lossy colour masks of equal names in gt."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hemadata.formats.rawfile import RawFile
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref, Sample
from hemadata.sources.binary_masks import is_image, pairs, read_pixels, to_mask, unlike, upright, without_small

SPECIES = ("Falciparum", "Malariae", "Ovale", "Vivax")
RED, GREEN = 70, 110  # from here on a pixel is parasite; blue is free
SPECK = 40  # pixels
ODD_NAME, WITHOUT_MASK = "1701151546-0008-R-T", "1701151546-0013-R_T"


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture, species by species; groups are slides."""
    present = [one for one in SPECIES if any(f"/{one}/gt/" in f"/{name}" for name in raw.own.files)]
    if not present:
        raise unlike(raw, f"the folders {', '.join(SPECIES)}, each with img and gt")
    for species in present:
        tree = raw.own.find(f"{species}/gt").below(species)
        images, masks = ([f for f in tree.each(f"{part}/*") if is_image(f)] for part in ("img", "gt"))
        partners = _by_image(images, masks)
        if len({f.stem for f in images}) < len(images) or len(partners) < len(masks):
            raise unlike(raw, f"one file per name in {species}/img and {species}/gt, but two commits are mixed there")
        for stem, image, mask in pairs(raw, {f.stem: f for f in images}, partners):
            about = {"diagnosis": f"Plasmodium {species.lower()}"}
            yield Ref(f"{species.lower()}/{stem}", image, mask=mask, group=stem.split("-")[0], about=about)


def load(ref: Ref) -> Sample:
    """Parasites are what is bright in red and green, without the specks that JPEG leaves."""
    assert ref.mask
    pixels = read_pixels(ref.mask.read(), in_colour=True)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 2, axis=2)
    if pixels.max(initial=0) <= 1:  # older commits may count 0 and 1
        parasites = pixels[..., 0] > 0
    else:
        parasites = (pixels[..., 0] >= RED) & (pixels[..., 1] >= GREEN)
    if parasites.mean() > 0.5:
        parasites = upright(parasites)
    return Sample(ref.image.read(), to_mask(without_small(parasites, SPECK)))


def _by_image(images: Sequence[RawFile], masks: Sequence[RawFile]) -> dict[str, RawFile]:
    """Stem of the image -> mask: equal names first, then equal slide and number where only the stages differ."""
    found = {file.stem: file for file in masks}
    unmatched = found.keys() - {file.stem for file in images}
    for stem in sorted({file.stem for file in images} - found.keys()):
        if len(fitting := [other for other in unmatched if _number(other) == _number(stem)]) == 1:
            found[stem] = found.pop(fitting[0])
            unmatched.remove(fitting[0])
    return found


def _number(stem: str) -> str:
    return "-".join(stem.split("-")[:2])


def draw(out: Path, n: int, seed: int) -> None:
    """`n` pictures of 2592 x 1944 in the four species, masks as colour JPEG with ringing; one picture has no mask."""
    top, smear = out / "mp-idb" / "MP-IDB-master", Smear(seed, (648, 486))
    slides = [1305121398 + number % 4 * 7 + number // 8 for number in range(n)]
    names = [(SPECIES[number % 4], f"{slide}-{number:04d}-T") for number, slide in enumerate(slides)]
    names[0] = "Falciparum", ODD_NAME
    for number, (species, name) in enumerate([*names, ("Falciparum", WITHOUT_MASK)]):
        field = smear.field(number, {"red_blood_cell": 12, "plasmodium_trophozoite": 1 + number % 2})
        parasites = np.zeros(field.mask.shape, np.uint8)
        for cell in field.cells:
            if cell.kind.startswith("plasmodium"):
                x, y, width, height = cell.box
                parasites[y : y + height, x : x + width] = 255 * (field.mask[y : y + height, x : x + width] > 0)
        mask = Image.fromarray(parasites).convert("RGB")
        for part, picture in (("img", field.image), ("gt", mask)):
            (top / species / part).mkdir(parents=True, exist_ok=True)
            if (part, name) != ("gt", WITHOUT_MASK):
                whole = picture.resize((2592, 1944), Image.Resampling.BILINEAR)
                (top / species / part / f"{name}.jpg").write_bytes(jpeg_bytes(whole))
    header = "filename,parasite_type,xmin,xmax,ymin,ymax\n"
    (top / "Falciparum" / "mp-idb-falciparum.csv").write_text(header + f"{ODD_NAME}.jpg,tro,919,887,76,67\n")
