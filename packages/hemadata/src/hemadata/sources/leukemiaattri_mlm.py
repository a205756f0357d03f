"""LeukemiaAttri-MLM: masked sentences on fields of LeukemiaAttri, written by hemasynth or by the authors."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hemadata.errors import DefectError
from hemadata.formats import captions, sentences
from hemadata.formats.captions import Texts
from hemadata.sources import leukemiaattri
from hemadata.sources.base import Raw, Ref

EXPECTED = "hemasynth/{run.json, texts.parquet}, or train_annotations.zip and test_annotation.zip of the authors"
AUTHORS_SUBSET = "H_100X_C2"  # their sentences name bare files, which several subsets may have
TEXTS = ("masked_text", "text", "targets", "target", "attributes", "origin", "generated_by")


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture that has sentences, in key order; groups are slides, as in leukemiaattri."""
    synthetic = any(f"/{name}".endswith("/hemasynth/run.json") for name in raw.own.files)
    variant = raw.choose({"hemasynth": synthetic, "authors": captions.is_there(raw.own)}, EXPECTED)
    version, of_picture = _hemasynth(raw) if variant == "hemasynth" else _authors(raw)
    pictures = leukemiaattri.pictures(raw["leukemiaattri"])
    for key, said in of_picture.items():
        if key not in pictures:
            raw.problem(said.page, key, "missing_image", f"no {key}.png in leukemiaattri")
            continue
        texts = [{name: text.get(name) for name in TEXTS} | {"text_id": i} for i, text in said.texts.items()]
        yield Ref(
            key,
            pictures[key],
            group=leukemiaattri.slide(key),
            split_upstream=said.split,
            split_paper=said.split if variant == "authors" else None,
            about=leukemiaattri.about(key) | {"source_version": version, "texts": texts},
        )


def _hemasynth(raw: Raw) -> tuple[str, dict[str, Texts]]:
    own = raw.own.find("hemasynth")
    run, rows = sentences.read(own.root / "hemasynth")
    page, found = own.file(f"hemasynth/{sentences.FILE}"), dict[str, Texts]()
    for row in sorted(rows, key=lambda row: str(row["image_id"])):
        key = str(row["image_id"]).removeprefix("leukemiaattri/")
        texts = found.setdefault(key, Texts(page, set(), {}))
        texts.splits.add(row["split"])
        texts.texts[f"{key}-{len(texts.texts)}"] = row | {"generated_by": run.get("model") or run["engine"]}
    return f"hemasynth {run['engine']} seed {run['seed']}", found


def _authors(raw: Raw) -> tuple[str, dict[str, Texts]]:
    found = captions.gather(raw.own, "masked_comment", _sentence, raw.problem)
    return "authors", {f"{AUTHORS_SUBSET}/{image.rpartition('.')[0]}": texts for image, texts in found.items()}


def _sentence(words: dict[str, Any]) -> dict[str, Any]:
    masked, completed = words["masked_comment"], words.get("completed_text")
    if not (isinstance(masked, str) and isinstance(completed, str) and (parts := captions.blanks(masked, completed))):
        found = f"{str(masked)[:80]!r} and {str(completed)[:80]!r}"
        raise DefectError("unreadable_annotation", f"masked_comment and completed_text do not fit: {found}")
    text, targets = parts
    return {
        "masked_text": masked,
        "text": text,
        "targets": targets,
        "origin": "model",
        "generated_by": "Gemini 1.5",
    }


def draw(out: Path, n: int, seed: int) -> None:
    """`n` fields of leukemiaattri with a sentence each, in the layout that hemasynth writes."""
    leukemiaattri.draw(out, n, seed)
    rows = []
    for page in sorted((out / "leukemiaattri").rglob("*.json")):
        subset, names = page.parent.parent.name, dict[str, str]()
        whole = json.loads(page.read_text())
        words = {entry["image_id"]: entry["category_name"] for entry in whole["annotations"]}
        for image in whole["images"]:
            names.setdefault(image["file_name"].removesuffix(".png"), words[image["id"]])
        for stem, word in names.items():
            answer = "an unidentified cell" if word == "none" else f"a {word}"
            rows.append(
                {
                    "image_id": f"{subset}/{stem}",
                    "text": f"The field shows {answer}.",
                    "masked_text": "The field shows <extra_id_0>.",
                    "target": f"<extra_id_0> {answer} <extra_id_1>",
                    "answers": [answer],
                    "span_starts": [16],
                    "span_ends": [16 + len(answer)],
                    "attributes": ["label"],
                    "origin": "template",
                    "split": page.stem,
                    "group": leukemiaattri.slide(stem),
                }
            )
    sentences.write(out / "leukemiaattri-mlm" / "hemasynth", {"engine": "phantom", "seed": seed}, rows)
