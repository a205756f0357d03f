"""Pictures sorted into class folders: the folder's name is the label, whatever lies around or below it."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from hemadata.formats.rawtree import RawFile, RawTree, unlike
from hemadata.ontology.normal import normalise

JPEG = (".jpg", ".jpeg")
Report = Callable[[RawFile, str, str, str], None]
"""Takes file, record, reason (a word of `quarantine.REASONS`) and detail."""


@dataclass(frozen=True, slots=True)
class Crop:
    """One picture below a class folder.

    Args:
        image: the file.
        label: name of the class folder, as the archive spells it.
        above: the folders above the class folder.
        inside: path below the class folder, without the file's ending.
    """

    image: RawFile
    label: str
    above: tuple[str, ...]
    inside: str


def crops(
    tree: RawTree, source: str, classes: Collection[str], report: Report, endings: tuple[str, ...] = JPEG
) -> Iterator[Crop]:
    """Pictures of every class folder, in name order; files in it that are no pictures are reported as junk.

    A picture in a folder beside the class folders is yielded too, with that folder's name as its label: the label map
    then tells a class word that nobody knows, instead of losing its pictures.

    Args:
        tree: where to look.
        source: slug, for messages.
        classes: names of the class folders; case, blanks and underscores do not count.
        report: what to call for a file that makes no row.
        endings: of pictures, in lower case.

    Raises:
        LayoutError: no picture lies in a folder of that name.
    """
    known = {normalise(name) for name in classes}
    places: dict[str, int | None] = {}  # folder -> which of its parts is the class folder
    found: list[tuple[RawFile, tuple[str, ...], int | None]] = []
    roots: set[tuple[str, ...]] = set()
    for name, file in tree.files.items():
        parts, folder = tuple(name.split("/")), name.rpartition("/")[0]
        if folder not in places:
            deepest = (at for at in range(len(parts) - 2, -1, -1) if normalise(parts[at]) in known)
            places[folder] = next(deepest, None)
        at = places[folder]
        found.append((file, parts, at))
        if at is not None and name.lower().endswith(endings):
            roots.add(parts[:at])
    if not roots:
        raise unlike(tree, source, f"pictures ({', '.join(endings)}) in class folders {', '.join(classes)}")
    for file, parts, at in found:
        is_picture = parts[-1].lower().endswith(endings)
        if at is None and is_picture:  # directly in a folder beside the class folders?
            at = next((at for at in range(len(parts) - 1) if parts[:at] in roots), None)
        if at is None:
            continue
        if is_picture:
            yield Crop(file, parts[at], parts[:at], "/".join(parts[at + 1 :]).rpartition(".")[0])
        else:
            report(file, "", "junk_file", f"not a picture: expected {' or '.join(endings)}")


def is_named_after_class(crop: Crop, stem: str, report: Report) -> bool:
    """Whether a name begins with the class it is filed under, as in NGS_0001; another class is reported."""
    agrees = stem.partition("_")[0].upper() == crop.label.upper()
    if not agrees:
        report(crop.image, stem, "contradicting_labels", f"lies in {crop.label}, but its name says otherwise")
    return agrees


def under(tree: RawTree, folder: str) -> RawTree | None:
    """The files below every folder of that name (case, blanks and underscores do not count), or None if there is none.

    Names keep their whole path.
    """
    wanted = normalise(folder)
    inside = {n: f for n, f in tree.files.items() if wanted in map(normalise, n.split("/")[:-1])}
    return RawTree(tree.root, inside) if inside else None


def without(tree: RawTree, *folders: str) -> RawTree:
    """The files that lie below no folder of these names (case, blanks and underscores do not count)."""
    unwanted = {normalise(folder) for folder in folders}
    kept = {n: f for n, f in tree.files.items() if unwanted.isdisjoint(map(normalise, n.split("/")[:-1]))}
    return RawTree(tree.root, kept)
