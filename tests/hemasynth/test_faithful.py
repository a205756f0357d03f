import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from hemasynth.checkfile import check_line
from hemasynth.engines.template import TemplateEngine
from hemasynth.faithful import Checker, Record
from hemasynth.lexicon import load
from hemasynth.plan import Cell, Item, topics
from hypothesis import given, settings
from hypothesis import strategies as st

LEXICON, CHECKER, ENGINE = load(), Checker(), TemplateEngine()


# -- gates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "answer", "asked", "gates"),
    [
        ("What shape is the nucleus?", "The nucleus is bilobed.", "nucleus_shape", ()),
        ("What shape is the nucleus?", "It is bilobed.", "nucleus_shape", ()),
        ("What shape is the nucleus?", "The nucleus is round.", "nucleus_shape", ("contradicted", "asked")),
        ("What shape is the nucleus?", "The nucleus is segmented.", "nucleus_shape", ("asked",)),
        ("What shape is the nucleus?", "The chromatin is dense.", "nucleus_shape", ("asked",)),
        ("What shape is the nucleus?", "It is bilobed, as in leukemia.", "nucleus_shape", ("unsupported",)),
        ("What shape is the nucleus?", "It is usually bilobed.", "nucleus_shape", ("generic", "asked")),
        ("What shape is the cell?", "The nucleus is bilobed.", "nucleus_shape", ("off_topic",)),
        ("What shape is the bilobed nucleus?", "The nucleus is bilobed.", "nucleus_shape", ("leak",)),
        ("Is the nucleus bilobed?", "Yes, the nucleus is bilobed.", "nucleus_shape", ()),
        ("Is the nucleus bilobed?", "Yes.", "nucleus_shape", ()),
        ("Is the nucleus round?", "Yes.", "nucleus_shape", ("contradicted", "asked")),
        ("Is the nucleus round?", "No, it is bilobed.", "nucleus_shape", ()),
        ("Is the nucleus bilobed?", "No, it is bilobed.", "nucleus_shape", ("contradicted",)),
        ("Is the cell big?", "No.", "cell_size", ("contradicted", "asked")),
        ("Is the cell small?", "No.", "cell_size", ()),
        ("What is the size of the cell?", "Yes, it is big.", "cell_size", ("yes_no",)),
        ("What colour are the granules?", "Pink.", "granule_colour", ()),
        ("What colour are the granules of this monocyte?", "They are pink.", "granule_colour", ("contradicted",)),
        ("Which cell has pink granules?", "It is a neutrophil.", "label", ()),
        ("Which cell has red granules?", "It is a neutrophil.", "label", ("contradicted",)),
        ("Which neutrophil is this?", "It is a neutrophil.", "label", ("leak",)),
        ("What colour are the granules?", "", "granule_colour", ("empty", "sentence", "asked")),
        ("What colour are the granules?", "Гранулы pink.", "granule_colour", ("language",)),
        ("What colour are the granules?", "The granules are pink", "granule_colour", ("sentence",)),
    ],
)
def test_gates(neutrophil: Record, question: str, answer: str, asked: str, gates: tuple[str, ...]) -> None:
    assert CHECKER.pair(neutrophil, question, answer, asked).gates == (
        gates if answer else tuple(sorted({*gates}, key=["empty", "sentence", "leak", "asked"].index))
    )


def test_what_the_pair_says_it_uses_must_be_said(neutrophil: Record) -> None:
    pair = ("What shape is the nucleus?", "The nucleus is bilobed.", "nucleus_shape")
    assert CHECKER.pair(neutrophil, *pair, [("nucleus_shape", "segmented-bilobed")]).passed
    assert CHECKER.pair(neutrophil, *pair, [("cell_size", "big")]).gates == ("uses",)
    assert CHECKER.pair(neutrophil, *pair, [("nucleus_shape", "irregular")]).gates == ("uses",)


def test_question_about_granules_that_are_not_there(lymphocyte: Record) -> None:
    assert CHECKER.pair(lymphocyte, "What colour are the granules?", "There are no granules.", "granule_colour").passed
    assert not CHECKER.pair(lymphocyte, "What colour are the granules?", "They are pink.", "granule_colour").passed


def test_unknown_label_supports_no_claim_about_it(neutrophil: Record) -> None:
    nameless = Record(None, neutrophil.attributes)
    assert CHECKER.text(nameless, "A neutrophil.").verdict == "unsupported"


def test_line_of_a_file() -> None:
    line = {
        "id": 7,
        "source": "wbcatt",
        "label": "Neutrophil",
        "attributes": {"granule_colour": "pink"},
        "text": "A small neutrophil with red granules.",
    }
    result = check_line(line)
    assert (result["id"], result["verdict"]) == (7, "contradicted")
    verdicts = {claim["attribute"]: claim["verdict"] for claim in result["claims"]}  # type: ignore[attr-defined]
    assert verdicts["label"] == "supported"
    assert verdicts["granule_colour"] == "contradicted"
    assert verdicts["cell_size"] == "unsupported"  # the record does not know it


# -- templates against the checker, and the checker against changed records ------------------------


def changed(record: Record, name: str) -> Iterator[Record]:
    """Yield the record with every other value of one attribute, or another cell type."""
    if name == "label":
        yield from (Record(label, record.attributes) for label in LEXICON.labels if label != record.label)
    else:
        for value in LEXICON.values[name]:
            if value != record.value(name):
                yield Record(record.label, {**record.attributes, name: value})


def assert_faithful(record: Record, turn: int) -> None:
    cell = Cell("wbcatt/X", "X.jpg", record)
    for topic in dict.fromkeys(topics(record, LEXICON)):
        question, answer = ENGINE.write(Item("X-0", cell, topic, turn, 0))
        uses = [(name, record.value(name) or "") for name in topic.uses]
        report = CHECKER.pair(record, question, answer, topic.asked, uses)
        assert report.passed, (report.gates, question, answer)
        assert report.verdict == "supported"
        for name in topic.uses:
            for other in changed(record, name):
                gates = CHECKER.pair(other, question, answer, topic.asked).gates
                assert "contradicted" in gates, (name, other.value(name), question, answer)


@st.composite
def records(draw: st.DrawFn) -> Record:
    values = {name: draw(st.sampled_from(known)) for name, known in LEXICON.values.items()}
    if values["granularity"] == "no":
        values |= {"granule_type": "nil", "granule_colour": "nil"}
    return Record(draw(st.sampled_from(LEXICON.labels)), values)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(record=records(), turn=st.integers(0, 2000))
def test_every_template_pair_passes_and_no_changed_record_does(record: Record, turn: int) -> None:
    assert_faithful(record, turn)


def test_every_vector_of_the_real_tables(raw_root: Path) -> None:
    vectors: dict[str, Record] = {}
    for table in sorted((raw_root / "wbcatt").glob("*.csv")):
        with table.open(newline="") as file:
            for row in csv.DictReader(file):
                record = Record(row["label"].lower(), {name: row[name] for name in LEXICON.values})
                vectors.setdefault(Cell("", "", record).vector, record)
    assert len(vectors) == 363
    for turn, record in enumerate(vectors.values()):
        assert_faithful(record, turn)
