"""The four sub-modules of the Hema-Former as the paper words them: CMF, TGVR, SCFE, QGMF.

The forms of the released code stand in `released.py`, with the same names, arguments and results.
Paddings are bool tensors, True where padded.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from hemamodel.model.layers import MLP


def attend(attention: nn.MultiheadAttention, query: Tensor, memory: Tensor, padding: Tensor | None) -> Tensor:
    """Cross-attention that leaves padding out; a row that is all padding adds nothing instead of NaN.

    Args:
        attention: batch-first attention of width D.
        query: who asks, `[B, Q, D]`.
        memory: who is asked, `[B, N, D]`.
        padding: `[B, N]`, or None where every position counts.

    Returns:
        `[B, Q, D]`.
    """
    if padding is None:
        return attention(query, memory, memory, need_weights=False)[0]  # type: ignore[no-any-return]
    empty = padding.all(dim=1, keepdim=True)  # [B, 1]
    read = attention(query, memory, memory, key_padding_mask=padding & ~empty, need_weights=False)[0]
    return read.masked_fill(empty[..., None], 0)  # type: ignore[no-any-return]


def masked_mean(tokens: Tensor, padding: Tensor) -> Tensor:
    """Mean over the positions that are not padded: `[B, N, D]`, `[B, N]` -> `[B, D]`; zeros where all are padded."""
    valid = (~padding)[..., None].to(tokens.dtype)  # [B, N, 1]
    return (tokens * valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)


class CrossModalFusion(nn.Module):
    """CMF: text that has looked at the image, for question answering and mask completion.

    Learned queries read the text, the result J reads the image, and
    E_W = Norm(J + CrossAttn(J, P(E_B), P(E_B))). The text decoder reads E_W, projected to its own width.

    Args:
        queries: number of learned queries Q (64, the longest text).
        dim: width D in which the two meet (256).
        text_dim: width of the text encoder's states (768 for FLAN-T5-base).
        image_dim: width of the image tokens (256).
        heads: attention heads.
    """

    def __init__(self, queries: int, dim: int, text_dim: int, image_dim: int, heads: int = 8) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, dim))
        self.project_text = nn.Linear(text_dim, dim)
        self.project_image = nn.Linear(image_dim, dim)
        self.read_text = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.read_image = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm_text = nn.LayerNorm(dim)
        self.norm_image = nn.LayerNorm(dim)
        self.project_out = nn.Linear(dim, text_dim)

    def forward(
        self, text: Tensor, text_padding: Tensor, image: Tensor, image_padding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Fuse a text with dense image features.

        Args:
            text: states of the text encoder, `[B, L, text_dim]`.
            text_padding: `[B, L]`.
            image: tokens of all levels, `[B, N, image_dim]`.
            image_padding: `[B, N]`.

        Returns:
            Fused states `[B, Q, text_dim]` and their padding `[B, Q]` (no query is ever padded).
        """
        text, image = self.project_text(text), self.project_image(image)  # [B, L, D], [B, N, D]
        q = self.queries.expand(text.shape[0], -1, -1)  # [B, Q, D]
        j = self.norm_text(q + attend(self.read_text, q, text, text_padding))  # [B, Q, D]
        fused = self.norm_image(j + attend(self.read_image, j, image, image_padding))  # [B, Q, D]
        return self.project_out(fused), text_padding.new_zeros(fused.shape[:2])


class TextGuidedVisualRefinement(nn.Module):
    """TGVR: object queries that know what the text asks for: E_X = P([k | CrossAttn(k, T', T')]).

    Args:
        dim: width D of the queries.
        text_dim: width of the text encoder's states.
        heads: attention heads.
    """

    def __init__(self, dim: int, text_dim: int, heads: int = 8) -> None:
        super().__init__()
        self.project_text = nn.Linear(text_dim, dim)
        self.read_text = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.project = nn.Linear(2 * dim, dim)

    def forward(self, queries: Tensor, text: Tensor, text_padding: Tensor) -> Tensor:
        """Queries `[B, Q, D]`, text `[B, L, text_dim]`, its padding `[B, L]` -> refined queries `[B, Q, D]`."""
        read = attend(self.read_text, queries, self.project_text(text), text_padding)  # [B, Q, D]
        return self.project(torch.cat([queries, read], dim=-1))  # type: ignore[no-any-return]


class SingleCellFeatureExtraction(nn.Module):
    """SCFE: one vector for an image of one cell, E_Z.

    A learned query attends to the image tokens; what it read and the mean of the tokens are projected together.
    With two sets of tokens (encoder and backbone, the best row of table 15) the query reads both, and each has its
    own mean.

    Args:
        dim: width D.
        heads: attention heads.
        sources: how many sets of tokens are given, 1 or 2.
    """

    def __init__(self, dim: int, heads: int = 8, sources: int = 1) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, dim))
        self.read = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.project = nn.Linear((1 + sources) * dim, dim)

    def forward(self, features: tuple[Tensor, ...], padding: Tensor) -> Tensor:
        """Sets of tokens, each `[B, N, D]`, and their common padding `[B, N]` -> feature `[B, D]`."""
        query = self.query.expand(padding.shape[0], -1, -1)  # [B, 1, D]
        tokens = torch.cat(features, dim=1)  # [B, S*N, D]
        z = attend(self.read, query, tokens, padding.repeat(1, len(features))).squeeze(1)  # [B, D]
        means = [masked_mean(feature, padding) for feature in features]  # S of [B, D]
        return self.project(torch.cat([z, *means], dim=-1))  # type: ignore[no-any-return]


class CellClassifier(nn.Sequential):
    """Kind of a single cell from its SCFE feature: `[B, D]` -> logits `[B, classes]` (45 in the paper).

    Weights start as He et al. give them for a rectifier: with torch's smaller ones three layers leave so little of the
    feature that training from scratch stands still for epochs.
    """

    def __init__(self, dim: int, classes: int, dropout: float = 0.1) -> None:
        super().__init__(
            nn.Linear(dim, dim), nn.LeakyReLU(), nn.Dropout(dropout),
            nn.Linear(dim, dim // 2), nn.LeakyReLU(), nn.Dropout(dropout),
            nn.Linear(dim // 2, classes),
        )  # fmt: skip
        for layer in self:
            if isinstance(layer, nn.Linear):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)


class Masks(NamedTuple):
    """What QGMF finds: logits `[B, Q, h, w]`, and the two feature maps `[B, D, h, w]` that the upsampler reads."""

    logits: Tensor
    encoder: Tensor
    backbone: Tensor


class QueryGuidedMaskFinder(nn.Module):
    """QGMF: the mask of a query is its product with the mask features G = M_enc + M_bb, at stride 8.

    The paper and the released code agree here. Both keep query 0 as the mask of the image, so that callers pass
    `queries[:, :1]` and no other mask is computed.

    Args:
        dim: width D.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project_encoder = nn.Sequential(nn.Linear(dim, dim), nn.ReLU())
        self.project_backbone = nn.Conv2d(dim, dim, kernel_size=1)
        self.norm = nn.LayerNorm(dim)
        self.embed = MLP(dim, dim, dim, dim)

    def forward(self, queries: Tensor, encoder: Tensor, backbone: Tensor) -> Masks:
        """Find the masks of some queries.

        Args:
            queries: last output of the image decoder, `[B, Q, D]`.
            encoder: finest level of the encoder's memory, `[B, D, h, w]`.
            backbone: finest level of the neck (S0), `[B, D, h, w]`.
        """
        m_enc = self.project_encoder(encoder.movedim(1, -1)).movedim(-1, 1)  # [B, D, h, w]
        m_bb = self.project_backbone(backbone)  # [B, D, h, w]
        logits = torch.einsum("bqd,bdhw->bqhw", self.embed(self.norm(queries)), m_enc + m_bb)  # [B, Q, h, w]
        return Masks(logits, m_enc, m_bb)
