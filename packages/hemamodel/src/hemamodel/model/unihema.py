"""Uni-Hema: one image branch, one text branch, and the four sub-modules between them.

Each task is a method that runs only the parts it needs. Shapes: B images of H x W pixels, N tokens of all levels,
Q queries, L words, D wide. Paddings are bool, True where padded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from hemamodel.config import ModelConfig
from hemamodel.model import released
from hemamodel.model.backbone import Backbone
from hemamodel.model.decoder import ImageDecoder
from hemamodel.model.denoising import Denoising, DenoisingQueries
from hemamodel.model.encoder import ImageEncoder
from hemamodel.model.heads import DetectionHeads
from hemamodel.model.hemaformer import (
    CellClassifier,
    CrossModalFusion,
    QueryGuidedMaskFinder,
    SingleCellFeatureExtraction,
    TextGuidedVisualRefinement,
)
from hemamodel.model.neck import FeaturePyramid, Neck
from hemamodel.model.selection import QuerySelection, Selection
from hemamodel.model.text import TextBranch
from hemamodel.model.upsampler import LearnedUpsampler, ResizeUpsampler


@dataclass(frozen=True)
class Prompt:
    """Texts as the model reads them: ids [B, L] and padding [B, L]; states [B, L, text width] where known already."""

    ids: Tensor
    padding: Tensor
    states: Tensor | None = None


@dataclass(frozen=True)
class Found:
    """Objects that the decoder's K layers found; the first `noisy` of the queries are denoising ones.

    Attributes:
        labels: class logits [K, B, Q, C].
        boxes: centre x, centre y, width, height as parts of the unpadded image [K, B, Q, 4].
        morphology: logits [K, B, Q, A, V].
        states: of the last layer [B, Q, D].
        selection: the encoder's proposals.
        noisy: number of denoising queries, 0 outside training.
    """

    labels: Tensor
    boxes: Tensor
    morphology: Tensor
    states: Tensor
    selection: Selection
    noisy: int


class UniHema(nn.Module):
    """The whole model.

    Args:
        config: sizes, variant and switches.
        text: the text branch; its width and vocabulary are its own.
    """

    def __init__(self, config: ModelConfig, text: TextBranch) -> None:
        super().__init__()
        self.config, dim, heads = config, config.dim, config.heads
        depths = {"levels": config.levels, "points": config.points, "hidden": config.hidden}
        body, classes = config.backbone, config.classes
        self.backbone = Backbone(body.depth, body.width, config.backbone_norm, config.freeze_stem)
        self.neck = Neck(self.backbone.channels, dim, config.levels)
        self.image_encoder = ImageEncoder(dim, heads, layers=config.encoder_layers, **depths)
        self.selection = QuerySelection(dim, classes.detection, config.queries)
        self.image_decoder = ImageDecoder(dim, heads, layers=config.decoder_layers, **depths)
        self.det_heads = DetectionHeads(dim, classes.detection, classes.attributes)
        noise = config.denoising
        self.denoising = (
            Denoising(dim, classes.detection, noise.queries, noise.label_noise, noise.box_noise)
            if noise.queries
            else None
        )
        self.qgmf = QueryGuidedMaskFinder(dim)
        learned = config.qgmf.upsampler == "learned"
        self.upsampler = LearnedUpsampler(dim, config.upsampler_norm) if learned else ResizeUpsampler()
        self.text = text
        self.classifier = CellClassifier(dim, classes.classification, config.dropout)
        self.tgvr: nn.Module
        self.scfe: nn.Module
        self.cmf: nn.Module
        if config.variant == "paper":
            self.tgvr = TextGuidedVisualRefinement(dim, text.dim, heads)
            self.scfe = SingleCellFeatureExtraction(dim, heads, sources=2 if config.scfe_features == "both" else 1)
            self.cmf = CrossModalFusion(config.cmf.queries, dim, text.dim, dim, heads)
        else:
            self.tgvr = released.ReleasedTextGuidedVisualRefinement(dim, text.dim, heads)
            self.scfe = released.ReleasedSingleCellFeatureExtraction(dim)
            self.cmf = released.ReleasedCrossModalFusion(config.cmf.queries, dim, text.dim, dim, heads)

    def groups(self) -> dict[str, list[nn.Module]]:
        """The trainable groups of the stages. Every parameter is in exactly one."""
        denoising = [self.denoising] if self.denoising else []
        return {
            "backbone": [self.backbone],
            "neck": [self.neck],
            "image_encoder": [self.image_encoder],
            "image_decoder": [self.image_decoder, self.selection],
            "det_heads": [self.det_heads, *denoising],
            "tgvr": [self.tgvr],
            "qgmf": [self.qgmf],
            "upsampler": [self.upsampler],
            "scfe": [self.scfe, self.classifier],
            **self.text.groups(),
            "cmf": [self.cmf],
        }

    def compute_again(self, on: bool) -> None:
        """Keep fewer inner values for the backward pass and compute them again there: less memory, more time."""
        for part in (self.backbone.body, self.image_encoder, self.image_decoder):
            part.compute_again = on
        if on:
            self.text.t5.gradient_checkpointing_enable({"use_reentrant": False})
        else:
            self.text.t5.gradient_checkpointing_disable()  # type: ignore[no-untyped-call]

    def look(self, images: Tensor, padding: Tensor) -> FeaturePyramid:
        """Images [B, 3, H, W], padding [B, H, W] -> backbone features E_B as a pyramid of tokens [B, N, D]."""
        return self.neck(*self.backbone(images, padding))  # type: ignore[no-any-return]

    def cell_feature(self, images: Tensor, padding: Tensor) -> Tensor:
        """SCFE: images -> one vector each [B, D]. Text is not read."""
        return self.extract(self.look(images, padding))

    def extract(self, features: FeaturePyramid) -> Tensor:
        """SCFE of images that have been looked at -> [B, D]."""
        which = self.config.scfe_features
        tokens = [features.tokens] if which in ("backbone", "both") else []
        if which in ("encoder", "both"):
            tokens.insert(0, self.image_encoder(features))
        return self.scfe(tuple(tokens), features.padding)  # type: ignore[no-any-return]

    def classify(self, images: Tensor, padding: Tensor) -> Tensor:
        """Images of single cells -> logits of their kinds [B, classes]."""
        return self.classifier(self.cell_feature(images, padding))  # type: ignore[no-any-return]

    def detect(
        self, images: Tensor, padding: Tensor, prompt: Prompt | None = None, noise: DenoisingQueries | None = None
    ) -> Found:
        """Find objects.

        Args:
            images: [B, 3, H, W].
            padding: [B, H, W].
            prompt: what is looked for; not read where the switch `prompts` is off.
            noise: denoising queries while training, from `denoising`.
        """
        features = self.look(images, padding)
        return self._find(features, self.image_encoder(features), prompt, noise)

    def _find(
        self, features: FeaturePyramid, memory: Tensor, prompt: Prompt | None, noise: DenoisingQueries | None
    ) -> Found:
        selection = self.selection(memory, features)
        content, reference = selection.content, selection.reference  # [B, Q, D], [B, Q, 4]
        blocked = absent = None
        if noise is not None:
            queries = content.shape[1]
            content = torch.cat([noise.content, content], dim=1)  # [B, T + Q, D]
            reference = torch.cat([noise.reference.to(reference.dtype), reference], dim=1)
            blocked, absent = noise.blocked(queries), noise.all_absent(queries)
        if prompt is not None and self.config.prompts:
            content = self.tgvr(content, self._states(prompt), prompt.padding)
        decoded = self.image_decoder(content, reference, memory, features, self.det_heads.box, blocked, absent)
        labels, morphology = self.det_heads(decoded.states)
        noisy = 0 if noise is None else len(noise.target)
        return Found(labels, decoded.boxes, morphology, decoded.states[-1], selection, noisy)

    def _states(self, prompt: Prompt) -> Tensor:
        return self.text.encode(prompt.ids, prompt.padding) if prompt.states is None else prompt.states

    def segment(self, images: Tensor, padding: Tensor, prompt: Prompt | None = None) -> Tensor:
        """QGMF: mask logits [B, 1, H, W] of the foreground, at the size of the input."""
        features = self.look(images, padding)
        memory = self.image_encoder(features)
        first = self._find(features, memory, prompt, None).states[:, :1]  # [B, 1, D]
        masks = self.qgmf(first, features.level(memory, 0), features.level(features.tokens, 0))
        return self.upsampler(masks, (images.shape[-2], images.shape[-1]))  # type: ignore[no-any-return]

    def fuse(self, images: Tensor, padding: Tensor, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """CMF: text that has looked at the image, [B, Q, text width], and its padding [B, Q]."""
        features = self.look(images, padding)
        image = features.tokens if self.config.cmf.image == "backbone" else self.image_encoder(features)
        text = self.text.encode(prompt.ids, prompt.padding)
        return self.cmf(text, prompt.padding, image, features.padding)  # type: ignore[no-any-return]

    def answer_loss(self, images: Tensor, padding: Tensor, prompt: Prompt, answers: Tensor) -> Tensor:
        """Cross-entropy of the answers (ids [B, T], -100 where padded) given image and text."""
        return self.text.loss(*self.fuse(images, padding, prompt), answers)

    def text_loss(self, prompt: Prompt, answers: Tensor) -> Tensor:
        """Cross-entropy given the text alone: stage 2, and the blind baseline."""
        return self.text.loss(self.text.encode(prompt.ids, prompt.padding), prompt.padding, answers)

    @torch.no_grad()
    def answer(self, images: Tensor, padding: Tensor, prompt: Prompt, beams: int = 1) -> Tensor:
        """Answers as ids [B, T], written from the same fused states that the loss reads."""
        return self.text.generate(*self.fuse(images, padding, prompt), beams, self.config.text.max_length)

    @torch.no_grad()
    def answer_blind(self, prompt: Prompt, beams: int = 1) -> Tensor:
        """Answers given the text alone, as ids [B, T]."""
        states = self.text.encode(prompt.ids, prompt.padding)
        return self.text.generate(states, prompt.padding, beams, self.config.text.max_length)


def build_model(config: ModelConfig, vocabulary: int) -> UniHema:
    """The model of a config: pretrained parts where the config names weights, random ones elsewhere.

    Args:
        config: sizes, variant, switches, weights.
        vocabulary: tokens of the tokenizer, for a text branch from scratch.
    """
    sizes = config.text
    if sizes.weights is not None:
        text = TextBranch.from_pretrained(sizes.weights, config.dropout)
    else:
        widths = (sizes.dim, sizes.layers, sizes.heads, sizes.hidden)
        text = TextBranch.from_scratch(vocabulary, *widths, config.dropout)
    model = UniHema(config, text)
    if config.backbone.weights is not None:
        model.backbone.load_pretrained(torch.load(config.backbone.weights, map_location="cpu", weights_only=True))
    return model


def build_shell(config: ModelConfig, text: str | Path) -> UniHema:
    """The same model for weights that are loaded next: no pretrained file is read.

    Args:
        config: sizes, variant, switches.
        text: folder with the `config.json` of its T5.
    """
    return UniHema(config, TextBranch.from_config(text))


def count_parameters(groups: Mapping[str, Sequence[nn.Module]]) -> dict[str, int]:
    """Group -> number of parameters, frozen ones included."""
    return {
        name: sum(parameter.numel() for module in modules for parameter in module.parameters())
        for name, modules in groups.items()
    }
