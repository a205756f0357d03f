"""Values of the cell that stand before any noun: "big, round, nucleus bilobed", "rounded in outline, with ..."."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hemasynth.claims import Reader

_OUTER = frozenset({"outline", "silhouette", "contour", "shape", "size", "profile", "form"})
_LIST = ("value", "alone", "other")


def of_cell(reader: "Reader", at: int) -> bool:
    """Tell whether a value is the cell's because no noun has been named that it could belong to."""
    if reader.context not in ("", "cell") or any(reader.noun(i) for i in range(at)):
        return False
    if not reader.reading(reader.terms[at].entry.readings, "cell"):
        return False
    return _in_outline(reader, at) or _of_outline(reader, at) or _before_list(reader, at)


def _in_outline(reader: "Reader", at: int) -> bool:
    """Recognise "rounded in outline, with ...": no noun owns the outline."""
    owned = reader.sentence.word(at + 3 + (reader.kind(at + 4) in ("have", "with"))) in ("of", "and")
    return reader.sentence.word(at + 1) == "in" and reader.sentence.word(at + 2) in _OUTER and not owned


def _of_outline(reader: "Reader", at: int) -> bool:
    """Recognise "while the outline is irregular, the nucleus ..."."""
    verb = at - 1
    while reader.kind(verb) in ("other", "not_predicate", "determiner"):
        verb -= 1
    bare = reader.kind(verb - 2) in ("end", "determiner", "break", "and")
    return (
        reader.kind(verb) == "be"
        and reader.sentence.word(verb - 1) in _OUTER
        and bare
        and reader.kind(at + 1) != "with"
    )


def _before_list(reader: "Reader", at: int) -> bool:
    """Recognise "big, irregular, with a bilobed nucleus" and "big, round, nucleus bilobed"."""
    opening = all(reader.kind(i) in _LIST or reader.sentence.word(i) in (",", ":") for i in range(at))
    end = at + 1
    while reader.kind(end) in _LIST or reader.sentence.word(end) == ",":
        end += 1
    if not opening or reader.sentence.word(end - 1) != ",":
        return False
    if reader.kind(end) in ("with", "have"):
        return reader.sentence.word(end) in ("with", "having", "showing", "containing")
    while reader.noun(end + 1):
        end += 1
    return bool(reader.noun(end)) and reader.kind(end + 1) in ("value", "alone")
