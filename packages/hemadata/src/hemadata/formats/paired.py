"""Images that belong together by name with their masks or annotation pages."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol, TypeVar

from hemadata.errors import FormatError, LayoutError
from hemadata.formats.rawtree import RawFile
from hemadata.formats.scan import shelf_of_files
from hemadata.shelf import InOrder, Shelf

Content = TypeVar("Content")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")


class Problem(Protocol):
    """How a reader reports what it cannot use: file, record, reason of `quarantine.REASONS`, detail."""

    def __call__(self, file: RawFile, record: str, reason: str, detail: str = "", /) -> None:
        """Report it."""


def is_picture(file: RawFile) -> bool:
    """Whether the name ends like a picture's."""
    return file.name.lower().endswith(PICTURES)


def pairs(
    images: Mapping[str, RawFile], partners: Mapping[str, RawFile], problem: Problem, partner: str = "mask"
) -> Iterator[tuple[str, RawFile, RawFile]]:
    """Key, image and partner of each pair, in the order of the keys; what stands alone is reported.

    Args:
        images: by key.
        partners: masks or annotation pages, by key.
        problem: told of every image and partner that stands alone.
        partner: what a partner is, for messages.
    """
    for key, image, other in joined(images, partners):
        if image and other:
            yield key, image, other
        elif image:
            problem(image, key, "missing_annotation", f"no {partner} of that name")
        elif other:
            problem(other, key, "missing_image", f"no image of that name for this {partner}")


def joined(
    images: Mapping[str, RawFile], partners: Mapping[str, Content]
) -> Iterator[tuple[str, RawFile | None, Content | None]]:
    """Key, image and partner of every key that either has, in the order of the keys; None where one is missing."""
    both = merge(_told_apart(images, 0), _told_apart(partners, 1), key=itemgetter(0, 1))
    for key, group in groupby(both, key=itemgetter(0)):
        found: dict[int, Any] = {kind: value for _, kind, value in group}
        yield key, found.get(0), found.get(1)


def _told_apart(values: Mapping[str, Any], kind: int) -> Iterator[tuple[str, int, Any]]:
    in_order = values.items() if isinstance(values, InOrder) else sorted(values.items())
    return ((key, kind, value) for key, value in in_order)


def matched(
    images: Mapping[str, RawFile],
    pages: Mapping[str, RawFile],
    read: Callable[[RawFile], Content],
    problem: Problem,
) -> Iterator[tuple[str, RawFile, Content]]:
    """Key, image and content of the page of each pair, in the order of the keys.

    Args:
        images: by key.
        pages: by key.
        read: parses a page; a `FormatError` of it is reported as `unreadable_annotation`.
        problem: told of every image and page that stands alone, too.
    """
    for key, image, page in pairs(images, pages, problem, "annotation file"):
        try:
            content = read(page)
        except FormatError as error:
            problem(page, key, "unreadable_annotation", str(error))
            continue
        yield key, image, content


def collected(files: Mapping[str, RawFile], pattern: re.Pattern[str]) -> Shelf[RawFile]:
    """Files whose whole name matches, by the groups of the pattern, joined with slashes.

    Raises:
        LayoutError: a key comes twice: two copies of a tree, or two versions, are mixed.
    """
    matches = ((pattern.fullmatch(name), file) for name, file in files.items())
    return by_key(("/".join(filter(None, match.groups())), file) for match, file in matches if match)


def by_stem(files: Iterable[RawFile], suffix: str = "") -> Shelf[RawFile]:
    """Files by name without folder, ending and, where it has it, suffix.

    Raises:
        LayoutError: a name comes twice: as .jpg and as .JPEG, say.
    """
    return by_key((file.stem.removesuffix(suffix), file) for file in files)


def by_key(files: Iterable[tuple[str, RawFile]]) -> Shelf[RawFile]:
    """Files by keys.

    Raises:
        LayoutError: a key comes twice.
    """
    found = shelf_of_files()
    for key, file in files:
        if (first := found.setdefault(key, file)) is not file:
            raise LayoutError(f"{first.name} and {file.name} are one file twice. Keep one of them.")
    return found


def loosely(
    images: Mapping[str, RawFile], pages: Mapping[str, RawFile], loose: Callable[[str], str]
) -> dict[str, RawFile]:
    """Pages under the keys of their images: equal keys first, then what is left over and alone of its loose key.

    Args:
        images: by key.
        pages: by key.
        loose: a key -> what is left of it where spelling does not count.
    """
    found = {key: page for key, page in pages.items() if key in images}
    alone = _by(loose, images.keys() - found.keys())
    for name, keys in _by(loose, pages.keys() - found.keys()).items():
        partners = alone.get(name, [])
        is_pair = len(keys) == len(partners) == 1
        found |= {partners[0] if is_pair else key: pages[key] for key in keys}
    return found


def _by(loose: Callable[[str], str], keys: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key in sorted(keys):
        groups[loose(key)].append(key)
    return groups
