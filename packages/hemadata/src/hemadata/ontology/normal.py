"""The one way to compare raw names."""

import unicodedata

_TO_BLANK = str.maketrans("_-\u2010", "   ")  # NFKC turns the non-breaking hyphen into U+2010


def normalise(raw: str) -> str:
    """Fold a raw name for comparison: NFKC, caseless, underscores and hyphens as blanks, single blanks, no ends."""
    folded = unicodedata.normalize("NFKC", raw)
    while folded != (again := unicodedata.normalize("NFKC", folded.casefold())):
        folded = again  # folding case can leave letters that NFKC composes again
    return " ".join(folded.translate(_TO_BLANK).split())
