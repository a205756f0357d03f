"""Is a text English? Models trained on many languages slip, and Latin letters alone do not tell."""

import re

from hemasynth.lexicon import Lexicon


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH = _words("""
a an and are as at be by can cell could describe do does for from has have how in is it its look name no not of on or
shape show shown shows size tell that the there this to type what which white with yes you
""")
_OTHER = _words("""
al aucun avec aux che chez com comme como con cuál cual cuáles dal das de dei del della dem den der des di die
dieser diese dieses do dos du e é è ein eine einem einer eines el ella en es est et existe forma gli il in ist
kein keine la las le les lo los más mit na nel nella no não o os para pas por pour qu qual quale qué que
quel quelle quelles quels são se sem sich sind sin son sont su sur tiene uma un una und une uno vom von welche
welcher welches wie y zu zum zur
""")
SHORT = 3  # words: "Light blue." is no sentence in any language


def english(text: str, lexicon: Lexicon) -> bool:
    """Tell whether a text is English: more of its words are English, or of the lexicon, than of another language.

    A text of up to `SHORT` words always counts as such.
    """
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) <= SHORT:
        return True
    other = [word for word in words if word in _OTHER and word not in _ENGLISH]
    own = sum(word in _ENGLISH or (word not in _OTHER and lexicon.fold(word) in lexicon.words) for word in words)
    return own > len(other)
