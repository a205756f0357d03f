"""Answers beside those of who does not look: commonest answers, exchanged pictures, a blind run; whole and in parts."""

import json
from collections import Counter
from pathlib import Path

import hemadata
import numpy as np
import pytest
from hemadata.ontology import load as ontology
from hemamodel.cli import app
from hemamodel.errors import UsageError
from hemamodel.evaluate.baselines import Majority, exchanged, facts_of, of_unseen_facts, without_type_named
from hemamodel.evaluate.evidence import About, TextEvidence
from hemamodel.evaluate.naming import kinds_that_tell, names_any, values_named
from hemamodel.evaluate.run import evaluate
from hemamodel.evaluate.several import against
from hemamodel.train.start import Call, train
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

TEXTS = (
    "queries=10", "dim=32", "hidden=32", "text.dim=32", "text.layers=1", "backbone.width=8",
    "data.train={vqa: {wbcatt-vqa: 1}, mlm: {}}", "epochs=1", "batch_size=4",
    "tasks.vqa.image.sizes=[64]", "tasks.vqa.image.evaluation_size=64",
)  # fmt: skip


def asked(*rows: tuple[str, str | None, str], values: tuple[tuple[str, str], ...] = ()) -> TextEvidence:
    """Evidence of (question, kind, true answer), with nothing found."""
    names = [f"s{i}" for i in range(len(rows))]
    about = [About(kind, "size", values) for _, kind, _ in rows]
    return TextEvidence(
        names, ["x"] * len(rows), [row[2] for row in rows], [""] * len(rows), [r[0] for r in rows], about
    )


def test_the_commonest_answer_of_training_by_type_or_by_question_alone() -> None:
    known = About("monocyte", "size")
    rows = [("How large?", known, "big")] * 2 + [("How large?", About("basophil", "size"), "small")] * 3
    rows += [("Lobes?", About("basophil", "lobes"), "two")]
    majority = Majority(rows)
    test = asked(("How large?", "monocyte", ""), ("How large?", "basophil", ""), ("Its size?", "monocyte", ""))
    assert majority.answers(test, by_kind=True).found == ["big", "small", "big"], "the last by what it asks about"
    assert majority.answers(test, by_kind=False).found == ["small"] * 3
    unknown = TextEvidence(["s"], ["x"], [""], [""], ["Colour?"], [About("eosinophil", "colour")])
    assert majority.answers(unknown, by_kind=True).found == ["small"], "asked of nothing: the commonest of all"


@given(st.lists(st.integers(0, 6), min_size=2, max_size=30), st.integers(0, 5))
def test_every_picture_is_another_and_of_another_cell_where_it_can_be(cells: list[int], seed: int) -> None:
    units = {f"p{i}": f"cell{cell}" for i, cell in enumerate(cells)}
    found = exchanged(units, seed)
    assert sorted(found.values()) == sorted(units) and all(mine != its for mine, its in found.items())
    if 2 * max(Counter(cells).values()) <= len(cells):
        assert all(units[mine] != units[its] for mine, its in found.items())
    assert found == exchanged(dict(reversed(units.items())), seed), "a function of names and seed"


def test_one_picture_cannot_be_exchanged() -> None:
    with pytest.raises(UsageError, match="--baselines"):
        exchanged({"one": "cell"})


def test_questions_that_name_a_type() -> None:
    names = kinds_that_tell(ontology(), ["neutrophil", "monocyte", "lymphocyte"])
    for text in ("Is this Neutrophil large?", "Do basophils look so?", "Is it a segmented-neutrophil?"):
        assert names_any(text, names), text
    for text in ("Which white blood cell is this?", "How large is the cell?", "Is the cytoplasm basophilic?"):
        assert not names_any(text, names), text


def test_values_in_answers() -> None:
    shapes = ["round", "unsegmented-round", "irregular"]
    assert values_named("The nucleus is Unsegmented round.", shapes) == {"unsegmented-round"}
    assert values_named("It is round, not irregular.", shapes) == {"round", "irregular"}
    assert values_named("Rounded.", shapes) == set()


def test_attributes_are_scored_where_the_true_answer_names_them() -> None:
    about = [About("monocyte", "cell_size", (("cell_size", value),)) for value in ("big", "small", "big", "small")]
    truth = ["It is big.", "It is small.", "Large.", "small"]
    found = ["A big one.", "It is big.", "big", ""]
    evidence = TextEvidence(["a", "b", "c", "d"], ["x"] * 4, truth, found, ["?"] * 4, about)
    scores = evidence.score()
    assert scores["attribute_accuracy"] == pytest.approx(1 / 3), "the third answer names no value"
    assert scores["attributes"] == {"cell_size": {"accuracy": pytest.approx(1 / 3), "answers": 3}}
    metric = evidence.metrics()["attribute_accuracy"]
    assert metric(np.ones(4)) == pytest.approx(1 / 3) and metric(np.array([2.0, 1, 5, 1])) == pytest.approx(0.5)
    assert np.isnan(metric(np.array([0.0, 0, 1, 0])))
    assert "attribute_accuracy" not in asked(("?", None, "x")).score()


def test_cells_unlike_any_of_training() -> None:
    evidence = asked(("?", None, ""), ("?", None, ""), ("?", None, ""))
    facts = {"s0": ("monocyte", "big"), "s1": ("monocyte", "small"), "t": ("monocyte", "big")}
    assert of_unseen_facts(evidence, facts, ["t", "u"]) == [1], "of the third nothing is known"
    assert of_unseen_facts(evidence, {"t": 1}, ["t"]) is None


def test_facts_come_from_another_row_with_the_same_picture(phantom_corpus: Path) -> None:
    with hemadata.open(phantom_corpus) as corpus:
        names = {
            source: [row["sample_id"] for row in corpus.rows(task, None, ["sample_id"], source)]
            for task, source in (("classification", "wbcatt"), ("vqa", "wbcatt-vqa"), ("detection", "bccd"))
        }
        assert len(facts_of(corpus, names["wbcatt"])) == len(names["wbcatt"])
        assert facts_of(corpus, names["bccd"]) == {}
        files = {row["sample_id"]: row["sha256"] for row in corpus.index.select(["sample_id", "sha256"]).to_pylist()}
        described = {files[name] for name in names["wbcatt"]}
        found = facts_of(corpus, names["wbcatt-vqa"])
        assert set(found) == {name for name in names["wbcatt-vqa"] if files[name] in described}
        evidence = asked(("Is it a monocyte?", "monocyte", ""), ("How large is it?", "basophil", ""))
        assert without_type_named(evidence, corpus) == [1]


def test_a_run_beside_those_who_do_not_look(phantom_corpus: Path, tmp_path: Path) -> None:
    def trained(*more: str, seed: int = 0) -> Path:
        settings = (*TEXTS, *more)
        call = Call(6, phantom_corpus, tmp_path, "tiny", assignments=settings, overfit=4, seed=seed, device="cpu")
        return train(call).path

    run, blind = trained(), trained("data.blind=true")
    found = evaluate(run, phantom_corpus, split="train", device="cpu", draws=20, against=blind, baselines=True)
    scores = found["scores"]["vqa"]
    assert list(scores["baselines"]) == ["blind", "shuffled", "type_majority", "question_majority"]
    for each in scores["baselines"].values():
        gain = each["difference"]["exact_match"]
        assert gain["difference"] == pytest.approx(scores["exact_match"] - each["exact_match"])
        assert gain["low"] <= gain["high"]
    # Type and type alone decide the phantom's first answer: half of all is right by heart, and its size by chance.
    assert scores["baselines"]["type_majority"]["exact_match"] >= 0.5
    assert scores["without_type_named"]["samples"] == scores["samples"], "the phantom's questions name no type"
    assert found["against"]["blind"] and found["against"]["differs"] == ["blind"]
    with pytest.raises(UsageError, match="trained for segmentation"):
        evaluate(
            run, phantom_corpus, split="train", tasks=["segmentation"], sources=["wbc-image-dataset"], against=blind
        )

    call = [
        "evaluate",
        str(run),
        "--corpus",
        str(phantom_corpus),
        "--split",
        "train",
        "--device",
        "cpu",
        "--limit",
        "9",
    ]
    done = CliRunner().invoke(app, [*call, "--against", str(blind), "--report", str(tmp_path / "report")])
    assert done.exit_code == 0, done.output
    assert "blind run" in done.output and "better by exact_match" in done.output
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| blind run |" in text and "| commonest answer by type |" in text and "exchanged pictures" not in text
    stored = json.loads((tmp_path / "report" / "report.json").read_text())
    assert set(stored["scores"]["vqa"]["baselines"]) == {"blind", "type_majority", "question_majority"}


def test_other_questions_are_refused() -> None:
    one, other = asked(("a", None, "x")), asked(("b", None, "x"))
    with pytest.raises(UsageError, match="same samples"):
        against(one, other, ["s0"])
