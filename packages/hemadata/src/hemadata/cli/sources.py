"""`hemadata sources`: the registered data sets, and how a new one is begun."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from hemadata.cli.options import Json, SourceArgument
from hemadata.console import complain, emit, say
from hemadata.errors import EXIT_DONE, EXIT_FINDINGS

sources_app = typer.Typer(no_args_is_help=True, help="The registered data sets.")
SHOWN = 10  # deviations of one kind
Task = Literal["classification", "detection", "segmentation", "vqa", "mlm"]


@sources_app.command(
    "list",
    epilog="Examples:\n\n    hemadata sources list --json\n\n    hemadata sources list --all --corpus corpus",
)
def sources_list(
    corpus: Annotated[Path, typer.Option(help="Corpus whose counts are shown beside the published ones.")] = Path(
        "corpus"
    ),
    outside: Annotated[bool, typer.Option("--all", help="Also sources that are no row of the paper's tables.")] = False,
    as_json: Json = False,
) -> None:
    """The rows of the paper's tables 1 to 4 in their order, published counts beside those found in the corpus."""
    from hemadata.report.catalogue import catalogue, table

    rows = catalogue(corpus, outside)
    if as_json:
        emit(rows)
    else:
        say(table(rows))


@sources_app.command("show", epilog="Example:\n\n    hemadata sources show raabin")
def sources_show(name: SourceArgument, as_json: Json = False) -> None:
    """The whole page of one source: citation, licence, counts and why they differ, where to get it, labels, defects."""
    from hemadata import sources
    from hemadata.report.pages import page

    source = sources.get(name)
    if as_json:
        emit(source.facts.model_dump(mode="json"))
    else:
        say(page(source))


@sources_app.command("check", epilog="Example:\n\n    hemadata sources check bccd --raw downloads")
def sources_check(
    name: SourceArgument,
    raw: Annotated[
        list[Path] | None,
        typer.Option(help="Folder with one raw folder per slug; several are searched.  [default: raw]"),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Tell every deviation, not the first of each kind.")] = False,
    as_json: Json = False,
) -> None:
    """Read a raw tree without building; tells every deviation from its page. Exit code 1: more than notes."""
    from itertools import groupby

    from hemadata import sources
    from hemadata.audit.raw import inspect

    report = inspect(sources.get(name), raw or [Path("raw")], complain)
    if as_json:
        emit(report.as_dict())
    else:
        for (severity, rule), alike in groupby(report.deviations, key=lambda d: (d.severity, d.rule)):
            entries = list(alike)
            for entry in entries if full else entries[:SHOWN]:
                say(f"{severity:8} {rule:12} {entry.where}: {entry.found}")
            if len(entries) > SHOWN and not full:
                say(f"{severity:8} {rule:12} and {len(entries) - SHOWN:,} more   (--full tells all)")
        kinds = ", ".join(
            f"{sum(d.severity == s for d in report.deviations)} {s}s" for s in ("error", "warning", "note")
        )
        say(f"{name}: {report.images:,} images, {report.classes} classes, {report.objects:,} objects; {kinds}.")
    raise typer.Exit(EXIT_DONE if report.is_sound else EXIT_FINDINGS)


@sources_app.command("new", epilog="Example:\n\n    hemadata sources new my-smears --task detection")
def sources_new(
    name: Annotated[str, typer.Argument(help="Slug of the source, e.g. my-smears.")],
    task: Annotated[Task, typer.Option(help="What its annotations are for.")] = "classification",
    out: Annotated[Path | None, typer.Option(help="Folder to write into; default: the sources of hemadata.")] = None,
    as_json: Json = False,
) -> None:
    """Begin a source: its facts page and its reader, to be filled in."""
    from hemadata.scaffold import TO_FILL, scaffold

    files = scaffold(name, task, out)
    if as_json:
        emit({"name": name, "files": [str(path) for path in files]})
        return
    for path in files:
        say(str(path))
    say(f'Replace every "{TO_FILL}" and write index and draw; then tests/hemadata/test_sources_contract.py passes.')


@sources_app.command("docs", epilog="Example:\n\n    hemadata sources docs > docs/sources.md")
def sources_docs(as_json: Json = False) -> None:
    """Print the pages of all sources in Markdown (docs/sources.md)."""
    from hemadata.report.pages import document

    text = document()
    if as_json:
        emit({"markdown": text})
    else:
        print(text, end="")
