"""The image encoder: deformable self-attention over all levels."""

from collections.abc import Sequence

from torch import Tensor, nn

from hemamodel.model.layers import FeedForward, kept
from hemamodel.model.neck import FeaturePyramid
from hemamodel.ops.attention import MultiScaleDeformableAttention


class EncoderLayer(nn.Module):
    """Deformable self-attention, then feed-forward, each with residual and norm after."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = MultiScaleDeformableAttention(dim, heads, levels, points)
        self.norm = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, hidden)

    def forward(
        self, x: Tensor, position: Tensor, reference: Tensor, shapes: Sequence[tuple[int, int]], padding: Tensor
    ) -> Tensor:
        """x, position [B, N, D], reference [B, N, L, 2], padding [B, N] -> [B, N, D]."""
        x = self.norm(x + self.self_attn(x + position, reference, x, shapes, padding))
        return self.ffn(x)  # type: ignore[no-any-return]


class ImageEncoder(nn.Module):
    """E^I of the paper: six layers at base size.

    Args:
        dim: width D.
        heads: attention heads.
        levels: feature levels L.
        points: samples per head and level.
        layers: number of layers.
        hidden: width of the feed-forward layers.
    """

    def __init__(
        self, dim: int = 256, heads: int = 8, levels: int = 4, points: int = 4, layers: int = 6, hidden: int = 2048
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(EncoderLayer(dim, heads, levels, points, hidden) for _ in range(layers))
        self.compute_again = False

    def forward(self, features: FeaturePyramid) -> Tensor:
        """The pyramid's tokens -> memory [B, N, D] (E_E^I). What stands at padded tokens means nothing."""
        reference = features.centres()[:, :, None] * features.valid[:, None]  # [B, N, L, 2], in units of each level
        x = features.tokens
        for layer in self.layers:
            x = kept(layer, self.compute_again)(x, features.position, reference, features.shapes, features.padding)
        return x
