"""A page to ask a run about a picture: upload, prompt or question, overlay, attributes of each cell, downloads."""

import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from hemamodel.errors import HemaError
from hemamodel.predict.overlay import draw
from hemamodel.predict.predictor import Predictor, Result
from hemamodel.predict.write import write_mask
from hemamodel.train.learnt import never_learnt

TITLE = "hema: ask the model about a smear"
NOTE = "Research use only, not for diagnosis. Pictures stay on the machine that runs this page."
TASKS = {
    "detection": "Detection: cells and parasites with their attributes",
    "segmentation": "Segmentation: the mask of the cells",
    "classification": "Classification: the kind of a single cell",
    "vqa": "Question: an answer about the picture",
    "mlm": "Sentence: its masked words filled in",
}
HEAD = ("number", "label", "score", "x", "y", "width", "height")


class Demo:
    """What the page does with a click.

    Args:
        predictor: of the run.
        folder: where answers are written for download.
    """

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        self.predictor, self.folder, self._number = predictor, folder, 0

    def ask(
        self, picture: str | None, task: str, disease: str, prompt: str, question: str, threshold: float
    ) -> tuple[Any, ...]:
        """Overlay, answer in words, table, and files for download.

        Args:
            picture: path of the upload; None where there is none.
            task: a key of `TASKS`.
            disease: for the prompt of detection and segmentation.
            prompt: instead of the corpus' wording.
            question: for vqa and mlm.
            threshold: least score of an object.

        Raises:
            gr.Error: what a person must change, in one sentence.
        """
        if not picture:
            raise gr.Error("Choose a picture first.")
        try:
            (result,) = self.predictor(
                [Path(picture)],
                task,
                disease=disease.strip() or None,
                prompt=prompt.strip() or None,
                question=question.strip() or None,
                threshold=threshold,
            )
        except HemaError as error:
            raise gr.Error(str(error)) from None
        self._number += 1
        folder = self.folder / f"answer-{self._number:04}"
        folder.mkdir(parents=True)
        rows = table(result)
        warning = never_learnt(self.predictor.run, task)
        words = f"{warning} {in_words(result)}" if warning else in_words(result)
        return str(draw(result, folder)), words, rows, self._files(result, rows, folder)

    def _files(self, result: Result, rows: list[list[Any]], folder: Path) -> list[str]:
        answer = {"image": Path(result.image).name, "task": result.task, **result.answer}
        files = [folder / "answer.json", folder / "answer.csv"]
        files[0].write_text(json.dumps(answer, indent=1) + "\n")
        text = io.StringIO()
        csv.writer(text).writerows([headers(result.task, rows), *rows])
        files[1].write_text(text.getvalue())
        if result.mask is not None:
            files.append(write_mask(result, folder, "mask"))
        return [str(file) for file in files]


def headers(task: str, rows: Sequence[Sequence[Any]]) -> list[str]:
    """Names of the columns of `table`."""
    from hemamodel.data import MORPHOLOGY

    if task == "detection":
        return [*HEAD, *MORPHOLOGY]
    return ["class", "probability"] if task == "classification" else ["name", "value"]


def table(result: Result) -> list[list[Any]]:
    """A row for each object, each class, or the one number that there is."""
    answer = result.answer
    if result.task == "detection":
        return [
            [number, each["label"], round(each["score"], 3), *each["bbox"], *each["attributes"].values()]
            for number, each in enumerate(answer["objects"], 1)
        ]
    if result.task == "classification":
        return [[name, score] for name, score in sorted(answer["scores"].items(), key=lambda pair: -pair[1])]
    return [[name, value] for name, value in answer.items()]


def in_words(result: Result) -> str:
    """The answer in a line."""
    answer = result.answer
    match result.task:
        case "detection":
            return f"{len(answer['objects']):,} objects."
        case "segmentation":
            return f"{100 * answer['foreground']:.1f} % of the picture is foreground."
        case "classification":
            return f"{answer['label']}, with probability {answer['score']:.2f}."
    return str(answer["text"])


def page(predictor: Predictor, folder: Path) -> Any:
    """The page of a run, a `gr.Blocks`; `folder` takes the files for download."""
    demo = Demo(predictor, folder)
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(f"# {TITLE}\n{predictor.run.name}, stage {predictor.run.settings.stage.stage}. {NOTE}")
        with gr.Row():
            with gr.Column():
                picture = gr.Image(type="filepath", label="Picture", elem_id="picture")
                task = gr.Radio([(text, name) for name, text in TASKS.items()], value="detection", label="Task",
                                elem_id="task")  # fmt: skip
                disease = gr.Textbox(label="Disease, for the prompt of detection and segmentation", elem_id="disease")
                prompt = gr.Textbox(label="Prompt, instead of the corpus' wording", elem_id="prompt")
                question = gr.Textbox(label="Question, or sentence with <mask>", elem_id="question")
                threshold = gr.Slider(0, 1, 0.3, label="Least score of an object", elem_id="threshold")
                button = gr.Button("Ask", variant="primary", elem_id="ask")
            with gr.Column():
                words = gr.Textbox(label="Answer", interactive=False, elem_id="answer")
                overlay = gr.Image(type="filepath", label="Picture with boxes or mask", interactive=False,
                                   buttons=["download", "fullscreen"], elem_id="overlay")  # fmt: skip
                rows = gr.Dataframe(label="Objects, classes or text", interactive=False, elem_id="rows")
                files = gr.File(label="Download: JSON, CSV, mask", file_count="multiple", elem_id="files")

        def ask(*given: Any) -> tuple[Any, ...]:
            overlay_, words_, rows_, files_ = demo.ask(*given)
            return words_, overlay_, {"headers": headers(given[1], rows_), "data": rows_}, files_

        button.click(ask, [picture, task, disease, prompt, question, threshold], [words, overlay, rows, files],
                     api_name="ask")  # fmt: skip
    return blocks


def serve(run: Path, device: str | None = None, port: int = 7860, host: str = "127.0.0.1", block: bool = True) -> Any:
    """Show the page of a run on this machine; returns gradio's server where it does not block."""
    predictor = Predictor(run, device)
    folder = Path(tempfile.mkdtemp(prefix="hema-demo-"))
    blocks = page(predictor, folder)
    blocks.launch(
        server_name=host,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=not block,
        allowed_paths=[str(folder)],
        max_file_size="100mb",
    )
    return blocks
