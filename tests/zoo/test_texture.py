"""The weight of texture: estimated one scale up, and applied without touching a cell's mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr

from zoo.correction import correct, texture_of_rows, texture_weight
from zoo.correction.texture import MOST_DAYS
from zoo.errors import UsageError

Field = npt.NDArray[Any]


def white(seed: int, shape: tuple[int, int]) -> Field:
    return np.random.default_rng(seed).standard_normal(shape)


def cells(values: Field, ratio: int) -> Field:
    rows, columns = values.shape[0] // ratio, values.shape[1] // ratio
    return np.asarray(values.reshape(rows, ratio, columns, ratio).mean(axis=(1, 3)))


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_model_whose_differences_are_too_large_gets_a_weight_that_makes_up_for_it(factor: float) -> None:
    truth = 0.2 + 0.03 * white(0, (30, 30))
    said = 0.2 + factor * (truth - 0.2)
    found = texture_weight(truth, said)
    assert found.estimate == pytest.approx(1 / factor, rel=1e-3)
    assert found.weight == pytest.approx(min(1 / factor, 1), abs=1e-3)


def test_a_model_that_knows_nothing_of_differences_gets_no_weight() -> None:
    truth = 0.2 + 0.03 * white(0, (40, 40))
    found = texture_weight(truth, 0.2 + 0.03 * white(1, (40, 40)))
    assert abs(found.estimate) < 3 * found.error
    assert found.weight < 0.05


def test_error_is_that_of_repeated_draws() -> None:
    """The standard error says how far estimates of independent scenes lie apart."""
    found = []
    for seed in range(1000, 1040):
        truth = white(2 * seed, (15, 15))
        found.append(texture_weight(truth, 0.6 * truth + 0.8 * white(2 * seed + 1, (15, 15))))
    spread = np.std([one.estimate for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.3)


def test_a_few_cells_speak_against_nothing() -> None:
    found = texture_weight(np.full((2, 2), 0.2), np.full((2, 2), 0.3))
    assert found.weight == 1
    assert np.isnan(found.estimate)


def test_missing_cells_are_left_out() -> None:
    truth = 0.2 + 0.03 * white(0, (30, 30))
    said = truth.copy()
    said[white(1, said.shape) > 0.5] = np.nan
    found = texture_weight(truth, said)
    assert found.estimate == pytest.approx(1, abs=1e-6)
    assert found.cells <= np.isfinite(said).sum()


def boxes(size: int, ratio: int) -> tuple[GeoBox, GeoBox]:
    bounds = (0, 0, size * ratio, size * ratio)
    return (
        GeoBox.from_bbox(bounds, "EPSG:6933", resolution=1),
        GeoBox.from_bbox(bounds, "EPSG:6933", resolution=ratio),
    )


def sensor(values: Field, box: GeoBox) -> xr.DataArray:
    return wrap_xr(values.astype(np.float32), box)


def test_weighted_map_keeps_the_sensors_means_and_part_of_its_differences() -> None:
    fine_box, coarse_box = boxes(8, 9)
    fine = 0.25 + 0.02 * white(0, (72, 72))
    fine[white(1, fine.shape) > 1.5] = np.nan
    coarse = 0.25 + 0.02 * white(2, (8, 8))
    full, half, none = (correct(fine, fine_box, sensor(coarse, coarse_box), texture=w)[0] for w in (1, 0.5, 0))
    for found in (full, half, none):
        blocks = found.reshape(8, 9, 8, 9)
        np.testing.assert_allclose(np.nanmean(blocks, axis=(1, 3)), coarse, rtol=0, atol=1e-6)
    # the correction is linear: half the texture lies half way
    np.testing.assert_allclose(half, (full + none) / 2, rtol=0, atol=1e-6)
    inside = [
        np.nanstd(found - np.nanmean(found.reshape(8, 9, 8, 9), axis=(1, 3)).repeat(9, 0).repeat(9, 1))
        for found in (full, none)
    ]
    assert inside[1] < 0.7 * inside[0]


def test_weight_out_of_range_is_refused() -> None:
    fine_box, coarse_box = boxes(2, 3)
    with pytest.raises(UsageError, match="weight of texture"):
        correct(np.full((6, 6), 0.2), fine_box, sensor(np.full((2, 2), 0.2), coarse_box), texture=1.5)


def test_rows_of_several_days_are_laid_out_as_fields() -> None:
    """Rows in any order are the days' fields; a further day speaks with the same voice."""
    truth = 0.2 + 0.03 * white(0, (3, 12, 10))
    said = 0.5 * truth + 0.02 * white(1, truth.shape)
    day, row, column = (part.ravel() for part in np.indices(truth.shape))
    order = np.random.default_rng(2).permutation(truth.size)
    cells_ = np.stack([row + 200, column + 3000], axis=1)[order]
    found = texture_of_rows(cells_, day[order], truth.ravel()[order], said.ravel()[order])
    assert found == texture_weight(truth, said)
    single = [texture_weight(truth[k], said[k]).estimate for k in range(3)]
    assert min(single) < found.estimate < max(single)
    assert found.cells == 120


def test_of_many_days_the_first_and_the_last_are_asked() -> None:
    days = 3 * MOST_DAYS
    truth = 0.2 + 0.03 * white(0, (days, 6, 6))
    said = truth.copy()
    said[1:-1] = np.nan  # the estimate can rest on the first and the last day only
    day, row, column = (part.ravel() for part in np.indices(truth.shape))
    found = texture_of_rows(np.stack([row, column], axis=1), day, truth.ravel(), said.ravel())
    assert found.estimate == pytest.approx(1, abs=1e-6)
