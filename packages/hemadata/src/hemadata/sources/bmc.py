"""BMC: bone marrow crops in 21 class folders, the large ones cut into chunks of 1,000; class repeated in the name."""

import re
from collections.abc import Iterator
from pathlib import Path

from hemadata.formats.class_folders import crops, is_named_after_class
from hemadata.phantom import Smear, jpeg_bytes
from hemadata.sources.base import Raw, Ref

PACKAGE = "PKG - Bone-Marrow-Cytomorphology_MLL_Helmholtz_Fraunhofer_v1"
TOP = f"{PACKAGE}/Bone-Marrow-Cytomorphology/jpgs/BM_cytomorphology_data"
# code -> what the phantom draws; the codes are the class folders
CODES = {
    **{"ABE": "abnormal_eosinophil", "ART": "artefact", "BAS": "basophil", "BLA": "blast", "EBO": "erythroblast"},
    **{"EOS": "eosinophil", "FGC": "faggot_cell", "HAC": "hairy_cell", "KSC": "smudge_cell"},
    **{"LYI": "immature_lymphocyte", "LYT": "lymphocyte", "MMZ": "metamyelocyte", "MON": "monocyte"},
    **{"MYB": "myelocyte", "NGB": "band_neutrophil", "NGS": "segmented_neutrophil", "NIF": "not_identifiable"},
    **{"OTH": "other_cell", "PEB": "proerythroblast", "PLM": "plasma_cell", "PMO": "promyelocyte"},
}
CHUNKED = ("BLA", "EBO", "EOS", "MMZ", "NGB", "NGS", "PLM")
TEST_LIST = "bm_test.csv"


def index(raw: Raw) -> Iterator[Ref]:
    """One reference per crop; the published test list, where it was put into the folder, gives the split."""
    test = _test_list(raw)
    for crop in crops(raw.own, raw.facts.name, CODES, raw.problem):
        stem = crop.image.stem
        if not is_named_after_class(crop, stem, raw.problem):
            continue
        split = ("test" if stem in test else "train") if test else None
        yield Ref(stem, crop.image, label_raw=crop.label, split_upstream=split)


def _test_list(raw: Raw) -> set[str]:
    """Names of the test part; folders before the name are those of its authors, so only the name counts."""
    lists = [file for name, file in raw.own.files.items() if f"/{name}".lower().endswith(f"/{TEST_LIST}")]
    return {stem for file in lists[:1] for stem in re.findall(r"\b([A-Z]{3}_\d+)\.jpe?g", file.text(), re.IGNORECASE)}


def draw(out: Path, n: int, seed: int) -> None:
    """`n` crops of 250 x 250 over the 21 codes, a large class also in its second chunk; the test list."""
    smear, test = Smear(seed, (250, 250)), ["Image Path,Label"]
    for number in range(n):
        code = list(CODES)[number % len(CODES)]
        turn = number // len(CODES)
        cell = turn % 2 * 1000 + turn // 2 + 1
        chunk = f"{(cell - 1) // 1000 * 1000 + 1:04d}-{(cell - 1) // 1000 * 1000 + 1000}" if code in CHUNKED else ""
        folder, name = out / "bmc" / TOP / code / chunk, f"{code}_{cell:05d}.jpg"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg_bytes(smear.single_cell(number, CODES[code]).image))
        if number % 5 == 2:
            test.append(f"BM_cytomorphology_data/test/{code}/{name},{code}")
    (out / "bmc" / TEST_LIST).write_text("\n".join(test) + "\n")
