"""Downloads of Roboflow: one project in whichever of five export formats was chosen, told apart by the files in it."""

from array import array
from collections.abc import Callable, Iterator
from functools import partial

from hemadata.errors import FormatError, LayoutError
from hemadata.formats import coco, voc, yolo
from hemadata.formats.boxes import Boxes
from hemadata.formats.decimals import decimal
from hemadata.formats.gathered import Gathered, shelf_of_boxes
from hemadata.formats.paired import PICTURES, Problem, by_key, joined, matched
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.formats.tables import read_records
from hemadata.shelf import Shelf

SIDES = ("xmin", "ymin", "xmax", "ymax")
Found = Iterator[tuple[str | None, RawFile, Boxes]]


def read(tree: RawTree, problem: Problem) -> Found:
    """Split, image and boxes of each picture. The split is that of the folder; None where there is no such folder.

    Args:
        tree: with train/, valid/ and test/ at any depth, or some of them.
        problem: told of pictures without annotations and annotations without picture.

    Raises:
        LayoutError: no known export.
        FormatError: an annotation file is not what it should be.
    """
    pages = _named(tree, "_annotations.coco.json")
    if pages:
        return _by_page(tree, pages, _coco, problem)
    if words := _named(tree, "data.yaml"):
        images, labels = yolo.places(tree)
        pairs = matched(images, labels, partial(yolo.read, words=yolo.class_words(words[0])), problem)
        return ((key.partition("/")[0], image, boxes) for key, image, boxes in pairs)
    if any(name.lower().endswith(".xml") for name in tree.files):
        images = by_key((_bare(name), file) for name, file in tree.files.items() if _is_picture(name))
        xml = by_key((_bare(name), file) for name, file in tree.files.items() if name.lower().endswith(".xml"))
        read_xml = matched(images, xml, _voc, problem)
        return ((_split(key), image, boxes) for key, image, boxes in read_xml)
    if pages := _named(tree, "_annotations.csv"):
        return _by_page(tree, pages, _table, problem, is_whole=False)
    if pages := _named(tree, "_annotations.txt"):
        return _by_page(tree, pages, partial(_keras, tree), problem)
    raise LayoutError(
        f"{tree.root}: expected an export of Roboflow: _annotations.coco.json, data.yaml with labels/*.txt, "
        "*.xml beside the pictures, _annotations.csv, or _annotations.txt with _classes.txt; "
        f"found {len(tree.files)} other files. Download the project as COCO; other forms go into formats/roboflow.py."
    )


def _bare(name: str) -> str:
    """The name without its ending."""
    return name.rpartition(".")[0]


def is_export(tree: RawTree) -> bool:
    """Whether the files are named as Roboflow names them."""
    names = (name.rpartition("/")[2] for name in tree.files)
    return any(".rf." in name or name == "data.yaml" or name.startswith("_annotations.") for name in names)


def source_photograph(stem: str) -> str:
    """Name of the picture that was uploaded: copies made by augmentation share it."""
    return stem.partition(".rf.")[0].removesuffix("_jpg").removesuffix("_jpeg").removesuffix("_png")


def _by_page(
    tree: RawTree,
    pages: list[RawFile],
    parse: Callable[[RawFile], Shelf[Boxes]],
    problem: Problem,
    is_whole: bool = True,
) -> Found:
    """Pictures beside each page; `is_whole`: the page names pictures without boxes, too."""
    for page in pages:
        folder = page.name.removeprefix(tree.prefix).rpartition("/")[0]
        top = f"{folder}/" if folder else ""
        boxes_of = parse(page)
        images = {
            name[len(top) :]: file
            for name, file in tree.files.items()
            if name.startswith(top) and "/" not in name[len(top) :] and _is_picture(name)
        }
        for name, image, boxes in joined(images, boxes_of):
            if image is None:
                problem(page, name, "missing_image", f"no {name} beside it")
            elif boxes is None and is_whole:
                problem(image, name, "missing_annotation", f"{page.name} does not name it")
            else:
                yield _split(top), image, Boxes.of([]) if boxes is None else boxes


def _coco(page: RawFile) -> Shelf[Boxes]:
    # By name: number 0 is a category for the whole project in some exports and a class in others.
    shelf = shelf_of_boxes()
    shelf.update((name.rpartition("/")[2], boxes) for name, boxes in coco.read(page))
    return shelf


def _voc(page: RawFile) -> Boxes:
    """Both corners are counted from 1 and the far one lies behind the box: sides are plain differences.

    So it is in a project exported as VOC, COCO and YOLO: [596, 807, 92, 92] is written 597, 808, 689, 900.
    """
    boxes = voc.objects(page.text(), first=0)
    boxes.numbers = array("d", [n for x, y, w, h in boxes.frames() for n in (x - 1, y - 1, w, h)])
    return boxes


def _table(page: RawFile) -> Shelf[Boxes]:
    found = Gathered()
    for row in read_records(page, {"filename", "class", *SIDES}):
        try:
            x0, y0, x1, y1 = (decimal(row[side]) for side in SIDES)
        except ValueError as error:
            raise FormatError(f"{page.name}: a box of {row['filename']} has no numbers ({error}).") from error
        found.add(row["filename"], (x0, y0, x1 - x0, y1 - y0), row["class"])
    return found.by_picture()


def _keras(tree: RawTree, page: RawFile) -> Shelf[Boxes]:
    """Lines `picture x1,y1,x2,y2,class ...`; the words of the classes stand one a line in a file beside it."""
    place = page.name.removeprefix(tree.prefix).replace("_annotations.txt", "_classes.txt")
    words = [word.strip() for word in tree.file(place).text().splitlines() if word.strip()]
    found = Gathered()
    for count, line in enumerate(page.lines(), start=1):
        if not line.strip():
            continue
        name, *boxes = line.split()
        name = name.rpartition("/")[2]
        found.name(name)
        try:
            for box in boxes:
                x0, y0, x1, y1, kind = (decimal(n) for n in box.split(","))
                found.add(name, (x0, y0, x1 - x0, y1 - y0), words[_place(kind, len(words))])
        except (ValueError, OverflowError) as error:
            raise FormatError(f"{page.name}, line {count}: expected picture x1,y1,x2,y2,class ({error}).") from error
    return found.by_picture()


def _place(number: float, count: int) -> int:
    if number != int(number) or not 0 <= number < count:
        raise ValueError(f"class {number:g}, expected 0 to {count - 1}")
    return int(number)


def _named(tree: RawTree, name: str) -> list[RawFile]:
    return [file for path, file in tree.files.items() if path.rpartition("/")[2] == name]


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURES)


def _split(path: str) -> str | None:
    """Split of the innermost folder that is named after one."""
    return next((yolo.SPLITS[part] for part in reversed(path.lower().split("/")) if part in yolo.SPLITS), None)
