"""transformers inside this process: for machines without vLLM. It holds no text to a schema, and says so."""

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from hemasynth.engines import canary
from hemasynth.engines.base import Reply, Request
from hemasynth.engines.chat import encode
from hemasynth.engines.models import Model
from hemasynth.errors import EngineMissingError


class HfEngine:
    """Answers one request after the other with `generate` of transformers, each with its own seed.

    Nothing constrains the text: what is not the JSON that was asked for is refused by the parser and tried again, so
    `run.json` says `"constraint": "parsed"` and more pairs come from later attempts or from templates.

    Args:
        model: what is loaded.
        device: "cuda", "cpu" or None for what is there.
    """

    name = "hf"
    needs_prompt = True
    constraint = "parsed"

    def __init__(self, model: Model, device: str | None = None) -> None:
        self._given, self._device = model, device
        self.model, self.revision, self.weights = model.name, model.revision, model.weights
        self._net: Any = None
        self._tokenizer: Any = None
        self.version = ""

    def start(self) -> None:
        """Load the model, send it the canary and tell on stderr whether it obeyed by itself; it need not.

        Raises:
            EngineMissingError: transformers is not installed, or the model cannot be loaded.
        """
        if self._net is None:
            self._load()
        prompt = f"{canary.QUESTION} Reply with JSON of this schema: {json.dumps(canary.SCHEMA)}"
        text, _, _ = self._write(prompt, 0.0, 1.0, 0, canary.MAX_TOKENS)
        told = "followed the schema by itself" if canary.obeyed(text) else "did not follow the schema"
        print(
            f"hf: nothing holds {self.model} to a schema; in the test at the start it {told}. "
            "Texts that break it are refused and tried again.",
            file=sys.stderr,
        )

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield the replies in the order of the requests."""
        if self._net is None:
            self._load()
        for request in requests:
            text, tokens_in, tokens_out = self._write(
                request.prompt, request.temperature, request.top_p, request.seed, request.max_tokens
            )
            reason = "length" if tokens_out >= request.max_tokens else "stop"
            yield Reply(request, text, reason, self.model, tokens_in, tokens_out)

    def _load(self) -> None:
        try:
            import torch
            import transformers
        except ImportError as error:
            raise EngineMissingError(
                f"The engine hf needs torch and transformers ({error}).\n"
                "pip install torch transformers; or try without a model: --engine template"
            ) from error
        self.version = transformers.__version__
        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        where, revision = self._given.where, self.revision
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(where, revision=revision)
            net = transformers.AutoModelForCausalLM.from_pretrained(
                where, revision=revision, dtype=torch.bfloat16 if device == "cuda" else torch.float32
            )
        except (OSError, ValueError) as error:
            raise EngineMissingError(f"transformers {self.version} cannot load {where}: {error}") from error
        self._net = net
        self._net.to(device).eval()

    def _write(self, prompt: str, temperature: float, top_p: float, seed: int, max_tokens: int) -> tuple[str, int, int]:
        """Return the text, and the tokens of prompt and text."""
        import torch
        from transformers import GenerationConfig

        ids = torch.tensor([encode(self._tokenizer, prompt)], device=self._net.device)
        torch.manual_seed(seed)
        # complete, so that nothing of the model's own generation_config is taken
        config: Any = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=max_tokens,
            do_sample=temperature > 0,
            temperature=temperature or None,
            top_p=top_p if temperature > 0 else None,
            top_k=0 if temperature > 0 else None,
            eos_token_id=self._tokenizer.eos_token_id,
            bos_token_id=self._tokenizer.bos_token_id,
            pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
        )
        with torch.inference_mode():
            out = self._net.generate(ids, attention_mask=torch.ones_like(ids), generation_config=config)
        new = out[0, ids.shape[1] :]
        text = self._tokenizer.decode(new, skip_special_tokens=True)
        return text, ids.shape[1], len(new)
