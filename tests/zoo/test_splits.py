import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import DataError, UsageError
from zoo.learning.splits import check_use, deal, folds_for, leave_group_out, stretches, units_for


@given(st.lists(st.integers(0, 12), min_size=30, max_size=200), st.integers(2, 5), st.integers(0, 9))
def test_no_group_is_on_both_sides_and_every_row_is_tested_once(labels, folds, seed):
    groups = np.array(labels)
    if len(np.unique(groups)) < folds:
        with pytest.raises(DataError, match="cannot make"):
            leave_group_out(groups, folds, seed)
        return
    made = leave_group_out(groups, folds, seed)
    assert len(made) == folds
    for seen, held_out in made:
        assert not set(groups[seen]) & set(groups[held_out])
    assert sorted(np.concatenate([held_out for _, held_out in made])) == list(range(len(groups)))


def test_without_a_number_each_group_is_a_fold():
    made = leave_group_out(np.array(["b", "a", "c", "a"]), None, 0)
    assert [list(held_out) for _, held_out in made] == [[1, 3], [0], [2]]


def test_folds_are_of_like_size():
    groups = np.repeat(np.arange(25), 9)
    sizes = np.bincount(deal(groups, 5, seed=3))
    assert sizes.tolist() == [45] * 5


def test_the_seed_deals_and_the_same_seed_deals_the_same():
    groups = np.repeat(np.arange(25), 9)
    assert (deal(groups, 5, 1) == deal(groups, 5, 1)).all()
    assert (deal(groups, 5, 1) != deal(groups, 5, 2)).any()


def test_fewer_rows_than_folds_is_one_line():
    with pytest.raises(DataError, match="3 rows in 3 groups cannot make 5 folds"):
        leave_group_out(np.arange(3), 5, 0)


ROWS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 15)), min_size=20, max_size=150)


@given(ROWS, st.integers(2, 4), st.integers(0, 9))
def test_folds_for_both_learn_from_other_places_at_earlier_times(rows, folds, seed):
    groups, days = (np.array(column) for column in zip(*rows, strict=True))
    times = np.datetime64("2019-01-01") + days
    if len(np.unique(groups)) < folds or len(np.unique(days)) < 6:
        with pytest.raises(DataError, match="cannot make"):
            folds_for("both", groups, times, folds, seed)
        return
    made = folds_for("both", groups, times, folds, seed)
    for seen, held_out in made:
        assert not set(groups[seen]) & set(groups[held_out])
        assert days[seen].max() < days[held_out].min()
    tested = np.concatenate([held_out for _, held_out in made])
    assert len(tested) == len(set(tested))


def test_folds_for_both_hold_out_every_place_in_the_later_half():
    groups, days = np.divmod(np.arange(20 * 12), 12)
    made = folds_for("both", groups, np.datetime64("2019-01-01") + days, 4, 0)
    assert len(made) == 4 * 3
    assert sorted(np.concatenate([held_out for _, held_out in made])) == list(np.flatnonzero(days >= 6))
    assert [len(seen) for seen, _ in made] == [15 * 6, 15 * 8, 15 * 10] * 4


@given(st.lists(st.integers(0, 30), min_size=10, max_size=200), st.integers(2, 8))
def test_stretches_of_time_follow_one_another_and_none_is_empty(days, count):
    times = np.array(days)
    if len(np.unique(times)) < count:
        with pytest.raises(DataError, match="stretches of time"):
            stretches(times, count)
        return
    number = stretches(times, count)
    assert set(number) == set(range(count))
    for earlier in range(count - 1):
        assert times[number == earlier].max() < times[number == earlier + 1].min()


def test_stretches_hold_about_equally_many_rows():
    times = np.repeat(np.arange(60), np.random.default_rng(0).integers(5, 15, 60))
    sizes = np.bincount(stretches(times, 5))
    assert sizes.max() - sizes.min() <= 30


def test_folds_for_time_are_later_times_in_the_same_places_and_for_space_groups():
    groups, days = np.divmod(np.arange(100), 20)
    times = np.datetime64("2019-01-01") + days
    made = folds_for("time", groups, times, 4, 0)
    for seen, held_out in made:
        assert days[seen].max() < days[held_out].min()
        assert set(groups[seen]) == set(groups[held_out])
    assert set(np.concatenate([held_out for _, held_out in made])) == set(np.flatnonzero(days >= 10))
    assert len(folds_for("time", groups, times, None, 0)) == 3
    for ours, theirs in zip(folds_for("space", groups, None, 5, 3), leave_group_out(groups, 5, 3), strict=True):
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_a_use_without_times_and_an_unknown_use_are_one_line():
    with pytest.raises(DataError, match="--for time needs the time of each row; give --times COLUMN"):
        folds_for("time", np.arange(9), None, 3, 0)
    with pytest.raises(UsageError, match="--for 'places' is unknown; expected space, time, both"):
        check_use("places")


def test_intervals_resample_stretches_of_time_for_time_and_groups_else():
    groups, days = np.divmod(np.arange(100), 50)
    times = np.datetime64("2019-01-01") + days
    assert units_for("space", groups, times) is groups
    units = units_for("time", groups, times)
    assert len(np.unique(units)) == 24
    assert (units[:50] == units[50:]).all()
