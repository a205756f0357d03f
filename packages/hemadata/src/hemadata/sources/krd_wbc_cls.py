"""KRD-WBC, the cell types: the pictures and the table of the segmentation set, without its masks."""

from collections.abc import Iterator

from hemadata.sources.base import Raw, Ref
from hemadata.sources.krd_wbc import draw, labelled, pictures

__all__ = ["draw", "index"]


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture of the release, in the order of their numbers; the group is the picture."""
    return (ref for _, ref in labelled(raw, pictures(raw)))
