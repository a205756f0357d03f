"""WBCAtt-VQA: questions on the pictures of PBC, one row per picture, written by hemasynth or by the authors."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hemadata.errors import DefectError
from hemadata.formats import captions, pairs
from hemadata.formats.captions import Texts
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.acevedo import TOP, by_name
from hemadata.sources.base import Raw, Ref

EXPECTED = "hemasynth/{run.json, pairs.parquet}, or train_annotations.zip and test_annotation.zip of the authors"
URDU = re.compile("[\u0600-\u06ff]")
QA = (
    "question_id",
    "question",
    "answer",
    "answer_type",
    "question_type",
    "attribute",
    "uses",
    "origin",
    "generated_by",
)


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture that has pairs, in file-name order."""
    synthetic = any(f"/{name}".endswith("/hemasynth/run.json") for name in raw.own.files)
    variant = raw.choose({"hemasynth": synthetic, "authors": captions.is_there(raw.own)}, EXPECTED)
    if variant == "hemasynth":
        version, of_picture = _hemasynth(raw)
    else:
        version, of_picture = variant, captions.gather(raw.own, "Question", _pair, raw.problem)
    pictures = by_name(raw["acevedo"], raw.facts.name)
    for image, asked in of_picture.items():
        stem = image.rpartition(".")[0]
        if stem not in pictures:
            raw.problem(asked.page, stem, "missing_image", f"no {image} in acevedo")
            continue
        crop = pictures[stem]
        yield Ref(
            stem,
            crop.image,
            label_raw=crop.label,
            group=stem,
            split_upstream=asked.split,
            split_paper=asked.split if variant == "authors" else None,
            about={
                "source_version": version,
                "qa": [{key: pair.get(key) for key in QA} | {"question_id": i} for i, pair in asked.texts.items()],
            },
        )


def _hemasynth(raw: Raw) -> tuple[str, dict[str, Texts]]:
    own = raw.own.find("hemasynth")
    run, rows = pairs.read(own.root / "hemasynth")
    page, found = own.file(f"hemasynth/{pairs.PAIRS}"), dict[str, Texts]()
    for row in sorted(rows, key=lambda row: (row["image"], row["question_id"])):
        texts = found.setdefault(row["image"], Texts(page, set(), {}))
        texts.splits.add(row["split_upstream"])
        texts.texts[row["question_id"]] = row
    return f"hemasynth {run['engine']} seed {run['seed']}", found


def _pair(words: dict[str, Any]) -> dict[str, Any]:
    question, answer = words["Question"], words.get("Answer")
    if not (isinstance(question, str) and isinstance(answer, str) and question.strip() and answer.strip()):
        raise DefectError("unreadable_annotation", f"no question with an answer: {str(words)[:100]}")
    if URDU.search(question):
        raise DefectError("junk_file", "a question in Urdu, of the follow-up set WBCMor-VQA")
    return {"question": question, "answer": answer, "origin": "model", "generated_by": "BioMistral-7B"}


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops with two pairs each, in the layout that hemasynth writes."""
    smear, rows = Smear(seed, (360, 363)), []
    for number in range(n):
        kind = ("basophil", "eosinophil", "lymphocyte", "monocyte", "neutrophil")[number % 5]
        name = f"{['BA', 'EO', 'LY', 'MO', 'SNE'][number % 5]}_{2000 + number}.jpg"
        size = ("big", "small")[number // 5 % 2]
        folder = out / "acevedo" / TOP / kind
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg_bytes(smear.single_cell(number, kind, traits={"cell_size": size}).image))
        asked = (
            ("Which type of white cell is this?", f"This is a {kind}.", "label", kind),
            ("How large is the cell?", f"It is {size}.", "cell_size", size),
        )
        for place, (question, answer, attribute, value) in enumerate(asked):
            rows.append(
                {
                    "image": name,
                    "cell_id": f"wbcatt/{name.removesuffix('.jpg')}",
                    "question_id": f"{name.removesuffix('.jpg')}-{place}",
                    "question": question,
                    "answer": answer,
                    "question_type": "single",
                    "attribute": attribute,
                    "uses": [{"name": attribute, "value": value}],
                    "answer_type": "open",
                    "origin": "template",
                    "generated_by": "phantom",
                    "split_upstream": ("train", "train", "validation", "test")[number % 4],
                }
            )
    pairs.write(out / "wbcatt-vqa" / "hemasynth", {"engine": "phantom", "seed": seed, "pairs": len(rows)}, rows)
