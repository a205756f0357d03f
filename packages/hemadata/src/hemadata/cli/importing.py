"""`hemadata import`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from hemadata.cli.options import Json
from hemadata.console import emit, progress_bar, say
from hemadata.errors import EXIT_DONE, EXIT_FINDINGS

SHOWN = 20  # problems told on a terminal; quarantine.csv holds all


def import_command(
    form: Annotated[
        Literal["unihema-json"], typer.Argument(help="Format: the Uni-Hema authors' JSON.", metavar="FORMAT")
    ],
    folder: Annotated[Path, typer.Argument(help="Folder with pages such as train.json, and the files they name.")],
    out: Annotated[Path, typer.Option(help="Folder to make; it appears when it is complete.")],
    check: Annotated[
        Literal["none", "header", "full"], typer.Option(help="How deeply images are looked at; full decodes each.")
    ] = "header",
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 where a file or record could not be used.")] = False,
    as_json: Json = False,
) -> None:
    """Read pages of others into tables with the corpus' columns, a folder per task."""
    from hemadata.importing import import_unihema

    with progress_bar("rows", quiet=as_json) as progress:
        done = import_unihema(folder, out, check, progress)
    if as_json:
        emit({"rows": done.rows, "problems": [asdict(problem) for problem in done.problems], "out": str(out)})
    else:
        for problem in done.problems[:SHOWN]:
            say(f"{problem.reason:20} {problem.file} {problem.record}: {problem.detail}")
        if len(done.problems) > SHOWN:
            say(f"... and {len(done.problems) - SHOWN:,} more in {out}/quarantine.csv")
        told = ", ".join(f"{task} {rows:,}" for task, rows in done.rows.items() if rows)
        say(f"{done.rows.total():,} rows are in {out}: {told or 'nothing'}. {len(done.problems):,} problems.")
    raise typer.Exit(EXIT_FINDINGS if strict and done.problems else EXIT_DONE)
