"""The one progress line of training. Everything else is printed as hemadata prints it."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def training_line(quiet: bool = False) -> Iterator[Callable[[int, int, Mapping[str, float]], None] | None]:
    """A bar with loss, rate and speed on standard error when it is a terminal, else None."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("steps  {task.description}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)

        def update(step: int, steps: int, numbers: Mapping[str, float]) -> None:
            text = (
                f"loss {numbers['loss']:.4g}  rate {numbers['lr']:.2g}  "
                f"{numbers['samples_per_second']:.3g} images/s  {numbers['memory_gb']:.3g} GB"
            )
            bar.update(task, completed=step, total=steps, description=text)

        yield update
