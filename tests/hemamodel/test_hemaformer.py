"""The four sub-modules and the upsampler, in both variants: shapes, sizes, padding, gradients."""

import pytest
import torch
from hemamodel.model.hemaformer import (
    CellClassifier,
    CrossModalFusion,
    Masks,
    QueryGuidedMaskFinder,
    SingleCellFeatureExtraction,
    TextGuidedVisualRefinement,
    attend,
)
from hemamodel.model.released import (
    ReleasedCrossModalFusion,
    ReleasedSingleCellFeatureExtraction,
    ReleasedTextGuidedVisualRefinement,
)
from hemamodel.model.upsampler import LearnedUpsampler, ResizeUpsampler
from torch import Tensor, nn

B, Q, L, N, D, T = 2, 5, 7, 20, 16, 24  # batch, queries, text, image tokens, width, text width


@pytest.fixture(autouse=True)
def _quiet() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def noise(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=dtype)


def no_padding(length: int, rows: int = B) -> Tensor:
    return torch.zeros(rows, length, dtype=torch.bool)


def padded(tokens: Tensor, extra: int) -> tuple[Tensor, Tensor]:
    """Tokens with garbage behind them, and the padding that says so."""
    garbage = 100 * noise(len(tokens), extra, tokens.shape[-1])
    padding = torch.cat([no_padding(tokens.shape[1], len(tokens)), ~no_padding(extra, len(tokens))], dim=1)
    return torch.cat([tokens, garbage], dim=1), padding


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_released_sizes_are_those_of_the_checkpoint() -> None:
    assert count(ReleasedCrossModalFusion(64, 256, text_dim=768, image_dim=256)) == 2_583_296
    assert count(ReleasedTextGuidedVisualRefinement(256, text_dim=768)) == 657_152
    assert count(ReleasedSingleCellFeatureExtraction(256)) == 131_584
    assert count(CellClassifier(256, 45)) == 104_493
    assert count(LearnedUpsampler(256, norm="batch")) == 2_141_953
    finder = QueryGuidedMaskFinder(256)
    assert count(finder.norm) + count(finder.embed) == 197_888
    assert count(finder.project_encoder) + count(finder.project_backbone) == 131_584
    assert count(finder) == 197_888 + 131_584


def test_fully_padded_rows_read_nothing() -> None:
    attention = nn.MultiheadAttention(D, 4, batch_first=True).double()
    nn.init.normal_(attention.out_proj.bias)
    padding = torch.tensor([[True] * L, [False] * L])
    query, memory = noise(B, Q, D), noise(B, L, D).requires_grad_()
    read = attend(attention, query, memory, padding)
    assert torch.equal(read[0], torch.zeros(Q, D, dtype=torch.float64))
    torch.testing.assert_close(read[1], attend(attention, query, memory, None)[1])
    read.sum().backward()
    assert memory.grad is not None and memory.grad.isfinite().all() and not memory.grad[0].any()


def test_fusion_follows_the_formula_and_ignores_padding() -> None:
    fusion = CrossModalFusion(Q, D, T, D, heads=4).double()
    text, image = noise(B, L, T), noise(B, N, D)
    fused, padding = fusion(text, no_padding(L), image, no_padding(N))
    assert fused.shape == (B, Q, T) and padding.shape == (B, Q) and not padding.any()
    long_text, text_padding = padded(text, 3)
    long_image, image_padding = padded(image, 6)
    again, _ = fusion(long_text, text_padding, long_image, image_padding)
    torch.testing.assert_close(again, fused)
    t, i = fusion.project_text(text), fusion.project_image(image)
    q = fusion.queries.expand(B, -1, -1)
    j = fusion.norm_text(q + fusion.read_text(q, t, t)[0])
    torch.testing.assert_close(fused, fusion.project_out(fusion.norm_image(j + fusion.read_image(j, i, i)[0])))


def test_refinement_follows_the_formula_and_ignores_padding() -> None:
    refine = TextGuidedVisualRefinement(D, T, heads=4).double()
    queries, text = noise(B, Q, D), noise(B, L, T)
    refined = refine(queries, text, no_padding(L))
    torch.testing.assert_close(refine(queries, *padded(text, 4)), refined)
    t = refine.project_text(text)
    read = refine.read_text(queries, t, t)[0]
    torch.testing.assert_close(refined, refine.project(torch.cat([queries, read], dim=-1)))
    assert not torch.allclose(refine(queries, noise(B, L, T), no_padding(L)), refined)


@pytest.mark.parametrize("sources", [1, 2])
def test_cell_feature_ignores_padding_and_reads_every_source(sources: int) -> None:
    extract = SingleCellFeatureExtraction(D, heads=4, sources=sources).double()
    features = tuple(noise(B, N, D) for _ in range(sources))
    feature = extract(features, no_padding(N))
    assert feature.shape == (B, D)
    padding = padded(features[0], 5)[1]
    torch.testing.assert_close(extract(tuple(padded(tokens, 5)[0] for tokens in features), padding), feature)
    for source in range(sources):
        changed = tuple(noise(B, N, D) if place == source else tokens for place, tokens in enumerate(features))
        assert not torch.allclose(extract(changed, no_padding(N)), feature)


def test_masks_are_products_of_queries_and_features() -> None:
    finder = QueryGuidedMaskFinder(D).double()
    queries, encoder, backbone = noise(B, Q, D), noise(B, D, 3, 4), noise(B, D, 3, 4)
    masks = finder(queries, encoder, backbone)
    assert masks.logits.shape == (B, Q, 3, 4)
    embedded = finder.embed(finder.norm(queries))
    for b, q, y, x in [(0, 0, 0, 0), (1, 4, 2, 3), (0, 2, 1, 3)]:
        at_pixel = finder.project_encoder(encoder[b, :, y, x]) + masks.backbone[b, :, y, x]
        torch.testing.assert_close(masks.logits[b, q, y, x], embedded[b, q] @ at_pixel)
    torch.testing.assert_close(finder(queries[:, :1], encoder, backbone).logits, masks.logits[:, :1])


def test_released_refinement_gates_each_channel() -> None:
    refine = ReleasedTextGuidedVisualRefinement(D, T, heads=4).double()
    queries, text = noise(B, Q, D), noise(B, L, T)
    t = refine.project_text(text)
    read = refine.read_text(queries, t, t)[0]
    last = refine.gate[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    for bias, expected in [(-100.0, queries), (100.0, read), (0.0, (queries + read) / 2)]:
        nn.init.constant_(last.bias, bias)
        torch.testing.assert_close(refine(queries, text, no_padding(L)), expected)


def test_released_fusion_adds_to_the_text() -> None:
    fusion = ReleasedCrossModalFusion(L, D, T, D, heads=4).double()
    text, image, padding = noise(B, L, T), noise(B, N, D), no_padding(L)
    fused, kept = fusion(text, padding, image, no_padding(N))
    assert kept is padding
    assert not torch.allclose(fusion(text, padding, noise(B, N, D), no_padding(N))[0], fused)
    nn.init.zeros_(fusion.project_out.weight)
    nn.init.zeros_(fusion.project_out.bias)
    assert torch.equal(fusion(text, padding, image, no_padding(N))[0], text)
    with pytest.raises(ValueError, match=f"pad every text to {L} tokens"):
        fusion(text[:, :-1], padding[:, :-1], image, no_padding(N))


def test_released_cell_feature_is_a_constant_and_a_mean() -> None:
    extract = ReleasedSingleCellFeatureExtraction(D).double()
    tokens = noise(B, N, D)
    shuffled = tokens[:, torch.randperm(N)]
    torch.testing.assert_close(extract((shuffled,), no_padding(N)), extract((tokens,), no_padding(N)))


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("size", [(64, 96), (61, 77), (33, 8), (512, 512)])
def test_upsampled_masks_have_the_size_of_the_image(norm: str, size: tuple[int, int]) -> None:
    masks = Masks(*(noise(B, channels, 8, 12, dtype=torch.float32) for channels in (1, 32, 32)))
    assert LearnedUpsampler(32, norm)(masks, size).shape == (B, 1, *size)  # type: ignore[arg-type]
    assert ResizeUpsampler()(masks, size).shape == (B, 1, *size)


def test_upsampling_does_not_depend_on_the_batch() -> None:
    upsample = LearnedUpsampler(32).double().train()
    masks = Masks(noise(3, 1, 4, 4), noise(3, 32, 4, 4), noise(3, 32, 4, 4))
    together = upsample(masks, (30, 30))
    alone = torch.cat([upsample(Masks(*(part[i : i + 1] for part in masks)), (30, 30)) for i in range(3)])
    torch.testing.assert_close(alone, together)


def run(name: str, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Tensor]:
    """One part with its output; training mode."""
    text, image, queries = noise(B, L, T, dtype=dtype), noise(B, N, D, dtype=dtype), noise(B, Q, D, dtype=dtype)
    texts, images = (text, no_padding(L)), (image, no_padding(N))
    level = noise(B, D, 3, 4, dtype=dtype)
    module: nn.Module
    match name:
        case "cmf":
            module = CrossModalFusion(Q, D, T, D, heads=4).to(dtype)
            return module, module(*texts, *images)[0]
        case "released cmf":
            module = ReleasedCrossModalFusion(L, D, T, D, heads=4).to(dtype)
            return module, module(*texts, *images)[0]
        case "tgvr":
            module = TextGuidedVisualRefinement(D, T, heads=4).to(dtype)
            return module, module(queries, *texts)
        case "released tgvr":
            module = ReleasedTextGuidedVisualRefinement(D, T, heads=4).to(dtype)
            return module, module(queries, *texts)
        case "scfe":
            module = SingleCellFeatureExtraction(D, heads=4, sources=2).to(dtype)
            return module, module((image, noise(B, N, D, dtype=dtype)), no_padding(N))
        case "released scfe":
            module = ReleasedSingleCellFeatureExtraction(D).to(dtype)
            return module, module((image,), no_padding(N))
        case "classifier":
            module = CellClassifier(D, 45).to(dtype)
            return module, module(queries[:, 0])
        case "qgmf":
            module = QueryGuidedMaskFinder(D).to(dtype)
            return module, module(queries[:, :1], level, level).logits
        case _:
            module = LearnedUpsampler(D, "batch" if name == "released upsampler" else "group").to(dtype)
            return module, module(Masks(noise(B, 1, 3, 4, dtype=dtype), level, level), (21, 30))


PARTS = ["cmf", "tgvr", "scfe", "classifier", "qgmf", "upsampler"]
RELEASED = ["released cmf", "released tgvr", "released scfe", "released upsampler"]


@pytest.mark.parametrize("name", PARTS + RELEASED)
def test_gradient_reaches_every_parameter(name: str) -> None:
    module, output = run(name, torch.float64)
    (output * torch.randn_like(output)).sum().backward()
    silent = [key for key, parameter in module.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not silent


@pytest.mark.parametrize("name", PARTS + RELEASED)
def test_half_precision(name: str) -> None:
    _, output = run(name, torch.bfloat16)
    assert output.dtype == torch.bfloat16 and output.isfinite().all()
