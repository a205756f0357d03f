"""What training tells: `log.jsonl`, the same for TensorBoard, and the numbers of the progress line."""

import json
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from hemadata.atomic import write_text
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

EVERY = 10  # steps


class Log:
    """A line every few steps, the means since the line before.

    Args:
        folder: of the run.
        first: steps done; what the log says of later ones is done again.
        device: whose memory is told.
    """

    def __init__(self, folder: Path, first: int, device: torch.device) -> None:
        path = folder / "log.jsonl"
        kept = [line for line in path.read_text().splitlines() if _step_of(line) <= first] if path.exists() else []
        write_text(path, "".join(f"{line}\n" for line in kept))
        self._file = path.open("a", buffering=1)
        self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=first + 1)  # type: ignore[no-untyped-call]
        self._device = device
        self._sums: dict[str, Tensor] = {}
        self._count, self._since = 0, time.monotonic()
        self._latest: dict[str, float] = {}

    def add(self, step: int, rate: float, samples: int, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Take the terms of a step; returns the numbers of the last line."""
        for name, term in terms.items():
            self._sums[name] = self._sums[name] + term if name in self._sums else term
        self._count += 1
        if step % EVERY == 0 or not self._latest:
            means = {name: (total / self._count).item() for name, total in self._sums.items()}
            seconds = time.monotonic() - self._since
            self._latest = {
                "step": step,
                "loss": sum(means.values()),
                "lr": rate,
                "samples_per_second": samples * self._count / seconds,
                "memory_gb": peak_memory(self._device) / 1e9,
                **means,
            }
            self._file.write(json.dumps({name: _short(value) for name, value in self._latest.items()}) + "\n")
            for name, value in self._latest.items():
                if name != "step":
                    self._board.add_scalar(name, value, step)  # type: ignore[no-untyped-call]
            self._sums, self._count, self._since = {}, 0, time.monotonic()
        return self._latest

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        self._board.close()  # type: ignore[no-untyped-call]


def peak_memory(device: torch.device) -> int:
    """Most bytes held so far: of tensors on a GPU, of the whole process on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that was cut by a kill
        return float("inf")
