"""Images and annotation pages that belong together by name."""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

from hemadata.errors import FormatError
from hemadata.formats.rawtree import RawFile

Content = TypeVar("Content")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


class Problem(Protocol):
    """How a reader reports what it cannot use: file, record, reason of `quarantine.REASONS`, detail."""

    def __call__(self, file: RawFile, record: str, reason: str, detail: str = "", /) -> None:
        """Report it."""


def matched(
    images: Mapping[str, RawFile],
    pages: Mapping[str, RawFile],
    read: Callable[[RawFile], Content],
    problem: Problem,
) -> Iterator[tuple[str, RawFile, Content]]:
    """Key, image and content of the page of each pair, in the order of the images.

    Args:
        images: by key.
        pages: by key.
        read: parses a page; a `FormatError` of it is reported as `unreadable_annotation`.
        problem: told of every image and page that stands alone, too.
    """
    for key, image in images.items():
        if (page := pages.get(key)) is None:
            problem(image, key, "missing_annotation", "no annotation file of that name")
            continue
        try:
            content = read(page)
        except FormatError as error:
            problem(page, key, "unreadable_annotation", str(error))
            continue
        yield key, image, content
    for key in sorted(pages.keys() - images.keys()):
        problem(pages[key], key, "missing_image", "no image of that name")
