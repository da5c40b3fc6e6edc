"""EASE-Grid 2.0 against published cell centres, and the laws that grids have to keep."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pyproj
import pytest
import rasterio
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin

from zoo import grids
from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.types import Area

SHANDIAN = Area(115.5, 41.5, 116.5, 42.5)

# Row, column, latitude, longitude of SPL4SMGP cells as its own files give them (float32).
PUBLISHED_M09 = [
    (465, 2865, 25.256832122802734, 87.52593994140625),
    (469, 2869, 24.94568252563477, 87.89938354492188),
    (474, 2827, 24.557823181152344, 83.97821807861328),
    (477, 2831, 24.325672149658203, 84.3516616821289),
]


@st.composite
def areas(draw: st.DrawFn) -> Area:
    west = draw(st.floats(-179, 175))
    south = draw(st.floats(-80, 75))
    return Area(west, south, west + draw(st.floats(0.5, 4)), south + draw(st.floats(0.5, 4)))


def centre_of(row: int, column: int, name: str) -> tuple[float, float]:
    lon, lat = grids.centres(grids.ease2_geobox(name))
    return float(lon[0, column]), float(lat[row, 0])


@pytest.mark.parametrize(("row", "column", "lat", "lon"), PUBLISHED_M09)
def test_m09_cells_lie_where_smap_says(row: int, column: int, lat: float, lon: float) -> None:
    assert centre_of(row, column, "M09") == pytest.approx((lon, lat), abs=1e-4)
    rows, columns = grids.ease2_cells(lon, lat, "M09")
    assert (int(rows), int(columns)) == (row, column)


@pytest.mark.real
def test_m09_cells_agree_with_an_excerpt_of_spl4smgp(real_data: Path) -> None:
    with (real_data / "ease2" / "SPL4SMGP_M09_cells_excerpt.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    for cell in rows:
        lon, lat = centre_of(int(cell["row"]), int(cell["col"]), "M09")
        assert lat == pytest.approx(float(cell["latitude"]), abs=1e-4)
        assert lon == pytest.approx(float(cell["longitude"]), abs=1e-4)


@pytest.mark.real
def test_every_m36_centre_agrees_with_nsidc0772(real_data: Path) -> None:
    with h5py.File(real_data / "ease2" / "NSIDC0772_LatLon_EASE2_M36km_v1.0.nc") as file:
        latitude, longitude = file["latitude"][:], file["longitude"][:]
        x, y = file["x"][:], file["y"][:]
    box = grids.ease2_geobox("M36")
    lon, lat = grids.centres(box)
    assert latitude.shape == box.shape.yx == (406, 964)
    np.testing.assert_allclose(np.broadcast_to(lat, box.shape.yx), latitude, atol=1e-6)
    np.testing.assert_allclose(np.broadcast_to(lon, box.shape.yx), longitude, atol=1e-6)
    np.testing.assert_allclose(box.coordinates["x"].values, x, atol=1e-3)
    np.testing.assert_allclose(box.coordinates["y"].values, y, atol=1e-3)
    row, column = grids.ease2_cells(longitude, latitude, "M36")
    assert (row == np.arange(406)[:, None]).all()
    assert (column == np.arange(964)[None, :]).all()


@pytest.mark.parametrize(
    ("name", "shape", "cell"),
    [
        ("M36", (406, 964), 36032.220840584),
        ("M09", (1624, 3856), 9008.055210146),
        ("M03", (4872, 11568), 3002.6850700487),
        ("M01", (14616, 34704), 1000.89502334956),
    ],
)
def test_sizes_are_those_of_the_grid_definitions(name: str, shape: tuple[int, int], cell: float) -> None:
    box = grids.ease2_geobox(name)
    assert box.shape.yx == shape
    assert box.resolution.x == pytest.approx(cell, abs=1e-9)
    assert (box.affine.c, box.affine.f) == pytest.approx((-17367530.4451615, 7314540.8306386), abs=1e-6)


def test_an_unknown_grid_lists_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"M25.*M01, M03, M09, M36"):
        grids.ease2_geobox("M25")


@given(st.floats(-180, 179.999), st.floats(-84.9, 84.9))
def test_a_point_falls_in_the_cell_that_its_projection_says_and_grids_nest(lon: float, lat: float) -> None:
    x, y = pyproj.Proj("EPSG:6933")(lon, lat)
    row, column = (int(value) for value in grids.ease2_cells(lon, lat, "M01"))
    assert column - 1e-6 <= (x + 17367530.4451615) / 1000.89502334956 <= column + 1 + 1e-6
    assert row - 1e-6 <= (7314540.8306386 - y) / 1000.89502334956 <= row + 1 + 1e-6
    for name, parts in (("M03", 3), ("M09", 9), ("M36", 36)):
        coarse = tuple(int(value) for value in grids.ease2_cells(lon, lat, name))
        assert coarse == (row // parts, column // parts)


def test_points_off_the_grid_have_no_cell_and_the_date_line_has_the_last() -> None:
    row, column = grids.ease2_cells([0, 0, np.nan, 180, -180], [85.1, -89, 0, 10, 10], "M36")
    assert row[:3].tolist() == column[:3].tolist() == [-1, -1, -1]
    assert column[3:].tolist() == [963, 0]


@settings(max_examples=40, deadline=None)
@given(areas(), st.sampled_from(["M36", "M09"]))
def test_cells_in_takes_exactly_the_centres_in_the_area(area: Area, name: str) -> None:
    whole = grids.ease2_geobox(name)
    lon, lat = grids.centres(whole)
    columns = np.flatnonzero((lon[0] >= area.west) & (lon[0] <= area.east))
    rows = np.flatnonzero((lat[:, 0] >= area.south) & (lat[:, 0] <= area.north))
    if rows.size and columns.size:
        expected = whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert grids.cells_in(whole, area) == expected
        assert grids.crop_mask(expected, area).all()
    else:
        with pytest.raises(DataError, match="No cell"):
            grids.cells_in(whole, area)


@pytest.mark.parametrize("crs", ["EPSG:32650", "+proj=sinu +lon_0=0 +R=6371007.181 +units=m"])
def test_an_area_in_a_crooked_projection_is_bounded_and_masked(crs: str) -> None:
    box = grids.target_geobox(Area(114, 40, 118, 44), crs=crs, resolution=2000)
    part = grids.cells_in(box, SHANDIAN)
    x, y = np.meshgrid(box.coordinates["x"].values, box.coordinates["y"].values)
    lon, lat = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    inside = (lon >= 115.5) & (lon <= 116.5) & (lat >= 41.5) & (lat <= 42.5)
    assert grids.crop_mask(part, SHANDIAN).sum() == inside.sum() > 1000
    assert part.shape.yx == (inside.any(axis=1).sum(), inside.any(axis=0).sum())
    assert not grids.crop_mask(part, SHANDIAN).all()


def test_an_empty_area_names_what_the_data_cover() -> None:
    here = grids.cells_in(grids.ease2_geobox("M36"), SHANDIAN)
    with pytest.raises(DataError, match=r"area 0 0 1 1; the data cover 115\.39 41\.62"):
        grids.cells_in(here, Area(0, 0, 1, 1))


@settings(max_examples=40, deadline=None)
@given(areas())
def test_the_map_is_made_of_whole_9_km_cells_and_covers_the_area(area: Area) -> None:
    target, coarse = grids.target_geobox(area), grids.ease2_geobox("M09")
    rows, columns = target.shape.yx
    assert rows % 9 == columns % 9 == 0
    assert grids.nests(target, coarse)
    west, south, east, north = grids.geographic_bounds(target)
    assert west <= area.west + 1e-6
    assert east >= area.east - 1e-6
    assert south <= area.south + 1e-6
    assert north >= area.north - 1e-6
    row, column = grids.ease2_cells([area.west, area.east], [area.north, area.south], "M09")
    assert rows // 9 <= row[1] - row[0] + 1
    assert columns // 9 <= column[1] - column[0] + 1


def test_an_area_of_one_cell_gives_one_cell() -> None:
    cell = grids.ease2_geobox("M09")[465:466, 2865:2866]
    target = grids.target_geobox(Area(*grids.geographic_bounds(cell)))
    assert target.shape.yx == (9, 9)


@pytest.mark.parametrize(
    ("fine", "coarse", "expected"),
    [
        ("M01", "M09", True),
        ("M09", "M36", True),
        ("M01", "M36", True),
        ("M36", "M09", False),
        ("M09", "M09", True),
    ],
)
def test_nesting_of_the_ease_grids(fine: str, coarse: str, expected: bool) -> None:
    assert grids.nests(grids.ease2_geobox(fine), grids.ease2_geobox(coarse)) is expected


def test_other_systems_and_shifted_grids_do_not_nest() -> None:
    m09, m01 = grids.ease2_geobox("M09"), grids.ease2_geobox("M01")
    assert not grids.nests(m01, grids.geographic_geobox(0.25))
    assert not grids.nests(m01.translate_pix(0.4, 0), m09)
    assert grids.nests(m01.translate_pix(-5, 3), m09)


def test_a_quarter_degree_grid_has_the_centres_of_lprm() -> None:
    lon, lat = grids.centres(grids.geographic_geobox(0.25))
    np.testing.assert_allclose(lat[:, 0], 89.875 - 0.25 * np.arange(720), atol=1e-9)
    np.testing.assert_allclose(lon[0], -179.875 + 0.25 * np.arange(1440), atol=1e-9)


def test_an_array_keeps_its_grid_values_and_time() -> None:
    box = grids.target_geobox(SHANDIAN)
    values = np.random.default_rng(0).random(box.shape.yx)
    moment = datetime(2019, 9, 25, 10, 30, tzinfo=UTC)
    array = grids.as_array(values, box, "soil_moisture", {"units": "m3 m-3"}, moment)
    assert array.dims == ("y", "x")
    assert array.dtype == np.float32
    assert array.attrs == {"units": "m3 m-3"}
    assert array.time.values == np.datetime64("2019-09-25T10:30", "ns")
    assert grids.geobox_of(array) == box
    part = grids.geobox_of(array[9:18, 18:27])
    assert part.shape.yx == (9, 9)
    assert tuple(part.affine) == pytest.approx(tuple(box[9:18, 18:27].affine), abs=1e-3)
    np.testing.assert_allclose(array.values, values, atol=1e-7)


def test_an_array_in_degrees_is_also_named_y_and_x() -> None:
    box = grids.cells_in(grids.geographic_geobox(0.1), SHANDIAN)
    array = grids.as_array(np.zeros(box.shape.yx), box, "soil_moisture", {})
    assert array.dims == ("y", "x")
    assert grids.geobox_of(array) == box


def test_an_array_without_crs_is_refused() -> None:
    with pytest.raises(DataError, match="spatial_ref"):
        grids.geobox_of(xr.DataArray(np.zeros((2, 2)), dims=("y", "x")))


def test_like_takes_the_grid_of_a_raster_and_cuts_it(tmp_path: Path) -> None:
    path = tmp_path / "like.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "height": 40, "width": 30}
    transform = from_origin(115, 43, 0.1, 0.1)
    with rasterio.open(path, "w", crs="EPSG:4326", transform=transform, **profile) as out:
        out.write(np.zeros((1, 40, 30), np.float32))
    assert grids.target_geobox(None, like=path).shape.yx == (40, 30)
    cut = grids.target_geobox(SHANDIAN, like=path)
    assert cut.shape.yx == (10, 10)
    assert (cut.affine.c, cut.affine.f) == pytest.approx((115.5, 42.5))


def test_like_needs_a_raster_with_a_crs(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no raster")
    with pytest.raises(DataError, match=r"notes\.txt cannot be read as a raster"):
        grids.target_geobox(SHANDIAN, like=text)


def test_a_chosen_crs_lies_on_multiples_of_the_resolution() -> None:
    box = grids.target_geobox(SHANDIAN, crs="EPSG:32650", resolution=500)
    assert box.resolution.x == 500
    assert box.affine.c % 500 == box.affine.f % 500 == 0
    west, south, east, north = grids.geographic_bounds(box)
    assert west <= 115.5 < 116.5 <= east
    assert south <= 41.5 < 42.5 <= north


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"area": None}, "give --area"),
        ({"area": SHANDIAN, "crs": "EPSG:32650"}, "give both"),
        ({"area": SHANDIAN, "resolution": 1000.0}, "give both"),
        ({"area": SHANDIAN, "crs": "EPSG:32650", "resolution": -1.0}, "positive"),
        ({"area": SHANDIAN, "crs": "no such", "resolution": 1.0}, "not a coordinate reference system"),
        ({"area": SHANDIAN, "crs": "EPSG:32650", "like": Path("a.tif")}, "either --like"),
        ({"area": Area(0, 86, 1, 87)}, "ends at latitude"),
    ],
)
def test_options_that_make_no_grid_say_what_to_give(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        grids.target_geobox(**options)  # type: ignore[arg-type]
