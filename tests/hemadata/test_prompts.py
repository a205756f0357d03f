"""Prompts: rendered from facts of the row, in the wording of the template, the same every time."""

import tomllib
from typing import Any

import pytest
from hemadata import prompts, schema
from hemadata.errors import UsageError
from hemadata.prompts import materialised, render
from hypothesis import given, settings
from hypothesis import strategies as st

ROW: dict[str, Any] = {"sample_id": "bccd/1", "disease": "sickle-cell"}
QA = [{"question": f"Question {n}?", "answer": "yes"} for n in range(5)]
TEXTS = [{"masked_text": f"A <extra_id_0> cell {n}.", "text": ""} for n in range(5)]


def test_first_template_is_the_wording_of_the_paper() -> None:
    first = prompts.get("1")
    for task in ("classification", "detection", "segmentation"):
        assert render(first, task, ROW) == "This image is for the detection of Sickle Cell of cells."
    assert render(first, "vqa", ROW | {"qa": QA[:1]}) == "Q: Question 0?"
    assert render(first, "mlm", ROW | {"texts": TEXTS[:1]}) == "mask: A <extra_id_0> cell 0."


@pytest.mark.parametrize(
    ("disease", "spelled"),
    [("leukemia", "Leukemia"), ("malaria", "Malaria"), ("normal", "Normal"), (None, "Unknown"), ("", "Unknown")],
)
def test_disease_is_spelled_as_in_the_paper(disease: str | None, spelled: str) -> None:
    assert f"detection of {spelled} of" in str(render(prompts.get("1"), "detection", ROW | {"disease": disease}))


@pytest.mark.parametrize("template", list(prompts.templates()))
@pytest.mark.parametrize("task", schema.TASKS)
def test_every_template_speaks_of_every_task(template: str, task: str) -> None:
    text = render(prompts.get(template), task, ROW | {"qa": QA, "texts": TEXTS})
    assert text and "{" not in text
    assert any(word in text for word in ("Sickle Cell", "Question", "<extra_id_0>"))


@pytest.mark.parametrize("task", ["vqa", "mlm"])
@pytest.mark.parametrize("nothing", [None, []])
def test_row_with_nothing_to_ask_has_no_prompt(task: str, nothing: list[Any] | None) -> None:
    row = ROW | {"qa": nothing, "texts": nothing}
    assert render(prompts.get("1"), task, row) is None
    assert materialised(prompts.get("1"), task, row) == {"prompt": None, "prompt_id": None}
    assert render(prompts.get("1"), task, ROW) is None


def test_seed_chooses_among_questions_and_the_choice_stays() -> None:
    row = ROW | {"qa": QA}
    chosen = [render(prompts.get("1"), "vqa", row, seed) for seed in range(60)]
    assert chosen == [render(prompts.get("1"), "vqa", row, seed) for seed in range(60)]
    assert set(chosen) == {f"Q: Question {n}?" for n in range(5)}
    other = [render(prompts.get("1"), "vqa", row | {"sample_id": "bccd/2"}, seed) for seed in range(60)]
    assert other != chosen, "rows must not all be asked the question of the same number"


@settings(derandomize=True, deadline=None)
@given(st.text(max_size=30))
def test_question_is_taken_as_it_is(question: str) -> None:
    assert render(prompts.get("1"), "vqa", ROW | {"qa": [{"question": question}]}) == f"Q: {question}"


def test_prompt_id_names_template_and_version() -> None:
    assert materialised(prompts.get("2"), "detection", ROW)["prompt_id"] == "2@1"


def test_unknown_template_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r'"9"\. There are 1, 2, 3'):
        prompts.get("9")


def test_files_hold_the_templates_that_are_used() -> None:
    (text,) = prompts.files().values()
    assert {t["id"]: t["text"] for t in tomllib.loads(text.decode())["template"]} == {
        name: dict(template.text) for name, template in prompts.templates().items()
    }
