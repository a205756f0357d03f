"""Command line of hemamodel. Everything heavy is imported inside the command, so that --help answers at once."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from hemadata.console import complain, emit, progress_bar, say

from hemamodel.console import training_line
from hemamodel.errors import EXIT_FINDINGS, HemaError

app = typer.Typer(
    name="hemamodel",
    help="Uni-Hema: one model for detection, segmentation, classification and text on blood-cell images.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawn help takes twice as long to appear
    context_settings={"help_option_names": ["-h", "--help"]},
)

Settings = Annotated[list[str] | None, typer.Option("--set", help="key=value; may be given several times.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else on standard output.")]
Preset = Annotated[Literal["tiny", "base"], typer.Option(help="Sizes of the model.")]
Variant = Annotated[Literal["paper", "released"], typer.Option(help="Whose wiring where they differ.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, ...; default: a GPU if there is one.")]
Workers = Annotated[int | None, typer.Option(help="Processes that load images; default: by the cores.", min=0)]
CorpusFolder = Annotated[Path, typer.Option(help="Folder of the corpus.")]
Task = Literal["classification", "detection", "segmentation", "vqa", "mlm"]
VOCABULARY = 32128  # of FLAN-T5: the count of a text branch from scratch depends on its tokenizer
EXIT_STOPPED = 130


def main() -> None:
    """Run the command line; errors that a user can cause end in a sentence and an exit code."""
    try:
        app()
    except HemaError as error:
        complain(str(error))
        raise SystemExit(error.exit_code) from None
    except OSError as error:  # no such folder, no room, no permission: the message names the file
        complain(f"{error.filename or 'A file'}: {error.strerror or error}.")
        raise SystemExit(EXIT_FINDINGS) from None
    except SystemExit as ended:
        if ended.code == EXIT_STOPPED:  # typer turns Ctrl-C into it
            complain("Stopped. Run the same command again to go on from the last checkpoint.")
        raise


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
    out: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs"),
    init_from: Annotated[Path | None, typer.Option(help="A run to start from; default: found in --out.")] = None,
    scratch: Annotated[bool, typer.Option("--scratch", help="Start from no earlier run.")] = False,
    settings: Settings = None,
    seed: Annotated[int, typer.Option(help="Of weights, order, augmentation, noise and dropout.")] = 0,
    overfit: Annotated[
        int | None, typer.Option(help="Train on the first so many images only, to see that it learns.", min=1)
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="A new run, though one like it was stopped.")] = False,
    accept_data_change: Annotated[
        bool, typer.Option("--accept-data-change", help="Go on with a run that has read another corpus.")
    ] = False,
    stop_after: Annotated[int | None, typer.Option(help="Stop after so many steps, to go on later.", min=1)] = None,
    workers: Workers = None,
    device: Device = None,
    precision: Annotated[
        Literal["fp32", "bf16"] | None, typer.Option(help="Default: bf16 on a GPU, fp32 on the CPU.")
    ] = None,
    accumulate: Annotated[int, typer.Option(help="Do each step in so many parts: less memory.", min=1)] = 1,
    checkpointing: Annotated[
        bool, typer.Option("--checkpointing", help="Compute inner values again in the backward pass: less memory.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do one step with the largest images, tell what it takes, write nothing.")
    ] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Tell where the time of steps 4 to 8 goes.")] = False,
    as_json: Json = False,
) -> None:
    """Train one stage. Run it again after a stop and it goes on, to the same weights."""
    from hemamodel.train.start import Call, train

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
        workers=_workers(workers),
        device=device,
        precision=precision,
        accumulate=accumulate,
        checkpointing=checkpointing,
        profile=profile,
        stop_after=stop_after,
    )
    if dry_run:
        from dataclasses import asdict

        from hemamodel.train.rehearse import rehearse

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
        say(
            f"{run.path} is complete after {run.steps:,} steps. Scores: hemamodel evaluate {run.path} --corpus {corpus}"
        )
    else:
        say(f"{run.path} stopped after step {run.step:,} of {run.steps:,}. Run the same command again to go on.")


@app.command(
    epilog="Examples:\n\n"
    "    hemamodel evaluate runs/stage5-tiny-001\n\n"
    "    hemamodel evaluate runs/stage1-base-001 --source acevedo --json"
)
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a complete run.")],
    corpus: CorpusFolder = Path("corpus"),
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Rows that are scored.")] = "test",
    task: Annotated[list[str] | None, typer.Option(help="Default: the tasks of the run's stage.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="Default: the sources that it trained on.")] = None,
    batch_size: Annotated[int, typer.Option(help="Images at once; no score depends on it.", min=1)] = 8,
    limit: Annotated[int | None, typer.Option(help="Only the first so many images of each task.", min=1)] = None,
    workers: Workers = None,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Scores of a run on a split of the corpus."""
    from hemamodel.evaluate.run import evaluate
    from hemamodel.evaluate.tell import table

    with progress_bar("samples", quiet=as_json) as progress:
        found = evaluate(
            run,
            corpus,
            split=split,
            tasks=task or (),
            sources=source or (),
            batch_size=batch_size,
            workers=_workers(workers),
            device=device,
            limit=limit,
            told=progress,
        )
    if as_json:
        emit(found)
    else:
        say(table(found))


@app.command(
    epilog="Examples:\n\n"
    "    hemamodel predict smear.jpg --run runs/stage4-base-001 --task detection --disease malaria --overlay found\n\n"
    '    hemamodel predict cells/ --run runs/stage6-base-001 --task vqa --question "Which cell is this?"'
)
def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    run: Annotated[Path, typer.Option(help="Folder of a complete run.")],
    task: Annotated[Task, typer.Option(help="What to look for.")],
    disease: Annotated[str | None, typer.Option(help="For the prompt, e.g. malaria, leukemia, normal.")] = None,
    prompt: Annotated[str | None, typer.Option(help="The whole prompt, instead of the corpus' wording.")] = None,
    question: Annotated[str | None, typer.Option(help="For vqa; for mlm the sentence with its masks.")] = None,
    threshold: Annotated[float, typer.Option(help="Least score of an object.", min=0, max=1)] = 0.3,
    overlay: Annotated[Path | None, typer.Option(help="Folder for pictures with boxes or masks drawn.")] = None,
    device: Device = None,
) -> None:
    """Ask a trained model about pictures: one JSON object a line, boxes as x, y, w, h in pixels."""
    from hemamodel.predict.overlay import draw
    from hemamodel.predict.predictor import Predictor, find_images

    files = find_images(images)
    predictor = Predictor(run, device)
    if overlay is not None:
        overlay.mkdir(parents=True, exist_ok=True)
    for result in predictor(files, task, disease=disease, prompt=prompt, question=question, threshold=threshold):
        line: dict[str, Any] = {"image": str(result.image), "task": task, **result.answer}
        if overlay is not None:
            line["overlay"] = str(draw(result, overlay))
        emit(line)


@app.command(
    epilog="Examples:\n\n"
    "    hemamodel info --preset tiny\n\n"
    "    hemamodel info --variant released --set cmf.image=encoder --json"
)
def info(
    preset: Preset = "base",
    variant: Variant = "paper",
    settings: Settings = None,
    as_json: Json = False,
) -> None:
    """Parameters of the model, group by group, and the stages that train each group."""
    import torch

    from hemamodel.config import load_preset
    from hemamodel.model.unihema import build_model, count_parameters
    from hemamodel.stages import STAGES, load

    config = load_preset(preset, [f"variant={variant}", *(settings or [])])
    with torch.device("meta"):  # counted, never allocated
        model = build_model(config, VOCABULARY)
    groups = count_parameters(model.groups())
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    if as_json:
        emit({"variant": variant, "preset": preset, "trainable_parameters": trainable, "groups": groups})
        return
    for name, count in groups.items():
        stages = " ".join(str(stage) for stage in STAGES if name in load(stage).trainable)
        say(f"{name:14} {count:>12,}   stages {stages}")
    say(f"{'all':14} {sum(groups.values()):>12,}   {trainable:,} trainable   ({variant}, {preset})")


def _workers(asked: int | None) -> int:
    """One process for each core but one, at most eight; they only decode and crop."""
    import os

    return min(8, (os.cpu_count() or 1) - 1) if asked is None else asked


if __name__ == "__main__":
    main()
