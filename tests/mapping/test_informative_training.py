"""Weights, outliers and the season through the commands, on the simulated scene."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr

from zoo.errors import DataError
from zoo.predictors import SEASON, season_terms
from zoo.registry import Registry
from zoo.samples.cells import stacked_cells
from zoo.samples.rows import from_granules, from_stack
from zoo.samples.table import make_table
from zoo.stack.folder import StackFolder, make_stack

FEATURES = ("lst", "ndvi", "dem")
DAY = date(2019, 9, 25)
FAST = ("--set", "n_estimators=8", "--folds", "2", "--no-ablation", "--seed", "1")


def pixels(folder, name):
    with rasterio.open(folder / f"{name}.tif") as file:
        return file.read(1, masked=True).astype(np.float64).filled(np.nan)


def test_weights_of_a_stack_are_those_of_its_pixels_block_by_block(made):
    samples = from_stack(made, FEATURES, weights="homogeneity")
    water = pixels(made, "water")
    with rasterio.open(made / "water.tif") as file:
        top, left = file.transform.f, file.transform.c
    # EASE-Grid 2.0 M09, Brodzik et al. 2012
    corner = np.array([(7314540.8306386 - top) / 9008.055210146, (left + 17367530.4451615) / 9008.055210146])
    rows, columns = (samples.cells - np.rint(corner).astype(int)).T
    ratios = []
    for name in FEATURES:
        land = np.where(water > 0.5, np.nan, pixels(made, name))
        blocks = land.reshape(land.shape[0] // 9, 9, land.shape[1] // 9, 9)
        inside, means = (each(blocks, axis=(1, 3))[rows, columns] for each in (np.nanstd, np.nanmean))
        assert samples.predictors[name].to_numpy() == pytest.approx(means, rel=1e-5)
        ratios.append(inside / means.std())
    raw = 1 / (1 + np.mean(np.square(ratios), axis=0))
    assert samples.weights == pytest.approx(raw / raw.mean(), rel=1e-4)
    assert samples.weights.max() > 1.1 * samples.weights.min()


def test_granules_weigh_as_their_stack_does(made, request_of):
    stacked, native = (
        from_stack(made, FEATURES, weights="homogeneity"),
        from_granules(request_of(), FEATURES, weights="homogeneity"),
    )
    np.testing.assert_array_equal(stacked.weights, native.weights)
    assert stacked.dataset.fingerprint == native.dataset.fingerprint


def test_a_stack_of_before_spreads_were_kept_says_to_make_it_again(stack):
    cells = stacked_cells(stack, FEATURES)
    from zoo.samples.rows import from_cells

    old = replace(cells, means=cells.means.drop_vars("spread"))
    assert len(from_cells(old, FEATURES)) == 15
    with pytest.raises(DataError, match="the stack lacks spread_lst; make it anew with zoo stack"):
        from_cells(old, FEATURES, weights="homogeneity")


def test_the_command_weighs_and_leaves_out_and_says_so(made, tmp_path, run, run_json):
    registry = tmp_path / "registry.json"
    given = ("--stack", made, "--features", "lst,ndvi,dem", "--registry", registry, *FAST)
    done = run_json("train", "rf", *given, "--weights", "homogeneity", "--outliers", "3", "--min-valid", "0.9")
    record = Registry.open(registry).resolve("smd-rf").record
    assert (done["weights"], record.dataset.definition["weights"]) == ("homogeneity", "homogeneity")
    assert (record.dataset.definition["outliers"], record.dataset.definition["min_valid"]) == (3, 0.9)
    assert done["dropped"]["outliers"] == record.dataset.dropped["outliers"]
    assert any("robust standard deviations" in note for note in record.notes)
    _, card, _ = run("models", "show", "smd-rf", "--registry", registry)
    assert "scores heed no weights" in " ".join(card.split())
    code, _, err = run("train", "rf", *given, "--weights", "even")
    assert (code, err.count("\n")) == (2, 1)
    code, _, err = run("train", "rf", *given, "--min-valid", "50")
    assert code == 2
    assert "--min-valid 50 is out of range" in err


def test_season_layers_join_a_stack_and_have_no_file_behind_them(stack, request_of):
    make_stack(request_of(), (*FEATURES, *SEASON), folder=stack)
    record = StackFolder.open(stack).record
    for name in SEASON:
        assert np.unique(pixels(stack, name)) == np.float32(season_terms(DAY)[name])
        assert (record.layers[name].products, record.layers[name].files) == (("season",), ())
    features = (*FEATURES, *SEASON)
    assert from_stack(stack, features).dataset.fingerprint == from_granules(request_of(), features).dataset.fingerprint


def test_one_day_tells_to_leave_the_season_out(stack, request_of, tmp_path, run):
    make_stack(request_of(), (*FEATURES, *SEASON), folder=stack)
    code, _, err = run(
        "train", "rf", "--stack", stack, "--features", "lst,season", "--registry", tmp_path / "r.json", *FAST
    )
    assert code == 4
    assert "doy_sin, doy_cos is constant over all 15 training rows; leave it out of --features" in err


def test_many_days_train_with_the_season_and_a_day_is_predicted_with_its_own(
    stack, scene, request_of, tmp_path, run_json
):
    make_stack(request_of(), (*FEATURES, *SEASON), folder=stack)
    cells = stacked_cells(stack, (*FEATURES, *SEASON))
    drier = replace(cells, coarse=cells.coarse * 0.6, means=in_season(cells.means, date(2019, 7, 1)))
    drier.coarse.attrs = cells.coarse.attrs
    table, registry = tmp_path / "days.parquet", tmp_path / "registry.json"
    days = [("2019-09-25", lambda: cells), ("2019-07-01", lambda: drier)]
    make_table(days, (*FEATURES, *SEASON), table)
    run_json("train", "rf", "--table", table, "--features", "lst,ndvi,season", "--registry", registry, *FAST)
    area = [str(edge) for edge in scene.area.bounds]
    done = run_json(
        "predict", "--model", "smd-rf", "--data", scene.folder, "--area", *area, "--date", "2019-09-25",
        "-o", tmp_path / "map.tif", "--registry", registry,
    )  # fmt: skip
    assert done["predicted"] > 0
    rows = pd.DataFrame({name: pixels(stack, name).ravel() for name in ("lst", "ndvi")})
    answers = {}
    for day in (DAY, date(2019, 7, 1)):
        asked = tmp_path / f"{day}.parquet"
        rows.assign(**season_terms(day)).to_parquet(asked)
        told = tmp_path / "out.parquet"
        run_json("predict", "--model", "smd-rf", "--table", asked, "-o", told, "--registry", registry)
        answers[day] = pd.read_parquet(told)["soil_moisture"].to_numpy()
    mapped = pixels(tmp_path, "map").ravel()
    seen = np.isfinite(mapped)
    np.testing.assert_allclose(mapped[seen], answers[DAY][seen], atol=1e-6)
    assert np.abs(answers[DAY] - answers[date(2019, 7, 1)])[seen].mean() > 0.01


def in_season(means: xr.Dataset, day: date) -> xr.Dataset:
    """The means with another day's season."""
    terms = season_terms(day)
    return means.assign(
        {name: (means[name].dims, np.full(means[name].shape, np.float32(terms[name]))) for name in SEASON}
    )
