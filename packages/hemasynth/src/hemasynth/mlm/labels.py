"""Fields from LeukemiaAttri's own COCO pages, without a corpus."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hemadata import ontology
from hemadata.errors import FormatError, InputMissingError
from hemadata.formats import coco
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
        for picture in coco.read(RawFile(str(page), page.name)):
            stem = picture.file_name.rpartition("/")[2].rpartition(".")[0]
            yield {
                "sample_id": f"leukemiaattri/{subset.upper()}/{stem}",
                "native_group": f"leukemiaattri/slide {stem.partition('_')[0]}",
                "objects": [_cell(each, page, stem, lexicon) for each in picture.annotations],
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


def _cell(each: coco.Annotation, page: Path, stem: str, lexicon: Lexicon) -> dict[str, Any]:
    name = str(each.category).strip().lower().replace(" ", "_")
    joined = {label.replace("_", ""): label for label in lexicon.labels}
    label = joined.get(name.replace("_", ""), name)
    if label not in lexicon.labels and label not in UNIDENTIFIED:
        raise FormatError(
            f"{page.name}, {stem}: the cell type is {each.category!r}; LeukemiaAttri has {', '.join(lexicon.labels)}."
        )
    attributes = []
    for attribute in ontology.load().morphology("leukemiaattri").attributes.values():
        code = each.extra.get(attribute.key)
        value = attribute.codes.get(code) if isinstance(code, int) else None  # 4, absent and null are unknown
        attributes.append({"name": attribute.name, "value": value})
    return {"label": label, "attributes": attributes}
