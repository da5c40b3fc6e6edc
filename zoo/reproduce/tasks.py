"""Run trainings one beside the other in processes of one thread each, as long as the time allows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Deadline", "Task", "usable_processes", "work_through"]

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class Task:
    """A call to be made: `cost` in any unit, the same for all tasks of a run."""

    key: Hashable
    call: Callable[..., Any]
    arguments: tuple[Any, ...]
    cost: float = 1.0


@dataclass(slots=True)
class Deadline:
    """When to stop beginning new tasks.

    Attributes
    ----------
    seconds : the whole time, from when this was made; None without end
    pace : seconds a unit of cost, learnt from tasks that are done; None before the first
    """

    seconds: float | None
    pace: float | None = None
    started: float = -1.0

    def __post_init__(self) -> None:
        if self.started < 0:
            self.started = time.monotonic()

    def allows(self, cost: float) -> bool:
        """Whether a task of this cost would end in time, at the slowest pace seen."""
        if self.seconds is None:
            return True
        left = self.seconds - (time.monotonic() - self.started)
        return left > (self.pace or 0.0) * cost

    def learn(self, seconds: float, cost: float) -> None:
        """Remember how long a task took."""
        if cost > 0:
            self.pace = max(self.pace or 0.0, seconds / cost)


def usable_processes() -> int:
    """Return how many processes train at a time: two, or one where there is one core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(2, cores)


def work_through(tasks: Sequence[Task], deadline: Deadline, processes: int) -> Iterator[tuple[Hashable, Any]]:
    """Yield key and result of every task that was begun in time, as they end.

    The result of a task does not depend on `processes`: each runs on one thread, with a seed of its own.
    """
    if processes <= 1:
        yield from _one_after_the_other(tasks, deadline)
    else:
        yield from _side_by_side(tasks, deadline, processes)


def _one_after_the_other(tasks: Sequence[Task], deadline: Deadline) -> Iterator[tuple[Hashable, Any]]:
    for task in tasks:
        if deadline.allows(task.cost):
            seconds, result = _timed(task.call, task.arguments)
            deadline.learn(seconds, task.cost)
            yield task.key, result


def _side_by_side(tasks: Sequence[Task], deadline: Deadline, processes: int) -> Iterator[tuple[Hashable, Any]]:
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from multiprocessing import get_context

    waiting, running = list(tasks), dict[Future[Any], Task]()
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_prepare) as pool:
        while waiting or running:
            while waiting and len(running) < processes:
                task = waiting.pop(0)
                if deadline.allows(task.cost):
                    running[pool.submit(_timed, task.call, task.arguments)] = task
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                task = running.pop(future)
                seconds, result = future.result()
                deadline.learn(seconds, task.cost)
                yield task.key, result


def _prepare() -> None:
    """Use one thread, before anything that computes is imported."""
    for name in _ONE_THREAD:
        os.environ[name] = "1"


def _timed(call: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[float, Any]:
    start = time.monotonic()
    result = call(*arguments)
    return time.monotonic() - start, result
