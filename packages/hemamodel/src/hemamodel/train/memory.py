"""What a step needs: the most memory that tensors hold at one time, on any device."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Peak:
    """Most bytes that tensors held."""

    bytes: int = 0


@contextmanager
def peak(device: torch.device) -> Iterator[Peak]:
    """Watch the memory of tensors; what was there before counts when it is used.

    On a GPU the allocator counts. On the CPU every tensor that an operation makes is watched until it is gone: the
    numbers are those of the same step on a GPU, but for the workspace of its kernels. On `meta`, tensors have a shape
    and no numbers: the same count, without the memory and the time.
    """
    found = Peak()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        yield found
        torch.cuda.synchronize(device)
        found.bytes = torch.cuda.max_memory_allocated(device)
        return
    with _Watch(found):
        yield found


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that are alive."""

    def __init__(self, found: Peak) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found, self._now = found, 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, result)):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return result

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self._alive:
            return

        def gone(_: Any) -> None:
            if self._alive.pop(place, None) is not None:
                self._now -= size

        self._alive[place] = weakref.ref(storage, gone)
        self._now += size
        self._found.bytes = max(self._found.bytes, self._now)
