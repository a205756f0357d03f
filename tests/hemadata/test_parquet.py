"""Shards: where image bytes lie, how columns are stored, and that `datasets` reads them as the contract says."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hemadata import schema
from hemadata.arrow import to_table
from hemadata.build.offsets import byte_ranges
from hemadata.build.parquet import IMAGE_LEAVES, open_writer
from hemadata.errors import CorpusError
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

Blob = bytes | None | str  # "null": the whole struct is null
SEGMENTATION = schema.arrow_schema("segmentation")


def row(task: str, **values: Any) -> dict[str, Any]:
    return dict.fromkeys(schema.arrow_schema(task).names) | values


def struct(blob: Blob) -> dict[str, Any] | None:
    return None if blob == "null" else {"bytes": blob, "path": "a.png"}


def written(path: Path, groups: list[list[tuple[Blob, Blob]]]) -> Path:
    with open_writer(path, SEGMENTATION) as writer:
        for group in groups:
            rows = [row("segmentation", image=struct(image), mask=struct(mask)) for image, mask in group]
            writer.write_table(to_table(rows, SEGMENTATION), row_group_size=max(len(rows), 1))
    return path


def check_ranges(path: Path, groups: list[list[tuple[Blob, Blob]]]) -> None:
    data = path.read_bytes()
    for side, leaf in enumerate(IMAGE_LEAVES):
        found = [None if at is None else data[at[0] : at[0] + at[1]] for at in byte_ranges(path, leaf)]
        wanted = [None if pair[side] == "null" else pair[side] for group in groups for pair in group]
        assert found == wanted, leaf


blobs = st.one_of(st.none(), st.just("null"), st.binary(max_size=40), st.integers(0, 3000).map(lambda n: b"\xff" * n))


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.lists(st.tuples(blobs, blobs), min_size=1, max_size=30), min_size=1, max_size=4))
def test_byte_ranges_are_where_the_bytes_lie(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[tuple[Blob, Blob]]]
) -> None:
    check_ranges(written(tmp_path_factory.getbasetemp() / "ranges.parquet", groups), groups)


def test_byte_ranges_of_large_and_of_many_values(tmp_path: Path) -> None:
    large = [(bytes([n]) * (3 << 20), b"m" * n if n % 2 else None) for n in range(4)]
    many = [(b"%d" % n * (n % 50), "null" if n % 7 == 0 else b"x" * (n % 300)) for n in range(5000)]
    steady = [(b"same length", b"")] * 3000
    groups: list[list[tuple[Blob, Blob]]] = [large, many, steady, [("null", "null")] * 2000]  # type: ignore[list-item]
    path = written(tmp_path / "many.parquet", groups)
    assert pq.read_metadata(path).num_row_groups == 4
    check_ranges(path, groups)


def test_byte_ranges_of_a_file_without_rows(tmp_path: Path) -> None:
    assert byte_ranges(written(tmp_path / "empty.parquet", []), "image.bytes") == []


@pytest.mark.parametrize("options", [{"compression": "ZSTD"}, {"compression": "NONE", "use_dictionary": True}])
def test_byte_ranges_refuse_what_pread_cannot_read(tmp_path: Path, options: dict[str, Any]) -> None:
    table = to_table([row("vqa", image=struct(b"abc"))] * 3, schema.arrow_schema("vqa"))
    pq.write_table(table, tmp_path / "other.parquet", **options)
    with pytest.raises(CorpusError, match=r"other\.parquet: image\.bytes is compressed or dictionary-encoded"):
        byte_ranges(tmp_path / "other.parquet", "image.bytes")


@pytest.mark.parametrize("task", schema.TASKS)
def test_leaves_are_stored_as_planned(tmp_path: Path, task: str) -> None:
    kind = schema.arrow_schema(task)
    with open_writer(tmp_path / "a.parquet", kind) as writer:
        writer.write_table(
            to_table([row(task, sample_id=str(n), image=struct(b"i"), label="x") for n in range(9)], kind)
        )
    group = pq.read_metadata(tmp_path / "a.parquet").row_group(0)
    columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
    images = {f"{column.name}.bytes" for column in schema.columns(task) if column.is_image}
    assert images <= set(columns)
    for leaf, column in columns.items():
        if leaf in images:
            assert column.compression == "UNCOMPRESSED" and not column.has_dictionary_page and not column.is_stats_set
            assert set(column.encodings) <= {"PLAIN", "RLE"}
        else:
            assert column.compression == "ZSTD", leaf
            assert column.is_stats_set or column.num_values == 0, leaf
    assert columns["label"].has_dictionary_page
    assert not columns["sample_id"].has_dictionary_page
    assert columns["sample_id"].has_offset_index and columns["sample_id"].has_column_index


def test_equal_rows_give_equal_files(tmp_path: Path) -> None:
    groups: list[list[tuple[Blob, Blob]]] = [[(b"a", None), ("null", b"")], [(b"c" * 9000, b"d")]]
    assert written(tmp_path / "a", groups).read_bytes() == written(tmp_path / "b", groups).read_bytes()


# What `datasets` makes of them


def features(task: str) -> datasets.Features:
    """The features one would write by hand: images, and each Arrow type as it is."""
    plain = pa.schema([f for f in schema.arrow_schema(task) if f.name not in ("image", "mask")])
    wanted = dict(datasets.Features.from_arrow_schema(plain))
    wanted |= {c.name: datasets.Image() for c in schema.columns(task) if c.is_image}
    return datasets.Features({name: wanted[name] for name in schema.arrow_schema(task).names})


@pytest.mark.parametrize("task", schema.TASKS)
def test_features_of_the_schema_are_those_of_datasets(task: str) -> None:
    kind = schema.arrow_schema(task)
    assert datasets.Features.from_arrow_schema(kind) == features(task)
    assert features(task).arrow_schema.equals(kind), "datasets would write other Arrow types"
    theirs = json.loads(features(task).arrow_schema.metadata[b"huggingface"])["info"]["features"]
    assert json.loads(kind.metadata[b"huggingface"])["info"]["features"] == theirs


@pytest.mark.parametrize("task", schema.TASKS)
def test_shards_load_through_datasets(task: str, tmp_path: Path) -> None:
    out = BytesIO()
    Image.new("P", (5, 4)).save(out, "PNG")
    images = {c.name: {"bytes": out.getvalue(), "path": "a.png"} for c in schema.columns(task) if c.is_image}
    kind, group = schema.arrow_schema(task), [row(task, sample_id="a/1", flags=[], width=5, **images), row(task)]
    with open_writer(tmp_path / "train-00.parquet", kind) as writer:
        writer.write_table(to_table(group, kind))
    loaded = datasets.Dataset.from_parquet(str(tmp_path / "train-00.parquet"), cache_dir=str(tmp_path / "cache"))
    assert loaded.features == features(task)
    first, second = loaded
    assert (first["sample_id"], first["width"], first["flags"]) == ("a/1", 5, [])
    assert all(first[name].size == (5, 4) for name in images)
    assert set(second.values()) == {None}
