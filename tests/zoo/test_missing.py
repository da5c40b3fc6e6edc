"""Missing patterns, fallback models, and the code of how each pixel was made; answers are worked out by hand."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import h5netcdf
import numpy as np
import onnx
import pandas as pd
import pytest
import rasterio
from affine import Affine
from onnx import TensorProto, helper, numpy_helper

from zoo.cli import main
from zoo.errors import DataError, IntegrityError, UnknownNameError, UsageError
from zoo.gapfill.prediction import bridged, open_series, parse_ways
from zoo.gapfill.ways import Dated
from zoo.inference.patterns import FALLBACK, NO_VALUE, OBSERVED, Pattern, PatternSession, fewest, packed, patterns_of
from zoo.inference.runtime import Session
from zoo.model.artefact import Feature, Header
from zoo.model.fallbacks import exported_kinds, kind_without, sets_of, train_fallbacks
from zoo.model.recipe import Recipe
from zoo.prediction import open_session, predict_map
from zoo.registry import Registry, Resolved
from zoo.samples.rows import Samples, from_table
from zoo.stack import Stack
from zoo.training import train

NAMES = ("dem", "ndvi", "red", "lst")
NAN = np.nan


def constant(names: tuple[str, ...], value: float, threshold: float | None = None) -> Session:
    """A compiled model that answers `value` + 0.001 times its first predictor, with a dissimilarity of 0.2."""
    weights = np.zeros((len(names), 1), np.float32)
    weights[0] = 0.001
    given = {"W": weights, "b": np.float32([value]), "none": np.zeros((len(names), 1), np.float32)}
    outputs = [helper.make_tensor_value_info("soil_moisture", TensorProto.FLOAT, ["n", 1])]
    outputs += [helper.make_tensor_value_info("out_of_range", TensorProto.BOOL, ["n", 1])]
    nodes = [helper.make_node("Gemm", ["predictors", "W", "b"], ["soil_moisture"])]
    nodes += [helper.make_node("Greater", ["soil_moisture", "b"], ["out_of_range"])]
    if threshold is not None:
        given["d"] = np.float32([0.2])
        nodes.append(helper.make_node("Gemm", ["predictors", "none", "d"], ["dissimilarity_index"]))
        outputs.append(helper.make_tensor_value_info("dissimilarity_index", TensorProto.FLOAT, ["n", 1]))
    graph = helper.make_graph(
        nodes, "constant", [helper.make_tensor_value_info("predictors", TensorProto.FLOAT, ["n", len(names)])],
        outputs, [numpy_helper.from_array(array, name) for name, array in given.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    features = tuple(Feature(name, "1", 0.0, 1.0) for name in names)
    header = Header(downscaler="constant", params={}, features=features, target={"name": "soil_moisture"})
    told = {"zoo": header.text(), **({} if threshold is None else {"aoa_threshold": str(threshold)})}
    helper.set_model_props(model, told)
    onnx.checker.check_model(model)
    return Session(model.SerializeToString(), device="cpu", threads=1)


def test_patterns_are_counted_as_by_hand() -> None:
    rows = np.array([[1, 2, 3, 4], [1, NAN, NAN, 4], [NAN] * 4, [5, NAN, NAN, 6], [1, 1, 1, NAN], [0, 0, 0, 0]])
    found = patterns_of(rows, NAMES)
    assert {pattern.missing: pattern.pixels for pattern in found} == {
        (): 2, ("ndvi", "red"): 2, NAMES: 1, ("lst",): 1,
    }  # fmt: skip
    assert sum(pattern.share for pattern in found) == pytest.approx(1)
    assert found[0].pixels == 2


@pytest.mark.parametrize("width", [3, 9, 33, 70])
def test_every_pattern_has_a_code_of_its_own(width: int) -> None:
    rng = np.random.default_rng(width)
    rows = np.where(rng.random((400, width)) < 0.03, NAN, 1.0)
    names = [f"p{i}" for i in range(width)]
    by_hand = pd.Series([tuple(np.array(names)[np.isnan(row)]) for row in rows]).value_counts()
    assert {one.missing: one.pixels for one in patterns_of(rows, names)} == by_hand.to_dict()
    assert len(packed(rows)) == 400


def test_rare_patterns_share_one_fallback() -> None:
    patterns = [
        Pattern((), 900, 0.9), Pattern(("ndvi", "red"), 90, 0.09), Pattern(("red",), 4, 0.004),
        Pattern(("lst",), 3, 0.003), Pattern(("ndvi", "lst"), 2, 0.002), Pattern(NAMES, 1, 0.001),
    ]  # fmt: skip
    assert fewest(patterns, NAMES) == [("ndvi", "red"), ("ndvi", "lst")]
    covered = [
        pattern for pattern in patterns if any(set(pattern.missing) <= set(one) for one in fewest(patterns, NAMES))
    ]
    assert len(covered) == 5  # all but that with nothing at all


def test_each_row_is_answered_by_the_model_that_leaves_out_least() -> None:
    whole = constant(NAMES, 0.1)
    session = PatternSession(
        whole, [constant(("dem",), 0.4), constant(("dem", "lst"), 0.3), constant(("lst", "ndvi", "dem"), 0.2)]
    )
    rows = np.array(
        [[1, 2, 3, 4], [1, 2, NAN, 9], [1, NAN, 3, 4], [1, NAN, NAN, NAN], [NAN, 2, 3, 4], [1, np.inf, 3, 4]]
    )
    answers = session.predict(rows)[0]
    # the third fallback takes lst first: 0.2 + 0.001 * 9
    np.testing.assert_allclose(answers, [0.101, 0.209, 0.301, 0.401, NAN, 0.301], rtol=1e-6)
    assert session.codes(rows).tolist() == [OBSERVED, FALLBACK, FALLBACK, FALLBACK, NO_VALUE, FALLBACK]
    assert session.answered == {"red": 1, "ndvi, red": 2, "ndvi, red, lst": 1}


def test_one_threshold_holds_for_the_dissimilarity_of_all_models() -> None:
    """0.2 under a threshold of 0.1 is as far out as 0.8 under one of 0.4."""
    session = PatternSession(constant(NAMES, 0.1, 0.4), [constant(("dem",), 0.3, 0.1)])
    found = session.answers(np.array([[1, 2, 3, 4], [1, NAN, NAN, NAN]]), ["dissimilarity_index"])
    np.testing.assert_allclose(found["dissimilarity_index"], [0.2, 0.8], rtol=1e-6)


def test_a_fallback_with_a_strange_predictor_is_refused() -> None:
    with pytest.raises(IntegrityError, match="et"):
        PatternSession(constant(NAMES, 0.1), [constant(("dem", "et"), 0.3)])


def test_sets_are_read_from_groups_and_names() -> None:
    def nothing() -> np.ndarray:
        raise AssertionError

    assert sets_of(["optical", "lst,red", "clouded"], NAMES, nothing) == [
        ("ndvi", "red"), ("red", "lst"), ("ndvi", "red", "lst"),
    ]  # fmt: skip
    rows = np.array([[1, NAN, NAN, 4], [1, 2, 3, 4]])
    assert sets_of(["auto"], NAMES, lambda: rows) == [("ndvi", "red")]
    with pytest.raises(UnknownNameError, match="cloud"):
        sets_of(["cloud"], NAMES, nothing)
    with pytest.raises(UsageError, match="no feature"):
        sets_of(["optical"], ("dem", "lst"), nothing)
    with pytest.raises(UsageError, match="every feature"):
        sets_of(["clouded"], ("ndvi", "lst"), nothing)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Soil moisture that ndvi tells exactly, and lst with some error; on every third row a cloud hides ndvi and red."""
    rng = np.random.default_rng(0)
    n = 240
    wet = rng.uniform(0.1, 0.4, n)
    rows = pd.DataFrame(
        {
            "dem": rng.uniform(0, 1000, n), "ndvi": wet * 2, "red": rng.uniform(0, 0.2, n),
            "lst": 320 - 60 * wet + rng.normal(0, 2, n), "sm": wet, "block": np.arange(n) % 12,
        }
    )  # fmt: skip
    rows.loc[::3, ["ndvi", "red"]] = NAN
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    rows.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Registry, Resolved]:
    registry = Registry.open(tmp_path_factory.mktemp("registry") / "registry.json")
    recipe = Recipe("rf", parameters={"n_estimators": 40}, folds=4)

    def rows(names: tuple[str, ...]) -> Samples:
        return from_table(table, "sm", names, "block")

    version = train(rows(NAMES), recipe, registry).version
    version, scores = train_fallbacks(version, [("ndvi", "red")], rows, recipe, registry)
    assert {score.estimator for score in scores} == {"rf without optical"}
    return registry, version


def test_a_fallback_learns_from_the_rows_that_have_its_predictors(trained: tuple[Registry, Resolved]) -> None:
    _, version = trained
    own = [score for score in version.record.scores if score.metric == "r2"]
    by = {score.estimator: score for score in own}
    assert by["rf"].n == 160
    assert by["rf without optical"].n == 240
    assert by["rf without optical"].value < by["rf"].value
    assert by["rf without optical"].details["left_out"] == ["ndvi", "red"]


def test_fallbacks_are_exported_with_the_version(trained: tuple[Registry, Resolved]) -> None:
    registry, version = trained
    version, session = open_session(registry, str(version.ref), "cpu")
    kind = kind_without(("red", "ndvi"), "onnx")
    assert exported_kinds(version, "onnx") == {kind_without(("ndvi", "red")): kind}
    assert Session(version.path(kind), device="cpu").names == ["dem", "lst"]
    assert session.names == list(NAMES)
    assert not registry.verify(version.ref)


def write(path: Path, values: np.ndarray) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", dtype="float32", count=1, height=values.shape[0], width=values.shape[1],
        crs="EPSG:6933", transform=Affine(1000, 0, 0, 0, -1000, 4e6), nodata=np.nan,
    ) as file:  # fmt: skip
        file.write(values.astype(np.float32), 1)


@pytest.fixture
def cloudy(tmp_path: Path) -> Path:
    """20 x 24 pixels; a cloud hides ndvi and red in the west, one pixel has no lst either, and there is a lake."""
    rng = np.random.default_rng(1)
    wet = np.tile(np.linspace(0.15, 0.35, 24), (20, 1))
    layers = {"dem": rng.uniform(0, 1000, wet.shape), "ndvi": wet * 2, "red": np.full(wet.shape, 0.1)}
    layers |= {"lst": 320 - 60 * wet, "water": np.zeros(wet.shape)}
    for name in ("ndvi", "red"):
        layers[name][:, :8] = NAN
    layers["lst"][3, 3] = NAN
    layers["water"][10:12, 6:10] = 1
    folder = tmp_path / "stack"
    folder.mkdir()
    for name, values in layers.items():
        write(folder / f"{name}.tif", values)
    return folder


def mapped(trained: tuple[Registry, Resolved], folder: Path, path: Path, missing: str) -> tuple[np.ndarray, np.ndarray]:
    """Predict a map and read values and codes back."""
    registry, version = trained
    version, session = open_session(registry, str(version.ref), "cpu")
    stack = Stack.from_folder(folder)
    with bridged(version, session, stack, parse_ways(missing, version)) as found:
        predict_map(version, found.session, found.stack, path, further=found.further)
    with h5netcdf.File(path) as file:
        values, codes = file["soil_moisture"][:], file["method"][:]
        assert file["method"].attrs["flag_meanings"] == (
            "no_value all_predictors_observed predictors_gap_filled fallback_model"
        )
        assert list(file["method"].attrs["flag_values"]) == [0, 1, 2, 3]
        assert sum(found.pixels.values()) == codes.size
    return np.where(values == -9999, NAN, values), codes


def test_every_pixel_says_how_it_was_made(trained: tuple[Registry, Resolved], cloudy: Path, tmp_path: Path) -> None:
    lake = np.zeros((20, 24), bool)
    lake[10:12, 6:10] = True
    cloud = np.zeros((20, 24), bool)
    cloud[:, :8] = True
    values, codes = mapped(trained, cloudy, tmp_path / "a.nc", "patterns")
    bare = np.zeros((20, 24), bool)
    bare[3, 3] = True  # no model without lst
    expected = np.where(lake | bare, 0, np.where(cloud, 3, 1))
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(np.isfinite(values), expected > 0)
    values, codes = mapped(trained, cloudy, tmp_path / "b.nc", "dct-pls")
    np.testing.assert_array_equal(codes, np.where(lake, 0, np.where(cloud, 2, 1)))
    np.testing.assert_array_equal(np.isfinite(values), ~lake)
    values, codes = mapped(trained, cloudy, tmp_path / "c.nc", "dct-pls,patterns")
    deep = cloud.copy()
    deep[:, 5:8] = False  # three pixels from an observation; the lost lst is filled, ndvi is not
    deep[10:12, 5] = True  # behind the lake
    np.testing.assert_array_equal(codes, np.where(lake, 0, np.where(deep, 3, np.where(cloud, 2, 1))))


def test_observed_pixels_are_the_same_in_every_way(
    trained: tuple[Registry, Resolved], cloudy: Path, tmp_path: Path
) -> None:
    maps = [mapped(trained, cloudy, tmp_path / f"{way}.nc", way) for way in ("patterns", "dct-pls")]
    seen = maps[0][1] == OBSERVED
    np.testing.assert_array_equal(maps[0][0][seen], maps[1][0][seen])


def test_without_gaps_nothing_is_added(trained: tuple[Registry, Resolved], cloudy: Path) -> None:
    registry, version = trained
    version, session = open_session(registry, str(version.ref), "cpu")
    stack = Stack.from_folder(cloudy)
    with bridged(version, session, stack, parse_ways("none", version)) as found:
        assert (found.session, found.stack, found.further) == (session, stack, ())
    assert parse_ways(None, version) == ("patterns",)


def test_wrong_ways_are_refused(trained: tuple[Registry, Resolved], table: Path, tmp_path: Path) -> None:
    _, version = trained
    with pytest.raises(UsageError, match="kriging"):
        parse_ways("kriging", version)
    with pytest.raises(UsageError, match="neither a folder"):
        open_series(["yesterday"], None, NAMES)
    with pytest.raises(UsageError, match="needs granules"):
        open_series(["2019-09-17"], None, NAMES)
    alone = train(
        from_table(table, "sm", NAMES, "block"), Recipe("rf", parameters={"n_estimators": 5}, folds=3),
        Registry.open(tmp_path / "registry.json"),
    ).version  # fmt: skip
    assert parse_ways(None, alone) == ()
    with pytest.raises(DataError, match="zoo train --patterns"):
        parse_ways("patterns", alone)


def run(arguments: list[str]) -> int | str | None:
    """Run a command and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code


def test_the_commands_train_fallbacks_and_use_them(
    table: Path, cloudy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`zoo train --patterns auto` finds the one pattern of the table; `zoo predict` uses it without being told."""
    shelf = ["--registry", str(tmp_path / "registry.json"), "--json", "--quiet"]
    columns = ["--table", str(table), "--target", "sm", "--groups", "block", "--features", ",".join(NAMES)]
    learn = ["train", "rf", *columns, "--folds", "3", "--set", "n_estimators=10", "--patterns", "auto", *shelf]
    assert run(learn) == 0
    made = json.loads(capsys.readouterr().out)
    assert "rf without optical" in {score["estimator"] for score in made["scores"]}
    use = ["predict", "--model", made["model"], "--device", "cpu", *shelf]
    assert run([*use, "--stack", str(cloudy), "-o", str(tmp_path / "map.tif")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["methods"] == {"no_value": 9, "all_predictors_observed": 316, "fallback_model": 155}
    with rasterio.open(tmp_path / "map_method.tif") as file:
        assert (file.read(1) == 3).sum() == 155
    assert run([*use, "--table", str(table), "-o", str(tmp_path / "rows.parquet")]) == 0
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert rows["method"].value_counts().to_dict() == {1: 160, 3: 80}
    assert run([*use, "--table", str(table), "--missing", "dct-pls"]) == 2


def test_dates_of_a_series_come_from_the_stacks(
    trained: tuple[Registry, Resolved], cloudy: Path, tmp_path: Path
) -> None:
    registry, version = trained
    version, session = open_session(registry, str(version.ref), "cpu")
    stack, series = Stack.from_folder(cloudy), []
    for day, value in ((date(2019, 9, 17), 0.4), (date(2019, 10, 3), 0.6)):
        folder = tmp_path / str(day)
        folder.mkdir()
        for name in ("ndvi", "red"):
            write(folder / f"{name}.tif", np.full((20, 24), value))
        series.append(Dated(day, Stack.from_folder(folder)))
    with bridged(version, session, stack, ["temporal"], day=date(2019, 9, 25), series=series) as found:
        assert (found.stack.read(names=["ndvi"])[0][:9, :8] == np.float32(0.5)).all()
        assert found.filled == {"ndvi": 160 - 4, "red": 160 - 4}
