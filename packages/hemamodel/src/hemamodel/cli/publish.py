"""Commands that bring weights in and out: convert."""

from pathlib import Path
from typing import Annotated

import typer
from hemadata.console import emit, say

from hemamodel.cli.options import Json, Preset, Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=CONVERT)(convert)


CONVERT = "Examples:\n\n    hemamodel convert checkpoint0023.pth --out runs/released --text google/flan-t5-base"


def convert(
    checkpoint: Annotated[Path, typer.Argument(help="The authors' .pth file.")],
    out: Annotated[Path, typer.Option(help="Folder of the run that is written.")] = Path("runs/released"),
    text: Annotated[
        str | None, typer.Option(help="Tokenizer: a folder, or a Hub name such as google/flan-t5-base.")
    ] = None,
    preset: Preset = "base",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Turn the authors' checkpoint into a run of variant `released`, as safetensors; tell what became of each key."""
    from hemamodel.train.adopt import adopt

    run, report = adopt(checkpoint, out, text, preset, settings or ())
    if as_json:
        emit({"run": str(run.path), "used": report.used, "repeated": report.repeated, "ignored": report.ignored,
              "missing": report.missing, "numbers": report.numbers})  # fmt: skip
        return
    say(f"used      {len(report.used):>5,} keys   {report.numbers['used']:>12,} numbers")
    say(f"repeated  {len(report.repeated):>5,} keys   the same tensor under another name")
    say(f"ignored   {len(report.ignored):>5,} keys   {report.numbers['ignored']:>12,} numbers that nothing uses")
    say(f"missing   {len(report.missing):>5,} keys")
    say(f"{run.path} is complete; every key stands in {run.path / 'conversion.json'}.")
    if text is None:
        say(f"It has no tokenizer yet, which prompts need: save that of google/flan-t5-base in {run.text}.")
