"""`zoo report`: the user's own maps, compared and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import html5lib
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from zoo.cli import main
from zoo.grids import target_geobox
from zoo.types import Area
from zoo.writers import open_writer

BOX = GeoBox((27, 36), Affine(1000, 0, 500_000, 0, -1000, 4_700_000), "EPSG:32650")


def write(path: Path, offset: float, day: str = "2019-09-25") -> Path:
    rows, columns = BOX.shape.yx
    values = (0.1 + 0.2 * np.arange(rows * columns).reshape(rows, columns) / (rows * columns) + offset).astype("f4")
    with open_writer(path, BOX, tags={"time_coverage_start": f"{day}T00:00:00Z"}) as writer:
        writer.write((slice(0, rows), slice(0, columns)), values)
    return path


@pytest.fixture
def stations(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    rows = [
        {"station": f"S{n}", "lon": lon, "lat": lat, "depth": 0.03, "time": pd.Timestamp(day, tz="UTC"), "sm": sm}
        for n, (lon, lat, sm) in enumerate(
            zip(rng.uniform(117.02, 117.4, 12), rng.uniform(42.25, 42.43, 12), rng.uniform(0.1, 0.3, 12), strict=True)
        )
        for day in ("2019-09-25 03:00", "2019-05-25 03:00")
    ]
    path = tmp_path / "stations.parquet"
    pd.DataFrame(rows).to_parquet(path)
    return path


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = 0
    try:
        main(arguments)
    except SystemExit as stop:
        code = int(stop.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_two_dates_of_one_product_are_scored_apart_and_joined_in_the_time_series(
    tmp_path: Path, stations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = [write(tmp_path / f"{day}.tif", 0.0, day) for day in ("2019-09-25", "2019-05-25")]
    truth = write(tmp_path / "truth.tif", 0.02)
    page = tmp_path / "out" / "mine.html"
    arguments = ["report", *(f"--map=DBN={path}" for path in maps), "-r", str(stations), "-r", f"truth={truth}"]
    code, out, _ = run([*arguments, "--coarse", f"coarse={truth}", "-o", str(page), "--json"], capsys)
    assert code == 0
    scores = json.loads(out)["scores"]
    assert {score["estimator"] for score in scores} == {"DBN, 2019-09-25", "DBN, 2019-05-25"}
    bias = {
        score["estimator"]: score["value"]
        for score in scores
        if (score["metric"], score["reference"]) == ("bias", "truth")
    }
    assert bias["DBN, 2019-09-25"] == pytest.approx(-0.02, abs=1e-6)
    text = page.read_text("utf-8")
    html5lib.HTMLParser(strict=True).parse(text)
    for section in ("Maps", "Scores", "Estimates against references", "Time series at stations", "Differences"):
        assert f">{section}</h2>" in text
    assert "sha256" in text
    assert "Simulated" not in text
    assert {"mine-maps.png", "mine-maps.svg", "mine-skill.png", "mine-series.svg"} <= {
        p.name for p in page.parent.iterdir()
    }


def test_a_reference_of_another_day_is_told_and_the_others_are_shown(
    tmp_path: Path, stations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, lone = write(tmp_path / "good.tif", 0), write(tmp_path / "lone.tif", 0, "2018-01-01")
    page = tmp_path / "r.html"
    code, _, err = run(["report", "--map", str(good), "--map", str(lone), "-r", str(stations), "-o", str(page)], capsys)
    assert code == 0
    assert "lone is not compared with stations" in err
    assert "lone is not compared with stations" in page.read_text("utf-8")
    code, _, err = run(["report", "--map", str(lone), "-r", str(stations), "-o", str(page)], capsys)
    assert code == 4


def test_a_map_alone_makes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "m.tif", 0)
    code, _, _ = run(["report", "--map", str(path), "-o", str(tmp_path / "r.html"), "--title", "My <map>"], capsys)
    assert code == 0
    assert "My &lt;map&gt;" in (tmp_path / "r.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--map", "x=a.tif", "--model", "smd-rf"], "--model and --stack go together"),
        (["--map", "x="], "give NAME=FILE"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(["report", *arguments, "-o", str(tmp_path / "r.html")], capsys)
    assert code == 2
    assert told in err


def test_two_maps_of_one_name_and_day_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = [write(tmp_path / name, 0) for name in ("a.tif", "b.tif")]
    code, _, err = run(["report", *(f"--map=DBN={path}" for path in maps), "-o", str(tmp_path / "r.html")], capsys)
    assert code == 2
    assert "Two maps are called 'DBN, 2019-09-25'" in err


def test_a_model_shows_what_it_listens_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The published forest on made-up predictors within its range, against its own map: what it needs is found."""
    import rasterio

    from zoo.prediction import open_session
    from zoo.registry import Registry

    version, session = open_session(Registry.open(), "smd-rf@v1")
    rng = np.random.default_rng(0)
    rows, columns = BOX.shape.yx
    layers = {f.name: rng.uniform(f.min, f.max, (rows, columns)).astype("f4") for f in session.features}
    folder = tmp_path / "stack"
    folder.mkdir()
    for name, values in layers.items():
        profile = {"driver": "GTiff", "height": rows, "width": columns, "count": 1, "dtype": "float32"}
        with rasterio.open(folder / f"{name}.tif", "w", crs=str(BOX.crs), transform=BOX.affine, **profile) as file:
            file.write(values, 1)
            file.set_band_description(1, name)
    answers = session.predict(np.stack([layers[name].ravel() for name in session.names], axis=1))[0]
    own = tmp_path / "own.tif"
    with open_writer(own, BOX, tags={"time_coverage_start": "2019-09-25T00:00:00Z"}) as writer:
        writer.write((slice(0, rows), slice(0, columns)), answers.reshape(rows, columns))
    page = tmp_path / "r.html"
    code, _, _ = run(
        ["report", "--map", str(own), "-r", f"itself={own}", "--model", str(version.ref), "--stack", str(folder),
         "-o", str(page)], capsys
    )  # fmt: skip
    assert code == 0
    text = page.read_text("utf-8")
    assert "Importance of predictors. The three largest: rf:" in text
    assert "Response of the model to blue, green" in text
    assert "rows of itself" in text


def test_station_days_are_scored_in_time_in_space_and_pooled(tmp_path, capsys):
    rng = np.random.default_rng(0)
    days = pd.DataFrame(
        [(f"s{s}", pd.Timestamp("2020-01-01") + pd.Timedelta(days=d)) for s in range(12) for d in range(30)],
        columns=["station", "time"],
    )
    days["observed"] = 0.2 + 0.05 * rng.standard_normal(len(days))
    days["predicted"] = days["observed"] + 0.02 * rng.standard_normal(len(days))
    days.to_parquet(tmp_path / "pairs.parquet")
    box = target_geobox(Area(115.9, 41.9, 116.1, 42.1))
    rows, columns = box.shape.yx
    with open_writer(tmp_path / "map.tif", box) as writer:
        writer.write((slice(0, rows), slice(0, columns)), np.full((rows, columns), 0.2, np.float32))
    with pytest.raises(SystemExit) as ended:
        main(
            ["report", "--map", str(tmp_path / "map.tif"), "--pairs", f"DBN={tmp_path / 'pairs.parquet'}", "--json"]
            + ["-o", str(tmp_path / "report.html")]
        )
    printed = capsys.readouterr()
    assert not ended.value.code, printed.err
    scores = json.loads(printed.out)["scores"]
    rmse = {s["split"].partition(";")[0].partition(",")[0]: s for s in scores if s["metric"] == "rmse"}
    assert set(rmse) == {"pooled over stations and times", "temporal", "spatial"}
    error = days["predicted"] - days["observed"]
    assert rmse["pooled over stations and times"]["value"] == pytest.approx(float((error**2).mean() ** 0.5))
    by_station = (error**2).groupby(days["station"]).mean() ** 0.5
    assert rmse["temporal"]["value"] == pytest.approx(float(by_station.median()))
    assert rmse["temporal"]["n"] == 12
    by_day = (error**2).groupby(days["time"]).mean() ** 0.5
    assert rmse["spatial"]["value"] == pytest.approx(float(by_day.median()))


def test_a_station_that_is_not_there_is_refused_with_some_that_are(
    tmp_path: Path, stations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, path = tmp_path / "page" / "r.html", write(tmp_path / "m.tif", 0)
    arguments = ["report", "--map", str(path), "-r", str(stations), "-o", str(page), "--station", "S3"]
    code, out, err = run([*arguments, "--station", "nosuch"], capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "No station named 'nosuch'; there is: S0, S1, S10, S11, S2, S3 and 6 more." in err
    assert "Did you mean 'S7'?" in run([*arguments, "--station", "S77"], capsys)[2]
    code, _, err = run(["report", "--map", str(path), "-o", str(page), "--station", "S3"], capsys)
    assert (code, err.count("\n")) == (2, 1)
    assert "--station S3 needs measurements; give --reference" in err
    assert not page.parent.exists()


def test_a_station_without_any_value_is_told(
    tmp_path: Path, stations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_parquet(stations)
    away = table.iloc[:1].assign(station="away", lon=100.0, time=pd.Timestamp("2018-01-01", tz="UTC"))
    pd.concat([table, away]).to_parquet(stations)
    arguments = ["report", "--map", str(write(tmp_path / "m.tif", 0)), "-r", str(stations)]
    code, _, err = run([*arguments, "-o", str(tmp_path / "r.html"), "--station", "S3", "--station", "away"], capsys)
    assert code == 0
    assert "Station away is not drawn: " in err
    assert "Station S3" not in err
    assert "Station away is not drawn: " in (tmp_path / "r.html").read_text("utf-8")
