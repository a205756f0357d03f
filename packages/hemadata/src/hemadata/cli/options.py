"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
Jobs = Annotated[int | None, typer.Option(help="Worker processes; default: cores, bounded by memory.", min=1)]
CorpusArgument = Annotated[Path, typer.Argument(help="Folder of the corpus.")]
SourceArgument = Annotated[str, typer.Argument(help="Slug of a source.")]
