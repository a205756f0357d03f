import pytest
from hemasynth.claims import read

# sentence -> what it claims; "!" denies, "?" is content that no record holds; what is implied is left out
SENTENCES = {
    # nouns: attributive, predicative, lists, of-phrases, relative clauses
    "The nucleus is bilobed.": "nucleus_shape=segmented-bilobed",
    "A frosted, light blue cytoplasm.": "cytoplasm_texture=frosted cytoplasm_colour=light-blue",
    "The cell is small with a round nucleus.": "cell_size=small nucleus_shape=unsegmented-round",
    "The cell has pink granules and is small.": "granule_colour=pink cell_size=small",
    "The cytoplasm of the cell is clear.": "cytoplasm_texture=clear",
    "The granules in the clear cytoplasm are pink.": "granularity=yes cytoplasm_texture=clear granule_colour=pink",
    "The chromatin of the round nucleus is loose.": "nucleus_shape=unsegmented-round chromatin_density=loosely",
    "Its cytoplasm, which is frosted, is blue.": "cytoplasm_texture=frosted cytoplasm_colour=blue",
    "The nucleus has a round shape and the cell an irregular outline.": (
        "nucleus_shape=unsegmented-round cell_shape=irregular"
    ),
    "The cell has a bilobed nucleus and a round shape.": "nucleus_shape=segmented-bilobed cell_shape=round",
    "Round in shape, the cell is small in size.": "cell_shape=round cell_size=small",
    "Chromatin: densely packed. Cytoplasm: clear.": "chromatin_density=densely cytoplasm_texture=clear",
    "Neutrophil: coarse granules, irregular nucleus.": "label=neutrophil granule_type=coarse nucleus_shape=irregular",
    "The cell's nucleus is round.": "nucleus_shape=unsegmented-round",
    "Both the cell and its nucleus are round.": "nucleus_shape=unsegmented-round cell_shape=round",
    "The nuclear-to-cytoplasmic ratio is reduced.": "nuclear_cytoplasmic_ratio=low",
    "The cell has a low ratio of nucleus to cytoplasm.": "nuclear_cytoplasmic_ratio=low",
    "The N:C ratio is high.": "nuclear_cytoplasmic_ratio=high",
    "The nucleus is round and segmented.": (
        "nucleus_shape=unsegmented-round nucleus_shape=segmented-bilobed|segmented-multilobed"
    ),
    "The color of the granules is reddish.": "granularity=yes granule_colour=red",
    # words inside words
    "All in all it is as the cell is: small.": "cell_size=small",
    "The cell was redrawn in a tall hall.": "",
    "The roundabout is tallish.": "",
    # negation
    "No vacuolated cytoplasm is seen.": "cytoplasm_vacuole!yes",
    "Not a round nucleus but an irregular nucleus.": "nucleus_shape!unsegmented-round nucleus_shape=irregular",
    "The granules are not pink but red.": "granularity=yes granule_colour!pink granule_colour=red",
    "The cell isn't big; it is small.": "cell_size!big cell_size=small",
    "The cell is neither round nor big.": "cell_shape!round cell_size!big",
    "The cytoplasm is free of vacuoles and frosted.": "cytoplasm_vacuole=no cytoplasm_texture=frosted",
    "The cell lacks granules and vacuoles.": "granularity=no cytoplasm_vacuole=no",
    "The cell lacks granules and its cytoplasm is clear.": "granularity=no cytoplasm_texture=clear",
    "The cell has no granules, vacuoles are present.": "granularity=no cytoplasm_vacuole=yes",
    "There are no granules in the light blue cytoplasm.": "granularity=no cytoplasm_colour=light-blue",
    "Granules cannot be seen, and the cytoplasm is blue.": "granularity=no cytoplasm_colour=blue",
    "Granules are absent.": "granularity=no",
    "The granules aren't absent.": "granularity=yes",
    "No pink granules are seen.": "granule_colour!pink",
    "No sign of granulation can be detected.": "granularity=no",
    "Not a monocyte but a lymphocyte.": "label!monocyte label=lymphocyte",
    "The chromatin appears loose rather than dense.": "chromatin_density=loosely chromatin_density!densely",
    # what no record says
    "The nucleus is pink.": "?",
    "It is a sign of leukemia.": "?",
    "The patient may have ALL.": "? ?",
    "The nucleus is oval.": "nucleus_shape=unsegmented-indented|unsegmented-round",
    "The chromatin is oval.": "?",
}


def shown(text: str) -> list[str]:
    found = []
    for claim in read(text):
        if claim.kind != "implied":
            values = "|".join(sorted(claim.values)).replace(" ", "-")
            found.append(f"{claim.attribute}{'=' if claim.polarity else '!'}{values}" if claim.attribute else "?")
    return found


@pytest.mark.parametrize(("text", "claims"), SENTENCES.items())
def test_sentence_is_read_as_a_person_reads_it(text: str, claims: str) -> None:
    assert sorted(shown(text)) == sorted(claims.split())


@pytest.mark.parametrize("text", SENTENCES)
def test_span_is_where_the_words_are(text: str) -> None:
    assert all(text[slice(*claim.span)] == claim.words for claim in read(text))


def test_answer_without_a_noun_takes_the_noun_of_the_question() -> None:
    (said, *_) = read("Small.", context="granule")
    assert (said.attribute, said.values) == ("granule_type", {"small"})
    assert read("Small.")[0].attribute == "cell_size"  # a text is about its cell


def test_no_granules_means_neither_type_nor_colour() -> None:
    claims = {(claim.attribute, *claim.values) for claim in read("The cell is agranular.")}
    assert claims == {("granularity", "no"), ("granule_type", "nil"), ("granule_colour", "nil")}


def test_hedged_sentence_is_not_a_fact() -> None:
    assert {claim.force for claim in read("Such a cell usually has pink granules.")} == {"habit"}
    assert {claim.force for claim in read("The cell may have pink granules.")} == {"generic"}
