"""Questions, and short answers that are complete only with them: "No.", "It does not.", "The latter.", "Neither."."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hemasynth import wording
from hemasynth.claims import Claim
from hemasynth.lexicon import Lexicon
from hemasynth.syntax import Sentence
from hemasynth.tokens import sentences


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
    found = wording.WORD.match(answer)
    if found is not None:
        return Reply(found["yes"] is not None, (found["no"] or "").lower().startswith("neither"), found.end())
    found = wording.VERB_ALONE.match(answer) if verb_alone else None
    return None if found is None else Reply(found["no"] is None, False, found.end())


def hedged(answer: str) -> int:
    """Return where the rest of an answer begins that neither says yes nor no: "Possibly yes, ..."; 0 where it does."""
    found = wording.HEDGED.match(answer)
    return 0 if found is None else found.end()


def sense(answer: str) -> Reply | None:
    """Return the yes or no of a short answer that no form knows: "I can confirm that.", "It's not.", "It has both."."""
    words = answer.lower()
    if len(words.split()) > wording.SHORT_REPLY:
        return None
    if wording.DENIES.search(answer):
        return Reply(False, "both" in words or "either" in words or "all" in words.split(), len(answer))
    return Reply(True, False, len(answer)) if wording.AFFIRMS.search(answer) else None


def turns(question: str, answer: str) -> bool:
    """Tell whether an answer names what is not there: "What is missing from the cell?" - "Granules."."""
    asked = wording.LACKS.search(question) is not None and not closed(question)
    return asked and wording.LACKING.search(answer) is None


def closed(question: str) -> bool:
    """Tell whether a question asks for yes or no."""
    return any(form.search(question) for form in (wording.ASKS, wording.TAG)) or any(
        form.match(question) for form in (wording.TRUE_OR_FALSE, wording.ANY)
    )


def positive(question: str) -> str:
    """Blank the "n't" of "Isn't the cell round?" and the "not" of "Is the cell not round?": "yes" means that it is."""
    if (asked := wording.NOT_ASK.search(question)) is not None:
        return question[: asked.end() - 3] + "   " + question[asked.end() :]
    return wording.NEGATIVE_ASK.sub(lambda match: match[1] + " " * len(match[2]), question)


def unnegated(question: str, answer: str) -> str:
    """Blank the negation of "it has no granules, has it?" unless the answer is a bare "yes", which may agree."""
    if wording.POSITIVE_TAG.search(question) is None or wording.BARE_YES.match(answer):
        return question
    return wording.NEGATION.sub(lambda match: " " * len(match[0]), question, count=1)


def dialogue(text: str) -> list[tuple[int, str, str]]:
    """Part a text that asks and replies to itself into turns: where each begins, its question, its answer.

    Empty unless every question is one for yes or no that is replied to: "No granules, right? Right, not one."
    """
    found: list[tuple[int, str, str]] = []
    start, parts = 0, text.split("?")
    for at, part in enumerate(parts[:-1]):
        following = parts[at + 1]
        last = at + 2 == len(parts)
        match = None if last else wording.LAST_SENTENCE.match(following)
        answer = following if last else following[: match.end()] if match else ""
        question = text[start : sum(map(len, parts[: at + 1])) + at + 1]
        if not closed(split(question)[1]) and not closed(question):
            return []
        if not part.strip() or reply(answer, verb_alone=True) is None:
            return []
        found.append((start, question, answer))
        start += len(question) + len(answer)
    return found


def split(question: str) -> tuple[int, str]:
    """Split a question into the length of what is said before, and its last sentence."""
    if (tag := wording.TAG.search(question)) is not None and tag.start() > 0:
        question = question[: tag.start()]
        before = wording.LAST_SENTENCE.match(question)
        return (before.end() if before else 0), question[before.end() if before else 0 :]
    match = wording.LAST_SENTENCE.match(question.rstrip())
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


def answers_only(claims: Sequence[Claim], asked: Sequence[Claim]) -> list[Claim]:
    """Leave out what "none" says beyond its question: no coarse granules is not no granules."""
    if not any(claim.kind == "said" for claim in asked):
        return list(claims)
    beyond = {claim.span for claim in claims if claim.kind == "none"}
    return [claim for claim in claims if claim.span not in beyond]


def turned(claim: Claim) -> Claim:
    """Return the claim with the other polarity."""
    return replace(claim, polarity=not claim.polarity)
