"""One contract, over every registered source: phantoms in the published layout become a sound corpus."""

import json
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import pytest
from hemadata import ontology, sources
from hemadata.audit.contract import check
from hemadata.build import Built, Options, build
from hemadata.cli import main
from hemadata.errors import UsageError
from hemadata.labels import LabelMap
from hemadata.scaffold import TO_FILL
from hemadata.sources.facts import read_facts
from PIL import Image

N = 20  # enough that every declared defect finds its place
CATALOGUE = (
    *("name", "title", "table", "row", "task", "images_published", "classes_published", "train_published"),
    *("test_published", "license", "access", "annotation_origin"),
)
PAGES = Path(sources.__file__).parent

every_source = pytest.mark.parametrize("name", sources.names())


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Built]]:
    """All sources in one corpus, each from a phantom of N images."""
    out = tmp_path_factory.mktemp("contract") / "corpus"
    return out, {r.source: r for r in build(sources.names(), Path("nowhere"), out, Options(phantom=N))}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command line, in this process: exit code, standard output, standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hemadata", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


@every_source
def test_phantom_makes_exactly_so_many_images(name: str, built: tuple[Path, dict[str, Built]]) -> None:
    out, results = built
    assert results[name].error is None
    assert results[name].images == results[name].planned == N
    with hemadata.open(out) as corpus:
        rows = list(corpus.rows(results[name].task, source=name))
    assert len(rows) == len({row["sample_id"] for row in rows}) == N
    assert {row["source"] for row in rows} == {name}
    assert sum(len(row.get("objects") or ()) for row in rows) == results[name].objects


def test_check_finds_nothing_and_ids_are_unique(built: tuple[Path, dict[str, Built]]) -> None:
    out, results = built
    report = check(out, "full")
    assert report.findings == []
    assert (report.sources, report.rows) == (len(results), N * len(results))
    with hemadata.open(out) as corpus:
        ids = corpus.index["sample_id"].to_pylist()
    assert len(ids) == len(set(ids)) == N * len(results)


@every_source
def test_phantom_rows_say_that_they_are_phantoms(name: str, built: tuple[Path, dict[str, Built]]) -> None:
    out, results = built
    with hemadata.open(out) as corpus:
        assert corpus.manifests[name].source_version.startswith("phantom")
        versions = {row["source_version"] for row in corpus.rows(results[name].task, source=name)}
    assert all(version.startswith("phantom") for version in versions), versions


@every_source
def test_declared_defects_and_no_others_are_found(name: str, built: tuple[Path, dict[str, Built]]) -> None:
    result = built[1][name]
    assert Counter(entry.reason for entry in result.quarantine) == sources.get(name).facts.defects
    assert result.undeclared == {}
    assert all(entry.file and entry.source == name for entry in result.quarantine)


@every_source
def test_labels_are_nodes_and_keep_their_spelling(name: str, built: tuple[Path, dict[str, Built]]) -> None:
    out, results = built
    known, facts = ontology.load(), sources.get(name).facts
    labels, fine = LabelMap(facts.labels, name), LabelMap(facts.labels_fine, name)
    nodes = [labels.resolve(raw).node for raw in facts.labels] + [fine.resolve(raw).node for raw in facts.labels_fine]
    for node in [*nodes, *(facts.classes_annotated or ())]:
        assert node is None or known.node(node).name == node
    with hemadata.open(out) as corpus:
        for row in corpus.rows(results[name].task, source=name):
            for entry in [row, *(row.get("objects") or ())]:
                assert (entry["label"] is None) == (entry["label_raw"] is None)
                assert entry["label"] is None or labels.resolve(entry["label_raw"]).node == entry["label"]


@every_source
def test_phantom_drawn_twice_is_the_same_tree(name: str, tmp_path: Path) -> None:
    def draw(place: str, seed: int) -> dict[str, bytes]:
        sources.get(name).draw(tmp_path / place, 6, seed)
        return {p.relative_to(tmp_path / place).as_posix(): p.read_bytes() for p in _files(tmp_path / place)}

    first = draw("first", 0)
    assert first and first == draw("second", 0)
    assert first != draw("third", 1)


def test_one_image_is_enough_for_every_source(tmp_path: Path) -> None:
    results = build(sources.names(), Path("nowhere"), tmp_path / "corpus", Options(phantom=1))
    assert {r.source: (r.images, r.error, r.undeclared) for r in results} == {
        name: (1, None, {}) for name in sources.names()
    }
    assert check(tmp_path / "corpus").findings == []
    assert not (tmp_path / "corpus" / ".building").exists()


@every_source
def test_facts_page_is_named_after_the_source(name: str) -> None:
    facts = read_facts(PAGES / f"{name}.toml")
    assert facts.name == name
    assert TO_FILL not in (PAGES / f"{name}.toml").read_text(encoding="utf-8"), f"{name}.toml is not filled in yet"
    assert facts.citation and facts.homepage.startswith("http")
    lender = PAGES / f"{facts.raw_folders[0]}.toml"  # a set that borrows its pictures may leave it to the lender
    telling = [facts, *([read_facts(lender)] if lender.exists() else [])]
    assert any(each.download or each.instructions for each in telling), "a person must learn where the data come from"


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ('license = "MIT"', 'license = "Beerware"', "Beerware"),
        ("degenerate_box = 2", "crooked_box = 2", "crooked_box"),
        ("table = 2", "tabel = 2", "tabel"),
        ('task = "detection"', 'task = "segmentation"', "foreground"),
        ("[published]", "[published", "bccd.toml"),
    ],
)
def test_slip_in_a_facts_page_is_refused(before: str, after: str, word: str, tmp_path: Path) -> None:
    text = (PAGES / "bccd.toml").read_text(encoding="utf-8")
    assert before in text
    (tmp_path / "bccd.toml").write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(UsageError, match=word):
        read_facts(tmp_path / "bccd.toml")


def test_catalogue_as_json(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("sources", "list", "--all", "--json")
    rows = json.loads(out)
    assert code == 0 and {row["name"] for row in rows} == set(sources.names())
    for row in rows:
        assert list(row)[: len(CATALOGUE)] == list(CATALOGUE)
        page = tomllib.loads((PAGES / f"{row['name']}.toml").read_text(encoding="utf-8"))
        assert (row["license"], row["task"], row["access"]) == (page["license"], page["task"], page["access"])
        assert row["images_published"] == page["published"].get("images")


def test_build_as_json_ends_with_one_object(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    words = ("build", "--source", "bccd", "--phantom", "5", "--jobs", "1", "--json")
    code, out, _ = run(*words, "--out", str(tmp_path / "c"), "--raw", str(tmp_path / "raw"))
    result = json.loads(out.splitlines()[-1])
    assert code == 0 and list(result) == ["sources"] and list(result["sources"]) == ["bccd"]
    found = result["sources"]["bccd"]
    assert (found["images"], found["quarantined"]) == (5, 2)
    with hemadata.open(tmp_path / "c") as corpus:
        assert found["objects"] == sum(len(row["objects"]) for row in corpus.rows("detection"))
    assert found["shards"] == sum(1 for _ in (tmp_path / "c" / "data").rglob("*.parquet"))


def test_datasets_reads_every_config(
    built: tuple[Path, dict[str, Built]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    out, results = built
    configs = datasets.get_dataset_config_names(str(out))
    tasks = {result.task for result in results.values()}
    assert set(configs) == tasks | {f"{result.task}--{name}" for name, result in results.items()} | {"index"}
    for config in configs:
        whole = datasets.load_dataset(str(out), config, cache_dir=str(tmp_path / "cache"))
        due = results.values() if config == "index" else [r for r in results.values() if _is_in(r, config)]
        assert sum(whole.num_rows.values()) == N * len(due)
        streamed = datasets.load_dataset(str(out), config, streaming=True)
        assert set(streamed) == set(whole)
        for split, part in whole.items():
            for row, again in zip(part, streamed[split], strict=True):
                assert row["sample_id"] == again["sample_id"]
                _check_pictures(row, config)
                _check_pictures(again, config)


def _is_in(result: Built, config: str) -> bool:
    return config in (result.task, f"{result.task}--{result.source}")


def _check_pictures(row: dict[str, Any], config: str) -> None:
    assert ("image" in row) == (config != "index")
    for column in ("image", "mask"):
        if column in row:
            picture = row[column] if isinstance(row[column], Image.Image) else Image.open(BytesIO(row[column]["bytes"]))
            picture.load()
            assert picture.size == (row["width"], row["height"])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
