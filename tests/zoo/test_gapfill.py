"""Gaps in predictors: against the dense normal equations, analytic fields, and values worked out by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from zoo.errors import DataError, UsageError
from zoo.gapfill.dct_pls import dct_pls, eigenvalues
from zoo.gapfill.layer import fill_layer
from zoo.gapfill.series import fill_series
from zoo.gapfill.stack import fill_stack
from zoo.gapfill.temporal import between
from zoo.gapfill.ways import Dated
from zoo.stack import Stack


def second_difference(n: int) -> np.ndarray:
    """Mirrored edges: the point beyond the edge is the edge itself."""
    steps = np.diff(np.eye(n), axis=0)
    return -steps.T @ steps


def dense_solution(field: np.ndarray, s: float, weights: np.ndarray | None = None) -> np.ndarray:
    """(W + s L'L) z = W y, written out as matrices."""
    laplacian = np.zeros((field.size, field.size))
    for axis in range(field.ndim):
        matrix = np.eye(1)
        for other, n in enumerate(field.shape):
            matrix = np.kron(matrix, second_difference(n) if other == axis else np.eye(n))
        laplacian += matrix
    w = np.isfinite(field).ravel() * (1 if weights is None else weights.ravel())
    normal = np.diag(w) + s * laplacian.T @ laplacian
    return np.linalg.solve(normal, w * np.nan_to_num(field).ravel()).reshape(field.shape)


def gappy(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field = rng.standard_normal(shape) + np.linspace(0, 4, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
    field[rng.random(shape) < 0.4] = np.nan
    return field


def waves(size: int = 64) -> np.ndarray:
    """Smooth and known everywhere; sd about 1."""
    y, x = np.mgrid[:size, :size] / size
    return (np.sin(2 * np.pi * x) * np.cos(np.pi * y) + y).astype(np.float32) * 1.5


@pytest.mark.parametrize("shape", [(30,), (14, 19), (5, 8, 9)])
@pytest.mark.parametrize("s", [0.01, 1.0, 100.0])
def test_the_solution_is_that_of_the_dense_normal_equations(shape: tuple[int, ...], s: float) -> None:
    field = gappy(shape)
    found = dct_pls(field, s=s).values
    assert np.abs(found - dense_solution(field, s)).max() < 1e-3 * np.nanstd(field)


def test_weights_count_as_in_the_dense_normal_equations() -> None:
    field = gappy((12, 13), seed=3)
    weights = np.random.default_rng(1).uniform(0.1, 1, field.shape)
    found = dct_pls(field, s=0.5, weights=weights).values
    assert np.abs(found - dense_solution(field, 0.5, weights)).max() < 1e-3


def test_eigenvalues_are_those_of_the_matrix() -> None:
    matrix = np.linalg.eigvalsh(second_difference(9) @ second_difference(9))
    np.testing.assert_allclose(np.sort(eigenvalues((9,))), np.sort(matrix), atol=1e-5)


def test_a_plane_goes_on_through_a_gap() -> None:
    """No roughness but at the mirrored edges, far from the gap: the least rough surface through a plane is it."""
    y, x = np.mgrid[:48, :48]
    plane = (0.1 * x - 0.05 * y).astype(np.float32)
    field = plane.copy()
    field[18:30, 20:28] = np.nan
    found = fill_layer(field, s=1e-3)
    assert np.abs(found - plane).max() < 1e-3 * plane.std()


def test_smoothing_is_chosen_close_to_the_best() -> None:
    """Generalised cross-validation does not know the truth; its error is near that of the best smoothing."""
    truth = waves()
    rng = np.random.default_rng(5)
    field = truth + rng.normal(0, 0.3, truth.shape).astype(np.float32)
    field[rng.random(truth.shape) < 0.5] = np.nan
    errors = [np.sqrt(np.mean((dct_pls(field, s=s).values - truth) ** 2)) for s in 10.0 ** np.arange(-2, 4.1, 0.5)]
    chosen = dct_pls(field)
    assert np.sqrt(np.mean((chosen.values - truth) ** 2)) < 1.15 * min(errors)
    assert min(errors) < 0.5 * errors[0]  # the choice matters


def test_outliers_lose_their_weight_only_when_asked() -> None:
    truth = waves()
    rng = np.random.default_rng(6)
    field = truth + rng.normal(0, 0.1, truth.shape).astype(np.float32)
    spoilt = rng.random(truth.shape) < 0.05
    field[spoilt] += 8
    field[20:30, 20:30] = np.nan
    plain, robust = dct_pls(field), dct_pls(field, robust=True)
    error = [np.sqrt(np.mean((one.values - truth) ** 2)) for one in (plain, robust)]
    assert error[1] < 0.3 * error[0]
    assert robust.weights[spoilt & np.isfinite(field)].max() < 0.05
    assert (plain.weights[np.isfinite(field)] == 1).all()


def test_observed_pixels_stay_and_water_is_not_filled() -> None:
    field = waves()
    field[10:30, 10:30] = np.nan
    land = np.ones(field.shape, bool)
    land[12:15, 12:15] = False
    found = fill_layer(field, land)
    seen = np.isfinite(field)
    np.testing.assert_array_equal(found[seen], field[seen])
    np.testing.assert_array_equal(np.isnan(found), ~land)


def test_values_on_water_do_not_reach_the_land() -> None:
    field = waves()
    field[10:30, 10:30] = np.nan
    land = np.ones(field.shape, bool)
    land[:, 40:] = False
    other = np.where(land, field, 1e6).astype(np.float32)
    np.testing.assert_array_equal(fill_layer(field, land)[land], fill_layer(other, land)[land])


def test_a_constant_goes_on_as_it_is() -> None:
    field = np.full((20, 24), 0.1, np.float32)
    field[:, :8] = np.nan
    np.testing.assert_allclose(fill_layer(field), 0.1, rtol=1e-6)


def test_a_layer_without_any_value_is_left_as_it_is() -> None:
    empty = np.full((6, 7), np.nan, np.float32)
    assert np.isnan(fill_layer(empty)).all()
    with pytest.raises(DataError, match="no value at all"):
        dct_pls(empty)


def test_tiles_agree_with_the_whole() -> None:
    truth = waves(160)
    field = truth + np.random.default_rng(2).normal(0, 0.02, truth.shape).astype(np.float32)
    field[40:100, 30:120] = np.nan  # wider than a tile's overlap, so some tile sees hardly anything
    whole = fill_layer(field, s=1.0)
    tiled = fill_layer(field, s=1.0, whole=64 * 64, tile=64, overlap=16)
    gap = np.isnan(field)
    assert np.isfinite(tiled).all()
    assert np.sqrt(np.mean((tiled - whole)[gap] ** 2)) < 0.1 * truth.std()
    assert np.abs(np.diff(tiled, axis=1)).max() < np.abs(np.diff(whole, axis=1)).max() * 1.5  # no seams


def test_between_two_dates_it_is_linear() -> None:
    """From 10 on the 1st to 20 on the 11th: 13 on the 4th."""
    nothing = np.full((2, 2), np.nan, np.float32)
    early, late, today = nothing.copy(), nothing.copy(), nothing.copy()
    early[0], late[:, 0], today[1, 1] = 10, 20, 7
    found = between([(date(2019, 9, 11), late), (date(2019, 9, 1), early), (date(2019, 9, 4), today)], date(2019, 9, 4))
    np.testing.assert_allclose(found, [[13, np.nan], [np.nan, 7]], rtol=1e-6)


def test_between_takes_the_nearest_date_that_has_a_value() -> None:
    def of(value: float) -> np.ndarray:
        return np.full((1, 1), value, np.float32)

    series = [(date(2019, 9, 1), of(0)), (date(2019, 9, 5), of(np.nan)), (date(2019, 9, 9), of(8))]
    series += [(date(2019, 9, 30), of(100))]
    assert between(series, date(2019, 9, 6))[0, 0] == pytest.approx(5)


def test_dates_help_where_space_cannot() -> None:
    """A moving front hidden wholly on one of five dates is found from the dates around it."""
    y, x = np.mgrid[:24, :24]
    fields = [np.tanh((x - 6 - 3 * step) / 3).astype(np.float32) for step in range(5)]
    days = [date(2019, 9, 1 + 8 * step) for step in range(3)] + [date(2019, 9, 25), date(2019, 10, 3)]
    hidden = fields[2].copy()
    hidden[:, 4:20] = np.nan
    series = list(zip(days, [*fields[:2], hidden, *fields[3:]], strict=True))
    found = fill_series(series, days[2], s=1e-2)
    alone = fill_layer(hidden, s=1e-2)
    error = [np.sqrt(np.mean((one - fields[2]) ** 2)) for one in (found, alone)]
    assert error[0] < 0.15
    assert error[0] < 0.6 * error[1]


def test_dates_at_uneven_steps_are_refused_when_they_are_too_many() -> None:
    layer = np.ones((2, 2), np.float32)
    with pytest.raises(UsageError, match="even steps of 1 days"):
        fill_series([(date(2019, 1, day), layer) for day in (1, 2)] + [(date(2019, 12, 31), layer)], date(2019, 1, 1))


def write(path: Path, values: np.ndarray) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, height=values.shape[0], width=values.shape[1],
        crs="EPSG:6933", transform=Affine(1000, 0, 0, 0, -1000, 4e6), nodata=np.nan,
    ) as file:  # fmt: skip
        file.write(values.astype(np.float32), 1)


@pytest.fixture
def cloudy(tmp_path: Path) -> Stack:
    """Elevation everywhere, NDVI with a cloud, a lake in the cloud."""
    ndvi, water = waves(32), np.zeros((32, 32))
    ndvi[8:20, 8:20] = np.nan
    water[10:12, 10:12] = 1
    (tmp_path / "given").mkdir()
    for name, values in (("dem", waves(32)), ("ndvi", ndvi), ("water", water)):
        write(tmp_path / "given" / f"{name}.tif", values)
    return Stack.from_folder(tmp_path / "given")


def test_a_filled_stack_says_what_was_filled(cloudy: Stack, tmp_path: Path) -> None:
    filled = fill_stack(cloudy, ["dem", "ndvi"], ["dct-pls"], tmp_path)
    dem, ndvi = filled.stack.read(names=["dem", "ndvi"])
    assert filled.pixels == {"ndvi": 144 - 4}
    assert filled.touched.sum() == 140
    np.testing.assert_array_equal(np.isnan(ndvi), cloudy.read_water() == 1)
    np.testing.assert_array_equal(dem, cloudy.read(names=["dem"])[0])
    assert np.isnan(cloudy.read(names=["ndvi"])[0]).sum() == 144  # the original is as it was
    assert filled.stack.units == cloudy.units


def test_gaps_far_from_any_observation_stay_if_asked(cloudy: Stack, tmp_path: Path) -> None:
    filled = fill_stack(cloudy, ["ndvi"], ["dct-pls"], tmp_path, reach=2)
    ndvi = filled.stack.read(names=["ndvi"])[0]
    assert np.isfinite(ndvi[9, 9:19]).all()
    assert np.isnan(ndvi[10:18, 10:18]).all()


def test_time_comes_before_space(cloudy: Stack, tmp_path: Path) -> None:
    """Half of the cloud is open eight days before and after: there the mean of both, elsewhere the surface."""
    series = []
    for day, value in ((date(2019, 9, 17), 100.0), (date(2019, 10, 3), 200.0)):
        folder = tmp_path / str(day)
        folder.mkdir()
        values = np.full((32, 32), value)
        values[:, 14:] = np.nan
        write(folder / "ndvi.tif", values)
        series.append(Dated(day, Stack.from_folder(folder)))
    filled = fill_stack(cloudy, ["ndvi"], ["temporal"], tmp_path, day=date(2019, 9, 25), series=series)
    ndvi = filled.stack.read(names=["ndvi"])[0]
    assert (ndvi[12:20, 8:14] == 150).all()
    assert np.isnan(ndvi[8:20, 14:20]).all()
    with pytest.raises(UsageError, match="--series"):
        fill_stack(cloudy, ["ndvi"], ["temporal"], tmp_path)
