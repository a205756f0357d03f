"""APL-AML: per patient one folder of signed slides with class folders; a table gives diagnosis and cohort."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from hemadata.errors import DefectError, FormatError, LayoutError
from hemadata.formats.class_folders import JPEG
from hemadata.formats.pictures import open_picture
from hemadata.formats.tables import read_records
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref, Sample, load_bytes
from hemadata.sources.facts import read_facts

SIGNED = re.compile(  # Unsigned slides carry no labels and mostly repeat the signed ones
    r"(?:.*/)?Patient_0*(?P<patient>\d+)/(?:(?P<smear>[^/]+)/)?Signed slides/(?P<label>[^/]+)/(?P<name>[^/]+)",
    re.IGNORECASE,
)
CASE = re.compile(r"(?:^|/)Clinical_Case/.*Signed slides/.*\.jpg", re.IGNORECASE)
SPLITS = {"discovery": "train", "validation": "test"}
# Cut short in the archive and in its mirror: patient and name. The only pictures that a plan looks into.
DAMAGED = {
    **{"SMU_8371935": 30, "LY_8338724": 52, "BL_7821735": 24, "SMU_15364290": 58},
    **{"BL_7744281": 36, "SMU_17364544": 99, "BL_6611696": 37},
}
MOSAIC = 1000  # pixels: a side that long is a contact sheet of many cells


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per labelled cell; the group is the patient. The name's prefix stands beside the folder's word."""
    found = {name: match for name in raw.own.files if (match := SIGNED.fullmatch(name))}
    if not found:
        raise raw.unlike("Patient_<n>/Signed slides/<class>/*.jpg")
    if beside := [file for name, file in raw.own.files.items() if CASE.search(name)]:
        raw.problem(beside[0], "", "left_out", f"{len(beside)} pictures of a case that the table of patients lacks")
    patients, nodes, prefixes = _patients(raw), raw.facts.labels, raw.facts.labels_fine
    words: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for match in found.values():
        words[match["patient"], match["smear"] or "", match["name"]].append(match["label"])
    for name, match in found.items():
        image, label, patient = raw.own.files[name], match["label"], f"Patient_{int(match['patient']):02d}"
        if not name.lower().endswith(JPEG):
            raw.problem(image, "", "junk_file", "not a .jpg")
            continue
        filed = words[match["patient"], match["smear"] or "", match["name"]]
        if len(set(filed)) > 1:  # one picture, two words: nobody can tell which is right
            raw.problem(image, image.stem, "contradicting_labels", f"filed under {' and '.join(sorted(filed))}")
            continue
        if DAMAGED.get(image.stem) == int(match["patient"]) and not image.read().endswith(b"\xff\xd9"):
            raw.problem(image, image.stem, "truncated_image", "known to be cut short in the archive")
            continue
        prefix = match["name"].partition("_")[0]
        diagnosis, split = patients.get(int(match["patient"]), (None, None))
        ratings = None
        if prefix in prefixes and label in nodes:
            both = (("folder", label, nodes[label]), ("file name", prefix, prefixes[prefix]))
            ratings = [{"rater": rater, "raw": word, "label": node} for rater, word, node in both]
        yield Ref(
            "/".join(filter(None, [patient, match["smear"], label, image.stem])),
            image,
            label_raw=label,
            group=patient,
            split_upstream=split,
            split_paper=None if match["smear"] else "train",  # the paper missed the folders one level deeper
            about={"diagnosis": diagnosis, "ratings": ratings},
        )


def load(ref: Ref) -> Sample:
    """The bytes of a picture of one cell."""
    sample = load_bytes(ref)
    size = open_picture(sample.image).size
    if max(size) >= MOSAIC:
        raise DefectError("oversized_image", f"{size[0]} x {size[1]} pixels: a sheet of many cells under one label")
    return sample


def _patients(raw: Raw) -> dict[int, tuple[str | None, str | None]]:
    """Patient number -> diagnosis and split, from the table, whatever it is called."""
    for name, file in raw.own.files.items():
        if not name.lower().endswith(".csv"):
            continue
        header = [cell.strip() for cell in file.text().partition("\n")[0].split(",")]
        column = {cell.lower(): cell for cell in header}
        if not {"patient_id", "diagnosis", "cohort"} <= column.keys():
            continue
        patients: dict[int, tuple[str | None, str | None]] = {}
        for row in read_records(file, set(header)):
            if not (number := re.search(r"\d+", row[column["patient_id"]])):
                raise FormatError(f"{file.name}: expected Patient_<n>, found {row[column['patient_id']]!r}.")
            cohort = row[column["cohort"]]
            if cohort.lower() not in SPLITS:
                raise FormatError(f"{file.name}, {number[0]}: cohort is {cohort!r}; expected Discovery or Validation.")
            patients[int(number[0])] = row[column["diagnosis"]] or None, SPLITS[cohort.lower()]
        return patients
    raise LayoutError(
        f"{raw.own.root}: expected a table (master.csv) with the columns Patient_ID, Diagnosis, Cohort; found none. It "
        "is part of the download; if a release has other columns, change _patients() in sources/apl_aml.py."
    )


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of 360 x 363 from nine patients, and the defects: cut files, pictures under two words, Thumbs.db."""
    top, facts = out / "apl-aml" / "Data", read_facts(Path(__file__).with_name("apl-aml.toml"))
    smear, tiny = Smear(seed, (360, 363)), Smear(seed, (64, 64))
    first = {node: prefix for prefix, node in reversed(facts.labels_fine.items())}
    words = list(facts.labels.items())

    def write(patient: int, folder: str, name: str, data: bytes) -> None:
        path = top / "All" / f"Patient_{patient:02d}" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    for number in range(n):
        word, node = words[number % len(words)]
        patient, prefix = (0, 1, 2, 3, 30, 32, 99, 104, 105)[number % 9], first[str(node)]
        data = jpeg_bytes(smear.single_cell(number, str(node)).image)
        folder = "10026417885/" * (patient == 32) + "Signed slides"
        write(patient, f"{folder}/{word}", f"{prefix}_{8000000 + number}.jpg", data)
        if number % 4 == 0:  # unsigned slides repeat the signed ones
            write(patient, folder.replace("Signed", "Unsigned"), f"{prefix}_{8000000 + number}.jpg", data)
    for stem, patient in DAMAGED.items():
        data = jpeg_bytes(tiny.single_cell(patient, "smudge_cell").image)[:-200]
        word = {"SMU": "Smudge cells", "LY": "Lymphocyte"}.get(stem.partition("_")[0], "Blast, no lineage spec")
        write(patient, f"Signed slides/{word}", f"{stem}.jpg", data)
    for number in range(facts.defects["contradicting_labels"]):
        data = jpeg_bytes(tiny.single_cell(100 + number // 2, "myelocyte").image)
        word = ("Metamyelocyte", "Myelocyte")[number % 2]
        write(40 + number // 8, f"Signed slides/{word}", f"MY_{9100000 + number // 2}.jpg", data)
    case = top / "Clinical_Case" / "cc" / "Signed slides" / "Myelocyte" / "MY_1.jpg"  # not in the table
    case.parent.mkdir(parents=True)
    case.write_bytes(jpeg_bytes(tiny.single_cell(99, "myelocyte").image))
    for number in range(facts.defects["junk_file"]):
        write(
            number // 2, f"{('Signed', 'Unsigned')[number % 2]} slides", "Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(508)
        )
    rows = [
        f"Patient_{k:02d},{'APL' if k % 3 == 0 else 'AML'},{'Validation' if k >= 82 else 'Discovery'}"
        for k in range(106)
    ]
    header = "Patient_ID,Diagnosis,Cohort,Age at Diagnosis,Gender\n"
    (top / "master.csv").write_text(header + "".join(f"{row},{20 + k % 60},Female\n" for k, row in enumerate(rows)))
