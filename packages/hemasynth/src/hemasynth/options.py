"""Options that several commands share."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from hemadata.errors import UsageError

ENGINE = Annotated[
    str, typer.Option(help="auto, vllm, endpoint, hf, template or replay. auto never takes the templates.")
]
MODEL = Annotated[str, typer.Option(help="Alias, organisation/repository, folder, or the name that the server knows.")]
REVISION = Annotated[str | None, typer.Option(help="Commit of the model's repository; an alias has one.")]
BASE_URL = Annotated[str | None, typer.Option(help="An OpenAI-compatible server, up to and with /v1.")]
JOURNAL = Annotated[Path | None, typer.Option(help="Journal of an earlier run, for --engine replay.")]
SLOTS = Annotated[int, typer.Option(min=1, help="Requests in flight at a time at a server.")]
ENGINE_ARGS = Annotated[str | None, typer.Option(help="JSON of further arguments of vllm.LLM, for --engine vllm.")]
SHARD = Annotated[str, typer.Option(help="K/N: write only the k-th of n parts, beside the others.")]
SEED = Annotated[int, typer.Option(help="Of the plan and of every request.")]
TIMES = Annotated[int, typer.Option(min=1, max=4, help="So many times the paper's pairs per cell, for a few cells.")]


def read_shard(text: str) -> tuple[int, int]:
    """Return k and n of "k/n"."""
    k, _, n = text.partition("/")
    if not (k.isdecimal() and n.isdecimal() and 1 <= int(k) <= int(n)):
        raise UsageError(f"--shard is {text!r}; expected K/N with K from 1 to N, such as 1/4.")
    return int(k), int(n)


def read_options(text: str | None) -> dict[str, Any]:
    """Return the arguments of vLLM that a user adds."""
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise UsageError(f"--engine-args is no JSON ({error}).") from error
    if not isinstance(found, dict):
        raise UsageError('--engine-args: expected a JSON object, such as {"gpu_memory_utilization": 0.8}.')
    return found
