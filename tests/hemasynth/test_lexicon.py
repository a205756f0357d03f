import pytest
from hemadata import ontology
from hemasynth.claims import read
from hemasynth.lexicon import Values, load
from hemasynth.plan import frames

LEXICON = load()


def test_values_are_those_of_the_ontology() -> None:
    attributes = ontology.load().morphology("wbcatt").attributes
    assert {name: set(values) for name, values in LEXICON.values.items()} == {
        name: set(attribute.values) for name, attribute in attributes.items()
    }


def test_cell_types_are_nodes_of_the_ontology() -> None:
    assert all(label in ontology.load() for label in LEXICON.labels)


@pytest.mark.parametrize("name", LEXICON.values)
def test_every_word_of_the_templates_states_its_value(name: str) -> None:
    noun = {"ratio": "ratio"}.get(LEXICON.anchor[name], LEXICON.anchor[name])
    for value, words in frames()[name].get("words", {}).items():
        for word in words:
            claims = [claim for claim in read(f"The {noun} is {word}.") if claim.kind == "said"]
            assert all(claim.attribute == name and value in claim.values for claim in claims)
            assert Values([value]) in [claim.values for claim in claims], word


def test_complement_of_a_binary_value_is_the_other() -> None:
    assert LEXICON.complement("cell_size", Values(["big"])) == {"small"}
    assert len(LEXICON.complement("label", Values(["neutrophil"]))) == 4
