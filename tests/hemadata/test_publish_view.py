"""What a view holds and what it must not: licences, names, recipes, card, Croissant; and rows made from a recipe."""

import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlcroissant
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from hemadata import sources
from hemadata.arrow import to_table, write_tables
from hemadata.audit.contract import check
from hemadata.audit.leakage import PAIRS_SCHEMA, pairs_path, write_leakage
from hemadata.build import Options, build
from hemadata.build.assign import read_assignment, write_assignment
from hemadata.build.fingerprints import read_fingerprints
from hemadata.build.records import read_manifest, read_manifests
from hemadata.build.replace import replace_stale
from hemadata.cli import main
from hemadata.corpus import Corpus
from hemadata.errors import CorpusError, HemaError, HubError, InputMissingError, UsageError
from hemadata.hub.card import merged
from hemadata.hub.choice import candidates, choose, where
from hemadata.hub.hydrate import hydrate
from hemadata.hub.names import own_names
from hemadata.hub.push import Wish, push
from hemadata.hub.recipe import read_recipe
from hemadata.hub.remote import Remote
from hemadata.hub.view import stage
from hemadata.sources.facts import LICENSES

FREE = ["bccd", "wbcatt"]  # MIT, CC BY
# No known licence; conditions; no known licence and got under an agreement, so that not even a recipe may go.
UNKNOWN, CONDITIONS, AGREEMENT = "anerbc-anemic", "vivax", "parasite"
HIDDEN = [UNKNOWN, CONDITIONS, AGREEMENT]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Free and restricted sources; groups and clusters that join them are named after restricted rows."""
    out = tmp_path_factory.mktemp("publish") / "corpus"
    results = build([*FREE, *HIDDEN], Path("nowhere"), out, Options(phantom=12))
    assert [result.error for result in results if result.error] == []
    table = read_assignment(out)
    rows = {row["sample_id"]: row for row in table.to_pylist()}
    of = {name: [s for s, r in sorted(rows.items()) if r["source"] == name and r["split"] == "train"] for name in FREE}
    hidden = [s for s, r in sorted(rows.items()) if r["source"] == UNKNOWN and r["split"] == "train"]
    for first, others in ((hidden[0], of["bccd"][:2]), (hidden[1], of["wbcatt"][:1])):
        for sample_id in (first, *others):
            rows[sample_id] |= {"group_id": rows[first]["own_group"], "dup_cluster": first}
    pairs = [(hidden[0], of["bccd"][0]), (hidden[0], of["bccd"][1]), (of["bccd"][0], of["bccd"][1])]
    pairs.append((hidden[1], of["wbcatt"][0]))
    about = {"kind": "near", "turn": None, "score": 0.9, "confirmed": 0.9}
    pairs_path(out).parent.mkdir()
    write_tables(pairs_path(out), [to_table([{"sample_a": a, "sample_b": b} | about for a, b in pairs], PAIRS_SCHEMA)])
    assert write_assignment(out, to_table(list(rows.values()), table.schema))
    replace_stale(out)
    write_leakage(out)
    assert check(out).findings == []
    return out


def view_of(corpus: Path, folder: Path, kind: Any = "public", recipes: bool = False) -> Path:
    with Corpus(corpus) as opened:
        choice = choose(candidates(opened), kind, skip_unknown=True, recipes=recipes)
        stage(opened, choice, folder, "org/blood", "https://huggingface.co/datasets/org/blood")
    return folder


@pytest.fixture(scope="module")
def view(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return view_of(corpus, tmp_path_factory.mktemp("view") / "view")


@pytest.fixture(scope="module")
def with_recipes(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return view_of(corpus, tmp_path_factory.mktemp("recipes") / "view", recipes=True)


def test_every_licence_has_its_place() -> None:
    assert {name: where([name]) for name in LICENSES if where([name]) != "public"} == {
        "CC-BY-NC-4.0": "gated",
        "CC-BY-NC-SA-3.0": "gated",
        "CC-BY-NC-SA-4.0": "gated",
        "LicenseRef-research-only": "gated",
        "unknown": "nowhere",
    }
    assert where(["MIT", "CC-BY-NC-4.0"]) == "gated", "the strictest of several holds"
    assert where(["MIT", "unknown"]) == where(["All rights reserved"]) == where([]) == "nowhere"


def test_a_row_of_another_licence_takes_its_source_along(corpus: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    path = copy / "index" / "bccd.parquet"
    index = pq.read_table(path)
    licences = ["LicenseRef-research-only", *index["license"].to_pylist()[1:]]
    column = index.schema.get_field_index("license")
    write_tables(path, [index.set_column(column, index.schema.field(column), pa.array(licences))])
    with Corpus(copy) as opened:
        (bccd,) = candidates(opened, ["bccd"])
    assert bccd.where == "gated" and bccd.licence == "MIT, LicenseRef-research-only"


def test_unknown_licences_are_refused_with_their_list(corpus: Path) -> None:
    with Corpus(corpus) as opened:
        found = candidates(opened)
        for kind in ("public", "gated"):
            with pytest.raises(HemaError, match="Refused") as refused:
                choose(found, kind)  # type: ignore[arg-type]
            assert all(name in str(refused.value) for name in (UNKNOWN, AGREEMENT))
            assert CONDITIONS not in str(refused.value)
        with pytest.raises(HemaError, match="--gated"):
            choose(candidates(opened, [CONDITIONS]), "public")
        with pytest.raises(HemaError, match="Nothing to publish"):
            choose(candidates(opened, FREE), "gated")
        with pytest.raises(UsageError, match="no source bcd"):
            candidates(opened, ["bcd"])


def test_a_dry_run_tells_what_would_go_and_what_is_refused(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for option, code in (("--dry-run", 1), ("--skip-unknown", 0)):
        monkeypatch.setattr(sys, "argv", ["hemadata", "push", str(corpus), "--repo", "o/n", "--dry-run", option])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert ended.value.code == code
        assert all(name in said.out for name in (*FREE, *HIDDEN, "MIT", "unknown", "24 images"))
        assert ("Refused" in said.err and AGREEMENT in said.err) == bool(code)


def needles(corpus: Path, names: list[str]) -> Iterator[bytes]:
    """Whatever tells of a row: its id, checksums, thumbnail, picture."""
    with Corpus(corpus) as opened:
        index = opened.index.filter(pc.is_in(opened.index["source"], pa.array(names)))
        for name in ("sample_id", "sha256", "pixel_hash"):
            yield from (value.encode() for value in index[name].to_pylist() if value)
        yield from (opened.image(sample_id) for sample_id in index["sample_id"].to_pylist())
    for name in names:
        yield from read_fingerprints(corpus, name)["thumbnail"].to_pylist()


def every_byte(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file as it is, and Parquet also unpacked: all values of all columns, and the metadata."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        yield name, path.read_bytes()
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield name, b"\n".join(_flat(table.to_pylist())) + repr(table.schema.metadata).encode()


def _flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _flat(part)
    else:
        yield value if isinstance(value, bytes) else str(value).encode()


def told(folder: Path, wanted: list[bytes]) -> set[str]:
    """Files that hold one of the needles."""
    return {name for name, data in every_byte(folder) if any(needle in data for needle in wanted)}


def test_the_public_view_tells_nothing_of_restricted_rows(corpus: Path, view: Path) -> None:
    secret = list(needles(corpus, HIDDEN))
    assert len(secret) == 3 * 12 * 5
    assert told(view, secret) == set()
    # The search finds what there is: the corpus tells of them in every kind of file.
    control = told(corpus, secret)
    assert {name.partition("/")[0] for name in control} == {
        *("data", "index", "assignment", "fingerprints", "duplicates", "reports")
    }
    assert {f"index/{name}.parquet" for name in HIDDEN} | {"index/bccd.parquet"} <= control


def test_recipes_tell_ids_and_checksums_alone_and_only_where_allowed(corpus: Path, with_recipes: Path) -> None:
    names = sorted(path.name for path in (with_recipes / "recipes").iterdir())
    assert names == [UNKNOWN, CONDITIONS]
    assert told(with_recipes, list(needles(corpus, [AGREEMENT]))) == set()
    assert {name.partition("/")[0] for name in told(with_recipes, list(needles(corpus, HIDDEN)))} == {"recipes"}
    with Corpus(corpus) as opened:
        pictures = [opened.image(s) for s in opened.index["sample_id"].to_pylist()]
        hashes = [value.encode() for value in opened.index["pixel_hash"].to_pylist()]
    thumbnails = [t for name in HIDDEN for t in read_fingerprints(corpus, name)["thumbnail"].to_pylist()]
    assert told(with_recipes / "recipes", [*pictures, *hashes, *thumbnails]) == set()
    for name in names:
        assert (with_recipes / "recipes" / name / "source.toml").read_bytes() == sources.get(name).toml
        _, rows = read_recipe(with_recipes, name)
        assert rows.column_names[:3] == ["sample_id", "sha256", "split"]
        assert rows.num_rows == 12 and rows["sha256"].null_count == 0


def test_the_gated_view_holds_what_has_conditions_alone(corpus: Path, tmp_path: Path) -> None:
    folder = view_of(corpus, tmp_path / "view", "gated")
    assert [manifest.source for manifest in read_manifests(folder)] == [CONDITIONS]
    assert told(folder, list(needles(corpus, [*FREE, UNKNOWN, AGREEMENT]))) == set()
    assert check(folder).findings == []


def test_a_view_is_a_corpus_that_shares_its_shards(corpus: Path, view: Path) -> None:
    assert check(view).findings == []
    with Corpus(view) as there, Corpus(corpus) as here:
        assert there.sources == tuple(FREE)
        for name in FREE:
            for shard in there.manifests[name].shards:
                assert (view / shard.path).samefile(corpus / shard.path)
            mine, his = (
                c.index.filter(pc.equal(c.index["source"], name)).drop_columns(["group_id", "dup_cluster"])
                for c in (there, here)
            )
            assert mine.equals(his)
        stats = json.loads((view / "reports" / "stats.json").read_text())
        assert stats["images"] == 24 and stats["leakage"]["pairs"] == 1, "of four pairs one has both ends here"
        assert there.corpus_id != here.corpus_id and there.corpus_id in (view / "README.md").read_text()
    assert not [path for path in view.rglob(".*") if path.is_file()]
    record = json.loads((view / "hemadata.json").read_text())
    assert list(record["sources"]) == FREE and list(record["left_out"]) == sorted(HIDDEN)
    assert replace_stale(view) == {}, "the manifests know the names that the assignment has"


def test_names_are_made_from_the_rows_that_are_there() -> None:
    from hemadata.build.assign import ARROW

    def row(sample_id: str, own: str, group: str, cluster: str | None) -> dict[str, Any]:
        about = {"split": "train", "split_basis": "hash", "source": sample_id.partition("/")[0]}
        return about | {"sample_id": sample_id, "own_group": own, "group_id": group, "dup_cluster": cluster}

    table = to_table(
        [
            row("a/1", "a/1", "a/1", "a/1"),
            row("b/1", "b/g", "a/1", "a/1"),
            row("b/2", "b/f", "a/1", "a/1"),
            row("b/3", "b/3", "b/3", "a/2"),
            row("b/4", "b/4", "b/4", None),
        ],
        ARROW,
    )
    own = own_names(table, ["b"])
    assert own["group_id"].to_pylist() == ["b/f", "b/f", "b/3", "b/4"]
    assert own["dup_cluster"].to_pylist() == ["b/1", "b/1", None, None], "a cluster of one row tells of a hidden one"
    assert own_names(table, ["a", "b"]).equals(
        table.set_column(5, table.schema.field(5), own_names(table, ["a", "b"])[5])
    )


def test_the_card_names_configs_licences_and_citations(view: Path, with_recipes: Path) -> None:
    text = (view / "README.md").read_text()
    front = yaml.safe_load(text.split("---")[1])
    configs = {config["config_name"]: config["data_files"] for config in front["configs"]}
    assert set(configs) == {"classification", "detection", "classification--wbcatt", "detection--bccd", "index"}
    assert configs["detection"][0] == {"split": "train", "path": "data/detection/*/train-*.parquet"}
    for name in FREE:
        facts = sources.get(name).facts
        assert facts.license in text and facts.citation in text and facts.homepage in text
    assert all(name in text for name in HIDDEN), "what is left out is told"
    assert (
        "hydrate" not in text and f"hemadata hydrate --source {CONDITIONS}" in (with_recipes / "README.md").read_text()
    )
    assert 'load_dataset("org/blood"' in text


NEW = """---
pretty_name: hema corpus
tags: [a]
configs:
- config_name: detection
  default: true
---
# hema corpus

<!-- hemadata:begin corpus -->
new
<!-- hemadata:end corpus -->

<!-- hemadata:begin sources -->
table
<!-- hemadata:end sources -->
"""


def test_what_people_wrote_into_the_card_stays() -> None:
    old = """---
license: cc-by-4.0
tags: [mine]
configs:
- config_name: extra
  default: true
  data_files: extra.csv
- config_name: detection--gone
---
# My title

Before.
<!-- hemadata:begin left-out -->
gone
<!-- hemadata:end left-out -->
<!-- hemadata:begin corpus -->
old
<!-- hemadata:end corpus -->
Between.
"""
    both = merged(old.replace("\n", "\r\n"), NEW)
    front = yaml.safe_load(both.split("---")[1])
    assert front["license"] == "cc-by-4.0" and front["pretty_name"] == "hema corpus"
    assert front["tags"] == ["mine", "a"]
    assert [c["config_name"] for c in front["configs"]] == ["detection", "extra"]
    assert "default" not in front["configs"][0], "two defaults would load none"
    assert "# My title\n\nBefore.\n" in both and "new" in both and "Between." in both
    assert both.count("hemadata:begin") == 2 and "gone" not in both and "old" not in both
    assert merged(both, NEW) == both, "pushing twice changes nothing"


def test_a_card_without_front_matter_and_no_card_at_all() -> None:
    assert merged("Only words.\n", NEW).endswith("<!-- hemadata:end sources -->\n")
    assert "Only words.\n\n<!-- hemadata:begin corpus -->" in merged("Only words.\n", NEW)
    fresh = merged("", NEW)
    assert merged(fresh, NEW) == fresh and "# hema corpus" in fresh


@pytest.mark.parametrize(
    ("old", "words"),
    [
        ("<!-- hemadata:begin corpus -->\nno end\n", "without its partner"),
        ("<!-- hemadata:end corpus -->\n", "without its partner"),
        ("<!-- hemadata:begin corpus -->\n<!-- hemadata:end sources -->\n", "without its partner"),
        ("---\n{: no yaml\n---\n", "no YAML"),
        ("---\n- a list\n---\n", "not a list of keys"),
    ],
)
def test_a_card_that_cannot_be_merged_is_told(old: str, words: str) -> None:
    with pytest.raises(HubError, match=words):
        merged(old, NEW)


def test_croissant_is_valid_and_reads_the_rows(view: Path) -> None:
    dataset = mlcroissant.Dataset(jsonld=str(view / "croissant.json"), mapping={"repo": str(view)})
    assert not dataset.metadata.ctx.issues.errors
    with Corpus(view) as corpus:
        for task in ("detection", "classification"):
            wanted = {row["sample_id"]: row for row in corpus.rows(task)}
            found = {record[f"{task}/sample_id"].decode(): record for record in dataset.records(task)}
            assert found.keys() == wanted.keys()
            for sample_id, row in wanted.items():
                for name in ("split", "sha256", "license", "source"):
                    assert found[sample_id][f"{task}/{name}"].decode() == row[name]
                assert found[sample_id][f"{task}/width"] == row["width"]
                assert found[sample_id][f"{task}/image"].size == (row["width"], row["height"])
    boxes = [[list(map(float, o["bbox"])) for o in row["objects"]] for row in Corpus(view).rows("detection")]
    read = [[list(o["detection/objects/bbox"]) for o in r["detection/objects"]] for r in dataset.records("detection")]
    assert sorted(boxes) == sorted(read)


def test_without_hard_links_shards_are_copied_and_that_is_told(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def across(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", across)
    lines = list[str]()
    with Corpus(corpus) as opened:
        stage(opened, choose(candidates(opened, ["bccd"]), "public"), tmp_path / "v", "o/n", "u", lines.append)
    assert len(lines) == 1 and "copied" in lines[0]
    assert check(tmp_path / "v").findings == []


def test_a_full_disk_leaves_the_corpus_as_it_was(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path for path in corpus.rglob("*") if ".lock" not in path.name)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "view")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(Remote, "refuse_readers", lambda self: None)
    with pytest.raises(OSError, match="No space left"):
        push(corpus, Wish("org/blood", skip_unknown=True, check="none", endpoint="http://127.0.0.1:9", token="t"))
    assert sorted(path for path in corpus.rglob("*") if ".lock" not in path.name) == before


# Recipes made into rows again


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw trees as a person has downloaded them."""
    root = tmp_path_factory.mktemp("raw")
    for name in ("bccd", UNKNOWN, CONDITIONS):
        sources.get(name).draw(root, 12, 0)
    return root


@pytest.fixture(scope="module")
def published(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus made from them, and its public view with recipes."""
    out = tmp_path_factory.mktemp("published")
    results = build(["bccd", UNKNOWN, CONDITIONS], raw, out / "corpus")
    assert [result.error for result in results if result.error] == []
    return out / "corpus", view_of(out / "corpus", out / "view", recipes=True)


@pytest.fixture
def downloaded(published: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(published[1], tmp_path / "downloaded"))


def test_hydrate_gives_the_same_rows(published: tuple[Path, Path], downloaded: Path, raw: Path) -> None:
    results = hydrate(downloaded, [raw])
    assert [(r.source, r.images, r.faults, r.is_new) for r in results] == [
        (name, 12, [], True) for name in sorted([UNKNOWN, CONDITIONS])
    ]
    corpus = published[0]
    for name in (UNKNOWN, CONDITIONS):
        here, there = read_manifest(downloaded, name), read_manifest(corpus, name)
        assert here and there and here.shards == there.shards
        for shard in here.shards:
            assert (downloaded / shard.path).read_bytes() == (corpus / shard.path).read_bytes()
        index = [pq.read_table(root / "index" / f"{name}.parquet") for root in (downloaded, corpus)]
        assert index[0].equals(index[1])
    assert check(downloaded).findings == []
    assert [r.is_new for r in hydrate(downloaded, [raw])] == [False, False]
    with Corpus(downloaded) as mine, Corpus(corpus) as whole:
        assert mine.corpus_id == whole.corpus_id


def test_hydrate_of_a_drawn_corpus_draws_it_again(with_recipes: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(with_recipes, tmp_path / "corpus"))
    assert [(r.images, r.faults) for r in hydrate(copy, [Path("nowhere")])] == [(12, []), (12, [])]
    assert check(copy).findings == []


@pytest.mark.parametrize("damage", ["changed", "missing", "unknown"])
def test_another_download_is_told_picture_by_picture_and_nothing_is_written(
    published: tuple[Path, Path], downloaded: Path, raw: Path, tmp_path: Path, damage: str
) -> None:
    other = Path(shutil.copytree(raw, tmp_path / "raw"))
    before = {p: p.read_bytes() for p in downloaded.rglob("*") if p.is_file() and ".lock" not in p.name}
    _, rows = read_recipe(downloaded, CONDITIONS)
    with Corpus(published[0]) as corpus:
        index = corpus.index.filter(pc.equal(corpus.index["source"], CONDITIONS)).to_pylist()
    file = next((other / CONDITIONS).rglob(Path(index[0]["source_file"]).name))
    if damage == "changed":
        file.write_bytes(file.read_bytes() + b"\0")
    elif damage == "missing":
        file.unlink()
    else:
        table = rows.filter(pc.not_equal(rows["sample_id"], index[0]["sample_id"]))
        write_tables(downloaded / "recipes" / CONDITIONS / "rows.parquet", [table])
        before = {p: p.read_bytes() for p in before}
    (result,) = hydrate(downloaded, [other], [CONDITIONS])
    assert result.images == 0 and len(result.faults) == 1
    assert file.name in result.faults[0] or index[0]["sample_id"] in result.faults[0]
    assert {p: p.read_bytes() for p in downloaded.rglob("*") if p.is_file() and ".lock" not in p.name} == before


def test_hydrate_without_raw_data_or_recipes(downloaded: Path, raw: Path, tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="sources show"):
        hydrate(downloaded, [tmp_path])
    with pytest.raises(UsageError, match="no recipe of wbcatt"):
        hydrate(downloaded, [raw], ["wbcatt"])
    lines = list[str]()
    some = tmp_path / "some"
    some.mkdir()
    (some / CONDITIONS).symlink_to(raw / CONDITIONS)
    assert [r.source for r in hydrate(downloaded, [some], tell=lines.append)] == [CONDITIONS]
    assert any(UNKNOWN in line for line in lines), "a recipe that was not filled is told"
    shutil.rmtree(downloaded / "recipes")
    with pytest.raises(InputMissingError, match="holds no recipe"):
        hydrate(downloaded, [raw])


@pytest.mark.parametrize(
    "change",
    [
        {"source": "bccd"},
        {"schema": "0"},
        {"digests": []},
        {"options": {"check": "rm -rf"}},
        {"more": 1},
        "no json",
        "rows",
    ],
)
def test_a_recipe_is_not_believed(downloaded: Path, raw: Path, change: Any) -> None:
    place = downloaded / "recipes" / CONDITIONS
    if change == "rows":
        _, rows = read_recipe(downloaded, CONDITIONS)
        foreign = pa.array(["bccd/1", *rows["sample_id"].to_pylist()[1:]])
        write_tables(place / "rows.parquet", [rows.set_column(0, rows.schema.field(0), foreign)])
    elif isinstance(change, str):
        (place / "recipe.json").write_text(change)
    else:
        (place / "recipe.json").write_text(json.dumps(json.loads((place / "recipe.json").read_text()) | change))
    with pytest.raises(CorpusError, match=CONDITIONS):
        hydrate(downloaded, [raw], [CONDITIONS])
    assert read_manifest(downloaded, CONDITIONS) is None


def test_exit_codes_of_hydrate(
    downloaded: Path, raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str | Path) -> tuple[object, str, str]:
        monkeypatch.setattr(sys, "argv", ["hemadata", "hydrate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    some = ["--source", CONDITIONS, "--jobs", "1"]
    assert run(tmp_path / "nothing")[0] == 3
    assert run(downloaded, "--raw", tmp_path, *some)[0] == 3
    assert run(downloaded, "--source", "bccd")[0] == 2
    other = Path(shutil.copytree(raw, tmp_path / "raw"))
    picture = max((path for path in (other / CONDITIONS).rglob("*") if path.is_file()), key=lambda p: p.stat().st_size)
    kept = picture.read_bytes()
    picture.write_bytes(kept[:-1] + b"x")
    code, out, err = run(downloaded, "--raw", other, *some)
    assert code == 1 and picture.name in err and "nothing was written" in err and "Traceback" not in err
    picture.write_bytes(kept)
    code, out, err = run(downloaded, "--raw", other, *some, "--json")
    assert code == 0
    assert json.loads(out)["sources"] == [{"source": CONDITIONS, "images": 12, "faults": [], "is_new": True}]
