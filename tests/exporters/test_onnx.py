"""A compiled model is one file that says everything about itself; it is not published unless it equals the original."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from zoo.errors import DataError, IntegrityError, UnknownNameError, UsageError, ZooError
from zoo.inference.runtime import Session
from zoo.model.artefact import Feature, TrainedModel, probe_rows
from zoo_onnx import packaging, parity
from zoo_onnx.exporter import OnnxExporter
from zoo_rf.estimator import RandomForest

NAMES = [("lst", "K"), ("ndvi", "1"), ("dem", "m")]
OZNET = ["dem", "awc", "silt", "lst_100m", "et_100m", "tavg", "vpd", "srad", "rain"]


def trained(
    X: npt.NDArray[np.float32], y: npt.NDArray[np.float64], names: list[tuple[str, str]], trees: int = 12
) -> tuple[RandomForest, TrainedModel]:
    forest = RandomForest(trees, random_state=0).fit(X, y)
    rows = probe_rows(X, rows=600)
    model = TrainedModel(
        downscaler="rf",
        params=forest.get_params(),
        features=tuple(
            Feature(name, units, float(column.min()), float(column.max()))
            for (name, units), column in zip(names, X.T, strict=True)
        ),
        target={"name": "soil_moisture", "units": "m3 m-3", "sensor": None, "product": "simulated", "depth": None},
        state=forest.state(),
        test_X=rows,
        test_y=forest.predict(rows),
    )
    return forest, model


def simulated(low: float = 0.05, high: float = 0.45) -> tuple[RandomForest, TrainedModel]:
    rng = np.random.default_rng(0)
    X = rng.uniform([280, 0.05, 900], [320, 0.9, 2200], (500, 3)).astype(np.float32)
    y = low + (high - low) * (0.5 + 0.5 * np.sin(X[:, 0] / 3) * X[:, 1])
    return trained(X, y, NAMES)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    simulated()[1].save(path)
    return path


def plane(bias: str = "", opset: int = 17, names: tuple[str, str] = ("X", "y")) -> onnx.ModelProto:
    """A stranger's graph, y = X @ w, with `bias` an operator over the whole batch."""
    x, y = names
    nodes = [helper.make_node("MatMul", [x, "w"], ["wx" if bias else y])]
    if bias:
        nodes += [helper.make_node(bias, [x], ["all"], keepdims=1), helper.make_node("Sub", ["wx", "all"], [y])]
    graph = helper.make_graph(
        nodes,
        "plane",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(np.array([[0.001], [0.1], [0.0]], np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_publishes_one_file_and_tells_the_registry_of_it(source: Path) -> None:
    target = source.with_name("model.onnx")
    facts = OnnxExporter().export(source, target)
    assert sorted(path.name for path in source.parent.iterdir()) == ["model.onnx", "model.safetensors"]
    assert facts["opset"] == 17
    assert facts["inputs"] == [{"name": "predictors", "shape": ["n", 3], "dtype": "float32"}]
    assert facts["outputs"] == [
        {"name": "soil_moisture", "shape": ["n", 1], "dtype": "float32"},
        {"name": "out_of_range", "shape": ["n", 1], "dtype": "bool"},
    ]
    told = facts["parity"]
    assert told["n"] == 600
    assert told["provider"] == "CPUExecutionProvider"
    assert 0 < told["p99.9"] <= told["max"] <= 1e-6
    assert told["above"] == 0


def test_the_file_holds_names_units_ranges_target_and_clip(source: Path) -> None:
    target = source.with_name("model.onnx")
    OnnxExporter().export(source, target)
    model = onnx.load(target, load_external_data=False)
    assert {item.domain: item.version for item in model.opset_import} == {"": 17, "ai.onnx.ml": 3}
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert [item.dim_param for item in model.graph.input[0].type.tensor_type.shape.dim] == ["n", ""]
    about = json.loads({item.key: item.value for item in model.metadata_props}["zoo"])
    assert about == json.loads(TrainedModel.load(source).header.text())
    assert [(item["name"], item["units"]) for item in about["features"]] == NAMES
    assert about["clip"] == [0.0, 1.0]
    assert about["target"]["units"] == "m3 m-3"
    assert about["features"][0]["min"] < about["features"][0]["max"]


def test_the_same_model_gives_the_same_file(source: Path) -> None:
    first, second = source.with_name("a.onnx"), source.with_name("b.onnx")
    OnnxExporter().export(source, first)
    OnnxExporter().export(source, second)
    assert first.read_bytes() == second.read_bytes()


def test_values_beyond_the_physical_range_are_clipped_and_marked(tmp_path: Path) -> None:
    forest, model = simulated(low=-0.3, high=1.4)
    model.save(tmp_path / "model.safetensors")
    OnnxExporter().export(tmp_path / "model.safetensors", tmp_path / "model.onnx")
    soil_moisture, out_of_range = Session(tmp_path / "model.onnx", device="cpu").predict(model.test_X)
    truth = forest.predict(model.test_X)
    assert (truth < 0).any()
    assert (truth > 1).any()
    np.testing.assert_allclose(soil_moisture, np.clip(truth, 0, 1), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(out_of_range, (truth < 0) | (truth > 1))


def test_onnxs_own_reference_gives_the_same_as_onnxruntime(source: Path) -> None:
    target = source.with_name("model.onnx")
    OnnxExporter().export(source, target)
    rows = TrainedModel.load(source).test_X[::60]
    reference, outside = ReferenceEvaluator(str(target)).run(None, {"predictors": rows})
    found, marks = Session(target, device="cpu").predict(rows)
    np.testing.assert_allclose(found, np.asarray(reference)[:, 0], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(marks, np.asarray(outside)[:, 0])


@pytest.mark.parametrize("array", ["value", "threshold", "feature"])
def test_disturbed_weights_are_refused_and_nothing_is_left_on_disk(source: Path, array: str) -> None:
    model = TrainedModel.load(source)
    disturbed = model.state[array].copy()
    inner = model.state["left"] >= 0
    if array == "value":
        disturbed[~inner] += 1e-3
    elif array == "threshold":
        disturbed[inner] *= np.float32(1.01)
    else:
        disturbed[inner] = (disturbed[inner] + 1) % 3
    replace(model, state={**model.state, array: disturbed}).save(source)
    before = source.read_bytes()
    with pytest.raises(IntegrityError, match=r"differs from the trained one by up to .* nothing was written") as caught:
        OnnxExporter().export(source, source.with_name("model.onnx"))
    assert caught.value.exit_code == 3
    assert [path.name for path in source.parent.iterdir()] == ["model.safetensors"]
    assert source.read_bytes() == before


def test_a_refused_export_leaves_the_file_that_was_there(source: Path) -> None:
    target = source.with_name("model.onnx")
    OnnxExporter().export(source, target)
    before = target.read_bytes()
    model = TrainedModel.load(source)
    replace(model, test_y=model.test_y + 1e-4).save(source)
    with pytest.raises(IntegrityError):
        OnnxExporter().export(source, target)
    assert target.read_bytes() == before


def test_a_wrong_clip_inside_the_file_is_refused() -> None:
    forest, model = simulated(low=-0.3, high=1.4)
    narrow = packaging.package(forest.to_onnx(model.state), replace(model, clip=(0.0, 0.9)))
    with pytest.raises(IntegrityError, match="differs"):
        parity.gate(narrow.SerializeToString(), model, tolerance=1e-6)


def stranger(core: onnx.ModelProto) -> TrainedModel:
    """A third-party model; its test vectors are the plane's truth in float64."""
    _, model = simulated()
    truth = model.test_X.astype(np.float64) @ np.array([0.001, 0.1, 0.0], np.float32).astype(np.float64)
    (bias,) = [node.op_type for node in core.graph.node if node.op_type.startswith("Reduce")] or [""]
    if bias:
        truth -= model.test_X.min()
    return replace(model, downscaler="stranger", test_y=truth)


def test_a_strangers_graph_needs_only_x_and_y() -> None:
    core = plane()
    model = stranger(core)
    told = parity.gate(packaging.package(core, model).SerializeToString(), model)
    assert told["max"] <= 1e-6
    assert told["tolerance"] == 1e-5


def test_a_graph_whose_rows_depend_on_their_neighbours_is_refused() -> None:
    core = plane("ReduceMin")
    model = replace(stranger(core), clip=(-10.0, 10.0))
    with pytest.raises(IntegrityError, match=r"gives a row .* alone"):
        parity.gate(packaging.package(core, model).SerializeToString(), model)


def test_an_answer_that_is_no_number_is_refused() -> None:
    core = plane()
    weights = numpy_helper.from_array(np.full((3, 1), np.nan, np.float32), "w")
    core.graph.initializer[0].CopyFrom(weights)
    model = stranger(plane())
    with pytest.raises(IntegrityError, match="by up to nan"):
        parity.gate(packaging.package(core, model).SerializeToString(), model)


@pytest.mark.parametrize(
    ("core", "told"),
    [
        (plane(opset=15), r"opset \[15\]"),
        (plane(names=("input", "y")), "'name': 'input'"),
        (plane(names=("X", "out")), "'out'"),
    ],
)
def test_a_graph_that_breaks_its_promise_is_refused_with_what_it_is(core: onnx.ModelProto, told: str) -> None:
    with pytest.raises(ZooError, match=f"downscaler 'stranger' gave .*{told}.*; expected X float32"):
        packaging.package(core, stranger(core))


def test_a_graph_that_onnx_refuses_is_a_fault_of_the_plugin() -> None:
    core = plane()
    core.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ZooError, match="gave a graph that ONNX refuses"):
        packaging.package(core, stranger(core))


def test_a_tolerance_of_the_downscaler_is_kept_to(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RandomForest, "parity_tolerance", 1e-12)
    with pytest.raises(IntegrityError, match="allowed is 1e-12"):
        OnnxExporter().export(source, source.with_name("model.onnx"))


def test_a_downscaler_may_exempt_a_share_of_the_rows_but_they_are_counted(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TrainedModel.load(source)
    one_off = model.test_y.copy()
    one_off[5] += 0.05
    replace(model, test_y=one_off).save(source)
    with pytest.raises(IntegrityError, match="by up to 0.05"):
        OnnxExporter().export(source, source.with_name("model.onnx"))
    monkeypatch.setattr(RandomForest, "parity_quantile", 0.99, raising=False)
    told = OnnxExporter().export(source, source.with_name("model.onnx"))["parity"]
    assert told["above"] == 1
    assert told["max"] == pytest.approx(0.05, abs=1e-6)


def test_unknown_options_downscalers_and_missing_sources_are_named(source: Path) -> None:
    target = source.with_name("model.onnx")
    with pytest.raises(UsageError, match="knows no option int8"):
        OnnxExporter().export(source, target, int8=True)
    with pytest.raises(DataError, match="is missing"):
        OnnxExporter().export(source.with_name("none.safetensors"), target)
    replace(TrainedModel.load(source), downscaler="rff").save(source)
    with pytest.raises(UnknownNameError, match="'rff'.* Did you mean 'rf'"):
        OnnxExporter().export(source, target)
    assert not target.exists()


@pytest.mark.real
def test_a_forest_on_real_soil_moisture_passes_the_gate_and_predicts_as_scikit_learn(
    real_data: Path, tmp_path: Path
) -> None:
    table: Any = pd.read_parquet(real_data / "tables" / "oznet.parquet").dropna(subset=[*OZNET, "insitu_sm"])
    X, y = table[OZNET].to_numpy(np.float32), table["insitu_sm"].to_numpy()
    seen = table["fold_space"].to_numpy() != table["fold_space"].iloc[0]
    forest, model = trained(X[seen], y[seen], [(name, "") for name in OZNET], trees=40)
    model.save(tmp_path / "model.safetensors")
    facts = OnnxExporter().export(tmp_path / "model.safetensors", tmp_path / "model.onnx")
    assert facts["parity"]["max"] <= 1e-6
    soil_moisture, _ = Session(tmp_path / "model.onnx", device="cpu").predict(X[~seen])
    np.testing.assert_allclose(soil_moisture, forest.predict(X[~seen]), rtol=0, atol=1e-6)
