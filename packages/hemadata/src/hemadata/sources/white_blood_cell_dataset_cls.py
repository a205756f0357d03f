"""White Blood Cell dataset under classification: the fields alone. The release has no class, so no row has any."""

from collections.abc import Iterator

from hemadata.sources.base import Raw, Ref
from hemadata.sources.white_blood_cell_dataset import IMAGES, draw

__all__ = ["draw", "index"]


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per field; the group is the number that it shares with BCCD. The masks are not needed."""
    for image in raw.own.find(IMAGES).below(IMAGES).each("*.jpg"):
        yield Ref(image.stem, image, group=image.stem, split_paper="train")  # the paper trains on all
