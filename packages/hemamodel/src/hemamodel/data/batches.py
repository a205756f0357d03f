"""Which samples make a batch: positions of an endless stream for training, groups of one size for evaluation."""

from collections.abc import Iterator, Mapping, Sequence

from torch.utils.data import DataLoader, Sampler

from hemamodel.data.collate import collate, padded
from hemamodel.data.dataset import CorpusDataset, TrainingStream
from hemamodel.data.transforms import Sample


class Positions(Sampler[list[int]]):
    """Batches of positions for one rank, from any step on: step t of rank r is a fixed stretch of the stream.

    A step comes in `parts` batches, one after the other.

    Args:
        batch: samples per step on all ranks together.
        first_step: step to start with; after a resume the number of steps done.
        last_step: step to stop before.
        rank: of this process.
        world: number of processes.
        parts: batches that make a step of one process; `world * parts` divides `batch`.
    """

    def __init__(
        self, batch: int, first_step: int, last_step: int, rank: int = 0, world: int = 1, parts: int = 1
    ) -> None:
        if batch % (world * parts):
            raise ValueError(f"a batch of {batch} does not divide among {world} processes in {parts} parts")
        self.batch, self.steps, self.rank, self.world = batch, range(first_step, last_step), rank, world
        self.parts = parts

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.steps) * self.parts

    def __iter__(self) -> Iterator[list[int]]:
        """Positions of one batch after the other."""
        share = self.batch // (self.world * self.parts)
        for step in self.steps:
            for part in range(self.parts):
                start = step * self.batch + (self.rank * self.parts + part) * share
                yield list(range(start, start + share))


def training_loader(
    stream: TrainingStream, positions: Positions, workers: int = 0, pin: bool = False
) -> DataLoader[Sample]:
    """Batches of a stream; the number of workers changes nothing but the speed."""
    return DataLoader(stream, batch_sampler=positions, num_workers=workers, collate_fn=collate, pin_memory=pin)


def evaluation_loader(dataset: CorpusDataset, batch: int, workers: int = 0, pin: bool = False) -> DataLoader[Sample]:
    """All samples of a dataset once. Only equal padded sizes share a batch: no result depends on its neighbours."""
    groups: Sequence[list[int]] = by_padded_size(dataset, batch)
    return DataLoader(dataset, batch_sampler=groups, num_workers=workers, collate_fn=collate, pin_memory=pin)


def by_padded_size(dataset: CorpusDataset, batch: int) -> list[list[int]]:
    """Indices in groups of at most `batch`, each of one padded size, in corpus order within a size."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index in range(len(dataset)):
        groups.setdefault(_padded_size(dataset, dataset.record(index)), []).append(index)
    return [found[i : i + batch] for _, found in sorted(groups.items()) for i in range(0, len(found), batch)]


def _padded_size(dataset: CorpusDataset, record: Mapping[str, int]) -> tuple[int, int]:
    height, width = record["height"], record["width"]
    if dataset.transform is not None:
        height, width = dataset.transform.fitted(height, width, dataset.transform.sizes[0])
    return padded(height), padded(width)
