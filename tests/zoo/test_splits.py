import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.errors import DataError
from zoo.splits import deal, leave_group_out


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
