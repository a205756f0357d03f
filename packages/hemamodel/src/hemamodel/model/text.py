"""The text branch: a T5 whose decoder reads states that have seen the image."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import T5Config, T5ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from hemamodel.model.tokenizer import MAX_LENGTH


class TextBranch(nn.Module):
    """T5 cut in two: `encode` gives E_E^T; `loss` and `generate` decode from any states, the fused ones above all.

    The released code generates from the text alone, so its answers never see the image; here loss and generation
    read the same states.

    Args:
        t5: the model; its output head is untied from the embedding, as in FLAN-T5.
    """

    def __init__(self, t5: T5ForConditionalGeneration) -> None:
        super().__init__()
        self.t5 = untie(t5)

    @classmethod
    def from_scratch(
        cls, vocabulary: int, dim: int, layers: int, heads: int, feed_forward: int, dropout: float = 0.1
    ) -> "TextBranch":
        """A T5 of the FLAN form (gated GELU, head of its own) with random weights.

        Args:
            vocabulary: number of tokens, `len(tokenizer)`.
            dim: width.
            layers: layers of the encoder, and again of the decoder.
            heads: attention heads.
            feed_forward: inner width of the feed-forward layers.
            dropout: dropout while training.
        """
        sizes: dict[str, Any] = {
            "vocab_size": vocabulary,
            "d_model": dim,
            "d_kv": dim // heads,
            "d_ff": feed_forward,
            "num_layers": layers,
            "num_decoder_layers": layers,
            "num_heads": heads,
            "dropout_rate": dropout,
        }
        form: dict[str, Any] = {
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,  # transformers reads this as "do not scale the decoder's output"
            "pad_token_id": 0,
            "eos_token_id": 1,
            "decoder_start_token_id": 0,
        }
        branch = cls(T5ForConditionalGeneration(T5Config(**sizes, **form)))
        nn.init.normal_(branch.t5.lm_head.weight, std=dim**-0.5)  # starts near a uniform guess; T5's own 1.0 does not
        return branch

    @classmethod
    def from_pretrained(cls, source: str | Path, dropout: float = 0.1) -> "TextBranch":
        """Weights of a local folder or of a Hub name such as `google/flan-t5-base`."""
        return cls(T5ForConditionalGeneration.from_pretrained(str(source), dropout_rate=dropout))

    @classmethod
    def from_config(cls, folder: str | Path) -> "TextBranch":
        """Random weights in the sizes of a folder's `config.json`."""
        return cls(T5ForConditionalGeneration(T5Config.from_pretrained(str(folder))))

    @property
    def dim(self) -> int:
        """Width of the states."""
        return int(self.t5.config.d_model)

    def groups(self) -> dict[str, list[nn.Module]]:
        """The two trainable groups: the shared embedding goes with the encoder, the head with the decoder."""
        decoder = self.t5.decoder
        return {
            "text_encoder": [self.t5.encoder],  # holds the embedding
            "text_decoder": [decoder.block, decoder.final_layer_norm, decoder.dropout, self.t5.lm_head],
        }

    def encode(self, ids: Tensor, padding: Tensor) -> Tensor:
        """Token ids `[B, L]`, padding `[B, L]` -> states `[B, L, dim]`."""
        states: Tensor = self.t5.encoder(input_ids=ids, attention_mask=_keep(padding)).last_hidden_state
        return states

    def loss(self, states: Tensor, padding: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of a text given states, mean over tokens (teacher forcing).

        Args:
            states: what the decoder reads, `[B, Q, dim]`.
            padding: `[B, Q]`.
            labels: ids to be written, `[B, T]`, -100 where padded.
        """
        outputs = self.t5(encoder_outputs=_given(states), attention_mask=_keep(padding), labels=labels)
        loss: Tensor = outputs.loss
        return loss

    @torch.no_grad()
    def generate(self, states: Tensor, padding: Tensor, beams: int = 1, max_length: int = MAX_LENGTH) -> Tensor:
        """Write a text given states, greedily or by beam search. Dropout follows the mode: call `eval()` first.

        Args:
            states: what the decoder reads, `[B, Q, dim]`.
            padding: `[B, Q]`.
            beams: 1 is greedy; the released code uses 4.
            max_length: most tokens to write.

        Returns:
            Ids `[B, T]` without the start token, padded with 0.
        """
        generate: Any = self.t5.generate  # type: ignore[misc]
        ids: Tensor = generate(
            encoder_outputs=_given(states),  # fresh: generate expands it in place
            attention_mask=_keep(padding),
            num_beams=beams,
            do_sample=False,
            early_stopping=False,  # true ends a search once enough texts are done, however poor they are
            max_new_tokens=max_length,
        )
        return ids[:, 1:]


def untie(t5: T5ForConditionalGeneration) -> T5ForConditionalGeneration:
    """Give the output head a parameter of its own, in place, with the values that it has.

    transformers ties it to the embedding whatever the config says; FLAN-T5 weights loaded into a tied model would
    overwrite the embedding with the head without a word.
    """
    if t5.lm_head.weight is t5.shared.weight:
        t5.lm_head.weight = nn.Parameter(t5.shared.weight.detach().clone())
    t5.config.tie_word_embeddings = False
    return t5


def _keep(padding: Tensor) -> Tensor:
    return (~padding).long()


def _given(states: Tensor) -> BaseModelOutput:
    return BaseModelOutput(states)  # type: ignore[arg-type]
