from collections import Counter
from dataclasses import replace
from pathlib import Path

import hemadata
import pytest
from hemadata.build import build
from hemadata.errors import FormatError, InputMissingError
from hemasynth import quota
from hemasynth.engines.template import Style, TemplateEngine
from hemasynth.faithful import Record
from hemasynth.hard import hard_split
from hemasynth.labels import read_labels
from hemasynth.lexicon import load
from hemasynth.plan import QUESTION_TYPES, Cell, cells, plan, quotas, topics
from hypothesis import given, settings
from hypothesis import strategies as st

LEXICON = load()


def test_cells_of_a_corpus() -> None:
    class Rows:
        def rows(self, task: str, *, source: str | None = None, columns: list[str] | None = None):  # type: ignore[no-untyped-def]
            assert (task, source) == ("classification", "wbcatt")
            attributes = [{"name": "cell_size", "value": "big", "value_raw": "big"}]
            row = {"sample_id": "wbcatt/BNE_1", "label": "neutrophil", "attributes": attributes}
            row |= {"split_upstream": "val", "source_file": "PBC_dataset_normal_DIB/neutrophil/BNE_1.jpg"}
            yield {name: row[name] for name in columns or row}

    (cell,) = cells(Rows())
    assert cell == Cell("wbcatt/BNE_1", "BNE_1.jpg", Record("neutrophil", {"cell_size": "big"}), "val")


def test_two_or_three_pairs_a_training_cell_and_one_a_test_cell(cells: list[Cell]) -> None:
    items = plan(cells, LEXICON)
    of_cell = Counter(item.cell.sample_id for item in items)
    assert set(of_cell) == {cell.sample_id for cell in cells}
    assert {of_cell[cell.sample_id] for cell in cells if cell.split_upstream == "test"} == {1}
    assert {of_cell[cell.sample_id] for cell in cells if cell.split_upstream == "train"} == {2, 3}


def test_no_cell_is_asked_the_same_twice_and_ids_are_unique(cells: list[Cell]) -> None:
    items = plan(cells, LEXICON)
    assert len({item.id for item in items}) == len(items)
    assert len({(item.cell.sample_id, item.topic) for item in items}) == len(items)


def test_same_seed_same_plan_and_another_seed_another(cells: list[Cell]) -> None:
    assert plan(reversed(cells), LEXICON, seed=3) == plan(cells, LEXICON, seed=3)
    assert plan(cells, LEXICON, seed=4) != plan(cells, LEXICON, seed=3)


def test_limit_is_a_part_of_the_whole_plan(cells: list[Cell]) -> None:
    whole = plan(cells, LEXICON)
    part = plan(cells, LEXICON, limit=5)
    assert part == whole[: len(part)]
    assert len({item.cell.sample_id for item in part}) == 5


def test_every_kind_of_question_is_asked_and_both_answers_to_yes_or_no(neutrophil: Record) -> None:
    found = topics(neutrophil, LEXICON)
    assert {topic.question_type for topic in found} == set(QUESTION_TYPES)
    true = [topic for topic in found if topic.premise and topic.premise == neutrophil.value(topic.asked or "")]
    false = [topic for topic in found if topic.premise and topic.premise != neutrophil.value(topic.asked or "")]
    assert len(true) == len(false) == 11


def test_nothing_is_said_of_a_value_that_contradicts_its_record(neutrophil: Record) -> None:
    blurred = Record(
        "neutrophil", {**neutrophil.attributes, "granule_colour": "nil"}
    )  # it has granules: one real record
    assert all("granule_colour" not in topic.uses for topic in topics(blurred, LEXICON))


@pytest.mark.parametrize("missing", ["label", "granule_type", "cell_size"])
def test_what_is_not_known_is_not_used(neutrophil: Record, missing: str) -> None:
    attributes = {name: value for name, value in neutrophil.attributes.items() if name != missing}
    record = Record(None if missing == "label" else "neutrophil", attributes)
    found = topics(record, LEXICON)
    assert found
    assert all(missing not in topic.uses for topic in found)


def test_a_thousand_equal_cells_do_not_share_one_sentence(neutrophil: Record) -> None:
    same = [Cell(f"wbcatt/C_{n:04d}", f"C_{n:04d}.jpg", neutrophil, "train") for n in range(1238)]
    engine = TemplateEngine()
    written = Counter(engine.write(item) for item in plan(same, LEXICON))
    assert written.total() / len(same) > 2.3
    assert len(written) > 0.95 * written.total()
    assert max(written.values()) <= 4


@settings(derandomize=True, deadline=None)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4), start=st.integers(0, 10**9))
def test_style_repeats_no_choice_before_all_were_taken(sizes: list[int], start: int) -> None:
    options = [[f"{n}" for n in range(size)] for size in sizes]
    product = 1
    for size in sizes:
        product *= size
    choices = set()
    for number in range(start, start + product):
        style = Style(number)
        choices.add(tuple(style.pick(option) for option in options))
    assert len(choices) == product


def test_vector_depends_on_facts_alone(neutrophil: Record) -> None:
    cell = Cell("wbcatt/A", "A.jpg", neutrophil, "train")
    assert cell.vector == replace(cell, sample_id="wbcatt/B", split_upstream="test").vector
    other = Record("neutrophil", {**neutrophil.attributes, "cell_size": "small"})
    assert cell.vector != replace(cell, record=other).vector


@pytest.fixture(scope="module")
def whole(raw_root: Path) -> list[Cell]:
    return read_labels(raw_root / "wbcatt")


def test_whole_of_wbcatt_gets_the_numbers_of_the_paper_and_every_quota_is_met(whole: list[Cell]) -> None:
    items = plan(whole, LEXICON)
    wanted = quotas(whole, LEXICON)
    for side, total in {"train": 17_859, "test": 3_085}.items():
        found = Counter(item.topic.question_type for item in items if quota.side(item.cell.split_upstream) == side)
        assert found == wanted[side]
        assert found.total() == total
    assert max(Counter(item.cell.sample_id for item in items).values()) == 3


def test_a_few_cells_are_asked_several_times_the_papers_number_and_never_the_same_twice(whole: list[Cell]) -> None:
    few = whole[::20]
    once, items = plan(few, LEXICON), plan(few, LEXICON, times=4)
    assert len(items) == pytest.approx(4 * len(once), rel=0.01)
    assert len({(item.cell.sample_id, item.topic) for item in items}) == len(items)
    wanted = quotas(few, LEXICON, times=4)
    for side in ("train", "test"):
        found = Counter(item.topic.question_type for item in items if quota.side(item.cell.split_upstream) == side)
        assert found == wanted[side]


def test_hard_split_shares_no_facts_and_has_every_cell_type_on_each_side(whole: list[Cell]) -> None:
    hard = hard_split(whole)
    vectors: dict[str, set[str]] = {}
    for cell in whole:
        vectors.setdefault(hard[cell.vector], set()).add(cell.vector)
    assert set(vectors) == {"train", "validation", "test"}
    assert sum(map(len, vectors.values())) == len(set.union(*vectors.values())) == 363
    kinds = Counter((hard[cell.vector], cell.record.label) for cell in whole)
    assert len(kinds) == 15
    of_split = Counter(hard[cell.vector] for cell in whole)
    assert 0.25 < of_split["test"] / len(whole) < 0.31


@given(
    total=st.integers(0, 30_000),
    shares=st.dictionaries(st.text(max_size=3), st.floats(0.01, 1), min_size=1, max_size=8),
)
def test_apportioned_parts_sum_to_the_whole_and_miss_their_share_by_less_than_one(
    total: int, shares: dict[str, float]
) -> None:
    parts = quota.apportion(total, shares)
    assert sum(parts.values()) == total
    whole = sum(shares.values())
    assert all(abs(parts[name] - total * share / whole) < 1 for name, share in shares.items())


def test_quota_that_fits_no_record_is_traded_and_counted() -> None:
    dealer = quota.Dealer({"single": 2, "description": 3}, "key")
    hands = [dealer.deal(2, {"single": 11}) for _ in range(2)]
    assert hands == [["single", "single"], ["single", "single"]]
    assert dealer.traded == {"single": 2}
    assert dealer.left == {"single": 0, "description": 3}
    assert dealer.deal(2, {"single": 1}) == ["single"]  # a poor record is not asked the same twice


def test_tables_give_the_cells_that_a_corpus_gives(tmp_path: Path) -> None:
    from hemadata import sources

    sources.get("wbcatt").draw(tmp_path / "raw", 30, 0)
    (built,) = build(["wbcatt"], tmp_path / "raw", tmp_path / "corpus")
    assert built.error is None
    with hemadata.open(tmp_path / "corpus") as corpus:
        found = sorted(cells(corpus), key=lambda cell: cell.sample_id)
    assert sorted(read_labels(tmp_path / "raw" / "wbcatt"), key=lambda cell: cell.sample_id) == found
    (tmp_path / "raw" / "wbcatt" / "pbc_attr_v1_val.csv").unlink()
    with pytest.raises(InputMissingError, match=r"pbc_attr_v1_val\.csv is missing"):
        read_labels(tmp_path / "raw" / "wbcatt")
    table = tmp_path / "raw" / "wbcatt" / "pbc_attr_v1_test.csv"
    table.write_text(table.read_text().replace("round", "square"))
    with pytest.raises(FormatError, match=r"is 'square'; expected one of"):
        read_labels(table)
