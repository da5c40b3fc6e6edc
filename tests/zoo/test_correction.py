"""The corrected map keeps the sensor's mean, its own texture, and the physical bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr
from pyproj import Transformer

from zoo.correction import correct
from zoo.errors import DataError, UsageError
from zoo.grids import ease2_geobox

Field = npt.NDArray[np.float64]


def grids(rows: int, columns: int, ratio: int) -> tuple[GeoBox, GeoBox]:
    """A fine grid and the coarse grid that it nests in."""
    coarse = GeoBox.from_bbox((0, 0, columns * ratio, rows * ratio), "EPSG:6933", resolution=ratio)
    return GeoBox.from_bbox((0, 0, columns * ratio, rows * ratio), "EPSG:6933", resolution=1), coarse


def sensor(values: Field, box: GeoBox) -> xr.DataArray:
    return wrap_xr(values.astype(np.float32), box)


def cell_means(fine: Field, ratio: int) -> Field:
    """Means over valid pixels by plain reshaping; NaN where a cell has none."""
    height, width = fine.shape[0] // ratio, fine.shape[1] // ratio
    blocks = fine.reshape(height, ratio, width, ratio).transpose(0, 2, 1, 3).reshape(height, width, -1)
    valid = np.isfinite(blocks)
    count = valid.sum(-1)
    return np.where(count > 0, np.where(valid, blocks, 0).sum(-1) / np.maximum(count, 1), np.nan)


@st.composite
def scenes(draw: st.DrawFn) -> tuple[Field, Field, int, tuple[float, float]]:
    rows, columns, ratio = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bounds = draw(st.sampled_from([(0.0, 1.0), (0.02, 0.6), (0.1, 0.3)]))
    fine = rng.uniform(*bounds, (rows * ratio, columns * ratio))
    coarse = rng.uniform(*bounds, (rows, columns)).astype(np.float32).astype(float)
    if draw(st.booleans()):  # at the bounds, where only one map will do
        coarse[rng.random(coarse.shape) < 0.3] = draw(st.sampled_from(bounds))
    fine[rng.random(fine.shape) < draw(st.sampled_from([0, 0.3, 0.9]))] = np.nan
    coarse[rng.random(coarse.shape) < draw(st.sampled_from([0, 0.4]))] = np.nan
    return fine, coarse, ratio, bounds


@given(scenes())
@settings(max_examples=150, deadline=None)
def test_exact_gives_every_observed_cell_its_mean_within_the_bounds(
    scene: tuple[Field, Field, int, tuple[float, float]],
) -> None:
    fine, coarse, ratio, bounds = scene
    fine_box, coarse_box = grids(*coarse.shape, ratio)
    means = cell_means(fine, ratio)
    observed = np.isfinite(means) & np.isfinite(coarse)
    if not observed.any():
        with pytest.raises(DataError, match="no coarse cell with a value"):
            correct(fine, fine_box, sensor(coarse, coarse_box), "exact", bounds)
        return
    found, report = correct(fine, fine_box, sensor(coarse, coarse_box), "exact", bounds)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(fine))
    assert np.nanmin(found) >= bounds[0]
    assert np.nanmax(found) <= bounds[1]
    inside = np.clip(coarse, *bounds)  # the bounds as float32 numbers may lie 1e-8 outside
    np.testing.assert_allclose(cell_means(found, ratio)[observed], inside[observed], rtol=0, atol=1e-6)
    before = (coarse - means)[observed]
    assert report.cells == observed.sum()
    assert report.rms_before == pytest.approx(np.sqrt(np.mean(before**2)), abs=1e-7)


@given(scenes(), st.sampled_from(["none", "smooth", "exact"]))
@settings(max_examples=50, deadline=None)
def test_map_that_agrees_already_is_left_alone(scene: tuple[Field, Field, int, tuple[float, float]], mode: Any) -> None:
    fine, _, ratio, bounds = scene
    means = cell_means(fine, ratio)
    if not np.isfinite(means).any():
        return
    fine_box, coarse_box = grids(*means.shape, ratio)
    found, _ = correct(fine, fine_box, sensor(means, coarse_box), mode, bounds)
    np.testing.assert_allclose(found, fine, rtol=0, atol=2e-7)


def test_smooth_adds_a_residual_that_is_a_plane_as_that_plane() -> None:
    fine_box, coarse_box = grids(6, 8, 9)
    y, x = np.mgrid[0.5:54, 0.5:72]
    plane = 0.001 * x - 0.0005 * y + 0.02
    fine = np.random.default_rng(0).uniform(0.2, 0.3, (54, 72))
    found, report = correct(fine, fine_box, sensor(cell_means(fine + plane, 9), coarse_box), "smooth")
    inner = slice(5, -5), slice(5, -5)  # between the centres of the outermost cells
    np.testing.assert_allclose((found - fine)[inner], plane[inner], rtol=0, atol=1e-6)
    assert report.rms_after is not None
    assert report.rms_before is not None
    assert report.rms_after < report.rms_before / 5


def test_exact_shows_less_of_the_cells_edges_than_a_flat_shift() -> None:
    rng = np.random.default_rng(1)
    fine_box, coarse_box = grids(8, 8, 9)
    coarse = rng.uniform(0.15, 0.35, (8, 8))
    found, _ = correct(np.full((72, 72), 0.25), fine_box, sensor(coarse, coarse_box), "exact")
    flat = np.kron(coarse, np.ones((9, 9)))
    jump = np.abs(np.diff(found, axis=1))[:, 8::9].mean()
    assert jump < np.abs(np.diff(flat, axis=1))[:, 8::9].mean() / 2


def test_value_out_of_bounds_is_reached_as_far_as_they_allow() -> None:
    fine_box, coarse_box = grids(1, 2, 3)
    found, report = correct(np.full((3, 6), 0.3), fine_box, sensor(np.array([[1.2, 0.3]]), coarse_box), "exact")
    np.testing.assert_allclose(cell_means(found, 3), [[1.0, 0.3]], atol=1e-6)
    assert report.out_of_reach == 1


def test_map_far_from_any_observation_is_left_alone() -> None:
    fine_box, coarse_box = grids(1, 20, 3)
    coarse = np.full((1, 20), np.nan)
    coarse[0, 0] = 0.4
    found, _ = correct(np.full((3, 60), 0.2), fine_box, sensor(coarse, coarse_box), "exact")
    np.testing.assert_allclose(found[:, 45:], 0.2, atol=1e-6)
    assert found[0, 4] > 0.3


def test_grids_that_do_not_nest_assign_a_pixel_to_the_cell_that_holds_its_centre() -> None:
    coarse_box = ease2_geobox("M09")[250:256, 600:606]
    to_metres = Transformer.from_crs(4326, 6933, always_xy=True)
    (west, east), (north, south) = to_metres.transform(
        *(coarse_box.affine * (np.array([0, 6]), np.array([0, 6]))), direction="INVERSE"
    )
    fine_box = GeoBox.from_bbox((west, south, east, north), "EPSG:4326", resolution=0.01)
    rng = np.random.default_rng(2)
    fine, coarse = rng.uniform(0.1, 0.4, fine_box.shape.yx), rng.uniform(0.1, 0.4, (6, 6)).astype(np.float32)
    found, report = correct(fine, fine_box, sensor(coarse, coarse_box), "exact")
    longitude, latitude = fine_box.coordinates["longitude"].values, fine_box.coordinates["latitude"].values
    x, y = to_metres.transform(*np.meshgrid(longitude, latitude))
    affine = coarse_box.affine
    column, row = np.floor((x - affine.c) / affine.a), np.floor((y - affine.f) / affine.e)
    assert report.cells == 36
    for index in np.ndindex(6, 6):
        mine = (row == index[0]) & (column == index[1])
        assert found[mine].mean() == pytest.approx(coarse[index], abs=1e-6)


def test_none_changes_nothing_and_reports_the_residuals() -> None:
    fine_box, coarse_box = grids(1, 2, 3)
    fine = np.full((3, 6), 0.3)
    found, report = correct(fine, fine_box, sensor(np.array([[0.4, 0.2]]), coarse_box), "none")
    np.testing.assert_array_equal(found, fine)
    assert report.rms_before == report.rms_after == pytest.approx(0.1, abs=1e-6)


def test_unknown_mode_is_refused() -> None:
    fine_box, coarse_box = grids(1, 1, 3)
    with pytest.raises(UsageError, match="expected none, smooth or exact"):
        correct(np.zeros((3, 3)), fine_box, sensor(np.zeros((1, 1)), coarse_box), "linear")  # type: ignore[arg-type]


def test_coarse_field_of_another_place_is_refused() -> None:
    fine_box, _ = grids(1, 1, 3)
    elsewhere = GeoBox.from_bbox((900, 900, 903, 903), "EPSG:6933", resolution=3)
    with pytest.raises(DataError, match="same place"):
        correct(np.zeros((3, 3)), fine_box, sensor(np.ones((1, 1)), elsewhere))
