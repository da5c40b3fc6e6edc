"""The corrected map keeps the sensor's mean, its own texture, and the physical bounds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr
from pyproj import Transformer
from scipy.ndimage import gaussian_filter

from zoo.correction import Correction, border_jump_ratio, correct
from zoo.errors import DataError, UsageError
from zoo.grids import ease2_geobox
from zoo.simulate.domain import CELL, PARTS, Domain
from zoo.simulate.fields import streams
from zoo.simulate.landscape import make_landscape, truth_1km
from zoo.simulate.sensors import smap_cells
from zoo.simulate.terrain import make_terrain
from zoo.types import Area

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


def labels_by_hand(fine_box: GeoBox, coarse_box: GeoBox) -> Field:
    """Number of the cell that holds each pixel's centre, -1 in none; by plain division, grids of one CRS."""
    height, width = fine_box.shape.yx
    x = fine_box.affine.c + fine_box.affine.a * (np.arange(width) + 0.5)
    y = fine_box.affine.f + fine_box.affine.e * (np.arange(height) + 0.5)
    column = np.floor((x - coarse_box.affine.c) / coarse_box.affine.a)
    row = np.floor((y - coarse_box.affine.f) / coarse_box.affine.e)
    inside = (row >= 0)[:, None] & (row < coarse_box.shape.y)[:, None] & (column >= 0) & (column < coarse_box.shape.x)
    return np.where(inside, row[:, None] * coarse_box.shape.x + column, -1)


@dataclass
class Case:
    fine: Field
    coarse: Field
    fine_box: GeoBox
    coarse_box: GeoBox
    bounds: tuple[float, float]

    def correct(self, mode: Any, **options: Any) -> tuple[Field, Correction]:
        return correct(self.fine, self.fine_box, sensor(self.coarse, self.coarse_box), mode, self.bounds, **options)

    def means(self, values: Field) -> tuple[Field, Field]:
        """Mean and number of valid pixels by cell."""
        labels, valid = labels_by_hand(self.fine_box, self.coarse_box), np.isfinite(values)
        each = [values[(labels == cell) & valid] for cell in range(self.coarse.size)]
        count = np.array([part.size for part in each])
        means = np.array([part.mean() if part.size else np.nan for part in each])
        return means.reshape(self.coarse.shape), count.reshape(self.coarse.shape)


@st.composite
def scenes(draw: st.DrawFn) -> Case:
    """Whole and other ratios, maps that end within cells, holes in both fields, values at the bounds."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    ratio = draw(st.one_of(st.integers(1, 9).map(float), st.floats(1.05, 9)))
    offset = draw(st.sampled_from([(0.0, 0.0), (0.317, 0.283), (-0.613, 0.257)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bounds = draw(st.sampled_from([(0.0, 1.0), (0.02, 0.6), (0.1, 0.3)]))
    shape = max(1, round(rows * ratio)), max(1, round(columns * ratio))
    fine = rng.uniform(*bounds, shape)
    coarse = rng.uniform(*bounds, (rows, columns)).astype(np.float32).astype(float)
    if draw(st.booleans()):  # at the bounds, where only one map will do
        coarse[rng.random(coarse.shape) < 0.3] = draw(st.sampled_from(bounds))
    fine[rng.random(fine.shape) < draw(st.sampled_from([0, 0.3, 0.9]))] = np.nan
    coarse[rng.random(coarse.shape) < draw(st.sampled_from([0, 0.4]))] = np.nan
    fine_box = GeoBox(shape, Affine(1, 0, 0, 0, -1, shape[0]), "EPSG:6933")
    corner = offset[0] * ratio, shape[0] + offset[1] * ratio
    coarse_box = GeoBox((rows, columns), Affine(ratio, 0, corner[0], 0, -ratio, corner[1]), "EPSG:6933")
    return Case(fine, coarse, fine_box, coarse_box, bounds)


@given(scenes(), st.sampled_from([0.0, 0.5]))
@settings(max_examples=150, deadline=None)
def test_exact_gives_every_covered_cell_its_mean_within_the_bounds(case: Case, min_share: float) -> None:
    means, count = case.means(case.fine)
    whole = max(1, np.floor(case.coarse_box.affine.a + 1e-6)) ** 2
    covered = np.isfinite(case.coarse) & (count > 0) & (count >= min_share * whole)
    if not covered.any():
        with pytest.raises(DataError, match="no coarse cell with a value"):
            case.correct("exact", min_share=min_share)
        return
    found, report = case.correct("exact", min_share=min_share)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(case.fine))
    assert np.nanmin(found) >= case.bounds[0]
    assert np.nanmax(found) <= case.bounds[1]
    inside = np.clip(case.coarse, *case.bounds)  # the bounds as float32 numbers may lie 1e-8 outside
    np.testing.assert_allclose(case.means(found)[0][covered], inside[covered], rtol=0, atol=1e-6)
    before = (case.coarse - means)[covered]
    assert report.cells == covered.sum()
    assert report.partial == (np.isfinite(case.coarse) & (count > 0) & ~covered).sum()
    assert report.rms_before == pytest.approx(np.sqrt(np.mean(before**2)), abs=1e-7)


@given(scenes(), st.sampled_from(["none", "smooth", "exact"]))
@settings(max_examples=50, deadline=None)
def test_map_that_agrees_already_is_left_alone(case: Case, mode: Any) -> None:
    case.coarse = case.means(case.fine)[0]
    if not np.isfinite(case.coarse).any():
        return
    found, _ = case.correct(mode, min_share=0)
    np.testing.assert_allclose(found, case.fine, rtol=0, atol=5e-7)


@given(scenes(), st.sampled_from([0.005, 0.04, 0.2]))
@settings(max_examples=80, deadline=None)
def test_no_mean_is_left_further_from_the_sensor_than_its_error(case: Case, error: float) -> None:
    means, count = case.means(case.fine)
    covered = np.isfinite(case.coarse) & (count > 0)
    if not covered.any():
        return
    found, report = case.correct("exact", sensor_error=error, min_share=0)
    assert np.abs(case.means(found)[0] - case.coarse)[covered].max() <= error + 1e-6
    assert report.sensor_error == error
    residual = np.abs(case.coarse - means)[covered]
    if residual.max() < error:  # all of it may be error: no reason to touch the map
        np.testing.assert_allclose(found, case.fine, rtol=0, atol=1e-6)


def test_sensor_error_takes_noise_out_of_the_residuals() -> None:
    """Against the true coarse field the shrunk correction is nearer than the exact one, which keeps the noise."""
    rng = np.random.default_rng(5)
    fine_box, coarse_box = grids(30, 30, 3)
    truth = smooth_field(rng, (90, 90), 18) * 0.03 + 0.2
    noisy = cell_means(truth, 3) + 0.03 * rng.standard_normal((30, 30))
    flat = np.full(truth.shape, 0.2)
    exact, shrunk = (correct(flat, fine_box, sensor(noisy, coarse_box), sensor_error=e)[0] for e in (None, 0.03))
    exact_error, shrunk_error = (np.sqrt(np.mean((found - truth) ** 2)) for found in (exact, shrunk))
    assert shrunk_error < 0.75 * exact_error
    assert shrunk_error < 0.75 * np.std(truth)


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], length: float) -> Field:
    """White noise blurred by a Gaussian of `length` pixels, mean 0 and variance 1."""
    field = gaussian_filter(rng.standard_normal((shape[0] + 100, shape[1] + 100)), length)[50:-50, 50:-50]
    return np.asarray((field - field.mean()) / field.std())


@pytest.mark.parametrize("length", [3, 6, 12])
@pytest.mark.parametrize("masked", [False, True])
def test_borders_of_cells_do_not_show_in_a_corrected_smooth_field(length: float, masked: bool) -> None:
    """Of a map that knows two thirds of the truth, with a sensor error of a fifth of its spread."""
    rng = np.random.default_rng(0)
    fine_box, coarse_box = grids(40, 40, 9)
    truth, other = (0.05 * smooth_field(rng, (360, 360), length) for _ in range(2))
    guess, truth = 0.2 + 0.8 * truth + 0.6 * other, 0.2 + truth
    if masked:
        guess[smooth_field(rng, guess.shape, 6) > 1] = np.nan
    coarse = sensor(cell_means(truth, 9) + 0.01 * rng.standard_normal((40, 40)), coarse_box)
    found, report = correct(guess, fine_box, coarse)
    assert report.max_after is not None
    assert report.max_after < 1e-6
    assert border_jump_ratio(found, fine_box, coarse_box) == pytest.approx(1, abs=0.05)
    residual = np.nan_to_num(coarse.values - cell_means(guess, 9))
    flat = guess + np.kron(residual, np.ones((9, 9)))  # what it would be with one number a cell
    assert border_jump_ratio(flat, fine_box, coarse_box) > 1.3


def test_borders_of_cells_do_not_show_in_the_simulated_scene() -> None:
    """Of the truth, blurred, disturbed and corrected to the simulated sensor's field, with lakes missing."""
    domain = Domain.over(Area(115.2, 41.3, 116.8, 42.7), date(2019, 9, 25), "SIMULATED")
    chance = streams(2019)
    terrain = make_terrain(domain, chance["terrain"])
    land = make_landscape(domain, terrain, chance["landscape"], chance["unobserved"])
    truth = truth_1km(domain, land.moisture, land.water < 0.5)
    inner = domain.inside(PARTS * CELL)
    coarse_box = domain.target.zoom_out(CELL)
    coarse = sensor(smap_cells(domain, land, 1, chance["smap"])[0][inner], coarse_box)
    filled = np.where(np.isfinite(truth), truth, np.nanmean(truth))
    guess = gaussian_filter(filled, 1) + 0.02 * smooth_field(np.random.default_rng(0), truth.shape, 2)
    guess = np.where(np.isfinite(truth), guess, np.nan).astype(np.float32)
    found, report = correct(guess, domain.target, coarse)
    assert report.cells == coarse.size
    assert report.max_after is not None
    assert report.max_after < 1e-6
    assert border_jump_ratio(found, domain.target, coarse_box) == pytest.approx(1, abs=0.05)


def test_border_jumps_are_those_of_adjacent_pixels_in_different_cells() -> None:
    fine_box, coarse_box = grids(1, 2, 2)
    fine = np.array([[0.0, 1.0, 4.0, np.nan], [0.0, 1.0, 5.0, 6.0]])
    # inside: 1, 1, 1 across columns, 0, 0, 1 between the rows; across the border: 3 and 4
    assert border_jump_ratio(fine, fine_box, coarse_box) == pytest.approx(3.5 / (4 / 6))
    assert np.isnan(border_jump_ratio(fine[:, :2], fine_box[:, :2], coarse_box))


def test_smooth_adds_a_residual_that_is_a_plane_as_that_plane() -> None:
    fine_box, coarse_box = grids(8, 8, 9)
    y, x = np.mgrid[0.5:72, 0.5:72]
    plane = 0.001 * x - 0.0005 * y + 0.02
    fine = np.random.default_rng(0).uniform(0.2, 0.3, (72, 72))
    found, report = correct(fine, fine_box, sensor(cell_means(fine + plane, 9), coarse_box), "smooth")
    inner = slice(9, -9), slice(9, -9)  # the outermost cells have neighbours that the sensor did not see
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
    np.testing.assert_allclose(found[:, 45:], 0.2, atol=2e-3)  # from 1/100 of 0.2 on
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


def test_map_in_another_projection_keeps_the_means_of_the_pixels_in_each_cell() -> None:
    """UTM over EASE-Grid: rows run askew, so that no shortcut along straight lines is taken."""
    coarse_box = ease2_geobox("M09")[268:282, 3180:3192]
    west, east = coarse_box.affine.c, coarse_box.affine.c + 12 * coarse_box.affine.a
    north, south = coarse_box.affine.f, coarse_box.affine.f + 14 * coarse_box.affine.e
    to_utm = Transformer.from_crs(6933, 32650, always_xy=True)
    bounds = to_utm.transform_bounds(west, south, east, north)
    fine_box = GeoBox.from_bbox(bounds, "EPSG:32650", resolution=1500)
    rng = np.random.default_rng(3)
    fine, coarse = rng.uniform(0.1, 0.4, fine_box.shape.yx), rng.uniform(0.1, 0.4, (14, 12)).astype(np.float32)
    found, report = correct(fine, fine_box, sensor(coarse, coarse_box))
    x, y = fine_box.affine * np.meshgrid(np.arange(fine.shape[1]) + 0.5, np.arange(fine.shape[0]) + 0.5)
    x, y = to_utm.transform(x, y, direction="INVERSE")
    column, row = ~coarse_box.affine * (x, y)
    assert report.cells == coarse.size
    for index in np.ndindex(14, 12):
        mine = (np.floor(row) == index[0]) & (np.floor(column) == index[1])
        assert found[mine].mean() == pytest.approx(coarse[index], abs=1e-6)


def test_many_cells_are_solved_for_as_exactly_as_few() -> None:
    """Above a few thousand cells the system is solved by iteration."""
    rng = np.random.default_rng(6)
    fine_box, coarse_box = grids(70, 70, 3)
    fine = rng.uniform(0.1, 0.4, (210, 210)).astype(np.float32)
    fine[rng.random(fine.shape) < 0.2] = np.nan
    coarse = rng.uniform(0.15, 0.35, (70, 70))
    coarse[rng.random(coarse.shape) < 0.2] = np.nan
    found, report = correct(fine, fine_box, sensor(coarse, coarse_box))
    assert found.dtype == np.float32
    assert report.max_after is not None
    assert report.max_after < 1e-6
    part, _ = correct(fine[:90, :90], fine_box[:90, :90], sensor(coarse, coarse_box)[:30, :30])
    np.testing.assert_allclose(part[:60, :60], found[:60, :60], rtol=0, atol=1e-3)  # far from the cut the same


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
