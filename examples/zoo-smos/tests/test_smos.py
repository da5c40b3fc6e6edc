"""Run with pytest after `pip install .`; the real files are tested where ZOO_REAL_DATA points at them."""

import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scipy.io
import xarray as xr
from affine import Affine
from zoo_smos import zoo_sensors
from zoo_smos.reader import SmosReader
from zoo_smos.simulate import NOISE, write_granule

from zoo.errors import DataError, UnknownNameError
from zoo.grids import ease2_geobox, geographic_bounds
from zoo.simulate import Scene
from zoo.testing import check_sensor_array, check_sensor_spec
from zoo.types import Area

NAME = "SM_OPER_MIR_CLF31A_20190925T000000_20190925T235959_300_002_7.DBL.nc"
COLUMN, ROW = 1140, 90
"""Of the first cell that the tests write, counted in the global 25 km grid."""


def write(path: Path, raw: np.ndarray, **more: np.ndarray) -> Path:
    """Write a granule by hand: rows from south to north, as the real files have them."""
    rows, columns = raw.shape
    cell = 25025.2600081
    lon = -180 + (COLUMN + np.arange(columns) + 0.5) * 360 / 1388
    y = (292 - (ROW + np.arange(rows)[::-1] + 0.5)) * cell
    lat = [rasterio.warp.transform("EPSG:6933", "EPSG:4326", [0.0], [value])[1][0] for value in y]
    file = xr.Dataset(
        {
            "Soil_Moisture": (
                ("lat", "lon"),
                raw.astype(np.int16),
                {"scale_factor": 1e-4, "_FillValue": np.int16(-32768)},
            ),
            "Mean_Acq_Time_Days": (("lat", "lon"), np.full(raw.shape, 7207, np.int32)),
            "Mean_Acq_Time_Seconds": (("lat", "lon"), np.arange(raw.size, dtype=np.int32).reshape(raw.shape) + 80000),
            **{name: (("lat", "lon"), values) for name, values in more.items()},
        },
        coords={"lat": np.float32(lat), "lon": np.float32(lon)},
    )
    file.to_netcdf(path, engine="scipy", format="NETCDF3_CLASSIC")
    return path


@pytest.fixture
def granule(tmp_path: Path) -> Path:
    return write(tmp_path / NAME, np.array([[1000, 2000, 3000], [4000, -32768, 5000]]))


def test_the_plugin_keeps_the_contract(granule):
    (spec,) = zoo_sensors()
    check_sensor_spec(spec)
    check_sensor_array(SmosReader().open([granule]))


def test_the_name_says_period_and_orbit():
    seen = SmosReader().granule(Path(NAME))
    assert (seen.product, seen.orbit) == ("MIR_CLF31.300", "A")
    assert seen.start == datetime(2019, 9, 25, tzinfo=UTC)
    assert SmosReader().granule(Path(NAME.replace("31A", "31D"))).orbit == "D"


def test_rows_are_turned_north_up_and_cells_lie_on_the_25_km_grid(granule):
    field = SmosReader().open([granule])
    np.testing.assert_allclose(field, [[0.4, np.nan, 0.5], [0.1, 0.2, 0.3]], rtol=1e-6)
    west, north = ease2_geobox("M36").affine.c, 292 * 25025.2600081
    np.testing.assert_allclose(field.x, west + (COLUMN + np.arange(3) + 0.5) * 25025.2600081, atol=1)
    np.testing.assert_allclose(field.y, north - (ROW + np.arange(2) + 0.5) * 25025.2600081, atol=1)
    assert field.attrs["flag_counts"] == {"no retrieval": 1}


def test_the_period_is_that_of_the_valid_cells(granule):
    attrs = SmosReader().open([granule]).attrs
    assert attrs["time_coverage_start"] == "2019-09-25T22:13:20Z"  # 80000 s
    assert attrs["time_coverage_end"] == "2019-09-25T22:13:25Z"


def test_only_cells_with_their_centre_in_the_area_are_read(granule):
    whole = SmosReader().open([granule])
    lon = -180 + (COLUMN + 1.5) * 360 / 1388
    part = SmosReader().open([granule], area=Area(lon - 0.1, 30, lon + 0.3, 60))
    np.testing.assert_array_equal(part, whole[:, 1:])


def test_several_granules_are_averaged_over_the_valid_ones(tmp_path):
    first = write(tmp_path / NAME, np.array([[1000, 2000], [-32768, -32768]]))
    second = write(tmp_path / NAME.replace("31A", "31D"), np.array([[3000, -32768], [4000, -32768]]))
    field = SmosReader().open([first, second])
    np.testing.assert_allclose(field, [[0.4, np.nan], [0.2, 0.2]], rtol=1e-6)
    assert len(field.attrs["granules"]) == 2


def test_radio_interference_is_masked_unless_all_is_asked_for(tmp_path):
    chance = np.array([[0.1, 0.3], [0.2, 0.9]], np.float32)
    path = write(tmp_path / NAME, np.array([[1000, 2000], [3000, 4000]]), Rfi_Prob=chance)
    field = SmosReader().open([path])
    np.testing.assert_array_equal(np.isnan(field), [[False, True], [False, True]])
    assert field.attrs["flag_counts"]["Rfi_Prob > 0.2"] == 2
    assert int(SmosReader().open([path], quality="all").notnull().sum()) == 4


@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.9])
def test_a_truncated_file_is_one_line(granule, kept):
    whole = granule.read_bytes()
    granule.write_bytes(whole[: round(kept * len(whole))])
    with pytest.raises(DataError, match="cannot be read as NetCDF-3"):
        SmosReader().open([granule])


def test_a_file_of_another_product_is_refused(tmp_path):
    with pytest.raises(DataError, match="no SMOS L3 daily granule"):
        SmosReader().granule(tmp_path / "SM_OPER_MIR_SMUDP2_20190925T000000_20190925T005959_700_001_1.nc")
    path = tmp_path / NAME
    xr.Dataset({"Soil_Moisture": ("x", [1.0])}).to_netcdf(path, engine="scipy")
    with pytest.raises(DataError, match="does not hold all of"):
        SmosReader().open([path])


def test_cells_off_the_grid_are_refused(granule):
    with xr.open_dataset(granule, engine="scipy", mask_and_scale=False) as file:
        moved = file.load().assign_coords(lon=file.lon + 0.1)
    moved.to_netcdf(granule, engine="scipy")
    with pytest.raises(DataError, match="does not lie on EASE-Grid 2.0 at 25 km"):
        SmosReader().open([granule])


def test_an_area_elsewhere_and_an_unknown_field_are_errors(granule):
    with pytest.raises(DataError, match="No cell of the grid"):
        SmosReader().open([granule], area=Area(0, 0, 1, 1))
    with pytest.raises(UnknownNameError, match="there is: Soil_Moisture"):
        SmosReader().open([granule], variable="sm")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A scene with nothing but a truth: soil moisture rises by 0.001 from column to column."""
    box = ease2_geobox("M01")[8000:8200, 28200:28400]
    (tmp_path / "truth").mkdir()
    profile = {"driver": "GTiff", "height": 200, "width": 200, "count": 1, "dtype": "float32", "crs": str(box.crs)}
    with rasterio.open(tmp_path / "truth/sm_1km_truth.tif", "w", transform=Affine(*box.affine[:6]), **profile) as file:
        file.write(np.tile(np.arange(200, dtype=np.float32) * 0.001 + 0.1, (1, 200, 1)))
    about = {
        "kind": "soil-moisture-zoo simulated scene",
        "area": geographic_bounds(box),
        "date": date(2019, 9, 25).isoformat(),
        "statement": "SIMULATED data",
    }
    (tmp_path / "scene.json").write_text(json.dumps(about))
    return Scene.open(tmp_path)


def test_the_simulated_granule_reads_back_as_the_means_of_the_truth(scene, tmp_path):
    path = write_granule(scene, tmp_path, seed=1)
    assert path.name == NAME
    field = SmosReader().open([path])
    check_sensor_array(field)
    assert field.attrs["simulated"] == "true"
    first = ease2_geobox("M01")[8000:8200, 28200:28400].affine.c
    expected = 0.1 + 0.001 * ((field.x.to_numpy() - first) / 1000.8950233 - 0.5)
    error = (field - expected).to_numpy()
    assert np.isfinite(error).sum() >= 36
    assert 0.5 * NOISE < np.nanstd(error) < 1.5 * NOISE
    assert abs(np.nanmean(error)) < NOISE / 2


def test_the_same_seed_gives_the_same_granule(scene, tmp_path):
    first = write_granule(scene, tmp_path, seed=1).read_bytes()
    assert write_granule(scene, tmp_path, seed=1).read_bytes() == first
    assert write_granule(scene, tmp_path, seed=2).read_bytes() != first


REAL = Path(os.environ.get("ZOO_REAL_DATA", "no such folder")) / "smos"


@pytest.mark.skipif(not REAL.is_dir(), reason="no real files (set ZOO_REAL_DATA)")
@pytest.mark.parametrize("day", ["20150506", "20150507"])
def test_real_files_hold_what_scipy_reads(day):
    (path,) = REAL.glob(f"*_{day}T000000_*.nc")
    with scipy.io.netcdf_file(path, mmap=False) as file:
        raw = file.variables["Soil_Moisture"].data[::-1].astype(int)
        lat, lon = file.variables["lat"].data[::-1], file.variables["lon"].data
        scale = file.variables["Soil_Moisture"].scale_factor
    field = SmosReader().open([path])
    np.testing.assert_allclose(field, np.where(raw == -32768, np.nan, raw * scale), atol=1e-7)
    to_degrees = rasterio.warp.transform
    east, _ = to_degrees("EPSG:6933", "EPSG:4326", list(field.x.values), [0.0] * field.x.size)
    _, north = to_degrees("EPSG:6933", "EPSG:4326", [0.0] * field.y.size, list(field.y.values))
    np.testing.assert_allclose(east, lon, atol=1e-5)
    np.testing.assert_allclose(north, lat, atol=1e-5)
