"""LeukemiaAttri: one folder per microscope, magnification and camera; COCO pages with seven flat attribute keys."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from hemadata import ontology
from hemadata.errors import LayoutError
from hemadata.formats import coco
from hemadata.formats.boxes import Attribute
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.phantom import Smear, png_bytes
from hemadata.sources.base import Raw, Ref
from hemadata.sources.facts import read_facts

SUBSET = re.compile(r"(?:^|/)(?P<subset>[HL]_(?:10|40|100)X_C[12])/(?P<rest>.*)$", re.IGNORECASE)
PAGES = ("json_labels/{}.json", "wbc_detection/{}.json", "annotations/{}.json")  # the search order, in lower case
BARE = ("H_10X_C1", "L_10X_C1")  # of the phantom; which two of the twelve have no boxes is not known
DIAGNOSES = ("ALL", "AML", "APML", "CLL", "CML", "Normal")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture that a page names; the parts of the web download are merged by relative path.

    The twelve subsets show the same slides, so the group is the slide, across subsets.
    """
    for subset, files in sorted(_subsets(raw.own).items()):
        pages = {split: _page(files, split) for split in ("train", "test")}
        if not any(pages.values()):
            first = next(iter(files.values()))
            raw.problem(
                first, subset, "missing_annotation", f"no json_labels in {subset}: a subset without boxes is left out"
            )
            continue
        for split, page in pages.items():
            if page:
                yield from _read(raw, subset, split, page, files)


def _page(files: dict[str, RawFile], split: str) -> RawFile | None:
    """Page of a split, in the search order; a subset may ship it in a zip, with folders of its own around it."""
    endings = [f"/{place.format(split)}" for place in PAGES]
    return next((file for end in endings for path, file in files.items() if f"/{path}".endswith(end)), None)


def pictures(tree: RawTree) -> dict[str, RawFile]:
    """Key of a reference -> picture, of every subset, whether it has boxes or not."""
    return {
        f"{subset}/{file.stem}": file
        for subset, files in _subsets(tree).items()
        for path, file in files.items()
        if path.startswith("images/") and path.endswith(".png")
    }


def slide(key: str) -> str:
    """Group of a key: its slide, whatever the subset."""
    return f"slide {key.rpartition('/')[2].partition('_')[0]}"


def about(key: str) -> dict[str, str | None]:
    """What a key tells: diagnosis of the patient, magnification, and that a patient was healthy."""
    subset, _, stem = key.rpartition("/")
    suffix = stem.rpartition("_")[2]
    diagnosis = suffix if suffix in DIAGNOSES else None
    told = {"diagnosis": diagnosis, "magnification": f"{subset.split('_')[1][:-1]}x"}
    return told | ({"disease": "normal"} if diagnosis == "Normal" else {})


def _subsets(tree: RawTree) -> dict[str, dict[str, RawFile]]:
    """Subset name in upper case -> {path inside it in lower case: file}."""
    found: dict[str, dict[str, RawFile]] = {}
    for name, file in tree.files.items():
        if match := SUBSET.search(name):
            first = found.setdefault(match["subset"].upper(), {}).setdefault(match["rest"].lower(), file)
            if first.size != file.size:
                raise LayoutError(f"{first.name} and {file.name} differ: two versions are mixed. Keep one of them.")
    return found


def _read(raw: Raw, subset: str, split: str, page: RawFile, files: dict[str, RawFile]) -> Iterator[Ref]:
    named = set()
    for file_name, boxes in coco.read(page, _attributes):
        name = file_name.rpartition("/")[2]
        path = f"images/{split}/{name.lower()}"
        stem = name.rpartition(".")[0]
        named.add(path)
        if path not in files:
            raw.problem(page, stem, "missing_image", f"no Images/{split}/{name} in {subset}")
            continue
        key = f"{subset}/{stem}"
        yield Ref(
            key,
            files[path],
            objects=boxes,
            group=slide(key),
            split_upstream=split,
            split_paper=split,  # its 16,770 and 7,260 are ten times the 1,677 and 726 of a subset
            about=about(key),
        )
    for path, file in files.items():
        if path.startswith(f"images/{split}/") and path not in named:
            raw.problem(file, f"{subset}/{file.stem}", "missing_annotation", f"{page.name} does not name it")


def _attributes(annotation: coco.Annotation) -> tuple[Attribute, ...]:
    """Attributes by their codes; 4, absent and null are unknown, any other code keeps its number and no value."""
    attributes = []
    for attribute in ontology.load().morphology("leukemiaattri").attributes.values():
        code = annotation.get(attribute.key)
        if isinstance(code, float) and code.is_integer():  # a table program made 1.0 of 1
            code = int(code)
        raw = None if code is None else str(code)
        attributes.append((attribute.name, attribute.codes.get(code) if isinstance(code, int) else None, raw))
    return tuple(attributes)


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields of 640 x 640 in two subsets, spelt as each spells its folders; two more subsets have no boxes."""
    vocabulary = ontology.load().morphology("leukemiaattri").attributes.values()
    kinds = ("myeloblast", "lymphoblast", "neutrophil", "monocyte", "lymphocyte", "none")
    categories = list(read_facts(Path(__file__).with_name("leukemiaattri.toml")).labels)[:14]  # in COCO's order
    smear = Smear(seed, (640, 640))
    for bare in BARE:
        pictured = out / "leukemiaattri" / "LeukemiaAttri_Dataset" / bare / "Images" / "train"
        pictured.mkdir(parents=True)
        (pictured / "1_1_100_ALL.png").write_bytes(
            png_bytes(Smear(seed, (64, 64)).field(0, {"red_blood_cell": 1}).image)
        )
    for subset, folder, numbers in (("H_100X_C2", "Images", range(0, n, 2)), ("L_40X_C2", "images", range(1, n, 2))):
        pages: dict[str, dict[str, list[dict[str, object]]]] = {
            s: {"images": [], "annotations": []} for s in ("train", "test")
        }
        for number in numbers:
            split, slide = ("test" if number // 2 % 10 >= 7 else "train"), number // 2 % 10 + 1
            middle = f"{number}_1000" if subset[2:5] == "100" else f"{number}_40_400"
            name = f"{slide}_{middle}_{DIAGNOSES[slide % 5]}.png"
            kind = kinds[number % len(kinds)]
            field = smear.field(
                number, {"red_blood_cell": 10, "artefact" if kind == "none" else kind: 1, "lymphocyte": 1}
            )
            path = out / "leukemiaattri" / "LeukemiaAttri_Dataset" / subset / folder / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png_bytes(field.image))
            page = pages[split]
            for cell in field.cells:
                if cell.kind in ("red_blood_cell", "platelet"):
                    continue
                word = "none" if cell.kind == "artefact" else cell.kind
                # The release repeats an image entry once per box.
                image_id = len(page["images"]) + 1
                page["images"].append({"id": image_id, "file_name": name, "width": 640, "height": 640})
                codes = {a.key: 4 if word == "none" else (number + place) % 2 for place, a in enumerate(vocabulary)}
                box = [float(v) for v in cell.box]
                page["annotations"].append(
                    {"id": image_id, "image_id": image_id, "category_id": categories.index(word) + 1, "bbox": box}
                    | {"area": box[2] * box[3], "category_name": word}
                    | codes
                )
        for split, page in pages.items():
            if page["images"]:
                whole = page | {"categories": [{"id": i, "name": c} for i, c in enumerate(categories, 1)]}
                target = out / "leukemiaattri" / "LeukemiaAttri_Dataset" / subset / "json_labels" / f"{split}.json"
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(json.dumps(whole))
