"""Is a sentence true of its cell? Claims (`claims.py`) against the record, and the gates that a pair must pass."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hemasynth import choices, replies
from hemasynth.alternatives import offered
from hemasynth.claims import Claim, read
from hemasynth.lexicon import Lexicon, Statement, Values, load

VERDICTS = ("supported", "generic", "undecided", "unsupported", "contradicted")  # from best to worst
GATES = (
    "empty", "language", "length", "sentence", "contradicted", "unsupported", "undecided", "generic", "yes_no", "leak",
    "asked", "off_topic", "uses",
)  # fmt: skip

_FLIPPED = {"supported": "contradicted", "contradicted": "supported"}
MAX_WORDS = 45  # the reader of the pairs cuts at 64 T5 tokens; the words of this field take about 1.3 each


@dataclass(frozen=True)
class Record:
    """What experts say of one cell.

    Attributes:
        label: the cell type as an ontology node; None where it is not known.
        attributes: value by attribute name, in the spelling of the source.
    """

    label: str | None
    attributes: Mapping[str, str]

    def value(self, name: str) -> str | None:
        """Return an attribute's value, or the cell type under the name "label"."""
        if name == "label":
            return None if self.label is None else self.label.strip().lower().replace(" ", "_")
        return self.attributes.get(name)


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict; `part` is "question", "answer" or "text", where the span lies."""

    claim: Claim
    verdict: str
    part: str


@dataclass(frozen=True)
class Report:
    """What the checker found.

    Attributes:
        claims: every claim with its verdict.
        gates: the codes of the gates that refuse the pair, in the order of `GATES`; empty when it passes.
    """

    claims: tuple[Judged, ...]
    gates: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The worst verdict of all claims; "undecided" when nothing is claimed."""
        return max((judged.verdict for judged in self.claims), key=VERDICTS.index, default="undecided")

    @property
    def passed(self) -> bool:
        """Tell whether no gate refuses."""
        return not self.gates


@dataclass
class Checker:
    """Compares text with records, in the words of one lexicon."""

    lexicon: Lexicon = field(default_factory=load)

    def text(self, record: Record, text: str) -> Report:
        """Judge a free text, such as a caption."""
        turns = replies.dialogue(text) if "?" in text else []
        if turns:
            return Report(tuple(each for turn in turns for each in self._turn(record, *turn)))
        return Report(tuple(self._judge(record, claim, "text") for claim in read(text, "", self.lexicon)))

    def _turn(self, record: Record, start: int, question: str, answer: str) -> Iterable[Judged]:
        """Yield what a question and its reply within a text say, with their place in the text."""
        for one in self.pair(record, question, answer).claims:
            at = start if one.part == "question" else start + len(question)
            span = (one.claim.span[0] + at, one.claim.span[1] + at)
            yield replace(one, claim=replace(one.claim, span=span), part="text")

    def pair(
        self,
        record: Record,
        question: str,
        answer: str,
        asked: str | None = None,
        uses: Iterable[tuple[str, str]] = (),
    ) -> Report:
        """Judge a question with its answer and try every gate.

        Args:
            record: the cell.
            question: the question; what an open one presupposes is a claim as well.
            answer: the answer.
            asked: the attribute that the answer must state ("label" for the cell type); None when it is free.
            uses: (name, value) that the pair says it states.
        """
        offer = choices.offer(replies.unnegated(question, answer))
        lead, main = replies.split(offer.question)
        said_before = self._judged(record, offer.question[:lead], "question")
        premise = self._judged(record, replies.positive(main), "question", shift=lead)
        closed = replies.closed(main) or replies.closed(offer.question[lead:])
        reply = replies.reply(answer, verb_alone=closed)
        topic = replies.focus(question, self.lexicon)
        asked_for = [one.claim for one in premise]
        doubt = replies.hedged(answer) if closed and reply is None else 0
        start = reply.end if reply else doubt
        rest = choices.chosen(answer, offer, asked_for) or " " * start + answer[start:]
        context = self._anchor(asked) or "|".join(dict.fromkeys([*topic, "cell"]))
        states = self._judged(record, rest, "answer", context, asked_for if reply else ())
        if any(one.claim.attribute == "label" and one.verdict == "generic" for one in premise):
            states = [replace(one, verdict="generic") if one.verdict != "undecided" else one for one in states]
        if (
            closed
            and reply is None
            and not doubt
            and not any(one.claim.attribute or one.verdict == "unsupported" for one in states)
        ):
            reply = replies.sense(answer)
            states = [] if reply else states
        if replies.turns(question, answer):
            states = [_denied(one, _FLIPPED.get(one.verdict, one.verdict)) for one in states]
        wrong = False
        if reply is not None:
            replied = _replied(premise, reply)
            wrong = not closed or not replied
            states = [*replied, *states]
            presupposed = said_before
        elif doubt:
            states = [*(replace(one, verdict="generic", part="answer") for one in premise), *states]
            presupposed = said_before
        elif closed:
            presupposed = said_before  # "is it round?" - "it is irregular": the question claims nothing
        else:
            presupposed = [*said_before, *(judged for judged in premise if not self._mentions_only(judged.claim))]
        judged = [*presupposed, *states]
        found = set(_form(question, answer))
        found |= {one.verdict for one in judged} - {"supported"}
        if wrong:
            found.add("yes_no")
        if asked is not None and not self._stated(record, asked, states):
            found.add("asked")
        if asked is not None and topic and self._off_topic(asked, topic):
            found.add("off_topic")
        if self._leaks(record, asked, presupposed, closed) or (not closed and _plain(answer) in _plain(question)):
            found.add("leak")
        if not all(record.value(name) == value and self._stated(record, name, judged) for name, value in uses):
            found.add("uses")
        return Report(tuple(judged), tuple(gate for gate in GATES if gate in found))

    # -- claims against the record -----------------------------------------------------------------

    def _judged(
        self,
        record: Record,
        text: str,
        part: str,
        context: str = "",
        asked: Sequence[Claim] = (),
        shift: int = 0,
    ) -> list[Judged]:
        found = []
        claims = read(text, context, self.lexicon)
        for claim in offered(claims) if part == "question" else replies.answers_only(claims, asked):
            if part == "question" and claim.force == "undecided":
                continue  # "big or small?" waits for its answer
            if part == "question" and claim.force == "generic":
                claim = replace(claim, force="fact")  # "which type is most likely?": the question hedges, not the claim
            if shift:
                claim = replace(claim, span=(claim.span[0] + shift, claim.span[1] + shift))
            found.append(self._judge(record, claim, part))
        return found

    @staticmethod
    def _judge(record: Record, claim: Claim, part: str) -> Judged:
        truth = record.value(claim.attribute)
        if claim.force == "undecided":
            verdict = "undecided"
        elif claim.force in ("generic", "habit"):
            verdict = "generic"
        elif claim.force == "foreign" or truth is None:
            verdict = "unsupported"
        else:
            verdict = "supported" if (truth in claim.values) == claim.polarity else "contradicted"
        return Judged(claim, verdict, part)

    def _stated(self, record: Record, name: str, judged: Iterable[Judged]) -> bool:
        """Tell whether a supported claim leaves no value but the record's: "segmented" does not state "bilobed"."""
        truth = record.value(name)
        for one in judged:
            claim = one.claim
            if claim.attribute == name and one.verdict == "supported":
                left = claim.values if claim.polarity else self.lexicon.complement(name, claim.values)
                if left == Values([truth or ""]):
                    return True
        return False

    def _leaks(self, record: Record, asked: str | None, presupposed: Sequence[Judged], closed: bool) -> bool:
        return asked is not None and any(
            one.claim.attribute == asked and one.verdict == "supported" and one.claim.polarity for one in presupposed
        )

    def _anchor(self, asked: str | None) -> str:
        if asked is None:
            return ""
        return "cell" if asked == "label" else self.lexicon.anchor[asked]

    def _mentions_only(self, claim: Claim) -> bool:
        """Tell whether an open question only names a thing: "what colour are the granules?" can mean none."""
        return claim.kind == "exists" and Statement(claim.attribute, claim.values) in self.lexicon.exists.values()

    def _off_topic(self, asked: str, topic: Sequence[str]) -> bool:
        if asked == "label":
            return False
        wanted = self.lexicon.places[asked] | {
            noun for noun, said in self.lexicon.exists.items() if said.attribute == asked
        }
        return wanted.isdisjoint(topic)


def _replied(premise: Sequence[Judged], reply: replies.Reply) -> list[Judged]:
    """Turn a premise and "yes" or "no" into what the answer claims; "no" denies the conjunction, not each part."""
    if reply.yes:
        return list(premise)
    false = [one for one in premise if one.verdict == "contradicted"]
    if false and not reply.each:
        return [_denied(one, "supported") for one in false if one.claim.kind != "implied"] or list(false[:1])
    return [_denied(one, _FLIPPED.get(one.verdict, one.verdict)) for one in premise]


def _denied(judged: Judged, verdict: str) -> Judged:
    return Judged(replies.turned(judged.claim), verdict, judged.part)


def _form(question: str, answer: str) -> Iterable[str]:
    for text in (question, answer):
        if not text.strip():
            yield "empty"
        if any(char.isalpha() and not unicodedata.name(char, "").startswith("LATIN") for char in text if char > "\x7f"):
            yield "language"
        if len(text.split()) > MAX_WORDS:
            yield "length"
    if not question.rstrip().endswith(("?", ".")) or not answer.rstrip().endswith((".", "!")):
        yield "sentence"


def _plain(text: str) -> str:
    return " " + " ".join(re.findall(r"\w+", text.lower())) + " "
