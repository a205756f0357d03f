"""`hemadata fetch`."""

from pathlib import Path
from typing import Annotated

import typer

from hemadata.cli.options import Json
from hemadata.console import complain, emit, progress_bar, say
from hemadata.errors import EXIT_DONE, EXIT_FINDINGS, EXIT_INPUT_MISSING


def fetch(
    source: Annotated[str, typer.Option(help="Slug of a source.")],
    raw: Annotated[Path, typer.Option(help="Folder with one raw folder per slug.")] = Path("raw"),
    accept_license: Annotated[
        bool,
        typer.Option("--accept-license", help="You have read the licence, which is not a free one, and accept it."),
    ] = False,
    file: Annotated[
        list[str] | None, typer.Option(help="Optional file to fetch instead of the needed ones; several times.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Wait for what a person must get; end when all has arrived.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Get the raw data of a source, as far as a program may; for the rest, tell a person the steps.

    Kill it at any time and run it again: it goes on where it was.
    """
    from hemadata import sources
    from hemadata.fetch import fetch, licences
    from hemadata.fetch.watch import arrival
    from hemadata.fetch.watch import watch as wait

    wanted, tell = sources.get(source), complain if as_json else say
    before = None if file else arrival(wanted, raw)
    if before and before.is_complete:
        if as_json:
            emit({"source": source, "files": [], "steps": {}, "complete": True, "images": before.images, "missing": []})
        else:
            say(f"{source} is complete: {before.images:,} images in {before.files:,} files.")
        return
    for line in licences(wanted):
        tell(line)
    with progress_bar("bytes", quiet=as_json) as progress:
        done = fetch(wanted, raw, accept_license, file or (), tell=tell, progress=progress)
    for got in done.files:
        if got.status != "failed":
            tell(f"{got.path}: {got.status}, {got.bytes:,} bytes, checked by {got.checked}")
            continue
        complain(f"{got.path} could not be fetched:")
        for reason in got.found:
            complain(f"  {reason}")
    after = arrival(wanted, raw)
    if not after.is_complete:
        for folder, steps in done.steps.items():
            tell(f"For {folder} a person must act:")
            for step in steps:
                tell(f"  {step}")
        if watch:
            after = wait(wanted, raw, tell)
    if as_json:
        state = {"complete": after.is_complete, "images": after.images, "missing": list(after.missing)}
        emit(done.as_dict() | state)
    elif after.is_complete:
        say(f"{source} is complete: {after.images:,} images. Next: hemadata build --source {source} --raw {raw}")
    else:
        for line in after.missing:
            say(f"Missing: {line}")
    if after.is_complete:
        raise typer.Exit(EXIT_DONE)
    raise typer.Exit(EXIT_FINDINGS if done.failed else EXIT_INPUT_MISSING)
