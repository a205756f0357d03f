"""vLLM inside this process: the whole plan is given to its scheduler, and every answer is held to its schema."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from hemasynth.engines import canary
from hemasynth.engines.base import Reply, Request
from hemasynth.engines.chat import encode
from hemasynth.engines.models import Model
from hemasynth.errors import EngineError, EngineMissingError

SHARD = 2048  # requests in one call: enough to keep a GPU full, few enough to lose little when the machine goes down


class VllmEngine:
    """Loads a model with vLLM and answers requests in batches.

    Prompts share their beginning, which vLLM keeps in its prefix cache; each request has its own seed.

    Args:
        model: what is loaded.
        max_model_len: tokens of prompt and answer together; the prompts of hemasynth take less than 1,000.
        options: further arguments of `vllm.LLM`, such as `gpu_memory_utilization`.
    """

    name = "vllm"
    needs_prompt = True
    constraint = "schema"

    def __init__(self, model: Model, max_model_len: int = 2048, **options: Any) -> None:
        self._given, self._max_model_len = model, max_model_len
        self.model, self.revision, self.weights = model.name, model.revision, model.weights
        self._options = options
        self._llm: Any = None
        self.version = ""

    def start(self) -> None:
        """Load the model and send it the canary.

        Raises:
            EngineMissingError: vLLM is not installed, or the model cannot be loaded.
            EngineError: answers are not held to the schema.
        """
        if self._llm is None:
            self._load()
        request = {"temperature": 0.0, "top_p": 1.0, "seed": 0, "max_tokens": canary.MAX_TOKENS}
        (output,) = self._run([canary.QUESTION], [self._sampling(canary.SCHEMA, **request)])
        text = output.outputs[0].text
        if not canary.obeyed(text):
            raise EngineError(
                f"vLLM {self.version} does not hold {self.model} to a JSON schema: asked for {canary.WORD!r}, "
                f"it wrote {text[:60]!r}.\nUse vLLM 0.30 or newer, with xgrammar."
            )

    def generate(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """Yield the replies of one shard after the other, in the order of the requests."""
        if self._llm is None:
            self._load()
        waiting = iter(requests)
        while shard := list(islice(waiting, SHARD)):
            params = [
                self._sampling(r.schema, temperature=r.temperature, top_p=r.top_p, seed=r.seed, max_tokens=r.max_tokens)
                for r in shard
            ]
            outputs = self._run([request.prompt for request in shard], params)
            for request, output in zip(shard, outputs, strict=True):
                answer = output.outputs[0]
                yield Reply(
                    request,
                    answer.text,
                    answer.finish_reason or "stop",
                    self.model,
                    len(output.prompt_token_ids),
                    len(answer.token_ids),
                    output.num_cached_tokens or 0,
                )

    def _load(self) -> None:
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # nothing about a run leaves the machine
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        try:
            import vllm
        except ImportError as error:
            raise EngineMissingError(
                f"vLLM cannot be imported here ({error}).\n"
                "On a machine with a GPU: pip install vllm; or give --base-url of a server; "
                "or try without a model: --engine template"
            ) from error
        self.version = vllm.__version__
        try:
            arguments = {
                "revision": self.revision,
                "tokenizer_revision": self.revision,
                "tokenizer_mode": "hf",  # "auto" may change the tokenizer, and with it every prompt
                "dtype": "bfloat16",
                "max_model_len": self._max_model_len,
                "seed": 0,
                "enable_prefix_caching": True,
                "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
            }
            self._llm = vllm.LLM(self._given.where, **{**arguments, **self._options})
        except (OSError, ValueError, RuntimeError) as error:  # no such model, too little memory, no GPU
            raise EngineMissingError(f"vLLM {self.version} cannot load {self._given.where}: {error}") from error

    def _sampling(self, schema: dict[str, Any], **values: Any) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        constraint = StructuredOutputsParams(json=schema)
        return SamplingParams(**values, structured_outputs=constraint, output_kind=RequestOutputKind.FINAL_ONLY)

    def _run(self, prompts: Sequence[str], params: Sequence[Any]) -> list[Any]:
        tokenizer = self._llm.get_tokenizer()
        ids = [encode(tokenizer, prompt) for prompt in prompts]
        for tokens, each in zip(ids, params, strict=True):
            if len(tokens) + each.max_tokens > self._max_model_len:  # vLLM would refuse the whole call
                raise EngineError(
                    f"A prompt has {len(tokens)} tokens for {self.model}, and with {each.max_tokens} for the answer "
                    f"that is more than the window of {self._max_model_len}."
                )
        outputs: list[Any] = self._llm.generate(
            [{"prompt_token_ids": tokens} for tokens in ids], list(params), use_tqdm=False
        )
        return outputs
