"""Work by several processes: results in the order of the tasks, few tasks ahead, nothing left running."""

from collections.abc import Iterator
from operator import neg

import pytest
from hemadata.audit import parallel
from hemadata.audit.parallel import AHEAD, Workers, in_parts


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_and_tasks_are_not_all_begun(jobs: int) -> None:
    begun = []

    def tasks() -> Iterator[int]:
        for number in range(20):
            begun.append(number)
            yield number

    with Workers(jobs) as workers:
        results = workers.map(neg, tasks())
        assert next(results) == 0 and len(begun) <= AHEAD * jobs + 2
        assert [0, *results] == [-number for number in range(20)]
        assert list(workers.map(neg, [3, 1])) == [-3, -1], "the same workers once more"


def test_one_task_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "executor", None)
    with Workers(4) as workers:
        assert list(workers.map(neg, [3])) == [-3] and not list(workers.map(neg, []))


def test_parts() -> None:
    assert in_parts([1, 2, 3], 2) == [[1, 2], [3]] and in_parts([], 2) == []
