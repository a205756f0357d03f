"""`hemadata report` and `hemadata stats`: one pass over the annotations, then the files, and nothing when all stand."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from hemadata import schema
from hemadata.atomic import write_text
from hemadata.corpus import Corpus
from hemadata.errors import UsageError
from hemadata.report import page
from hemadata.report.choose import Candidate, Chooser
from hemadata.report.gallery import Record, by_shard, records
from hemadata.report.scan import shards
from hemadata.report.stats import stats, to_json
from hemadata.report.tally import Tally

THUMBNAILS = 1500
FULL_PAGE = 500  # pictures of one page of the full gallery

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Written:
    """What `report` has left.

    Args:
        page: its path.
        bytes: its size.
        thumbnails: pictures on it.
        pages: files of the full gallery.
        is_new: False where everything stood already.
    """

    page: Path
    bytes: int
    thumbnails: int
    pages: int
    is_new: bool


def figures(corpus: Corpus, progress: Progress | None = None) -> dict[str, Any]:
    """The figures of a corpus, and `reports/stats.json`; counted only where the corpus has changed."""
    path, state = corpus.path / "reports" / "stats.json", _State(corpus)
    if path.exists() and state.holds("stats", path):
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return told
    return _survey(corpus, 0, state, progress)[0]


def report(
    corpus: Corpus, thumbnails: int = THUMBNAILS, full: bool = False, progress: Progress | None = None
) -> Written:
    """Write `reports/index.html` and `reports/stats.json`, and with `full` the pages of `reports/gallery/`.

    Args:
        corpus: of which.
        thumbnails: at most so many pictures on the page.
        full: also write pages with every picture.
        progress: called with name, done, total.

    Raises:
        CorpusError: a shard, an image or `reports/leakage.csv` cannot be read.
        UsageError: more pictures than the page is made for.
    """
    if thumbnails > THUMBNAILS:
        raise UsageError(
            f"The page holds at most {THUMBNAILS:,} pictures; --full writes all of them to pages beside it."
        )
    path, state = corpus.path / "reports" / "index.html", _State(corpus)
    wanted = f"{thumbnails}{' full' if full else ''}"
    if path.exists() and state.holds("page", path, wanted):
        shown, pages = state.told["shown"], state.told["pages"]
        return Written(path, path.stat().st_size, shown, pages, is_new=False)
    told, chosen = _survey(corpus, thumbnails, state, progress)
    drawn = list(_drawn(corpus, chosen, progress))
    bare = len(page.render(told, [], corpus.ontology, len(drawn), full).encode())
    shown = page.fitting(drawn, page.PAGE_BYTES - bare - 20_000)  # room for the names of the classes
    text = page.render(told, shown, corpus.ontology, len(drawn), full)
    pages = _write_full(corpus, progress) if full else 0
    write_text(path, text)
    state.keep("page", path, wanted, shown=len(shown), pages=pages)
    return Written(path, len(text.encode()), len(shown), pages, is_new=True)


def _survey(
    corpus: Corpus, thumbnails: int, state: "_State", progress: Progress | None
) -> tuple[dict[str, Any], list[Candidate]]:
    """Count everything and choose the rows of the gallery, in one pass over the annotations."""
    tallies, chooser = {name: Tally() for name in corpus.manifests}, Chooser(thumbnails, len(corpus.manifests))
    for name, manifest in corpus.manifests.items():
        for done, (shard, table) in enumerate(shards(corpus.path, manifest), 1):
            tallies[name].add(shard.split, table)
            if thumbnails:
                chooser.add(name, shard.path, table)
            if progress:
                progress(f"count {name}", done, len(manifest.shards))
    path, text = corpus.path / "reports" / "stats.json", to_json(stats(corpus, tallies))
    write_text(path, text)
    state.keep("stats", path)
    return json.loads(text), chooser.chosen()  # as a program reads them: keys are strings


def _drawn(corpus: Corpus, chosen: list[Candidate], progress: Progress | None) -> Iterator[Record]:
    """Records of the chosen rows, in the order of choice."""
    found, grouped = dict[str, Record](), by_shard(chosen)
    for shard, wanted in sorted(grouped.items()):
        source = wanted[0].partition("/")[0]
        for record in records(corpus, source, shard, wanted):
            found[record["id"]] = record
            if progress:
                progress("draw", len(found), len(chosen))
    for _, sample_id, _ in chosen:
        yield found[sample_id]


def _write_full(corpus: Corpus, progress: Progress | None) -> int:
    """Pages with every picture of every source; the number of pages."""
    folder, named = corpus.path / "reports" / "gallery", set[str]()
    for source, manifest in corpus.manifests.items():
        every = _every(corpus, source)
        total = -(-manifest.images // FULL_PAGE)
        for number in range(1, total + 1):
            some = list(islice(every, FULL_PAGE))
            name = f"{source}-{number:04d}.html"
            write_text(folder / name, page.render_gallery_page(source, some, corpus.ontology, number, total), False)
            named.add(name)
            if progress:
                progress(f"pages {source}", number, total)
    for path in folder.glob("*.html"):
        if path.name not in named:
            path.unlink()
    return len(named)


def _every(corpus: Corpus, source: str) -> Iterator[Record]:
    for shard in corpus.manifests[source].shards:
        yield from records(corpus, source, shard.path, None)


class _State:
    """What the files in `reports/` were made from: a hash of the rows, the facts, the other reports and this code."""

    def __init__(self, corpus: Corpus) -> None:
        self._path = corpus.path / "reports" / ".made.json"
        digest = hashlib.sha256(f"{corpus.corpus_id} {schema.SCHEMA_VERSION} {corpus.version}".encode())
        inputs = [*sorted((corpus.path / "manifest").glob("*.json")), corpus.path / "reports" / "leakage.csv"]
        for path in [*inputs, *sorted(path for path in Path(__file__).parent.iterdir() if path.is_file())]:
            if path.exists():
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        self._inputs = digest.hexdigest()
        self.told: dict[str, Any] = {}

    def holds(self, what: str, path: Path, options: str = "") -> bool:
        """Whether the file was made from what stands now, with these options, and was not touched since."""
        try:
            self.told = json.loads(self._path.read_text(encoding="utf-8"))[what]
            return bool(self.told["made"] == self._mark(path, options))
        except (OSError, ValueError, KeyError, TypeError):  # none, or of another release: made again
            return False

    def keep(self, what: str, path: Path, options: str = "", **told: int) -> None:
        """Remember what a file was made from."""
        try:
            entries = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            entries = {}
        entries[what] = {"made": self._mark(path, options), **told}
        write_text(self._path, json.dumps(entries), durable=False)

    def _mark(self, path: Path, options: str) -> list[Any]:
        return [self._inputs, options, path.stat().st_size]
