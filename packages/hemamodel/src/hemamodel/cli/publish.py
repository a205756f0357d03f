"""Commands that bring weights in and out: convert, export, push."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from hemadata.console import emit, say

from hemamodel.cli.options import Disease, Json, Preset, Prompt, RunArgument, Settings

CONVERT = "Examples:\n\n    hemamodel convert checkpoint0023.pth --out runs/released --text google/flan-t5-base"

EXPORT = (
    "Examples:\n\n"
    "    hemamodel export runs/stage1-base-001 --task classification --out cells.onnx\n\n"
    "    hemamodel export runs/stage4-base-001 --task detection --disease malaria --size 832x1344 --out malaria.onnx"
)

PUSH = (
    "Examples:\n\n"
    "    hemamodel push runs/stage5-base-001 --repo my-org/cells --corpus corpus\n\n"
    "    hemamodel push runs/stage5-base-001 --repo my-org/cells --dry-run\n\n"
    "    hemamodel push runs/stage5-base-002 --repo their-org/cells --create-pr"
)


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


def export(
    run: RunArgument,
    task: Annotated[Literal["classification", "detection", "segmentation"], typer.Option(help="What the graph does.")],
    out: Annotated[Path, typer.Option(help="File; a JSON beside it tells inputs and outputs.")],
    to: Annotated[Literal["onnx", "torch-export"], typer.Option(help="Whose format.")] = "onnx",
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of its images; default: the evaluation size.")] = None,
    disease: Disease = None,
    prompt: Prompt = None,
    as_json: Json = False,
) -> None:
    """Write a task of a run as a graph that runs without hemamodel, compared with the model first."""
    from hemadata.console import complain

    from hemamodel.errors import UsageError
    from hemamodel.export import export
    from hemamodel.train.learnt import never_learnt
    from hemamodel.train.runs import read_run

    if warning := never_learnt(read_run(run), task):
        complain(warning)
    sides = None
    if size is not None:
        try:
            height, width = (int(side) for side in size.lower().split("x"))
        except ValueError:
            raise UsageError(f"--size {size}: expected HEIGHTxWIDTH, as 512x512.") from None
        sides = (height, width)
    done = export(run, out, task, to, sides, disease, prompt)
    if as_json:
        emit({"file": str(done.file), "about": str(done.about), "difference": done.difference})
    else:
        say(f"{done.file}: at most {done.difference:.1g} away from the model. Inputs and outputs: {done.about}")


def push(
    run: Annotated[Path, typer.Argument(help="Folder of a complete run.")],
    repo: Annotated[str, typer.Option(help="ORG/NAME on the Hub; made where it is not there.")],
    corpus: Annotated[
        Path | None, typer.Option(help="The corpus that it was trained on, for licences and citations in the card.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request instead.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would go, send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Publish a run on the Hub, with a card that tells data, scores, leakage and limits (docs/publishing.md)."""
    from dataclasses import asdict

    from hemadata.console import complain

    from hemamodel.hub import push

    done = push(run, repo, corpus=corpus, private=private, create_pr=create_pr, dry_run=dry_run,
                tell=complain if as_json else say)  # fmt: skip
    if as_json:
        emit({"repo": repo, **asdict(done)})
        return
    for sign, names in (("+", done.sent), ("-", done.deleted)):
        for name in names:
            say(f"{sign} {name}")
    said = f"licence of the weights: {done.license}."
    if done.revision is None:
        say(f"{done.url} would get {len(done.sent)} files, {said} Nothing was sent.")
    else:
        say(f'{done.url} at {done.revision[:12]}, {said} Use: hemamodel.from_pretrained("{repo}")')


COMMANDS = ((convert, CONVERT), (export, EXPORT), (push, PUSH))
