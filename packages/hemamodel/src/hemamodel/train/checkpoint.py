"""Weights and optimiser on disk, as safetensors: nothing is pickled, nothing half-written is ever read."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from hemadata.atomic import publish, temporary_name
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hemamodel.errors import WeightsError
from hemamodel.train.average import Average

MODEL, OPTIMISER, AVERAGE = "model.safetensors", "optimiser.safetensors", "average.safetensors"


def save_weights(model: nn.Module, path: Path) -> None:
    """Write all tensors of a model, atomically."""
    _write({name: tensor.detach().contiguous() for name, tensor in _tensors(model).items()}, path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """All tensors of a file.

    Raises:
        WeightsError: the file is damaged.
    """
    return _read(path)


def check_weights(path: Path) -> None:
    """Look whether a file is there, whole and of tensors, by its head and its length.

    Raises:
        WeightsError: it is not.
    """
    try:
        with safe_open(path, "pt"):
            pass
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read: {error}.") from error


def load_weights(model: nn.Module, path: Path, stored: Mapping[str, Tensor] | None = None) -> None:
    """Read all tensors of a model.

    Args:
        model: changed in place.
        path: file, for the message too.
        stored: its tensors, where they have been read and changed already.

    Raises:
        WeightsError: the file is damaged, or names or shapes are not those of the model.
    """
    stored, wanted = _read(path) if stored is None else stored, _tensors(model)
    odd = [
        f"{name}: {'missing' if name not in stored else f'{list(stored[name].shape)} instead of {list(tensor.shape)}'}"
        for name, tensor in wanted.items()
        if name not in stored or stored[name].shape != tensor.shape
    ]
    odd += [f"{name}: not in the model" for name in stored if name not in wanted]
    if odd:
        raise WeightsError(
            f"{path} does not fit the model: {len(odd)} tensors differ, as {'; '.join(odd[:3])}. It was made "
            f"with other settings; see settings.json beside it."
        )
    model.load_state_dict(stored, strict=False)  # the other names of shared tensors are not stored


def save_checkpoint(
    folder: Path, step: int, model: nn.Module, optimiser: torch.optim.Optimizer, average: Average | None = None
) -> None:
    """Write `checkpoint-<step>` below a run, then forget the older ones.

    Raises:
        WeightsError: it cannot be written; the one before is left as it is.
    """
    path = folder / f"checkpoint-{step:06}"
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_weights(model, temporary / MODEL)
        _write(_state(model, optimiser), temporary / OPTIMISER)
        if average:
            _write(average.tensors, temporary / AVERAGE)
    except BaseException:  # a full disk should not stay full of what nobody reads
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if path.exists():
        shutil.rmtree(path)
    temporary.replace(path)
    forget_checkpoints(folder, keep=step)


def forget_checkpoints(folder: Path, keep: int | None = None) -> None:
    """Delete the checkpoints of a run, but the one of step `keep`."""
    for step, path in _checkpoints(folder).items():
        if step != keep:
            shutil.rmtree(path)
    for path in folder.glob(".checkpoint-*.tmp"):
        shutil.rmtree(path)


def load_checkpoint(
    folder: Path, model: nn.Module, optimiser: torch.optim.Optimizer, average: Average | None = None
) -> int:
    """Read the latest checkpoint of a run.

    Returns:
        Steps done; 0 where there is no checkpoint, and nothing is changed.

    Raises:
        WeightsError: it is damaged, or does not fit.
    """
    found = _checkpoints(folder)
    if not found:
        return 0
    step = max(found)
    for name in (MODEL, OPTIMISER, *([AVERAGE] if average else [])):
        try:
            check_weights(found[step] / name)
        except WeightsError as error:
            raise WeightsError(f"{error} Nothing goes on from it: --fresh starts a run beside it.") from error
    load_weights(model, found[step] / MODEL)
    if average:
        average.load(_read(found[step] / AVERAGE))
    stored = _read(found[step] / OPTIMISER)
    for name, parameter in _named(model, optimiser):
        values = {
            key: stored[f"{name}/{key}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{name}/{key}" in stored
        }
        if values:
            optimiser.state[parameter].update({key: value.to(parameter.device) for key, value in values.items()})
    return step


def load_latest(folder: Path, model: nn.Module) -> None:
    """Read what the last checkpoint of a run would hand on: the running mean where there is one, else the weights.

    Raises:
        WeightsError: there is no checkpoint, or it does not fit.
    """
    found = _checkpoints(folder)
    if not found:
        raise WeightsError(f"{folder} has no checkpoint yet: the first comes with the end of its first epoch.")
    path = found[max(found)]
    mean = _read(path / AVERAGE) if (path / AVERAGE).exists() else {}
    load_weights(model, path / MODEL, _read(path / MODEL) | mean)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor once: T5 has its embedding under three names."""
    shared = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    shared -= {name for name, _ in model.named_parameters()}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in shared}


def _checkpoints(folder: Path) -> dict[int, Path]:
    return {
        int(m[1]): path for path in folder.glob("checkpoint-*") if (m := re.fullmatch(r"checkpoint-(\d+)", path.name))
    }


def _named(model: nn.Module, optimiser: torch.optim.Optimizer) -> list[tuple[str, nn.Parameter]]:
    mine = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
    return [(name, parameter) for name, parameter in model.named_parameters() if id(parameter) in mine]


def _state(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}/{key}": value.detach().contiguous()
        for name, parameter in _named(model, optimiser)
        for key, value in optimiser.state[parameter].items()
    }


def _write(tensors: Mapping[str, Tensor], path: Path) -> None:
    temporary = temporary_name(path)
    try:
        temporary.touch()
        rights = temporary.stat().st_mode  # of a new file here; safetensors would shut out everybody else
        save_file(dict(tensors), temporary)
        temporary.chmod(rights)
        publish({temporary: path})
    except (OSError, SafetensorError) as error:  # no room, as a rule
        temporary.unlink(missing_ok=True)
        raise WeightsError(f"{path} cannot be written: {error}. What was saved before is kept.") from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} cannot be read: {error}") from error
