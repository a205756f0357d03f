"""`hemasynth mlm`: from `leukemiaattri`, in a corpus or its own pages, to the raw tree `leukemiaattri-mlm`."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hemadata.atomic import write_text

from hemasynth import sessions
from hemasynth.engines.base import Engine
from hemasynth.journal import Journal, shard_path
from hemasynth.ladder import Progress, journal_path
from hemasynth.lexicon import load
from hemasynth.mlm.fields import SOURCE, read_fields
from hemasynth.mlm.length import counter
from hemasynth.mlm.plan import SENTENCES
from hemasynth.mlm.run import MlmOutcome, MlmRun

SLUG = "leukemiaattri-mlm"
SUBSET = "H_100X_C2"
BLANKS, ITEMS = "blanks.jsonl", "items.jsonl"


def write(
    engine: Engine,
    corpus: Path,
    raw: Path,
    seed: int = 0,
    sentences: int = SENTENCES,
    subset: str = SUBSET,
    t5: Path | None = None,
    progress: Progress | None = None,
    labels: Path | None = None,
    shard: tuple[int, int] = (1, 1),
) -> tuple[MlmOutcome, Path]:
    """Write masked sentences for fields as a raw tree.

    Args:
        engine: writes the sentences.
        corpus: read through `hemadata.open`.
        raw: the tree is `raw/leukemiaattri-mlm/hemasynth`; journal, `items.jsonl` (the plan) and `blanks.jsonl` (every
            blank, with how often it is guessed without the picture) stand beside it.
        seed: of plan and requests.
        sentences: how many.
        subset: of leukemiaattri.
        t5: folder of the reader's tokenizer; without one, length is bounded from characters.
        progress: told how many sentences are decided, and of how many.
        labels: LeukemiaAttri's pages, in place of the corpus.
        shard: (k, n): write only this part, into a journal of its own and no tree. A later call without a shard takes
            over all such journals, writes what is missing, and the tree.

    Returns:
        What was written, and where.
    """
    from hemadata.formats import sentences as table

    count, gate = counter(t5)
    found = read_fields(corpus, load(SOURCE), subset, labels)
    common = journal_path(raw, SLUG)
    run = MlmRun(engine, seed, count, gate)
    folder = raw / SLUG / "hemasynth"
    with Journal(shard_path(common, shard)) as journal:
        if shard[1] == 1:
            journal.adopt()
        try:
            outcome = run.write(found, journal, sentences, progress, shard)
        finally:
            if run.session.replies:
                sessions.append(common.with_name(sessions.NAME), run.session)
        if shard[1] == 1:
            write_lines(common.with_name(BLANKS), outcome.blanks)
            write_lines(common.with_name(ITEMS), outcome.items)
            table.write(folder, outcome.run, outcome.rows)
    return outcome, folder


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write_text(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
