"""The one door: rows, images by pread, assignment versions, views, prompts, and the reference of columns."""

import pickle
import shutil
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import hemadata
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hemadata import prompts, schema
from hemadata.build.assign import ARROW
from hemadata.corpus import Corpus
from hemadata.errors import InputMissingError, UsageError
from PIL import Image

ROOT = Path(__file__).parents[2]
TASK_OF = {
    "bccd": "detection",
    "raabin": "classification",
    "wbc-image-dataset": "segmentation",
    "wbcatt": "classification",
    "wbcatt-vqa": "vqa",
}


@pytest.fixture(scope="module")
def corpus(phantom_corpus: Path) -> Corpus:
    return hemadata.open(phantom_corpus)


def shard_rows(corpus: Path, task: str, source: str = "*", split: str = "*") -> list[dict[str, Any]]:
    """Rows by pyarrow alone, file by file."""
    paths = sorted(corpus.glob(f"data/{task}/{source}/{split}-*.parquet"))
    rows = []
    for path in paths:
        rows += [r | {"split": path.name.partition("-")[0]} for r in pq.ParquetFile(path).read().to_pylist()]
    return rows


def by_id(rows: Any) -> dict[str, dict[str, Any]]:
    listed = list(rows)
    result = {row["sample_id"]: row for row in listed}
    assert len(result) == len(listed)
    return result


def test_sources_and_manifests(corpus: Corpus) -> None:
    assert corpus.sources == tuple(sorted(TASK_OF))
    assert {name: manifest.task for name, manifest in corpus.manifests.items()} == TASK_OF
    assert all(manifest.images == 24 for manifest in corpus.manifests.values())


@pytest.mark.parametrize("task", schema.TASKS)
def test_rows_are_those_of_the_shards(corpus: Corpus, phantom_corpus: Path, task: str) -> None:
    rows = list(corpus.rows(task))
    assert by_id(rows) == by_id(shard_rows(phantom_corpus, task))
    assert corpus.count(task) == len(rows) == 24 * list(TASK_OF.values()).count(task)
    names = [column.name for column in schema.columns(task)]
    assert all(list(row) == [*names, "split"] for row in rows)


def test_rows_of_a_split_and_of_a_source(corpus: Corpus, phantom_corpus: Path) -> None:
    total = 0
    for split in schema.SPLITS:
        rows = by_id(corpus.rows("classification", split))
        assert rows == by_id(shard_rows(phantom_corpus, "classification", split=split))
        assert corpus.count("classification", split) == len(rows)
        total += len(rows)
    assert total == 48
    assert set(by_id(corpus.rows("classification", source="raabin"))) == {
        row["sample_id"] for row in shard_rows(phantom_corpus, "classification", "raabin")
    }
    assert corpus.count("classification", "train", "wbcatt") == len(
        shard_rows(phantom_corpus, "classification", "wbcatt", "train")
    )
    assert list(corpus.rows("detection", source="raabin")) == []


def test_rows_have_the_columns_asked_for_in_that_order(corpus: Corpus) -> None:
    wanted = ["label", "file", "sample_id", "split", "group_id", "width"]
    rows = list(corpus.rows("classification", "train", wanted, "raabin"))
    assert rows and all(list(row) == wanted for row in rows)
    index = by_id(corpus.index.to_pylist())
    assert all(row == {name: index[row["sample_id"]][name] for name in wanted} for row in rows)
    assert [set(row) for row in corpus.rows("vqa", columns=["split"])] == [{"split"}] * 24
    assert list(corpus.rows("vqa", columns=[])) == [{}] * 24


def test_rows_come_in_the_same_order_every_time(corpus: Corpus, phantom_corpus: Path) -> None:
    once = [row["sample_id"] for row in corpus.rows("classification", columns=["sample_id"])]
    again = [row["sample_id"] for row in hemadata.open(phantom_corpus).rows("classification", columns=["sample_id"])]
    assert once == again


def test_image_by_pread_is_the_image_of_the_row(corpus: Corpus) -> None:
    for task in set(TASK_OF.values()):
        for row in corpus.rows(task):
            data = corpus.image(row["sample_id"])
            assert data == row["image"]["bytes"]
            assert Image.open(BytesIO(data)).size == (row["width"], row["height"])
            mask = row.get("mask")
            assert corpus.mask(row["sample_id"]) == (mask and mask["bytes"])


def test_index_holds_every_scalar_of_the_rows(corpus: Corpus) -> None:
    index = by_id(corpus.index.to_pylist())
    for task in set(TASK_OF.values()):
        scalars = [column.name for column in schema.columns(task) if column.is_scalar]
        for row in corpus.rows(task):
            entry = index.pop(row["sample_id"])
            assert {name: entry[name] for name in scalars} == {name: row[name] for name in scalars}
            assert entry["task"] == task
            assert entry["object_count"] == (len(row["objects"]) if row.get("objects") is not None else None)
    assert not index


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: list(c.rows("detecion")), 'task is called "detecion". There are classification, detection'),
        (lambda c: list(c.rows("vqa", "val")), 'split is called "val". There are train, validation, test, excluded'),
        (lambda c: list(c.rows("vqa", columns=["lable"])), 'column of vqa is called "lable". There are .*label,'),
        (lambda c: list(c.rows("vqa", columns=["mask"])), 'column of vqa is called "mask"'),
        (lambda c: list(c.rows("vqa", source="bcd")), 'source of .* is called "bcd". There are bccd, raabin'),
        (lambda c: c.count("vqa", "val"), 'split is called "val"'),
        (lambda c: c.image("bccd/none"), 'no row "bccd/none"'),
        (lambda c: c.mask("none"), 'no row "none"'),
        (lambda c: c.view("wbc6"), "wbc6.*wbc5"),
        (lambda c: c.prompt({"source": "bccd", "sample_id": "x"}, "9"), 'template is called "9". There are 1, 2, 3'),
    ],
)
def test_unknown_names_are_told_with_the_known_ones(corpus: Corpus, call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call(corpus)


def test_unknown_task_of_a_count_is_told(corpus: Corpus) -> None:
    with pytest.raises(UsageError, match="detecion"):
        corpus.count("detecion")


def test_no_corpus_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"no corpus in .*hemadata build"):
        hemadata.open(tmp_path)


def test_another_assignment_version_decides_anew(phantom_corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "corpus"
    shutil.copytree(phantom_corpus, copy)
    last = max((copy / "assignment").glob("v*.parquet"))
    older = last.stem
    rows = pq.read_table(last).to_pylist()
    dropped = rows.pop(next(n for n, row in enumerate(rows) if row["source"] == "raabin"))["sample_id"]
    turned = {"train": "test", "test": "train"}
    for row in rows:
        row["split"] = turned.get(row["split"], row["split"])
    newer = f"v{int(older[1:]) + 1:04d}"
    pq.write_table(pa.Table.from_pylist(rows, ARROW), copy / "assignment" / f"{newer}.parquet")
    now, then = hemadata.open(copy), hemadata.open(copy, older)
    assert (now.version, then.version) == (newer, older)
    assert by_id(then.rows("classification")).keys() == by_id(now.rows("classification")).keys()
    assert by_id(then.rows("vqa", "train", ["sample_id"])) == by_id(
        hemadata.open(phantom_corpus).rows("vqa", "train", ["sample_id"])
    )
    with pytest.raises(InputMissingError, match=f"no assignment v9; it has .*{older}, {newer}"):
        hemadata.open(copy, "v9")
    # The version in force is what the index says; any other is looked up, and may lack rows.
    shutil.copy(copy / "assignment" / f"{newer}.parquet", copy / "assignment" / "v0000.parquet")
    (copy / "assignment" / f"{newer}.parquet").unlink()
    other = hemadata.open(copy, "v0000")
    splits = Counter(row["split"] for row in other.rows("classification", columns=["split"]))
    usual = Counter(row["split"] for row in hemadata.open(copy).rows("classification", columns=["split"]))
    assert splits["train"] + splits["test"] + splits[None] == usual["train"] + usual["test"] and splits[None] == 1
    (lost,) = [row for row in other.rows("classification", columns=["sample_id", "split"]) if row["split"] is None]
    assert lost["sample_id"] == dropped
    assert other.count("vqa", "train") == hemadata.open(copy).count("vqa", "test")
    assert other.image(dropped) == hemadata.open(copy).image(dropped)


def test_corpus_travels_to_another_process(corpus: Corpus) -> None:
    sample = next(corpus.rows("detection", columns=["sample_id"]))["sample_id"]
    data = corpus.image(sample)
    copy = pickle.loads(pickle.dumps(corpus))
    assert len(pickle.dumps(corpus)) < 2000, "a worker must not be sent the index"
    assert copy.image(sample) == data
    assert (copy.corpus_id, copy.version) == (corpus.corpus_id, corpus.version)
    copy.close()
    assert copy.image(sample) == data, "a closed corpus opens its shards again when asked"
    copy.close()


def test_views_number_the_labels(corpus: Corpus) -> None:
    view = corpus.view("wbc5")
    for row in corpus.rows("classification", columns=["source", "label_raw", "label"]):
        number = view.id(row["source"], row["label_raw"], row["label"])
        assert number is not None and view.classes[number].lower().startswith(row["label"][:4])


def test_prompts_of_rows(corpus: Corpus) -> None:
    row = next(corpus.rows("detection"))
    assert corpus.prompt(row) == prompts.render(prompts.get("1"), "detection", row)
    row = next(corpus.rows("vqa", columns=["sample_id", "source", "disease", "qa"]))
    assert corpus.prompt(row, seed=3) in {f"Q: {pair['question']}" for pair in row["qa"]}


def test_corpus_id_is_of_the_content(corpus: Corpus, phantom_corpus: Path, tmp_path: Path) -> None:
    copy = tmp_path / "moved"
    shutil.copytree(phantom_corpus, copy)
    assert hemadata.open(copy).corpus_id == corpus.corpus_id
    assert corpus.corpus_id in (phantom_corpus / "README.md").read_text()
    manifest = copy / "manifest" / "bccd.json"
    digest = corpus.manifests["bccd"].shards[0].rows_digest
    manifest.write_text(manifest.read_text().replace(digest, digest[::-1]))
    assert hemadata.open(copy).corpus_id != corpus.corpus_id


# The reference of columns


def test_column_reference_is_rendered_from_the_schema() -> None:
    assert (ROOT / "docs" / "corpus.md").read_text() == schema.render(), "hemadata schema > docs/corpus.md"


def test_column_reference_names_every_column_once() -> None:
    text = schema.render()
    for columns in (schema.COLUMNS, schema.INDEX_ONLY):
        for column in columns:
            assert f"| `{column.name}` |" in text
    for column in (*schema.COLUMNS, *schema.INDEX_ONLY):
        assert column.meaning and "|" not in column.meaning, f"{column.name} breaks the table"
    assert len({column.name for column in schema.COLUMNS}) == len(schema.COLUMNS)


@pytest.mark.parametrize("task", schema.TASKS)
def test_shards_have_the_columns_of_their_task(phantom_corpus: Path, task: str) -> None:
    names = [column.name for column in schema.columns(task)]
    for path in phantom_corpus.glob(f"data/{task}/*/*.parquet"):
        assert pq.read_schema(path).names == names
