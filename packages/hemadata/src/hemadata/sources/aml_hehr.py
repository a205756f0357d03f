"""AML Hehr: one folder per patient below the patient's genetic subtype; nothing says what kind of cell a picture is."""

import re
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from hemadata.errors import FormatError, LayoutError
from hemadata.formats.class_folders import crops
from hemadata.formats.tables import read_records
from hemadata.ontology.normal import normalise
from hemadata.phantom import Smear
from hemadata.sources.base import Raw, Ref

TOP = "PKG - AML-Cytomorphology_MLL_Helmholtz_v1"
SUMS = "AML-Cytomorphology_MLL_Helmholtz_v1.sums"
# folder -> patients in the archive, and what the phantom draws
SUBTYPES = {
    "control": (60, "neutrophil"),
    "CBFB_MYH11": (37, "myeloblast"),
    "NPM1": (36, "cup_like_blast"),
    "PML_RARA": (24, "abnormal_promyelocyte"),
    "RUNX1_RUNX1T1": (32, "myeloblast_auer"),
}
PUBLISHED = {normalise(name): name for name in SUBTYPES}  # some releases and tables write hyphens
PICTURE = re.compile(r"(?:^|/)([^/]+)/(image_\d+)\.tiff?$", re.IGNORECASE)
Told = dict[str, dict[str, str]]


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per picture; groups are patients. The .npy files of features are reported as no data."""
    table, subtype_of, found = _table(raw), dict[str, str](), Counter[str]()
    for crop in crops(raw.own, raw.facts.name, SUBTYPES, raw.problem, (".tif", ".tiff")):
        subtype, match = PUBLISHED.get(normalise(crop.label)), PICTURE.search(crop.image.name)
        if subtype is None:
            raise LayoutError(
                f"{crop.image.name}: expected a folder {', '.join(SUBTYPES)}; found {crop.label}. If a release has "
                "another subtype, add it to SUBTYPES in sources/aml_hehr.py."
            )
        if match is None or crop.inside.count("/") != 1:
            raw.problem(crop.image, "", "unreadable_annotation", f"not {crop.label}/<patient>/image_<n>.tif")
            continue
        patient = match[1]
        if subtype_of.setdefault(patient, subtype) != subtype:
            raise LayoutError(
                f"{raw.own.root}: patient {patient} lies in {subtype_of[patient]} and in {subtype}. Two versions "
                "of the archive are mixed: keep one."
            )
        found[patient] += 1
        if (said := PUBLISHED.get(normalise(table.get(patient, {}).get("bag_label", "")), subtype)) != subtype:
            raw.problem(
                crop.image, patient, "unreadable_annotation", f"lies in {subtype}, but metadata.csv says {said}"
            )
            continue
        yield Ref(f"{subtype}/{patient}/{match[2]}", crop.image, group=patient, about=_about(subtype))
    for patient, wanted in _wanted(raw, table).items():
        if found[patient] < wanted:
            raw.problem("metadata.csv", patient, "missing_image", f"{found[patient]} of {wanted} pictures are there")


def _about(subtype: str) -> dict[str, Any]:
    about = {"genetic_subtype": subtype, "label_scope": "subject", "diagnosis": "AML"}
    return about | {"disease": "normal", "diagnosis": "healthy"} if subtype == "control" else about


def _table(raw: Raw) -> Told:
    """Rows of metadata.csv by patient; empty where it was not downloaded. Only two columns have names that are safe."""
    found = [file for name, file in raw.own.files.items() if f"/{name}".lower().endswith("/metadata.csv")]
    rows = (row for file in found[:1] for row in read_records(file, {"patient_id", "bag_label"}, "latin-1"))
    return {row["patient_id"]: row for row in rows}


def _wanted(raw: Raw, table: Told) -> dict[str, int]:
    """Pictures per patient: as the list of checksums names them, else as metadata.csv counts them."""
    sums = [file for name, file in raw.own.files.items() if name.lower().endswith(".sums")]
    if sums:
        lines = sums[0].text().splitlines()
        return Counter(match[1] for line in lines if (match := PICTURE.search(line.strip())))
    try:
        return {patient: int(row.get("instance_count") or 0) for patient, row in table.items()}
    except ValueError as error:
        raise FormatError(f"metadata.csv: instance_count is not a number ({error}).") from error


def draw(out: Path, n: int, seed: int) -> None:
    """`n` pictures of 144 x 144 of the first patients, a file of features for each of the 189, and both tables."""
    top, smear = out / "aml-hehr" / TOP, Smear(seed, (144, 144))
    kinds = [(name, kind) for name, (count, kind) in SUBTYPES.items() for _ in range(count)]
    patients = [(name, f"{chr(65 + k // 26)}{chr(65 + k % 26)}Q", kind) for k, (name, kind) in enumerate(kinds)]
    pictures, lines = Counter[str](), []
    for number in range(n):
        subtype, patient, kind = patients[number * 31 % len(patients)]
        path = Path("data") / subtype / patient / f"image_{pictures[patient]}.tif"
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        packed = BytesIO()
        smear.single_cell(number, kind).image.save(packed, "TIFF")
        (top / path).write_bytes(packed.getvalue())
        pictures[patient] += 1
        lines.append(f"{number:032x}  {path.as_posix()}\n")
    rows = ["patient_id,sex_1f_2m,age,bag_label,instance_count,leucocytes_per_\u00acµl,pb_myeloblast\n"]
    for subtype, patient, _ in patients:
        (top / "data" / subtype / patient).mkdir(parents=True, exist_ok=True)
        np.save(top / "data" / subtype / patient / "fnl34_bn_features_layer_7.npy", np.zeros((pictures[patient], 2)))
        rows.append(f"{patient},1,{40 + len(rows) % 50},{subtype},{pictures[patient]},{1000 + len(rows)},\n")
    (top / "metadata.csv").write_text("".join(rows), encoding="utf-8")
    (top / SUMS).write_text("".join(lines), encoding="utf-8")
