"""Who does the units: this process, or several. Three functions: submit, wait, cancel."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Protocol, TypeVar

from hemadata.errors import HemaError

Task = TypeVar("Task")
Result = TypeVar("Result")


class Executor(Protocol):
    """What the engine asks of an executor; every unit is safe to do again.

    Tasks may be submitted while results are waited for, so that only as many as `room` need be made at a time.
    """

    room: int

    def submit(self, function: Callable[[Task], Result], task: Task) -> None:
        """Take a task on."""

    def wait(self) -> Iterator[object]:
        """Results of the tasks taken on, in the order in which they finish."""

    def cancel(self) -> None:
        """Drop what has not begun and let go of the workers."""


class Serial:
    """Everything in this process, one after the other."""

    room = 1

    def __init__(self) -> None:
        self._tasks: list[Callable[[], object]] = []

    def submit(self, function: Callable[[Task], Result], task: Task) -> None:
        """Take a task on; it is done when waited for."""
        self._tasks.append(lambda: function(task))

    def wait(self) -> Iterator[object]:
        """Do the tasks, in order."""
        while self._tasks:
            yield self._tasks.pop(0)()

    def cancel(self) -> None:
        """Drop what has not begun."""
        self._tasks.clear()


class Processes:
    """Local worker processes, spawned: a fork of a process with threads may hang."""

    def __init__(self, jobs: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_end_with_parent)
        self._futures: set[Future[object]] = set()
        self.room = jobs + 1  # one waits, so that no worker does

    def submit(self, function: Callable[[Task], Result], task: Task) -> None:
        """Take a task on."""
        self._futures.add(self._pool.submit(function, task))  # type: ignore[arg-type]

    def wait(self) -> Iterator[object]:
        """Results as they come.

        Raises:
            HemaError: a worker was killed; what was finished is kept, and the next run goes on from there.
        """
        from concurrent.futures.process import BrokenProcessPool

        while self._futures:
            done, self._futures = wait(self._futures, return_when=FIRST_COMPLETED)
            while done:  # the results, once read, need not be held
                future = done.pop()
                try:
                    yield future.result()
                except BrokenProcessPool as error:
                    raise HemaError(
                        "A worker process was killed, most often by the system for want of memory. "
                        "Run the same command again, with fewer --jobs; units that a build has finished are kept."
                    ) from error

    def cancel(self) -> None:
        """Drop what has not begun and stop the workers."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for ever: end with it."""
    parent = multiprocessing.parent_process()
    assert parent

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def executor(jobs: int) -> Executor:
    """The executor for that many jobs."""
    return Serial() if jobs <= 1 else Processes(jobs)


def default_jobs() -> int:
    """As many workers as cores this process may use, and one for each 400 MB of memory."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(cores, memory // (400 << 20)))
