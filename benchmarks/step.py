"""What a training step of detection costs on the CPU: `python benchmarks/step.py [--preset base|tiny] [--json]`.

* step: forward, loss and backward of the detection branch at 512 x 512, one image, against transformers'
  `DeformableDetrForObjectDetection` of equal size: the same backbone module, widths, layers, levels, 300 queries, two
  stages, box refinement, losses of each layer; no denoising, no text, no dropout. Steps of the two alternate; medians
  and the ratio of each pair.
* branches: which parts each task runs, counted calls.
* waits: operations of a detection step that would make a GPU wait for the host, counted.
* input: samples per second of the training pipeline at 512 x 512 on one core, with decoding alone as its bound.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hemadata
import torch
from hemadata.build import Options, build
from hemamodel.config import ModelConfig, load_preset
from hemamodel.data import Batch, CorpusDataset, TrainingStream, Transform, decode
from hemamodel.model.backbone import Backbone
from hemamodel.model.tokenizer import word_tokenizer
from hemamodel.model.unihema import UniHema, build_model
from hemamodel.train import step_loss
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

SIZE, QUERIES, BOXES, CLASSES = 512, 300, 20, 30
TASKS = ("classification", "detection", "segmentation", "vqa", "mlm")
WAITS = ("aten._local_scalar_dense", "aten.nonzero", "aten._to_copy", "aten.equal", "aten.masked_select")
Step = Callable[[], Tensor]


def batch_of(task: str, images: int = 1) -> Batch:
    """A made-up batch of a task, the same each time."""
    draw = torch.Generator().manual_seed(0)
    names = [f"image-{number}" for number in range(images)]
    batch = Batch(task, ["made"] * images, names, ["This image is for the detection of red cells ."] * images,
                  torch.full((images, 2), SIZE))  # fmt: skip
    batch.images = torch.randn(images, 3, SIZE, SIZE, generator=draw)
    batch.padding = torch.zeros(images, SIZE, SIZE, dtype=torch.bool)
    batch.labels = torch.zeros(images, dtype=torch.long)
    batch.masks = (torch.rand(images, 1, SIZE, SIZE, generator=draw) > 0.5).float()
    batch.answers = ["red cells"] * images
    centre, side = (torch.rand(images, BOXES, 2, generator=draw) for _ in range(2))
    batch.boxes = list(torch.cat([0.1 + 0.8 * centre, 0.05 + 0.1 * side], dim=-1))
    batch.box_labels = list(torch.randint(0, CLASSES, (images, BOXES), generator=draw))
    batch.box_attributes = [torch.full((BOXES, 6), -100)] * images
    batch.classes_annotated = torch.ones(images, CLASSES)
    return batch


class Ours:
    """hemamodel's detection branch as one step."""

    def __init__(self, config: ModelConfig, batch: Batch) -> None:
        torch.manual_seed(0)
        self.tokenizer = word_tokenizer([*batch.prompts, *(batch.answers or [])], 100)
        self.model = build_model(config, len(self.tokenizer)).train()
        self.batch = batch

    def __call__(self) -> Tensor:
        """The loss."""
        terms = step_loss(self.model, self.tokenizer, self.batch, noise=False)
        return torch.stack(list(terms.values())).sum()


class Peer:
    """transformers' Deformable DETR of the same sizes, around the same backbone."""

    def __init__(self, config: ModelConfig, batch: Batch) -> None:
        from transformers import DeformableDetrConfig, DeformableDetrForObjectDetection, ResNetConfig

        torch.manual_seed(0)
        body = config.backbone
        mine = Backbone(body.depth, body.width, config.backbone_norm, config.freeze_stem)
        widths = [mine.channels[0] // 2, *mine.channels]
        stages = ["stage2", "stage3", "stage4"]
        settings = DeformableDetrConfig(
            use_timm_backbone=False,
            backbone_config=ResNetConfig(hidden_sizes=widths, depths=[1, 1, 1, 1], out_features=stages),
            d_model=config.dim,
            encoder_layers=config.encoder_layers,
            decoder_layers=config.decoder_layers,
            encoder_attention_heads=config.heads,
            decoder_attention_heads=config.heads,
            encoder_ffn_dim=config.hidden,
            decoder_ffn_dim=config.hidden,
            encoder_n_points=config.points,
            decoder_n_points=config.points,
            num_feature_levels=config.levels,
            num_queries=QUERIES,
            two_stage=True,
            two_stage_num_proposals=QUERIES,
            with_box_refine=True,
            auxiliary_loss=True,
            dropout=0.0,
            num_labels=CLASSES,
        )
        self.model = DeformableDetrForObjectDetection(settings).train()
        self.model.model.backbone.model = _Maps(mine)
        self.images, self.seen = batch.images, ~batch.padding
        self.labels = [
            {"class_labels": labels, "boxes": boxes}
            for labels, boxes in zip(batch.box_labels, batch.boxes, strict=True)
        ]

    def __call__(self) -> Tensor:
        """The loss."""
        return self.model(pixel_values=self.images, pixel_mask=self.seen, labels=self.labels).loss


class _Maps(nn.Module):
    """Our backbone under the peer's interface."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, images: Tensor) -> list[Tensor]:
        """Three maps."""
        return self.backbone.body(images)


def seconds(step: Any) -> float:
    """One forward and backward."""
    step.model.zero_grad(set_to_none=True)
    start = time.perf_counter()
    step().backward()
    return time.perf_counter() - start


def compare(preset: str, rounds: int) -> dict[str, object]:
    """Alternating steps of ours and the peer."""
    config = load_preset(preset, [f"queries={QUERIES}", "denoising.queries=0", "prompts=off"])
    batch = batch_of("detection")
    steps = {"hemamodel": Ours(config, batch), "transformers": Peer(config, batch)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 1):  # the first warms up
        for name, step in steps.items():
            spent = seconds(step)
            if number:
                times[name].append(spent)
    trained = {
        name: sum(p.numel() for p in step.model.parameters() if p.grad is not None) for name, step in steps.items()
    }
    pairs = sorted(a / b for a, b in zip(times["hemamodel"], times["transformers"], strict=True))
    return {
        "seconds": {name: round(statistics.median(each), 3) for name, each in times.items()},
        "parameters_with_gradient": trained,
        "ratio_to_transformers": round(statistics.median(pairs), 3),
        "ratio_quartiles": [round(pairs[len(pairs) // 4], 3), round(pairs[-1 - len(pairs) // 4], 3)],
        "meets": statistics.median(pairs) <= 1,
    }


@contextmanager
def counted(model: UniHema) -> Iterator[Counter[str]]:
    """Calls of each part of the model."""
    calls: Counter[str] = Counter()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, module in model.named_children()
    ]
    hooks += [
        module.register_forward_hook(lambda *_, name=f"text.{name}": calls.update([name]))
        for name, module in model.text.named_modules()
        if name in ("t5.encoder", "t5.decoder")
    ]
    yield calls
    for hook in hooks:
        hook.remove()


def branches() -> dict[str, dict[str, int]]:
    """Which parts each task runs in a step."""
    found = {}
    for task in TASKS:
        batch = batch_of(task)
        step = Ours(load_preset("tiny"), batch)
        with counted(step.model) as calls:
            step()
        found[task] = dict(sorted(calls.items()))
    return found


class _Waits(TorchDispatchMode):
    """Counts operations whose result the host must read before it goes on: each stops a GPU's queue."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).rpartition(".")[0]
        if name in WAITS and name != "aten._to_copy":
            self.counts[name.removeprefix("aten.")] += 1
        return func(*args, **(kwargs or {}))


def waits(images: int = 2) -> dict[str, int]:
    """Waits of a step of detection with denoising, forward and backward; matching's copies to the host beside them."""
    batch = batch_of("detection", images)
    step = Ours(load_preset("tiny"), batch)
    copies = 0
    to_numpy = Tensor.numpy

    def numpy(tensor: Tensor, *args: Any, **kwargs: Any) -> Any:
        nonlocal copies
        copies += 1
        return to_numpy(tensor, *args, **kwargs)

    Tensor.numpy = numpy  # type: ignore[method-assign]
    try:
        with _Waits() as mode:
            step_loss(step.model, step.tokenizer, batch)
    finally:
        Tensor.numpy = to_numpy  # type: ignore[method-assign]
    return {"copies_to_host": copies, **mode.counts}


def pipeline(folder: Path, count: int = 60) -> dict[str, float]:
    """Samples per second of one core: decoding alone, and the whole of a training sample at 512 x 512."""
    torch.set_num_threads(1)
    corpus_at = folder / "corpus"
    build(["bccd"], folder, corpus_at, Options(phantom=60))
    with hemadata.open(corpus_at) as corpus:
        image = Transform(fit="squash", sizes=(SIZE,), flip=0.5, stain=0.1, light=0.2)
        stream = TrainingStream(CorpusDataset(corpus, "detection", transform=image))
        names = [row["sample_id"] for row in corpus.index.select(["sample_id"]).to_pylist()]
        rates = {}
        for name, act in {
            "decode": lambda n: decode.image(corpus.image(names[n % len(names)])),
            "sample": lambda n: stream[n],
        }.items():
            act(0)
            start = time.perf_counter()
            for number in range(count):
                act(number)
            rates[f"{name}s_per_second"] = round(count / (time.perf_counter() - start), 1)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", choices=("tiny", "base"), help="default: both")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    found: dict[str, Any] = {"cores": os.cpu_count(), "torch": torch.__version__}
    found["step"] = {preset: compare(preset, args.rounds) for preset in args.preset or ("tiny", "base")}
    found["branches"], found["waits"] = branches(), waits()
    with tempfile.TemporaryDirectory() as folder:
        found["input"] = pipeline(Path(folder))
    print(json.dumps(found) if args.json else json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
