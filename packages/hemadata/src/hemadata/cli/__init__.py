"""Command line of hemadata. Everything heavy is imported inside the command, so that --help answers at once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hemadata.cli.fetch import fetch
from hemadata.cli.hub import hydrate, push
from hemadata.cli.importing import import_command
from hemadata.cli.options import CorpusArgument, Jobs, Json
from hemadata.cli.sources import sources_app
from hemadata.console import complain, emit, progress_bar, run, say
from hemadata.errors import EXIT_DONE, EXIT_FINDINGS, UsageError

app = typer.Typer(
    name="hemadata",
    help="Raw public blood-cell image sets, as one corpus.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawn help takes twice as long to appear
    context_settings={"help_option_names": ["-h", "--help"]},
)
prompts_app = typer.Typer(no_args_is_help=True, help="Prompt templates.")
app.add_typer(sources_app, name="sources")
app.command(
    epilog="Examples:\n\n"
    "    hemadata fetch --source bccd\n\n"
    "    hemadata fetch --source vivax --accept-license --raw downloads\n\n"
    "    hemadata fetch --source bmc --watch     tells the steps, ends when all has arrived"
)(fetch)
app.command("import", epilog="Example:\n\n    hemadata import unihema-json their-folder --out tables")(import_command)
app.command(
    epilog="Examples:\n\n"
    "    hemadata push corpus --repo my-org/blood --dry-run\n\n"
    "    hemadata push corpus --repo my-org/blood --skip-unknown --recipes\n\n"
    "    hemadata push corpus --repo my-org/blood-restricted --gated --skip-unknown"
)(push)
app.command(
    epilog="Examples:\n\n"
    "    hf download my-org/blood --repo-type dataset --local-dir corpus\n\n"
    "    hemadata hydrate corpus --raw downloads"
)(hydrate)
app.add_typer(prompts_app, name="prompts")

Depth = Literal["none", "header", "full"]


def main() -> None:
    """Entry point."""
    run(app, "hemadata")


@app.command(
    epilog="Examples:\n\n"
    "    hemadata build --source raabin --phantom 200     no download needed\n\n"
    "    hemadata build --source bccd --source acevedo --raw downloads --out corpus\n\n"
    "    hemadata build --all --jobs 8 --json\n\n"
    "    hemadata build --all --raw /shared/raw --out /shared/corpus --executor ray     docs/cluster.md"
)
def build(
    source: Annotated[list[str] | None, typer.Option(help="Slug of a source; may be given several times.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every source whose raw data are there.")] = False,
    raw: Annotated[
        list[Path] | None,
        typer.Option(help="Folder with one raw folder per slug; several are searched.  [default: raw]"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the corpus.")] = Path("corpus"),
    phantom: Annotated[int | None, typer.Option(help="Draw so many images instead of reading raw data.", min=1)] = None,
    check: Annotated[Depth, typer.Option(help="How deeply images are looked at; full decodes each.")] = "full",
    jobs: Jobs = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many images of each source.", min=1)] = None,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="Where units are done: here, or on a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Head of the Ray cluster, e.g. 10.0.0.1:6379.  [default: $RAY_ADDRESS]")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Layout to read of a source that has several, e.g. hemasynth or authors.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make the plan, write nothing.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit 1 for defects that the source does not declare.")
    ] = False,
    materialize_prompts: Annotated[
        bool, typer.Option("--materialize-prompts", help="Write the rendered prompt into each row.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Turn raw data into a corpus. Kill it at any time and run it again: only what is unfinished is done."""
    from hemadata import sources
    from hemadata.build import Cluster, Options, build
    from hemadata.build.executors import default_jobs
    from hemadata.build.report import exit_code, tell

    if bool(source) == every:
        raise UsageError(
            "Name what to build: --source NAME (several times if you like), or --all. See hemadata sources list."
        )
    if address and executor != "ray":
        raise UsageError("--address names a Ray cluster: give --executor ray too.")
    names, roots = list(source or sources.names()), raw or [Path("raw")]
    absent = [n for n in names if not sources.get(n).is_there(roots)] if every and phantom is None else []
    options = Options(
        check=check,
        jobs=jobs or (0 if executor == "ray" else default_jobs()),
        limit=limit,
        phantom=phantom,
        dry_run=dry_run,
        prompt="1" if materialize_prompts else None,
        variant=variant,
        cluster=Cluster(address) if executor == "ray" else None,
    )
    with progress_bar("images", quiet=as_json) as progress:
        results = build([name for name in names if name not in absent], roots, out, options, progress, complain)
    if as_json:
        emit({"sources": {result.source: result.as_dict() for result in results}})
        for result in results:
            if result.error:
                complain(str(result.error))
    else:
        tell(results, absent, out, roots)
    raise typer.Exit(exit_code(results, strict))


@app.command(epilog="Example:\n\n    hemadata check corpus")
def check(
    corpus: CorpusArgument = Path("corpus"),
    depth: Annotated[Depth, typer.Option("--check", help="full decodes every image and mask.")] = "full",
    as_json: Json = False,
) -> None:
    """Check a corpus against its contract: files, rows, labels, boxes, masks, offsets, splits."""
    from dataclasses import asdict

    from hemadata.audit.contract import check

    with progress_bar("rows", quiet=as_json) as progress:
        report = check(corpus, depth, progress)
    if as_json:
        emit({"sources": report.sources, "rows": report.rows, "findings": [asdict(f) for f in report.findings]})
    else:
        for finding in report.findings:
            say(f"{finding.rule:14} {finding.where}: {finding.found}")
        say(f"{report.rows:,} rows of {report.sources} sources checked, {len(report.findings)} findings.")
    raise typer.Exit(EXIT_FINDINGS if report.findings else EXIT_DONE)


@app.command(epilog="Examples:\n\n    hemadata duplicates corpus\n\n    hemadata duplicates corpus --jobs 16 --json")
def duplicates(corpus: CorpusArgument = Path("corpus"), jobs: Jobs = None, as_json: Json = False) -> None:
    """Find pictures that are there more than once: equal bytes or pixels, and resized, turned, brightened copies."""
    from dataclasses import asdict

    import hemadata
    from hemadata.audit.duplicates import find
    from hemadata.audit.leakage import keep, tell
    from hemadata.build.executors import default_jobs
    from hemadata.build.replace import settle

    settle(corpus)
    with progress_bar("", quiet=as_json) as progress, hemadata.open(corpus) as opened:
        found = find(opened, progress, jobs or default_jobs())
    leaking = keep(corpus, found)
    if as_json:
        counts = {"images": found.images, "without_fingerprint": found.without, "crowded": found.crowded}
        told = {name: [asdict(pair) for pair in getattr(found, name)] for name in ("pairs", "rejected")}
        emit(counts | {"leaking": sum(leaking.values())} | told)
    else:
        for line in tell(found, corpus, leaking):
            say(line)
    raise typer.Exit(EXIT_FINDINGS if leaking else EXIT_DONE)


@app.command(epilog="Examples:\n\n    hemadata duplicates corpus\n\n    hemadata split corpus")
def split(corpus: CorpusArgument = Path("corpus"), as_json: Json = False) -> None:
    """Split a corpus anew, so that no patient, slide, field or duplicate is on two sides; moves only what changes."""
    from hemadata.audit.splitting import as_dict, split, tell

    outcome = split(corpus)
    if as_json:
        emit(as_dict(outcome))
    else:
        for line in tell(outcome):
            say(line)
    raise typer.Exit(EXIT_FINDINGS if any(cost.is_finding for cost in outcome.costs.values()) else EXIT_DONE)


@app.command(epilog="Example:\n\n    hemadata view corpus bccd/BloodImage_00000 --out sample.png")
def view(
    corpus: CorpusArgument,
    sample_id: Annotated[str, typer.Argument(help="Row to draw, e.g. bccd/BloodImage_00000.")],
    out: Annotated[Path, typer.Option(help="PNG to write.")] = Path("sample.png"),
    as_json: Json = False,
) -> None:
    """Draw one row: its image with boxes, labels and mask, as a PNG."""
    import hemadata
    from hemadata.report.picture import picture

    with hemadata.open(corpus) as opened:
        drawn = picture(opened, sample_id)
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(out, "PNG")
    if as_json:
        emit({"sample_id": sample_id, "picture": str(out)})
    else:
        say(f"{sample_id} is drawn in {out}")


@app.command()
def schema(as_json: Json = False) -> None:
    """Print the column reference of the corpus (docs/corpus.md)."""
    from hemadata.schema import COLUMNS, render

    if as_json:
        emit([{"name": c.name, "type": str(c.type), "tasks": c.tasks, "meaning": c.meaning} for c in COLUMNS])
    else:
        print(render(), end="")


@prompts_app.command("render", epilog="Example:\n\n    hemadata prompts render corpus --task detection -n 3")
def prompts_render(
    corpus: CorpusArgument = Path("corpus"),
    task: Annotated[str | None, typer.Option(help="Only rows of this task.")] = None,
    source: Annotated[str | None, typer.Option(help="Only rows of this source.")] = None,
    template: Annotated[str, typer.Option(help="Template id; 1 is the paper's.")] = "1",
    seed: Annotated[int, typer.Option(help="Chooses among several questions or sentences of a row.")] = 0,
    count: Annotated[int, typer.Option("-n", "--count", help="Rows per source.", min=1)] = 3,
    as_json: Json = False,
) -> None:
    """Render the prompts of some rows of a corpus."""
    from itertools import islice

    import hemadata
    from hemadata import prompts

    wanted, shown = prompts.get(template), list[dict[str, Any]]()
    with hemadata.open(corpus) as opened:
        opened.count(task or "vqa", source=source)  # an unknown name is an error, not an empty answer
        for manifest in opened.manifests.values():
            if task not in (None, manifest.task) or source not in (None, manifest.source):
                continue
            text = {"vqa": ["qa"], "mlm": ["texts"]}.get(manifest.task, [])
            columns = ["sample_id", "source", "disease", *text]
            for row in islice(opened.rows(manifest.task, columns=columns, source=manifest.source), count):
                prompt = opened.prompt(row, template, seed)
                shown.append({"sample_id": row["sample_id"], "prompt_id": wanted.prompt_id, "prompt": prompt})
    if as_json:
        emit(shown)
    else:
        for entry in shown:
            say(f"{entry['sample_id']}\t{entry['prompt']}")


@app.command(epilog="Examples:\n\n    hemadata report corpus\n\n    hemadata report corpus --full     every picture")
def report(
    corpus: CorpusArgument = Path("corpus"),
    full: Annotated[
        bool, typer.Option("--full", help="Also write pages with every picture: reports/gallery/.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write reports/index.html: counts, classes, sizes, leakage, quarantine, licences and a gallery, on one page."""
    from hemadata.report.tell import report

    report(corpus, full, as_json)


@app.command(epilog="Example:\n\n    hemadata stats corpus --json")
def stats(corpus: CorpusArgument = Path("corpus"), as_json: Json = False) -> None:
    """Count what a corpus holds, and write reports/stats.json."""
    from hemadata.report.tell import stats

    stats(corpus, as_json)


@app.command(
    "export",
    epilog="Examples:\n\n"
    "    hemadata export corpus --to coco --out bccd-coco --source bccd\n\n"
    "    hemadata export corpus --to imagefolder --out cells --task classification --split train",
)
def export_command(
    corpus: CorpusArgument,
    to: Annotated[
        Literal["coco", "yolo", "voc", "imagefolder", "webdataset", "unihema-json"],
        typer.Option(help="Format; docs/export.md lists the columns that survive in each."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to make; it appears when it is complete.")],
    source: Annotated[list[str] | None, typer.Option(help="Only this source; may be given several times.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be given several times.")] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Only this split.  [default: train, validation and test]")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a corpus, or a part of it, in the format of other tools."""
    from dataclasses import fields

    from hemadata.export import export

    with progress_bar("rows", quiet=as_json) as progress:
        done = export(corpus, to, out, task, source, split, progress)
    if as_json:
        # Not asdict: it would rebuild a Counter from its pairs, and count them.
        emit({field.name: getattr(done, field.name) for field in fields(done)} | {"out": str(out)})
        return
    for name, reasons in done.left_out.items():
        for reason, rows in reasons.items():
            say(f"{name}: {rows:,} rows left out: {reason}")
    for note, count in done.notes.items():
        say(f"{count:,} {note}")
    say(f"{sum(done.images.values()):,} images of {len(done.images)} sources are in {out} as {to}.")
