"""Words that no lexicon has, in the place of a value: "the texture of the cytoplasm is hairy" denies both textures."""

from typing import TYPE_CHECKING

from hemasynth.lexicon import Statement, Values

if TYPE_CHECKING:
    from hemasynth.syntax import Sentence

# words that tell no value, whatever is asked about
_VAGUE = frozenset(
    """
    normal visible typical notable noteworthy remarkable striking interesting good fine similar same different
    unusual unknown uniform variable varied various distinctive characteristic expected evident obvious
    recognisable unclear given shown seen here there well quite very rather somewhat as follows below above
    described important relevant informative helpful diagnostic following unremarkable specific consistent
    comparable related usual common rare unique special listed recorded annotated noted known reported asked
    question average such so not also too thus like this that these those image picture cell one way hard easy
    difficult able worth beautiful nice
    """.split()  # noqa: SIM905
)


def unheard(sentence: "Sentence") -> tuple[int, Statement] | None:
    """Return the place of an unknown word that is all that is said of a property, and what it claims.

    Only "<noun> <property> is <word>", "the <property> of the <noun> is <word>" and "the <noun> is shaped like a
    <word>" are read so, and only where nothing else of the sentence is known.
    """
    if any(sentence.kind(i) in ("value", "alone", "hedge", "habit", "than", "how") for i in range(len(sentence.terms))):
        return None
    verb = next((i for i, kind in enumerate(sentence.kinds) if kind == "be"), None)
    if verb is None:
        return None
    nouns = [sentence.noun(i) for i in range(verb) if sentence.noun(i)]
    shaped = sentence.word(verb + 1) == "shaped like" or sentence.word(verb) in ("shaped like", "formed like")
    words = [sentence.word(i) for i in range(verb)]
    place = verb + 1 + (sentence.word(verb + 1) == "shaped like")
    while sentence.kind(place) == "determiner":
        place += 1
    for noun in reversed(nouns):
        for name, attribute in sentence.lexicon.properties.get(noun, {}).items():
            told = name in words or (shaped and name == "shape")
            if told and place == len(sentence.terms) - 1 and sentence.kind(place) == "other":
                word = sentence.word(place)
                if word not in _VAGUE and word.isalpha() and len(word) > 3 and not word.endswith("ly"):
                    return place, Statement(attribute, Values([word]))
    return None
