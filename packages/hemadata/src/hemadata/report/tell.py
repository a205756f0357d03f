"""What `hemadata report` and `hemadata stats` say."""

from pathlib import Path

from hemadata.console import emit, progress_bar, say
from hemadata.corpus import Corpus
from hemadata.report import write


def report(path: Path, full: bool, as_json: bool) -> None:
    """Write the page and tell where it is."""
    with progress_bar("steps", quiet=as_json) as progress, Corpus(path) as corpus:
        written = write.report(corpus, full=full, progress=progress)
    if as_json:
        told = {"page": str(written.page), "bytes": written.bytes, "thumbnails": written.thumbnails}
        emit(told | {"pages": written.pages, "new": written.is_new})
        return
    pages = f", {written.pages:,} pages with all pictures in {written.page.parent}/gallery/" if written.pages else ""
    state = "" if written.is_new else "  (up to date)"
    say(f"{written.page}  {written.bytes / 1e6:.1f} MB, {written.thumbnails:,} pictures{pages}{state}")


def stats(path: Path, as_json: bool) -> None:
    """Print the figures: all of them as JSON, the main ones for a person."""
    with progress_bar("shards", quiet=as_json) as progress, Corpus(path) as corpus:
        told = write.figures(corpus, progress)
    if as_json:
        emit(told)
        return
    say(f"Corpus {told['corpus_id']}: {told['images']:,} images, {told['objects']:,} objects")
    for name, source in told["sources"].items():
        parts = "  ".join(f"{split} {count:,}" for split, count in source["splits"].items() if count)
        objects = "" if source["objects"] is None else f"  {source['objects']:,} objects"
        say(f"{name}  {source['task']}  {source['images']:,} images{objects}  {source['classes']} classes  {parts}")
    say(f"Everything else: {path}/reports/stats.json")
