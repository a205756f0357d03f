"""The vision core: sizes of the base model, padding, selection, refinement, gradients."""

import math

import pytest
import torch
from hemamodel.model.backbone import Backbone
from hemamodel.model.boxes import inverse_sigmoid, to_centre, to_corners
from hemamodel.model.decoder import Decoded, ImageDecoder
from hemamodel.model.denoising import Denoising
from hemamodel.model.encoder import ImageEncoder
from hemamodel.model.heads import DetectionHeads, box_head, class_head
from hemamodel.model.layers import group_norm
from hemamodel.model.neck import FeaturePyramid, Neck, pyramid
from hemamodel.model.position import box_position, map_position
from hemamodel.model.selection import QuerySelection, Selection, best_tokens, token_proposals
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class Vision(nn.Module):
    """The parts put together, small."""

    def __init__(self, dim: int = 16, classes: int = 4, queries: int = 10) -> None:
        super().__init__()
        self.backbone = Backbone(depth=18, width=8, norm="group", freeze_stem=False)
        self.neck = Neck(self.backbone.channels, dim)
        self.encoder = ImageEncoder(dim, heads=2, points=2, layers=2, hidden=32)
        self.selection = QuerySelection(dim, classes, queries)
        self.denoising = Denoising(dim, classes, number=4)
        self.decoder = ImageDecoder(dim, heads=2, points=2, layers=2, hidden=32)
        self.heads = DetectionHeads(dim, classes)

    def forward(
        self, images: Tensor, padding: Tensor, labels: list[Tensor], boxes: list[Tensor]
    ) -> tuple[Selection, Decoded]:
        features = self.neck(*self.backbone(images, padding))
        memory = self.encoder(features)
        chosen = self.selection(memory, features)
        noisy = self.denoising(labels, boxes, list(range(len(images))), seed=0)
        queries = chosen.content.shape[1]
        decoded = self.decoder(
            torch.cat([noisy.content, chosen.content], dim=1),
            torch.cat([noisy.reference.to(chosen.reference.dtype), chosen.reference], dim=1),
            memory,
            features,
            self.heads.box,
            noisy.blocked(queries),
            noisy.all_absent(queries),
        )
        return chosen, decoded


def batch() -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """Two images of 128 x 128; the second fills 64 x 128 of it, and has no box."""
    torch.manual_seed(0)
    images, padding = torch.randn(2, 3, 128, 128), torch.zeros(2, 128, 128, dtype=torch.bool)
    padding[1, 64:] = True
    images = images * ~padding[:, None]
    return images, padding, [torch.tensor([1, 3]), torch.zeros(0).long()], [torch.rand(2, 4), torch.zeros(0, 4)]


def random_levels(*shapes: tuple[int, int], dim: int = 16) -> tuple[list[Tensor], Tensor]:
    """Level maps of one image, and a level embedding."""
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(1, dim, *shape, generator=generator) for shape in shapes], torch.randn(
        len(shapes), dim, generator=generator
    )


def padded(levels: list[Tensor], embed: Tensor, shapes: list[tuple[int, int]]) -> FeaturePyramid:
    """The pyramid of `levels` at the top left of larger maps, whose other cells hold large nonsense."""
    larger, paddings = [], []
    for level, (height, width) in zip(levels, shapes, strict=True):
        _, dim, h, w = level.shape
        full, padding = torch.full((1, dim, height, width), 99.0), torch.ones(1, height, width, dtype=torch.bool)
        full[..., :h, :w], padding[..., :h, :w] = level, False
        larger.append(full)
        paddings.append(padding)
    return pyramid(larger, paddings, embed)


# Sizes


def test_base_sizes_are_those_of_the_published_parameter_list() -> None:
    backbone = Backbone()
    convolutions = [m.weight for m in backbone.modules() if isinstance(m, nn.Conv2d)]
    assert sum(w.numel() for w in convolutions) == count(backbone) == 23_454_912
    assert sum(w.numel() for w in convolutions if w.requires_grad) == 23_232_512
    neck = Neck(backbone.channels, 256)
    assert count(neck.projections) == 5_639_168
    assert neck.level_embed.numel() == 1_024
    encoder = ImageEncoder()
    assert count(encoder) == 7_693_056
    assert count(encoder.layers[0]) == 1_282_176
    decoder = ImageDecoder()
    assert count(decoder.layers) == 9_275_136
    assert count(decoder.layers[0]) == 1_545_856
    assert count(decoder.query_position) == 197_120
    assert count(decoder.norm) == 512
    selection = QuerySelection(256, classes=30)
    assert count(selection.content) == 230_400
    assert count(selection.project) + count(selection.norm) == 65_792 + 512
    heads = DetectionHeads(256, classes=30)
    for label, box in ((heads.label, heads.box), (selection.label, selection.box)):
        assert (count(label), count(box)) == (7_710, 132_612)
    assert count(heads.morphology) == 3_084
    assert count(Denoising(256, classes=30)) == 7_936


def test_backbone_has_the_names_of_torchvision() -> None:
    torchvision = pytest.importorskip("torchvision")
    for depth in (18, 50):
        model = getattr(torchvision.models, f"resnet{depth}")(weights=None).double().eval()
        for module in model.modules():  # statistics that are not 0 and 1
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.1, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 1.5)
        backbone = Backbone(depth).double()
        backbone.load_pretrained(model.state_dict())
        image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
        x = model.layer1(model.maxpool(model.relu(model.bn1(model.conv1(image)))))
        x = model.layer3(model.layer2(x))
        maps, _ = backbone.train()(image, torch.zeros(1, 64, 64, dtype=torch.bool))  # frozen norm: train is eval
        torch.testing.assert_close(maps[1], x)
    with pytest.raises(ValueError, match="group"):
        Backbone(18, norm="group").load_pretrained({})
    with pytest.raises(ValueError, match="depth 19"):
        Backbone(19)


@pytest.mark.parametrize(("depth", "width"), [(18, 8), (34, 16), (50, 8)])
def test_small_backbones(depth: int, width: int) -> None:
    backbone = Backbone(depth, width, norm="group", freeze_stem=False)
    padding = torch.zeros(1, 96, 70, dtype=torch.bool)
    padding[:, :, 64:] = True
    maps, paddings = backbone(torch.randn(1, 3, 96, 70), padding)
    assert [m.shape[1:] for m in maps] == [
        (c, *s) for c, s in zip(backbone.channels, [(12, 9), (6, 5), (3, 3)], strict=True)
    ]
    assert [p.shape for p in paddings] == [m[:, 0].shape for m in maps]
    assert [(~p)[0, 0].sum().item() for p in paddings] == [9, 5, 3]
    assert all(p.requires_grad for p in backbone.parameters())


def test_freeze_holds_after_a_stage_unfreezes_everything() -> None:
    backbone = Backbone(18, 8)
    frozen = {name for name, p in backbone.named_parameters() if not p.requires_grad}
    assert frozen and all(name.startswith(("body.conv1", "body.layer1")) for name in frozen)
    backbone.requires_grad_(True)
    backbone.freeze()
    assert {name for name, p in backbone.named_parameters() if not p.requires_grad} == frozen


def test_group_norm_never_has_groups_of_one_channel() -> None:
    assert [group_norm(c).num_groups for c in (256, 512, 64, 32, 16, 8, 24, 20)] == [32, 32, 8, 4, 2, 1, 1, 2]


# Geometry


@given(st.lists(st.tuples(*[st.floats(0.01, 0.99)] * 4), min_size=1, max_size=4))
def test_box_forms_are_inverses(rows: list[tuple[float, float, float, float]]) -> None:
    boxes = torch.tensor(rows, dtype=torch.float64)
    torch.testing.assert_close(to_centre(to_corners(boxes)), boxes)
    torch.testing.assert_close(inverse_sigmoid(boxes).sigmoid(), boxes)
    assert torch.isfinite(inverse_sigmoid(torch.tensor([0.0, 1.0]))).all()


def test_box_position_by_hand() -> None:
    result = box_position(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64), dim=8)
    expected = []
    for coordinate in (0.2, 0.1, 0.3, 0.4):  # y, x, w, h
        for exponent in (0, 0.5):
            phase = 2 * math.pi * coordinate / 10000**exponent
            expected += [math.sin(phase), math.cos(phase)]
    torch.testing.assert_close(result, torch.tensor(expected, dtype=torch.float64))


def test_map_position_counts_the_valid_extent_only() -> None:
    padding = torch.ones(1, 6, 8, dtype=torch.bool)
    padding[:, :3, :4] = False
    alone = map_position(torch.zeros(1, 3, 4, dtype=torch.bool), 16, torch.float64)
    torch.testing.assert_close(map_position(padding, 16, torch.float64)[:, :3, :4], alone)
    assert len({tuple(row) for row in alone.flatten(0, 2).tolist()}) == 12  # each cell has its own


def test_pyramid_lays_out_levels_in_order() -> None:
    levels, embed = random_levels((4, 6), (2, 3))
    features = padded(levels, embed, [(8, 8), (4, 4)])
    assert features.shapes == ((8, 8), (4, 4))
    torch.testing.assert_close(features.level(features.tokens, 1)[..., :2, :3], levels[1])
    torch.testing.assert_close(features.valid[0], torch.tensor([[6 / 8, 4 / 8], [3 / 4, 2 / 4]]))
    centres = features.centres()[0][~features.padding[0]]
    torch.testing.assert_close(
        centres[[0, 23, 24]], torch.tensor([[0.5 / 6, 0.5 / 4], [5.5 / 6, 3.5 / 4], [0.5 / 3, 0.5 / 2]])
    )


def test_neck_adds_levels_and_refuses_too_few() -> None:
    maps = [torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4)]
    paddings = [torch.zeros(1, 8, 8, dtype=torch.bool), torch.zeros(1, 4, 4, dtype=torch.bool)]
    features = Neck([8, 16], 16, levels=4)(maps, paddings)
    assert features.shapes == ((8, 8), (4, 4), (2, 2), (1, 1))
    assert features.tokens.shape == features.position.shape == (1, 85, 16)
    with pytest.raises(ValueError, match="1 levels for 2 maps"):
        Neck([8, 16], 16, levels=1)


# Encoder


@pytest.mark.parametrize("full", [[(4, 10), (2, 5), (1, 3)], [(9, 7), (5, 4), (3, 2)], [(4, 6), (2, 3), (1, 2)]])
def test_encoder_and_decoder_ignore_padding(full: list[tuple[int, int]]) -> None:
    torch.manual_seed(0)
    levels, embed = random_levels((4, 6), (2, 3), (1, 2))
    alone, larger = (
        pyramid(levels, [torch.zeros(1, *x.shape[-2:]).bool() for x in levels], embed),
        padded(levels, embed, full),
    )
    encoder = ImageEncoder(16, heads=2, levels=3, points=2, layers=2, hidden=32)
    decoder = ImageDecoder(16, heads=2, levels=3, points=2, layers=2, hidden=32)
    selection, head = QuerySelection(16, classes=3, queries=6), box_head(16)
    for module in (encoder, decoder, head, selection.box):  # offsets, weights and steps that are not zero
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.2)
    memory, memory_larger = encoder(alone), encoder(larger)
    torch.testing.assert_close(memory_larger[~larger.padding], memory[0], rtol=0, atol=1e-5)
    chosen, chosen_larger = selection(memory, alone), selection(memory_larger, larger)
    torch.testing.assert_close(chosen_larger.boxes, chosen.boxes, rtol=0, atol=1e-5)
    result = decoder(chosen.content, chosen.reference, memory, alone, head)
    result_larger = decoder(chosen.content, chosen.reference, memory_larger, larger, head)
    torch.testing.assert_close(result_larger.states, result.states, rtol=0, atol=1e-5)
    torch.testing.assert_close(result_larger.boxes, result.boxes, rtol=0, atol=1e-5)


# Selection


@given(
    sizes=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=2, max_size=2),
    extra=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    queries=st.integers(1, 60),
)
def test_selection_never_picks_padding(sizes: list[tuple[int, int]], extra: tuple[int, int], queries: int) -> None:
    levels, embed = random_levels(*sizes)
    features = padded(levels, embed, [(h + extra[0], w + extra[1]) for h, w in sizes])
    torch.manual_seed(0)
    selection = QuerySelection(16, classes=3, queries=queries)
    nn.init.normal_(selection.box.layers[-1].weight)  # type: ignore[arg-type]
    chosen = selection(features.tokens, features)
    _, usable = token_proposals(features)
    assert chosen.tokens.shape == (1, queries)
    assert usable.gather(1, chosen.tokens).all()
    assert not features.padding.gather(1, chosen.tokens).any()
    assert torch.isfinite(chosen.boxes).all() and not chosen.reference.requires_grad
    assert len(chosen.tokens.unique()) == min(queries, int(usable.sum()))


def test_padding_inside_the_image_is_not_used_either() -> None:
    levels, embed = random_levels((4, 4))
    padding = torch.zeros(1, 4, 4, dtype=torch.bool)
    padding[0, 1:3, 2] = True
    _, usable = token_proposals(pyramid(levels, [padding], embed))
    assert torch.equal(usable, ~padding.flatten(1))


def test_proposals_out_of_range_are_not_used() -> None:
    levels, embed = random_levels((2, 120), (1, 60), (1, 1), (1, 1), (1, 1), (1, 1))
    features = pyramid(levels, [torch.zeros(1, *x.shape[-2:]).bool() for x in levels], embed)
    boxes, usable = token_proposals(features)
    at = features.centres()[0, :, 0]
    expected = (at > 0.01) & (at < 0.99)
    expected[-1] = False  # the sixth level's box would be 1.6 wide
    assert usable[0].tolist() == expected.tolist()
    assert not expected[0] and not expected[119] and expected[1]
    assert boxes[0, 1].tolist() == pytest.approx([1.5 / 120, 0.25, 0.05, 0.05])
    assert boxes[0, 240 + 5].tolist() == pytest.approx([5.5 / 60, 0.5, 0.1, 0.1])


def test_best_tokens_break_ties_in_order_and_go_round() -> None:
    scores = torch.tensor([[1.0, 3.0, 2.0, 3.0, 9.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    usable = torch.tensor([[True, True, True, True, False], [True, False, True, False, True]])
    assert best_tokens(scores, usable, 3).tolist() == [[1, 3, 2], [0, 2, 4]]
    assert best_tokens(scores, usable, 6).tolist() == [[1, 3, 2, 0, 1, 3], [0, 2, 4, 0, 2, 4]]


# Decoder and heads


def test_heads_start_where_they_should() -> None:
    states = torch.randn(2, 5, 16)
    assert class_head(16, 4)(torch.zeros(1, 16)).sigmoid().flatten().tolist() == pytest.approx([0.01] * 4)
    assert not box_head(16)(states).any()
    labels, morphology = DetectionHeads(16, classes=4)(states)
    assert labels.shape == (2, 5, 4) and morphology.shape == (2, 5, 6, 2)


def test_boxes_start_at_the_reference_and_are_refined_step_by_step() -> None:
    torch.manual_seed(0)
    levels, embed = random_levels((4, 4), (2, 2))
    features = pyramid(levels, [torch.zeros(1, *x.shape[-2:]).bool() for x in levels], embed)
    decoder = ImageDecoder(16, heads=2, levels=2, points=2, layers=3, hidden=32)
    content, reference = torch.randn(1, 5, 16), torch.rand(1, 5, 4) * 0.8 + 0.1
    decoded = decoder(content, reference, features.tokens, features, box_head(16))
    torch.testing.assert_close(decoded.boxes, reference.expand(3, -1, -1, -1))
    step = torch.tensor([0.1, -0.2, 0.3, 0.0])

    class Step(nn.Module):
        def forward(self, states: Tensor) -> Tensor:
            return step.expand(*states.shape[:-1], 4)

    decoded = decoder(content, reference, features.tokens, features, Step())
    for layer in range(3):
        torch.testing.assert_close(decoded.boxes[layer], (torch.logit(reference) + (layer + 1) * step).sigmoid())


def test_look_forward_twice() -> None:
    """The box of layer 3 trains the step of layers 3 and 2, and not that of layer 1."""
    torch.manual_seed(0)
    levels, embed = random_levels((4, 4), (2, 2))
    features = pyramid(levels, [torch.zeros(1, *x.shape[-2:]).bool() for x in levels], embed)
    decoder = ImageDecoder(16, heads=2, levels=2, points=2, layers=3, hidden=32)
    steps: list[Tensor] = []

    class Recorder(nn.Module):
        def forward(self, states: Tensor) -> Tensor:
            steps.append(torch.zeros(*states.shape[:-1], 4, requires_grad=True))
            return steps[-1]

    content, reference = torch.randn(1, 5, 16), torch.rand(1, 5, 4)
    decoded = decoder(content, reference, features.tokens, features, Recorder())
    gradients = torch.autograd.grad(decoded.boxes[2].sum(), steps)
    # Calls: box 1, step to 2, box 2, step to 3, box 3.
    assert [bool(g.any()) for g in gradients] == [False, False, False, True, True]


# All together


def test_gradients_reach_every_parameter() -> None:
    torch.manual_seed(0)
    model = Vision()
    for head in (model.heads.box, model.selection.box):  # a zero last layer hides the layers before it for one step
        nn.init.normal_(head.layers[-1].weight, std=0.1)  # type: ignore[arg-type]
    for module in model.modules():  # and zero attention weights hide nothing, but zero offset weights their input
        if hasattr(module, "sampling_offsets"):
            nn.init.normal_(module.sampling_offsets.weight, std=0.1)
    chosen, decoded = model(*batch())
    labels, morphology = model.heads(decoded.states)
    outputs = (chosen.logits, chosen.boxes, decoded.boxes, labels, morphology)
    sum(x.square().mean() for x in outputs).backward()  # type: ignore[union-attr]
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not missing


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_dtype(dtype: torch.dtype) -> None:
    images, padding, labels, boxes = batch()
    torch.manual_seed(0)
    model = Vision().to(dtype).eval()
    chosen, decoded = model(images.to(dtype), padding, labels, boxes)
    assert decoded.states.dtype == dtype
    assert chosen.boxes.dtype == decoded.boxes.dtype == torch.promote_types(dtype, torch.float32)
    assert torch.isfinite(decoded.states).all() and torch.isfinite(decoded.boxes).all()


def test_autocast() -> None:
    torch.manual_seed(0)
    model = Vision()
    with torch.autocast("cpu", torch.bfloat16):
        chosen, decoded = model(*batch())
    assert chosen.boxes.dtype == decoded.boxes.dtype == torch.float32
    (decoded.boxes.sum() + chosen.boxes.sum()).backward()
    assert torch.isfinite(decoded.states).all()


def test_equal_images_give_equal_results_alone_and_in_a_batch() -> None:
    images, padding, labels, boxes = batch()
    torch.manual_seed(0)
    model = Vision().eval()
    with torch.no_grad():
        together = model(images, padding, labels, boxes)[1]
        alone = model(images[1:], padding[1:], labels[1:], boxes[1:])[1]
    torch.testing.assert_close(together.boxes[:, 1, -10:], alone.boxes[:, 0, -10:], rtol=0, atol=1e-5)


def test_forward_can_be_exported() -> None:
    class Detect(nn.Module):
        def __init__(self, vision: Vision) -> None:
            super().__init__()
            self.vision = vision

        def forward(self, images: Tensor, padding: Tensor) -> tuple[Tensor, Tensor]:
            features = self.vision.neck(*self.vision.backbone(images, padding))
            memory = self.vision.encoder(features)
            chosen = self.vision.selection(memory, features)
            decoded = self.vision.decoder(chosen.content, chosen.reference, memory, features, self.vision.heads.box)
            return self.vision.heads(decoded.states[-1]).labels, decoded.boxes[-1]

    torch.manual_seed(0)
    model, (images, padding, _, _) = Detect(Vision()).eval(), batch()
    with torch.no_grad():
        exported = torch.export.export(model, (images, padding)).module()
        for expected, result in zip(model(images, padding), exported(images, padding), strict=True):
            torch.testing.assert_close(result, expected)
