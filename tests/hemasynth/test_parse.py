import json

import pytest
from hemasynth.parse import RefusedError, parse

GOOD = {"uses": [{"attribute": "cell_size", "value": "big"}], "question": "What size?", "answer": "Big."}


def test_good_reply() -> None:
    draft = parse(json.dumps(GOOD))
    assert (draft.question, draft.answer) == ("What size?", "Big.")
    assert [(use.attribute, use.value) for use in draft.uses] == [("cell_size", "big")]


def test_raw_control_characters_in_strings_are_read_and_removed() -> None:
    draft = parse('{"uses":[],"question":"What\n  size\x00?","answer":"Big\u200b."}')
    assert (draft.question, draft.answer) == ("What size ?", "Big .")


@pytest.mark.parametrize(
    "text",
    [
        "Certainly!",
        "[]",
        json.dumps({**GOOD, "more": 1}),
        json.dumps({name: GOOD[name] for name in ("uses", "answer")}),
        json.dumps({**GOOD, "answer": 3}),
        json.dumps({**GOOD, "uses": [{"attribute": "cell_size"}]}),
        json.dumps(GOOD)[:-3],
        "[" * 100_000,
    ],
)
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(text)
    assert caught.value.gate == "schema"


@pytest.mark.parametrize(
    ("text", "reason", "gate"), [("", "stop", "empty"), (" \n", "stop", "empty"), ("x", "failed", "failed")]
)
def test_text_that_is_not_there(text: str, reason: str, gate: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(text, reason)
    assert caught.value.gate == gate


def test_cut_text_is_never_mended() -> None:
    with pytest.raises(RefusedError) as caught:
        parse(json.dumps(GOOD), finish_reason="length")
    assert caught.value.gate == "truncated"
