"""Commands that use a trained model: predict."""

from pathlib import Path
from typing import Annotated, Any

import typer
from hemadata.console import emit

from hemamodel.cli.options import Device, Task


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=PREDICT)(predict)


PREDICT = (
    "Examples:\n\n"
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
