"""Rows -> Arrow like `from_pylist`; the digest tells every change of content and nothing else."""

from array import array
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hemadata import schema
from hemadata.arrow import Structs, in_groups, to_array, to_table, write_tables
from hemadata.build.digest import rows_digest
from hemadata.build.parquet import open_writer
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

steady = settings(derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
TYPES = sorted({column.type for column in (*schema.COLUMNS, *schema.INDEX_ONLY)}, key=str)
LEAVES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.string(): st.text(max_size=4),
    pa.binary(): st.binary(max_size=4),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
}


def values(kind: pa.DataType, nullable: bool = True) -> st.SearchStrategy[Any]:
    """Python values of a column's type; None at every depth but inside a box, whose four numbers are numbers."""
    inner: st.SearchStrategy[Any]
    if pa.types.is_fixed_size_list(kind):
        inner = st.lists(values(kind.value_type, False), min_size=kind.list_size, max_size=kind.list_size)
    elif pa.types.is_list(kind):
        inner = st.lists(values(kind.value_type), max_size=3)
    elif pa.types.is_struct(kind):
        inner = st.fixed_dictionaries({field.name: values(field.type) for field in kind})
    else:
        inner = LEAVES[kind]
    return st.none() | inner if nullable else inner


def column(kind: pa.DataType, cells: list[Any]) -> pa.Table:
    return pa.table({"column": pa.array(cells, kind)})


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: str(kind)[:40])
@steady
@given(st.data())
def test_array_equals_that_of_pyarrow(kind: pa.DataType, data: st.DataObject) -> None:
    cells = data.draw(st.lists(values(kind), max_size=5))
    array = to_array(cells, kind)
    array.validate(full=True)
    assert array.type == kind
    assert array.equals(pa.array(cells, kind))
    assert array.to_pylist() == pa.array(cells, kind).to_pylist()


@pytest.mark.parametrize("task", schema.TASKS)
@settings(steady, max_examples=12)
@given(st.data())
def test_table_equals_that_of_pyarrow(task: str, data: st.DataObject) -> None:
    kind = schema.arrow_schema(task)
    filled = data.draw(st.sets(st.sampled_from(kind.names), max_size=6))
    row = st.fixed_dictionaries({f.name: values(f.type) if f.name in filled else st.none() for f in kind})
    rows = data.draw(st.lists(row, max_size=4))
    table = to_table(rows, kind)
    table.validate(full=True)
    assert table.equals(pa.Table.from_pylist(rows, kind), check_metadata=True)


OBJECTS = schema.arrow_schema("detection").field("objects").type


@steady
@given(st.data())
def test_structs_by_column_are_those_of_dicts(data: st.DataObject) -> None:
    """Boxes as one array of numbers, columns that some cells leave out, empty cells and nulls among them."""
    cells: list[Structs | None] = []
    for length in data.draw(st.lists(st.none() | st.integers(0, 3), max_size=4)):
        if length is None:
            cells.append(None)
            continue
        numbers = data.draw(st.lists(st.floats(0, 99, width=32), min_size=4 * length, max_size=4 * length))
        columns: dict[str, Any] = {"bbox": array("d", numbers)}
        for name in data.draw(st.sets(st.sampled_from([field.name for field in OBJECTS.value_type][1:]))):
            strategy = values(OBJECTS.value_type.field(name).type)
            columns[name] = data.draw(st.lists(strategy, min_size=length, max_size=length))
        cells.append(Structs(length, columns))
    made = to_array(cells, OBJECTS)
    made.validate(full=True)
    empty = dict.fromkeys(field.name for field in OBJECTS.value_type)
    assert made.equals(pa.array([None if c is None else [empty | struct for struct in c] for c in cells], OBJECTS))


def test_tables_are_cut_into_groups_of_equal_length() -> None:
    tables = [pa.table({"n": pa.array(range(at, at + n), pa.int64())}) for at, n in ((0, 3), (3, 0), (3, 5), (8, 1))]
    groups = list(in_groups(tables, 4))
    assert [group.num_rows for group in groups] == [4, 4, 1]
    assert pa.concat_tables(groups)["n"].to_pylist() == list(range(9))
    assert list(in_groups(tables[1:2], 4)) == []


@pytest.mark.parametrize("numbers", [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0, 5.0], []])
def test_box_without_four_numbers_is_an_error(numbers: list[float]) -> None:
    for cells in ([numbers], [[1.0, 2.0, 3.0, 4.0], numbers], [None, numbers]):
        with pytest.raises((ValueError, pa.ArrowInvalid)):
            to_array(cells, pa.list_(pa.float32(), 4))


def test_boxes_that_are_wrong_together_do_not_lend_each_other_numbers() -> None:
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        to_array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0, 8.0]], pa.list_(pa.float32(), 4))


def test_row_without_a_column_is_an_error() -> None:
    with pytest.raises(KeyError):
        to_table([{"sample_id": "a"}], schema.arrow_schema("vqa"))


def test_written_tables_are_read_whole_and_leave_nothing_beside(tmp_path: Path) -> None:
    tables = [column(pa.string(), ["a", None]), column(pa.string(), ["b"])]
    write_tables(tmp_path / "t.parquet", tables)
    assert pq.read_table(tmp_path / "t.parquet").equals(pa.concat_tables(tables))
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


# Digests


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: str(kind)[:40])
@steady
@given(st.data())
def test_digest_tells_any_change_of_one_value(kind: pa.DataType, data: st.DataObject) -> None:
    cells = data.draw(st.lists(values(kind), min_size=1, max_size=4))
    place, other = data.draw(st.integers(0, len(cells) - 1)), data.draw(values(kind))
    changed = [*cells[:place], other, *cells[place + 1 :]]
    assume(changed != cells)
    assert rows_digest([column(kind, cells)]) != rows_digest([column(kind, changed)])


STRINGS, OBJECTS = schema.STRINGS, schema.OBJECTS
OBJECT = {field.name: None for field in OBJECTS.value_type}


@pytest.mark.parametrize(
    ("kind", "alike"),
    [
        (
            pa.string(),
            [[None], [""], ["\0"], [], [None, None], ["", ""], [None, ""], ["", None], ["ab", ""], ["a", "b"]],
        ),
        (
            STRINGS,
            [
                [None],
                [[]],
                [[None]],
                [[""]],
                [["", ""]],
                [[], []],
                [["a", "b"]],
                [["a"], ["b"]],
                [["ab"]],
                [["a"], None],
            ],
        ),
        (
            schema.IMAGE,
            [[None], [{"bytes": None, "path": None}], [{"bytes": b"", "path": None}], [{"bytes": None, "path": ""}]],
        ),
        (OBJECTS, [[None], [[]], [[None]], [[OBJECT]], [[OBJECT | {"flags": []}]], [[OBJECT | {"bbox_raw": []}]]]),
        (pa.int64(), [[None], [0], [1], [1, None], [None, 1], [0, 1], [1 << 32]]),
    ],
    ids=["string", "list", "struct", "objects", "int"],
)
def test_digest_tells_unknown_from_empty(kind: pa.DataType, alike: list[list[Any]]) -> None:
    assert len({rows_digest([column(kind, cells)]) for cells in alike}) == len(alike)


def test_digest_tells_columns_types_and_row_groups_apart() -> None:
    cells = ["a", "b"]
    tables = [
        [pa.table({"x": cells})],
        [pa.table({"y": cells})],
        [pa.table({"x": cells[:1]}), pa.table({"x": cells[1:]})],
    ]
    tables += [[pa.table({"x": pa.array(cells, pa.binary())})], [pa.table({"x": cells, "y": cells})], []]
    assert len({rows_digest(group) for group in tables}) == len(tables)


@pytest.mark.parametrize("task", schema.TASKS)
@settings(steady, max_examples=8)
@given(st.data())
def test_digest_survives_parquet(task: str, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    kind = schema.arrow_schema(task)
    filled = data.draw(st.sets(st.sampled_from(kind.names), max_size=6))
    row = st.fixed_dictionaries({f.name: values(f.type) if f.name in filled else st.none() for f in kind})
    groups = data.draw(st.lists(st.lists(row, min_size=1, max_size=3), min_size=1, max_size=3))
    path = tmp_path_factory.getbasetemp() / "digest.parquet"
    with open_writer(path, kind) as writer:
        tables = [to_table(rows, kind) for rows in groups]
        for table in tables:
            writer.write_table(table)
    file = pq.ParquetFile(path)
    read = [file.read_row_group(number) for number in range(file.num_row_groups)]
    assert rows_digest(read) == rows_digest(tables)
    assert [table.to_pylist() for table in read] == groups


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: str(kind)[:40])
@settings(steady, max_examples=15)
@given(st.data())
def test_digest_does_not_depend_on_slices_and_chunks(kind: pa.DataType, data: st.DataObject) -> None:
    cells = data.draw(st.lists(values(kind), min_size=2, max_size=5))
    before, after = data.draw(st.lists(values(kind), max_size=2)), data.draw(st.lists(values(kind), max_size=2))
    whole = rows_digest([column(kind, cells)])
    sliced = column(kind, [*before, *cells, *after]).slice(len(before), len(cells))
    assert rows_digest([sliced]) == whole
    assert rows_digest([pa.concat_tables([column(kind, cells[:1]), column(kind, cells[1:])])]) == whole
