"""`hemadata push` and `hemadata hydrate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hemadata.cli.options import CorpusArgument, Jobs, Json
from hemadata.console import complain, emit, progress_bar, say
from hemadata.errors import EXIT_DONE, EXIT_FINDINGS

if TYPE_CHECKING:
    from hemadata.hub.push import Pushed

SHOWN = 10  # faults of one source


def push(
    corpus: CorpusArgument,
    repo: Annotated[str, typer.Option(help="Data set repository: ORG/NAME.")],
    gated: Annotated[
        bool, typer.Option("--gated", help="Publish what has conditions instead, in a repository that people ask for.")
    ] = False,
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be given several times.")] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Leave sources of unknown licence out, instead of refusing.")
    ] = False,
    recipes: Annotated[
        bool,
        typer.Option("--recipes", help="Also publish ids, checksums and splits of what stays, for hemadata hydrate."),
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    check: Annotated[
        Literal["none", "header", "full"], typer.Option(help="How deeply the corpus is checked first.")
    ] = "full",
    staging: Annotated[
        Path | None,
        typer.Option(help="Make the view in this folder and keep it.  [default: inside the corpus, removed]"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would go, send nothing; with --staging the view is made.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Publish a corpus on the Hugging Face Hub, as far as licences allow; docs/publishing.md tells how.

    It goes through a pull request, is verified there and merged at once. Kill it at any time and run it again.
    """
    import sys

    from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

    from hemadata.hub.push import Wish
    from hemadata.hub.push import push as send

    if as_json or not sys.stderr.isatty():
        disable_progress_bars()
    wish = Wish(
        repo=repo,
        kind="gated" if gated else "public",
        only=tuple(source or ()),
        skip_unknown=skip_unknown,
        recipes=recipes,
        private=private,
        check=check,
        staging=staging,
        dry_run=dry_run,
    )
    with progress_bar("steps", quiet=as_json) as progress:
        done = send(corpus, wish, complain if as_json else say, progress)
    if as_json:
        emit(_as_dict(done, repo, dry_run))
    else:
        _tell(done)
    if done.refused:
        complain(done.refused)
        raise typer.Exit(EXIT_FINDINGS)
    if as_json:
        return
    if dry_run:
        say(f"Dry run: nothing was sent to {repo}." + (f" The view is in {staging}." if staging else ""))
    elif done.is_new:
        say(f"{done.url} is at {done.revision}, tag {done.tag}.")


def _as_dict(done: "Pushed", repo: str, dry_run: bool) -> dict[str, Any]:
    from dataclasses import asdict

    choice, view = done.choice, done.view
    return {
        "repo": repo,
        "view": choice.kind,
        "dry_run": dry_run,
        "sources": [asdict(one) for one in choice.goes],
        "recipes": [one.source for one in choice.recipes],
        "left_out": choice.left_out,
        "files": len(view.files) if view else None,
        "bytes": view.bytes if view else sum(one.bytes for one in choice.goes),
        "corpus_id": view.corpus_id if view else None,
        "url": done.url,
        "revision": done.revision,
        "tag": done.tag,
        "sent": done.is_new,
        "deleted": list(done.deleted),
        "refused": done.refused or None,
    }


def _tell(done: "Pushed") -> None:
    from hemadata.hub.choice import why

    choice = done.choice
    with_recipe = {one.source for one in choice.recipes}
    for one in choice.goes:
        drawn = "  drawn pictures, no data" if one.phantom else ""
        say(f"{one.source:32} {one.images:>9,} images {one.bytes / 1e6:>12,.1f} MB  {one.licence}{drawn}")
    for one in choice.stays:
        how = "a recipe goes" if one.source in with_recipe else "stays"
        say(f"{one.source:32} {one.images:>9,} images {how:>15}  {one.licence}: {why(one)}")
    size, files = sum(one.bytes for one in choice.goes), f", {len(done.view.files):,} files" if done.view else ""
    sources = "1 source" if len(choice.goes) == 1 else f"{len(choice.goes)} sources"
    say(f"{sources}, {sum(one.images for one in choice.goes):,} images, {size / 1e6:,.1f} MB{files}.")


def hydrate(
    corpus: CorpusArgument = Path("corpus"),
    raw: Annotated[
        list[Path] | None,
        typer.Option(help="Folder with one raw folder per slug; several are searched.  [default: raw]"),
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="Only this recipe; may be given several times.")] = None,
    variant: Annotated[str | None, typer.Option(help="Layout to read of raw data that have several.")] = None,
    jobs: Jobs = None,
    as_json: Json = False,
) -> None:
    """Fill the recipes of a downloaded corpus from your own raw data, every picture compared: the same rows."""
    from dataclasses import asdict

    from hemadata.build.executors import default_jobs
    from hemadata.hub.hydrate import hydrate as fill

    with progress_bar("images", quiet=as_json) as progress:
        tell = complain if as_json else say
        results = fill(corpus, raw or [Path("raw")], source or (), jobs or default_jobs(), variant, tell, progress)
    if as_json:
        emit({"sources": [asdict(result) for result in results]})
    for result in [] if as_json else results:
        for fault in result.faults[:SHOWN]:
            complain(f"{result.source}: {fault}")
        if len(result.faults) > SHOWN:
            complain(f"{result.source}: and {len(result.faults) - SHOWN:,} more; all of them: --json")
        if not result.faults:
            state = "each compared with the recipe" if result.is_new else "there already"
            say(f"{result.source}  {result.images:,} images, {state}")
        elif not result.images:
            complain(
                f"{result.source}: the download is not the one that the recipe was made from; nothing was written."
            )
    raise typer.Exit(EXIT_FINDINGS if any(result.faults for result in results) else EXIT_DONE)
