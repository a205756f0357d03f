"""Questions, and short answers that are complete only with them: "No.", "It does not.", "The latter.", "Neither."."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hemasynth.claims import Claim
from hemasynth.lexicon import Lexicon
from hemasynth.syntax import Sentence
from hemasynth.tokens import sentences

_IT_IS = r"(?:that|this|it)(?: is|['\u2019]s)"
_YES = (
    rf"yes|yeah|yep|yup|indeed|correct|certainly|{_IT_IS} (?:right|correct|true|so|accurate|the case)|right|true"
    "|(?:i )?agree|i do|[ty](?=\W*$)|quite|very|extremely|highly|decidedly|markedly|absolutely|affirmative|(?:most|very) (?:certainly|definitely|much so)|quite so|agreed|of course|exactly|precisely"
    "|definitely|sure|surely|both(?: are| of them)?"
)
_NO = (
    "no|nope|nah|none|[fn](?=\W*$)|far from (?:it|that)|anything but|not in the (?:least|slightest)|in no way|hardly|scarcely|not (?:remotely|exactly|true)|nothing of the (?:sort|kind)|(?:i )?disagree|i do not agree|i don['\u2019]t agree|false|not at all|not really|certainly not|absolutely not|incorrect|by no means|definitely not"
    "|not (?:a single )?(?:one|any)|negative|never|wrong|untrue|not so|not quite|on the contrary|not in this (?:cell|case|image|one)|not here"
    rf"|of course not|{_IT_IS} (?:wrong|false|incorrect|untrue|not (?:so|right|true|correct|the case))"
    "|neither(?: is| are| of them| of the two)?"
)
_WORD = re.compile(
    rf"\s*(?:(?P<yes>{_YES})|(?P<no>{_NO}))"
    r"\b(?=\s*(?:[,.;:!\u2014\u2013-]|$|it\b|they\b|there\b|this\b|the\b|that\b))",
    re.IGNORECASE,
)
# a pronoun or noun with a verb and nothing else: "It does.", "They are not, ...", "The cell hasn't."
_VERB_ALONE = re.compile(
    r"\s*(?:it|they|this|that|there|i|we|one|(?:the|this|these|its)(?:\s+[a-z]+){1,2}?)"
    r"(?:\s+(?:certainly|indeed|clearly|definitely|really|in fact|most certainly))?"
    r"\s+(?:is|are|was|were|does|do|did|has|have|ca(?=n['\u2019]t)|can|could|would|will)"
    r"(?P<no>\s*n['\u2019]t|\s*not|\s+never)?(?:\s+(?:indeed|so|at all|be))?\s*(?=[,.;!\u2014\u2013]|$)",
    re.IGNORECASE,
)
_HEDGED = re.compile(
    r"\s*(?:possibly|maybe|perhaps|probably|presumably|conceivably|potentially|(?:most |very |quite |un)?likely"
    r"|i (?:think|guess|suppose|believe|assume|would guess)|(?:it|they|that|this) (?:may|might|could)(?: well| very well)?(?: be)?"
    r"|it is (?:possible|likely|probable)|could be|might be|may be|(?:it is )?(?:hard|difficult) to (?:say|tell)"
    r"|(?:i am |i'm |it is )?not (?:entirely |quite |completely )?(?:sure|certain)|(?:it is )?(?:uncertain|unclear))"
    r"(?:[\s,]+(?:yes|no|not|so|yeah))?\s*(?=[,.;!\u2014\u2013-]|$|but\b)",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"\s*(?:(?:it|that)\s+(?:is|would be)\s+|i would say\s+)?(?:the\s+)?"
    r"(?:(?P<first>former|first(?: one| option)?)|(?P<last>latter|second(?: one| option)?|last(?: one)?))"
    r"\s*(?=[,.;!]|$)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"\s*(?:(?:option|answer|choice)\s+)?\(?([a-f])\)?\s*[.!]?\s*$", re.IGNORECASE)  # "(c)"
_SHORT_REPLY = 8  # words of an answer that says yes or no in words of its own
_LACKS = re.compile(
    r"\bwh(?:at|ich)\b.*\b(?:missing|absent|lack|lacks|lacking|not (?:there|present|seen|found|visible|contained?))\b",
    re.IGNORECASE,
)
_LACKING = re.compile(r"\b(?:absent|missing|lack\w*|without|no|not|none|nothing|free)\b|n['\u2019]t\b", re.IGNORECASE)
_ANY = re.compile(r"\s*(?:so |and |then )?(?:any|some)\b", re.IGNORECASE)  # "Any granules?"
_ASKS = re.compile(
    r"(?:^|[,:]\s*)(?:and\s+)?(?:is|are|was|were|does|do|did|has|have|can|could|would|should|may|might|will|am)(?:n['\u2019]t)?\b",
    re.IGNORECASE,
)
# a statement with a question behind or before it: "The cell is big. Agree?", "True or false: the cell is big."
_TAG = re.compile(
    r"(?:^|[.,;!:]\s+|\s[\u2014\u2013-]\s*)(?:(?:do|would) you )?(?:agree(?: or disagree)?|right(?: or wrong)?|correct(?: or (?:not|incorrect))?"
    r"|true(?: or (?:false|not))?|yes or no|t ?/ ?f|is (?:that|this|it) (?:so|right|correct|true|the case|accurate)(?: or not)?"
    r"|(?:is|are|does|do|has|have)n['\u2019]t (?:it|they)|(?:is|are|does|do|has|have) (?:it|they)(?: not)?)\s*\?\s*$",
    re.IGNORECASE,
)
_TRUE_OR_FALSE = re.compile(
    r"\s*(?:true or false|yes or no|t ?/ ?f|right or wrong|agree or disagree|correct or (?:not|incorrect))\b",
    re.IGNORECASE,
)
_NEGATIVE_ASK = re.compile(
    r"^(\s*(?:is|are|was|were|do|does|did|has|have|ca|could|would))(n['\u2019]t)\b", re.IGNORECASE
)
_LAST_SENTENCE = re.compile(r"(?:.*[.!;]\s+)?", re.DOTALL)


@dataclass(frozen=True)
class Reply:
    """What stands at the head of an answer.

    Attributes:
        yes: True or False.
        each: whether "no" is said of each thing asked ("Neither.") and not of all together.
        end: where the rest of the answer begins.
    """

    yes: bool
    each: bool
    end: int


def reply(answer: str, *, verb_alone: bool) -> Reply | None:
    """Return the yes or no that an answer begins with, in whichever words; None where it begins otherwise."""
    found = _WORD.match(answer)
    if found is not None:
        return Reply(found["yes"] is not None, (found["no"] or "").lower().startswith("neither"), found.end())
    found = _VERB_ALONE.match(answer) if verb_alone else None
    return None if found is None else Reply(found["no"] is None, False, found.end())


def hedged(answer: str) -> int:
    """Return where the rest of an answer begins that neither says yes nor no: "Possibly yes, ..."; 0 where it does."""
    found = _HEDGED.match(answer)
    return 0 if found is None else found.end()


_DENIES = re.compile(
    r"\b(?:no|not|never|none|neither|nor|cannot|without|wrong|false|incorrect|untrue|deny|disagree|refute|hardly|unfortunately|nope)\b|n['\u2019]t\b",
    re.IGNORECASE,
)
_AFFIRMS = re.compile(
    r"\b(?:yes|yeah|yep|confirm|confirmed|both|all|agree|indeed|sure|correct|right|true|does|do|is|are|has|have|can|exactly|affirmative|undoubtedly|definitely|certainly|absolutely|so|ok|okay|bet)\b",
    re.IGNORECASE,
)


def sense(answer: str) -> Reply | None:
    """Return the yes or no of a short answer that no form knows: "I can confirm that.", "It's not.", "It has both."."""
    words = answer.lower()
    if len(words.split()) > _SHORT_REPLY:
        return None
    if _DENIES.search(answer):
        return Reply(False, "both" in words or "either" in words or "all" in words.split(), len(answer))
    return Reply(True, False, len(answer)) if _AFFIRMS.search(answer) else None


def turns(question: str, answer: str) -> bool:
    """Tell whether an answer names what is not there: "What is missing from the cell?" - "Granules."."""
    asked = _LACKS.search(question) is not None and not closed(question)
    return asked and _LACKING.search(answer) is None


def closed(question: str) -> bool:
    """Tell whether a question asks for yes or no."""
    return any(form.search(question) for form in (_ASKS, _TAG)) or any(
        form.match(question) for form in (_TRUE_OR_FALSE, _ANY)
    )


def positive(question: str) -> str:
    """Blank the "n't" of "Isn't the cell round?": "yes" means that it is."""
    return _NEGATIVE_ASK.sub(lambda match: match[1] + " " * len(match[2]), question)


def split(question: str) -> tuple[int, str]:
    """Split a question into the length of what is said before, and its last sentence."""
    if (tag := _TAG.search(question)) is not None and tag.start() > 0:
        question = question[: tag.start()]
        before = _LAST_SENTENCE.match(question)
        return (before.end() if before else 0), question[before.end() if before else 0 :]
    match = _LAST_SENTENCE.match(question.rstrip())
    lead = match.end() if match else 0
    return lead, question[lead:]


def focus(text: str, lexicon: Lexicon) -> list[str]:
    """Return what a question is about, the likeliest first: nouns of properties, then parts, then the cell."""
    found: list[tuple[int, int, str]] = []
    for terms, _ in sentences(text, lexicon):
        sentence = Sentence(terms, lexicon)
        for at in range(len(terms)):
            noun = sentence.noun(at)
            if not noun or noun == "bystander" or sentence.noun(at + 1):
                continue
            near = any(sentence.kind(at + i) in ("property", "size") for i in (1, -1, -2, -3))
            found.append((0 if near and noun != "cell" else 1 if noun != "cell" else 2, at, noun))
    return [noun for _, _, noun in sorted(found)]


def chosen(answer: str, offered: Sequence[Claim]) -> str | None:
    """Return the words that "the former" or "the latter" stands for: the first or last of "clear or frosted"."""
    match, letter = _CHOICE.match(answer), _LETTER.match(answer)
    words = next((claim.words for claim in offered if " or " in claim.words), None)
    if words is None or (match is None and letter is None):
        return None
    choices = re.split(", | or ", words)
    if letter is not None:
        at = "abcdef".index(letter[1].lower())
        return choices[at] if at < len(choices) else None
    return choices[0 if match and match["first"] else -1]


def answers_only(claims: Sequence[Claim], asked: Sequence[Claim]) -> list[Claim]:
    """Leave out what "none" says beyond its question: no coarse granules is not no granules."""
    if not any(claim.kind == "said" for claim in asked):
        return list(claims)
    beyond = {claim.span for claim in claims if claim.kind == "none"}
    return [claim for claim in claims if claim.span not in beyond]


def turned(claim: Claim) -> Claim:
    """Return the claim with the other polarity."""
    return replace(claim, polarity=not claim.polarity)
