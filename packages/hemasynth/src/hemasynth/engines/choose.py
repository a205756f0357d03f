"""From the options of the command line to an engine, or to two lines on what is missing."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hemadata.errors import UsageError

from hemasynth.engines.base import Engine
from hemasynth.engines.models import ALIASES, resolve
from hemasynth.errors import EngineMissingError

__all__ = ["ALIASES", "ENGINES", "choose", "gpu"]

ENGINES = ("auto", "vllm", "endpoint", "hf", "template", "replay")


def choose(
    engine: str,
    model: str,
    base_url: str | None = None,
    *,
    revision: str | None = None,
    journal: Path | None = None,
    slots: int = 64,
    options: dict[str, Any] | None = None,
    task: str = "vqa",
) -> Engine:
    """Return the engine that the options name.

    Args:
        engine: one of `ENGINES`. "auto" takes the server of `base_url` where one is given, else vLLM where it and a GPU
            are there, and never the templates.
        model: an alias, `organisation/repository`, a folder, or the name under which a server knows the model.
        base_url: address of an OpenAI-compatible server, up to and with `/v1`.
        revision: commit of the model's repository, in place of the pinned one.
        journal: what "replay" reads.
        slots: requests in flight at a time at a server.
        options: further arguments of `vllm.LLM`.
        task: "vqa" or "mlm"; each has templates of its own.

    Raises:
        EngineMissingError: nothing here can run the model; the message says how to get it.
        UsageError: no such engine or model, or options that do not go together.
    """
    if engine not in ENGINES:
        raise UsageError(f'No engine is called "{engine}". There are {", ".join(ENGINES)}.')
    if base_url is not None and engine not in ("auto", "endpoint"):
        raise UsageError(f"--base-url goes with --engine endpoint, not with {engine}.")
    if engine == "template" and task == "mlm":
        from hemasynth.mlm.template import MlmTemplates

        return MlmTemplates()
    if engine == "template":
        from hemasynth.engines.template import TemplateEngine

        return TemplateEngine()
    if engine == "replay":
        from hemasynth.engines.replay import ReplayEngine

        if journal is None:
            raise UsageError("--engine replay needs the journal of an earlier run: --journal FILE")
        return ReplayEngine(journal)
    if engine == "endpoint" or base_url is not None:
        from hemasynth.engines.endpoint import DEFAULT_URL, EndpointEngine

        found = resolve(model, revision, served=True)
        endpoint = EndpointEngine(found.where, base_url or DEFAULT_URL, slots=slots)
        endpoint.revision = found.revision
        return endpoint
    if engine == "hf":
        from hemasynth.engines.hf import HfEngine

        return HfEngine(resolve(model, revision))
    if engine == "vllm" or (find_spec("vllm") is not None and gpu()):
        from hemasynth.engines.vllm import VllmEngine

        return VllmEngine(resolve(model, revision), **(options or {}))
    found = resolve(model, revision)
    here = "vLLM is installed but sees no GPU" if find_spec("vllm") else "vLLM is not installed here"
    raise EngineMissingError(
        f"{model} needs a model server: no --base-url is given, and {here}.\n"
        f"On a machine with a GPU: pip install vllm && vllm serve {found.where}   then give "
        f"--base-url http://HOST:8000/v1; or try without a model: hemasynth {task} --engine template"
    )


def gpu() -> bool:
    """Tell whether there is a GPU that vLLM can use."""
    if not any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")):
        return False  # no need to import torch
    import torch

    return bool(torch.cuda.is_available())
