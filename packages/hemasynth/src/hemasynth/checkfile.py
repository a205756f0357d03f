"""`hemasynth check`: lines of a file, in our form or other people's, against their records."""

from collections.abc import Mapping
from functools import cache

from hemadata import ontology

from hemasynth.errors import RecordError
from hemasynth.faithful import Checker, Record, Report
from hemasynth.lexicon import SOURCES, load


@cache
def checker(source: str) -> Checker:
    """Return the checker of a source."""
    return Checker(load(source))


def record(source: str, label: object, attributes: Mapping[str, object], where: str = "this line") -> Record:
    """Read a record in the source's words or published codes; a code or word for "unknown" is left out.

    Raises:
        RecordError: a name or a value that the source does not have.
    """
    vocabulary = ontology.load().morphology(source).attributes
    by_name = {key: attribute for attribute in vocabulary.values() for key in (attribute.name, attribute.key)}
    known: dict[str, str] = {}
    for name, value in attributes.items():
        attribute = by_name.get(str(name))
        if attribute is None:
            raise RecordError(f'{where}: {source} has no attribute "{name}"; it has {", ".join(vocabulary)}.')
        word = str(value).strip()
        if word.lstrip("-").isdigit() and attribute.codes:
            word = attribute.codes.get(int(word)) or ""
        if value is None or word.lower() in ("", "unknown", "none", "null", "not applicable", "n/a"):
            continue
        if word.lower() not in attribute.values:
            raise RecordError(f'{where}: {attribute.name} is "{value}"; {source} knows {", ".join(attribute.values)}.')
        known[attribute.name] = word.lower()
    return Record(None if label in (None, "") else str(label), known)


def judge(line: Mapping[str, object], where: str = "this line") -> tuple[Record, Report]:
    """Return the record of a line and what the checker finds.

    Args:
        line: `{"id", "source", "attributes", "label", "question", "answer"}`, or `text` in place of the last two.
        where: names the line in messages.

    Raises:
        RecordError: a field is missing or of another type.
    """
    source, attributes = line.get("source", "wbcatt"), line.get("attributes")
    if source not in SOURCES:
        raise RecordError(f"{where}: source is {source!r}; the checker knows {', '.join(SOURCES)}.")
    if not isinstance(attributes, Mapping):
        raise RecordError(f"{where}: expected attributes as an object of names and values.")
    if not ("text" in line or ("question" in line and "answer" in line)):
        raise RecordError(f"{where}: expected question and answer, or text.")
    facts = record(str(source), line.get("label"), attributes, where)
    if line.get("text") is not None:
        return facts, checker(str(source)).text(facts, str(line["text"]))
    return facts, checker(str(source)).pair(facts, str(line["question"]), str(line["answer"]))


def check_line(line: Mapping[str, object], where: str = "this line") -> dict[str, object]:
    """Judge one line.

    Returns:
        `{"id", "verdict", "claims": [{"attribute", "value", "polarity", "part", "span", "words", "verdict"}]}`.

    Raises:
        RecordError: a field is missing or of another type.
    """
    return told(line, judge(line, where)[1])


def told(line: Mapping[str, object], report: Report) -> dict[str, object]:
    """Return what `hemasynth check --json` prints for a line."""
    claims = [
        {
            "attribute": one.claim.attribute or None,
            "value": " | ".join(sorted(one.claim.values)) or None,
            "polarity": "positive" if one.claim.polarity else "negative",
            "part": one.part,
            "span": list(one.claim.span),
            "words": one.claim.words,
            "verdict": one.verdict,
        }
        for one in report.claims
    ]
    return {"id": line.get("id"), "verdict": report.verdict, "claims": claims}
