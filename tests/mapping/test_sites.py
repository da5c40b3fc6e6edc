"""Sites: the one shipped agrees with the paper, and a user's own is checked."""

from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from zoo.cli.request import layers_of, request_of
from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.predictors import LAYERS
from zoo.simulate import SHANDIAN
from zoo.simulate.ground import STATIONS
from zoo.sites import find_site, read_site, site_names
from zoo.types import Area

ROOT = Path(__file__).resolve().parents[2]
OWN = 'title = "Mine"\narea = [1.0, 2.0, 3.0, 4.0]\n'


def write(tmp_path, text=OWN, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_shandian_is_the_place_the_days_and_the_stations_of_the_paper():
    site = find_site("shandian")
    assert Area(*site.area) == SHANDIAN
    assert [day.isoformat() for day in site.dates] == [f"2019-{month}-25" for month in ("03", "05", "07", "09", "11")]
    assert site.day == date(2019, 9, 25)
    assert site.stations == STATIONS
    assert len(site.stations) == 34
    west, south, east, north = site.area
    assert all(west < lon < east and south < lat < north for lon, lat in site.stations.values())
    assert set(site.prefer) <= set(LAYERS)
    assert set(site.prefer.values()) <= set(site.products)


def test_sites_ship_in_the_package_and_are_found_from_the_checkout():
    assert site_names() == ["shandian"]
    shipped = files("zoo.sites") / "shandian.toml"
    assert (ROOT / "sites" / "shandian.toml").read_text() == shipped.read_text()


def test_a_users_own_site_needs_little_and_takes_its_files_name(tmp_path):
    site = read_site(write(tmp_path))
    assert (site.name, site.sensor, site.day, site.layers) == ("mine", "smap", None, None)
    assert find_site(str(tmp_path / "mine.toml")) == site
    dated = read_site(write(tmp_path, OWN + "dates = [2020-01-02, 2020-02-02]\n"))
    assert dated.day == date(2020, 1, 2)


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ('title = "x"\narea = [3.0, 2.0, 1.0, 4.0]\n', UsageError, r"area: .*west < east and south < north"),
        (OWN + 'colour = "red"\n', UsageError, r"colour: Extra inputs are not permitted"),
        (
            OWN + "[stations]\nA = [200.0, 10.0]\n",
            UsageError,
            r"stations.A.0: Input should be less than or equal to 180",
        ),
        (OWN + 'crs = "EPSG:32650"\n', UsageError, "crs and resolution go together"),
        ("area = [1.0, 2.0, 3.0, 4.0]\n", UsageError, "title: Field required"),
        ("area = [1.0, ", UsageError, "is no TOML"),
    ],
)
def test_what_is_wrong_with_a_site_is_named(tmp_path, text, error, told):
    with pytest.raises(error, match=told):
        read_site(write(tmp_path, text))


def test_an_unknown_site_is_named_with_what_there_is(tmp_path):
    with pytest.raises(UnknownNameError, match=r"No site named 'shandan'; there is: shandian. Did you mean 'shandian'"):
        find_site("shandan")
    with pytest.raises(DataError, match=r"nosuch.toml cannot be read .* or one of: shandian"):
        find_site(str(tmp_path / "nosuch.toml"))


def asked(**given):
    return request_of(**{"sensor": None, "data": [Path()], "area": None, "date": None, **given})


def test_a_site_fills_in_what_no_option_says(tmp_path):
    request = asked(site="shandian")
    assert (request.area, request.sensor) == (SHANDIAN, "smap")
    assert request.selection.date == date(2019, 9, 25)
    assert request.products["lst"] == "MOD11A2"
    request = asked(site="shandian", area=(1, 2, 3, 4), date="2019-05-25", sensor="amsr2")
    assert (request.area, request.sensor, request.selection.date) == (Area(1, 2, 3, 4), "amsr2", date(2019, 5, 25))
    own = write(tmp_path, OWN + 'date = 2020-06-01\ncrs = "EPSG:32650"\nresolution = 500.0\nlayers = ["dem", "lst"]\n')
    request = asked(site=str(own))
    assert (request.crs, request.resolution) == ("EPSG:32650", 500.0)
    assert layers_of(None, str(own)) == ("dem", "lst")
    assert layers_of("ndvi", str(own)) == ("ndvi",)


def test_a_site_without_a_day_still_needs_one(tmp_path):
    with pytest.raises(UsageError, match="--data needs --date"):
        asked(site=str(write(tmp_path)))


def test_train_takes_a_site(run_json, scene, tmp_path):
    west, south, east, north = scene.area.bounds
    own = write(tmp_path, f'title = "x"\narea = [{west}, {south}, {east}, {north}]\nlayers = ["dem", "ndvi"]\n')
    options_ = ["--features", "dem,ndvi", "--set", "n_estimators=5", "--folds", 2, "--registry", tmp_path / "r.json"]
    told = run_json("train", "rf", "--site", own, "--data", scene.folder, "--date", scene.date, *options_)
    assert told["rows"] >= 12
