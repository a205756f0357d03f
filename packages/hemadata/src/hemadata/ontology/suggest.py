"""The second half of a message about an unknown name: what was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str], limit: int = 12) -> str:
    """Say which known names are nearest, or list the first `limit` known ones where none is near.

    Returns:
        Text that follows the unknown name and ends the sentence, such as `. Did you mean neutrophil or basophil?`.
    """
    names = list(known)
    folded = {text.casefold(): text for text in reversed(names)}
    if close := [folded[text] for text in get_close_matches(name.casefold(), folded, n=3)]:
        return f". Did you mean {', '.join(close[:-1])}{' or ' if close[1:] else ''}{close[-1]}?"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return f". Known are: {', '.join(names[:limit])}{more}."
