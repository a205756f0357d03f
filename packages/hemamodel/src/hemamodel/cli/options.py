"""Options that several commands share, and how a command reads them."""

from collections.abc import Callable
from dataclasses import fields
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value; may be given several times.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
Preset = Annotated[Literal["tiny", "base"], typer.Option(help="Sizes of the model.")]
Variant = Annotated[Literal["paper", "released"], typer.Option(help="Whose wiring where they differ.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; default: a GPU if there is one.")]
Workers = Annotated[int | None, typer.Option(help="Processes that load images; default: by the cores.", min=0)]
CorpusFolder = Annotated[Path, typer.Option(help="Folder of the corpus.")]
RUN = "Folder of a complete run, or ORG/NAME of the Hub."
RunOption = Annotated[Path, typer.Option("--run", help=RUN)]
RunArgument = Annotated[Path, typer.Argument(help=RUN)]
Disease = Annotated[str | None, typer.Option(help="For the prompt, e.g. malaria, leukemia, normal.")]
Prompt = Annotated[str | None, typer.Option(help="The whole prompt, instead of the corpus' wording.")]


def processes(asked: int | None) -> int:
    """One process for each core but one, at most eight; they only decode and crop."""
    import os

    return min(8, (os.cpu_count() or 1) - 1) if asked is None else asked


def with_options(shared: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the fields of a dataclass as options after its own; it gets them as one value, its first."""
    more = [Parameter(each.name, Parameter.KEYWORD_ONLY, default=each.default, annotation=each.type)
            for each in fields(shared)]  # fmt: skip

    def wrap(command: Callable[..., None]) -> Callable[..., None]:
        def called(**given: Any) -> None:
            how = shared(**{each.name: given.pop(each.name) for each in more})
            command(how, **given)

        known = signature(command)
        own = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in list(known.parameters.values())[1:]]
        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__signature__ = known.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
        return called

    return wrap
