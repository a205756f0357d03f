"""Two-stage query selection: the encoder's most promising tokens propose the first boxes of the decoder."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hemamodel.model.heads import box_head, class_head
from hemamodel.model.neck import FeaturePyramid


@dataclass(frozen=True)
class Selection:
    """What the decoder starts from, and the encoder's own predictions for the loss.

    Attributes:
        content: [B, Q, D], learned, the same for each image.
        reference: [B, Q, 4], boxes (cx, cy, w, h) in 0..1, detached.
        logits: [B, Q, C], classes of the selected tokens.
        boxes: [B, Q, 4], `reference` with its gradient.
        tokens: [B, Q], the selected tokens.
    """

    content: Tensor
    reference: Tensor
    logits: Tensor
    boxes: Tensor
    tokens: Tensor


class QuerySelection(nn.Module):
    """Mixed query selection (DINO): boxes from the encoder, content from a learned table.

    Args:
        dim: width D.
        classes: number of classes C.
        queries: number of queries Q (900 in the released code; the paper does not say).
    """

    def __init__(self, dim: int, classes: int, queries: int = 900) -> None:
        super().__init__()
        self.project = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.label = class_head(dim, classes)
        self.box = box_head(dim)
        self.content = nn.Embedding(queries, dim)

    def forward(self, memory: Tensor, features: FeaturePyramid) -> Selection:
        """Encoder memory [B, N, D] and the pyramid it came from -> the selection."""
        proposals, usable = token_proposals(features)  # [B, N, 4], [B, N]
        states = self.norm(self.project(memory.masked_fill(~usable[..., None], 0.0)))  # [B, N, D]
        logits = self.label(states)  # [B, N, C]
        tokens = best_tokens(logits.amax(-1), usable, self.content.num_embeddings)  # [B, Q]
        states, logits, proposals = (_take(x, tokens) for x in (states, logits, proposals))
        # The box head runs on the selected tokens only; boxes are kept out of half precision.
        boxes = (self.box(states).to(proposals.dtype) + torch.logit(proposals)).sigmoid()  # [B, Q, 4]
        content = self.content.weight.expand(memory.shape[0], -1, -1)  # [B, Q, D]
        return Selection(content, boxes.detach(), logits, boxes, tokens)


def token_proposals(features: FeaturePyramid) -> tuple[Tensor, Tensor]:
    """A box around each token's cell, 0.05 * 2^level wide and high, and whether it may be used.

    Returns:
        Boxes [B, N, 4] (cx, cy, w, h), and [B, N] True where the token is not padded and every number of the box is
        inside (0.01, 0.99). Boxes that may not be used are 0.5 throughout, so that their logits are finite.
    """
    centres = features.centres()  # [B, N, 2]
    sizes = [centres.new_full((h * w,), 0.05 * 2**index) for index, (h, w) in enumerate(features.shapes)]
    size = torch.cat(sizes)[:, None].expand_as(centres)  # [B, N, 2]
    boxes = torch.cat([centres, size], dim=-1)
    usable = ((boxes > 0.01) & (boxes < 0.99)).all(-1) & ~features.padding
    return boxes.masked_fill(~usable[..., None], 0.5), usable


def best_tokens(scores: Tensor, usable: Tensor, count: int) -> Tensor:
    """The `count` best usable tokens, best first; equal scores in the order of tokens.

    An image with fewer usable tokens than `count` gives each of them in turn until the queries are used up: the
    number of queries never depends on data, and no query stands on padding.

    Args:
        scores: [B, N].
        usable: [B, N], at least one in each row.
        count: number of queries Q.

    Returns:
        Indices [B, Q].
    """
    order = scores.detach().masked_fill(~usable, -torch.inf).argsort(dim=-1, descending=True, stable=True)  # [B, N]
    turn = torch.arange(count, device=scores.device) % usable.sum(-1, keepdim=True).clamp(min=1)  # [B, Q]
    return order.gather(-1, turn)


def _take(x: Tensor, index: Tensor) -> Tensor:
    """Rows [B, Q, F] of x [B, N, F] at index [B, Q]."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1]))
