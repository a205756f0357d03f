"""Tokens of the text branch: the folder's own tokenizer with pretrained weights, or one made on the spot without."""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from math import log
from pathlib import Path

import torch
from torch import Tensor
from transformers import T5Tokenizer

MAX_LENGTH = 64  # prompt, target and generated text alike (released code)
IGNORED = -100  # label that the loss leaves out
_PIECE = re.compile(r"▁\w+|\w+|[^\w▁]")


def word_tokenizer(sentences: Iterable[str], size: int = 4096, sentinels: int = 100) -> T5Tokenizer:
    """A T5 tokenizer of the words of some sentences; what is not among them is spelt letter by letter.

    No training, so the same sentences give the same tokens on every machine. Ids are laid out as in T5: pad 0,
    end 1, unknown 2, pieces, and the sentinels `<extra_id_0>` ... last, in falling order.

    Args:
        sentences: texts that the tokenizer should write with few tokens.
        size: at most so many words, the most frequent first (ties in alphabetical order).
        sentinels: number of sentinel tokens for masked spans.
    """
    words = Counter(piece for text in sentences for word in text.split() for piece in _PIECE.findall("▁" + word))
    kept = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:size]
    total = sum(words.values())
    letters = sorted({*"▁", *string.ascii_letters, *string.digits, *string.punctuation, *"".join(words)})
    # a letter costs more than any word, so that a known word is never spelt
    price = -2 * log(total + 2)
    pieces = {letter: price for letter in letters} | {word: log(count / total) for word, count in kept}
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces.items()]
    vocabulary += [(f"<extra_id_{number}>", 0.0) for number in reversed(range(sentinels))]
    return T5Tokenizer(vocab=vocabulary, extra_ids=sentinels)


def load_tokenizer(source: str | Path) -> T5Tokenizer:
    """The tokenizer of a local folder or of a Hub name such as `google/flan-t5-base`."""
    tokenizer: T5Tokenizer = T5Tokenizer.from_pretrained(str(source))
    return tokenizer


def tokenize(
    tokenizer: T5Tokenizer, texts: Sequence[str], max_length: int = MAX_LENGTH, pad_to: int | None = None
) -> tuple[Tensor, Tensor]:
    """Ids `[B, L]` and padding `[B, L]` (True where padded); longer texts are cut.

    Args:
        tokenizer: the tokenizer.
        texts: B texts; an empty one is a single end token.
        max_length: longest text in tokens.
        pad_to: pad to this length instead of that of the longest text (`released` wants 64).
    """
    encoded = tokenizer(
        list(texts),
        truncation=True,
        max_length=pad_to or max_length,
        padding="max_length" if pad_to else True,
        return_tensors="pt",
    )
    ids: Tensor = encoded["input_ids"]
    return ids, encoded["attention_mask"] == 0


def target_ids(tokenizer: T5Tokenizer, texts: Sequence[str], max_length: int = MAX_LENGTH) -> Tensor:
    """Labels `[B, T]` of texts to be written: ids with end token, `IGNORED` where padded."""
    ids, padding = tokenize(tokenizer, texts, max_length)
    return torch.where(padding, IGNORED, ids)


def decode(tokenizer: T5Tokenizer, ids: Tensor) -> list[str]:
    """Generated ids `[B, T]` -> B texts without special tokens."""
    return [text.strip() for text in tokenizer.batch_decode(ids, skip_special_tokens=True)]
