"""WBCAtt: three attribute tables over the pictures of PBC, joined by file name."""

from collections.abc import Iterator
from pathlib import Path

from hemadata import ontology
from hemadata.formats.tables import read_records
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.acevedo import TOP, by_name
from hemadata.sources.base import Raw, Ref

SPLITS = {"train": "train", "val": "validation", "test": "test"}
FINE = ("BNE", "SNE")
PREFIXES = {"Basophil": "BA", "Eosinophil": "EO", "Lymphocyte": "LY", "Monocyte": "MO", "Neutrophil": "SNE"}


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per row of the tables whose picture is there; the others are reported by name."""
    vocabulary = ontology.load().morphology("wbcatt").attributes
    pictures = by_name(raw["acevedo"], raw.facts.name)
    tables = raw.own.find("pbc_attr_v1_train.csv")  # at the top, or in submission/ as the repository has them
    for upstream, split in SPLITS.items():
        table = tables.file(f"pbc_attr_v1_{upstream}.csv")
        for record in read_records(table, {"img_name", "label", "path", *vocabulary}):
            stem = record["img_name"].rpartition(".")[0]
            crop = pictures.get(stem)
            if crop is None:
                raw.problem(table, stem, "missing_image", f"no {record['path']} in acevedo")
                continue
            attributes = tuple(
                (name, record[name] if record[name] in a.values else None, record[name])
                for name, a in vocabulary.items()
            )
            prefix = stem.partition("_")[0]
            yield Ref(
                stem,
                crop.image,
                label_raw=record["label"],
                label_fine_raw=prefix if prefix in FINE else None,
                attributes=attributes,
                group=stem,
                split_upstream=split,
            )


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops that show the attributes which the three tables state."""
    vocabulary = ontology.load().morphology("wbcatt").attributes
    smear, lines = (
        Smear(seed, (360, 363)),
        {split: [",".join(["img_name", "label", *vocabulary, "path"])] for split in SPLITS},
    )
    for number in range(n):
        label = sorted(PREFIXES)[number % len(PREFIXES)]
        traits = {
            name: a.values[(number * 7 + place * 3) % len(a.values)]
            for place, (name, a) in enumerate(vocabulary.items())
        }
        if traits["granularity"] == "no" or "nil" in (traits["granule_type"], traits["granule_colour"]):
            traits |= {"granularity": "no", "granule_type": "nil", "granule_colour": "nil"}
        name = f"{PREFIXES[label]}_{1000 + number}.jpg"
        folder = out / "acevedo" / TOP / label.lower()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg_bytes(smear.single_cell(number, label.lower(), traits=traits).image))
        split = ("train", "train", "train", "val", "test")[number // 5 % 5]
        lines[split].append(",".join([name, label, *traits.values(), f"{TOP}/{label.lower()}/{name}"]))
    (out / "wbcatt").mkdir(parents=True)
    for split, rows in lines.items():
        (out / "wbcatt" / f"pbc_attr_v1_{split}.csv").write_text("\n".join(rows) + "\n")
