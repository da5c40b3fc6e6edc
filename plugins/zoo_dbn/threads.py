"""How many threads a training may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORK_OF_A_THREAD = 8e6
"""Multiply-adds of a member's step that are worth a thread, about a tenth of a millisecond a product. With less,
threads wait for each other longer than they work, and where cores are shared with other programs a training takes over
ten times as long. The number follows from the sizes alone: with another number of threads, sums are added up in another
order. Measured with [1000, 1000] at batch 16: two threads take 0.65 of the time of one on two free cores."""


@contextmanager
def threads_for(multiply_adds: float) -> Iterator[None]:
    """Train with a thread for each `WORK_OF_A_THREAD` of a member's step, of those allowed; puts their number back."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(max(1, min(before, int(multiply_adds / WORK_OF_A_THREAD))))
        yield
    finally:
        torch.set_num_threads(before)
