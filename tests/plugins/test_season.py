"""The season: against the calendar, on a map grid, and in training over several days."""

import math
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.grids import target_geobox
from zoo.plugins import host
from zoo.predictors import listed, season_terms
from zoo.stack import Stack, build_stack
from zoo.testing import check_predictor_array, check_predictor_spec
from zoo.types import Area, DatedReader, PredictorReader, PredictorSpec
from zoo_season.reader import SeasonReader

AREA = Area(115.9, 41.9, 116.3, 42.2)


@pytest.mark.parametrize(
    ("day", "number"), [(date(2019, 1, 1), 1), (date(2019, 9, 25), 268), (date(2020, 12, 31), 366)]
)
def test_terms_are_sine_and_cosine_of_the_number_of_the_day(day, number):
    terms = season_terms(day)
    assert math.atan2(terms["doy_sin"], terms["doy_cos"]) % (2 * math.pi) == pytest.approx(
        2 * math.pi * number / 365.25 % (2 * math.pi)
    )
    assert terms["doy_sin"] ** 2 + terms["doy_cos"] ** 2 == pytest.approx(1)


@pytest.mark.real
def test_terms_are_those_of_the_real_table(real_data):
    import pandas as pd

    rows = pd.read_parquet(real_data / "tables" / "regions.parquet", columns=["time", "doy_sin", "doy_cos"])
    for day, part in list(rows.groupby("time"))[::10]:
        terms = season_terms(pd.Timestamp(day).date())
        assert part["doy_sin"].to_numpy() == pytest.approx(terms["doy_sin"], abs=1e-12)
        assert part["doy_cos"].to_numpy() == pytest.approx(terms["doy_cos"], abs=1e-12)


def test_the_plugin_keeps_the_contract_without_any_file():
    spec = host().find(PredictorSpec, "season")
    check_predictor_spec(spec)
    assert spec.patterns == ()
    with pytest.raises(UsageError, match="must claim the product's file names"):
        check_predictor_spec(replace(spec, reader="zoo_terrain.reader:TerrainReader"))
    reader = SeasonReader()
    assert isinstance(reader, PredictorReader)
    assert isinstance(reader, DatedReader)
    (array,) = reader.at(date(2019, 9, 25)).open([], "doy_sin", area=AREA)
    check_predictor_array(array)
    (earth,) = reader.at(date(2019, 9, 25)).open([], "doy_cos")
    assert earth.shape == (180, 360)


def test_a_stack_of_the_season_is_the_same_everywhere_and_names_no_file(tmp_path):
    box = target_geobox(AREA)
    stack = build_stack([], ["doy_cos", "doy_sin"], box, date(2019, 9, 25), tmp_path / "stack")
    for stacked in (stack, Stack.from_folder(tmp_path / "stack")):
        values = stacked.read(None, ["doy_sin", "doy_cos"])
        terms = season_terms(date(2019, 9, 25))
        np.testing.assert_array_equal(values[0], np.full(box.shape.yx, np.float32(terms["doy_sin"])))
        np.testing.assert_array_equal(values[1], np.full(box.shape.yx, np.float32(terms["doy_cos"])))
        assert (stacked.products, stacked.granules, stacked.sources) == (["season"], [], [])


def test_the_season_stands_for_its_terms_in_a_list_of_predictors():
    assert listed(" lst,season, ndvi,lst,doy_sin,") == ("lst", "doy_sin", "doy_cos", "ndvi")


def test_what_cannot_be_is_refused_in_one_line(tmp_path):
    with pytest.raises(DataError, match="follows from the day, and none was given"):
        SeasonReader().open([], "doy_sin", area=AREA)
    with pytest.raises(UnknownNameError, match="No layer of season named 'doy'"):
        SeasonReader(date(2019, 1, 1)).open([], "doy", area=AREA)
    with pytest.raises(DataError, match="is no file of the season"):
        SeasonReader().granule(tmp_path / "season.tif")
