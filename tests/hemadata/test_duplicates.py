"""`hemadata duplicates` and what follows from it, on drawn cells with planted copies and on the real pairs."""

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import hemadata
import pyarrow.parquet as pq
import pytest
from hemadata import cli, sources
from hemadata.audit import leakage, splitting
from hemadata.audit.contract import check
from hemadata.audit.duplicates import Found, find
from hemadata.audit.pictures import Pair
from hemadata.build import Options, build, finish
from hemadata.build.assign import read_assignment
from hemadata.build.attempts import RECORD, attempt, state_folder
from hemadata.build.records import read_manifests
from hemadata.errors import CorpusError
from PIL import Image, ImageEnhance
from typer.testing import CliRunner

TOP = "acevedo/PBC_dataset_normal_DIB"
N = 32
EQUAL = 2  # byte-equal pairs: one that the archive has and the phantom draws, one planted


def smaller(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2 + 9, image.height // 2 + 9), Image.Resampling.BICUBIC)


def brighter(image: Image.Image) -> Image.Image:
    return ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(1.15)).enhance(0.85)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "small": smaller,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "bright": brighter,
    "all": lambda image: brighter(smaller(image)).transpose(Image.Transpose.TRANSVERSE),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn cells, and copies of some: five near ones, one of equal bytes under another name."""
    root = tmp_path_factory.mktemp("raw")
    sources.get("acevedo").draw(root, N, 0)
    cells = sorted((root / TOP).glob("[bel]*/*_*.jpg"))
    for path, (name, change) in zip(cells, CHANGES.items(), strict=False):
        change(Image.open(BytesIO(path.read_bytes())).convert("RGB")).save(
            path.with_name(f"{path.stem.partition('_')[0]}_9{name}.jpg"), quality=70
        )
    shutil.copy(cells[-1], cells[-1].with_name("ERB_7777.jpg"))
    return root


@pytest.fixture(scope="module")
def built(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "corpus"
    (result,) = build(["acevedo"], raw, out, Options())
    assert not result.error
    return out


@pytest.fixture
def corpus(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "corpus"))


def search(corpus: Path) -> Found:
    with hemadata.open(corpus) as opened:
        return find(opened)


def names(found: Found) -> set[tuple[str, str]]:
    return {(pair.kind, pair.sample_b.rpartition("_")[2]) for pair in found.pairs} | {
        (pair.kind, pair.sample_a.rpartition("_")[2]) for pair in found.pairs
    }


def test_planted_copies_are_found_and_nothing_else(corpus: Path) -> None:
    found = search(corpus)
    assert found.images == N + len(CHANGES) + 1 and found.without == 0
    assert {("near", f"9{name}") for name in CHANGES} | {("bytes", "7777")} <= names(found)
    assert len(found.pairs) == len(CHANGES) + EQUAL
    assert len(set(found.clusters().values())) == len(CHANGES) + EQUAL
    for pair in found.pairs:
        assert pair.sample_a < pair.sample_b and (pair.confirmed or 0) >= 0.75
    accepted = {frozenset((pair.sample_a, pair.sample_b)) for pair in found.pairs}
    for pair in found.rejected:
        assert frozenset((pair.sample_a, pair.sample_b)) not in accepted and pair.confirmed is not None


def test_corpus_built_without_decoding_gets_fingerprints_on_demand(built: Path, raw: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    build(["acevedo"], raw, plain, Options(check="none"))
    made = plain / "fingerprints" / "acevedo.parquet"
    assert not made.exists()
    found = search(plain)
    assert made.read_bytes() == (built / "fingerprints" / "acevedo.parquet").read_bytes()
    assert {(p.sample_a, p.sample_b) for p in found.pairs} == {(p.sample_a, p.sample_b) for p in search(built).pairs}


def test_fingerprints_that_do_not_belong_to_the_image_are_made_anew(corpus: Path) -> None:
    path = corpus / "fingerprints" / "acevedo.parquet"
    whole, table = path.read_bytes(), pq.read_table(path)
    wrong = table.set_column(1, table.schema.field(1), [["0" * 64] * table.num_rows])
    pq.write_table(wrong, path)
    search(corpus)
    assert path.read_bytes() == whole
    path.write_bytes(whole[:100])
    search(corpus)
    assert path.read_bytes() == whole


def test_clusters_stand_in_the_corpus_and_shards_stay_untouched(corpus: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (corpus / "data").rglob("*.parquet")}
    found = search(corpus)
    leakage.keep(corpus, found)
    with hemadata.open(corpus) as opened:
        clusters = dict(
            zip(opened.index["sample_id"].to_pylist(), opened.index["dup_cluster"].to_pylist(), strict=True)
        )
    assert {sample: cluster for sample, cluster in clusters.items() if cluster} == found.clusters()
    assert {path: path.stat().st_mtime_ns for path in (corpus / "data").rglob("*.parquet")} == before
    rows = list(csv.DictReader((corpus / "reports" / "leakage.csv").open()))
    assert len(rows) == len(found.pairs) and {row["kind"] for row in rows} == {"bytes", "near"}
    leakage.keep(corpus, found)
    assert len(list((corpus / "assignment").glob("v*"))) == 2, "the same clusters make no new version"


def cross(corpus: Path) -> tuple[str, str]:
    """Two rows on two sides, of one class: one of train, one of test."""
    table = read_assignment(corpus)
    of = {row["split"]: row["sample_id"] for row in table.to_pylist()}
    first, second = sorted((of["train"], of["test"]))
    leakage.keep(corpus, Found(pairs=[Pair(first, second, "near", "none", 0.99, 0.99)]))
    return of["train"], of["test"]


def test_check_fails_where_a_duplicate_crosses_and_split_mends_it(corpus: Path) -> None:
    train, test = cross(corpus)
    (finding,) = check(corpus, "none").findings
    assert finding.rule == "duplicate" and train in finding.found and "hemadata split" in finding.found
    (row,) = csv.DictReader((corpus / "reports" / "leakage.csv").open())
    assert row["leaks"] == "yes"
    outcome = splitting.split(corpus)
    assert not check(corpus, "full").findings and not outcome.leaking
    placed = {row["sample_id"]: row for row in read_assignment(corpus).to_pylist()}
    assert placed[train]["split"] == placed[test]["split"] and placed[train]["group_id"] == placed[test]["group_id"]
    again = splitting.split(corpus)
    assert not again.is_new and not again.moved and again.version == outcome.version


def test_split_stays_in_force_when_the_source_is_built_again(corpus: Path, raw: Path) -> None:
    cross(corpus)
    splitting.split(corpus)
    before = {path: path.read_bytes() for path in corpus.rglob("*.parquet")}
    (result,) = build(["acevedo"], raw, corpus, Options())
    assert result.units_done == 0
    assert {path: path.read_bytes() for path in corpus.rglob("*.parquet")} == before


def test_split_that_is_cut_off_is_completed_by_the_next_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while shards are renamed: some splits of a unit are new, some old; no row may be lost."""
    cross(corpus)
    undisturbed = Path(shutil.copytree(corpus, tmp_path / "undisturbed"))
    splitting.split(undisturbed)

    def cut(files: dict[Path, Path]) -> None:
        source, target = next(iter(files.items()))
        source.replace(target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(finish, "publish", cut)
        with pytest.raises(KeyboardInterrupt):
            splitting.split(corpus)
    splitting.split(corpus)
    assert not check(corpus, "full").findings
    everything = {p.relative_to(corpus): p.read_bytes() for p in corpus.rglob("*.*") if p.is_file()}
    expected = {p.relative_to(undisturbed): p.read_bytes() for p in undisturbed.rglob("*.*") if p.is_file()}
    assert {n: d for n, d in everything.items() if n.suffix != ".lock"} == {
        n: d for n, d in expected.items() if n.suffix != ".lock"
    }


def test_split_does_not_mix_with_an_interrupted_build(corpus: Path) -> None:
    cross(corpus)
    (unit,) = read_manifests(corpus)[0].units
    state_folder(corpus, "acevedo").mkdir(parents=True)
    with attempt(corpus, "acevedo", unit.bucket) as folder:
        replace(unit, key="of other inputs").write(folder / RECORD)
    with pytest.raises(CorpusError, match="acevedo: its last build was interrupted"):
        splitting.split(corpus)


def command(*words: str) -> tuple[int, str]:
    """Exit code and output of the command line."""
    result = CliRunner().invoke(cli.app, list(words))
    return result.exit_code, result.output


def test_commands_tell_what_they_found_and_what_it_costs(corpus: Path) -> None:
    code, told = command("duplicates", str(corpus), "--json")
    assert len(json.loads(told)["pairs"]) == len(CHANGES) + EQUAL
    assert code == json.loads(told)["leaking"] == 1, "one of the copies lies across train and test"
    cross(corpus)
    code, told = command("split", str(corpus))
    assert code == 0 and "acevedo  train" in told and "placed by group" in told and "v0004 is in force" in told
    code, told = command("split", str(corpus), "--json")
    assert code == 0 and not json.loads(told)["new"] and json.loads(told)["sources"]["acevedo"]["excluded"] == 0
    code, told = command("duplicates", str(corpus))
    assert f"{len(CHANGES) + EQUAL} clusters" in told and str(corpus / "reports" / "leakage.csv") in told
    assert CliRunner().invoke(cli.app, ["duplicates", str(corpus / "nothing")]).exit_code != 0


def test_real_duplicates(raw_root: Path, tmp_path: Path) -> None:
    """The 364 byte-equal pairs, 112.bmp and 139.bmp, and the same cells photographed twice; no other pair."""
    out = tmp_path / "corpus"
    build(["bccd", "white-blood-cell-dataset", "wbc-image-dataset", "acevedo"], raw_root, out, Options())
    found = search(out)
    both = {(p.sample_a, p.sample_b) for p in found.pairs if p.kind == "bytes"}
    assert sum(a.startswith("bccd/") and b.startswith("white-blood-cell-dataset/") for a, b in both) == 364
    cells = "wbc-image-dataset/dataset-1"
    assert (f"{cells}/112", f"{cells}/139") in both
    assert ("acevedo/basophil/BA_251042", "acevedo/basophil/BA_988506") in both and len(both) == 366
    near = {(p.sample_a, p.sample_b) for p in found.pairs if p.kind == "near"}
    fields = {(f"{s}/BloodImage_00037", f"{s}/BloodImage_00038") for s in ("bccd", "white-blood-cell-dataset")}
    same_cell = {(f"{cells}/{a}", f"{cells}/{b}") for a, b in ((157, 158), (166, 171), (167, 169))}
    assert near == fields | same_cell
    leakage.keep(out, found)
    outcome = splitting.split(out)
    assert not outcome.leaking and not check(out, "none").findings
