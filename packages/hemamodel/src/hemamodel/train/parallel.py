"""Several processes on one run, started by `torchrun`: each reads its part of a batch, gradients are added up."""

import atexit
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from hemamodel.device import device_of
from hemamodel.errors import UsageError

BUCKET = 2**25  # numbers added up in one call


@dataclass(frozen=True)
class World:
    """This process among all of the run.

    Attributes:
        rank: its number.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and tells."""
        return self.rank == 0

    def gather(self, numbers: Sequence[int]) -> list[list[int]]:
        """Everybody's numbers, by rank."""
        if self.size == 1:
            return [list(numbers)]
        mine = torch.tensor(numbers)  # on the host: these counts are needed there
        rows = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(rows, mine)
        return [row.tolist() for row in rows]

    def others(self, numbers: Sequence[int]) -> list[list[int]]:
        """The numbers of the other ranks."""
        return [row for rank, row in enumerate(self.gather(numbers)) if rank != self.rank]

    def agree(self, text: str | None) -> str:
        """What rank 0 says."""
        if self.size == 1:
            assert text is not None
            return text
        data = (text or "").encode()
        length = self.gather([len(data)])[0][0]
        said = torch.tensor(list(data.ljust(length)[:length]), dtype=torch.uint8)
        dist.broadcast(said, 0)
        return bytes(said.tolist()).decode()

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Sum the gradients over the ranks. A parameter that no rank has reached keeps none."""
        if self.size == 1:
            return
        every = list(parameters)
        reached = self.gather([int(parameter.grad is not None) for parameter in every])
        wanted = [parameter for parameter, each in zip(every, zip(*reached, strict=True), strict=True) if any(each)]
        for parameter in wanted:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for bucket in _buckets([parameter.grad for parameter in wanted if parameter.grad is not None]):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            dist.all_reduce(flat)
            for gradient, part in zip(bucket, torch.split(flat, [each.numel() for each in bucket]), strict=True):
                gradient.copy_(part.view_as(gradient))


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    bucket: list[Tensor] = []
    for gradient in gradients:
        bucket.append(gradient)
        if sum(each.numel() for each in bucket) >= BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket


def tells() -> bool:
    """Whether this process speaks to the user: of those that `torchrun` started, the first alone."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def world(device: str | None) -> tuple[World, torch.device]:
    """The processes that `torchrun` started, or this one alone, and the device of this one.

    Args:
        device: cpu, cuda, cuda:1, ...; None: a GPU if there is one.

    Raises:
        UsageError: there is no such device, or there are more processes on this machine than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    found = device_of(device)
    if size == 1:
        return World(), found
    local, on_gpu = int(os.environ["LOCAL_RANK"]), found.type == "cuda"
    if on_gpu and local >= torch.cuda.device_count():
        raise UsageError(
            f"Process {local} of this machine has no GPU of its own; it has {torch.cuda.device_count()}. "
            f"torchrun --nproc-per-node {torch.cuda.device_count()}, or --device cpu."
        )
    place = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(place)
    if not dist.is_initialized():  # once a process: leaving a group and joining it again may wait for ever
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
        atexit.register(dist.destroy_process_group)
    return World(dist.get_rank(), dist.get_world_size()), place
