"""`hemasynth mlm`: from `leukemiaattri` in a corpus to the raw tree `leukemiaattri-mlm`."""

import json
from pathlib import Path

from hemadata.atomic import write_text

from hemasynth.engines.base import Engine
from hemasynth.journal import Journal
from hemasynth.lexicon import load
from hemasynth.mlm.fields import SOURCE, read_fields
from hemasynth.mlm.length import counter
from hemasynth.mlm.plan import SENTENCES
from hemasynth.mlm.run import MlmOutcome, MlmRun
from hemasynth.run import Progress, journal_path

SLUG = "leukemiaattri-mlm"
SUBSET = "H_100X_C2"
BLANKS = "blanks.jsonl"


def write(
    engine: Engine,
    corpus: Path,
    raw: Path,
    seed: int = 0,
    sentences: int = SENTENCES,
    subset: str = SUBSET,
    t5: Path | None = None,
    progress: Progress | None = None,
) -> tuple[MlmOutcome, Path]:
    """Write masked sentences for the fields of a corpus as a raw tree.

    Args:
        engine: writes the sentences.
        corpus: read through `hemadata.open`.
        raw: the tree is `raw/leukemiaattri-mlm/hemasynth`; journal and `blanks.jsonl` (every blank, with how often
            it is guessed without the picture) stand beside it.
        seed: of plan and requests.
        sentences: how many.
        subset: of leukemiaattri.
        t5: folder of the reader's tokenizer; without one, length is bounded from characters.
        progress: told how many sentences are decided, and of how many.
    """
    from hemadata.formats import sentences as table

    count, gate = counter(t5)
    found = read_fields(corpus, load(SOURCE), subset)
    path = journal_path(raw, SLUG)
    with Journal(path) as journal:
        outcome = MlmRun(engine, seed, count, gate).write(found, journal, sentences, progress)
        write_text(
            path.with_name(BLANKS), "".join(json.dumps(blank, sort_keys=True) + "\n" for blank in outcome.blanks)
        )
        folder = raw / SLUG / "hemasynth"
        table.write(folder, outcome.run, outcome.rows)
    return outcome, folder
