import pytest
from hemasynth.language import english
from hemasynth.lexicon import load


@pytest.mark.parametrize(
    "text",
    [
        "What is the shape of the nucleus?",
        "One sees coarse, purple granules.",
        "Light blue.",
        "No.",
        "Neutrophil, segmented, multilobed nucleus.",
    ],
)
def test_english_passes(text: str) -> None:
    assert english(text, load())


@pytest.mark.parametrize(
    "text",
    [
        "¿Cuál es la forma del núcleo de esta célula?",
        "Der Kern der Zelle ist rund und segmentiert.",
        "Le noyau de la cellule est irrégulier.",
        "Il nucleo della cellula è rotondo.",
        "O núcleo da célula é redondo.",
    ],
)
def test_other_languages_do_not(text: str) -> None:
    assert not english(text, load())
