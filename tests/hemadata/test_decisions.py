"""`check` on what was decided, and the index read a piece at a time: by `check`, `export`, whoever asks for rows."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hemadata
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hemadata.arrow import write_tables
from hemadata.audit import decisions
from hemadata.audit.contract import check
from hemadata.audit.leakage import PAIRS_SCHEMA, pairs_path
from hemadata.build import Options, build
from hemadata.corpus import Corpus
from hemadata.errors import UsageError
from hemadata.export import export
from hemadata.index import by_file

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "corpus"
    assert not [r.error for r in build(["bccd", "raabin"], Path("nowhere"), out, Options(phantom=30)) if r.error]
    return out


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "corpus"))


def change(corpus: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """The same edit of a row in index and assignment, so that only the rule under test is broken."""
    for path in (*(corpus / "index").glob("*.parquet"), max((corpus / "assignment").glob("v*.parquet"))):
        table = pq.read_table(path)
        rows = table.to_pylist()
        for row in rows:
            edit(row)
        write_tables(path, [pa.Table.from_pylist(rows, table.schema)])


def one_of(corpus: Path, split: str) -> str:
    with hemadata.open(corpus) as opened:
        return next(opened.rows("classification", split, ["sample_id"]))["sample_id"]


@pytest.fixture(params=["hashes", "poor hashes"])
def hashing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With four different hashes for all names, each rule suspects nearly every row, and must tell the same."""
    if request.param == "poor hashes":
        good = decisions.hashes
        monkeypatch.setattr(decisions, "hashes", lambda column: np.where((h := good(column)) == 0, h, h % 4 + 1))


@pytest.mark.parametrize(("rule", "column"), [("group", "group_id"), ("duplicate", "dup_cluster")])
def test_check_fails_where_a_group_crosses_the_split(corpus: Path, rule: str, column: str, hashing: None) -> None:
    assert check(corpus, "none").findings == []
    names = one_of(corpus, "train"), one_of(corpus, "test")
    change(corpus, lambda row: row.update({column: "raabin/both"}) if row["sample_id"] in names else None)
    (finding,) = check(corpus, "none").findings
    assert finding.rule == rule and finding.where == "raabin/both"
    assert f"{names[0]} (train)" in finding.found and f"{names[1]} (test)" in finding.found


def test_excluded_rows_may_be_in_any_group(corpus: Path, hashing: None) -> None:
    names = one_of(corpus, "train"), one_of(corpus, "test")

    def edit(row: dict[str, Any]) -> None:
        row["dup_cluster"] = "raabin/both" if row["sample_id"] in names else row["dup_cluster"]
        row["split"] = "excluded" if row["sample_id"] == names[0] else row["split"]

    change(corpus, edit)
    assert {f.rule for f in check(corpus, "none").findings} == {"split"}  # it lies in train still


def test_check_fails_where_a_crop_crosses_the_split(corpus: Path, hashing: None) -> None:
    names = sorted((one_of(corpus, "train"), one_of(corpus, "test")))
    rows = [
        dict.fromkeys(PAIRS_SCHEMA.names) | {"sample_a": names[0], "sample_b": names[1], "kind": kind}
        for kind in ("crop", "near")
    ] + [dict.fromkeys(PAIRS_SCHEMA.names) | {"sample_a": "gone/1", "sample_b": names[1], "kind": "crop"}]
    pairs_path(corpus).parent.mkdir()
    write_tables(pairs_path(corpus), [pa.Table.from_pylist(rows, PAIRS_SCHEMA)])
    (finding,) = check(corpus, "none").findings
    assert finding.rule == "crop" and finding.where == " and ".join(names)


@pytest.mark.parametrize(
    ("rule", "edit"),
    [
        ("split", lambda row: row.update(split="test" if row["split"] != "test" else "train")),
        ("group", lambda row: row.update(group_id="raabin/none")),
        ("split", lambda row: row.update(sample_id="raabin/not-there")),
    ],
)
def test_check_names_the_row_that_is_assigned_elsewhere(
    corpus: Path, rule: str, edit: Callable[[dict[str, Any]], None], hashing: None
) -> None:
    path, wanted = max((corpus / "assignment").glob("v*.parquet")), one_of(corpus, "train")
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        if row["sample_id"] == wanted:
            edit(row)
    write_tables(path, [pa.Table.from_pylist(rows, table.schema)])
    assert {(f.rule, f.where) for f in check(corpus, "none").findings} >= {(rule, wanted)}
    assert {f.where for f in check(corpus, "none").findings} == {wanted}


def test_check_names_a_row_that_is_there_twice(corpus: Path, hashing: None) -> None:
    path, wanted = corpus / "index" / "raabin.parquet", one_of(corpus, "train")
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows.insert(1, next(row for row in rows if row["sample_id"] == wanted) | {"file": rows[0]["file"]})
    write_tables(path, [pa.Table.from_pylist(rows, table.schema)])
    assert ("unique", wanted) in {(f.rule, f.where) for f in check(corpus, "none").findings}


def test_nobody_holds_the_whole_index(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row groups of seven rows, so that shards lie in several; the whole index is not asked for."""
    for path in (corpus / "index").glob("*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table, path, row_group_size=7)
    with hemadata.open(corpus) as opened:
        wanted = sorted(opened.index["sample_id"].to_pylist())

    def whole(_: Corpus) -> pa.Table:
        raise AssertionError("the whole index was read")

    monkeypatch.setattr(Corpus, "index", property(whole))
    assert check(corpus, "header").findings == []
    export(corpus, "coco", tmp_path / "out", splits=["train"])
    with hemadata.open(corpus) as opened:
        rows = [*opened.rows("classification"), *opened.rows("detection", columns=["sample_id", "split", "file"])]
        assert sorted(row["sample_id"] for row in rows) == wanted
        assert opened.count("classification") == opened.count("detection") == 30


def test_rows_of_a_shard_come_together_however_they_are_cut() -> None:
    names = ["a"] * 5 + ["b"] + ["c"] * 4
    table = pa.table({"file": names, "n": list(range(10))})
    for size in (1, 2, 3, 4, 10):
        cut = [table.slice(start, size) for start in range(0, 10, size)]
        found = {name: rows["n"].to_pylist() for name, rows in by_file(cut)}
        assert found == {"a": [0, 1, 2, 3, 4], "b": [5], "c": [6, 7, 8, 9]}
    assert list(by_file([table.slice(0, 0)])) == []


def test_one_row_is_the_row_that_all_rows_hold(made: Path) -> None:
    with hemadata.open(made) as corpus:
        for task in ("detection", "classification"):
            for row in corpus.rows(task):
                assert corpus.row(row["sample_id"]) == row
        with pytest.raises(UsageError, match="has no row"):
            corpus.row("bccd/none")
