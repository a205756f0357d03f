"""WBCAtt-VQA: pairs that hemasynth has written, on the pictures of PBC, one row per picture."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hemadata.formats import pairs
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.acevedo import TOP
from hemadata.sources.base import Raw, Ref

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
    own = raw.own.find("hemasynth")
    run, rows = pairs.read(own.root / "hemasynth")
    pictures = {
        file.name.rpartition("/")[2]: (name, file) for name, file in raw["acevedo"].find(TOP).below(TOP).files.items()
    }
    of_picture: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of_picture[row["image"]].append(row)
    for image, asked in sorted(of_picture.items()):
        stem = image.rpartition(".")[0]
        if image not in pictures:
            raw.problem(own.file(f"hemasynth/{pairs.PAIRS}"), stem, "missing_image", f"no {image} in acevedo")
            continue
        name, file = pictures[image]
        yield Ref(
            stem,
            file,
            label_raw=name.partition("/")[0],
            group=stem,
            split_upstream=asked[0]["split_upstream"],
            about={
                "source_version": f"hemasynth {run['engine']} seed {run['seed']}",
                "qa": [{key: row[key] for key in QA} for row in sorted(asked, key=lambda row: row["question_id"])],
            },
        )


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
