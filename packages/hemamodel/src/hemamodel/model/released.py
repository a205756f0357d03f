"""CMF, TGVR and SCFE as the authors' released code has them (`variant: released`), to load their checkpoint.

Each takes and gives the same as its namesake in `hemaformer.py`. Padding is accepted and not used, as released:
texts must therefore be padded to the full 64 tokens where the figures of the checkpoint are wanted.
"""

import torch
from torch import Tensor, nn

from hemamodel.model.hemaformer import attend


class _FusionLayer(nn.Module):
    """Queries look at the image, then at the text, then think: post-norm, feed-forward of four times the width."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.read_image = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.read_text = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.norm_image = nn.LayerNorm(dim)
        self.norm_text = nn.LayerNorm(dim)
        self.norm_out = nn.LayerNorm(dim)

    def forward(self, q: Tensor, text: Tensor, image: Tensor) -> Tensor:
        q = self.norm_image(q + attend(self.read_image, q, image, None))  # [B, Q, D]
        q = self.norm_text(q + attend(self.read_text, q, text, None))  # [B, Q, D]
        return self.norm_out(q + self.feed_forward(q))  # type: ignore[no-any-return]


class ReleasedCrossModalFusion(nn.Module):
    """CMF, released: image first, two layers, and the result is added to the text position by position.

    Args:
        queries: number of learned queries, which is also the length that every text must have.
        dim: width D in which the two meet.
        text_dim: width of the text encoder's states.
        image_dim: width of the image tokens.
        heads: attention heads.
        layers: number of layers.
    """

    def __init__(self, queries: int, dim: int, text_dim: int, image_dim: int, heads: int = 8, layers: int = 2) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.project_text = nn.Linear(text_dim, dim)
        self.project_image = nn.Linear(image_dim, dim)
        self.layers = nn.ModuleList([_FusionLayer(dim, heads) for _ in range(layers)])
        self.project_out = nn.Linear(dim, text_dim)

    def forward(
        self, text: Tensor, text_padding: Tensor, image: Tensor, image_padding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Text `[B, Q, text_dim]`, image `[B, N, image_dim]` -> fused `[B, Q, text_dim]` and the text's padding.

        Raises:
            ValueError: the text is not exactly as long as there are queries.
        """
        if text.shape[1] != len(self.queries):
            raise ValueError(
                f"text of {text.shape[1]} tokens, but the released fusion adds its {len(self.queries)} queries to the "
                f"text position by position: pad every text to {len(self.queries)} tokens"
            )
        projected, image = self.project_text(text), self.project_image(image)  # [B, L, D], [B, N, D]
        q = self.queries.expand(text.shape[0], -1, -1)  # [B, Q, D]
        for layer in self.layers:
            q = layer(q, projected, image)
        return text + self.project_out(q), text_padding  # [B, Q, text_dim]


class ReleasedTextGuidedVisualRefinement(nn.Module):
    """TGVR, released: a gate per channel chooses between the query and what it read in the text.

    Args:
        dim: width D of the queries.
        text_dim: width of the text encoder's states.
        heads: attention heads.
    """

    def __init__(self, dim: int, text_dim: int, heads: int = 8) -> None:
        super().__init__()
        self.project_text = nn.Linear(text_dim, dim)
        self.read_text = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.gate = nn.Sequential(nn.Linear(2 * dim, dim), nn.ReLU(), nn.Linear(dim, dim))

    def forward(self, queries: Tensor, text: Tensor, text_padding: Tensor) -> Tensor:
        """Queries `[B, Q, D]`, text `[B, L, text_dim]` -> refined queries `[B, Q, D]`."""
        read = attend(self.read_text, queries, self.project_text(text), None)  # [B, Q, D]
        gate = self.gate(torch.cat([queries, read], dim=-1)).sigmoid()  # [B, Q, D]
        return torch.lerp(queries, read, gate)


class ReleasedSingleCellFeatureExtraction(nn.Module):
    """SCFE, released: a learned constant beside the mean of all encoder tokens, padded ones too.

    Args:
        dim: width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, dim))
        self.project = nn.Linear(2 * dim, dim)

    def forward(self, features: tuple[Tensor, ...], padding: Tensor) -> Tensor:
        """One set of tokens, `[B, N, D]` -> feature `[B, D]`."""
        (tokens,) = features
        query = self.query.expand(tokens.shape[0], -1)  # [B, D]
        return self.project(torch.cat([query, tokens.mean(dim=1)], dim=-1))  # type: ignore[no-any-return]
