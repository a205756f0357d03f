"""What one batch costs: the terms of equation 1, by task."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.autograd.profiler import record_function
from torch.nn.functional import cross_entropy
from transformers import T5Tokenizer

from hemamodel.data import Batch
from hemamodel.losses import asymmetric_loss, detection_loss, dice_loss, focal_loss, match
from hemamodel.losses.detection import Pairs
from hemamodel.model.denoising import DenoisingQueries
from hemamodel.model.tokenizer import target_ids, tokenize
from hemamodel.model.unihema import Found, Prompt, UniHema
from hemamodel.train.whole import Whole

# Equation 1 adds the families with weight 1; inside detection the weights are DINO's, as the paper says.
DETECTION_WEIGHTS = {"class": 1.0, "box": 5.0, "overlap": 2.0}


def step_loss(
    model: UniHema,
    tokenizer: T5Tokenizer,
    batch: Batch,
    seed: int = 0,
    noise: bool = True,
    whole: Whole | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """Weighted terms of a batch; their sum is the loss.

    Args:
        model: in the mode of its stage.
        tokenizer: of the text branch.
        batch: of one task.
        seed: of the denoising noise; to be changed each epoch.
        noise: denoising on; off for a validation loss.
        whole: of which this batch is a part: the terms of all parts then add up to those of the whole. None: of itself.
        precision: what the model computes in; losses and geometry stay in float32.
        label_smoothing: part of a target that is spread over all classes, in classification.
    """
    if whole is None:
        whole = Whole.of([batch], tokenizer, model.config.text.max_length)
    device = batch.original_sizes.device.type
    with torch.autocast(device, torch.bfloat16) if precision == "bf16" else nullcontext():
        return _loss(model, tokenizer, batch, seed, noise, whole, label_smoothing)


def _loss(
    model: UniHema,
    tokenizer: T5Tokenizer,
    batch: Batch,
    seed: int,
    noise: bool,
    whole: Whole,
    label_smoothing: float,
) -> dict[str, Tensor]:
    part = len(batch) / whole.images
    if batch.task in ("vqa", "mlm"):
        return _text(model, tokenizer, batch, whole)
    assert batch.images is not None and batch.padding is not None, "a task on images comes with images"
    if batch.task == "classification":
        assert batch.labels is not None
        logits = model.classify(batch.images, batch.padding)
        loss = cross_entropy(logits.float(), batch.labels, label_smoothing=label_smoothing)
        return {"classification": part * loss}
    prompt = prompt_of(model, tokenizer, batch)
    if batch.task == "segmentation":
        assert batch.masks is not None
        logits = model.segment(batch.images, batch.padding, prompt).float()
        masks = batch.masks[:, :1]
        return {
            "dice": part * dice_loss(logits, masks, batch.padding),
            "focal": part * focal_loss(logits, masks, batch.padding),
        }
    return _detection(model, batch, prompt, seed, noise, whole)


def prompt_of(model: UniHema, tokenizer: T5Tokenizer, batch: Batch) -> Prompt | None:
    """What a batch asks, as the model reads it; None where it reads no prompt."""
    if batch.task == "classification" or not (model.config.prompts or batch.task in ("vqa", "mlm")):
        return None
    device = next(t.device for t in (batch.images, batch.original_sizes) if t is not None)
    # The released fusion adds its queries to the words position by position.
    whole = model.config.text.max_length if model.config.variant == "released" else None
    ids, padding = tokenize(tokenizer, batch.prompts, model.config.text.max_length, pad_to=whole)
    return Prompt(ids.to(device), padding.to(device))


def _text(model: UniHema, tokenizer: T5Tokenizer, batch: Batch, whole: Whole) -> dict[str, Tensor]:
    prompt = prompt_of(model, tokenizer, batch)
    assert batch.answers is not None and prompt is not None
    answers = target_ids(tokenizer, batch.answers, model.config.text.max_length).to(prompt.ids.device)
    part = (answers >= 0).sum() / whole.words  # the loss is a mean over words
    if batch.images is None:  # stage 2
        return {"text": part * model.text_loss(prompt, answers)}
    assert batch.padding is not None
    return {"text": part * model.answer_loss(batch.images, batch.padding, prompt, answers)}


def _detection(
    model: UniHema, batch: Batch, prompt: Prompt | None, seed: int, with_noise: bool, whole: Whole
) -> dict[str, Tensor]:
    """Decoder layers, the encoder's proposals, denoising, and morphology."""
    assert batch.images is not None and batch.padding is not None
    assert batch.boxes is not None and batch.box_labels is not None and batch.box_attributes is not None
    noise = None
    if with_noise and model.denoising:
        noise = model.denoising(batch.box_labels, batch.boxes, batch.sample_ids, seed, whole.most)
    found = model.detect(batch.images, batch.padding, prompt, noise)
    objects = max(1.0, float(whole.objects))
    terms: dict[str, Tensor] = {}
    for layer in range(len(found.labels)):
        labels, boxes = found.labels[layer, :, found.noisy :].float(), found.boxes[layer, :, found.noisy :]
        pairs = _pairs(labels, boxes, batch)
        _add(terms, "", _set(labels, boxes, batch, pairs, objects))
        morphology = found.morphology[layer, :, found.noisy :].float()
        _add(terms, "", {"morphology": _morphology(morphology, batch, pairs) / objects})
    proposals = found.selection
    labels = proposals.logits.float()
    pairs = _pairs(labels, proposals.boxes, batch)
    _add(terms, "encoder_", _set(labels, proposals.boxes, batch, pairs, objects))
    if noise is not None:
        _add(terms, "noise_", _denoising(found, noise, batch, objects))
    return terms


def _pairs(labels: Tensor, boxes: Tensor, batch: Batch) -> Pairs:
    assert batch.boxes is not None and batch.box_labels is not None
    with record_function("match"):
        return [match(*each) for each in zip(labels, boxes, batch.box_labels, batch.boxes, strict=True)]


def _set(labels: Tensor, boxes: Tensor, batch: Batch, pairs: Pairs, objects: float) -> dict[str, Tensor]:
    assert batch.boxes is not None and batch.box_labels is not None and batch.classes_annotated is not None
    terms = detection_loss(labels, boxes, batch.box_labels, batch.boxes, batch.classes_annotated, pairs, objects)
    return {name: DETECTION_WEIGHTS[name] * term for name, term in terms.items()}


def _morphology(morphology: Tensor, batch: Batch, pairs: Pairs) -> Tensor:
    assert batch.box_attributes is not None
    logits = torch.cat([morphology[image, queries] for image, (queries, _) in enumerate(pairs)])
    values = torch.cat([batch.box_attributes[image][boxes] for image, (_, boxes) in enumerate(pairs)])
    return asymmetric_loss(logits, values)


def _denoising(found: Found, noise: DenoisingQueries, batch: Batch, objects: float) -> dict[str, Tensor]:
    """Positive copies must find their boxes, negative ones nothing; a group counts as one more set of boxes."""
    assert batch.box_labels is not None
    pairs: list[tuple[Tensor, Tensor]] = []
    for image in range(len(batch)):
        slots = noise.positive_slots(len(batch.box_labels[image]))
        pairs.append((slots, noise.target[slots]))
    terms: dict[str, Tensor] = {}
    for layer in range(len(found.labels)):
        labels, boxes = found.labels[layer, :, : found.noisy].float(), found.boxes[layer, :, : found.noisy]
        labels = labels.masked_fill(noise.absent[..., None], -torch.inf).clamp(min=-50)  # empty slots cost nothing
        _add(terms, "", _set(labels, boxes, batch, pairs, objects * noise.groups))
    return terms


def _add(terms: dict[str, Tensor], prefix: str, more: Mapping[str, Tensor]) -> None:
    for name, term in more.items():
        terms[prefix + name] = terms[prefix + name] + term if prefix + name in terms else term
