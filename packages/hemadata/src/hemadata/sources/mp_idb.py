"""MP-IDB: a folder per species, pictures in img, lossy colour masks of equal names in gt."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hemadata.formats.masks import Foreground, read_pixels, to_mask, upright, without_small
from hemadata.formats.paired import is_picture, pairs
from hemadata.formats.rawfile import RawFile
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref, Sample

SPECIES = ("Falciparum", "Malariae", "Ovale", "Vivax")
RED, GREEN = 70, 110  # from here on a pixel is parasite; blue is free
SPECK = 40  # pixels
TABLE, HEADER = "mp-idb-falciparum.csv", "filename,parasite_type,xmin,xmax,ymin,ymax"
SCALE = 4  # the phantom is drawn at a quarter of the size
ODD_NAME, WITHOUT_MASK = "1701151546-0008-R-T", "1701151546-0013-R_T"


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture, species by species; groups are slides."""
    for species, images, masks in parts(raw):
        for stem, image, mask in pairs(images, masks, raw.problem):
            yield refer(species, stem, image, mask=mask)


def parts(raw: Raw) -> Iterator[tuple[str, dict[str, RawFile], dict[str, RawFile]]]:
    """Species, its pictures by stem, and its masks by stem of their picture.

    Raises:
        LayoutError: no species is there, or a name comes twice.
    """
    present = [one for one in SPECIES if raw.own.has_folder(f"{one}/img")]
    if not present:
        raise raw.unlike(f"the folders {', '.join(SPECIES)}, each with img and gt")
    for species in present:
        tree = raw.own.find(f"{species}/img").below(species)
        images, masks = ([f for f in tree.each(f"{part}/*") if is_picture(f)] for part in ("img", "gt"))
        partners = _by_image(images, masks)
        if len({f.stem for f in images}) < len(images) or len(partners) < len(masks):
            raise raw.unlike(f"one file per name in {species}/img and {species}/gt, but two commits are mixed there")
        yield species, {f.stem: f for f in images}, partners


def refer(species: str, stem: str, image: RawFile, **facts: Any) -> Ref:
    """A reference; the group is the slide, the diagnosis its species."""
    about = {"diagnosis": f"Plasmodium {species.lower()}"}
    return Ref(f"{species.lower()}/{stem}", image, group=stem.split("-")[0], about=about, **facts)


def load(ref: Ref) -> Sample:
    """The picture, and its parasites without the specks that JPEG leaves."""
    assert ref.mask
    return Sample(ref.image.read(), to_mask(without_small(parasites_of(ref.mask.read()), SPECK)))


def parasites_of(mask: bytes) -> Foreground:
    """Parasites are what is bright in red and green."""
    pixels = read_pixels(mask, in_colour=True)
    if pixels.ndim == 2:
        pixels = np.stack([pixels] * 2, axis=2)
    if pixels.max(initial=0) <= 1:  # older commits may count 0 and 1
        parasites = pixels[..., 0] > 0
    else:
        parasites = (pixels[..., 0] >= RED) & (pixels[..., 1] >= GREEN)
    return upright(parasites) if parasites.mean() > 0.5 else parasites


def _by_image(images: Sequence[RawFile], masks: Sequence[RawFile]) -> dict[str, RawFile]:
    """Stem of the image -> mask: equal names first, then equal slide and number where only the stages differ."""
    found = {file.stem: file for file in masks}
    unmatched = found.keys() - {file.stem for file in images}
    for stem in sorted({file.stem for file in images} - found.keys()):
        if len(fitting := [other for other in unmatched if number_of(other) == number_of(stem)]) == 1:
            found[stem] = found.pop(fitting[0])
            unmatched.remove(fitting[0])
    return found


def number_of(stem: str) -> str:
    """Slide and number of a name; the stages behind them are spelled differently in places."""
    return "-".join(stem.split("-")[:2])


def draw(out: Path, n: int, seed: int) -> None:
    """`n` pictures of 2592 x 1944 in the four species, masks as colour JPEG with ringing; one has neither mask nor box.

    The boxes of Falciparum stand in a table whose header lies: its numbers are x, y, width, height.
    """
    top, smear = out / "mp-idb" / "MP-IDB-master", Smear(seed, (648, 486))
    slides = [1305121398 + number % 4 * 7 + number // 8 for number in range(n)]
    names = [
        (SPECIES[number % 4], f"{slide}-{number:04d}-{'R_T' if number % 8 == 7 else 'T'}")
        for number, slide in enumerate(slides)
    ]
    names[0], lines = ("Falciparum", ODD_NAME), [HEADER]
    for number, (species, name) in enumerate([*names, ("Falciparum", WITHOUT_MASK)]):
        field = smear.field(number, {"red_blood_cell": 12, "plasmodium_trophozoite": 1 + number % 2})
        parasites = np.zeros(field.mask.shape, np.uint8)
        for cell in field.cells:
            if cell.kind.startswith("plasmodium"):
                x, y, width, height = cell.box
                parasites[y : y + height, x : x + width] = 255 * (field.mask[y : y + height, x : x + width] > 0)
                if species == "Falciparum" and name != WITHOUT_MASK:
                    # One table calls a picture by another stage than the file.
                    listed = f"{number_of(name)}-S" if number == 4 else name
                    numbers = ",".join(str(SCALE * side) for side in cell.box)
                    lines.append(f"{listed}.jpg,tro,{numbers}")
        mask = Image.fromarray(parasites).convert("RGB")
        for part, picture in (("img", field.image), ("gt", mask)):
            (top / species / part).mkdir(parents=True, exist_ok=True)
            if (part, name) != ("gt", WITHOUT_MASK):
                whole = picture.resize((2592, 1944), Image.Resampling.BILINEAR)
                (top / species / part / f"{name}.jpg").write_bytes(jpeg_bytes(whole))
    (top / "Falciparum" / TABLE).write_text("\n".join(lines) + "\n")
