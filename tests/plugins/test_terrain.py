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
from zoo.granules import granules_of, recognise, select_composites
from zoo.types import Area, PredictorReader
from zoo_terrain import horn
from zoo_terrain.products import PRODUCTS
from zoo_terrain.reader import TerrainReader

GEOD = Geod(ellps="WGS84")
SIZE = 1201
STEP = 1 / 1200
DERIVED = ("slope", "aspect_sin", "aspect_cos")


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
        Path("lidar_dem.tif"),
    ]
    day = date(2019, 9, 25)
    chosen = {
        model.name: [g.id for g in select_composites(granules_of(model.spec, files), day, model.name)]
        for model in PRODUCTS
    }
    # Copernicus calls its files DEM as well; `recognise` takes the first that claims a name.
    assert chosen == {
        "COPDEM": [files[1].stem],
        "GMTED2010": [files[2].stem],
        "SRTM": ["N41E115"],
        "DEM": [files[1].stem, "lidar_dem"],
    }
    assert [recognise(path).name for path in files] == ["SRTM", "COPDEM", "GMTED2010", "DEM"]


@pytest.mark.parametrize(
    ("name", "claimed"),
    [("dem.tif", True), ("my_dem.tif", True), ("MyDEM.tif", True), ("DEM_100m_resampled.tif", True),
     ("n40_dem_v2.tiff", True), ("demo.tif", False), ("academic.tif", False), ("dem.png", False)],
)  # fmt: skip
def test_a_file_that_calls_itself_a_dem_is_one(name: str, claimed: bool) -> None:
    if claimed:
        assert recognise(Path(name)).name == "DEM"
    else:
        with pytest.raises(DataError):
            recognise(Path(name))


def test_any_elevation_raster_delivers_slope_and_aspect(reader: TerrainReader, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:8, :9]
    path = write_tif(tmp_path / "lidar_dem.tif", (3.0 * columns).astype(np.float32), 5e5, 4e6, 10, "EPSG:32650")
    inner = slice(1, -1), slice(1, -1)
    expected = {"slope": np.degrees(np.arctan(0.3)), "aspect_sin": -1, "aspect_cos": 0}
    for layer, value in expected.items():
        (array,) = reader.open([path], layer)
        np.testing.assert_allclose(array.to_numpy()[inner], value, atol=1e-5)
    assert array.attrs["product"] == "DEM"


@pytest.mark.parametrize("declared", [True, False])
def test_copernicus_tiles_are_floats_whose_steps_widen_with_latitude(
    reader: TerrainReader, tmp_path: Path, declared: bool
) -> None:
    """Tiles of different steps lie on different grids: two arrays, each with its own metric slope."""
    paths = []
    for latitude, columns in ((49, 36), (50, 24)):
        heights = np.tile(np.arange(columns) * (3600.0 / columns), (36, 1)).astype(np.float32)
        name = f"Copernicus_DSM_COG_10_N{latitude}_00_E115_00_DEM.tif"
        profile = {"nodata": -32767.0} if declared else {}
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", dtype="float32", count=1, height=36, width=columns,
            crs="EPSG:4326", transform=Affine(1 / columns, 0, 115, 0, -1 / 36, latitude + 1), **profile,
        ) as file:  # fmt: skip
            heights[0, 0] = -32767
            file.write(heights, 1)
        paths.append(tmp_path / name)
    arrays = reader.open(paths, "slope")
    assert [array.shape for array in arrays] == [(36, 36), (36, 24)]
    for array, latitude in zip(arrays, (49.5, 50.5), strict=True):
        metres = GEOD.inv(115, latitude, 116, latitude)[2]
        middle = array.to_numpy()[17:19, 5:-5].mean()
        assert middle == pytest.approx(np.degrees(np.arctan(3600 / metres)), rel=2e-3)
        assert np.isnan(array.to_numpy()[1, 1])


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


@pytest.mark.real
@pytest.mark.skipif(shutil.which("gdaldem") is None, reason="gdaldem (package gdal-bin) is not installed")
def test_real_srtm_slope_and_aspect_agree_with_gdaldem(reader: TerrainReader, real_data: Path, tmp_path: Path) -> None:
    """gdaldem knows one pixel size for a file, so it gets strips of a fifth of a degree."""
    paths = sorted((real_data / "terrain").glob("*.hgt.zip"))
    (dem,), (slope,), (sine,), (cosine,) = (reader.open(paths, name) for name in ("dem", *DERIVED))
    differences, turns = [], []
    for top in range(0, dem.shape[0] - 2, 240):
        rows = slice(top, top + 242)
        latitude = float(dem.y[rows].mean())
        width = GEOD.inv(0, latitude, STEP, latitude)[2]
        height = GEOD.inv(0, latitude - STEP / 2, 0, latitude + STEP / 2)[2]
        theirs, facing = gdaldem(dem.to_numpy()[rows], width, height, tmp_path)
        mine = slope.to_numpy()[rows][1:-1, 1:-1]
        both = np.isfinite(mine) & (theirs != -9999)
        assert both.mean() > 0.9
        differences.append(np.abs(mine - theirs)[both])
        # gdaldem takes pixels for square in aspect: its two components are brought to metres here.
        angle = np.radians(facing)
        steep = both & (theirs > 1)
        expected = np.arctan2(np.sin(angle) / width, np.cos(angle) / height)
        found = np.arctan2(sine.to_numpy()[rows][1:-1, 1:-1], cosine.to_numpy()[rows][1:-1, 1:-1])
        turns.append(np.abs((np.degrees(found - expected)[steep] + 180) % 360 - 180))
    p99 = np.percentile(np.concatenate(differences), 99)
    print(f"slope against gdaldem: p99 {p99:.4f} degree, worst {np.concatenate(differences).max():.4f} degree")
    print(f"aspect against gdaldem: p99 {np.percentile(np.concatenate(turns), 99):.4f} degree")
    assert p99 < 0.5
    assert np.percentile(np.concatenate(turns), 99) < 0.5


def gdaldem(heights: np.ndarray, width: float, height: float, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Slope and aspect by gdaldem on a metric grid, degrees, without the outermost pixels."""
    path = folder / "strip.tif"
    filled = np.where(np.isnan(heights), -32768, heights).astype(np.int16)
    write_tif(path, filled, 5e5, 4.7e6, 1, "EPSG:32631", nodata=-32768)
    with rasterio.open(path, "r+") as file:
        file.transform = Affine(width, 0, 5e5, 0, -height, 4.7e6)
    found = []
    for what in ("slope", "aspect"):
        subprocess.run(["gdaldem", what, "-q", path, folder / f"{what}.tif"], check=True)
        with rasterio.open(folder / f"{what}.tif") as file:
            found.append(file.read(1)[1:-1, 1:-1])
    return found[0], found[1]


@pytest.mark.real
def test_the_shared_edge_of_real_tiles_shows_no_seam_in_slope(reader: TerrainReader, real_data: Path) -> None:
    """Slope is there across the edge, and jumps no more from row to row than anywhere else."""
    paths = sorted((real_data / "terrain").glob("*.hgt.zip"))
    (slope,) = reader.open(paths, "slope")
    jumps = np.abs(np.diff(slope.to_numpy(), axis=0))
    edge = int(np.argmin(np.abs(slope.y.to_numpy() - 42)))
    at_edge, elsewhere = np.nanmedian(jumps[edge - 1 : edge + 1]), np.nanmedian(jumps[edge - 100 : edge + 100], axis=1)
    assert np.isfinite(slope.to_numpy()[edge]).mean() > 0.9
    assert elsewhere.min() <= at_edge <= elsewhere.max()
