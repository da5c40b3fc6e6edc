"""Stages beside one another: order kept, nothing more in the air than allowed, errors where the loop stands."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from zoo.tiles.pipeline import HELD, Overlap, ahead, behind, in_stage
from zoo.tiles.spool import spool


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_results_keep_the_order_of_the_items(threads: int) -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0)
        return item * item

    assert list(ahead(slow_at_first, range(20), threads=threads, waiting=4)) == [item * item for item in range(20)]


def test_what_comes_next_is_made_meanwhile_but_no_more_than_may_wait() -> None:
    begun: list[int] = []

    def note(item: int) -> int:
        begun.append(item)
        return item

    made = ahead(note, iter(range(100)), threads=4, waiting=3)
    assert next(made) == 0
    deadline = time.monotonic() + 5
    while len(begun) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert sorted(begun) == [0, 1, 2, 3]
    made.close()
    assert len(begun) == 4


def test_two_stages_take_the_time_of_the_slower() -> None:
    begin = time.perf_counter()
    for _ in ahead(lambda _: time.sleep(0.03), range(20)):
        time.sleep(0.03)
    assert time.perf_counter() - begin < 0.9 * 20 * 0.06


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_ahead_comes_in_its_turn_and_stops_the_rest(threads: int) -> None:
    seen: list[int] = []
    begun: list[int] = []

    def fail(item: int) -> int:
        begun.append(item)
        if item == 5:
            raise ValueError("item 5")
        return item

    with pytest.raises(ValueError, match="item 5"):
        seen.extend(ahead(fail, range(1000), threads=threads))
    assert seen == [0, 1, 2, 3, 4]
    assert len(begun) < 12


@pytest.mark.parametrize("threads", [0, 1])
def test_calls_behind_are_made_one_after_the_other_and_all_of_them(threads: int) -> None:
    done: list[int] = []

    def slow(number: int) -> None:
        time.sleep(0.005)
        done.append(number)

    with behind(slow, threads=threads) as call:
        for number in range(12):
            call(number)
    assert done == list(range(12))


def test_an_error_behind_reaches_the_loop() -> None:
    calls = 0

    def fail(_: int) -> None:
        raise OSError("disk full")

    def loop() -> None:
        nonlocal calls
        with behind(fail, waiting=2) as call:
            for number in range(100):
                calls += 1
                call(number)

    with pytest.raises(OSError, match="disk full"):
        loop()
    assert calls <= 4
    with pytest.raises(OSError, match="disk full"), behind(fail) as last:
        last(0)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("behind")]


def test_what_is_overlapped_suits_the_machine_and_the_map() -> None:
    small, large = 14 * 4 * 512**2, 14 * 4 * 4096**2
    for cores in (1, 2, 16):
        overlap = Overlap.suited(cores)
        assert overlap.waiting > overlap.workers == cores
        assert overlap.side_by_side(64, small)
        assert not overlap.side_by_side(2 * cores - 1, small)  # some would have nothing to do
        assert not overlap.side_by_side(64, large)
    assert Overlap.suited(16, fast=True).readers == 15
    assert not Overlap.suited(16, fast=True).side_by_side(64, small)


def test_a_stage_knows_that_it_has_others_beside_it() -> None:
    assert list(ahead(lambda _: in_stage(), range(4), threads=2)) == [True] * 4
    assert not in_stage()


def test_windows_that_wait_take_no_more_than_their_share_of_memory() -> None:
    overlap = Overlap(waiting=4)
    assert overlap.waiting_for(14 * 4 * 512**2) == 4
    assert overlap.waiting_for(HELD // 2) == 2
    assert overlap.waiting_for(10 * HELD) == 1


def test_a_spool_gives_back_what_it_was_given(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.random(shape, np.float32) for shape in ((2, 3, 4), (1, 5, 5), (0, 7, 7), (3, 2, 2))]
    with spool(tmp_path) as waiting:
        waiting.put(arrays[0])
        waiting.put(arrays[1])
        np.testing.assert_array_equal(waiting.take(), arrays[0])
        for array in arrays[2:]:
            waiting.put(array)
        for array in arrays[1:]:
            np.testing.assert_array_equal(waiting.take(), array)
        assert not list(tmp_path.iterdir())  # it has no name
