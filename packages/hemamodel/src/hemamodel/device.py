"""Where a model runs."""

import torch

from hemamodel.errors import UsageError


def device_of(name: str | None = None) -> torch.device:
    """The device of a name; None: a GPU if there is one.

    Args:
        name: cpu, cuda, cuda:1, mps, ...

    Raises:
        UsageError: torch knows no such device, or this machine has none.
    """
    chosen = name or ("cuda" if torch.cuda.is_available() else "cpu")
    device: torch.device | None = None
    try:
        device = torch.device(chosen)
        if device.type == "meta":  # a device without numbers
            device = None
        elif device.type != "cuda":  # which would take memory of a GPU that may be another process' own
            torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):  # each backend raises its own
        device = None
    gpus = torch.cuda.device_count()
    if device is None or (device.type == "cuda" and (device.index or 0) >= gpus):
        known = ", ".join(["cpu", *(f"cuda:{number}" for number in range(gpus))])
        raise UsageError(f"--device {chosen}: there is none here; there is {known}. Without it a GPU is taken if any.")
    return device
