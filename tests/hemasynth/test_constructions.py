"""Constructions of English that turn a value round, take it back, share it, or only offer it."""

import pytest
from hemasynth.checkfile import judge
from hemasynth.claims import read
from hemasynth.faithful import Checker, Record
from hemasynth.marks import plain

VALUES = {
    "cell_size": ("big", "small"),
    "cell_shape": ("round", "irregular"),
    "nucleus_shape": ("segmented-bilobed", "irregular"),
    "cytoplasm_texture": ("frosted", "clear"),
}


def said(text: str) -> set[str]:
    """Return what a text says, without what is implied: "!" denies."""
    return {
        f"{claim.attribute}{'=' if claim.polarity else '!'}{'|'.join(sorted(claim.values))}"
        for claim in read(text)
        if claim.kind != "implied"
    }


def verdict(question: str, answer: str, **attributes: str) -> str:
    line = {"source": "wbcatt", "attributes": attributes, "question": question, "answer": answer}
    return judge(line)[1].verdict


@pytest.mark.parametrize(("name", "one", "two"), [(name, *pair) for name, pair in VALUES.items()])
@pytest.mark.parametrize(
    "form", ["{n} {1}, sorry, {2}.", "{n} {1} (correction: {2}).", "{n} {1}, I meant to say {2}.", "{n} {1}, no, {2}.",
             "{n} {1} - or rather, {2}.", "{n} {1}. Sorry, {2}."],
)  # fmt: skip
def test_a_mended_value_counts_alone(name: str, one: str, two: str, form: str) -> None:
    noun = {"cell_size": "The cell is", "cell_shape": "The cell is", "nucleus_shape": "The nucleus is"}
    text = form.replace("{n}", noun.get(name, "The cytoplasm is")).replace("{2}", two)
    text = text.replace("{1}", one.removeprefix("segmented-"))
    assert said(text) == {f"{name}={two}"}


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Frosted the cytoplasm certainly is not.", {"cytoplasm_texture!frosted"}),
        ("A round nucleus this is not.", {"nucleus_shape!unsegmented-round"}),
        ("An irregular outline the cell does not have.", {"cell_shape!irregular"}),
        ("Clear cytoplasm is something this cell has not got.", {"cytoplasm_texture!clear"}),
        ("Granules it has, vacuoles it has not.", {"granularity=yes", "cytoplasm_vacuole=no"}),
        ("The granules which it has are not red.", {"granularity=yes", "granule_colour!red"}),
    ],
)  # fmt: skip
def test_what_stands_in_front_is_denied_at_the_end(text: str, claims: set[str]) -> None:
    assert said(text) == claims


@pytest.mark.parametrize("noun", ["Granules", "Vacuoles"])
@pytest.mark.parametrize(
    "form", ["{} are nowhere in sight.", "{} fail to appear.", "{} are conspicuous by their absence.",
             "{} were looked for in vain.", "As for {}, we drew a blank.", "Gone are the {}.", "{}: (-)", "{} -",
             "At no place does the cytoplasm contain {}.", "The cell has everything but {}."],
)  # fmt: skip
def test_things_that_are_not_found(noun: str, form: str) -> None:
    name = {"Granules": "granularity", "Vacuoles": "cytoplasm_vacuole"}[noun]
    assert f"{name}=no" in said(form.format(noun))


def test_a_denial_does_not_reach_over_a_new_subject() -> None:
    assert said("The cell is round and its granules are absent.") == {"cell_shape=round", "granularity=no"}
    assert said("The cell is big, and its nucleus might be round.") >= {"cell_size=big"}
    forces = {claim.attribute: claim.force for claim in read("The cell is big and the nucleus might be round.")}
    assert forces == {"cell_size": "fact", "nucleus_shape": "generic"}


@pytest.mark.parametrize(
    "opening",
    ["One cannot help noticing that ", "I see no reason to doubt that ", "Nobody could deny that ",
     "You would be mistaken to claim that it is not the case that ", "It is hard to dispute that "],
)  # fmt: skip
def test_wrapped_assertions_assert(opening: str) -> None:
    assert said(opening + "the cell is big.") == {"cell_size=big"}


@pytest.mark.parametrize(
    "opening", ["Nobody could argue that ", "You would be wrong to claim that ", "There is no reason to believe that "]
)
def test_wrapped_denials_deny(opening: str) -> None:
    assert said(opening + "the cell is big.") == {"cell_size!big"}


@pytest.mark.parametrize("value", ["big", "not big"])
@pytest.mark.parametrize(
    ("form", "holds"),
    [
        ("By no means is it untrue that the cell is {}.", True),
        ("It would not be inaccurate to say that the cell is {}.", True),
        ("It isn't wrong that the cell is {}.", True),
        ("That the cell is {} is simply untrue.", False),
        ("The claim that the cell is {} isn't correct.", False),
        ("The claim that the cell is {} must be rejected.", False),
        ("Don't believe that the cell is {}.", False),
        ("Whoever wrote that the cell is {} was right.", True),
        ("To say that the cell is {} would be anything but correct.", False),
    ],
)
def test_judgements_and_negators_are_counted(form: str, value: str, *, holds: bool) -> None:
    sign = "=" if holds == (value == "big") else "!"
    assert said(form.format(value)) == {f"cell_size{sign}big"}


@pytest.mark.parametrize("noun", ["granules", "vacuoles"])
@pytest.mark.parametrize(
    ("form", "there"),
    [
        ("It is not true that {} are absent.", True),
        ("In no way does the cell lack {}.", True),
        ("The statement that {} are lacking is inaccurate.", True),
        ("The absence of {} can be ruled out.", True),
        ("The presence of {} is denied.", False),
        ("You'd expect {}, yet there are none.", False),
        ("Where {} might be expected, none are found.", False),
    ],
)
def test_denials_of_absence_are_counted(form: str, noun: str, *, there: bool) -> None:
    name = {"granules": "granularity", "vacuoles": "cytoplasm_vacuole"}[noun]
    assert said(form.format(noun)) == {f"{name}={'yes' if there else 'no'}"}


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("While one might expect a round form, the cell border is in fact irregular.", {"cell_shape=irregular"}),
        ("There is nothing round about the shape of this cell.", {"cell_shape!round"}),
        ("Purple blue is not the shade of this cytoplasm.", {"cytoplasm_colour!purple blue"}),
        ("N:C low / vacuoles no / texture clear / granularity yes.",
         {"nuclear_cytoplasmic_ratio=low", "cytoplasm_vacuole=no", "cytoplasm_texture=clear", "granularity=yes"}),
        ("Neutrophil: big, round, multilobed nucleus.",
         {"label=neutrophil", "cell_size=big", "cell_shape=round", "nucleus_shape=segmented-multilobed"}),
    ],
)  # fmt: skip
def test_what_is_only_expected_denied_or_listed(text: str, claims: set[str]) -> None:
    assert said(text) == claims


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("The cell is irregular, and so is the nucleus.", {"cell_shape=irregular", "nucleus_shape=irregular"}),
        ("The cell is irregular, the nucleus is not.", {"cell_shape=irregular", "nucleus_shape!irregular"}),
        ("Nucleus and cell alike are round.", {"cell_shape=round", "nucleus_shape=unsegmented-round"}),
        ("The cell as well as the nucleus is round.", {"cell_shape=round", "nucleus_shape=unsegmented-round"}),
        ("Take cytoplasm and chromatin: the former is clear, the latter dense.",
         {"cytoplasm_texture=clear", "chromatin_density=densely"}),
        ("Granules are present, vacuoles are not.", {"granularity=yes", "cytoplasm_vacuole=no"}),
    ],
)  # fmt: skip
def test_what_one_thing_shares_with_another(text: str, claims: set[str]) -> None:
    assert said(text) == claims


@pytest.mark.parametrize("size", ["big", "small"])
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What size? Options: big; small.", {"big": "The first one.", "small": "The last one applies."}),
        ("Is the cell (i) big or (ii) small?", {"big": "(i)", "small": "(ii)"}),
        ("The cell is: a) big b) small", {"big": "a) big", "small": "b"}),
        ("Which is true? A: the cell is big. B: the cell is small.",
         {"big": "Statement A is true.", "small": "B is correct."}),
        ("Cell size: big or small?", {"big": "the first of the two", "small": "small"}),
    ],
)  # fmt: skip
def test_options_are_offered_and_chosen_by_place(question: str, answer: dict[str, str], size: str) -> None:
    assert verdict(question, answer[size], **{"cell_size": size}) == "supported"
    other = {"big": "small", "small": "big"}[size]
    assert verdict(question, answer[size], **{"cell_size": other}) == "contradicted"


@pytest.mark.parametrize(
    ("text", "granular"),
    [
        ("No granules, right? Right, not a single one.", False),
        ("The cell is granulated, isn't it? Yes, it is.", True),
        ("The cell isn't granulated, is it? It is.", True),
        ("The cell isn't granulated, is it? No, it isn't.", False),
        ("Is the cell not granulated? Of course it is.", True),
    ],
)
def test_a_text_that_asks_itself(text: str, granular: bool) -> None:
    checker = Checker()
    for value in ("yes", "no"):
        wanted = "supported" if (value == "yes") == granular else "contradicted"
        facts = {"granularity": value, "granule_type": "coarse", "granule_colour": "red"}
        if value == "no":
            facts |= {"granule_type": "nil", "granule_colour": "nil"}
        assert checker.text(Record(None, facts), text).verdict == wanted


@pytest.mark.parametrize("shape", ["unsegmented-round", "segmented-bilobed", "irregular"])
@pytest.mark.parametrize(
    "text", ["The cell has no nucleus.", "A nucleus is lacking.", "It is an enucleated cell.", "No nucleus is present."]
)
def test_a_cell_without_nucleus_contradicts_every_shape(text: str, shape: str) -> None:
    assert Checker().text(Record(None, {"nucleus_shape": shape}), text).verdict == "contradicted"


@pytest.mark.parametrize(
    "text", ["Big, round, nucleus bilobed.", "Big, round, with a bilobed nucleus.", "• big • round"]
)
def test_fronted_adjectives_are_the_cells(text: str) -> None:
    assert said(text) >= {"cell_size=big", "cell_shape=round"}


@pytest.mark.parametrize(
    "text",
    ["• big • round", "size: big | shape: round", "(1) big; (2) round", "gran +, vac \u2212", "inconspic., clear"],
)
def test_marks_are_taken_out_character_for_character(text: str) -> None:
    assert len(plain(text)) == len(text)
