"""C-NMC 2019: labels by subject. Training folds by name, a test part by table, a final part without."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from hemadata.errors import LayoutError
from hemadata.formats.rawtree import RawFile
from hemadata.formats.tables import read_records
from hemadata.phantom import Smear, bmp_bytes
from hemadata.sources.base import Raw, Ref

TOP, PRELIMINARY, FINAL = "PKG - C-NMC 2019", "C-NMC_test_prelim_phase_data", "C-NMC_test_final_phase_data"
NAME = re.compile(r"UID_(?P<subject>H?\d+)_(?P<picture>\d+)_(?P<cell>\d+)_(?P<label>all|hem)(?:\.bmp)?", re.IGNORECASE)
FOLD = re.compile(r"(?:^|/)(fold_\d+)/", re.IGNORECASE)
COLUMNS = {"Patient_ID", "new_names", "labels"}
DIAGNOSES = {"all": {"disease": "leukemia", "diagnosis": "ALL"}, "hem": {"disease": "normal", "diagnosis": "healthy"}}
LABELS = {"1": "all", "0": "hem"}  # of the table


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per cell; groups are subjects. The final part is a test set whose labels were never published."""
    pictures = {name: file for name, file in raw.own.files.items() if name.lower().endswith(".bmp")}
    if not pictures:
        raise raw.unlike(f"C-NMC_training_data, {PRELIMINARY} or {FINAL} with .bmp files")
    preliminary: dict[str, list[RawFile]] = defaultdict(list)
    for name, image in pictures.items():
        place = f"{image.archive}/{name}".lower()  # each part may be a zip of its own, without a folder in it
        if PRELIMINARY.lower() in place:
            preliminary[name.rpartition("/")[2].lower()].append(image)
        elif FINAL.lower() in place:
            yield Ref(f"final/{image.stem}", image, split_upstream="test", about={"disease": None})
        elif match := NAME.fullmatch(image.stem):
            yield from _training(raw, name, image, match)
        else:
            raw.problem(image, image.stem, "unreadable_annotation", "not UID_<subject>_<picture>_<cell>_<all or hem>")
    yield from _preliminary(raw, preliminary)


def _training(raw: Raw, name: str, image: RawFile, match: re.Match[str]) -> Iterator[Ref]:
    fold, folder, label = FOLD.search(name), name.rpartition("/")[0].rpartition("/")[2], match["label"].lower()
    if folder.lower() in DIAGNOSES and folder.lower() != label:
        raw.problem(image, image.stem, "contradicting_labels", f"lies in {folder}, but its name says {label}")
        return
    key = f"{fold[1].lower() if fold else 'train'}/{image.stem}"
    yield Ref(key, image, label_raw=label, split_upstream="train", split_paper="train", **_subject(match, label))


def _preliminary(raw: Raw, pictures: dict[str, list[RawFile]]) -> Iterator[Ref]:
    """The part whose files are bare numbers; a table gives the label and the name that the file had before."""
    if not pictures:
        return
    table = next((f for n, f in raw.own.files.items() if n.lower().endswith(".csv") and "prelim" in n.lower()), None)
    if table is None:
        raise LayoutError(
            f"{raw.own.root}: expected {PRELIMINARY}_labels.csv in or beside {PRELIMINARY}; found none. It is part of "
            "the download; if a release calls it otherwise, change _preliminary() in sources/c_nmc_2019.py."
        )
    for row in read_records(table, COLUMNS):
        name, label = row["new_names"].lower(), row["labels"]
        match, images = NAME.fullmatch(row["Patient_ID"]), pictures.pop(name, [])
        if not images:
            raw.problem(table, row["new_names"], "missing_image", f"no {name} in {PRELIMINARY}")
        elif match is None or match["label"].lower() != LABELS.get(label, match["label"].lower()):
            reason = "unreadable_annotation" if match is None else "contradicting_labels"
            raw.problem(table, name, reason, f"label {label}, but Patient_ID is {row['Patient_ID']}")
        else:
            about = _subject(match, LABELS.get(label, ""))
            for image in images:  # two of them are two copies of the part, which the engine refuses
                key = f"prelim/{image.stem}"
                yield Ref(key, image, label_raw=label, split_upstream="test", split_paper="test", **about)
    for image in (image for images in pictures.values() for image in images):
        raw.problem(image, image.stem, "missing_annotation", f"no row in {table.name}")


def _subject(match: re.Match[str], label: str) -> dict[str, Any]:
    return {"group": f"subject {match['subject'].upper()}", "about": DIAGNOSES.get(label, {})}


def draw(out: Path, n: int, seed: int) -> None:
    """`n` cells of 450 x 450 on black: three fifths in the folds, then the preliminary and the final part."""
    top, smear, lines = out / "c-nmc-2019" / TOP, Smear(seed, (450, 450)), ["Patient_ID,new_names,labels"]
    for number in range(n):
        label, part = ("all", "hem")[number % 2], number % 5
        name = f"UID_{'H' * (number % 2)}{number % 4 + 1 + 50 * (part == 3)}_{number // 4 + 1}_1_{label}.bmp"
        path = top / "C-NMC_training_data" / f"fold_{part}" / label / name
        if part >= 3:
            path = top / (PRELIMINARY, FINAL)[part - 3] / f"{number // 5 + 1}.bmp"
        if part == 3:
            lines.append(f"{name},{path.name},{int(label == 'all')}")
        path.parent.mkdir(parents=True, exist_ok=True)
        field = smear.single_cell(number, "leukemic_b_lymphoblast" if label == "all" else "normal_b_precursor")
        black = Image.new("RGB", field.image.size)
        black.paste(field.image, mask=Image.fromarray(((field.mask >= 3) * 255).astype("uint8")))
        path.write_bytes(bmp_bytes(black))
    (top / PRELIMINARY).mkdir(parents=True, exist_ok=True)
    (top / PRELIMINARY / f"{PRELIMINARY}_labels.csv").write_text("\n".join(lines) + "\n")
