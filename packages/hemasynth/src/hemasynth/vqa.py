"""`hemasynth vqa`: from `wbcatt` in a corpus, or its label tables, to the raw tree `wbcatt-vqa` and into the corpus."""

from pathlib import Path

from hemasynth import records, sessions
from hemasynth.corpora import opened
from hemasynth.engines.base import Engine
from hemasynth.journal import Journal, shard_path
from hemasynth.labels import read_labels
from hemasynth.ladder import Progress, journal_path
from hemasynth.plan import Cell, cells
from hemasynth.run import Outcome, Run

SOURCE, SLUG, PICTURES = "wbcatt", "wbcatt-vqa", "acevedo"


def read_cells(corpus: Path, labels: Path | None = None) -> list[Cell]:
    """Read the cells of `wbcatt`.

    Args:
        corpus: read through `hemadata.open`.
        labels: WBCAtt's tables, in place of the corpus.

    Raises:
        InputMissingError: there is no corpus, or it has no `wbcatt`; or there are no tables.
    """
    if labels is not None:
        return read_labels(labels)
    otherwise = f"\nor read WBCAtt's tables without a corpus: --labels raw/{SOURCE}"
    with opened(corpus, SOURCE, otherwise) as found:
        return list(cells(found, SOURCE))


def write(
    engine: Engine,
    corpus: Path,
    raw: Path,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress | None = None,
    labels: Path | None = None,
    shard: tuple[int, int] = (1, 1),
    times: int = 1,
) -> tuple[Outcome, Path]:
    """Write question-answer pairs for the cells of a corpus as a raw tree.

    Args:
        engine: writes the pairs.
        corpus: read through `hemadata.open`.
        raw: the tree is `raw/wbcatt-vqa/hemasynth`; its journal stands beside it.
        seed: of plan and requests.
        limit: only so many cells.
        progress: told how many pairs are decided, and of how many.
        labels: WBCAtt's tables, in place of the corpus.
        shard: (k, n): write only this part, into a journal of its own and no tree. A later call without a shard takes
            over all such journals, writes what is missing, and the tree.
        times: so many times the paper's number of pairs.

    Returns:
        What was written, and where.
    """
    from hemadata.formats import pairs

    found = read_cells(corpus, labels)
    common = journal_path(raw, SLUG)
    run = Run(engine, seed, times=times)
    with Journal(shard_path(common, shard)) as journal:
        if shard[1] == 1:
            journal.adopt()
            records.write(common.with_name(records.NAME), found)
        try:
            outcome = run.write(found, journal, limit, progress, shard)
        finally:
            if run.session.replies:
                sessions.append(common.with_name(sessions.NAME), run.session)
        folder = raw / SLUG / "hemasynth"
        if shard[1] == 1:
            pairs.write(folder, outcome.run, outcome.pairs)
    return outcome, folder
