"""Units on a Ray cluster: submit, wait, cancel. Nodes share the raw data and the output folder; that is checked first.

Ray is imported when a cluster is asked for. A unit whose node is lost is done again elsewhere, at most so often.
"""

import logging
import os
import platform
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hemadata.build.sight import Sight
from hemadata.errors import HemaError, UsageError

Task = TypeVar("Task")
Result = TypeVar("Result")

ROOM = 64  # units that are made and sent before the first one is done, at least
RETRIES = 3  # of a unit whose process or node is lost
PATIENCE = 60.0  # seconds without any node that could do a unit
TICK = 0.5  # seconds between two looks at what is done
GLANCE = 120.0  # seconds for a node to say what it sees


class Cluster:
    """Workers on all nodes of a Ray cluster.

    Args:
        address: of the head, e.g. `10.0.0.1:6379`; None: $RAY_ADDRESS, the cluster that this machine is part of, or
            else one that is started here.
        jobs: units at once; 0: as many as the cluster has processors.
        sight: what every node must see.

    Raises:
        UsageError: Ray is not installed, or no cluster answers.
        HemaError: a node does not see what it must.
    """

    def __init__(self, address: str | None, jobs: int, sight: Sight) -> None:
        self._ray, self._is_mine = _connected(address)
        self._jobs, self._sight = jobs, sight
        self._waiting: deque[tuple[Callable[[Any], object], object]] = deque()
        self._running: dict[Any, None] = {}
        self._do = self._ray.remote(num_cpus=1, max_retries=RETRIES)(_do)
        self._look()
        self.room = max(ROOM, 2 * jobs, 2 * int(self._ray.cluster_resources().get("CPU", 0)))

    def submit(self, function: Callable[[Task], Result], task: Task) -> None:
        """Take a task on."""
        self._waiting.append((function, task))

    def wait(self) -> Iterator[object]:
        """Results as they come.

        Raises:
            HemaError: a unit was lost too often, or no node is left; what was finished is kept.
        """
        without = 0.0
        while self._waiting or self._running:
            while self._waiting and (not self._jobs or len(self._running) < self._jobs):
                self._running[self._do.remote(*self._waiting.popleft(), self._sight)] = None
            with _undisturbed():
                done, _ = self._ray.wait(list(self._running), num_returns=1, timeout=TICK)
                without = 0.0 if done or self._nodes() else without + TICK
            if without >= PATIENCE:
                raise HemaError("No node of the cluster is left. Finished units are kept: run the same command again.")
            for reference in done:
                del self._running[reference]
                with _undisturbed():
                    result = self._result(reference)
                yield result

    def cancel(self) -> None:
        """Drop what has not begun and stop what runs; a unit that is stopped leaves nothing that looks finished.

        A connection made here is closed, which ends its units: `ray.cancel` may meet a unit that just ends, and then
        brings this process down. In a connection that was there before, what runs comes to its end unheard.
        """
        self._waiting.clear()
        self._running.clear()
        with _undisturbed():
            if self._is_mine:
                self._ray.shutdown()
        self._sight.close()

    def _result(self, reference: Any) -> object:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:  # the unit's own error, as the other executors raise it
            cause = error.cause
            raise (cause if isinstance(cause, Exception) else error) from None
        except errors.RayError as error:
            first = str(error).strip().partition("\n")[0]
            raise HemaError(
                f"A unit was lost {RETRIES + 1} times with its process or its node ({type(error).__name__}: {first}). "
                "Finished units are kept: run the same command again, on nodes with more memory or with fewer --jobs."
            ) from error

    def _nodes(self) -> list[dict[str, Any]]:
        """Nodes that can do units; a head without processors is none."""
        return [node for node in self._ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]

    def _look(self) -> None:
        """Ask every node what it sees.

        Raises:
            HemaError: one does not see what it must, none is there, or one gives no answer.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if not (nodes := self._nodes()):
            raise HemaError("The cluster has no node with a processor: start one (ray start --address HEAD:PORT).")
        asked = {}
        for node in nodes:
            here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ask = self._ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=here)(_look)
            asked[node["NodeID"]] = ask.remote(self._sight, node["NodeID"])
        _, late = self._ray.wait(list(asked.values()), num_returns=len(asked), timeout=GLANCE)
        names = {node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})" for node in nodes}
        errors, there = self._ray.exceptions, 0
        for number, reference in asked.items():
            if reference in late:
                raise HemaError(f"Node {names[number]} gave no answer for {GLANCE:g} s. Look at it: ray status")
            try:
                complaint = self._ray.get(reference) or self._sight.answered(number)
                there += 1
            except (errors.TaskUnschedulableError, errors.NodeDiedError):
                continue  # lost since: the cluster lists a node for some seconds after its end
            except errors.RayError as error:
                first = str(error).strip().splitlines()[-1]
                complaint = f"cannot run hemadata ({first}). Install the same environment on every node."
            if complaint:
                raise HemaError(f"Node {names[number]} {complaint}")
        if not there:
            raise HemaError("No node of the cluster is left. Look at it: ray status")


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until Ray has returned; inside its calls it can bring the process down."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = list[int]()
    before = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _connected(address: str | None) -> tuple[Any, bool]:
    """Ray, and whether the connection was made here."""
    # Under `uv run` Ray would ship the working folder and start each worker through uv: another installation than the
    # one that the nodes share, and that `Sight` compares.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise UsageError("--executor ray needs Ray: pip install 'hemadata[ray]'") from error
    is_mine = not ray.is_initialized()
    if is_mine:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UsageError(
                f"No Ray cluster answers at {address or 'the address in RAY_ADDRESS'} ({first}). Start one: ray start "
                "--head; see docs/cluster.md."
            ) from error
    return ray, is_mine


def _look(sight: Sight, node: str) -> str:
    return sight.complaint() or sight.answer(node)


def _do(function: Callable[[Any], object], task: object, sight: Sight) -> object:
    """Do a unit where the shared folders are seen; a node that came later was never asked."""
    if complaint := sight.complaint():
        raise HemaError(f"Node {platform.node()} {complaint}")
    return function(task)
