"""The example plugins, installed by pip beside the wheel."""

from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr

pytestmark = pytest.mark.packaging

AREA = ("115", "41", "117", "43")
DAY = "2019-09-25"


def test_both_are_listed_with_their_distribution(extended):
    plugins = {plugin["name"]: plugin for plugin in extended.json("zoo", "plugins")["plugins"]}
    assert (plugins["smos"]["distribution"], plugins["smos"]["provides"]) == ("zoo-smos", {"sensors": ["smos"]})
    assert (plugins["gbm"]["distribution"], plugins["gbm"]["provides"]) == ("zoo-gbm", {"downscalers": ["gbm"]})
    assert [plugin["error"] for plugin in plugins.values() if plugin["error"]] == []


def test_the_simulated_granule_is_inspected(extended, scene):
    (path,) = (scene / "smos").glob("*.nc")
    (seen,) = extended.json("zoo", "inspect", path)["files"]
    assert (seen["plugin"], seen["simulated"]) == ("smos", True)
    assert seen["fields"][0]["quantiles"]["max"] == pytest.approx(read(path)[0].max(), abs=1e-6)


@pytest.mark.real
def test_real_smos_files_are_inspected_as_xarray_reads_them(extended, real_data):
    paths = sorted((real_data / "smos").glob("SM_OPER_MIR_CLF31A_2015050[67]T000000_*.nc"))
    inspected = {Path(seen["files"][0]): seen for seen in extended.json("zoo", "inspect", *paths)["files"]}
    assert sorted(inspected) == paths
    assert len(paths) == 2
    for path, seen in inspected.items():
        values, lon, lat = read(path)
        (field,) = seen["fields"]
        assert (seen["product"], seen["orbit"], seen["simulated"]) == ("MIR_CLF31.300", "A", False)
        assert seen["start"] == f"{path.name[19:23]}-{path.name[23:25]}-{path.name[25:27]}T00:00:00Z"
        assert (field["rows"], field["columns"], field["units"]) == (101, 151, "m3 m-3")
        assert field["valid"] == values.size
        for share, name in ((0, "min"), (0.25, "p25"), (0.5, "p50"), (0.75, "p75"), (1, "max")):
            assert field["quantiles"][name] == pytest.approx(np.quantile(values, share), abs=1e-6)
        assert field["crs"] == "EPSG:6933"
        assert field["bounds"] == pytest.approx(outer_edges(lon, lat), abs=1e-3)


def test_gbm_trains_on_the_sample_scene_and_predicts(extended, untrained):
    registry = extended.work / "gbm.json"
    trained = extended.json("zoo", "train", "gbm", "--registry", registry, "--set", "n_estimators=50")
    assert trained["model"] == "smd-gbm@v1"
    scored = {(score["estimator"], score["metric"]): score["value"] for score in trained["scores"]}
    assert scored["gbm", "rmse"] < scored["mean", "rmse"]
    exported = extended.json("zoo", "export", "onnx", "--registry", registry)
    assert exported["parity"]["max"] < 1e-6
    path = extended.work / "gbm.tif"
    extended.json("zoo", "predict", "--model", "smd-gbm", "--registry", registry, "-o", path)
    check_map(path, "smd-gbm@v1")
    record = extended.json("zoo", "models", "show", "smd-gbm", "--registry", registry)
    assert "zoo-gbm" in str(record)


def test_a_forest_trains_on_smos_and_predicts(extended, scene):
    registry = extended.work / "smos.json"
    place = ("--sensor", "smos", "--data", scene, "--date", DAY, "--area", *AREA)
    trained = extended.json(
        "zoo", "train", "rf", *place, "--registry", registry, "--name", "smos-rf", "--set", "n_estimators=50"
    )  # fmt: skip
    assert trained["model"] == "smos-rf@v1"
    assert trained["rows"] >= 30
    assert trained["simulated"] is True
    extended.json("zoo", "export", "onnx", "--model", "smos-rf", "--registry", registry)
    path = extended.work / "smos.tif"
    extended.json("zoo", "predict", "--model", "smos-rf", *place, "--registry", registry, "-o", path)
    check_map(path, "smos-rf@v1")


def check_map(path: Path, model: str) -> None:
    with rasterio.open(path) as source:
        values = source.read(1, masked=True).compressed()
        assert source.tags()["model"] == model
    assert values.size > 1000
    assert 0 <= values.min() < values.max() <= 1


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Valid soil moisture, longitude and latitude, read without the plugin."""
    with xr.open_dataset(path, engine="scipy", decode_times=False) as file:
        values = file["Soil_Moisture"].values.astype(float)
        return values[np.isfinite(values)], file["lon"].values.astype(float), file["lat"].values.astype(float)


def outer_edges(lon: np.ndarray, lat: np.ndarray) -> list[float]:
    """West, south, east and north, half a cell of EASE-Grid 2.0 beyond the outermost centres."""
    there = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True)
    x, y = there.transform([lon.min(), lon.max()], [lat.min(), lat.max()])
    half = 25025.2600081 / 2
    back = there.transform(
        [x[0] - half, x[1] + half], [y[0] - half, y[1] + half], direction=pyproj.enums.TransformDirection.INVERSE
    )
    return [back[0][0], back[1][0], back[0][1], back[1][1]]
