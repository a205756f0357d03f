"""The commands around `vqa` and `mlm`: plan, preview, report, export, doctor."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from hemadata.errors import EXIT_FINDINGS, UsageError

from hemasynth.options import BASE_URL, ENGINE, ENGINE_ARGS, JOURNAL, MODEL, REVISION, SEED, SLOTS, TIMES, read_options

if TYPE_CHECKING:
    from hemasynth.run import Run

CORPUS = Annotated[Path, typer.Option(help="Corpus with wbcatt.")]
LABELS = Annotated[Path | None, typer.Option(help="WBCAtt's label tables, in place of a corpus.")]
RAW = Annotated[Path, typer.Option(help="Folder into which the set was written, with wbcatt-vqa/.")]
SET = Annotated[str, typer.Option("--set", help="The set that was written: wbcatt-vqa or leukemiaattri-mlm.")]
JSON = Annotated[bool, typer.Option("--json", help="One JSON object.")]

PLAN_EXAMPLES = """
Examples:

    hemasynth plan --labels raw/wbcatt

    hemasynth plan --labels raw/wbcatt --json
"""
PREVIEW_EXAMPLES = """
Examples:

    hemasynth preview -n 8 --labels raw/wbcatt --engine template

    hemasynth preview -n 4 --model BioMistral-7B --base-url http://127.0.0.1:8000/v1
"""
REPORT_EXAMPLES = """
Examples:

    hemasynth report                                  (writes raw/wbcatt-vqa/report.html)

    hemasynth report --set leukemiaattri-mlm

    hemasynth report --pictures raw/acevedo           (with the pictures of the review sample)

    hemasynth report --verdicts review.csv            (what reviewers accepted, with its interval)
"""
EXPORT_EXAMPLES = """
Examples:

    hemasynth export --format authors --out export

    hemasynth export --format jsonl --out export

    hemasynth export --set leukemiaattri-mlm --format authors --out export
"""
DOCTOR_EXAMPLES = """
Examples:

    hemasynth doctor

    hemasynth doctor --base-url http://127.0.0.1:8000/v1

    vllm serve BioMistral/BioMistral-7B --chat-template "$(hemasynth doctor --chat-template)"
"""


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(epilog=PLAN_EXAMPLES)(plan)
    app.command(epilog=PREVIEW_EXAMPLES)(preview)
    app.command(epilog=REPORT_EXAMPLES)(report)
    app.command(epilog=EXPORT_EXAMPLES)(export)
    app.command(epilog=DOCTOR_EXAMPLES)(doctor)


def plan(
    corpus: CORPUS = Path("corpus"),
    labels: LABELS = None,
    seed: SEED = 0,
    times: TIMES = 1,
    as_json: JSON = False,
) -> None:
    """Show what would be asked: quotas per question type, splits, attributes. No model is needed."""
    from hemasynth import plan as planning
    from hemasynth.lexicon import load
    from hemasynth.vqa import read_cells

    cells, lexicon = read_cells(corpus, labels), load()
    items = planning.plan(cells, lexicon, seed, times=times)
    wanted = planning.quotas(cells, lexicon, seed, times)
    told: dict[str, Any] = {
        "cells": len(cells),
        "facts": len({cell.vector for cell in cells}),
        "pairs": len(items),
        "splits": _count(item.cell.split_upstream for item in items),
        "splits_hard": _count(item.split_hard for item in items),
        "quotas": wanted,
        "question_type": _count(item.topic.question_type for item in items),
        "attribute": _count(item.topic.asked or "several" for item in items),
        "seed": seed,
    }
    if as_json:
        typer.echo(json.dumps(told))
        return
    typer.echo(f"{told['cells']:,} cells with {told['facts']:,} different sets of facts  {told['pairs']:,} pairs")
    for name in ("splits", "splits_hard", "question_type", "attribute"):
        parts = ", ".join(f"{word} {number:,}" for word, number in told[name].items())
        typer.echo(f"  {name.replace('_', ' ')}: {parts}")
    for side, quota in wanted.items():
        typer.echo(f"  quota of {side}: " + ", ".join(f"{word} {number:,}" for word, number in quota.items()))


def preview(
    number: Annotated[int, typer.Option("-n", min=1, max=200, help="How many pairs.")] = 8,
    corpus: CORPUS = Path("corpus"),
    labels: LABELS = None,
    engine: ENGINE = "auto",
    model: MODEL = "BioMistral-7B",
    revision: REVISION = None,
    base_url: BASE_URL = None,
    journal: JOURNAL = None,
    slots: SLOTS = 64,
    engine_args: ENGINE_ARGS = None,
    seed: SEED = 0,
    as_json: JSON = False,
) -> None:
    """Write a few pairs from all over the plan, first attempts, with what the checker says. Nothing is kept."""
    from hemasynth.engines.choose import choose
    from hemasynth.run import Run
    from hemasynth.vqa import read_cells

    cells = read_cells(corpus, labels)
    options = read_options(engine_args)
    chosen = choose(engine, model, base_url, revision=revision, journal=journal, slots=slots, options=options)
    shown = [_shown(entry) for entry in _first_attempts(Run(chosen, seed), cells, number)]
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for each in shown:
        typer.echo(f"{each['id']}   {each['verdict']}")
        for line in (each["question"], each["answer"]) if each["question"] else (each["text"],):
            typer.echo(f"    {line}")
    passed = sum(each["verdict"] == "passed" for each in shown)
    typer.echo(f"{passed} of {len(shown)} passed at the first attempt")


def _first_attempts(run: "Run", cells: list[Any], number: int) -> list[dict[str, Any]]:
    from hemasynth import plan as planning
    from hemasynth.ladder import LADDER

    items = planning.plan(cells, run.checker.lexicon, run.seed)
    step = max(len(items) // number, 1)
    run.engine.start()
    requests = [run.request(item, 0, LADDER[0], ()) for item in items[::step][:number]]
    entries = [dict(run.entry(reply, "")) for reply in run.engine.generate(requests)]
    return sorted(entries, key=lambda entry: str(entry["id"]))


def _shown(entry: dict[str, Any]) -> dict[str, Any]:
    row = entry.get("row") or {}
    verdict = "passed" if row else "refused: " + ", ".join(entry["gates"])
    told = {"id": entry["id"], "verdict": verdict, "question": row.get("question"), "answer": row.get("answer")}
    return {**told, "text": entry.get("text")}


def report(
    raw: RAW = Path("raw"),
    slug: SET = "wbcatt-vqa",
    out: Annotated[Path | None, typer.Option(help="The page; default: report.html beside the set.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Folder with the pictures, for the review sample.")] = None,
    verdicts: Annotated[Path | None, typer.Option(help="CSV that a reviewer exported from the page.")] = None,
    as_json: JSON = False,
) -> None:
    """Write one page about a set: quotas, acceptance, coverage, diversity, blind baselines, and a sample for review."""
    from hemasynth.report import make

    told, page = make(raw / slug, out, pictures, verdicts)
    if as_json:
        typer.echo(json.dumps(told))
        return
    counts = told["counts"]
    what = "sentences" if told["run"].get("task") == "mlm" else "pairs"
    typer.echo(f"{counts['pairs']:,} of {counts['planned']:,} planned {what}, {counts['refused']:,} refused")
    if told["review"]:
        review = told["review"]
        low, high = review["interval"]
        typer.echo(
            f"{review['accepted']} of {review['judged']} judged {what} accepted: {review['rate']:.1%}, "
            f"95 % interval {low:.1%} to {high:.1%} (Wilson); {review['unclear']} unclear, {review['open']} not judged"
        )
    typer.echo(f"Report in {page}")


def export(
    form: Annotated[str, typer.Option("--format", help="authors, parquet or jsonl.")] = "authors",
    raw: RAW = Path("raw"),
    slug: SET = "wbcatt-vqa",
    out: Annotated[Path, typer.Option(help="Folder that gets the files.")] = Path("export"),
    as_json: JSON = False,
) -> None:
    """Write a set in a form that others read: the authors' JSON, Parquet or JSON lines."""
    from hemasynth.export import FORMATS
    from hemasynth.export import export as write
    from hemasynth.sets import read

    if form not in FORMATS:
        raise UsageError(f'No format is called "{form}". There are {", ".join(FORMATS)}.')
    run, rows = read(raw / slug)
    files = write(rows, run, form, out)
    what = "sentences" if run.get("task") == "mlm" else "pairs"
    if as_json:
        typer.echo(json.dumps({what: len(rows), "format": form, "files": [str(file) for file in files]}))
        return
    typer.echo(f"{len(rows):,} {what} in {', '.join(str(file) for file in files)}")


def doctor(
    model: MODEL = "BioMistral-7B",
    base_url: BASE_URL = None,
    raw: RAW = Path("raw"),
    chat_template: Annotated[
        bool, typer.Option("--chat-template", help="Only print the file with Mistral's chat template.")
    ] = False,
    as_json: JSON = False,
) -> None:
    """Tell what is here to write with, and what is missing. Exits 1 when something is wrong."""
    from hemasynth.doctor import examine
    from hemasynth.engines.chat import template_path

    if chat_template:
        typer.echo(str(template_path()))
        return
    found = examine(model, base_url, raw)
    if as_json:
        typer.echo(json.dumps([vars(each) for each in found]))
    else:
        width = max(len(each.name) for each in found)
        for each in found:
            typer.echo(f"{each.state:8}{each.name:{width}}  {each.detail}")
    if any(each.state == "bad" for each in found):
        raise typer.Exit(EXIT_FINDINGS)


def _count(words: Any) -> dict[str, int]:
    return dict(sorted(Counter("none" if word is None else str(word) for word in words).items()))
