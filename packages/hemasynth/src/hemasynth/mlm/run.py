"""One run for masked sentences: its own plan, checks and rows on the common ladder (`hemasynth.ladder`)."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from hemasynth.claims import Claim
from hemasynth.engines.base import Engine, Reply, Request
from hemasynth.faithful import Judged
from hemasynth.journal import Entry, Journal
from hemasynth.ladder import LADDER, Attempt, Gates, Progress, climb, counted, hashed, origin, valid
from hemasynth.lexicon import Lexicon, load
from hemasynth.mlm import blind, masking, prompt
from hemasynth.mlm.check import FieldChecker, subject
from hemasynth.mlm.fields import Field
from hemasynth.mlm.length import Counter as TokenCounter
from hemasynth.mlm.length import bound, fits
from hemasynth.mlm.plan import SENTENCES, Item, plan
from hemasynth.mlm.template import MlmTemplates, write
from hemasynth.sessions import Session

SHORTEST = 4  # attempts that the templates have: the last writes the shortest sentence


class Draft(BaseModel):
    """A reply in the form that the schema asks for."""

    model_config = ConfigDict(extra="forbid")
    cell_types: list[str]
    sentence: str


@dataclass
class MlmOutcome:
    """What a run wrote.

    Attributes:
        run: the content of `run.json`.
        rows: of `texts.parquet`, sorted by the id of their item.
        blanks: every blank with its guess.
        items: the plan, with the key of each item: what report and export look up.
    """

    run: dict[str, Any]
    rows: list[dict[str, Any]] = field(repr=False)
    blanks: list[dict[str, Any]] = field(repr=False)
    items: list[dict[str, Any]] = field(repr=False, default_factory=list)


@dataclass
class MlmRun:
    """Everything that decides what is written.

    Args:
        engine: writes; its requests carry items of `mlm.plan`.
        count: counts the tokens of a text; with `length_gate`, what it is.
    """

    engine: Engine
    seed: int = 0
    count: TokenCounter = bound
    length_gate: str = "bound"
    lexicon: Lexicon = field(default_factory=lambda: load("leukemiaattri"))

    def __post_init__(self) -> None:
        self.checker = FieldChecker(self.lexicon)
        self.session = Session(self.engine.name, self.engine.model)

    def settings(self) -> dict[str, Any]:
        """Return what two runs must share to write the same sentences."""
        return {
            "source": "leukemiaattri",
            "task": "mlm",
            "engine": self.engine.name,
            "model": self.engine.model,
            "revision": getattr(self.engine, "revision", None),
            "weights": getattr(self.engine, "weights", None),
            "constraint": getattr(self.engine, "constraint", None),
            "seed": self.seed,
            "versions": {"hemasynth": version("hemasynth")},
            "lexicon": self.lexicon.digest,
            "prompt": prompt.digest() if self.engine.needs_prompt else None,
            "length_gate": self.length_gate,
            "ladder": [vars(attempt) for attempt in LADDER],
        }

    def write(
        self,
        fields: Iterable[Field],
        journal: Journal,
        sentences: int = SENTENCES,
        progress: Progress | None = None,
        shard: tuple[int, int] = (1, 1),
    ) -> MlmOutcome:
        """Write the sentences of all fields into the journal, and return them from there.

        Args:
            fields: what is described.
            journal: open; entries of an earlier run with the same settings are kept and not written again.
            sentences: how many are wanted.
            progress: told how many are decided, and of how many.
            shard: (k, n): only every n-th sentence from the k-th on, for n processes with a journal each.

        Raises:
            EngineMissingError, EngineError: the engine fails; the journal keeps what was done.
        """
        items = plan(fields, self.seed, sentences, self._possible)[shard[0] - 1 :: shard[1]]
        keys = hashed(((item.id, _facts(item)) for item in items), self.settings())
        climb(self, items, keys, journal, progress)
        return self._outcome(items, keys, journal)

    # -- one sentence ------------------------------------------------------------------------------

    def request(self, item: Item, number: int, attempt: Attempt, refused: Sequence[Gates]) -> Request:
        """Return the request for a sentence on a rung of the ladder."""
        carried: Any = item  # engines read prompt and schema alone
        if not self.engine.needs_prompt:
            return Request(carried, attempt=number)
        text = prompt.render(item, refused[-1] if refused else ())
        seed = (item.seed + number) % 2**31
        schema = prompt.schema(item, self.lexicon)
        return Request(carried, text, schema, attempt.temperature, attempt.top_p, seed, attempt=number)

    def entry(self, reply: Reply, key: str) -> Entry:
        """Judge a reply: an entry with its row, or with the gates that refuse it."""
        item: Any = reply.request.item
        number = reply.request.attempt
        entry: dict[str, Any] = {"id": item.id, "key": key, "attempt": number}
        entry |= {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out}
        sentence, gates = self._read(item, reply)
        if gates:
            return {**entry, "text": reply.text, "finish_reason": reply.finish_reason, "gates": gates}
        writer = reply.model or self.engine.model
        row = {"text": sentence, "origin": origin(self.engine, writer, number), "generated_by": writer}
        return {**entry, "row": row}

    def _read(self, item: Item, reply: Reply) -> tuple[str, list[str]]:
        if reply.finish_reason != "stop":
            return "", ["truncated" if reply.finish_reason == "length" else "failed"]
        try:
            draft = Draft.model_validate(json.loads(reply.text, strict=False), strict=True)
        except (ValueError, ValidationError, RecursionError):
            return "", ["schema"]
        sentence = " ".join(draft.sentence.split())
        return sentence, self._gates(item, sentence)

    def _gates(self, item: Item, sentence: str) -> list[str]:
        report = self.checker.text(item.field, sentence)
        gates = list(report.gates)
        if not gates and not set(item.topic.uses) <= self._stated(report.claims, sentence):
            gates.append("asked")
        if not gates:
            masked = masking.mask(sentence, masking.choose(self._spans(item.field, sentence), Counter()))
            if not masked.spans:
                gates.append("unmaskable")
            elif not fits(sentence, masked.masked_text, masked.target, self.count):
                gates.append("length")
        return gates

    def _possible(self, item: Item) -> bool:
        return any(not self._gates(item, write(item, attempt)) for attempt in range(SHORTEST - 1, -1, -1))

    def last_resort(self, item: Item, key: str) -> Entry:
        """Write from frames what the engine could not, each attempt shorter."""
        entry = {"id": item.id, "key": key, "attempt": len(LADDER)}
        gates: list[str] = []
        for attempt in range(SHORTEST):
            sentence = write(item, attempt)
            gates = self._gates(item, sentence)
            if not gates:
                row = {"text": sentence, "origin": "template", "generated_by": MlmTemplates.model}
                return {**entry, "row": row, "gates": []}
        return {**entry, "row": None, "gates": gates}

    def _stated(self, judged: Sequence[Judged], sentence: str) -> set[tuple[str, str]]:
        """Return what a sentence says of which type, in the form of `Topic.uses`."""
        label_of = self._labels([one.claim for one in judged], sentence)
        return {(label_of.get(one.claim.span, ""), one.claim.attribute) for one in judged if one.verdict == "supported"}

    def _spans(self, field_: Field, sentence: str) -> list[masking.Span]:
        """Return what may be masked in a sentence."""
        report = self.checker.text(field_, sentence)
        label_of = self._labels([judged.claim for judged in report.claims], sentence)
        return masking.maskable(sentence, report.claims, label_of)

    @staticmethod
    def _labels(found: Sequence[Claim], sentence: str) -> dict[tuple[int, int], str]:
        """Return the cell type that each claim is about, by its span."""
        claims = tuple(found)
        label_of: dict[tuple[int, int], str] = {}
        for claim in claims:
            label = claim if claim.attribute == "label" else subject(claim, claims, sentence)
            if claim.attribute == "count":
                label = next(
                    (each for each in claims if each.attribute == "label" and each.span[0] > claim.span[0]), None
                )
            if label is not None and len(label.values) == 1:
                label_of[claim.span] = next(iter(label.values))
        return label_of

    # -- from the journal --------------------------------------------------------------------------

    def _outcome(self, items: Sequence[Item], keys: dict[str, str], journal: Journal) -> MlmOutcome:
        entries = valid(journal.entries, keys)
        written = {entry["id"]: entry["row"] for entry in entries if entry.get("row")}
        used: Counter[tuple[str, str]] = Counter()
        masked: list[tuple[Item, masking.Masked]] = []
        for item in items:
            if item.id in written:
                text = written[item.id]["text"]
                masked.append((item, masking.mask(text, masking.choose(self._spans(item.field, text), used))))
        model = blind.fit(span for item, each in masked if item.split == "train" for span in each.spans)
        held_out = [span for item, each in masked if item.split == "test" for span in each.spans]
        blanks = [
            {
                "id": item.id,
                **vars(span),
                "guess": blind.guess(model, span)[0],
                "guessable": blind.guess(model, span)[1],
            }
            for item, each in masked
            for span in each.spans
        ]
        rows = [_row(item, each, written[item.id]["origin"]) for item, each in masked]
        counts = {
            "fields": len({item.field.image_id for item in items}),
            "planned": len(items),
            "sentences": len(rows),
            "refused": len(items) - len(rows),
            "split": counted(row["split"] for row in rows),
            "style": counted(item.topic.style for item, _ in masked),
            "origin": counted(row["origin"] for row in rows),
            "refusals": counted(gate for entry in entries for gate in entry.get("gates", ())),
            "blind_fill": blind.rates(model, held_out),
            "hard_blanks": sum(blank["guessable"] < blind.EASY for blank in blanks),
        }
        told = [_told(item, keys[item.id]) for item in items]
        return MlmOutcome({**self.settings(), "counts": counts}, rows, blanks, told)


def _facts(item: Item) -> str:
    """Return all that the text of an item depends on."""
    facts = [
        (label, item.field.counts[label], sorted(item.field.records[label].attributes.items()))
        for label, _ in item.topic.uses
    ]
    return f"{facts}{item.topic}{item.seed}"


def _told(item: Item, key: str) -> dict[str, Any]:
    labels = sorted({label for label, _ in item.topic.uses})
    return {
        "id": item.id,
        "key": key,
        "image_id": item.field.image_id,
        "group": item.field.group,
        "split": item.split,
        "style": item.topic.style,
        "uses": [list(use) for use in item.topic.uses],
        "facts": {label: dict(item.field.records[label].attributes) for label in labels},
        "counts": dict(item.field.counts),
    }


def _row(item: Item, masked: masking.Masked, written: str) -> dict[str, Any]:
    return {
        "image_id": item.field.image_id,
        "text": masked.text,
        "masked_text": masked.masked_text,
        "target": masked.target,
        "answers": [masked.text[span.start : span.end] for span in masked.spans],
        "span_starts": [span.start for span in masked.spans],
        "span_ends": [span.end for span in masked.spans],
        "attributes": [span.attribute for span in masked.spans],
        "origin": written,
        "split": item.split,
        "group": item.field.group,
    }
