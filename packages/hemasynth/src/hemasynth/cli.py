"""Command line of hemasynth."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from hemadata.console import run
from hemadata.errors import EXIT_FINDINGS

from hemasynth.commands import register
from hemasynth.options import (
    BASE_URL,
    ENGINE,
    ENGINE_ARGS,
    JOURNAL,
    MODEL,
    REVISION,
    SEED,
    SHARD,
    SLOTS,
    TIMES,
    read_options,
    read_shard,
)

if TYPE_CHECKING:
    from hemasynth.ladder import Progress

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawn help takes twice as long to appear
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Text from expert labels: question-answer pairs on blood cells, every sentence checked against its record.",
)

VQA_EXAMPLES = """
Examples:

    hemasynth vqa --engine template

    hemasynth vqa --model BioMistral-7B --base-url http://127.0.0.1:8000/v1

    hemasynth vqa --engine template --limit 20 --json

    hemasynth vqa --labels raw/wbcatt --engine vllm --shard 1/4      (one process per GPU: docs/serving.md)
"""
MLM_EXAMPLES = """
Examples:

    hemasynth mlm --engine template

    hemasynth mlm --model BioMistral-7B --base-url http://127.0.0.1:8000/v1 --t5 models/t5-base

    hemasynth mlm --engine template --sentences 100 --subset L_40X_C2 --json

    hemasynth mlm --labels LeukemiaAttri_Dataset --engine vllm --shard 1/4      (one process per GPU: docs/serving.md)
"""
CHECK_EXAMPLES = """
Examples:

    hemasynth check pairs.jsonl

    hemasynth check pairs.jsonl --json > verdicts.jsonl

    hemasynth check Q_A_test.json --labels raw/wbcatt      (the authors' pairs)

    hemasynth check captions.csv --labels raw/wbcatt      (columns image_filename and caption)

    hemasynth check base.csv lora.csv --labels raw/wbcatt      (two models beside each other)
"""


@app.callback()
def commands() -> None:
    """Keep the command's name in the call while there are few of them."""


@app.command(epilog=VQA_EXAMPLES)
def vqa(
    corpus: Annotated[Path, typer.Option(help="Corpus with wbcatt; the pairs are built into it.")] = Path("corpus"),
    labels: Annotated[Path | None, typer.Option(help="WBCAtt's label tables, in place of a corpus.")] = None,
    raw: Annotated[Path, typer.Option(help="Folder of raw data, with the pictures of acevedo.")] = Path("raw"),
    out: Annotated[Path | None, typer.Option(help="Folder that gets wbcatt-vqa/; default: that of --raw.")] = None,
    engine: ENGINE = "auto",
    model: MODEL = "BioMistral-7B",
    revision: REVISION = None,
    base_url: BASE_URL = None,
    journal: JOURNAL = None,
    slots: SLOTS = 64,
    engine_args: ENGINE_ARGS = None,
    seed: SEED = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many cells.")] = None,
    times: TIMES = 1,
    shard: SHARD = "1/1",
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Write question-answer pairs for every cell of wbcatt, and build them into the corpus as wbcatt-vqa.

    With --labels no corpus is needed and nothing is built; hemadata builds the tree that is written.
    """
    from hemasynth.building import build, target
    from hemasynth.engines.choose import choose
    from hemasynth.vqa import PICTURES, SLUG, write

    part, folder = read_shard(shard), target(out, raw)
    chosen = choose(
        engine, model, base_url, revision=revision, journal=journal, slots=slots, options=read_options(engine_args)
    )
    _announce(folder / SLUG)
    with _bar() as progress:
        outcome, tree = write(chosen, corpus, folder, seed, limit, progress, labels, part, times)
    built = build(SLUG, corpus, folder, raw, PICTURES) if labels is None and part[1] == 1 else None
    counts = outcome.run["counts"]
    if as_json:
        totals = {name: counts[name] for name in ("cells", "pairs", "refused")}
        typer.echo(json.dumps({**totals, "engine": chosen.name, "out": str(tree), "build": built}))
        return
    typer.echo(f"{counts['cells']:,} cells  {counts['pairs']:,} pairs  {outcome.refused:,} refused  by {chosen.name}")
    for what in ("question_type", "origin", "refusals"):
        if counts[what]:
            typer.echo(f"  {what.replace('_', ' ')}: " + ", ".join(f"{name} {n:,}" for name, n in counts[what].items()))
    _tell_end(built, "Pairs", tree, corpus, part, SLUG, folder)


@app.command(epilog=MLM_EXAMPLES)
def mlm(
    corpus: Annotated[Path, typer.Option(help="Corpus with leukemiaattri; the sentences are built into it.")] = Path(
        "corpus"
    ),
    labels: Annotated[Path | None, typer.Option(help="LeukemiaAttri's json_labels, in place of a corpus.")] = None,
    raw: Annotated[Path, typer.Option(help="Folder of raw data, with the pictures of leukemiaattri.")] = Path("raw"),
    out: Annotated[
        Path | None, typer.Option(help="Folder that gets leukemiaattri-mlm/; default: that of --raw.")
    ] = None,
    engine: ENGINE = "auto",
    model: MODEL = "BioMistral-7B",
    revision: REVISION = None,
    base_url: BASE_URL = None,
    journal: JOURNAL = None,
    slots: SLOTS = 64,
    engine_args: ENGINE_ARGS = None,
    seed: SEED = 0,
    sentences: Annotated[int, typer.Option(min=1, help="How many, at most three a field.")] = 6940,
    subset: Annotated[str, typer.Option(help="Of leukemiaattri: microscope, magnification, camera.")] = "H_100X_C2",
    t5: Annotated[
        Path | None, typer.Option(help="Folder of the reader's T5 tokenizer; without it length is bounded.")
    ] = None,
    shard: SHARD = "1/1",
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object.")] = False,
) -> None:
    """Write masked sentences on fields of leukemiaattri, and build them into the corpus as leukemiaattri-mlm.

    With --labels no corpus is needed and nothing is built; hemadata builds the tree that is written.
    """
    from hemasynth.building import build, target
    from hemasynth.engines.choose import choose
    from hemasynth.mlm.command import SLUG, write
    from hemasynth.mlm.fields import SOURCE

    part, folder = read_shard(shard), target(out, raw)
    options = read_options(engine_args)
    chosen = choose(
        engine, model, base_url, revision=revision, journal=journal, slots=slots, options=options, task="mlm"
    )
    _announce(folder / SLUG)
    with _bar() as progress:
        outcome, tree = write(chosen, corpus, folder, seed, sentences, subset, t5, progress, labels, part)
    built = build(SLUG, corpus, folder, raw, SOURCE) if labels is None and part[1] == 1 else None
    counts = outcome.run["counts"]
    if as_json:
        typer.echo(json.dumps({**counts, "engine": chosen.name, "out": str(tree), "build": built}))
        return
    typer.echo(f"{counts['fields']:,} fields  {counts['sentences']:,} sentences  {counts['refused']:,} refused")
    for what in ("split", "style", "origin", "refusals"):
        if counts[what]:
            typer.echo(f"  {what}: " + ", ".join(f"{name} {n:,}" for name, n in counts[what].items()))
    for name, found in counts["blind_fill"].items():
        typer.echo(f"  filled blind, {name}: {found['filled_blind']:.1%} of {found['blanks']:,}")
    _tell_end(built, "Sentences", tree, corpus, part, SLUG, folder)


@app.command(epilog=CHECK_EXAMPLES)
def check(
    files: Annotated[
        list[Path], typer.Argument(help="JSON lines with id, source, attributes, label, question and answer or text.")
    ],
    labels: Annotated[Path | None, typer.Option(help="WBCAtt's tables, for files that hold no records.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: id, verdict, claims.")] = False,
) -> None:
    """Compare sentences with the records of their cells. Exits 1 when a record contradicts one.

    Without --json it ends with a table of the accuracy on each feature: a column per file, or per `model` and
    `test_set` where the lines name them. Besides .jsonl it reads the authors' .json and .csv tables of captions; those
    name pictures, whose records are looked up in --labels.
    """
    from hemasynth.accuracy import Accuracy, column
    from hemasynth.checkfile import judge, told
    from hemasynth.faithful import VERDICTS
    from hemasynth.otherfiles import read

    counts, accuracy = dict.fromkeys(VERDICTS, 0), Accuracy()
    for file in files:
        for where, line in read(file, labels):
            _, report = judge(line, where)
            counts[report.verdict] += 1
            accuracy.add(column(line, file.stem), str(line.get("source", "wbcatt")), report.claims)
            if as_json:
                typer.echo(json.dumps(told(line, report)))
    if not as_json:
        found = ", ".join(f"{n:,} {verdict}" for verdict, n in counts.items())
        typer.echo(f"{sum(counts.values()):,} checked: {found}")
        if accuracy.stated:
            typer.echo(accuracy.table())
    if counts["contradicted"]:
        raise typer.Exit(EXIT_FINDINGS)


register(app)


def _announce(folder: Path) -> None:
    """Tell where files appear, before they do; not on standard output, which may be read by a program."""
    typer.echo(f"Writing into {folder}", err=True)


def _tell_end(
    built: dict[str, Any] | None, what: str, tree: Path, corpus: Path, part: tuple[int, int], slug: str, folder: Path
) -> None:
    if built is not None:
        images = ", ".join(f"{name} {source['images']:,} images" for name, source in built["sources"].items())
        typer.echo(f"{what} in {tree}, built into {corpus}: {images}")
    elif part[1] > 1:
        typer.echo(f"Part {part[0]}/{part[1]} is done. When all are, call it once more without --shard.")
    else:
        typer.echo(f"{what} in {tree}. Into a corpus: hemadata build --source {slug} --raw {folder}")


@contextmanager
def _bar() -> "Iterator[Progress | None]":
    """Show a progress bar on a terminal, and nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("pairs", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def main() -> None:
    """Entry point."""
    run(app, "hemasynth")
