"""Elevation: analytic planes, tiles that the test writes, gdaldem where installed, and real SRTM."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Geod

from zoo.errors import DataError
from zoo.granules import granules_of, select_composites
from zoo.types import Area, PredictorReader
from zoo_terrain import horn
from zoo_terrain.products import PRODUCTS
from zoo_terrain.reader import TerrainReader

GEOD = Geod(ellps="WGS84")
SIZE = 1201
STEP = 1 / 1200


def write_hgt(path: Path, heights: np.ndarray) -> Path:
    path.write_bytes(np.rint(heights).astype(">i2").tobytes())
    return path


def write_tif(
    path: Path, heights: np.ndarray, west: float, north: float, step: float, crs: str, **extra: object
) -> Path:
    profile = {
        "driver": "GTiff", "dtype": heights.dtype.name, "count": 1, "height": heights.shape[0],
        "width": heights.shape[1], "crs": crs, "transform": Affine(step, 0, west, 0, -step, north), **extra,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(heights, 1)
    return path


@pytest.fixture
def reader() -> TerrainReader:
    return TerrainReader()


def test_the_reader_satisfies_the_protocol(reader: TerrainReader) -> None:
    assert isinstance(reader, PredictorReader)


@pytest.mark.parametrize("latitude", [0.5, 42.0, -60.0])
def test_metres_a_pixel_agree_with_geodesics(latitude: float) -> None:
    box = GeoBox((3, 3), Affine(0.01, 0, 10, 0, -0.01, latitude + 0.015), "EPSG:4326")
    width, height = horn.pixel_metres(box)
    _, _, east = GEOD.inv(10, latitude, 10.01, latitude)
    _, _, north = GEOD.inv(10, latitude - 0.005, 10, latitude + 0.005)
    assert (width[1, 0], height[1, 0]) == pytest.approx((east, north), rel=1e-6)


@pytest.mark.parametrize(
    ("rise_east", "rise_north", "sine", "cosine"),
    [(-0.3, 0, 1, 0), (0.3, 0, -1, 0), (0, -0.3, 0, 1), (0, 0.3, 0, -1), (0.3, 0.4, -0.6, -0.8)],
)
def test_a_plane_has_its_slope_and_faces_downhill(
    rise_east: float, rise_north: float, sine: float, cosine: float
) -> None:
    box = GeoBox((6, 7), Affine(25, 0, 5e5, 0, -25, 4e6), "EPSG:32650")
    rows, columns = np.mgrid[:6, :7]
    dem = (rise_east * columns * 25 - rise_north * rows * 25).astype(np.float32)
    inner = slice(1, -1), slice(1, -1)
    expected = np.degrees(np.arctan(np.hypot(rise_east, rise_north)))
    np.testing.assert_allclose(horn.slope(dem, box)[inner], expected, rtol=1e-5)
    found = horn.aspect(dem, box)
    np.testing.assert_allclose(found[0][inner], sine, atol=1e-5)
    np.testing.assert_allclose(found[1][inner], cosine, atol=1e-5)
    assert np.isnan(horn.slope(dem, box)[0]).all()


def test_on_a_geographic_grid_slope_is_measured_in_metres_row_by_row() -> None:
    box = GeoBox((240, 3), Affine(0.25, 0, 0, 0, -0.25, 60), "EPSG:4326")
    latitude = 60 - 0.25 * (np.arange(240) + 0.5)
    metres = np.array([GEOD.inv(0, lat, 0.25, lat)[2] for lat in latitude])
    dem = np.tile(np.arange(3) * 1000.0, (240, 1)).astype(np.float32)
    # 1 km up for each quarter of a degree eastward.
    east, _ = horn.gradient(dem, box)
    np.testing.assert_allclose(east[1:-1, 1], 1000 / metres[1:-1], rtol=1e-5)


def test_flat_ground_faces_nowhere_and_voids_spread_to_their_neighbours() -> None:
    box = GeoBox((7, 7), Affine(25, 0, 0, 0, -25, 0), "EPSG:32650")
    dem = np.full((7, 7), 5, np.float32)
    sine, cosine = horn.aspect(dem, box)
    assert (sine[3, 3], cosine[3, 3], horn.slope(dem, box)[3, 3]) == (0, 0, 0)
    dem[3, 3] = np.nan
    missing = np.isnan(horn.slope(dem, box)[1:-1, 1:-1])
    assert missing.sum() == 9


def test_srtm_samples_lie_on_grid_points_and_void_is_missing(reader: TerrainReader, tmp_path: Path) -> None:
    heights = np.zeros((SIZE, SIZE))
    heights[0, 0], heights[600, 600], heights[5, 5] = 1000, -12, -32768
    path = write_hgt(tmp_path / "N41E115.hgt", heights)
    (dem,) = reader.open([path], "dem")
    assert (float(dem.x[0]), float(dem.y[0])) == pytest.approx((115, 42))
    assert (float(dem.x[-1]), float(dem.y[-1])) == pytest.approx((116, 41))
    assert (float(dem[0, 0]), float(dem[600, 600])) == (1000, -12)
    assert np.argwhere(np.isnan(dem.to_numpy())).tolist() == [[5, 5]]
    assert (dem.attrs["units"], dem.attrs["product"], dem.attrs["granules"]) == ("m", "SRTM", ["N41E115"])


def test_a_zipped_tile_reads_like_the_plain_one(reader: TerrainReader, tmp_path: Path) -> None:
    path = write_hgt(tmp_path / "N41E115.hgt", np.random.default_rng(0).integers(0, 3000, (SIZE, SIZE)))
    zipped = tmp_path / "N41E115.hgt.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, path.name)
    area = Area(115.2, 41.2, 115.3, 41.3)
    (plain,), (packed,) = reader.open([path], "slope", area=area), reader.open([zipped], "slope", area=area)
    np.testing.assert_array_equal(plain, packed)


@pytest.mark.parametrize("layer", ["dem", "slope", "aspect_sin", "aspect_cos"])
def test_two_tiles_give_the_same_as_one(reader: TerrainReader, tmp_path: Path, layer: str) -> None:
    heights = np.random.default_rng(0).integers(0, 3000, (40, 70)).astype(np.int16)
    step = 1 / 120
    name = "{}_20101117_gmted_mea300.tif"
    (tmp_path / "one").mkdir()
    whole = write_tif(tmp_path / "one" / name.format("30n090e"), heights, 115, 42, step, "EPSG:4326")
    left = write_tif(tmp_path / name.format("30n090e"), heights[:, :30].copy(), 115, 42, step, "EPSG:4326")
    right = write_tif(tmp_path / name.format("30n120e"), heights[:, 30:].copy(), 115 + 30 * step, 42, step, "EPSG:4326")
    (one,) = reader.open([whole], layer)
    (two,) = reader.open([left, right], layer)
    np.testing.assert_array_equal(two, one)


def test_slope_reaches_the_edge_of_the_area(reader: TerrainReader, tmp_path: Path) -> None:
    heights = np.random.default_rng(0).integers(0, 3000, (100, 100)).astype(np.int16)
    path = write_tif(tmp_path / "30n090e_20101117_gmted_mea300.tif", heights, 115, 42, 0.01, "EPSG:4326")
    (whole,) = reader.open([path], "slope")
    (part,) = reader.open([path], "slope", area=Area(115.4, 41.4, 115.5, 41.5))
    inside = part.sel(x=slice(115.4, 115.5), y=slice(41.5, 41.4))
    expected = whole.sel(x=inside.x, y=inside.y, method="nearest", tolerance=1e-6)
    np.testing.assert_allclose(inside, expected, rtol=1e-6)
    assert inside.notnull().all()


def test_elevation_is_chosen_for_every_day() -> None:
    files = [
        Path("N41E115.hgt"),
        Path("Copernicus_DSM_COG_10_N41_00_E115_00_DEM.tif"),
        Path("30N090E_20101117_gmted_mea075.tif"),
    ]
    day = date(2019, 9, 25)
    chosen = {
        model.name: [g.id for g in select_composites(granules_of(model.spec, files), day, model.name)]
        for model in PRODUCTS
    }
    assert chosen == {"COPDEM": [files[1].stem], "GMTED2010": [files[2].stem], "SRTM": ["N41E115"]}


def test_an_incomplete_tile_is_one_clear_line(reader: TerrainReader, tmp_path: Path) -> None:
    path = tmp_path / "N41E115.hgt"
    path.write_bytes(b"\0" * 1000)
    with pytest.raises(DataError, match="N41E115.hgt cannot be read as an elevation tile.*download it again"):
        reader.open([path], "dem")


@pytest.mark.skipif(shutil.which("gdaldem") is None, reason="gdaldem (package gdal-bin) is not installed")
def test_slope_and_aspect_equal_gdaldem_on_a_metric_grid(tmp_path: Path) -> None:
    y, x = np.mgrid[:60, :80]
    dem = (200 * np.sin(x / 7) * np.cos(y / 9) + 3 * x).astype(np.float32)
    path = write_tif(tmp_path / "dem.tif", dem, 5e5, 4e6, 30, "EPSG:32650")
    box = GeoBox(dem.shape, Affine(30, 0, 5e5, 0, -30, 4e6), "EPSG:32650")
    outside = {}
    for what in ("slope", "aspect"):
        subprocess.run(["gdaldem", what, "-q", path, tmp_path / f"{what}.tif"], check=True)
        with rasterio.open(tmp_path / f"{what}.tif") as file:
            outside[what] = file.read(1)[1:-1, 1:-1]
    np.testing.assert_allclose(horn.slope(dem, box)[1:-1, 1:-1], outside["slope"], atol=1e-3)
    sine, cosine = (part[1:-1, 1:-1] for part in horn.aspect(dem, box))
    np.testing.assert_allclose(sine, np.sin(np.radians(outside["aspect"])), atol=1e-3)
    np.testing.assert_allclose(cosine, np.cos(np.radians(outside["aspect"])), atol=1e-3)


@pytest.mark.real
def test_real_srtm_equals_a_read_by_hand_and_shows_no_seam(reader: TerrainReader, real_data: Path) -> None:
    paths = sorted((real_data / "terrain").glob("*.hgt.zip"))
    raw = []
    for path in reversed(paths):
        with zipfile.ZipFile(path) as archive:
            raw.append(np.frombuffer(archive.read(archive.namelist()[0]), ">i2").reshape(SIZE, SIZE))
    # N42 above N41; the shared row counts once.
    heights = np.concatenate([raw[0], raw[1][1:]])
    (dem,) = reader.open(paths, "dem")
    np.testing.assert_array_equal(dem, np.where(heights == -32768, np.nan, heights))
    (slope,) = reader.open(paths, "slope")
    seam = slope.sel(y=slice(42 + 2.5 * STEP, 42 - 2.5 * STEP))
    assert seam.shape[0] == 5
    complete = dem.rolling(x=3, y=3, center=True).count() == 9
    assert (slope.notnull() == complete).all()
