"""From `--engine`, `--model` and `--base-url` to an engine, or to two lines on what is missing."""

from importlib.util import find_spec

from hemasynth.engines.base import Engine
from hemasynth.errors import EngineMissingError

ALIASES = {"BioMistral-7B": "BioMistral/BioMistral-7B", "BioMistral-7B-SLERP": "BioMistral/BioMistral-7B-SLERP"}
ENGINES = ("auto", "template", "endpoint")


def choose(engine: str, model: str, base_url: str | None) -> Engine:
    """Return the engine that the options name.

    Args:
        engine: one of `ENGINES`; "auto" takes the endpoint when `base_url` is given, and never the templates.
        model: an alias, or the name under which a server knows the model.
        base_url: address of an OpenAI-compatible server.

    Raises:
        EngineMissingError: nothing here can run the model; the message says how to get it.
    """
    repository = ALIASES.get(model, model)
    if engine == "template":
        from hemasynth.engines.template import TemplateEngine

        return TemplateEngine()
    if engine == "endpoint" or base_url is not None:
        from hemasynth.engines.endpoint import DEFAULT_URL, EndpointEngine

        return EndpointEngine(repository, base_url or DEFAULT_URL)
    here = "vllm is installed but not serving" if find_spec("vllm") else "vllm is not installed here"
    raise EngineMissingError(
        f"{model} needs a model server: no --base-url is given, and {here}.\n"
        f"On a machine with a GPU: pip install vllm && vllm serve {repository}   then give "
        "--base-url http://HOST:8000/v1; or try without a model: hemasynth vqa --engine template"
    )
