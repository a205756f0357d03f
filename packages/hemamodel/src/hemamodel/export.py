"""One vision task of a run as a graph that runs without hemamodel: ONNX, or torch.export's own file."""

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from hemadata.atomic import publish, temporary_name, write_text
from torch import Tensor, nn

from hemamodel.data.records import MORPHOLOGY
from hemamodel.data.transforms import MEAN, STD
from hemamodel.errors import HemaError, UsageError
from hemamodel.model.tokenizer import tokenize
from hemamodel.model.unihema import Prompt, UniHema
from hemamodel.predict.predictor import Predictor, prompt_for
from hemamodel.stages import stage_of

OUTPUTS = {
    "classification": ("probabilities",),
    "detection": ("scores", "boxes", "morphology"),
    "segmentation": ("foreground",),
}
MOST = 64  # images at once
CLOSE = 1e-3  # largest difference between the graph and the model


class Graph(nn.Module):
    """What is exported: images [B, 3, H, W], normalised and without padding -> the outputs of a task.

    Args:
        model: in eval mode.
        task: classification, detection or segmentation.
        prompt: read once, here; the graph holds its states as constants. None: the task reads none.
    """

    def __init__(self, model: UniHema, task: str, prompt: Prompt | None) -> None:
        super().__init__()
        self.model, self.task, self.asks = model, task, prompt is not None
        if prompt is not None:
            with torch.no_grad():
                states = model.text.encode(prompt.ids, prompt.padding)
            for name, each in (("ids", prompt.ids), ("absent", prompt.padding), ("states", states)):
                self.register_buffer(name, each)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs as `OUTPUTS` names them.

        Probabilities [B, classes]; scores [B, Q, classes], boxes [B, Q, 4] (centre x, centre y, width, height as parts
        of the image), morphology [B, Q, A, V]; foreground probability [B, 1, H, W].
        """
        padding = torch.zeros_like(images[:, 0], dtype=torch.bool)  # [B, H, W]
        if self.task == "classification":
            return (self.model.classify(images, padding).softmax(-1),)
        prompt = self._prompt(images.shape[0]) if self.asks else None
        if self.task == "segmentation":
            return (self.model.segment(images, padding, prompt).sigmoid(),)
        found = self.model.detect(images, padding, prompt)
        return found.labels[-1].sigmoid(), found.boxes[-1], found.morphology[-1].softmax(-1)

    def _prompt(self, count: int) -> Prompt:
        ids, absent, states = (self.get_buffer(name) for name in ("ids", "absent", "states"))
        return Prompt(ids.expand(count, -1), absent.expand(count, -1), states.expand(count, -1, -1))


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        file: the graph.
        about: JSON beside it: how pictures must be prepared, what the outputs mean.
        difference: largest, between the graph and the model on random images.
    """

    file: Path
    about: Path
    difference: float


def export(
    run: Path,
    out: Path,
    task: str,
    to: Literal["onnx", "torch-export"] = "onnx",
    size: tuple[int, int] | None = None,
    disease: str | None = None,
    prompt: str | None = None,
) -> Exported:
    """Write a task of a run as a graph, and compare it with the model before it gets its name.

    Args:
        run: folder of a complete run.
        out: file.
        task: classification, detection or segmentation.
        to: onnx (read by onnxruntime) or torch-export (`torch.export.load`).
        size: height and width of its images, multiples of 64; None: the square of the run's evaluation size.
        disease: for the prompt, which becomes part of the graph.
        prompt: instead of the corpus' wording.

    Raises:
        UsageError: a task that writes text, or a size that would need padding.
        HemaError: the graph does not say what the model says.
    """
    if task not in OUTPUTS:
        raise UsageError(
            f"{task} writes its answer word by word and has no single graph; there are {', '.join(OUTPUTS)}."
        )
    predictor = Predictor(run, "cpu")
    image = stage_of(task, predictor.run.settings.stage).tasks[task].image  # type: ignore[index]
    assert image is not None, "vision tasks read images"
    height, width = size or (_up(image.evaluation_size),) * 2
    if height % 64 or width % 64:
        raise UsageError(f"{height} x {width}: sides are multiples of 64, as {_up(height)} x {_up(width)}.")
    text = prompt_for(task, disease, prompt)
    graph = Graph(predictor.model, task, _tokens(predictor, task, text)).eval()
    program = _trace(graph, (height, width))
    temporary = temporary_name(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    difference = (_save_onnx if to == "onnx" else _save_program)(program, graph, temporary, (height, width))
    if not difference <= CLOSE:
        temporary.unlink()
        raise HemaError(f"The {to} graph of {run} is {difference:.2g} away from the model; {out} was not written.")
    publish({temporary: out})
    about = out.with_suffix(".json")
    classes = list(predictor.names.get(task, ()))
    write_text(about, json.dumps(_about(task, height, width, text, classes, predictor.run.name), indent=1) + "\n")
    return Exported(out, about, difference)


def _up(side: int) -> int:
    return -(-side // 64) * 64


def _tokens(predictor: Predictor, task: str, text: str) -> Prompt | None:
    config = predictor.model.config
    if task == "classification" or not config.prompts:
        return None
    whole = config.text.max_length if config.variant == "released" else None
    return Prompt(*tokenize(predictor.tokenizer, [text], config.text.max_length, pad_to=whole))


def _images(count: int, size: tuple[int, int]) -> Tensor:
    return torch.randn(count, 3, *size, generator=torch.Generator().manual_seed(count))


def _trace(graph: Graph, size: tuple[int, int]) -> Any:
    warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")  # torch's own, of its tree specs
    batch = torch.export.Dim("batch", min=1, max=MOST)
    with torch.no_grad():
        return torch.export.export(graph, (_images(2, size),), dynamic_shapes=({0: batch},))


def _save_program(program: Any, graph: Graph, path: Path, size: tuple[int, int]) -> float:
    with path.open("wb") as file:
        torch.export.save(program, file)
    with path.open("rb") as file:
        loaded = torch.export.load(file).module()
    return _apart(graph, lambda images: loaded(images), size)


def _save_onnx(program: Any, graph: Graph, path: Path, size: tuple[int, int]) -> float:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401  torch needs it
    except ImportError as error:
        raise UsageError(f"ONNX needs {error.name}: pip install 'hemamodel[onnx]', or --to torch-export.") from None
    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it warns of every operation that it leaves as it is
    names = list(OUTPUTS[graph.task])
    written = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=["images"],
        output_names=names,
        custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
    )
    assert written is not None
    written.save(str(path), external_data=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return _apart(graph, lambda images: map(torch.from_numpy, session.run(names, {"images": images.numpy()})), size)


def _stable_sort(x: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:
    """ONNX has no stable sort, but its TopK takes equal values in their order."""
    from onnxscript import opset18 as op

    length: Any = op.Gather(op.Shape(x), op.Constant(value_ints=[dim]))  # type: ignore[type-var]
    return op.TopK(x, length, axis=dim, largest=int(descending), sorted=1)


@torch.no_grad()
def _apart(graph: Graph, other: Any, size: tuple[int, int]) -> float:
    """Largest difference on one image and on three."""
    return max(
        float((wanted - found).abs().max())
        for count in (1, 3)
        for wanted, found in zip(graph(_images(count, size)), other(_images(count, size)), strict=True)
    )


def _about(task: str, height: int, width: int, text: str, classes: list[str], run: str) -> dict[str, Any]:
    return {
        "run": run,
        "task": task,
        "input": {
            "images": f"float32 [batch up to {MOST}, 3, {height}, {width}], RGB in 0 to 1, minus mean, over std",
            "mean": MEAN,
            "std": STD,
        },
        "outputs": list(OUTPUTS[task]),
        "classes": classes,
        "morphology": list(MORPHOLOGY) if task == "detection" else [],
        "prompt": text if task != "classification" else None,
        "use": "research only, not for diagnosis",
    }
