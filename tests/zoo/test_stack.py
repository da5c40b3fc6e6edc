"""The stack: area means against exact block means and brute force, rasters by name, native granules, coarse cells."""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.grids import as_array, cells_in, ease2_geobox, geographic_geobox, target_geobox
from zoo.stack import Stack, build_stack, coarse_means
from zoo.stack.area_mean import area_mean, area_moments, area_of, blocks, filled, join, mean_of_pieces, window_near
from zoo.stack.build import _Job, _reader, choose_sources
from zoo.types import Area

AREA = Area(115.9, 41.9, 116.2, 42.2)
TARGET = target_geobox(AREA)
M09 = cells_in(ease2_geobox("M09"), area_of(TARGET))
SINUSOIDAL = "+proj=sinu +lon_0=0 +R=6371007.181 +units=m"
DAY = date(2019, 9, 25)


def write_raster(path: Path, values: np.ndarray, box: GeoBox = TARGET, **extra: object) -> Path:
    values = values if values.ndim == 3 else values[None]
    profile = {
        "driver": "GTiff", "dtype": values.dtype.name, "count": len(values), "height": values.shape[1],
        "width": values.shape[2], "crs": str(box.crs), "transform": box.affine, **extra,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(values)
    return path


def noise(shape: tuple[int, ...] = TARGET.shape.yx, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def block_means(values: np.ndarray, parts: int) -> np.ndarray:
    rows, columns = (size // parts for size in values.shape)
    return np.nanmean(values.reshape(rows, parts, columns, parts), axis=(1, 3), dtype=np.float64)


# --- area means


def test_on_nested_grids_the_area_mean_is_the_block_mean() -> None:
    values = noise()
    values[3:7, 20:31] = np.nan
    mean, share = area_mean(values[None], TARGET, M09)
    np.testing.assert_allclose(mean[0], block_means(values, 9), atol=1e-6)
    np.testing.assert_allclose(share[0], block_means(np.isfinite(values), 9), atol=1e-6)


@pytest.mark.parametrize("west", [115.9, -100.0])
def test_between_sheared_grids_the_area_mean_equals_brute_force(west: float) -> None:
    """On MODIS' grid GDAL's `average` takes a footprint 2.5 times too wide, or none at all."""
    target = target_geobox(Area(west, 41.9, west + 0.3, 42.2))
    pixel = 926.6254331387694
    x, y = Transformer.from_crs("EPSG:6933", SINUSOIDAL, always_xy=True).transform(
        *target.center_pixel.extent.centroid.points[0]
    )
    source = GeoBox((160, 300), Affine(pixel, 0, x - 150 * pixel, 0, -pixel, y + 80 * pixel), SINUSOIDAL)
    values = noise((160, 300))
    mean, share = area_mean(values[None], source, target)
    parts = 30
    fine = target.affine * Affine.scale(1 / parts)
    rows, columns = np.mgrid[: target.shape.y * parts, : target.shape.x * parts] + 0.5
    points = Transformer.from_crs("EPSG:6933", SINUSOIDAL, always_xy=True).transform(
        fine.c + fine.a * columns, fine.f + fine.e * rows
    )
    left, top = ~source.affine * points
    expected = block_means(values[np.floor(top).astype(int), np.floor(left).astype(int)], parts)
    assert np.sqrt(np.mean((mean[0] - expected) ** 2)) < 0.03 * expected.std()  # of which brute force has most
    np.testing.assert_allclose(share, 1, atol=1e-6)


@pytest.mark.parametrize("pixel", [300.0, 1700.0])
def test_overlaps_equal_those_of_polygons(pixel: float) -> None:
    """Weights against shapely-free geometry: each source pixel alone, its overlap by clipping the quadrilateral."""
    target = target_geobox(Area(120.0, 50.0, 120.05, 50.05), crs="EPSG:32650", resolution=1000)[0:2, 0:2]
    to_source = Transformer.from_crs("EPSG:32650", SINUSOIDAL, always_xy=True)
    x, y = to_source.transform(*(target.affine * (1, 1)))
    source = GeoBox((15, 19), Affine(pixel, 0, x - 9.3 * pixel, 0, -pixel, y + 7.6 * pixel), SINUSOIDAL)
    single = np.zeros((15 * 19, 15, 19), np.float32)
    single[np.arange(15 * 19), np.arange(15 * 19) // 19, np.arange(15 * 19) % 19] = 1
    weights = area_mean(single, source, target)[0][:, 0, 1]
    corners = [(1, 0), (2, 0), (2, 1), (1, 1)]
    quadrilateral = [~source.affine * to_source.transform(*(target.affine * corner)) for corner in corners]
    expected = np.array([clipped(quadrilateral, column, row) for row in range(15) for column in range(19)])
    np.testing.assert_allclose(weights, expected / expected.sum(), atol=1e-6)


def clipped(polygon: list[tuple[float, float]], column: int, row: int) -> float:
    """Area of a polygon inside one pixel (Sutherland and Hodgman 1974)."""
    for axis, bound, sign in ((0, column, 1), (0, column + 1, -1), (1, row, 1), (1, row + 1, -1)):
        kept: list[tuple[float, float]] = []
        for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
            inside = [sign * (point[axis] - bound) >= 0 for point in (start, end)]
            if inside[0] != inside[1]:
                part = (bound - start[axis]) / (end[axis] - start[axis])
                kept.append(tuple(a + part * (b - a) for a, b in zip(start, end, strict=True)))  # type: ignore[arg-type]
            if inside[1]:
                kept.append(end)
        polygon = kept
    pairs = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def test_strips_of_a_large_target_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = noise()
    values[values > 1] = np.nan
    target = target_geobox(AREA, crs="EPSG:4326", resolution=0.017)
    whole = area_mean(values[None], TARGET, target)
    monkeypatch.setattr(sys.modules["zoo.stack.area_mean"], "_PIECES", 500)
    np.testing.assert_array_equal(area_mean(values[None], TARGET, target), whole)


def test_pixels_beyond_the_end_of_a_projection_are_not_covered() -> None:
    source = GeoBox((20, 20), Affine(5e5, 0, -5e6, 0, -5e5, 5e6), "+proj=ortho +lat_0=0 +lon_0=0 +R=6371007")
    target = GeoBox((10, 40), Affine(9, 0, -180, 0, -9, 45), "EPSG:4326")
    mean, share = area_mean(np.ones((1, 20, 20), np.float32), source, target)
    assert np.isnan(mean[0][:, :8]).all()
    assert share[0, 5, 20] == 1
    np.testing.assert_allclose(mean[share > 0], 1, atol=1e-6)


@pytest.mark.parametrize("resolution", [0.1, 0.25])
def test_on_grids_that_do_not_nest_pixels_weigh_by_their_overlap_and_a_plane_is_kept(resolution: float) -> None:
    """Over EASE-Grid 2.0 longitude is linear in x: the overlaps are those of intervals of longitude."""
    target = target_geobox(Area(115.5, 41.5, 116.5, 42.5))
    edges = target.affine.c + target.affine.a * np.arange(target.shape.x + 1)
    edges, _ = Transformer.from_crs("EPSG:6933", "EPSG:4326", always_xy=True).transform(
        edges, np.full(edges.size, 4.9e6)
    )
    longitude = (edges[1:] + edges[:-1]) / 2 - 116
    values = np.tile(longitude.astype(np.float32), (target.shape.y, 1))
    cells = cells_in(geographic_geobox(resolution), Area(115.5, 41.5, 116.5, 42.5))
    mean, share = area_mean(values[None], target, cells)
    west = cells.affine.c + cells.affine.a * np.arange(cells.shape.x)[:, None]
    overlap = np.clip(np.minimum(west + resolution, edges[1:]) - np.maximum(west, edges[:-1]), 0, None)
    expected = overlap @ longitude / overlap.sum(axis=1)
    np.testing.assert_allclose(mean[0], np.tile(expected, (cells.shape.y, 1)), atol=1e-6)
    np.testing.assert_allclose(share, 1, atol=1e-5)
    # Cut pixels count with their centre's value: within two hundredths of a pixel's step of the plane.
    np.testing.assert_allclose(expected, west[:, 0] + resolution / 2 - 116, atol=0.02 * np.diff(longitude)[0])


def test_partial_pixels_weigh_by_their_overlap() -> None:
    source = GeoBox((1, 3), Affine(2, 0, 0, 0, -2, 2), "EPSG:6933")
    target = GeoBox((1, 2), Affine(3, 0, 0, 0, -2, 2), "EPSG:6933")
    mean, share = area_mean(np.array([[[1, 4, np.nan]]], np.float32), source, target)
    np.testing.assert_allclose(mean[0, 0], [(2 * 1 + 1 * 4) / 3, 4], rtol=1e-6)
    np.testing.assert_allclose(share[0, 0], [1, 1 / 3], rtol=1e-5)


def test_outside_the_source_nothing_is_covered() -> None:
    mean, share = area_mean(noise((1, 9, 9)), TARGET[0:9, 0:9], TARGET[0:9, 4:14])
    np.testing.assert_array_equal(share[0, 0], [1] * 5 + [0] * 5)
    assert np.isnan(mean[0, :, 5:]).all()


def test_on_nested_grids_the_spread_is_the_standard_deviation_of_the_block() -> None:
    values = (300 + noise()).astype(np.float32)
    values[3:7, 20:31] = np.nan
    values[0:9, 0:9] = 295
    mean, share, spread = area_moments(values[None], TARGET, M09)
    rows, columns = (size // 9 for size in values.shape)
    blocked = values.astype(np.float64).reshape(rows, 9, columns, 9)
    np.testing.assert_allclose(spread[0], np.nanstd(blocked, axis=(1, 3)), rtol=1e-5, atol=1e-6)
    assert spread[0, 0, 0] < 1e-6
    for ours, alone in zip((mean, share), area_mean(values[None], TARGET, M09), strict=True):
        np.testing.assert_array_equal(ours, alone)


def test_between_grids_that_do_not_nest_the_spread_weighs_pixels_by_their_overlap() -> None:
    source = GeoBox((1, 4), Affine(1, 0, 0, 0, -1, 1), "EPSG:6933")
    target = GeoBox((1, 1), Affine(2, 0, 0.5, 0, -1, 1), "EPSG:6933")
    values = np.array([[[1, 4, 7, 50]]], np.float32)
    _, _, spread = area_moments(values, source, target)
    weights, seen = np.array([0.5, 1, 0.5]), np.array([1, 4, 7])
    mean = (weights * seen).sum() / 2
    assert spread[0, 0, 0] == pytest.approx(((weights * (seen - mean) ** 2).sum() / 2) ** 0.5, abs=1e-6)
    assert np.isnan(area_moments(np.full_like(values, np.nan), source, target)[2]).all()


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, TARGET.shape.x - 1), side=st.integers(1, 7))
def test_pieces_and_blocks_change_nothing(cut: int, side: int) -> None:
    values = noise()
    values[values > 1.5] = np.nan
    expected, shares = area_mean(values[None], TARGET, M09)
    halves = [
        area_mean(values[None, :, part], TARGET[:, part], M09) for part in (slice(0, cut), slice(cut, TARGET.shape.x))
    ]
    merged, share = mean_of_pieces(halves, expected.shape)
    np.testing.assert_allclose(merged, expected, atol=1e-5)
    np.testing.assert_allclose(share, shares, atol=1e-5)
    for window in blocks(M09, side):
        part, _ = area_mean(values[None], TARGET, M09[window])
        np.testing.assert_allclose(part[0], expected[0][window], atol=1e-5)


def test_another_mean_fills_what_the_first_leaves_open() -> None:
    first = np.array([[1, 1, np.nan]], np.float32), np.array([[1, 0.25, 0]], np.float32)
    other = np.array([[5, 5, 5]], np.float32), np.array([[1, 1, 0.5]], np.float32)
    mean, share = filled(first, other)
    np.testing.assert_allclose(mean, [[1, 0.25 * 1 + 0.75 * 5, 5]])
    np.testing.assert_allclose(share, [[1, 1, 0.5]])


def test_join_fills_gaps_of_the_first_and_keeps_other_grids_apart() -> None:
    first = as_array(np.array([[1, np.nan, 1]]), TARGET[0:1, 0:3], "a", {"granules": ["p"]})
    second = as_array(np.array([[2, 2, 2]]), TARGET[0:1, 1:4], "a", {"granules": ["q"], "simulated": "true"})
    other = as_array(np.array([[3]]), geographic_geobox(1)[0:1, 0:1], "a", {})
    joined, apart = join([first, second, other])
    np.testing.assert_array_equal(joined, [[1, 2, 1, 2]])
    assert joined.odc.geobox == TARGET[0:1, 0:4]
    assert (joined.attrs["granules"], joined.attrs["simulated"]) == (["p", "q"], "true")
    assert apart.shape == (1, 1)


# --- rasters by name


def test_layers_are_opened_by_name_band_and_variable(tmp_path: Path) -> None:
    values = noise((3, *TARGET.shape.yx))
    write_raster(tmp_path / "a.tif", values[0])
    write_raster(tmp_path / "b.tif", values[:2])
    data = {name: as_array(values[2] + index, TARGET, name, {"units": "1"}) for index, name in enumerate(("x1", "x2"))}
    xr.Dataset(data).to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    stack = Stack.from_arguments(
        [f"lst={tmp_path}/a.tif", f"dem={tmp_path}/b.tif:2", f"ndvi={tmp_path}/c.nc:x2", f"my_own={tmp_path}/a.tif:1"]
    )
    assert stack.names == ["lst", "dem", "ndvi", "my_own"]
    assert (stack.units["lst"], stack.units["dem"], stack.units["my_own"]) == ("K", "m", "")
    assert stack.provenance == {"lst": "a.tif", "dem": "b.tif:2", "ndvi": "c.nc:x2", "my_own": "a.tif"}
    assert stack.sources == [tmp_path / name for name in ("a.tif", "b.tif", "c.nc")]
    expected = np.stack([values[0], values[1], values[2] + 1])
    np.testing.assert_array_equal(stack.read(names=["lst", "dem", "ndvi"]), expected)
    window = slice(5, 9), slice(2, 20)
    np.testing.assert_array_equal(stack.read(window, ["dem"])[0], values[1][window])


@pytest.mark.parametrize("nodata", [-3.4028234663852886e38, float("nan"), -9999.0])
def test_nodata_is_missing(tmp_path: Path, nodata: float) -> None:
    values = noise()
    values[2, 3] = nodata
    path = write_raster(tmp_path / "a.tif", values, nodata=nodata)
    read = Stack.from_arguments([f"a={path}"]).read()[0]
    assert np.argwhere(np.isnan(read)).tolist() == [[2, 3]]


def test_an_undeclared_fill_is_missing_and_scale_and_offset_are_applied(tmp_path: Path) -> None:
    values = noise()
    values[0, 0] = -3.4e38
    read = Stack.from_arguments([f"a={write_raster(tmp_path / 'a.tif', values)}"]).read()[0]
    assert np.argwhere(np.isnan(read)).tolist() == [[0, 0]]
    packed = write_raster(tmp_path / "b.tif", np.full(TARGET.shape.yx, 100, np.int16))
    with rasterio.open(packed, "r+") as file:
        file.scales, file.offsets = (0.02,), (5.0,)
    np.testing.assert_allclose(Stack.from_arguments([f"b={packed}"]).read(), 7, rtol=1e-6)


def test_a_folder_is_a_stack_with_its_water(tmp_path: Path) -> None:
    for name in ("ndvi", "DEM", "water"):
        write_raster(tmp_path / f"{name}.tif", np.full(TARGET.shape.yx, len(name), np.float32))
    (tmp_path / "readme.txt").touch()
    stack = Stack.from_folder(tmp_path)
    assert stack.names == ["DEM", "ndvi"]
    water = stack.read_water((slice(0, 2), slice(0, 3)))
    assert water is not None
    assert (water.shape, water[0, 0]) == ((2, 3), 5)
    assert Stack.from_arguments([str(tmp_path)]).names == stack.names
    assert Stack.from_arguments([f"ndvi={tmp_path}/ndvi.tif"]).read_water() is None


def test_a_layer_of_another_grid_is_averaged_onto_the_first(tmp_path: Path) -> None:
    fine = noise()
    first = write_raster(tmp_path / "a.tif", noise(M09.shape.yx), M09)
    second = write_raster(tmp_path / "b.tif", fine)
    stack = Stack.from_arguments([f"a={first}", f"b={second}"])
    np.testing.assert_allclose(stack.read(names=["b"])[0], block_means(fine, 9), atol=1e-6)
    # The same the other way round: nine by nine copies of the coarse value.
    stack = Stack.from_arguments([f"b={second}", f"a={first}"])
    copies = np.kron(Stack.from_arguments([f"a={first}"]).read()[0], np.ones((9, 9)))
    np.testing.assert_allclose(stack.read(names=["a"])[0], copies, atol=1e-5)
    assert Stack.from_arguments([f"b={second}"], like=M09).geobox == M09


def test_windows_put_together_are_the_whole(tmp_path: Path) -> None:
    box = geographic_geobox(0.01)[4760:4820, 29580:29630]
    write_raster(tmp_path / "a.tif", noise())
    write_raster(tmp_path / "b.tif", noise(box.shape.yx), box)
    stack = Stack.from_arguments([f"a={tmp_path}/a.tif", f"b={tmp_path}/b.tif"])
    whole = stack.read()
    parts = np.full_like(whole, -1)
    for rows, columns in blocks(stack.geobox, 11):
        parts[:, rows, columns] = stack.read((rows, columns))
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize(
    ("argument", "error", "text"),
    [
        ("lst", UsageError, "'lst' is neither a folder nor NAME=FILE"),
        ("=a.tif", UsageError, "neither a folder nor NAME=FILE"),
        ("lst={}/none.tif", DataError, "lst is to come from .*none.tif, which is no file"),
        ("lst={}/none.tif:2", DataError, "lst is to come from .*none.tif:2, which is no file"),
        ("lst={}/b.tif", DataError, "has 2 bands; say which one is lst"),
        ("lst={}/b.tif:3", DataError, "has no band 3, it has 2"),
        ("lst={}/text.tif", DataError, "text.tif cannot be read as a raster"),
        ("lst={}/no_crs.tif", DataError, "no_crs.tif .*has no coordinate reference system"),
        ("lst={}/b.tif:evi", UsageError, "is no NetCDF file"),
        ("lst={}/c.nc", DataError, "holds several variables; say which: .* one of x1, x2"),
        ("lst={}/c.nc:x3", DataError, "c.nc cannot be read as a raster"),
    ],
)
def test_an_argument_that_cannot_be_opened_says_why(
    tmp_path: Path, argument: str, error: type[Exception], text: str
) -> None:
    write_raster(tmp_path / "b.tif", noise((2, *TARGET.shape.yx)))
    (tmp_path / "text.tif").write_text("no raster")
    with rasterio.open(
        tmp_path / "no_crs.tif", "w", driver="GTiff", dtype="uint8", count=1, width=2, height=2,
        transform=Affine(1, 0, 5, 0, -1, 5),
    ) as file:  # fmt: skip
        file.write(np.ones((1, 2, 2), np.uint8))
    data = {name: as_array(noise(), TARGET, name, {}) for name in ("x1", "x2")}
    xr.Dataset(data).to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    with pytest.raises(error, match=text):
        Stack.from_arguments([argument.format(tmp_path)])


def test_names_given_twice_or_missing_are_named(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise())
    with pytest.raises(UsageError, match="The predictor a is given twice"):
        Stack.from_arguments([f"a={path}", f"a={path}"])
    with pytest.raises(DataError, match="The stack lacks lai, evi and holds a"):
        Stack.from_arguments([f"a={path}"]).read(names=["a", "lai", "evi"])
    with pytest.raises(UsageError, match="No predictor layer was given"):
        Stack.from_arguments([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no GeoTIFF"):
        Stack.from_folder(tmp_path / "empty")


# --- from native granules


def write_dem(folder: Path, values: np.ndarray, box: GeoBox, name: str = "30n090e") -> Path:
    return write_raster(folder / f"{name}_20101117_gmted_mea300.tif", values, box)


def dem_grid(area: Area = AREA) -> GeoBox:
    step = 1 / 120
    west, north = area.west - 0.3, area.north + 0.3
    return GeoBox((round((area.north - area.south + 0.6) / step), round((area.east - area.west + 0.6) / step)),
                  Affine(step, 0, west, 0, -step, north), "EPSG:4326")  # fmt: skip


def write_landsat(
    folder: Path, red: np.ndarray, box: GeoBox, quality: np.ndarray, path_and_day: str = "124031_20190925"
) -> None:
    scene = f"LC08_L2SP_{path_and_day}_20200825_02_T{1 if '50' in str(box.crs.to_epsg())[-2:] else 2}"
    for part, values in {
        **{f"SR_B{band}": red for band in range(2, 8)},
        "QA_PIXEL": quality,
        "QA_RADSAT": np.zeros_like(red),
    }.items():
        write_raster(folder / f"{scene}_{part}.TIF", values.astype(np.uint16), box)


def utm_grid(zone: int, pixel: float = 120.0) -> GeoBox:
    crs = f"EPSG:{32600 + zone}"
    bounds = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform_bounds(115.6, 41.6, 116.5, 42.5)
    west, north = np.floor(bounds[0] / pixel) * pixel, np.ceil(bounds[3] / pixel) * pixel
    return GeoBox((round((north - bounds[1]) / pixel), round((bounds[2] - west) / pixel)),
                  Affine(pixel, 0, west, 0, -pixel, north), crs)  # fmt: skip


def test_granules_become_a_stack_of_area_means(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    grid = dem_grid()
    heights = np.random.default_rng(0).integers(500, 1500, grid.shape.yx).astype(np.int16)
    write_dem(data, heights, grid)
    stack = build_stack([data], ["slope", "dem"], TARGET, DAY, tmp_path / "out" / "stack")
    assert stack.names == ["slope", "dem"]
    assert stack.geobox == TARGET
    expected, _ = area_mean(heights[None].astype(np.float32), grid, TARGET)
    np.testing.assert_allclose(stack.read(names=["dem"]), expected, rtol=1e-5)
    assert (stack.products, stack.granules) == (["GMTED2010"], ["30n090e_20101117_gmted_mea300"])
    assert stack.sources == sorted(data.iterdir())
    assert not stack.simulated
    with rasterio.open(tmp_path / "out" / "stack" / "dem.tif") as file:
        assert (file.dtypes, file.descriptions, file.units) == (("float32",), ("dem",), ("m",))
        assert np.isnan(file.nodata)
        assert file.tags()["date"] == "2019-09-25"
        assert float(file.tags()["valid_share"]) == pytest.approx(1, abs=1e-5)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["stack"]
    assert Stack.from_folder(tmp_path / "out" / "stack").provenance == stack.provenance


def test_a_seam_between_tiles_does_not_show(tmp_path: Path) -> None:
    grid = dem_grid()
    heights = np.random.default_rng(0).integers(500, 1500, grid.shape.yx).astype(np.int16)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    write_dem(tmp_path / "one", heights, grid)
    write_dem(tmp_path / "two", heights[:, :50].copy(), grid[:, :50])
    write_dem(tmp_path / "two", heights[:, 50:].copy(), grid[:, 50:], "30n120e")
    one, two = (
        build_stack([tmp_path / name], ["dem", "slope"], TARGET, DAY, tmp_path / f"{name}.stack")
        for name in ("one", "two")
    )
    np.testing.assert_allclose(two.read(), one.read(), rtol=1e-5)
    assert np.isfinite(two.read()).all()


def test_landsat_is_averaged_over_clear_pixels_with_its_water(tmp_path: Path) -> None:
    grid = utm_grid(50)
    quality = np.full(grid.shape.yx, 21824)
    x, y = Transformer.from_crs("EPSG:6933", "EPSG:32650", always_xy=True).transform(
        *(TARGET.affine * (TARGET.shape.x / 2, TARGET.shape.y / 2))
    )
    column, row = (int(part) for part in ~grid.affine * (x, y))
    quality[:, :column] = 21952  # water in the west
    quality[:row] = 22280  # cloud in the north
    red = np.full(grid.shape.yx, 12000)
    red[:row] = 40000
    write_landsat(tmp_path, red, grid, quality)
    stack = build_stack([tmp_path], ["red"], TARGET, DAY, tmp_path / "stack")
    values, water = stack.read()[0], stack.read_water()
    assert water is not None
    assert np.isnan(values[: TARGET.shape.y // 2 - 2]).all()
    south = slice(TARGET.shape.y // 2 + 2, None)
    np.testing.assert_allclose(values[south], 12000 * 2.75e-05 - 0.2, atol=1e-5)
    edges = water[south, : TARGET.shape.x // 2 - 2].min(), water[south, TARGET.shape.x // 2 + 2 :].max()
    assert edges == pytest.approx((1, 0), abs=1e-6)


def test_scenes_of_two_utm_zones_merge_without_a_seam(tmp_path: Path) -> None:
    """The same field, linear in longitude, in both zones; each zone is cloudy on its far side."""
    for zone in (50, 51):
        grid = utm_grid(zone)
        rows, columns = np.mgrid[: grid.shape.y, : grid.shape.x] + 0.5
        longitude, _ = Transformer.from_crs(str(grid.crs), "EPSG:4326", always_xy=True).transform(
            grid.affine.c + grid.affine.a * columns, grid.affine.f + grid.affine.e * rows
        )
        red = np.rint(20000 + 10000 * (longitude - 116))
        cloudy = longitude > 116.1 if zone == 50 else longitude < 116.0
        write_landsat(tmp_path, red, grid, np.where(cloudy, 22280, 21824))
    values = build_stack([tmp_path], ["red"], TARGET, DAY, tmp_path / "stack").read()[0]
    x = TARGET.affine.c + TARGET.affine.a * (np.arange(TARGET.shape.x) + 0.5)
    longitude, _ = Transformer.from_crs("EPSG:6933", "EPSG:4326", always_xy=True).transform(x, np.full(x.size, 4.9e6))
    expected = (20000 + 10000 * (longitude - 116)) * 2.75e-05 - 0.2
    # A pixel that one zone sees in part leans to that side: a tenth of the change from pixel to pixel.
    step = np.diff(expected).mean()
    assert np.abs(values - expected).max() < 0.3 * step
    assert np.median(np.abs(values - expected)) < 0.01 * step


def test_scenes_of_other_days_fill_the_gaps_the_nearest_first(tmp_path: Path) -> None:
    grid = utm_grid(50)
    clear = np.full(grid.shape.yx, 21824)
    middle = Transformer.from_crs("EPSG:6933", "EPSG:32650", always_xy=True).transform(
        *(TARGET.affine * (TARGET.shape.x / 2, TARGET.shape.y / 2))
    )
    column, row = (int(part) for part in ~grid.affine * middle)
    east, north_west = clear.copy(), clear.copy()
    east[:, column:] = 22280
    north_west[:row, :column] = 22280
    days = {"124031_20190925": (12000, east), "123031_20190918": (16000, north_west), "123031_20191004": (20000, clear)}
    for scene, (red, quality) in days.items():
        write_landsat(tmp_path, np.full(grid.shape.yx, red), grid, quality, scene)
    write_landsat(tmp_path, np.full(grid.shape.yx, 30000), grid, clear, "123031_20190820")
    stack = build_stack([tmp_path], ["red"], TARGET, DAY, tmp_path / "stack")
    values = stack.read()[0]
    # West: 25 September, although later scenes saw it too. East: 18 September, although 4 October did as well.
    west, right = slice(0, TARGET.shape.x // 2 - 2), slice(TARGET.shape.x // 2 + 2, None)
    np.testing.assert_allclose(values[:, west], 12000 * 2.75e-05 - 0.2, atol=1e-5)
    np.testing.assert_allclose(values[:, right], 16000 * 2.75e-05 - 0.2, atol=1e-5)
    between = values[:, TARGET.shape.x // 2 - 2 : TARGET.shape.x // 2 + 2]
    assert ((between > 0.129) & (between < 0.241)).all()
    assert [name[10:25] for name in stack.provenance["red"].split(", ")] == ["124031_20190925", "123031_20190918"]
    with rasterio.open(tmp_path / "stack" / "red.tif") as file:
        assert float(file.tags()["filled_share"]) == pytest.approx(0.5, abs=0.05)


def test_a_day_that_leaves_no_gap_is_alone(tmp_path: Path) -> None:
    grid = utm_grid(50)
    for scene, red in (("124031_20190925", 12000), ("123031_20190918", 16000)):
        write_landsat(tmp_path, np.full(grid.shape.yx, red), grid, np.full(grid.shape.yx, 21824), scene)
    stack = build_stack([tmp_path], ["red"], TARGET, DAY, tmp_path / "stack")
    np.testing.assert_allclose(stack.read(), 12000 * 2.75e-05 - 0.2, atol=1e-5)
    assert [name[10:25] for name in stack.granules] == ["124031_20190925"]
    with rasterio.open(tmp_path / "stack" / "red.tif") as file:
        assert "filled_share" not in file.tags()


def test_an_elevation_file_of_the_user_is_cut_into_blocks_by_its_own_pixel(tmp_path: Path) -> None:
    box = utm_grid(50, 10.0)[3000:3700, 3000:3900]
    write_raster(tmp_path / "my_dem.tif", np.full(box.shape.yx, 700, np.float32), box)
    west, south, east, north = area_of(box).bounds
    target = target_geobox(Area(west + 0.01, south + 0.01, east - 0.01, north - 0.01))
    stack = build_stack([tmp_path], ["dem", "slope"], target, DAY, tmp_path / "stack")
    middle = stack.read()[:, target.shape.y // 2, target.shape.x // 2]
    np.testing.assert_allclose(middle, [700, 0], atol=1e-4)
    assert stack.products == ["DEM"]
    (source,) = choose_sources([tmp_path / "my_dem.tif"], ["dem"], DAY, {})
    job = _Job(source, _reader(source, DAY), target)
    assert job.windows[0] == (slice(0, min(16, target.shape.y)), slice(0, min(16, target.shape.x)))


def test_a_layer_without_granules_is_named_with_the_products_that_deliver_it(tmp_path: Path) -> None:
    write_dem(tmp_path, np.zeros(dem_grid().shape.yx, np.int16), dem_grid())
    (tmp_path / "MOD13A2.A2019001.h26v04.061.1.hdf").touch()
    with pytest.raises(DataError) as caught:
        build_stack([tmp_path], ["dem", "lai", "ndvi"], TARGET, DAY, tmp_path / "stack")
    text = str(caught.value)
    assert "No granule for the predictor lai, ndvi on 2019-09-25" in text
    assert "MCD15A2H" in text
    assert "2019-01-09" in text
    assert "\n" not in text
    assert not (tmp_path / "stack").exists()


def test_an_unknown_layer_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="No predictor layer named 'ndvy'.*Did you mean 'ndvi'"):
        build_stack([tmp_path], ["ndvy"], TARGET, DAY, tmp_path / "stack")


def test_granules_of_another_place_leave_nothing_behind(tmp_path: Path) -> None:
    elsewhere = dem_grid(Area(100, 30, 100.5, 30.5))
    write_dem(tmp_path, np.zeros(elsewhere.shape.yx, np.int16), elsewhere)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DataError, match="The predictor dem has no valid pixel in the area on 2019-09-25: GMTED2010"):
        build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "stack")
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_that_is_a_file_is_refused_and_a_folder_in_use_is_updated(tmp_path: Path) -> None:
    grid = dem_grid()
    write_dem(tmp_path, np.ones(grid.shape.yx, np.int16), grid)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file, which is a file; give a folder"):
        build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "file")
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack" / "note.txt").touch()
    build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "stack")
    assert sorted(path.name for path in (tmp_path / "stack").iterdir()) == ["dem.tif", "note.txt"]


def test_of_two_products_the_first_by_name_is_taken_unless_another_is_asked_for(tmp_path: Path) -> None:
    grid = dem_grid()
    write_dem(tmp_path, np.full(grid.shape.yx, 1, np.int16), grid)
    write_raster(tmp_path / "Copernicus_DSM_COG_10_N41_00_E115_00_DEM.tif", np.full(grid.shape.yx, 2, np.float32), grid)
    first = build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "first")
    other = build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "other", products={"dem": "GMTED2010"})
    assert (first.products, first.read().max()) == (["COPDEM"], 2)
    assert (other.products, other.read().max()) == (["GMTED2010"], 1)
    with pytest.raises(UnknownNameError, match="product for the layer 'dem' named 'MOD11A2'"):
        build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "third", products={"dem": "MOD11A2"})


def test_pixels_with_too_little_valid_area_are_missing(tmp_path: Path) -> None:
    grid = dem_grid()
    heights = np.full(grid.shape.yx, 100, np.int16)
    heights[:, ::2] = -32768
    write_dem(tmp_path, heights, grid)
    lenient = build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "a", min_valid=0.1).read()
    strict = build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "b", min_valid=0.7).read()
    assert np.isfinite(lenient).all()
    assert np.isnan(strict).mean() > 0.5


def test_simulated_granules_make_a_simulated_stack(tmp_path: Path) -> None:
    path = write_dem(tmp_path, np.ones(dem_grid().shape.yx, np.int16), dem_grid())
    with rasterio.open(path, "r+") as file:
        file.update_tags(TIFFTAG_IMAGEDESCRIPTION="Simulated data")
    build_stack([tmp_path], ["dem"], TARGET, DAY, tmp_path / "stack")
    assert Stack.from_folder(tmp_path / "stack").simulated


# --- coarse cells


def coarse_stack(folder: Path, values: np.ndarray, water: np.ndarray | None = None) -> Stack:
    write_raster(folder / "ndvi.tif", values)
    if water is not None:
        write_raster(folder / "water.tif", water)
    return Stack.from_folder(folder)


def test_coarse_means_leave_out_water_and_missing_pixels(tmp_path: Path) -> None:
    values, water = noise(), np.zeros(TARGET.shape.yx, np.float32)
    values[0:3, 0:9] = np.nan
    water[9:13, 9:18] = 0.8
    water[20:27] = 0.3
    means = coarse_means(coarse_stack(tmp_path, values, water), ["ndvi"], M09)
    expected = block_means(np.where(water > 0.5, np.nan, values), 9)
    np.testing.assert_allclose(means["ndvi"], expected, atol=1e-6)
    share = means["valid_share"].sel(layer="ndvi")
    np.testing.assert_allclose([share[0, 0], share[1, 1], share[2, 2]], [6 / 9, 5 / 9, 1], atol=1e-6)
    np.testing.assert_allclose(means["water"], block_means(water, 9), atol=1e-6)
    assert means["ndvi"].attrs["units"] == "1"
    assert means["ndvi"].odc.geobox == M09
    land = np.where(water > 0.5, np.nan, values).astype(float)
    inside = np.nanstd(land.reshape(expected.shape[0], 9, expected.shape[1], 9), axis=(1, 3))
    np.testing.assert_allclose(means["spread"].sel(layer="ndvi"), inside, rtol=1e-5)


def test_cells_with_too_little_valid_land_are_missing(tmp_path: Path) -> None:
    values = noise()
    values[0:5, 0:9] = np.nan
    stack = coarse_stack(tmp_path, values)
    assert np.argwhere(np.isnan(coarse_means(stack, ["ndvi"], M09)["ndvi"].to_numpy())).tolist() == [[0, 0]]
    assert coarse_means(stack, ["ndvi"], M09, min_valid=0.4)["ndvi"].notnull().all()


def test_the_water_mask_can_be_left_out(tmp_path: Path) -> None:
    values, water = noise(), np.ones(TARGET.shape.yx, np.float32)
    stack = coarse_stack(tmp_path, values, water)
    means = coarse_means(stack, ["ndvi"], M09, water_mask=False)
    np.testing.assert_allclose(means["ndvi"], block_means(values, 9), atol=1e-6)
    with pytest.raises(DataError, match="The predictor ndvi has no valid pixel in any of the"):
        coarse_means(stack, ["ndvi"], M09)


def test_coarse_means_do_not_depend_on_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = coarse_stack(tmp_path, noise())
    cells = as_array(np.zeros((4, 5)), cells_in(geographic_geobox(0.1), AREA)[:4, :5], "sm", {})
    whole = coarse_means(stack, ["ndvi"], cells, min_valid=0)
    monkeypatch.setattr("zoo.stack.coarse.FINE_SIDE", 12)
    np.testing.assert_allclose(coarse_means(stack, ["ndvi"], cells, min_valid=0)["ndvi"], whole["ndvi"], atol=1e-5)


def test_window_near_covers_every_pixel_that_touches_the_area() -> None:
    window = window_near(TARGET, Area(116.0, 42.0, 116.01, 42.01), margin=0)
    assert window is not None
    part = area_of(TARGET[window])
    assert part.west <= 116.0 < 116.01 <= part.east
    assert part.south <= 42.0 < 42.01 <= part.north
    assert window_near(TARGET, Area(0, 0, 1, 1)) is None
