"""Supervisely projects, as Dataset Ninja ships them: `<data set>/img/<picture>` and `<data set>/ann/<picture>.json`."""

import json
import re
from collections.abc import Mapping

from hemadata.errors import FormatError
from hemadata.formats import voc
from hemadata.formats.boxes import Boxes
from hemadata.formats.paired import collected, is_picture
from hemadata.formats.rawtree import RawFile, RawTree

_PICTURE = re.compile(r"(?:.*/)?([^/]+)/img/([^/.]+)(?:\.[A-Za-z]+)?", re.IGNORECASE)
_PAGE = re.compile(r"(?:.*/)?([^/]+)/ann/([^/.]+)(?:\.[A-Za-z]+)?\.json", re.IGNORECASE)


def places(tree: RawTree) -> tuple[Mapping[str, RawFile], Mapping[str, RawFile]]:
    """Pictures and pages by `data set/name without ending`; both empty where the tree is no such project.

    Raises:
        LayoutError: a name comes twice.
    """
    pictures = {name: file for name, file in tree.files.items() if is_picture(file)}
    return collected(pictures, _PICTURE), collected(tree.files, _PAGE)


def rectangles(page: RawFile, first: int) -> Boxes:
    """Rectangles of a page, in its order.

    Args:
        page: the JSON file.
        first: number of the first pixel in the set that was converted: corners are taken over as they were.

    Raises:
        FormatError: not JSON, or an object that is no rectangle with a class.
    """
    try:
        found = []
        for entry in json.loads(page.read())["objects"]:
            (x0, y0), (x1, y1) = entry["points"]["exterior"]
            found.append((str(entry["classTitle"]), *map(str, (x0, y0, x1, y1))))
        return voc.boxes_of(found, first)
    except (ValueError, LookupError, TypeError, OSError, RecursionError) as error:
        raise FormatError(f"not a Supervisely page with rectangles ({type(error).__name__}: {error})") from error
