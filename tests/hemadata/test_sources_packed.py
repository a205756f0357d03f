"""The traps of bloodmnist and aml-hehr, each on a tree that contains it."""

import pickle
import resource
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import numpy as np
import pytest
from hemadata import sources
from hemadata.build import Built, Options, build
from hemadata.build.plan import Plan, make_plan
from hemadata.errors import FormatError, HemaError, LayoutError, UnknownLabelError
from hemadata.formats.npz import Row
from hemadata.sources import aml_hehr
from PIL import Image

Arrays = dict[str, np.ndarray]


def plan_of(name: str, root: Path) -> Plan:
    source = sources.get(name)
    return make_plan(source, source.open_raw([root]))


def rows_of(name: str, root: Path, out: Path, **options: Any) -> tuple[dict[str, dict[str, Any]], Built]:
    (result,) = build([name], root, out, Options(**options))
    assert result.error is None
    with hemadata.open(out) as corpus:
        return {row["sample_id"]: row for row in corpus.rows("classification", source=name)}, result


# --- bloodmnist -------------------------------------------------------------------------------------------------------


def stacks(side: int = 8, counts: tuple[int, int, int] = (7, 1, 2), seed: int = 0) -> Arrays:
    random, held = np.random.default_rng(seed), {}
    for part, count in zip(("train", "val", "test"), counts, strict=True):
        held[f"{part}_images"] = random.integers(0, 256, (count, side, side, 3), np.uint8)
        held[f"{part}_labels"] = random.integers(0, 8, (count, 1), np.uint8)
    return held


def write(root: Path, held: Arrays, name: str = "bloodmnist_224.npz", packed: bool = True) -> Path:
    path = root / "bloodmnist" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    (np.savez_compressed if packed else np.savez)(path, allow_pickle=False, **held)  # type: ignore[operator]
    return path


def expected(held: Arrays) -> dict[str, tuple[bytes, str, str]]:
    """Pixels, label and split of every picture, read independently."""
    splits = {"train": "train", "val": "validation", "test": "test"}
    return {
        f"bloodmnist/{part}/{n:05d}": (held[f"{part}_images"][n].tobytes(), str(held[f"{part}_labels"][n, 0]), split)
        for part, split in splits.items()
        for n in range(len(held[f"{part}_images"]))
    }


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("side", [28, 64])
def test_bloodmnist_rows_are_the_rows_of_the_arrays(packed: bool, side: int, tmp_path: Path) -> None:
    write(tmp_path, held := stacks(side), packed=packed)
    rows, _ = rows_of("bloodmnist", tmp_path, tmp_path / "out")
    found = {}
    for name, row in rows.items():
        picture = Image.open(BytesIO(row["image"]["bytes"]))
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (side, side))
        assert (row["encoding_source"], row["flags"]) == ("npz", ["reencoded"])
        found[name] = picture.tobytes(), row["label_raw"], row["split_upstream"]
    assert found == expected(held)
    paper = {name: row["split_paper"] for name, row in rows.items()}
    assert paper == {n: None if "/val/" in n else n.split("/")[1] for n in paper}
    assert not (tmp_path / "out" / ".building").exists()


def test_bloodmnist_unpacked_by_hand_gives_the_same_rows(tmp_path: Path) -> None:
    archive = write(tmp_path / "a", stacks())
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "b" / "bloodmnist" / "bloodmnist_224")
    pixels = []
    for place, out in (("a", "x"), ("b", "y")):
        rows, _ = rows_of("bloodmnist", tmp_path / place, tmp_path / out)
        pixels.append({name: (row["sha256"], row["label"]) for name, row in rows.items()})
    assert pixels[0] == pixels[1] and len(pixels[0]) == 10


def test_bloodmnist_of_several_sizes_reads_the_largest_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, stacks(28), "bloodmnist.npz")
    write(tmp_path, held := stacks(64), "bloodmnist_64.npz")
    rows, result = rows_of("bloodmnist", tmp_path, tmp_path / "out")
    assert {row["width"] for row in rows.values()} == {64} and len(rows) == len(expected(held))
    assert [(q.file, q.reason, q.severity) for q in result.quarantine] == [("bloodmnist.npz", "junk_file", "ignored")]


def test_bloodmnist_twice_the_same_size_is_refused(tmp_path: Path) -> None:
    write(tmp_path, stacks(), "bloodmnist_224.npz")
    write(tmp_path, stacks(seed=1), "bloodmnist_224 (1).npz")
    with pytest.raises(HemaError, match=r"both hold pictures of 8 pixels.*Keep one"):
        plan_of("bloodmnist", tmp_path)


def test_bloodmnist_plan_unpacks_nothing_and_refs_go_to_other_processes(tmp_path: Path) -> None:
    write(tmp_path, stacks())
    (result,) = build(["bloodmnist"], tmp_path, tmp_path / "out", Options(dry_run=True))
    assert result.plan and result.plan["images"] == 10 and not (tmp_path / "out").exists()
    image = next(iter(plan_of("bloodmnist", tmp_path).refs)).image
    again = pickle.loads(pickle.dumps(image))
    assert isinstance(again, Row) and (again.at, again.shape, again.name) == (image.at, image.shape, image.name)  # type: ignore[attr-defined]


def test_bloodmnist_builds_alike_with_one_and_with_two_workers_and_again(tmp_path: Path) -> None:
    write(tmp_path, stacks(8, (300, 20, 60)))
    one, _ = rows_of("bloodmnist", tmp_path, tmp_path / "a", jobs=1)
    two, first = rows_of("bloodmnist", tmp_path, tmp_path / "b", jobs=2)
    assert one == two and first.units_done == 2
    shutil.copytree(tmp_path / "bloodmnist", tmp_path / "moved" / "bloodmnist")  # another place and another time
    assert not rows_of("bloodmnist", tmp_path / "moved", tmp_path / "b")[1].units_done


def test_bloodmnist_stopped_in_a_unit_goes_on_with_the_rest(tmp_path: Path) -> None:
    write(tmp_path, stacks(8, (500, 20, 60)))
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom hemadata.build import Options, build, engine\n"
        "whole = engine.run_unit\n"
        "def dying(task):\n    if task.bucket:\n        os.kill(os.getpid(), 9)\n    return whole(task)\n"
        "engine.run_unit = dying\n"
        "build(['bloodmnist'], Path(sys.argv[1]), Path(sys.argv[2]), Options(jobs=1))\n"
    )
    out = tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path), str(out)], check=False)
    assert killed.returncode == -9 and list((out / ".building" / "bloodmnist-spool").iterdir())
    rows, result = rows_of("bloodmnist", tmp_path, out)
    assert len(rows) == 580 and 0 < result.units_done < result.units
    assert not (out / ".building").exists()


def test_bloodmnist_plan_does_not_hold_the_pictures(tmp_path: Path) -> None:
    held = stacks(1, (1, 1, 1))
    held["train_images"] = np.zeros((400, 224, 224, 3), np.uint8)  # 60 MB
    held["train_labels"] = np.zeros((400, 1), np.uint8)
    held["val_images"] = held["test_images"] = np.zeros((1, 224, 224, 3), np.uint8)
    write(tmp_path, held)
    plan_of("bloodmnist", tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    plan_of("bloodmnist", tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


def change(name: str, value: Any) -> Arrays:
    held: Arrays = {**stacks(), name: value}
    return {key: array for key, array in held.items() if array is not None}


@pytest.mark.parametrize(
    ("held", "error", "told"),
    [
        (change("val_images", None), FormatError, "val_images missing; found test_images"),
        (change("train_labels", np.zeros((6, 1), np.uint8)), FormatError, "7 train_images, but 6 train_labels"),
        (change("train_labels", np.full((7, 1), 9, np.uint8)), UnknownLabelError, "raw label '9'"),
        (change("train_images", np.zeros((7, 8, 8, 3), np.float32)), FormatError, "expected uint8"),
        (change("test_images", np.zeros((2, 9, 9, 3), np.uint8)), FormatError, "Two versions are mixed"),
    ],
)
def test_bloodmnist_of_another_kind_is_refused(held: Arrays, error: type, told: str, tmp_path: Path) -> None:
    write(tmp_path, held)
    with pytest.raises(error, match=told):
        plan_of("bloodmnist", tmp_path)


def test_bloodmnist_that_needs_pickle_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, stacks())
    np.savez(path, **{**stacks(), "train_images": np.array([{"a": 1}], object)})
    with pytest.raises(FormatError, match="holds object"):
        plan_of("bloodmnist", tmp_path)


def test_bloodmnist_cut_or_damaged_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, stacks(64))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(LayoutError, match=r"bloodmnist_224\.npz: the archive is cut or damaged"):
        plan_of("bloodmnist", tmp_path)
    damaged = bytearray(whole)
    damaged[len(whole) // 3] ^= 0xFF  # in the pictures: only the checksum tells
    path.write_bytes(damaged)
    (result,) = build(["bloodmnist"], tmp_path, tmp_path / "out")
    assert "bloodmnist_224.npz: the archive is cut or damaged" in str(result.error)


def test_bloodmnist_bomb_is_refused(tmp_path: Path) -> None:
    held = stacks()
    held["train_images"] = np.zeros((120_000, 28, 28, 3), np.uint8)  # 282 MB of zeros
    held["train_labels"] = np.zeros((120_000, 1), np.uint8)
    held["val_images"] = held["test_images"] = np.zeros((1, 28, 28, 3), np.uint8)
    held["val_labels"] = held["test_labels"] = np.zeros((1, 1), np.uint8)
    write(tmp_path, held)
    (result,) = build(["bloodmnist"], tmp_path, tmp_path / "out", Options(limit=5))
    assert "bytes announced; at most" in str(result.error)
    assert not (tmp_path / "out" / ".building").exists()


def test_bloodmnist_elsewhere_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "bloodmnist").mkdir()
    (tmp_path / "bloodmnist" / "readme.txt").write_text("")
    with pytest.raises(LayoutError, match=r"expected bloodmnist_224\.npz .*sources/bloodmnist\.py"):
        plan_of("bloodmnist", tmp_path)


# --- aml-hehr ---------------------------------------------------------------------------------------------------------


def hehr(root: Path, *names: str, **tables: str | bytes) -> Path:
    top = root / "aml-hehr" / "PKG - AML-Cytomorphology_MLL_Helmholtz_v1"
    for name in names:
        (top / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (top / "data" / name).write_bytes(b"")
    for name, text in tables.items():
        (top / name.replace("_", ".")).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root


def problems(plan: Plan) -> Counter[str]:
    return Counter(problem.reason for problem in plan.problems)


def test_aml_hehr_genetics_are_the_patients_and_no_cell_is_named(tmp_path: Path) -> None:
    sources.get("aml-hehr").draw(tmp_path / "raw", 12, 0)
    rows, result = rows_of("aml-hehr", tmp_path / "raw", tmp_path / "out")
    assert len(rows) == 12 and result.undeclared == {}
    for name, row in rows.items():
        _, subtype, patient, _ = name.split("/")
        said = (row["label"], row["label_raw"], row["label_fine"], row["label_scope"], row["genetic_subtype"])
        assert said == (None, None, None, "subject", subtype)
        assert row["native_group"] == f"aml-hehr/{patient}" and row["encoding_source"] == "tiff"
        is_control = subtype == "control"
        assert (row["disease"], row["diagnosis"]) == (("normal", "healthy") if is_control else ("leukemia", "AML"))
    assert len({row["genetic_subtype"] for row in rows.values()}) > 2


def test_aml_hehr_features_are_no_pictures(tmp_path: Path) -> None:
    names = [f"NPM1/AQK/{file}" for file in ("image_0.tif", "image_1.TIF", "fnl34_bn_features_layer_7.npy")]
    plan = plan_of("aml-hehr", hehr(tmp_path, *names))
    assert sorted(ref.key for ref in plan.refs) == ["NPM1/AQK/image_0", "NPM1/AQK/image_1"]
    assert problems(plan) == {"junk_file": 1}


def test_aml_hehr_phantom_has_a_folder_for_every_patient(tmp_path: Path) -> None:
    sources.get("aml-hehr").draw(tmp_path, 5, 0)
    found = Counter(path.parent.parent.name for path in tmp_path.rglob("*.npy"))
    assert found == {name: count for name, (count, _) in aml_hehr.SUBTYPES.items()} and found.total() == 189


def test_aml_hehr_hyphens_are_the_same_subtype_and_another_one_is_refused(tmp_path: Path) -> None:
    plan = plan_of("aml-hehr", hehr(tmp_path / "a", "RUNX1-RUNX1T1/ABC/image_0.tif", "control/ABD/image_0.tif"))
    assert {ref.about["genetic_subtype"] for ref in plan.refs} == {"RUNX1_RUNX1T1", "control"}
    with pytest.raises(LayoutError, match=r"found KMT2A.*SUBTYPES in sources/aml_hehr\.py"):
        plan_of("aml-hehr", hehr(tmp_path / "b", "control/ABD/image_0.tif", "KMT2A/ABE/image_0.tif"))


HEADER = "patient_id,sex_1f_2m,age,bag_label,instance_count,leucocytes_per_{}l,pb_myeloblast\n"


@pytest.mark.parametrize("micro", ["\u00ac\u00b5".encode(), "\u00b5".encode(), b"\xb5"])
def test_aml_hehr_table_is_read_whatever_became_of_the_micro_sign(micro: bytes, tmp_path: Path) -> None:
    text = HEADER.encode().replace(b"{}", micro) + b"AQK,1,50,NPM1,3,4000,\nAQL,2,60,control,1,,\n"
    plan = plan_of("aml-hehr", hehr(tmp_path, "NPM1/AQK/image_0.tif", "control/AQL/image_0.tif", metadata_csv=text))
    assert plan.images == 2
    assert [(p.record, p.reason, p.detail) for p in plan.problems] == [
        ("AQK", "missing_image", "1 of 3 pictures are there")
    ]


def test_aml_hehr_pictures_of_the_list_of_checksums_that_are_not_there_are_told(tmp_path: Path) -> None:
    sums = "".join(f"{n:032x}  data/NPM1/AQK/image_{n}.tif\n" for n in range(4))
    sums += f"{9:032x}  data/NPM1/AQK/fnl34_bn_features_layer_7.npy\n\n{8:032x}  data/control/AQZ/image_0.tif\n"
    plan = plan_of("aml-hehr", hehr(tmp_path, "NPM1/AQK/image_0.tif", v1_sums=sums))
    told = {(p.record, p.detail) for p in plan.problems if p.reason == "missing_image"}
    assert told == {("AQK", "1 of 4 pictures are there"), ("AQZ", "0 of 1 pictures are there")}


def test_aml_hehr_patient_whom_the_table_calls_otherwise_makes_no_row(tmp_path: Path) -> None:
    text = HEADER + "AQK,1,50,PML_RARA,1,4000,\nAQL,2,60,NPM1,1,,\n"
    plan = plan_of("aml-hehr", hehr(tmp_path, "NPM1/AQK/image_0.tif", "NPM1/AQL/image_0.tif", metadata_csv=text))
    assert [ref.group for ref in plan.refs] == ["AQL"]
    assert [p.detail for p in plan.problems] == ["lies in NPM1, but metadata.csv says PML_RARA"]


def test_aml_hehr_patient_in_two_subtypes_is_two_versions(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="patient AQK lies in CBFB_MYH11 and in NPM1"):
        plan_of("aml-hehr", hehr(tmp_path, "NPM1/AQK/image_0.tif", "CBFB_MYH11/AQK/image_0.tif"))


def test_aml_hehr_picture_outside_a_patients_folder_makes_no_row(tmp_path: Path) -> None:
    plan = plan_of("aml-hehr", hehr(tmp_path, "NPM1/AQK/image_0.tif", "NPM1/image_1.tif", "NPM1/AQK/cell.tif"))
    assert plan.images == 1 and problems(plan) == {"unreadable_annotation": 2}


def test_aml_hehr_broken_count_names_the_table(tmp_path: Path) -> None:
    text = HEADER + "AQK,1,50,NPM1,many,4000,\n"
    with pytest.raises(FormatError, match=r"metadata\.csv: instance_count"):
        plan_of("aml-hehr", hehr(tmp_path, "NPM1/AQK/image_0.tif", metadata_csv=text))


def test_aml_hehr_elsewhere_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "aml-hehr").mkdir()
    (tmp_path / "aml-hehr" / "readme.txt").write_text("")
    with pytest.raises(LayoutError, match=r"expected pictures .*NPM1.*sources/aml_hehr\.py"):
        plan_of("aml-hehr", tmp_path)
