"""A trained model on pictures from anywhere: files in, plain results out."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hemadata import ontology, prompts
from hemadata.errors import DefectError

from hemamodel.data import MORPHOLOGY, Batch, Transform, collate, decode
from hemamodel.data.records import VIEWS, VOCABULARY
from hemamodel.data.transforms import Sample
from hemamodel.device import device_of
from hemamodel.errors import InputMissingError, UsageError
from hemamodel.model.tokenizer import decode as words
from hemamodel.predict.results import Detections, detections, masks
from hemamodel.stages import HOME, load, stage_of
from hemamodel.train.start import load_run
from hemamodel.train.step import prompt_of

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Result:
    """What the model says of one picture.

    Attributes:
        image: the file.
        task: what was asked.
        answer: JSON values; classification `label, score, scores`; detection `objects`; segmentation `foreground`, the
            part of the picture; vqa and mlm `text`.
        detections: the objects, for drawing.
        mask: bool [H, W], for drawing.
        size: width and height of the stored picture.
    """

    image: Path
    task: str
    answer: dict[str, Any]
    detections: Detections | None = None
    mask: torch.Tensor | None = None
    size: tuple[int, int] = (0, 0)


class Predictor:
    """A run, ready to be asked.

    Args:
        run: folder of a complete run.
        device: None: a GPU if there is one.
    """

    def __init__(self, run: Path, device: str | None = None) -> None:
        self.run, self.model, self.tokenizer = load_run(run)
        self.device = device_of(device)
        self.model.to(self.device)
        tree = ontology.load()
        views = VIEWS | dict(self.run.settings.stage.data.views)
        self.names = {task: tree.view(view).classes for task, view in views.items()}
        vocabulary = tree.morphology(VOCABULARY)
        self.values = [vocabulary.attributes[name].values for name in MORPHOLOGY]

    @torch.no_grad()
    def __call__(
        self,
        images: Sequence[Path],
        task: str,
        *,
        disease: str | None = None,
        prompt: str | None = None,
        question: str | None = None,
        threshold: float = 0.3,
        batch_size: int = 1,
        unread: Callable[[str], None] | None = None,
    ) -> Iterator[Result]:
        """Ask the same of every picture.

        Args:
            images: files.
            task: classification, detection, segmentation, vqa or mlm.
            disease: for the corpus' prompt of detection and segmentation; None: the prompt without one.
            prompt: instead of the corpus' prompt.
            question: of vqa; the masked sentence of mlm.
            threshold: least score of an object.
            batch_size: pictures at once; more than one needs pictures of one padded size to give the same results.
            unread: told of each file that cannot be read as a picture, which then gives no result; None: it is raised.

        Raises:
            UsageError: the task is unknown, or needs a question.
            InputMissingError: a file cannot be read as a picture.
        """
        text = prompt_for(task, disease, prompt, question)
        for files, batch in self._batches(images, task, text, batch_size, unread):
            sizes = [(width, height) for height, width in batch.original_sizes.tolist()]
            for result, size in zip(self._ask(batch, files, threshold), sizes, strict=True):
                yield replace(result, size=size)

    @torch.no_grad()
    def features(
        self, images: Sequence[Path], batch_size: int = 8, unread: Callable[[str], None] | None = None
    ) -> Iterator[tuple[Path, np.ndarray]]:
        """What SCFE makes of each single cell, float32 [D]; `unread` as above."""
        for files, batch in self._batches(images, "classification", "", batch_size, unread):
            assert batch.images is not None and batch.padding is not None
            yield from zip(
                files, self.model.cell_feature(batch.images, batch.padding).float().cpu().numpy(), strict=True
            )

    def _batches(
        self, images: Sequence[Path], task: str, text: str, batch_size: int, unread: Callable[[str], None] | None
    ) -> Iterator[tuple[list[Path], Batch]]:
        transform = self._transform(task)
        for start in range(0, len(images), batch_size):
            files, samples = list[Path](), list[Sample]()
            for path in images[start : start + batch_size]:
                try:
                    samples.append(transform(sample_of(path, task, text), 0))
                except InputMissingError as error:
                    if unread is None:
                        raise
                    unread(str(error))
                else:
                    files.append(path)
            if samples:
                yield files, collate(samples).to(self.device)

    def _ask(self, batch: Batch, files: Sequence[Path], threshold: float) -> Iterator[Result]:
        model, task = self.model, batch.task
        assert batch.images is not None and batch.padding is not None and batch.sizes is not None
        if task == "classification":
            for path, scores in zip(files, model.classify(batch.images, batch.padding).softmax(-1), strict=True):
                named = dict(zip(self.names[task], [round(score, 5) for score in scores.tolist()], strict=True))
                label = max(named, key=lambda name: named[name])
                yield Result(path, task, {"label": label, "score": named[label], "scores": named})
            return
        prompt = prompt_of(model, self.tokenizer, batch)
        if task == "detection":
            found = detections(model.detect(batch.images, batch.padding, prompt), batch.original_sizes)
            for path, each in zip(files, found, strict=True):
                kept = each.above(threshold)
                yield Result(path, task, {"objects": self._objects(kept)}, detections=kept)
        elif task == "segmentation":
            logits = model.segment(batch.images, batch.padding, prompt)
            for path, mask in zip(files, masks(logits, batch.sizes, batch.original_sizes), strict=True):
                yield Result(path, task, {"foreground": round(mask.float().mean().item(), 5)}, mask=mask.cpu())
        else:
            assert prompt is not None
            for path, said in zip(
                files, words(self.tokenizer, model.answer(batch.images, batch.padding, prompt)), strict=True
            ):
                yield Result(path, task, {"text": said})

    def _objects(self, found: Detections) -> list[dict[str, Any]]:
        names = self.names["detection"]
        rows = zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), found.morphology.tolist(), strict=True
        )
        return [
            {
                "bbox": [round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2)],
                "label": names[label],
                "score": round(score, 5),
                "attributes": {
                    name: values[value] for name, values, value in zip(MORPHOLOGY, self.values, morphology, strict=True)
                },
            }
            for (x1, y1, x2, y2), score, label, morphology in rows
        ]

    def _transform(self, task: str) -> Transform:
        config = stage_of(task, self.run.settings.stage).tasks[task].image or load(HOME[task]).tasks[task].image  # type: ignore[index]
        assert config is not None, "the home stage of a task reads images"
        return Transform(**config.evaluation())


def prompt_for(task: str, disease: str | None = None, prompt: str | None = None, question: str | None = None) -> str:
    """The text that goes in with a picture, as the corpus renders it.

    Raises:
        UsageError: the task is unknown, or asks for a question that is not given.
    """
    if task not in HOME:
        raise UsageError(f"There is no task {task!r}. There are {', '.join(HOME)}.")
    if task in ("vqa", "mlm") and not (question or "").strip():
        raise UsageError(f"{task} needs --question: what is asked, or the sentence with its masks.")
    if prompt is not None:
        return prompt
    row = {"sample_id": "", "disease": disease, "qa": [{"question": question}], "texts": [{"masked_text": question}]}
    return prompts.render(prompts.get("1"), task, row) or ""


def find_images(paths: Sequence[Path]) -> list[Path]:
    """Files as given, and the pictures of folders, sorted.

    Raises:
        InputMissingError: a path is not there, or a folder holds no picture.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise InputMissingError(f"There is no {path}.")
        inside = sorted(each for each in path.iterdir() if each.suffix.lower() in IMAGES) if path.is_dir() else [path]
        if not inside:
            raise InputMissingError(f"{path} holds no picture ({', '.join(IMAGES)}).")
        found += inside
    return found


def sample_of(path: Path, task: str, text: str) -> Sample:
    """A picture file as a sample that transforms take.

    Raises:
        InputMissingError: it cannot be read as a picture.
    """
    try:
        image = decode.image(path.read_bytes())
    except (OSError, DefectError) as error:
        raise InputMissingError(f"{path} cannot be read as a picture: {error}") from error
    return {
        "task": task,
        "source": "",
        "sample_id": str(path),
        "prompt": text,
        "original_size": tuple(image.shape[-2:]),
        "image": image,
    }
