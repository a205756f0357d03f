"""Commands that train: train, finetune."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from hemadata.console import complain, emit, say

from hemamodel.cli.options import CorpusFolder, Device, Json, Settings, Workers, processes, with_options
from hemamodel.console import training_line

if TYPE_CHECKING:
    from hemamodel.train.start import Call

TRAIN = (
    "Examples:\n\n"
    "    hemamodel train --stage 1 --preset tiny\n\n"
    "    hemamodel train --stage 5                       from the latest earlier run in runs/\n\n"
    "    hemamodel train --stage 4 --set lr=3e-4 --set epochs=40 --set data.train.detection.bccd=2\n\n"
    "    torchrun --nproc-per-node 4 -m hemamodel.cli train --stage 3 --accumulate 2"
)
FINETUNE = (
    "Examples:\n\n"
    "    hemamodel finetune --source raabin-m1 --init-from runs/stage4-base-001\n\n"
    "    hemamodel finetune --source acevedo --init-from runs/stage1-tiny-001 --view uni_hema_45 --set epochs=5"
)


@dataclass(kw_only=True)
class How:
    """Options of both commands."""

    corpus: CorpusFolder = Path("corpus")
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs")
    settings: Settings = None
    seed: Annotated[int, typer.Option(help="Of weights, order, augmentation, noise and dropout.")] = 0
    fresh: Annotated[bool, typer.Option("--fresh", help="A new run, though one like it was stopped.")] = False
    accept_data_change: Annotated[
        bool, typer.Option("--accept-data-change", help="Go on with a run that has read another corpus.")
    ] = False
    stop_after: Annotated[int | None, typer.Option(help="Stop after so many steps, to go on later.", min=1)] = None
    workers: Workers = None
    device: Device = None
    precision: Annotated[
        Literal["fp32", "bf16"] | None, typer.Option(help="Default: bf16 on a GPU, fp32 on the CPU.")
    ] = None
    accumulate: Annotated[int, typer.Option(help="Do each step in so many parts: less memory.", min=1)] = 1
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Compute inner values again in the backward pass: less memory.")
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do one step with the largest images, tell what it takes, write nothing.")
    ] = False
    profile: Annotated[bool, typer.Option("--profile", help="Tell where the time of steps 4 to 8 goes.")] = False
    as_json: Json = False

    def of_call(self) -> dict[str, Any]:
        """Fields of `Call`, less `corpus`."""
        others = ("corpus", "settings", "dry_run", "as_json")
        given = {name: value for name, value in vars(self).items() if name not in others}
        return given | {"workers": processes(self.workers)}


@with_options(How)
def train(
    how: How,
    stage: Annotated[int, typer.Option(help="1 to 6; see docs/training.md.", min=1, max=6)],
    preset: Annotated[
        Literal["tiny", "base"] | None, typer.Option(help="Sizes of the model; default: those of --init-from, or base.")
    ] = None,
    variant: Annotated[
        Literal["paper", "released"] | None,
        typer.Option(help="Whose wiring where they differ; default: that of --init-from, or paper."),
    ] = None,
    init_from: Annotated[
        Path | None, typer.Option(help="A run, or ORG/NAME of the Hub, to start from; default: found in --out.")
    ] = None,
    scratch: Annotated[bool, typer.Option("--scratch", help="Start from no earlier run.")] = False,
    overfit: Annotated[
        int | None, typer.Option(help="Train on the first so many images only, to see that it learns.", min=1)
    ] = None,
) -> None:
    """Train one stage. Run it again after a stop and it goes on, to the same weights."""
    from hemamodel.train.start import Call

    call = Call(
        stage,
        how.corpus,
        preset=preset,
        variant=variant,
        assignments=tuple(how.settings or ()),
        init_from=init_from,
        scratch=scratch,
        overfit=overfit,
        **how.of_call(),
    )
    _train(call, how)


@with_options(How)
def finetune(
    how: How,
    source: Annotated[str, typer.Option(help="Slug of the source to train on; it may be one of the held-out sets.")],
    init_from: Annotated[Path, typer.Option(help="A complete run, or ORG/NAME of the Hub, to start from.")],
    view: Annotated[str | None, typer.Option(help="A class view; default: the source's own labels.")] = None,
) -> None:
    """Train a run on with one source and its own classes; heads are swapped by class name (table 12 of the paper)."""
    from hemamodel.train.finetune import finetuning

    _train(finetuning(source, init_from, how.corpus, view, how.settings or (), **how.of_call()), how)


def _train(call: "Call", how: How) -> None:
    from dataclasses import asdict

    from hemamodel.train.parallel import tells
    from hemamodel.train.rehearse import rehearse
    from hemamodel.train.start import train

    tell = (complain if how.as_json else say) if tells() else (lambda line: None)
    if how.dry_run:
        found = rehearse(call, tell)
        if not tells():
            return
        if how.as_json:
            emit(asdict(found))
        else:
            say(f"One step of {found.steps:,}: {found.seconds:.1f} s, at most {found.bytes / 1e9:.2f} GB in tensors "
                f"({found.weights / 1e9:.2f} GB of it the model), loss {sum(found.terms.values()):.4g}.")  # fmt: skip
            say("Less memory: --accumulate 2, --checkpointing. Nothing was written.")
        return
    with training_line(quiet=how.as_json) as progress:
        run = train(call, tell, progress)
    if not tells():
        return
    if how.as_json:
        emit({"run": str(run.path), "status": run.status, "step": run.step, "steps": run.steps,
              "parent": run.settings.parent, "corpus_id": run.settings.corpus_id})  # fmt: skip
    elif run.complete:
        say(f"{run.path} is complete after {run.steps:,} steps. "
            f"Scores: hemamodel evaluate {run.path} --corpus {call.corpus}")  # fmt: skip
    else:
        say(f"{run.path} stopped after step {run.step:,} of {run.steps:,}. Run the same command again to go on.")


COMMANDS = ((train, TRAIN), (finetune, FINETUNE))
