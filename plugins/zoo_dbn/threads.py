"""How many threads a training may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALL_STEP = 1e8
"""Multiply-adds of a step below which a second thread costs more than it gains: threads then wait for each other
longer than they work, and where cores are shared with other programs a training took over ten times as long."""


@contextmanager
def threads_for(multiply_adds: float) -> Iterator[None]:
    """Train with one thread if a step has few multiply-adds; the number of threads is put back afterwards."""
    before = torch.get_num_threads()
    try:
        if multiply_adds < SMALL_STEP:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
