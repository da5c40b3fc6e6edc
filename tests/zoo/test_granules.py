from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from zoo.errors import DataError, UsageError
from zoo.granules import (
    Selection,
    by_day,
    files_under,
    parse_date,
    parse_time,
    parse_window,
    recognise,
    select_composites,
    select_observations,
)
from zoo.types import Granule

DAY = date(2019, 9, 25)


def granule(start: str, hours: float, orbit: str | None = None) -> Granule:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return Granule("P.001", start, begin, begin + timedelta(hours=hours), (Path(start),), orbit)  # type: ignore[arg-type]


THREE_HOURLY = [granule(f"2019-09-{day:02}T{hour:02}:00", 3) for day in (24, 25, 26) for hour in range(0, 24, 3)]


def ids(granules: list[Granule]) -> list[str]:
    return [g.id for g in granules]


def test_a_day_takes_every_granule_whose_middle_lies_on_it():
    assert ids(select_observations(THREE_HOURLY, Selection(DAY), "x")) == [
        f"2019-09-25T{h:02}:00" for h in range(0, 24, 3)
    ]


def test_a_time_takes_the_nearest_granule():
    assert ids(select_observations(THREE_HOURLY, Selection(DAY, time(10, 40)), "x")) == ["2019-09-25T09:00"]


def test_a_window_takes_what_lies_in_it():
    chosen = select_observations(THREE_HOURLY, Selection(DAY, time(0, 0), timedelta(hours=6)), "x")
    assert ids(chosen) == ["2019-09-24T21:00", "2019-09-25T00:00"]


def test_an_orbit_takes_only_its_granules():
    swaths = [granule("2019-09-25T10:00", 1, "A"), granule("2019-09-25T22:00", 1, "D")]
    assert ids(select_observations(swaths, Selection(DAY, orbit="D"), "x")) == ["2019-09-25T22:00"]


def test_a_day_without_granule_says_what_there_is():
    with pytest.raises(
        DataError, match=r"No granule of sensor 'smap' for 2019-10-01; there are 24 from 2019-09-24 01:30 to"
    ):
        select_observations(THREE_HOURLY, Selection(date(2019, 10, 1)), "sensor 'smap'")


def test_the_composite_that_contains_the_day_is_taken_with_all_its_tiles():
    eight_day = [granule(f"2019-{month}", 24 * 8) for month in ("09-14", "09-22", "09-30")]
    tile = Granule("P.001", "second tile", eight_day[1].start, eight_day[1].end, (Path("t"),))
    assert ids(select_composites([*eight_day, tile], DAY, "x")) == ["2019-09-22", "second tile"]


def test_scenes_within_sixteen_days_are_taken_the_nearest_day_first():
    scenes = [granule(f"2019-{day}T03:00", 0.1) for day in ("09-06", "09-13", "09-22", "09-29", "10-08")]
    late = granule("2019-09-22T03:01", 0.1)
    chosen = select_composites([*scenes, late], DAY, "x")
    assert ids(chosen) == [
        "2019-09-22T03:00",
        "2019-09-22T03:01",
        "2019-09-29T03:00",
        "2019-09-13T03:00",
        "2019-10-08T03:00",
    ]
    dem = Granule("DEM", "dem", None, None, (Path("dem.tif"),))
    days = [ids(group) for group in by_day([*chosen[:3], dem])]
    assert days == [["dem", "2019-09-22T03:00", "2019-09-22T03:01"], ["2019-09-29T03:00"]]


def test_composites_of_other_periods_do_not_fill_gaps():
    eight_day = [granule(f"2019-{month}", 24 * 8) for month in ("09-14", "09-22", "09-30")]
    chosen = select_composites(eight_day, DAY, "x")
    assert [ids(group) for group in by_day(chosen)] == [["2019-09-22"]]


def test_static_data_serve_every_day():
    dem = Granule("DEM", "dem", None, None, (Path("dem.tif"),))
    assert select_composites([dem], date(1990, 1, 1), "x") == [dem]


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_date, "25/09/2019", "expected YYYY-MM-DD"),
        (parse_time, "noon", "expected HH:MM"),
        (parse_window, "three hours", "expected a number with m, h or d"),
        (parse_window, "0h", "not longer than nothing"),
    ],
)
def test_text_that_is_no_date_time_or_duration_is_one_line(parse, text, message):
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_a_window_is_a_number_and_a_unit():
    assert parse_window("90m") == timedelta(minutes=90)
    assert parse_window("1.5d") == timedelta(hours=36)


def test_a_missing_place_is_named(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        files_under([tmp_path / "nowhere"])


def test_a_file_of_another_product_is_named_with_what_is_read(tmp_path):
    with pytest.raises(DataError, match=r"MOD10A2.*is not a product that is read here; readers: .*amsr2"):
        recognise(tmp_path / "MOD10A2.A2019265.h26v04.061.hdf")
