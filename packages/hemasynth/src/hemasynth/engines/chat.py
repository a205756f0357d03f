"""One chat turn as token ids, the same offline and in tests, with exactly one token for the beginning."""

from importlib import resources
from pathlib import Path
from typing import Any


def template_path() -> Path:
    """Return the chat template for models that ship none, such as BioMistral-7B: for `vllm serve --chat-template`."""
    return Path(str(resources.files("hemasynth").joinpath("templates", "mistral_instruct.jinja")))


def encode(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of one user turn, ready for the model's answer.

    The template is the tokenizer's own, else Mistral's (`template_path`). It is rendered to text and then encoded
    without special tokens, because the template writes them: a second beginning token costs quality, hard to see.

    Args:
        tokenizer: of transformers.
        text: what the user says.
    """
    turn = [{"role": "user", "content": text}]
    options = {} if tokenizer.chat_template else {"chat_template": template_path().read_text(encoding="utf-8")}
    rendered = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, **options)
    ids: list[int] = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    begin = tokenizer.bos_token_id
    while begin is not None and ids[:2] == [begin, begin]:
        del ids[0]
    if begin is not None and ids[:1] != [begin]:
        ids.insert(0, begin)
    return ids
