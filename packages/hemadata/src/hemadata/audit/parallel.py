"""Work on many pictures by several processes; results come in the order of the tasks, whatever the number of jobs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, islice
from types import TracebackType
from typing import TypeVar, cast

from hemadata.build.executors import Executor, executor

Item = TypeVar("Item")
Task = TypeVar("Task")
Result = TypeVar("Result")
AHEAD = 3  # tasks for each worker that are begun before the first of them is asked for


class Workers:
    """Processes that are started when they are first of use. Use as a context.

    Args:
        jobs: how many; with 1, everything is done in this process.
    """

    def __init__(self, jobs: int = 1) -> None:
        self.jobs = jobs
        self._executor: Executor | None = None

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result]:
        """Results in the order of the tasks; a few tasks are begun ahead, so that memory stays bounded.

        Args:
            function: of a module, as are its tasks and results: they travel between processes.
            tasks: one alone is done in this process.

        Raises:
            HemaError: a worker was killed.
        """
        numbered = enumerate(tasks)
        first = list(islice(numbered, max(2, AHEAD * self.jobs)))
        if self.jobs <= 1 or len(first) < 2:
            for _, task in chain(first, numbered):
                yield function(task)
            return
        self._executor = workers = self._executor or executor(self.jobs)
        numbered_function = partial(_numbered, function)
        for entry in first:
            workers.submit(numbered_function, entry)
        finished: dict[int, Result] = {}
        due = 0
        for done in workers.wait():
            number, result = cast(tuple[int, Result], done)
            finished[number] = result
            while due in finished:
                for entry in islice(numbered, 1):
                    workers.submit(numbered_function, entry)
                yield finished.pop(due)
                due += 1

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._executor:
            self._executor.cancel()
            self._executor = None


def in_parts(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Items, so many at a time."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _numbered(function: Callable[[Task], Result], entry: tuple[int, Task]) -> tuple[int, Result]:
    return entry[0], function(entry[1])
