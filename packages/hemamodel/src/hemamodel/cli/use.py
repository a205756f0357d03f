"""Commands that use a trained model: predict, embed, demo."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from hemadata.console import complain, emit, say
from hemadata.errors import EXIT_FINDINGS, EXIT_INPUT_MISSING

from hemamodel.cli.options import Device, Disease, Json, Prompt, RunOption

PREDICT = (
    "Examples:\n\n"
    "    hemamodel predict smear.jpg --run runs/stage4-base-001 --task detection --disease malaria --overlay found\n\n"
    '    hemamodel predict cells/ --run runs/stage6-base-001 --task vqa --question "Which cell is this?"'
)

DEMO = "Examples:\n\n    hemamodel demo --run runs/stage4-base-001 --port 7860"
EMBED = "Examples:\n\n    hemamodel embed cells/ --run runs/stage1-base-001 --out cells.npz"


def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    run: RunOption,
    task: Annotated[
        Literal["classification", "detection", "segmentation", "vqa", "mlm"], typer.Option(help="What to look for.")
    ],
    disease: Disease = None,
    prompt: Prompt = None,
    question: Annotated[str | None, typer.Option(help="For vqa; for mlm the sentence with its masks.")] = None,
    threshold: Annotated[float, typer.Option(help="Least score of an object.", min=0, max=1)] = 0.3,
    overlay: Annotated[Path | None, typer.Option(help="Folder for pictures with boxes or masks drawn.")] = None,
    masks: Annotated[Path | None, typer.Option(help="Folder for masks of segmentation: PNG, 0 and 255.")] = None,
    coco: Annotated[Path | None, typer.Option(help="File for all boxes of detection, as COCO.")] = None,
    batch_size: Annotated[
        int, typer.Option(help="Pictures at once; of one size, or results differ by their padding.", min=1)
    ] = 1,
    device: Device = None,
) -> None:
    """Ask a trained model about pictures: one JSON object a line, as docs/predicting.md describes."""
    from hemamodel.errors import UsageError
    from hemamodel.predict.overlay import draw
    from hemamodel.predict.predictor import Predictor, find_images
    from hemamodel.predict.write import CocoFile, unique_names, write_mask
    from hemamodel.train.learnt import never_learnt

    if (masks and task != "segmentation") or (coco and task != "detection"):
        raise UsageError("--masks goes with --task segmentation, --coco with --task detection.")
    files = find_images(images)
    names, predictor = unique_names(files), Predictor(run, device)
    if warning := never_learnt(predictor.run, task):
        complain(warning)
    gathered = CocoFile(predictor.names["detection"])
    for folder in (overlay, masks, coco and coco.parent):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    answered = 0
    answers = predictor(files, task, disease=disease, prompt=prompt, question=question, threshold=threshold,
                        batch_size=batch_size, unread=complain)  # fmt: skip
    for result in answers:
        answered += 1
        line: dict[str, Any] = {"image": str(result.image), "task": task, **result.answer}
        if masks is not None:
            line["mask"] = str(write_mask(result, masks, names[result.image]))
        if overlay is not None:
            line["overlay"] = str(draw(result, overlay, names[result.image]))
        if coco is not None:
            gathered.add(result)
        emit(line)
    if coco is not None:
        gathered.write(coco)
    if answered < len(files):  # each of the others has been named
        raise typer.Exit(EXIT_FINDINGS if answered else EXIT_INPUT_MISSING)


def embed(
    images: Annotated[list[Path], typer.Argument(help="Pictures of single cells, or folders of them.")],
    run: RunOption,
    out: Annotated[Path, typer.Option(help="npz file: names [n], features [n, D].")],
    batch_size: Annotated[int, typer.Option(help="Pictures at once.", min=1)] = 8,
    device: Device = None,
    as_json: Json = False,
) -> None:
    """Features of single cells, for other people's classifiers and maps."""
    from hemamodel.predict.predictor import Predictor, find_images
    from hemamodel.predict.write import write_features

    files = find_images(images)
    out.parent.mkdir(parents=True, exist_ok=True)
    count, width = write_features(out, Predictor(run, device).features(files, batch_size, unread=complain))
    if not count:
        raise typer.Exit(EXIT_INPUT_MISSING)  # each has been named
    if as_json:
        emit({"file": str(out), "pictures": count, "features": width})
    else:
        say(f"{out}: {count:,} pictures, {width} features each.")
    if count < len(files):
        raise typer.Exit(EXIT_FINDINGS)


def demo(
    run: RunOption,
    port: Annotated[int, typer.Option(help="Of the page.")] = 7860,
    host: Annotated[str, typer.Option(help="127.0.0.1: this machine alone.")] = "127.0.0.1",
    device: Device = None,
) -> None:
    """Show a page with upload, prompt or question, boxes, masks, attributes and downloads. Ctrl-C ends it."""
    from hemamodel.errors import UsageError

    try:
        from hemamodel.demo import serve
    except ImportError as error:
        raise UsageError(f"The page needs {error.name}: pip install 'hemamodel[demo]'.") from None
    say(f"http://{host}:{port}  (Ctrl-C ends it)")
    serve(run, device, port, host)


COMMANDS = ((predict, PREDICT), (embed, EMBED), (demo, DEMO))
