"""Command line of hemamodel. Everything heavy is imported inside the command, so that --help answers at once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from hemadata.console import complain, emit, run, say

from hemamodel.cli.options import (
    AcceptDataChange,
    Accumulate,
    Checkpointing,
    CorpusFolder,
    Device,
    DryRun,
    Fresh,
    Json,
    Precision,
    Preset,
    Profile,
    Runs,
    Seed,
    Settings,
    StopAfter,
    Variant,
    Workers,
    processes,
)
from hemamodel.console import training_line

if TYPE_CHECKING:
    from hemamodel.train.start import Call

app = typer.Typer(
    name="hemamodel",
    help="Uni-Hema: one model for detection, segmentation, classification and text on blood-cell images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawn help takes twice as long to appear
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Entry point."""
    run(app, "hemamodel", "Run the same command again to go on from the last checkpoint.")


@app.command(
    epilog="Examples:\n\n"
    "    hemamodel train --stage 1 --preset tiny\n\n"
    "    hemamodel train --stage 5                       from the latest earlier run in runs/\n\n"
    "    hemamodel train --stage 4 --set lr=3e-4 --set epochs=40 --set data.train.detection.bccd=2\n\n"
    "    torchrun --nproc-per-node 4 -m hemamodel.cli train --stage 3 --accumulate 2"
)
def train(
    stage: Annotated[int, typer.Option(help="1 to 6; see docs/training.md.", min=1, max=6)],
    preset: Preset = "base",
    variant: Variant = "paper",
    corpus: CorpusFolder = Path("corpus"),
    out: Runs = Path("runs"),
    init_from: Annotated[
        Path | None, typer.Option(help="A run, or ORG/NAME of the Hub, to start from; default: found in --out.")
    ] = None,
    scratch: Annotated[bool, typer.Option("--scratch", help="Start from no earlier run.")] = False,
    settings: Settings = None,
    seed: Seed = 0,
    overfit: Annotated[
        int | None, typer.Option(help="Train on the first so many images only, to see that it learns.", min=1)
    ] = None,
    fresh: Fresh = False,
    accept_data_change: AcceptDataChange = False,
    stop_after: StopAfter = None,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    accumulate: Accumulate = 1,
    checkpointing: Checkpointing = False,
    dry_run: DryRun = False,
    profile: Profile = False,
    as_json: Json = False,
) -> None:
    """Train one stage. Run it again after a stop and it goes on, to the same weights."""
    from hemamodel.train.start import Call

    call = Call(
        stage=stage,
        corpus=corpus,
        out=out,
        preset=preset,
        variant=variant,
        assignments=tuple(settings or ()),
        init_from=init_from,
        scratch=scratch,
        seed=seed,
        overfit=overfit,
        fresh=fresh,
        accept_data_change=accept_data_change,
        workers=processes(workers),
        device=device,
        precision=precision,
        accumulate=accumulate,
        checkpointing=checkpointing,
        profile=profile,
        stop_after=stop_after,
    )
    _train(call, dry_run, as_json)


@app.command(
    epilog="Examples:\n\n"
    "    hemamodel finetune --source raabin-m1 --init-from runs/stage4-base-001\n\n"
    "    hemamodel finetune --source acevedo --init-from runs/stage1-tiny-001 --view uni_hema_45 --set epochs=5"
)
def finetune(
    source: Annotated[str, typer.Option(help="Slug of the source to train on; it may be one of the held-out sets.")],
    init_from: Annotated[Path, typer.Option(help="A complete run, or ORG/NAME of the Hub, to start from.")],
    view: Annotated[str | None, typer.Option(help="A class view; default: the source's own labels.")] = None,
    corpus: CorpusFolder = Path("corpus"),
    out: Runs = Path("runs"),
    settings: Settings = None,
    seed: Seed = 0,
    fresh: Fresh = False,
    accept_data_change: AcceptDataChange = False,
    stop_after: StopAfter = None,
    workers: Workers = None,
    device: Device = None,
    precision: Precision = None,
    accumulate: Accumulate = 1,
    checkpointing: Checkpointing = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Train a run on with one source and its own classes; heads are swapped by class name (table 12 of the paper)."""
    from hemamodel.train.finetune import finetuning

    call = finetuning(
        source,
        init_from,
        corpus,
        view,
        settings or (),
        out=out,
        seed=seed,
        fresh=fresh,
        accept_data_change=accept_data_change,
        stop_after=stop_after,
        workers=processes(workers),
        device=device,
        precision=precision,
        accumulate=accumulate,
        checkpointing=checkpointing,
    )
    _train(call, dry_run, as_json)


def _train(call: "Call", dry_run: bool, as_json: bool) -> None:
    from dataclasses import asdict

    from hemamodel.train.rehearse import rehearse
    from hemamodel.train.start import train

    if dry_run:
        found = rehearse(call, complain if as_json else say)
        if as_json:
            emit(asdict(found))
        else:
            say(f"One step of {found.steps:,}: {found.seconds:.1f} s, at most {found.bytes / 1e9:.2f} GB in tensors "
                f"({found.weights / 1e9:.2f} GB of it the model), loss {sum(found.terms.values()):.4g}.")  # fmt: skip
            say("Less memory: --accumulate 2, --checkpointing. Nothing was written.")
        return
    with training_line(quiet=as_json) as progress:
        run = train(call, complain if as_json else say, progress)
    if as_json:
        emit({"run": str(run.path), "status": run.status, "step": run.step, "steps": run.steps,
              "parent": run.settings.parent, "corpus_id": run.settings.corpus_id})  # fmt: skip
    elif run.complete:
        say(f"{run.path} is complete after {run.steps:,} steps. "
            f"Scores: hemamodel evaluate {run.path} --corpus {call.corpus}")  # fmt: skip
    else:
        say(f"{run.path} stopped after step {run.step:,} of {run.steps:,}. Run the same command again to go on.")


def _register() -> None:
    from hemamodel.cli import look, publish, use

    for part in (look, use, publish):
        part.register(app)


_register()
