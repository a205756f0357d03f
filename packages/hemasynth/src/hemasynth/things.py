"""What a text says by naming a thing: "has granules"; and the answers "none", "a few", "absent" about one."""

from dataclasses import replace
from typing import TYPE_CHECKING

from hemasynth.lexicon import FOREIGN, Statement, Values
from hemasynth.scope import IGNORED
from hemasynth.wrapping import wrapped

if TYPE_CHECKING:
    from hemasynth.claims import Claim, Reader

_BARE = frozenset({"absent", "present", "be", "other", "not_predicate"})  # an answer of "absent", "not seen"
_DEFINITE = frozenset({"the", "its", "these", "those", "their", "this"})
_NAMES = ("nucleus", "nuclear material", "cytoplasm")
_DENYING = ("not_predicate", "not_phrase")
_NONE = frozenset({"none", "nil", "zero", "0", "nothing"})
_SOME = frozenset({"some", "few", "a few", "several", "many", "plenty", "lots", "them", "numerous", "those"})


def answered(reader: "Reader") -> "tuple[int, Claim] | None":
    """Read "it has none" or "I do not see any" in answer to a question about things that may be there."""
    named = (reader.lexicon.exists[each] for each in reader.contexts if each in reader.lexicon.exists)
    statement = next(named, None)
    if statement is not None and _some(reader):
        return len(reader.terms) - 1, reader.claim(len(reader.terms) - 1, statement, kind="none")
    if (
        statement is not None
        and _NONE.isdisjoint(map(reader.sentence.word, range(len(reader.terms))))
        and all(kind in _BARE for kind in reader.sentence.kinds)
    ):
        return _presence(reader, statement)
    at = next((i for i in range(len(reader.terms)) if reader.sentence.word(i) in _NONE), None)
    last = len(reader.terms) - 1
    denied = not set(_DENYING).isdisjoint(reader.sentence.kinds)
    if reader.terms and reader.sentence.word(last) in ("any", "it", "them", "those", "such") and denied:
        at = last  # "I see none of them", "the cell is devoid of it"
    nouns = {reader.noun(i) for i in range(len(reader.terms))} - {""}
    if statement is None or at is None or not nouns <= {"cell", "cytoplasm", "nucleus"}:
        return None
    values = reader.lexicon.complement(statement.attribute, statement.values)
    twice = reader.sentence.word(at) not in _NONE and sum(kind in _DENYING for kind in reader.sentence.kinds) == 2
    if twice or wrapped(reader.sentence)[0][at]:
        values = statement.values  # "it does not lack them", "that it has none is not correct"
    return at, replace(reader.claim(at, Statement(statement.attribute, values), kind="none"), polarity=True)


def _some(reader: "Reader") -> bool:
    """Tell whether an answer says that there are some: "There are a few.", "The cell has them."."""
    last, words = len(reader.terms) - 1, {reader.sentence.word(i) for i in range(len(reader.terms))}
    nouns = {reader.noun(i) for i in range(len(reader.terms))} - {""}
    said = not {"be", "have", "present"}.isdisjoint(reader.sentence.kinds[:last])
    denied = not {"not_predicate", "not_phrase", "absent"}.isdisjoint(reader.sentence.kinds) or "none" in words
    return reader.sentence.word(last) in _SOME and said and not denied and nouns <= {"cell", "cytoplasm"}


def _presence(reader: "Reader", statement: Statement) -> "tuple[int, Claim] | None":
    """Read an answer of one word to "Vacuoles?": "Absent.", "Not seen.", "Present."."""
    kinds = reader.sentence.kinds
    at = next(
        (i for i, kind in enumerate(kinds) if kind in ("absent", "present") and reader.sentence.word(i) != "there"),
        None,
    )
    if at is None:
        return None
    absent = (kinds[at] == "absent") != ("not_predicate" in kinds[:at])
    values = reader.lexicon.complement(statement.attribute, statement.values) if absent else statement.values
    return at, replace(reader.claim(at, Statement(statement.attribute, values), kind="none"), polarity=True)


def existence(reader: "Reader", at: int, modified: set[int]) -> "Claim | None":
    """Read a noun that says something by being there: "has granules", "granules are absent"."""
    statement = reader.lexicon.exists.get(reader.noun(at))
    if reader.kind(at) == "anchor" and not reader.noun(at + 1) and reader.noun(at) in reader.lexicon.unrecorded:
        return reader.claim(at, FOREIGN, "foreign")
    if statement is None and reader.noun(at) in reader.lexicon.needs:
        return _needed(reader, at, modified)
    if statement is None or reader.noun(at + 1) or reader.sentence.force[at] == IGNORED:
        return None
    absent = reader.sentence.absent_after(at)
    denied = reader.sentence.denied[at] != absent
    if (denied and at in modified) or (not absent and reader.kind(at + 1) in ("property", "size")):
        return None  # "the granule type": only names it
    if denied and not absent and _presupposed(reader, at):
        return None  # "it is wrong to call the granules red" does not deny granules
    if (at, statement.attribute) in reader.described:
        return None  # "nucleoli are inconspicuous" does not say that there are nucleoli
    values = reader.lexicon.complement(statement.attribute, statement.values) if denied else statement.values
    claim = reader.claim(at, Statement(statement.attribute, values), kind="exists")
    return replace(claim, polarity=True)


def _presupposed(reader: "Reader", at: int) -> bool:
    """Tell whether a denied clause takes a thing as known: "whoever takes the granules for red is mistaken"."""
    clause = not {"not_clause", "not_before"}.isdisjoint(reader.sentence.kinds)
    definite = reader.sentence.word(at - 1) in _DEFINITE
    return clause and definite and any(noun == at for noun, _ in reader.described)


def _needed(reader: "Reader", at: int, modified: set[int]) -> "Claim | None":
    """Read the denial of what every cell has: "the cell has no nucleus"."""
    if reader.noun(at + 1) or not reader.sentence.word(at).endswith(_NAMES) or reader.sentence.force[at] == IGNORED:
        return None
    absent = reader.kind(at - 1 - (reader.kind(at - 1) == "determiner")) != "with" and reader.sentence.absent_after(at)
    ends = (
        reader.kind(at + 1 + (reader.kind(at + 2) == "present")) in ("end", "and", "break", "present", "other")
        and "relative" not in reader.sentence.kinds
    )
    denied = (
        reader.sentence.denied[at] and ends and at not in modified and reader.sentence.word(at - 1) not in _DEFINITE
    )
    if (
        absent == denied
        or at in modified
        or reader.sentence.word(at + 1) == ":"
        or any(noun == at for noun, _ in reader.described)
    ):
        return None
    claim = reader.claim(at, Statement(reader.lexicon.needs[reader.noun(at)], Values()), kind="exists")
    return replace(claim, polarity=True)
