"""The gate of 64 tokens: the reader pads and cuts there, and what is cut is lost silently.

With a tokenizer its own count is taken. Without one an upper bound is: a sentencepiece model takes at least one
character for every token it gives, the mark of a word's beginning included, and adds one token for the end.
"""

import re
from collections.abc import Callable
from pathlib import Path

from hemadata.errors import InputMissingError

LIMIT = 64
PREFIX = "mask: "  # set before the masked text by the reader
SENTINEL = re.compile(r"<extra_id_\d+>")

Counter = Callable[[str], int]


def bound(text: str) -> int:
    """Return a number of tokens that no T5 tokenizer exceeds for an ASCII text."""
    plain, sentinels = SENTINEL.subn(" ", text)
    words = plain.split()
    # a sentinel is one token, and the mark of a word's beginning may stand alone on both of its sides
    return sum(len(word) + 1 for word in words) + 3 * sentinels + 2


def counter(tokenizer: Path | None) -> tuple[Counter, str]:
    """Return what counts tokens, and the word for `length_gate` in `run.json`.

    Args:
        tokenizer: folder of a T5 tokenizer, or None.

    Raises:
        InputMissingError: the folder holds none, or transformers is not installed.
    """
    if tokenizer is None:
        return bound, "bound"
    try:
        from transformers import AutoTokenizer

        found = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True, trust_remote_code=False)
    except (ImportError, OSError, ValueError) as error:
        raise InputMissingError(
            f"--t5 {tokenizer}: no tokenizer can be loaded ({type(error).__name__}: {error}). Expected a folder with "
            "tokenizer.json or spiece.model, and transformers installed; without --t5 a bound from characters is used."
        ) from error
    return (lambda text: len(found(text)["input_ids"])), "tokenizer"


def fits(text: str, masked: str, target: str, count: Counter) -> bool:
    """Tell whether the prompt, the full sentence and the target keep within `LIMIT` tokens."""
    return all(count(each) <= LIMIT for each in (PREFIX + masked, text, target))
