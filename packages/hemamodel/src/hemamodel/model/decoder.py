"""The image decoder: queries talk to each other, read the image around their boxes, and move the boxes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hemamodel.model.boxes import inverse_sigmoid
from hemamodel.model.layers import MLP, FeedForward, kept
from hemamodel.model.neck import FeaturePyramid
from hemamodel.model.position import box_position
from hemamodel.ops.attention import MultiScaleDeformableAttention


@dataclass(frozen=True)
class Decoded:
    """Output of each decoder layer.

    Attributes:
        states: [K, B, Q, D], after the shared norm, K layers.
        boxes: [K, B, Q, 4], (cx, cy, w, h) in 0..1, in float32 at least.
    """

    states: Tensor
    boxes: Tensor


class DecoderLayer(nn.Module):
    """Self-attention, deformable cross-attention, feed-forward, each with residual and norm after."""

    def __init__(self, dim: int, heads: int, levels: int, points: int, hidden: int) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.norm_self = nn.LayerNorm(dim)
        self.cross_attn = MultiScaleDeformableAttention(dim, heads, levels, points)
        self.norm_cross = nn.LayerNorm(dim)
        self.ffn = FeedForward(dim, hidden)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        reference: Tensor,
        memory: Tensor,
        shapes: Sequence[tuple[int, int]],
        padding: Tensor,
        blocked: Tensor | None,
        absent: Tensor | None,
    ) -> Tensor:
        """x, position [B, Q, D], reference [B, Q, L, 4], memory [B, N, D], padding [B, N] -> [B, Q, D]."""
        q = x + position
        seen, _ = self.self_attn(q, q, x, attn_mask=blocked, key_padding_mask=absent, need_weights=False)
        x = self.norm_self(x + seen)
        x = self.norm_cross(x + self.cross_attn(x + position, reference, memory, shapes, padding))
        return self.ffn(x)  # type: ignore[no-any-return]


class ImageDecoder(nn.Module):
    """D^I of the paper: six layers at base size, with iterative refinement and look forward twice (DINO).

    Args:
        dim: width D.
        heads: attention heads.
        levels: feature levels L.
        points: samples per head and level.
        layers: number of layers K.
        hidden: width of the feed-forward layers.
    """

    def __init__(
        self, dim: int = 256, heads: int = 8, levels: int = 4, points: int = 4, layers: int = 6, hidden: int = 2048
    ) -> None:
        super().__init__()
        self.dim = dim
        self.layers = nn.ModuleList(DecoderLayer(dim, heads, levels, points, hidden) for _ in range(layers))
        self.compute_again = False
        self.norm = nn.LayerNorm(dim)
        self.query_position = MLP(2 * dim, dim, dim)

    def forward(
        self,
        content: Tensor,
        reference: Tensor,
        memory: Tensor,
        features: FeaturePyramid,
        box_head: nn.Module,
        blocked: Tensor | None = None,
        absent: Tensor | None = None,
    ) -> Decoded:
        """Refine queries and boxes layer by layer.

        Args:
            content: [B, Q, D].
            reference: [B, Q, 4], the first boxes, in 0..1 of the unpadded image.
            memory: [B, N, D], of the encoder.
            features: the pyramid behind `memory`.
            box_head: [..., D] -> [..., 4], steps in logit space; shared by the layers.
            blocked: [Q, Q], True where a query (row) must not see another (column).
            absent: [B, Q], True where a query is an empty slot, which nobody sees.

        Returns:
            States and boxes of each layer.
        """
        valid = torch.cat([features.valid, features.valid], dim=-1)[:, None]  # [B, 1, L, 4]
        logits = inverse_sigmoid(reference).to(valid.dtype)  # [B, Q, 4], the reference, never with gradient
        ahead = logits  # the reference with the gradient of the layer that made it
        x = content
        states: list[Tensor] = []
        boxes: list[Tensor] = []
        for layer in self.layers:
            if states:  # refine; as in DINO, from the state before the shared norm
                ahead = box_head(x).to(logits.dtype) + logits
                logits = ahead.detach()
            anchor = logits.sigmoid()  # [B, Q, 4]
            position = self.query_position(box_position(anchor, self.dim).to(x.dtype))  # [B, Q, D]
            x = kept(layer, self.compute_again)(
                x,
                position,
                anchor[:, :, None] * valid,  # [B, Q, L, 4]
                memory,
                features.shapes,
                features.padding,
                blocked,
                absent,
            )
            state = self.norm(x)
            states.append(state)
            # Look forward twice: the box starts from `ahead`, so its loss also trains the layer before.
            boxes.append((box_head(state).to(logits.dtype) + ahead).sigmoid())
        return Decoded(torch.stack(states), torch.stack(boxes))
