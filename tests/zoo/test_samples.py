import numpy as np
import pandas as pd
import pytest

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.samples.rows import from_table


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((40, 2)), columns=["lst", "ndvi"])
    frame["sm"] = 0.1 + 0.2 * frame.ndvi
    frame["station"] = np.repeat(list("abcd"), 10)
    frame["date"] = pd.Timestamp("2016-01-20") + pd.to_timedelta(np.arange(40), "D")
    path = tmp_path / "samples.parquet"
    frame.to_parquet(path)
    return path


def test_rows_groups_and_columns_come_from_the_table(table):
    samples = from_table(table, "sm", ["ndvi", "lst"], "station")
    frame = pd.read_parquet(table)
    assert list(samples.predictors.columns) == ["ndvi", "lst"]
    np.testing.assert_allclose(samples.target, frame["sm"])
    assert list(samples.groups) == list(frame["station"])
    assert samples.dataset.rows == 40


def test_rows_with_missing_values_are_dropped_and_counted(table):
    frame = pd.read_parquet(table)
    frame.loc[3, "lst"] = np.nan
    frame.loc[5, "sm"] = np.nan
    frame.to_parquet(table)
    samples = from_table(table, "sm", ["ndvi", "lst"], "station")
    assert len(samples) == 38
    assert samples.dataset.dropped["with missing values"] == 2


def test_where_keeps_the_rows_that_satisfy_it(table):
    samples = from_table(table, "sm", ["ndvi"], "station", where="date < '2016-02-01'")
    assert len(samples) == 12
    assert samples.dataset.dropped["by --where"] == 28


def test_times_and_places_come_from_their_columns_and_a_column_that_holds_none_is_named(table):
    samples = from_table(table, "sm", ["ndvi"], "station", places="station", times="date")
    frame = pd.read_parquet(table)
    assert list(samples.places) == list(frame["station"])
    assert list(samples.times) == list(frame["date"].to_numpy())
    assert from_table(table, "sm", ["ndvi"], "station").times is None
    with pytest.raises(DataError, match="column 'station' holds no times"):
        from_table(table, "sm", ["ndvi"], "station", times="station")


def test_csv_reads_like_parquet(table, tmp_path):
    csv = tmp_path / "samples.csv"
    pd.read_parquet(table).to_csv(csv, index=False)
    np.testing.assert_allclose(
        from_table(csv, "sm", ["ndvi"], "station").target, from_table(table, "sm", ["ndvi"], "station").target
    )


def test_the_fingerprint_follows_content_and_definition_but_not_the_place(table, tmp_path):
    def fingerprint(path, **options):
        return from_table(path, "sm", ["ndvi", "lst"], "station", **options).dataset.fingerprint

    moved = tmp_path / "elsewhere" / table.name
    moved.parent.mkdir()
    moved.write_bytes(table.read_bytes())
    assert fingerprint(moved) == fingerprint(table)
    assert fingerprint(table, where="ndvi > 0.2") != fingerprint(table)
    frame = pd.read_parquet(table)
    frame.loc[0, "ndvi"] += 1e-3
    frame.to_parquet(moved)
    assert fingerprint(moved) != fingerprint(table)


def test_an_unknown_column_is_named_with_the_nearest(table):
    with pytest.raises(
        UnknownNameError, match=r"No column in samples.parquet named 'ndiv'; there is: .*Did you mean 'ndvi'"
    ):
        from_table(table, "sm", ["ndiv"], "station")


def test_a_predictor_without_any_value_is_named(table):
    frame = pd.read_parquet(table).assign(lst=np.nan)
    frame.to_parquet(table)
    with pytest.raises(DataError, match="predictor lst has no value at all"):
        from_table(table, "sm", ["ndvi", "lst"], "station")


def test_where_that_leaves_nothing_or_is_nonsense_is_one_line(table):
    with pytest.raises(DataError, match="no row is left of 40 after --where 'ndvi > 5'"):
        from_table(table, "sm", ["ndvi"], "station", where="ndvi > 5")
    with pytest.raises(UsageError, match="cannot be applied to samples.parquet"):
        from_table(table, "sm", ["ndvi"], "station", where="no_such_column > 5")
    with pytest.raises(UsageError, match="holds '@'"):
        from_table(table, "sm", ["ndvi"], "station", where="@__import__('os')")


def test_a_table_that_is_none_is_one_line(tmp_path):
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"broken.parquet cannot be read as a table"):
        from_table(broken, "sm", ["ndvi"], "station")
    with pytest.raises(DataError, match="is a folder"):
        from_table(tmp_path, "sm", ["ndvi"], "station")
