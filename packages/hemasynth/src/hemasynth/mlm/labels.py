"""Fields from LeukemiaAttri's own COCO pages, without a corpus."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hemadata import ontology
from hemadata.errors import FormatError, InputMissingError
from hemadata.formats import coco
from hemadata.formats.boxes import Attribute, Box
from hemadata.formats.rawfile import RawFile

from hemasynth.lexicon import Lexicon

SPLITS = ("train", "test")
UNIDENTIFIED = ("none", "unidentified")


def rows(path: Path, lexicon: Lexicon, subset: str) -> Iterator[dict[str, Any]]:
    """Yield the fields of a subset in the form in which a corpus with `leukemiaattri` gives them.

    Args:
        path: the dataset's folder, that of a subset, its `json_labels`, or one page.
        lexicon: of leukemiaattri.
        subset: such as H_100X_C2, the folder in which the pages are looked for; a page given by name counts as of it.

    Raises:
        InputMissingError: no page is there.
        FormatError: a page cannot be read, or names a cell type that LeukemiaAttri does not have.
    """
    for page in _pages(path, subset):
        for name, boxes in coco.read(RawFile(str(page), page.name), _attributes):
            stem = name.rpartition("/")[2].rpartition(".")[0]
            yield {
                "sample_id": f"leukemiaattri/{subset.upper()}/{stem}",
                "native_group": f"leukemiaattri/slide {stem.partition('_')[0]}",
                "objects": [_cell(box, page, stem, lexicon) for box in boxes],
            }


def _pages(path: Path, subset: str) -> list[Path]:
    if path.is_file():
        return [path]
    places = [path, path / "json_labels"]
    if path.is_dir():
        named = [each for each in path.rglob("*") if each.is_dir() and each.name.upper() == subset.upper()]
        places += [each / "json_labels" for each in sorted(named)]
    for place in places:
        found = [place / f"{split}.json" for split in SPLITS if (place / f"{split}.json").is_file()]
        if found:
            return found
    raise InputMissingError(
        f"{path}: expected json_labels/train.json and test.json of LeukemiaAttri's {subset} there, or one such page."
    )


def _cell(box: Box, page: Path, stem: str, lexicon: Lexicon) -> dict[str, Any]:
    name = str(box.label_raw).strip().lower().replace(" ", "_")
    joined = {label.replace("_", ""): label for label in lexicon.labels}
    label = joined.get(name.replace("_", ""), name)
    if label not in lexicon.labels and label not in UNIDENTIFIED:
        raise FormatError(
            f"{page.name}, {stem}: the cell type is {box.label_raw!r}; LeukemiaAttri has {', '.join(lexicon.labels)}."
        )
    return {"label": label, "attributes": [{"name": name, "value": value} for name, value, _ in box.attributes]}


def _attributes(annotation: coco.Annotation) -> tuple[Attribute, ...]:
    """Return the values of the codes; 4, absent and null are unknown."""
    found = []
    for attribute in ontology.load().morphology("leukemiaattri").attributes.values():
        code = annotation.get(attribute.key)
        known = isinstance(code, (int, float)) and float(code).is_integer()
        value = attribute.codes.get(int(code)) if known and code is not None else None
        found.append((attribute.name, value, None if code is None else str(code)))
    return tuple(found)
