"""Takes the marks of lists, tables and pages out of a text, character for character, so that spans stay true."""

import re

PRESENT, ABSENT = "\u2295", "\u2296"  # what "vac +" and "vac -" become; the lexicon has both
_POSSESSIVE = re.compile(r"(?<=\w)'(s\b|(?=\s|$))")
_TAG = re.compile(r"</?(?P<name>[a-z]{1,6})\s*/?>", re.IGNORECASE)
_LINE = re.compile(r"\n(?=\s*(?:[-*\u2022#]|\(?\d{1,2}[.)]|\(?[a-z]\)|[A-Z]))")  # a new line that is no mere wrap
_NUMBERED = re.compile(r"(?:^|(?<=[\s;:]))\d{1,2}[.)](?=\s+[*_]*[A-Z])")  # "1. Nucleus: ... 2. Cytoplasm: ..."
_COUNTED = re.compile(r"(?:(?<=\s)|^)(?:\((?:\d{1,2}|[a-h]|[ivx]{1,4})\)|(?:\d{1,2}|[a-h]|[ivx]{1,4})\))(?=\s)")
_BULLET = re.compile(r"[\u2022\u25aa\u25cf\u25e6\u2023\u00b7|](?=\s|$)")  # "big | round": cells of a row
_SIGN = re.compile(r"(?<=[A-Za-z:])(\s?\(?)(\+{1,4}|[-\u2212\u2013]{1,2})(\)?)(?=\s*(?:[,.;|)/]|$))")
_ENDING_TAGS = frozenset({"br", "p", "li", "ul", "ol", "div", "tr", "td"})
_DASH = re.compile(r" - (?=(?:it|this|they|there|its|the|that|which|or|no|sorry|rather) )", re.IGNORECASE)
_BRACKETS = re.compile(r"\([^()]*\)")
_SHORTENED = re.compile(r"(?<=[a-z])\.(?=\s*,)")  # "nucleolus inconspic., vacuoles none"
_ROW = re.compile(r"(?:^|: )(?:[^/.;?]+ [^/.;?]+(?: / |[.]?$)){3,}")  # "vacuoles no / texture clear / granules red"
_TURN = re.compile(r";(?=\s+(?:instead|rather)\b)", re.IGNORECASE)  # "one would expect ...; instead ..."


def plain(text: str) -> str:
    """Return a text of the same length in which every item of a list is a sentence and every sign a word."""
    plain = text.replace("\u2019", "'").replace("\u2236", ":")
    plain = _DASH.sub(" \u2014 ", plain)
    plain = _POSSESSIVE.sub(lambda match: " " * len(match.group()), plain)
    plain = _BRACKETS.sub(lambda match: match.group().replace(";", ","), plain)
    plain = _TURN.sub(",", _SHORTENED.sub(" ", plain))
    if "+" in plain or "-" in plain or "\u2212" in plain or "\u2013" in plain:
        plain = _SIGN.sub(_sign, plain)
    if plain.count(" / ") > 1 and _ROW.search(plain.strip()):
        plain = plain.replace(" / ", " ; ")
    plain = _BULLET.sub(";", plain)
    if "<" in plain:
        plain = _TAG.sub(
            lambda match: (";" if match["name"].lower() in _ENDING_TAGS else " ").ljust(len(match[0])), plain
        )
    if "\n" in plain:
        plain = _LINE.sub(";", plain)
    if len(_NUMBERED.findall(plain)) > 1:
        plain = _NUMBERED.sub(lambda match: ";".ljust(len(match[0])), plain)
    if ")" in plain and len(_COUNTED.findall(plain)) > 1:
        plain = _COUNTED.sub(_counted, plain)
    return plain


def _sign(match: re.Match[str]) -> str:
    sign = PRESENT if match[2][0] == "+" else ABSENT
    return sign.rjust(len(match[1]) + 1).ljust(len(match[0]))


def _counted(match: re.Match[str]) -> str:
    """Part "Findings: (1) big; (2) round" into sentences, and leave "(a) big and (b) round" one sentence."""
    before = match.string[: match.start()].rstrip()
    return (" " if before and before[-1].isalnum() else ";").ljust(len(match[0]))
