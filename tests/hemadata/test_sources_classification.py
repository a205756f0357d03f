"""The traps of the classification sets, each on a tree that contains it."""

from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import numpy as np
import pytest
from hemadata import sources
from hemadata.build import Options, build
from hemadata.build.plan import Plan, make_plan
from hemadata.errors import FormatError, HemaError, LayoutError, UnknownLabelError
from hemadata.formats.class_folders import crops
from hemadata.formats.rawtree import RawFile, RawTree
from hemadata.sources.base import Ref
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

MINE = (
    *("bmc", "aml-matek", "warty-pig", "lisc", "krd-wbc-cls"),
    *("hrls", "apl-aml", "rv-pbs", "pbc-8-da", "c-nmc-2019"),
)


def plan_with(name: str, root: Path, files: dict[str, str] | list[str]) -> Plan:
    """Plan of a hand-made tree: path -> text, or paths alone; pictures are not opened by a plan."""
    source = sources.get(name)
    texts = files if isinstance(files, dict) else dict.fromkeys(files, "")
    for path, text in texts.items():
        target = root / source.facts.raw_folders[0] / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return make_plan(source, source.open_raw([root]))


def by_key(plan: Plan) -> dict[str, Ref]:
    return {ref.key: ref for ref in plan.refs}


def labels(plan: Plan) -> dict[str, str | None]:
    return {ref.key: ref.label_raw for ref in sorted(plan.refs, key=lambda ref: ref.key)}


def problems(plan: Plan) -> Counter[str]:
    return Counter(problem.reason for problem in plan.problems)


def rows_of(name: str, raw: Path, out: Path) -> tuple[list[dict[str, Any]], Counter[str]]:
    result = build([name], raw, out, Options(jobs=1))[0]
    assert result.error is None
    with hemadata.open(out) as corpus:
        return list(corpus.rows("classification", source=name)), Counter(q.reason for q in result.quarantine)


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MINE)
def test_other_layout_says_what_was_expected_and_where_to_change_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(LayoutError) as told:
        plan_with(name, tmp_path, ["readme.txt", "pictures/one.dat"])
    module = name.replace("-", "_")
    for word in ("expected", "found pictures, readme.txt", f"sources/{module}.py"):
        assert word in str(told.value)
    assert (Path(sources.__file__).parent / f"{module}.py").is_file()


@pytest.mark.parametrize("name", MINE)
def test_doubled_top_folder_and_resource_forks_change_nothing(name: str, tmp_path: Path) -> None:
    source = sources.get(name)
    folder = source.facts.raw_folders[0]
    source.draw(tmp_path / "plain", 12, 0)
    plain = make_plan(source, source.open_raw([tmp_path / "plain"]))
    wrapped = tmp_path / "wrapped" / folder
    wrapped.mkdir(parents=True)
    (tmp_path / "plain" / folder).rename(wrapped / folder)
    (wrapped / "__MACOSX" / folder).mkdir(parents=True)
    (wrapped / "__MACOSX" / folder / "._one.jpg").write_bytes(b"\0\5\x16\7")
    again = make_plan(source, source.open_raw([tmp_path / "wrapped"]))
    assert labels(again) == labels(plain) and len(labels(plain)) == 12
    assert {k: r.group for k, r in by_key(again).items()} == {k: r.group for k, r in by_key(plain).items()}
    assert problems(again) - problems(plain) == {"junk_file": 1}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("bmc", "BM_cytomorphology_data/{}/{}_00001.jpg"),
        ("aml-matek", "AML-Cytomorphology/{}/{}_0001.tiff"),
        ("hrls", "Labelled/{}/0.bmp"),
        ("rv-pbs", "classification_data/{}/IMG_1_1.jpg"),
        ("pbc-8-da", "PBC_8_DA/{}/1.jpg"),
        ("lisc", "LISC Database/Main Dataset/{}/1.bmp"),
        ("warty-pig", "Cropped Classified/{}/a.jpg"),
        ("apl-aml", "Patient_00/Signed slides/{}/XX_{}.jpg"),
    ],
)
def test_unknown_class_folder_is_an_error_and_loses_nothing(name: str, path: str, tmp_path: Path) -> None:
    known = next(iter(sources.get(name).facts.labels))
    table = {"master.csv": "Patient_ID,Diagnosis,Cohort\nPatient_00,APL,Discovery\n"} if name == "apl-aml" else {}
    files = {path.format(word, word): "" for word in (known, "Zebrocyte")} | table
    with pytest.raises(UnknownLabelError, match="Zebrocyte"):
        plan_with(name, tmp_path, files)


words = st.text("abcXYZ 0_-", min_size=1, max_size=6).filter(lambda word: word.strip(" _-"))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(words, max_size=3), st.sampled_from(["Band cell", "BAND_CELL", "band-cell"]), st.lists(words, max_size=2)
)
def test_class_folder_is_found_whatever_lies_around_and_below(above: list[str], label: str, below: list[str]) -> None:
    path = "/".join([*above, label, *below, "7.JPG"])
    tree = RawTree(Path("raw"), {path: RawFile(path, path)})
    (crop,) = crops(tree, "some-source", ["Band cell"], lambda *told: pytest.fail(str(told)))
    assert (crop.label, crop.above, crop.inside) == (label, tuple(above), "/".join([*below, "7"]))


def test_file_in_a_class_folder_that_is_no_picture_is_reported(tmp_path: Path) -> None:
    plan = plan_with("pbc-8-da", tmp_path, ["PBC_8_DA/basophil/1.jpg", "PBC_8_DA/basophil/notes.txt"])
    assert (plan.images, problems(plan)) == (1, {"junk_file": 1})


# --- bmc --------------------------------------------------------------------------------------------------------------


def test_bmc_chunks_flat_folders_and_the_mirror_give_the_same_keys(tmp_path: Path) -> None:
    top = "PKG - X_v1/Bone-Marrow-Cytomorphology/jpgs/BM_cytomorphology_data"
    inside = ["NGS/29001-29424/NGS_29009.jpg", "NGS/0001-1000/NGS_00001.jpg", "ABE/ABE_00001.JPG"]
    official = plan_with("bmc", tmp_path / "a", [f"{top}/{name}" for name in inside])
    side = ["bone_marrow_cell_dataset/abbreviations.csv", "bone_marrow_cell_dataset/class_counts.csv"]
    mirror = plan_with("bmc", tmp_path / "b", [*side, *(f"bone_marrow_cell_dataset/{name}" for name in inside)])
    assert labels(official) == labels(mirror) == {"ABE_00001": "ABE", "NGS_00001": "NGS", "NGS_29009": "NGS"}
    assert {ref.split_upstream for ref in official.refs} == {None}


def test_bmc_name_that_contradicts_its_folder_makes_no_row(tmp_path: Path) -> None:
    plan = plan_with("bmc", tmp_path, ["jpgs/NGS/NGS_00001.jpg", "jpgs/NGS/NGB_00002.jpg"])
    assert labels(plan) == {"NGS_00001": "NGS"}
    assert problems(plan) == {"contradicting_labels": 1}


def test_bmc_test_list_splits_by_name_alone(tmp_path: Path) -> None:
    listed = "Image Path,Label\n/lustre/x/BM_cytomorphology_data/test/OTH/OTH_00167.jpg,OTH\n"
    files = {"OTH/OTH_00167.jpg": "", "OTH/OTH_00168.jpg": "", "lists/bm_test.csv": listed}
    found = {key: ref.split_upstream for key, ref in by_key(plan_with("bmc", tmp_path, files)).items()}
    assert found == {"OTH_00167": "test", "OTH_00168": "train"}


def test_bmc_two_copies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HemaError, match="two versions of the archive are mixed"):
        plan_with("bmc", tmp_path, ["NGS/NGS_00001.jpg", "NGS/0001-1000/NGS_00001.jpg"])


# --- aml-matek --------------------------------------------------------------------------------------------------------


def test_aml_matek_doubled_ending_meets_its_row_and_raters_are_told_apart(tmp_path: Path) -> None:
    table = "MYO/MYO_0001.tiff MYO nan nan\nMYO/MYO_0002.tiff MYO MOB MYO\nNGB/NGB_0009.tiff NGB nan nan\n"
    files = {"X/MYO/MYO_0001.tiff.tiff": "", "X/MYO/MYO_0002.tiff": "", "annotations.dat": table}
    plan = plan_with("aml-matek", tmp_path, files)
    found = {k: [(r["rater"], r["raw"], r["label"]) for r in ref.about["ratings"]] for k, ref in by_key(plan).items()}
    assert found == {
        "MYO_0001": [("annotation", "MYO", "myeloblast")],
        "MYO_0002": [
            ("annotation", "MYO", "myeloblast"),
            ("re-annotation 1", "MOB", "monoblast"),
            ("re-annotation 2", "MYO", "myeloblast"),
        ],
    }
    assert [(p.reason, p.record) for p in plan.problems] == [("missing_image", "NGB_0009")]


def test_aml_matek_without_the_table_has_labels_and_no_ratings(tmp_path: Path) -> None:
    plan = plan_with("aml-matek", tmp_path, ["data/data/BAS/BAS_0001.tif"])
    assert labels(plan) == {"BAS_0001": "BAS"}
    assert "ratings" not in by_key(plan)["BAS_0001"].about


def test_aml_matek_broken_table_names_its_line(tmp_path: Path) -> None:
    files = {"BAS/BAS_0001.tiff": "", "annotations.dat": "BAS/BAS_0001.tiff BAS nan nan\nBAS BAS nan\n"}
    with pytest.raises(FormatError, match=r"annotations\.dat, line 2"):
        plan_with("aml-matek", tmp_path, files)


def test_aml_matek_transparent_border_stays_black_and_every_pixel_is_kept(tmp_path: Path) -> None:
    sources.get("aml-matek").draw(tmp_path / "raw", 7, 0)
    rows, lost = rows_of("aml-matek", tmp_path / "raw", tmp_path / "corpus")
    assert (len(rows), lost) == (7, {})
    padded = 0
    for row in rows:
        with Image.open(tmp_path / "raw" / "aml-matek" / row["source_file"]) as published:
            assert (published.format, published.mode) == ("TIFF", "RGBA")
            pixels = np.asarray(published)
        stored = Image.open(BytesIO(row["image"]["bytes"]))
        assert np.array_equal(np.asarray(stored), pixels) and row["flags"] == ["reencoded"]
        colour = np.asarray(stored.convert("RGB"))
        assert not colour[pixels[..., 3] == 0].any()
        padded += int((pixels[..., 3] == 0).any())
    assert padded == 1


# --- warty-pig --------------------------------------------------------------------------------------------------------


def test_warty_pig_takes_the_crops_and_nothing_made_from_them(tmp_path: Path) -> None:
    files = ["Cropped Classified/batch 1/Monocyte/a.jpg", "Cropped Classified/batch 1/Basophil/b.JPG"]
    files += ["Augmented images/batch 1/Monocyte/a_1.jpg", "Original/2021/field.jpg"]
    plan = plan_with("warty-pig", tmp_path, files)
    assert labels(plan) == {"batch 1/Basophil/b": "Basophil", "batch 1/Monocyte/a": "Monocyte"}


def test_warty_pig_crops_unpacked_alone_are_found_beside_augmented_ones(tmp_path: Path) -> None:
    plan = plan_with("warty-pig", tmp_path, ["Monocyte/a.jpg", "Augmented images/x/Monocyte/b.jpg"])
    assert labels(plan) == {"Monocyte/a": "Monocyte"}


@pytest.mark.parametrize(
    "files",
    [
        ["train/images/1.jpg", "train/labels/1.txt"],  # the detection set of the same pig
        ["data/cropped-00000-of-00001.parquet"],
        ["Original/1.jpg", "Augmented images/a/Monocyte/1.jpg"],
    ],
)
def test_warty_pig_other_sets_and_parts_are_not_taken_for_it(files: list[str], tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="expected"):
        plan_with("warty-pig", tmp_path, files)


# --- lisc -------------------------------------------------------------------------------------------------------------


def test_lisc_masks_mixed_and_unlabelled_fields_make_no_rows(tmp_path: Path) -> None:
    top = "LISC Database"
    fields = [f"{top}/Main Dataset/{folder}/1.bmp" for folder in ("Baso", "eosi", "mixt")]
    masks = [f"{top}/Ground Truth Segmentation/{f}/areaforexpert1/1_expert.bmp" for f in ("Baso", "eosi", "mixt")]
    others = [f"{top}/More Dataset without Ground Truth/alll/1.bmp", f"{top}/Main Dataset/Baso/Thumbs.db"]
    plan = plan_with("lisc", tmp_path, fields + masks + others)
    assert labels(plan) == {"baso/1": "Baso", "eosi/1": "eosi"}
    assert problems(plan) == {"missing_annotation": 1, "junk_file": 1}


def test_lisc_augmented_copy_is_told(tmp_path: Path) -> None:
    plan = plan_with("lisc", tmp_path, ["Main Dataset/Baso/1.bmp", "Main Dataset/Baso/1_rotated.bmp"])
    assert labels(plan) == {"baso/1": "Baso"}
    assert [(p.reason, p.record) for p in plan.problems] == [("junk_file", "baso/1_rotated")]


# --- krd-wbc-cls ------------------------------------------------------------------------------------------------------


def test_krd_joins_on_digits_and_keeps_to_the_release(tmp_path: Path) -> None:
    table = "\ufeffImage ID,Categoriy\nImage1,Lymphocyte\nimage99,Neutrophil\nImaeg405,Basophil\nImage801,Monocyte\n"
    table += "Image801,Lymphocyte\nImage7,Monocyte\n"
    top = "data/KRD-WBC dataset"
    files = {f"{top}/Dataset/image/image{n}.jpg": "" for n in (1, 99, 405, 8, 801)}
    files |= {f"{top}/Dataset/mask/mask1.jpg": "", f"{top}/class labels.csv": table}
    plan = plan_with("krd-wbc-cls", tmp_path, files)
    assert labels(plan) == {"image1": "Lymphocyte", "image405": "Basophil", "image99": "Neutrophil"}
    told = sorted((p.reason, p.record) for p in plan.problems)
    assert told == [("junk_file", "image801"), ("missing_annotation", "image8"), ("missing_image", "image7")]


def test_krd_the_picture_that_comes_twice_is_one_group(tmp_path: Path) -> None:
    files = {f"image/image{n}.jpg": "" for n in (199, 200, 202)}
    files["class labels.csv"] = "Image ID,Category\n" + "".join(f"Image{n},Lymphocyte\n" for n in (199, 200, 202))
    groups = {key: ref.group for key, ref in by_key(plan_with("krd-wbc-cls", tmp_path, files)).items()}
    assert groups["image200"] == groups["image202"] != groups["image199"]


@pytest.mark.parametrize(
    ("rows", "word"), [("Image1,Monocyte\nimage1,Basophil\n", "both"), ("Image,Monocyte\n", "no number")]
)
def test_krd_table_that_contradicts_itself_is_refused(rows: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=word):
        plan_with("krd-wbc-cls", tmp_path, {"image/image1.jpg": "", "class labels.csv": "Image ID,Categoriy\n" + rows})


# --- hrls -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("top", ["Labelled/", "", "my copy/"])
def test_hrls_is_found_under_any_name_and_numbers_repeat(top: str, tmp_path: Path) -> None:
    plan = plan_with("hrls", tmp_path, [f"{top}{name}/0.bmp" for name in ("Neutrophile Band", "Basophile")])
    assert labels(plan) == {"Basophile/0": "Basophile", "Neutrophile Band/0": "Neutrophile Band"}
    assert all(not ref.about for ref in plan.refs)


def test_hrls_copy_of_others_is_read_and_says_so(tmp_path: Path) -> None:
    plan = plan_with("hrls", tmp_path, ["HRLS/train/Basophile/0.png", "HRLS/test/Basophile/0.png"])
    assert set(labels(plan)) == {"train/Basophile/0", "test/Basophile/0"}
    assert {ref.split_upstream for ref in plan.refs} == {None}
    assert all("copy" in ref.about["source_version"] for ref in plan.refs)


# --- apl-aml ----------------------------------------------------------------------------------------------------------

MASTER = "Patient_ID,Diagnosis,Cohort,Age at Diagnosis,Gender\nPatient_05,APL,Discovery,29,Female\n"
MASTER += "Patient_84,AML,Validation,50,Male\n"


def test_apl_aml_patients_smears_and_cohorts(tmp_path: Path) -> None:
    files = {
        "Data/master.csv": MASTER,
        "Data/All/Patient_05/Signed slides/Arifact/ART_1.jpg": "",
        "Data/All/Patient_05/Signed slides/Promyelocyte/PMO_2.jpg": "",
        "Data/All/Patient_05/Unsigned slides/ART_1.jpg": "",
        "Data/All/Patient_05/Unsigned slides/Thumbs.db": "",
        "Data/All/Patient_84/100264/Signed slides/Young Unidentified/USRWBC2_1.jpg": "",
        "Data/Clinical_Case/cc/Signed slides/Monocyte/MO_3.jpg": "",
    }
    plan = plan_with("apl-aml", tmp_path, files)
    found = {
        k: (r.label_raw, r.group, r.split_upstream, r.split_paper, r.about["diagnosis"])
        for k, r in by_key(plan).items()
    }
    assert found == {
        "Patient_05/Arifact/ART_1": ("Arifact", "Patient_05", "train", "train", "APL"),
        "Patient_05/Promyelocyte/PMO_2": ("Promyelocyte", "Patient_05", "train", "train", "APL"),
        "Patient_84/100264/Young Unidentified/USRWBC2_1": ("Young Unidentified", "Patient_84", "test", None, "AML"),
    }
    ratings = by_key(plan)["Patient_05/Promyelocyte/PMO_2"].about["ratings"]
    assert [rating["label"] for rating in ratings] == ["promyelocyte", "promonocyte"]
    assert problems(plan) == {"junk_file": 1, "left_out": 1}, "the case beside the table is told"


def test_apl_aml_table_of_another_name_and_spelling(tmp_path: Path) -> None:
    table = "patient_id , DIAGNOSIS,cohort\nPatient_5,AML,validation\n"
    files = {"counts.csv": "a,b\n1,2\n", "patients.csv": table, "Patient_05/Signed slides/Basophil/BA_1.jpg": ""}
    (ref,) = plan_with("apl-aml", tmp_path, files).refs
    assert (ref.split_upstream, ref.about["diagnosis"]) == ("test", "AML")


def test_apl_aml_picture_under_two_words_makes_no_row(tmp_path: Path) -> None:
    files = {"master.csv": MASTER} | {
        f"Patient_05/Signed slides/{w}/MY_1.jpg": "" for w in ("Myelocyte", "Metamyelocyte")
    }
    plan = plan_with("apl-aml", tmp_path, files | {"Patient_84/Signed slides/Myelocyte/MY_1.jpg": ""})
    assert list(labels(plan)) == ["Patient_84/Myelocyte/MY_1"]
    assert [p.detail for p in plan.problems] == ["filed under Metamyelocyte and Myelocyte"] * 2
    assert problems(plan) == {"contradicting_labels": 2}


def test_apl_aml_sheet_of_many_cells_is_withheld(tmp_path: Path) -> None:
    folder = tmp_path / "raw" / "apl-aml" / "Patient_05" / "Signed slides" / "Smudge cells"
    folder.mkdir(parents=True)
    for name, size in (("SMU_1", (360, 363)), ("SMU_2", (2920, 2960)), ("SMU_3", (512, 363))):
        Image.new("RGB", size, (200, 180, 200)).save(folder / f"{name}.jpg")
    (tmp_path / "raw" / "apl-aml" / "master.csv").write_text(MASTER)
    rows, lost = rows_of("apl-aml", tmp_path / "raw", tmp_path / "corpus")
    assert {row["sample_id"].rpartition("/")[2] for row in rows} == {"SMU_1", "SMU_3"}
    assert lost == {"oversized_image": 1}


def test_apl_aml_known_damaged_file_is_told_and_a_repaired_copy_is_read(tmp_path: Path) -> None:
    top, whole = tmp_path / "raw" / "apl-aml" / "Data" / "All", BytesIO()
    Image.new("RGB", (360, 363)).save(whole, "JPEG")
    for patient, name, data in ((36, "BL_7744281", whole.getvalue()), (37, "BL_6611696", whole.getvalue()[:-50])):
        folder = top / f"Patient_{patient}" / "Signed slides" / "Blast, no lineage spec"
        folder.mkdir(parents=True)
        (folder / f"{name}.jpg").write_bytes(data)
    (top.parent / "master.csv").write_text(MASTER)
    rows, lost = rows_of("apl-aml", tmp_path / "raw", tmp_path / "corpus")
    assert [row["source_file"].rpartition("/")[2] for row in rows] == ["BL_7744281.jpg"]
    assert lost == {"truncated_image": 1}


@pytest.mark.parametrize(
    ("table", "error", "word"),
    [
        ("a,b\n1,2\n", LayoutError, "Patient_ID, Diagnosis, Cohort"),
        (MASTER.replace("Validation", "Holdout"), FormatError, "Holdout"),
        (MASTER.replace("Patient_05", "five"), FormatError, "five"),
    ],
)
def test_apl_aml_table_that_cannot_be_used(table: str, error: type[HemaError], word: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=word):
        plan_with("apl-aml", tmp_path, {"any.csv": table, "Patient_05/Signed slides/Basophil/BA_1.jpg": ""})


# --- rv-pbs and pbc-8-da ----------------------------------------------------------------------------------------------


def test_one_download_holds_two_sets(tmp_path: Path) -> None:
    files = ["classification_data/neutrophil/IMG_1234_2.jpg", "PBC_8_DA/neutrophil/850.jpg"]
    files += ["RV-PBS-main/BAND CELLS/IMG_0001.jpg", "classification_data/train_annotations.json"]
    assert labels(plan_with("rv-pbs", tmp_path, files)) == {"neutrophil/IMG_1234_2": "neutrophil"}
    assert labels(plan_with("pbc-8-da", tmp_path, [])) == {"neutrophil/850": "neutrophil"}
    nodes = {name: sources.get(name).label_map().resolve("neutrophil").node for name in ("rv-pbs", "pbc-8-da")}
    assert nodes == {"rv-pbs": "segmented_neutrophil", "pbc-8-da": "neutrophil"}


def test_two_sets_are_told_apart_without_the_folder_of_one(tmp_path: Path) -> None:
    files = ["band/IMG_1_1.jpg", "PBC_8_DA/basophil/1.jpg"]
    assert labels(plan_with("rv-pbs", tmp_path / "a", files)) == {"band/IMG_1_1": "band"}
    files = ["basophil/1.jpg", "classification_data/band/IMG_1_1.jpg"]
    assert labels(plan_with("pbc-8-da", tmp_path / "b", files)) == {"basophil/1": "basophil"}


def test_rv_pbs_crops_of_one_photograph_are_one_group_across_classes(tmp_path: Path) -> None:
    names = ["band/IMG_1234_2", "blast/IMG_1234_10", "blast/IMG_1235_1", "blast/IMG_20200101_120000_1", "blast/extra"]
    plan = plan_with("rv-pbs", tmp_path, [f"classification_data/{name}.jpg" for name in names])
    groups = ["IMG_1234", "IMG_1234", "IMG_1235", "IMG_20200101_120000", "extra"]
    assert {key: ref.group for key, ref in by_key(plan).items()} == dict(zip(names, groups, strict=True))


# --- c-nmc-2019 -------------------------------------------------------------------------------------------------------

TRAIN = ["fold_0/all/UID_5_29_1_all.bmp", "fold_1/hem/UID_H12_3_1_hem.bmp"]
HEADER = "Patient_ID,new_names,labels\n"
LABELLED = HEADER + "UID_57_29_1_all.bmp,1.bmp,1\nUID_H30_1_2_hem.bmp,2.bmp,0\n"
PRELIMINARY, FINAL = "C-NMC_test_prelim_phase_data", "C-NMC_test_final_phase_data"


@pytest.mark.parametrize(
    ("training", "preliminary", "table", "final"),
    [
        ("PKG - C-NMC 2019/C-NMC_training_data", PRELIMINARY, f"{PRELIMINARY}/{PRELIMINARY}_labels.csv", FINAL),
        ("C-NMC_training_data", f"{PRELIMINARY}/{PRELIMINARY}", f"{PRELIMINARY}_labels.csv", FINAL),
        (
            "C-NMC_Leukemia/training_data",
            f"C-NMC_Leukemia/validation_data/{PRELIMINARY}",
            f"C-NMC_Leukemia/validation_data/{PRELIMINARY}_labels.csv",
            f"C-NMC_Leukemia/testing_data/{FINAL}",
        ),
    ],
)
def test_c_nmc_parts_subjects_and_labels(
    training: str, preliminary: str, table: str, final: str, tmp_path: Path
) -> None:
    files = {f"{training}/{name}": "" for name in TRAIN} | {f"{preliminary}/{n}.bmp": "" for n in (1, 2)}
    plan = plan_with("c-nmc-2019", tmp_path, files | {table: LABELLED, f"{final}/1.bmp": ""})
    found = {
        k: (r.label_raw, r.group, r.split_upstream, r.split_paper, r.about.get("diagnosis"))
        for k, r in by_key(plan).items()
    }
    assert found == {
        "fold_0/UID_5_29_1_all": ("all", "subject 5", "train", "train", "ALL"),
        "fold_1/UID_H12_3_1_hem": ("hem", "subject H12", "train", "train", "healthy"),
        "prelim/1": ("1", "subject 57", "test", "test", "ALL"),
        "prelim/2": ("0", "subject H30", "test", "test", "healthy"),
        "final/1": (None, None, "test", None, None),
    }
    assert plan.problems == []


def test_c_nmc_disease_is_that_of_the_subject(tmp_path: Path) -> None:
    sources.get("c-nmc-2019").draw(tmp_path / "raw", 10, 0)
    rows, _ = rows_of("c-nmc-2019", tmp_path / "raw", tmp_path / "corpus")
    found = {(row["label"], row["disease"], row["label_scope"]) for row in rows}
    assert found == {
        ("leukemic_b_lymphoblast", "leukemia", "subject"),
        ("normal_b_precursor", "normal", "subject"),
        (None, None, None),
    }


def test_c_nmc_rows_and_pictures_that_do_not_meet(tmp_path: Path) -> None:
    table = HEADER + "UID_57_1_1_all.bmp,1.bmp,1\nUID_57_1_2_all.bmp,2.bmp,0\nUID_57_1_3_all.bmp,4.bmp,1\n"
    files = {f"{PRELIMINARY}/{n}.bmp": "" for n in (1, 2, 3)} | {f"{PRELIMINARY}/labels.csv": table}
    files |= {"fold_0/hem/UID_5_1_1_all.bmp": "", "fold_0/all/cell.bmp": ""}
    plan = plan_with("c-nmc-2019", tmp_path, files)
    assert labels(plan) == {"prelim/1": "1"}
    assert problems(plan) == {
        "contradicting_labels": 2,
        "unreadable_annotation": 1,
        "missing_image": 1,
        "missing_annotation": 1,
    }


def test_c_nmc_preliminary_part_without_its_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"_labels\.csv"):
        plan_with("c-nmc-2019", tmp_path, [f"{PRELIMINARY}/1.bmp"])
