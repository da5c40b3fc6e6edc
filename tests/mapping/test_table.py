"""The training table: the coarse cells of many days as rows, which train the same model as the granules."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyproj
import pytest

from zoo.errors import DataError, IntegrityError
from zoo.model.recipe import Recipe
from zoo.registry import Registry
from zoo.samples.cells import stacked_cells
from zoo.samples.rows import from_stack, from_table
from zoo.samples.table import defaults, make_table, read_record
from zoo.training import train

FEATURES = ("lst", "ndvi", "dem")


@pytest.fixture
def table(made, tmp_path):
    return make_table([("2019-09-25", lambda: stacked_cells(made, FEATURES))], FEATURES, tmp_path / "table.parquet")


def test_rows_are_cells_with_place_time_block_and_valid_shares(table, made):
    rows = pd.read_parquet(table.path)
    assert list(rows.columns) == [
        "date", "row", "column", "lon", "lat", "block", "time", "soil_moisture", *FEATURES,
        *(f"valid_share_{name}" for name in FEATURES), *(f"spread_{name}" for name in FEATURES),
    ]  # fmt: skip
    # EASE-Grid 2.0 M09, Brodzik et al. 2012: 1624 x 3856 cells of 9008.055210146 m
    x, y = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:6933", always_xy=True).transform(rows.lon, rows.lat)
    np.testing.assert_allclose((x + 17367530.4451615) / 9008.055210146 - 0.5, rows["column"], atol=1e-3)
    np.testing.assert_allclose((7314540.8306386 - y) / 9008.055210146 - 0.5, rows["row"], atol=1e-3)
    samples = from_stack(made, FEATURES)
    np.testing.assert_array_equal(rows.soil_moisture, samples.target)
    np.testing.assert_array_equal(rows[list(FEATURES)], samples.predictors)
    np.testing.assert_array_equal(rows.block, samples.groups)
    assert ((rows.valid_share_lst > 0.5) & (rows.valid_share_lst <= 1)).all()
    assert rows.time.dt.tz is not None
    assert rows.time.dt.date.astype(str).eq("2019-09-25").all()


def test_cells_of_one_block_lie_within_three_by_three(table):
    rows = pd.read_parquet(table.path)
    size = rows.groupby("block")[["row", "column"]].agg(np.ptp)
    assert (size < 3).to_numpy().all()
    assert rows.block.nunique() >= 2


def test_a_table_trains_the_same_model_as_the_stack(table, made, tmp_path):
    registry = Registry.open(tmp_path / "registry.json")
    recipe = Recipe("rf", parameters={"n_estimators": 8}, folds=2)
    known = defaults(table.path)
    samples = from_table(table.path, known.target, known.features, known.groups)
    one, other = (train(s, recipe, registry).version.record for s in (samples, from_stack(made, FEATURES)))
    assert one.artefacts["model"].sha256 == other.artefacts["model"].sha256
    assert [r.score() for r in one.scores] == [r.score() for r in other.scores]
    assert (one.features, one.target, one.bbox, one.simulated) == (other.features, other.target, other.bbox, True)
    assert one.dataset.granules == other.dataset.granules


def test_the_description_carries_the_fingerprint_of_the_dataset(table, made):
    stored = json.loads(pq.read_schema(table.path).metadata[b"zoo"])
    assert stored["fingerprint"] == from_stack(made, FEATURES).dataset.fingerprint
    assert stored["datasets"]["2019-09-25"]["granules"]
    assert (stored["sensor"], stored["simulated"]) == ("smap", True)


def test_many_days_are_stacked_and_a_cells_days_share_its_block(made, tmp_path):
    cells = stacked_cells(made, FEATURES)
    wetter = replace(cells, coarse=cells.coarse + 0.01)
    wetter.coarse.attrs = cells.coarse.attrs
    other = replace(wetter, files=(("other.h5", "0" * 64),))
    done = make_table(
        [("2019-09-25", lambda: cells), ("2019-09-28", lambda: other)], FEATURES, tmp_path / "days.parquet"
    )
    rows = pd.read_parquet(done.path)
    assert len(rows) == sum(done.rows.values()) == 2 * done.rows["2019-09-25"]
    assert rows.groupby(["row", "column"]).block.nunique().eq(1).all()
    assert rows.groupby(["row", "column"]).soil_moisture.agg(np.ptp).to_numpy() == pytest.approx(0.01, abs=1e-6)
    parts = [part.fingerprint for part in done.record.datasets.values()]
    assert len({done.record.fingerprint, *parts}) == 3


def test_cells_without_soil_moisture_are_left_out_and_gaps_in_predictors_stay_empty(made, tmp_path):
    cells = stacked_cells(made, FEATURES)
    coarse = cells.coarse.copy(deep=True)
    coarse[0, 0] = np.nan
    means = cells.means.copy(deep=True)
    means["valid_share"].loc[{"layer": "lst"}][1, 1] = 0.4
    gaps = replace(cells, coarse=coarse, means=means)
    done = make_table([("d", lambda: gaps)], FEATURES, tmp_path / "t.parquet", min_valid=0.5)
    rows = pd.read_parquet(done.path)
    assert len(rows) == coarse.size - 1
    assert list(rows[FEATURES[0]].isna()).count(True) == 1
    assert done.record.datasets["d"].dropped == {"without soil moisture": 1, "without valid predictors": 1}
    assert done.complete["d"] == coarse.size - 2
    assert len(from_table(done.path, "soil_moisture", FEATURES, "block")) == coarse.size - 2


def test_a_range_passes_over_days_without_data_and_names_them(run_json, run, scene, tmp_path):
    path = tmp_path / "t.parquet"
    given = ["--data", scene.folder, "--area", *scene.area.bounds, "--layers", "dem,ndvi", "-o", path]
    told = run_json("table", *given, "--dates", "2019-09-24", "2019-09-26")
    assert list(told["days"]) == ["2019-09-25"]
    assert set(told["skipped"]) == {"2019-09-24", "2019-09-26"}
    assert "No granule of sensor 'smap' for 2019-09-24" in told["skipped"]["2019-09-24"]
    assert told["rows"] == len(pd.read_parquet(path))
    code, _, err = run("table", *given, "--date", "2019-09-25", "--date", "2019-09-26")
    assert (code, err.count("\n")) == (4, 1)
    assert "for 2019-09-26" in err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--dates", "2019-09-26", "2019-09-24"], "ends before it begins"),
        (["--dates", "2019-09-24", "2019-09-26", "--date", "2019-09-25"], "exclude one another"),
        (["--stack", "x", "--date", "2019-09-25"], "--stack knows its place and day"),
    ],
)
def test_mistakes_are_one_line(run, scene, tmp_path, given, told):
    place = ["--data", scene.folder, "--area", *scene.area.bounds, "-o", tmp_path / "t.parquet"]
    code, out, err = run("table", *given, *place)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err


def test_stacks_make_a_table_that_the_train_command_takes_as_it_is(run, run_json, made, tmp_path):
    path = tmp_path / "t.parquet"
    told = run_json("table", "--stack", made, "--layers", "dem,ndvi,lst", "-o", path)
    assert told["fingerprint"] == from_stack(made, ("dem", "ndvi", "lst")).dataset.fingerprint
    registry = tmp_path / "registry.json"
    options = ["--set", "n_estimators=5", "--folds", 2, "--registry", registry]
    by_table = run_json("train", "rf", "--table", path, *options)
    by_stack = run_json("train", "rf", "--stack", made, "--features", "dem,ndvi,lst", *options)
    assert by_table["scores"] == by_stack["scores"]
    assert by_table["simulated"] is True
    code, _, err = run("train", "rf", "--table", path, "--stack", made)
    assert code == 2
    assert "exclude one another" in err


def test_other_tables_have_no_description_and_a_damaged_one_is_refused(tmp_path):
    plain = tmp_path / "plain.parquet"
    frame = pd.DataFrame({"a": [1.0]})
    frame.to_parquet(plain)
    assert read_record(plain) is None
    assert defaults(plain).target is None
    from zoo.writers import write_table

    write_table(plain, frame, {"zoo": "{}"})
    with pytest.raises(IntegrityError, match="its description is damaged; make it again with zoo table"):
        read_record(plain)


def test_days_on_different_grids_are_refused(made, tmp_path):
    cells = stacked_cells(made, FEATURES)
    smaller = replace(cells, coarse=cells.coarse[1:], means=cells.means.isel(y=slice(1, None)))
    days = [("a", lambda: cells), ("b", lambda: smaller)]
    with pytest.raises(DataError, match="The days lie on 2 coarse grids"):
        make_table(days, FEATURES, tmp_path / "t.parquet")
