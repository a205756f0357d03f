"""`hemadata sources`: list, show, check, new, docs, and sources of other packages."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import sources
from hemadata.audit.raw import inspect
from hemadata.build import Options, build
from hemadata.cli import main
from hemadata.errors import InputMissingError, UsageError
from hemadata.report.catalogue import catalogue, overlaps
from hemadata.report.pages import document, page
from hemadata.scaffold import TO_FILL, scaffold
from hemadata.sources.facts import read_facts

# Tables 1 to 4 of the paper's supplementary material: slug, images, classes, train, test; None: a dash.
PAPER: dict[tuple[int, int], tuple[str, int, int | None, int | None, int | None]] = {
    (1, 1): ("malaria-detection-2019", 883, 2, 706, 177),
    (1, 2): ("nuclick", 1470, 5, 1220, 250),
    (1, 3): ("krd-wbc", 600, 5, 480, 120),
    (1, 4): ("wbc-image-dataset", 400, 5, 300, None),
    (1, 5): ("white-blood-cell-dataset", 367, 3, 367, None),
    (1, 6): ("erythrocytes-idb", 50, 3, 40, 10),
    (1, 7): ("anerbc-anemic", 6000, 5, 5000, 1000),
    (1, 8): ("anerbc-healthy", 6000, 5, 5000, 1000),
    (1, 9): ("mp-idb", 281, 5, 140, None),
    (1, 10): ("elsafty-rbc", 204510, 9, 156408, 48102),
    (1, 11): ("bbbc041-seg", 1560, 1, 1248, 312),
    (2, 1): ("leukemiaattri", 28000, 14, 16770, 7260),
    (2, 2): ("m5", 7500, 4, 4980, 2250),
    (2, 3): ("txl-pbc", 1500, 3, 1008, 144),
    (2, 4): ("bccd", 364, 3, 225, 36),
    (2, 5): ("sickle-cell", 413, 1, 339, 74),
    (2, 6): ("plasmodium", 2703, 4, 2418, None),
    (2, 7): ("plasmodium-phonecamera", 1185, 1, 948, None),
    (2, 8): ("tuberculosis-phonecamera", 2503, 1, 1218, None),
    (2, 9): ("vivax", 1328, 4, 1208, 120),
    (2, 10): ("thick-blood-smears", 1830, 1, 1830, None),
    (2, 11): ("nlm-thick-pv", 3013, 1, 3013, None),
    (2, 12): ("parasite", 265, 2, 225, 40),
    (2, 13): ("acevedo-det", 10435, 6, 10435, None),
    (2, 14): ("mp-idb-det", 281, 4, None, 106),
    (2, 15): ("bio-net", 2005, 4, None, 401),
    (2, 16): ("raabin-m1", 17769, 7, 14215, 3554),
    (2, 17): ("raabin-m2", 3114, 7, 2491, 623),
    (3, 1): ("bmc", 171373, 21, 137098, 34275),
    (3, 2): ("aml-matek", 18365, 15, 18365, None),
    (3, 3): ("raabin", 14514, 5, 10175, 4339),
    (3, 4): ("warty-pig", 2871, 5, 1408, None),
    (3, 5): ("lisc", 2263, 5, 241, None),
    (3, 6): ("krd-wbc-cls", 600, 5, 480, None),
    (3, 7): ("bccd-cls", 364, 3, 225, None),
    (3, 8): ("hrls", 16027, 9, 16027, None),
    (3, 9): ("apl-aml", 25915, 20, 14250, None),
    (3, 10): ("white-blood-cell-dataset-cls", 376, 1, 376, None),
    (3, 11): ("acevedo", 4446, 2, 3510, 936),
    (3, 12): ("rv-pbs", 752, 10, 601, 151),
    (3, 13): ("pbc-8-da", 13042, 8, 10433, 2609),
    (3, 14): ("c-nmc-2019", 12528, 2, 10661, 1867),
    (3, 15): ("bloodmnist", 17092, 8, 11959, 3421),
    (3, 16): ("aml-hehr", 81403, 5, None, None),
    (4, 1): ("wbcatt-vqa", 20944, None, 17859, 3085),
    (4, 2): ("leukemiaattri-mlm", 6940, None, 5552, 1388),
}
PENDING = {name for name, *_ in PAPER.values()} - set(sources.names())
ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """The command line in this process, in an empty folder: exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hemadata", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


# List


def test_rows_are_those_of_the_paper_in_its_order(run: Run) -> None:
    code, out, _ = run("sources", "list", "--json")
    rows: list[dict[str, Any]] = json.loads(out)
    assert code == 0
    said = ("name", "images_published", "classes_published", "train_published", "test_published")
    listed = {(row["table"], row["row"]): tuple(row[key] for key in said) for row in rows}
    assert list(listed) == sorted(listed) and len(listed) == len(rows)
    assert listed == {place: row for place, row in PAPER.items() if row[0] not in PENDING}


@pytest.mark.xfail(bool(PENDING), reason=f"not written yet: {', '.join(sorted(PENDING))}")
def test_all_46_rows_are_there() -> None:
    assert [row["name"] for row in catalogue()] == [name for name, *_ in PAPER.values()]
    assert len(catalogue()) == 46


def test_sources_outside_the_tables_are_listed_only_with_all() -> None:
    inside, everything = catalogue(), catalogue(outside=True)
    assert everything[: len(inside)] == inside
    outside = {row["name"] for row in everything[len(inside) :]}
    assert outside == set(sources.names()) - {name for name, *_ in PAPER.values()} and "wbcatt" in outside


def test_every_row_tells_how_sure_it_is_and_what_it_shares() -> None:
    names = set(sources.names()) | PENDING
    for row in catalogue(outside=True):
        assert row["confidence"] is not None and set(row["confidence"]) == {"layout", "annotation", "classes"}, row[
            "name"
        ]
        assert set(row["overlaps"]) <= names - {row["name"]}, row["name"]


def test_overlaps_hold_both_ways() -> None:
    pairs = overlaps()
    assert {(a, b) for a, others in pairs.items() for b in others} == {
        (b, a) for a, others in pairs.items() for b in others
    }
    assert "txl-pbc" in pairs["bccd"] and "bccd" in pairs["txl-pbc"] and "vivax" in pairs["bbbc041-seg"]


def test_found_counts_are_those_of_a_corpus_of_real_data(tmp_path: Path, run: Run) -> None:
    for name in ("bccd", "raabin", "wbc-image-dataset"):
        sources.get(name).draw(tmp_path / "raw", 6, 0)
    out = tmp_path / "corpus"
    results = build(["bccd", "raabin", "wbc-image-dataset"], tmp_path / "raw", out, Options())
    rows = {row["name"]: row for row in catalogue(out)}
    with hemadata.open(out) as corpus:
        for result in results:
            read = list(corpus.rows(result.task, source=result.source))
            words = {row["label_raw"] for row in read} | {
                o["label_raw"] for row in read for o in row.get("objects") or ()
            }
            regions = {c["label"] for row in read for c in row.get("mask_classes") or () if c["pixels"]}
            classes = len(regions - {"background"}) if result.task == "segmentation" else len(words - {None})
            found = rows[result.source]["images_found"], rows[result.source]["classes_found"]
            assert found == (6, classes) and classes > 0
    assert rows["vivax"]["images_found"] is rows["vivax"]["classes_found"] is None
    told = run("sources", "list", "--corpus", out)[1]
    assert next(line for line in told.splitlines() if " bccd " in line).split()[3:7] == ["364", "6", "3", "3"]


def test_annotations_published_derived_and_missing_are_told_apart(run: Run) -> None:
    told = run("sources", "list")[1].splitlines()[-1]
    rows = catalogue()
    for origin, words in (("published", "published"), ("derived", "derived from"), ("none", "not published")):
        count = sum(row["annotation_origin"] == origin for row in rows)
        assert (f"{count} {words}" in told) == bool(count)


# Show and docs


@pytest.mark.parametrize("name", sources.names())
def test_page_tells_citation_licence_counts_and_where_it_comes_from(name: str) -> None:
    facts, text = sources.get(name).facts, page(sources.get(name))
    for word in (facts.title, facts.citation, facts.license, facts.homepage, *facts.published.note.values()):
        assert word in text
    assert all(download.url in text for download in facts.download)
    assert all(f"`{raw}`" in text for raw in (*facts.labels, *facts.labels_fine))


def test_docs_are_rendered_from_the_pages(run: Run) -> None:
    assert run("sources", "docs")[1] == document()
    assert (ROOT / "docs" / "sources.md").read_text(encoding="utf-8") == document(), (
        "run: hemadata sources docs > docs/sources.md"
    )


# Check


def drawn(name: str, tmp_path: Path, n: int = 12) -> Path:
    sources.get(name).draw(tmp_path / "raw", n, 0)
    return tmp_path / "raw"


def deviations(name: str, raw: Path) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for entry in inspect(sources.get(name), [raw]).deviations:
        found.setdefault((entry.severity, entry.rule), []).append(f"{entry.where}: {entry.found}")
    return found


def test_sound_tree_of_the_declared_size_has_no_deviation(run: Run, tmp_path: Path) -> None:
    raw = drawn("bccd", tmp_path, 364)
    code, out, _ = run("sources", "check", "bccd", "--raw", raw)
    assert code == 0 and out.startswith("bccd: 364 images, 3 classes") and "0 errors, 0 warnings, 0 notes" in out


def test_check_tells_every_deviation_with_its_severity(run: Run, tmp_path: Path) -> None:
    raw = drawn("bccd", tmp_path)
    pages, pictures = raw / "bccd" / "BCCD" / "Annotations", raw / "bccd" / "BCCD" / "JPEGImages"
    (pages / "BloodImage_00002.xml").unlink()
    (pictures / "BloodImage_00003.jpg").unlink()
    (pictures / "BloodImage_00004.jpg").write_bytes(b"")
    (raw / "bccd" / "BCCD_Dataset.zip.crdownload").write_bytes(b"PK")
    (raw / "bccd" / "example.jpg").write_bytes(b"x")
    (pictures / "Thumbs.db").write_bytes(b"x")
    found = deviations("bccd", raw)
    assert found["warning", "images"] == ["images of bccd: 10 in the tree, 364 in the paper"]
    assert "BloodImage_00002 no annotation file of that name" in found["warning", "missing_annotation"][0]
    assert "BloodImage_00003" in found["warning", "missing_image"][0]
    assert "BloodImage_00004.jpg" in found["warning", "empty"][0]
    assert "crdownload" in found["warning", "unfinished"][0]
    assert found["note", "unread"] == [".: 1 pictures that this source does not read"]
    assert "Thumbs.db" in found["note", "junk_file"][0]
    code, out, _ = run("sources", "check", "bccd", "--raw", raw, "--json")
    said = json.loads(out)
    assert code == 1 and not said["sound"] and len(said["deviations"]) == sum(map(len, found.values()))
    assert [d["severity"] for d in said["deviations"]] == sorted(
        (d["severity"] for d in said["deviations"]), key=("error", "warning", "note").index
    )


def test_check_tells_another_layout_and_unknown_labels_as_errors(run: Run, tmp_path: Path) -> None:
    raw = drawn("bccd", tmp_path)
    some = next((raw / "bccd" / "BCCD" / "Annotations").iterdir())
    some.write_text(some.read_text().replace("<name>RBC</name>", "<name>ABC</name>"))
    [told] = deviations("bccd", raw)["error", "layout"]
    assert "'ABC'" in told and "[labels]" in told
    (raw / "bccd" / "BCCD" / "JPEGImages").rename(raw / "bccd" / "BCCD" / "Pictures")
    assert run("sources", "check", "bccd", "--raw", raw)[0] == 1
    [told] = deviations("bccd", raw)["error", "layout"]
    assert "expected BCCD/JPEGImages" in told and "found BCCD" in told


def test_count_that_the_page_explains_is_a_note(tmp_path: Path) -> None:
    raw = drawn("nuclick", tmp_path)
    found = deviations("nuclick", raw)
    assert "a public loader counts" in found["note", "images"][0] and ("warning", "images") not in found


def test_download_of_another_size_is_told(tmp_path: Path) -> None:
    raw = drawn("wbcatt", tmp_path)
    [*told] = deviations("wbcatt", raw)["warning", "size"]
    assert len(told) == 3 and "913,486 are declared" in "".join(told)


def test_check_reads_real_trees(raw_root: Path) -> None:
    assert inspect(sources.get("bccd"), [raw_root]).deviations == []
    report = inspect(sources.get("white-blood-cell-dataset"), [raw_root])
    absent = {d.where for d in report.deviations if d.rule == "missing_image" and d.where.endswith(".png")}
    assert absent == {f"BloodImageSetS6NucSeg_masks/BloodImage_{n}.png" for n in ("00096", "00280", "00329")}


def test_check_without_raw_data_is_input_missing(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputMissingError):
        inspect(sources.get("bccd"), [tmp_path])
    code, _, err = run("sources", "check", "bccd")
    assert code == 3 and "hemadata fetch --source bccd" in err


# New


@pytest.mark.parametrize("task", ["classification", "detection", "segmentation", "vqa", "mlm"])
def test_scaffold_is_sound_and_says_what_is_missing(task: str, tmp_path: Path) -> None:
    page_file, module = scaffold("my-smears", task, tmp_path)
    assert (page_file.name, module.name) == ("my-smears.toml", "my_smears.py")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my-smears.toml", "my_smears.py"]
    facts = read_facts(page_file)
    assert (facts.name, facts.task, facts.table) == ("my-smears", task, None)
    assert TO_FILL in page_file.read_text() and TO_FILL in module.read_text()
    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy", "--strict"]):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                *tool,
                "--config-file" if "mypy" in tool else "--config",
                ROOT / "pyproject.toml",
                module,
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_scaffold_fails_the_build_with_a_helpful_message(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = install(tmp_path / "site", "my-smears", task="classification")
    scaffold("my-smears", "classification", package)
    monkeypatch.syspath_prepend(tmp_path / "site")
    sources.get.cache_clear(), sources._foreign.cache_clear()
    try:
        [built] = build(["my-smears"], tmp_path / "raw", tmp_path / "corpus", Options(phantom=3))
        assert "draw(out, n, seed) is not written yet" in str(built.error)
        (tmp_path / "raw" / "my-smears").mkdir(parents=True)
        [built] = build(["my-smears"], tmp_path / "raw", tmp_path / "corpus", Options())
        assert "index(raw) is not written yet" in str(built.error) and "sources/bccd.py" in str(built.error)
    finally:
        monkeypatch.undo()
        sources.get.cache_clear(), sources._foreign.cache_clear()


def test_no_finished_page_has_something_to_fill_in() -> None:
    folder = Path(sources.__file__).parent
    names = [path.name for path in folder.iterdir() if path.is_file() and TO_FILL in path.read_text(encoding="utf-8")]
    assert names == [], f"replace every {TO_FILL!r}"


@pytest.mark.parametrize("name", ["bccd", "My Smears", "-x", "x--y", "1st", "../x", "x_y", "a" * 41])
def test_scaffold_refuses_names_that_are_taken_or_no_slug(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        scaffold(name, "detection", tmp_path)
    assert not list(tmp_path.iterdir())


def test_scaffold_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("sources", "new", "my-smears", "--task", "detection", "--out", tmp_path, "--json")
    assert code == 0 and [Path(path).name for path in json.loads(out)["files"]] == ["my-smears.toml", "my_smears.py"]
    (tmp_path / "my_smears.py").write_text("mine")
    (tmp_path / "my-smears.toml").unlink()
    code, _, err = run("sources", "new", "my-smears", "--out", tmp_path)
    assert code == 2 and "my_smears.py is there already" in err
    assert (tmp_path / "my_smears.py").read_text() == "mine"


# Sources of other packages


def install(site: Path, name: str, module: str | None = None, task: str | None = None) -> Path:
    """Put a package `smears` with one source on a path as an installer would, dist-info included; no network."""
    package, slug = site / "smears", name.replace("-", "_")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    info = site / "smears-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: smears\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{sources.GROUP}]\n{name} = {module or f'smears.{slug}'}\n")
    if task is None:
        own = Path(sources.__file__).parent
        text = (own / "raabin.toml").read_text(encoding="utf-8")
        head, _, rest = text.partition("table = 3\nrow = 3\n")
        (package / f"{name}.toml").write_text(head.replace('"raabin"', f'"{name}"') + rest, encoding="utf-8")
        code = (own / "raabin.py").read_text(encoding="utf-8")
        (package / f"{slug}.py").write_text(code.replace('"raabin"', f'"{name}"'), encoding="utf-8")
    return package


def hemadata_with(site: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command line in a new process that finds the packages of `site`."""
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "hemadata.cli", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=site,
        check=False,
    )


def test_source_of_another_package_is_listed_and_built(tmp_path: Path) -> None:
    install(tmp_path, "their-smears")
    listed = hemadata_with(tmp_path, "sources", "list", "--all", "--json")
    assert "their-smears" in [row["name"] for row in json.loads(listed.stdout)], listed.stderr
    inside = hemadata_with(tmp_path, "sources", "list", "--json")
    assert "their-smears" not in [row["name"] for row in json.loads(inside.stdout)]
    words = ("build", "--source", "their-smears", "--phantom", "300", "--jobs", "2", "--json")
    done = hemadata_with(tmp_path, *words, "--out", tmp_path / "corpus")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"]["their-smears"]["images"] == 300
    assert "their-smears" not in hemadata_with(tmp_path, "sources", "docs").stdout


@pytest.mark.parametrize(
    ("name", "module", "words"),
    [
        ("bccd", None, "both bring a source called"),
        ("their-smears", "smears.nowhere", "cannot be imported"),
        ("their-smears", "json", "without its facts page"),
    ],
)
def test_package_that_is_not_sound_is_named(tmp_path: Path, name: str, module: str | None, words: str) -> None:
    install(tmp_path, name, module)
    done = hemadata_with(tmp_path, "sources", "show", name)
    assert done.returncode == 2 and words in done.stderr and "smears" in done.stderr
    assert "Traceback" not in done.stderr


def test_source_of_another_package_may_not_claim_a_row(tmp_path: Path) -> None:
    package = install(tmp_path, "their-smears")
    text = (package / "their-smears.toml").read_text(encoding="utf-8")
    (package / "their-smears.toml").write_text("table = 2\nrow = 4\n" + text, encoding="utf-8")
    done = hemadata_with(tmp_path, "sources", "list", "--json")
    assert done.returncode == 2 and "belong to hemadata" in done.stderr
