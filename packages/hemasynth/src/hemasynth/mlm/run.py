"""One run for masked sentences: ladder, journal and resume as in `hemasynth.run`; its own plan, checks and rows."""

import hashlib
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
from hemasynth.lexicon import Lexicon, load
from hemasynth.mlm import blind, masking, prompt
from hemasynth.mlm.check import FieldChecker, subject
from hemasynth.mlm.fields import Field
from hemasynth.mlm.length import Counter as TokenCounter
from hemasynth.mlm.length import bound, fits
from hemasynth.mlm.plan import SENTENCES, Item, plan
from hemasynth.mlm.template import MlmTemplates, write
from hemasynth.run import BATCH, LADDER, Attempt, Progress

SHORTEST = 4  # attempts that the templates have: the last writes the shortest sentence


class Draft(BaseModel):
    """A reply in the form that the schema asks for."""

    model_config = ConfigDict(extra="forbid")
    cell_types: list[str]
    sentence: str


@dataclass
class MlmOutcome:
    """What a run wrote: the content of `run.json`, the rows of `texts.parquet`, and every blank with its guess."""

    run: dict[str, Any]
    rows: list[dict[str, Any]] = field(repr=False)
    blanks: list[dict[str, Any]] = field(repr=False)


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

    def settings(self) -> dict[str, Any]:
        """Return what two runs must share to write the same sentences."""
        return {
            "source": "leukemiaattri",
            "task": "mlm",
            "engine": self.engine.name,
            "model": self.engine.model,
            "revision": getattr(self.engine, "revision", None),
            "weights": getattr(self.engine, "weights", None),
            "seed": self.seed,
            "versions": {"hemasynth": version("hemasynth")},
            "lexicon": self.lexicon.digest,
            "prompt": prompt.digest() if self.engine.needs_prompt else None,
            "length_gate": self.length_gate,
            "ladder": [vars(attempt) for attempt in LADDER],
        }

    def write(
        self, fields: Iterable[Field], journal: Journal, sentences: int = SENTENCES, progress: Progress | None = None
    ) -> MlmOutcome:
        """Write the sentences of all fields into the journal, and return them from there.

        Raises:
            EngineMissingError, EngineError: the engine fails; the journal keeps what was done.
        """
        items = plan(fields, self.seed, sentences, self._possible)
        settings = json.dumps(self.settings(), sort_keys=True)
        keys = {item.id: _key(settings, item) for item in items}
        known = [entry for entry in journal.entries if keys.get(entry["id"]) == entry["key"]]
        decided = {entry["id"] for entry in known if "row" in entry}
        refused: dict[str, list[list[str]]] = {}
        for entry in known:
            if "row" not in entry:
                refused.setdefault(entry["id"], []).append(entry["gates"])
        pending = [item for item in items if item.id not in decided]
        if pending:
            self.engine.start()
        for number, attempt in enumerate(LADDER):
            batch: list[Entry] = []
            waiting = [item for item in pending if len(refused.get(item.id, [])) == number]
            requests = (self._request(item, number, attempt, refused.get(item.id, [])) for item in waiting)
            try:
                for reply in self.engine.generate(requests):
                    batch.append(self._entry(reply, keys))
                    if len(batch) == BATCH:
                        self._keep(batch, journal, decided, refused)
                        if progress is not None:
                            progress(len(decided), len(items))
            finally:
                self._keep(batch, journal, decided, refused)
            pending = [item for item in pending if item.id not in decided]
        last = [self._last_resort(item, keys[item.id]) for item in pending]
        self._keep(last, journal, decided, refused)
        return self._outcome(items, keys, journal)

    # -- one sentence ------------------------------------------------------------------------------

    @staticmethod
    def _keep(batch: list[Entry], journal: Journal, decided: set[str], refused: dict[str, list[list[str]]]) -> None:
        if batch:
            journal.append(batch)
        for entry in batch:
            if "row" in entry:
                decided.add(entry["id"])
            else:
                refused.setdefault(entry["id"], []).append(entry["gates"])
        batch.clear()

    def _request(self, item: Item, number: int, attempt: Attempt, refused: Sequence[Sequence[str]]) -> Request:
        carried: Any = item  # engines read prompt and schema alone
        if not self.engine.needs_prompt:
            return Request(carried, attempt=number)
        text = prompt.render(item, refused[-1] if refused else ())
        seed = (item.seed + number) % 2**31
        schema = prompt.schema(item, self.lexicon)
        return Request(carried, text, schema, attempt.temperature, attempt.top_p, seed, attempt=number)

    def _entry(self, reply: Reply, keys: dict[str, str]) -> Entry:
        item: Any = reply.request.item
        number = reply.request.attempt
        entry: dict[str, Any] = {"id": item.id, "key": keys[item.id], "attempt": number}
        entry |= {"tokens_in": reply.tokens_in, "tokens_out": reply.tokens_out}
        sentence, gates = self._read(item, reply)
        if gates:
            return {**entry, "text": reply.text, "finish_reason": reply.finish_reason, "gates": gates}
        origin = "template" if self.engine.name == "template" else ("model_repaired" if number else "model")
        return {**entry, "row": {"text": sentence, "origin": origin, "generated_by": reply.model or self.engine.model}}

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

    def _last_resort(self, item: Item, key: str) -> Entry:
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
        entries = [entry for entry in journal.entries if keys.get(entry["id"]) == entry["key"]]
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
            "split": _count(row["split"] for row in rows),
            "style": _count(item.topic.style for item, _ in masked),
            "origin": _count(row["origin"] for row in rows),
            "refusals": _count(gate for entry in entries for gate in entry.get("gates", ())),
            "blind_fill": blind.rates(model, held_out),
            "hard_blanks": sum(blank["guessable"] < blind.EASY for blank in blanks),
        }
        return MlmOutcome({**self.settings(), "counts": counts}, rows, blanks)


def _key(settings: str, item: Item) -> str:
    facts = [
        (label, item.field.counts[label], sorted(item.field.records[label].attributes.items()))
        for label, _ in item.topic.uses
    ]
    return hashlib.sha256(f"{settings}{facts}{item.topic}{item.seed}".encode()).hexdigest()[:16]


def _row(item: Item, masked: masking.Masked, origin: str) -> dict[str, Any]:
    return {
        "image_id": item.field.image_id,
        "text": masked.text,
        "masked_text": masked.masked_text,
        "target": masked.target,
        "answers": [masked.text[span.start : span.end] for span in masked.spans],
        "span_starts": [span.start for span in masked.spans],
        "span_ends": [span.end for span in masked.spans],
        "attributes": [span.attribute for span in masked.spans],
        "origin": origin,
        "split": item.split,
        "group": item.field.group,
    }


def _count(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))
