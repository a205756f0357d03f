"""The forms of questions and of short answers (`replies.py`), as regular expressions."""

import re


def _any(*words: str) -> str:
    return "|".join(words)


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_NT = r"n['\u2019]t"
_IT = r"(?:that|this|it)"
_IT_IS = rf"{_IT}(?: is|['\u2019]s)"
_IS_DOES = "is|are|was|were|does|do|did|has|have"
_YES = _any(
    "yes", "yeah", "yep", "yup", "indeed", "correct", "certainly", "right", "true", "(?:i )?agree", "i do", "agreed",
    rf"{_IT_IS} (?:right|correct|true|so|accurate|the case)", r"[ty](?=\W*$)", "quite(?: so)?", "very", "extremely",
    "highly", "decidedly", "markedly", "absolutely", "affirmative", "(?:most|very) (?:certainly|definitely|much so)",
    "of course", "exactly", "precisely", "definitely", "sure", "surely", "both(?: are| of them)?",
)  # fmt: skip
_NO = _any(
    "no", "nope", "nah", "none", r"[fn](?=\W*$)", "far from (?:it|that)", "anything but", "in no way", "hardly",
    "scarcely", "not in the (?:least|slightest)", "not (?:remotely|exactly|true)",
    "nothing of the (?:sort|kind)", "(?:i )?disagree",
    f"i do(?: not|{_NT}) agree", "false", "not at all", "not really", "certainly not", "absolutely not", "incorrect",
    "by no means", "definitely not", "not (?:a single )?(?:one|any)", "negative", "never", "wrong", "untrue", "not so",
    "not quite", "on the contrary", "not in this (?:cell|case|image|one)", "not here", "of course not",
    rf"{_IT_IS} (?:wrong|false|incorrect|untrue|not (?:so|right|true|correct|the case))",
    "neither(?: is| are| of them| of the two)?",
)  # fmt: skip
WORD = _compiled(
    rf"\s*(?:(?P<yes>{_YES})|(?P<no>{_NO}))"
    r"\b(?=\s*(?:[,.;:!\u2014\u2013-]|$|it\b|they\b|there\b|this\b|the\b|that\b))"
)
# a pronoun or noun with a verb and nothing else: "It does.", "They are not, ...", "The cell hasn't."
VERB_ALONE = _compiled(
    r"\s*(?:it|they|this|that|there|i|we|one|(?:the|this|these|its)(?:\s+[a-z]+){1,2}?)"
    r"(?:\s+(?:certainly|indeed|clearly|definitely|really|in fact|most certainly))?"
    rf"\s+(?:{_IS_DOES}|ca(?={_NT})|can|could|would|will)"
    rf"(?P<no>\s*{_NT}|\s*not|\s+never)?(?:\s+(?:indeed|so|at all|be))?\s*(?=[,.;!\u2014\u2013]|$)"
)
_DOUBT = _any(
    "possibly", "maybe", "perhaps", "probably", "presumably", "conceivably", "potentially",
    "(?:most |very |quite |un)?likely", "i (?:think|guess|suppose|believe|assume|would guess)",
    "(?:it|they|that|this) (?:may|might|could)(?: well| very well)?(?: be)?", "could be", "might be", "may be",
    "it is (?:possible|likely|probable)", "(?:it is )?(?:hard|difficult) to (?:say|tell)",
    "(?:i am |i'm |it is )?not (?:entirely |quite |completely )?(?:sure|certain)", "(?:it is )?(?:uncertain|unclear)",
)  # fmt: skip
HEDGED = _compiled(rf"\s*(?:{_DOUBT})(?:[\s,]+(?:yes|no|not|so|yeah))?\s*(?=[,.;!\u2014\u2013-]|$|but\b)")
_PLACE = "(?P<place>first|former|second|latter|third|fourth|fifth|last|final)"
_HOLDS = r"(?:\s+(?:applies|fits|holds|is (?:right|correct|true|the (?:case|answer|right one))))?"
_CHOICES = "(?:options?|choices?|alternatives?|possibilities|possible (?:answers|values)|candidates|categories|classes)"
CHOICE = _compiled(
    rf"\s*(?:(?:definitely|clearly|certainly|surely|obviously),?\s+)?"
    rf"(?:(?:it|that)\s+(?:is|would be)\s+|i would say\s+)?(?:the\s+)?{_PLACE}"
    rf"(?:\s+(?:one|mentioned|named|{_CHOICES}|of (?:the|these|those) (?:two|three|four|{_CHOICES})))*"
    rf"{_HOLDS}\s*(?=[,.;!]|$)"
)
LETTER = _compiled(  # "(c)", "Statement B is true."
    r"\s*(?:(?:the )?(?:correct |right )?(?:option|answer|choice|statement|letter|number)\s*(?:is|:)?\s*)?"
    rf"\(?(?P<mark>[a-h]|[ivx]{{1,3}}|[1-8])\)?{_HOLDS}\s*[.!]?\s*$"
)
# the options of a question: their marks, their list, and how that is cut; an answer that lists them itself
MARKED = re.compile(r"(?:(?<=\s)|^)(?:\(?([a-h]|[ivx]{1,3}|[1-8])\)|([A-H])[:.])(?=\s)")
OFFERED = _compiled(
    rf"\b(?:{_CHOICES}(?:\s+(?:are|were|include))?\s*:|(?:choose|select|pick)(?:\s+one)?\s+(?:from|among|between|of)\s*:?)\s*([^?]+)"
)
EITHER = _compiled(r"(?<=:)\s*([^:?]*\bor\b[^:?]*)(?=\?)")
OPTION_CUT = _compiled(r"\s*[;,/|]\s*(?:or\s+|and\s+)?|\s+or\s+|\s+and\s+")
OPTION_EDGE = _compiled(r"^[\s,;:]+|[\s,;:.?!]+(?:(?:or|and)\s*)?$|\s+(?:or|and)\s*$")
OF_OPTIONS = _compiled(
    rf"\s*(?:out )?of (?:the |these |those )?(?:[a-z]+ )?{_CHOICES}[\s:,]+(?P<list>.+?),\s*"
    rf"(?:it is |i (?:would )?choose )?(?:the )?{_PLACE}\b[^,;]*$"
)

# a short answer that says yes or no in words of its own: "I can confirm that."
SHORT_REPLY = 8  # words
DENIES = _compiled(
    r"\b(?:no|not|never|none|neither|nor|cannot|without|wrong|false|incorrect|untrue|deny|disagree|refute|hardly"
    rf"|unfortunately|nope)\b|{_NT}\b"
)
AFFIRMS = _compiled(
    r"\b(?:yes|yeah|yep|confirm|confirmed|both|all|agree|indeed|sure|correct|right|true|does|do|is|are|has|have|can|exactly"
    r"|affirmative|undoubtedly|definitely|certainly|absolutely|so|ok|okay|bet)\b"
)

# questions: for what is not there, for yes or no, with the question behind or before a statement
LACKS = _compiled(
    r"\bwh(?:at|ich)\b.*\b(?:missing|absent|lack|lacks|lacking|not (?:there|present|seen|found|visible|contained?))\b"
)
LACKING = _compiled(rf"\b(?:absent|missing|lack\w*|without|no|not|none|nothing|free)\b|{_NT}\b")
ANY = _compiled(r"\s*(?:so |and |then )?(?:any|some)\b")  # "Any granules?"
ASKS = _compiled(rf"(?:^|[,:]\s*)(?:and\s+)?(?:{_IS_DOES}|can|could|would|should|may|might|will|am)(?:{_NT})?\b")
_TAGS = _any(
    "agree(?: or disagree)?", "right(?: or wrong)?", "correct(?: or (?:not|incorrect))?", "true(?: or (?:false|not))?",
    "yes or no", "t ?/ ?f", rf"is {_IT} (?:so|right|correct|true|the case|accurate)(?: or not)?",
    rf"(?:{_IS_DOES}){_NT} (?:it|they)", rf"(?:{_IS_DOES}) (?:it|they)(?: not)?",
)  # fmt: skip
TAG = _compiled(rf"(?:^|[.,;!:]\s+|\s[\u2014\u2013-]\s*)(?:(?:do|would) you )?(?:{_TAGS})\s*\?\s*$")
TRUE_OR_FALSE = _compiled(
    r"\s*(?:true or false|yes or no|t ?/ ?f|right or wrong|agree or disagree|correct or (?:not|incorrect))\b"
)
POSITIVE_TAG = _compiled(rf",\s*(?:{_IS_DOES}) (?:it|they|there)\s*\?\s*$")
NEGATION = _compiled(rf"{_NT}\b|\b(?:not(?: a| any)?|no)\b")
BARE_YES = _compiled(
    r"\s*(?:yes|right|correct|exactly|true|indeed|quite so|agreed)\s*"
    r"(?:[.!]|$|,.*(?:\b(?:no|not|none|nothing)\b|n['\u2019]t\b))"
)
NOT_ASK = _compiled(
    rf"^\s*(?:{_IS_DOES})\s[^,]*?\bnot\b(?!\s+(?:absent|missing|lacking|without|devoid|free|un|in|non))"
)
NEGATIVE_ASK = _compiled(rf"^(\s*(?:{_IS_DOES}|ca|could|would))({_NT})\b")
LAST_SENTENCE = re.compile(r"(?:.*[.!;]\s+)?", re.DOTALL)
