"""Deformable attention against a loop over single samples, in float64."""

import math

import pytest
import torch
from hemamodel.ops import multi_scale_deformable_attention
from hemamodel.ops.attention import MultiScaleDeformableAttention
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

SHAPES = ((4, 5), (3, 2), (1, 1))


def inputs(
    shapes: tuple[tuple[int, int], ...] = SHAPES, heads: int = 2, dim: int = 3, queries: int = 4, points: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Value, locations (a third of them outside the image) and weights, float64."""
    generator = torch.Generator().manual_seed(len(shapes) + heads + dim)
    tokens = sum(h * w for h, w in shapes)
    value = torch.randn(2, tokens, heads, dim, generator=generator, dtype=torch.float64)
    locations = torch.rand(2, queries, heads, len(shapes), points, 2, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, queries, heads, len(shapes), points, generator=generator, dtype=torch.float64)
    return value, locations * 1.5 - 0.25, weights.flatten(-2).softmax(-1).view_as(weights)


@given(
    shapes=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=3),
    heads=st.integers(1, 2),
    dim=st.integers(1, 3),
    queries=st.integers(1, 2),
    points=st.integers(1, 2),
)
def test_values_equal_the_slow_loop(
    shapes: list[tuple[int, int]], heads: int, dim: int, queries: int, points: int
) -> None:
    value, locations, weights = inputs(tuple(shapes), heads, dim, queries, points)
    fast = multi_scale_deformable_attention(value, shapes, locations, weights)
    slow = multi_scale_deformable_attention(value, shapes, locations, weights, backend="reference")
    assert fast.shape == (2, queries, heads * dim)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)


@pytest.mark.parametrize("place", [-5.0, -0.01, 0.0, 0.125, 0.5, 0.999, 1.0, 1.01, 6.0])
def test_border_and_outside(place: float) -> None:
    value, locations, weights = inputs()
    locations = torch.full_like(locations, place)
    fast = multi_scale_deformable_attention(value, SHAPES, locations, weights)
    slow = multi_scale_deformable_attention(value, SHAPES, locations, weights, backend="reference")
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)
    if abs(place - 0.5) > 4:
        assert not fast.any()


def test_a_cell_centre_reads_that_cell() -> None:
    value = torch.arange(20, dtype=torch.float64).view(1, 20, 1, 1)  # cell (i, j) of 4 x 5 holds 5 i + j
    location = torch.tensor([(3 + 0.5) / 5, (1 + 0.5) / 4], dtype=torch.float64).view(1, 1, 1, 1, 1, 2)
    one = torch.ones(1, 1, 1, 1, 1, dtype=torch.float64)
    for backend in ("torch", "reference"):
        read = multi_scale_deformable_attention(value, [(4, 5)], location, one, backend)
        assert read.item() == pytest.approx(5 * 1 + 3, abs=1e-12)


def test_gradients_equal_the_slow_loop_and_finite_differences() -> None:
    tensors = [x.requires_grad_() for x in inputs(queries=2)]

    def run(backend: str) -> tuple[Tensor, ...]:
        value, locations, weights = tensors
        result = multi_scale_deformable_attention(value, SHAPES, locations, weights, backend)
        return torch.autograd.grad(result.sin().sum(), tensors)

    for fast, slow in zip(run("torch"), run("reference"), strict=True):
        torch.testing.assert_close(fast, slow, rtol=0, atol=1e-10)
    assert torch.autograd.gradcheck(lambda v, x, w: multi_scale_deformable_attention(v, SHAPES, x, w), tensors)


def test_no_queries_and_unknown_backend() -> None:
    value, locations, weights = inputs()
    assert multi_scale_deformable_attention(value, SHAPES, locations[:, :0], weights[:, :0]).shape == (2, 0, 6)
    with pytest.raises(ValueError, match=r"'cuda'.*torch, reference"):
        multi_scale_deformable_attention(value, SHAPES, locations, weights, backend="cuda")


def test_bfloat16_keeps_its_coordinates() -> None:
    # A ramp on a map 256 cells wide: coordinates in bfloat16 would be off by up to a cell.
    ramp = torch.arange(256.0).view(1, 256, 1, 1)
    places = torch.tensor([100.3, 200.6, 251.2])
    locations = torch.stack([(places + 0.5) / 256, torch.full((3,), 0.5)], dim=-1).view(1, 3, 1, 1, 1, 2)
    read = multi_scale_deformable_attention(ramp.bfloat16(), [(1, 256)], locations, torch.ones(1, 3, 1, 1, 1))
    assert read.dtype == torch.bfloat16
    torch.testing.assert_close(read.flatten(), places.bfloat16(), rtol=0, atol=0)


def test_layer_starts_on_a_ring_with_equal_weights() -> None:
    layer = MultiScaleDeformableAttention(16, heads=4, levels=2, points=3)
    offsets = layer.sampling_offsets.bias.detach().view(4, 2, 3, 2)
    for head in range(4):
        angle = math.tau * head / 4
        for point in range(3):
            expected = torch.tensor([math.cos(angle), math.sin(angle)]) * (point + 1)
            torch.testing.assert_close(offsets[head, :, point], expected.expand(2, 2), rtol=0, atol=1e-6)
    assert not layer.sampling_offsets.weight.any()
    assert not layer.attention_weights.weight.any() and not layer.attention_weights.bias.any()
    with pytest.raises(ValueError, match="not a multiple"):
        MultiScaleDeformableAttention(10, heads=4)


@pytest.mark.parametrize("form", [2, 4])
def test_layer_puts_samples_where_the_equation_says(form: int) -> None:
    """The layer equals the slow loop fed with locations and weights computed here, one by one."""
    torch.manual_seed(0)
    layer = MultiScaleDeformableAttention(8, heads=2, levels=3, points=2).double()
    for linear in (layer.sampling_offsets, layer.attention_weights):
        torch.nn.init.normal_(linear.weight)
    query, reference = torch.randn(2, 3, 8).double(), torch.rand(2, 3, 3, form).double()
    features, padding = torch.randn(2, 27, 8).double(), torch.rand(2, 27) < 0.3
    result = layer(query, reference, features, SHAPES, padding)

    offsets = layer.sampling_offsets(query).view(2, 3, 2, 3, 2, 2)
    locations = torch.empty_like(offsets)
    for level, (height, width) in enumerate(SHAPES):
        for axis, size in enumerate((width, height)):
            unit = 1 / size if form == 2 else reference[:, :, level, 2 + axis][:, :, None, None] / 2 / 2
            start = reference[:, :, level, axis][:, :, None, None]
            locations[:, :, :, level, :, axis] = start + offsets[:, :, :, level, :, axis] * unit
    weights = layer.attention_weights(query).view(2, 3, 2, 6).softmax(-1).view(2, 3, 2, 3, 2)
    value = layer.value_proj(features) * ~padding[..., None]
    expected = multi_scale_deformable_attention(value.view(2, 27, 2, 4), SHAPES, locations, weights, "reference")
    torch.testing.assert_close(result, layer.output_proj(expected), rtol=0, atol=1e-12)


def test_padded_cells_are_not_read() -> None:
    torch.manual_seed(0)
    layer = MultiScaleDeformableAttention(8, heads=2, levels=3, points=2)
    query, reference, features = torch.randn(1, 3, 8), torch.rand(1, 3, 3, 2), torch.randn(1, 27, 8)
    padding = torch.zeros(1, 27, dtype=torch.bool)
    padding[:, 7:] = True
    other = torch.where(padding[..., None], torch.tensor(1e4), features)
    torch.testing.assert_close(
        layer(query, reference, features, SHAPES, padding), layer(query, reference, other, SHAPES, padding)
    )
