"""Sessions: the right columns, the right provider, bounded batches, and nothing missing ever reaches the model."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.errors import DataError, IntegrityError, UsageError, ZooError
from zoo.inference import runtime
from zoo.inference.runtime import BATCH, Session

WEIGHTS = np.array([[0.001], [0.25], [-0.0001]], np.float32)
HEADER = {
    "downscaler": "plane",
    "params": {},
    "features": [
        {"name": "lst", "units": "K", "min": 280.0, "max": 320.0},
        {"name": "ndvi", "units": "1", "min": 0.0, "max": 0.9},
        {"name": "dem", "units": "m", "min": 900.0, "max": 2200.0},
    ],
    "target": {"name": "soil_moisture", "units": "m3 m-3"},
    "clip": [0.05, 0.5],
    "format": 1,
}


def plane(header: dict[str, Any] | None = HEADER, **props: str) -> bytes:
    """A compiled model whose truth is known: clip(X @ WEIGHTS, .05, .5)."""
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["predictors", "W"], ["y"]),
            helper.make_node("Clip", ["y", "low", "high"], ["soil_moisture"]),
            helper.make_node("Equal", ["y", "soil_moisture"], ["same"]),
            helper.make_node("Not", ["same"], ["out_of_range"]),
        ],
        "plane",
        [helper.make_tensor_value_info("predictors", TensorProto.FLOAT, ["n", 3])],
        [
            helper.make_tensor_value_info("soil_moisture", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("out_of_range", TensorProto.BOOL, ["n", 1]),
        ],
        [
            numpy_helper.from_array(WEIGHTS, "W"),
            numpy_helper.from_array(np.float32(0.05), "low"),
            numpy_helper.from_array(np.float32(0.5), "high"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, props | ({"zoo": json.dumps(header)} if header is not None else {}))
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def rows(n: int, seed: int = 0) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).uniform([280, -0.5, 900], [320, 1.2, 2200], (n, 3))


class Spy:
    """Stands before an onnxruntime session and keeps what it was given."""

    def __init__(self, session: Any) -> None:
        self.session, self.given = session, []

    def run(self, names: list[str], feed: dict[str, npt.NDArray[np.float32]]) -> Any:
        self.given.append(feed["predictors"].copy())
        return self.session.run(names, feed)


@pytest.fixture
def session() -> Session:
    return Session(plane(), device="cpu")


@pytest.fixture
def spy(session: Session) -> Spy:
    session._session = Spy(session._session)
    return session._session


@pytest.mark.parametrize("n", [0, 1, 17, BATCH, 2 * BATCH + 3])
def test_predicts_the_clipped_plane_and_marks_what_was_clipped(session: Session, n: int) -> None:
    X = rows(n)
    soil_moisture, out_of_range = session.predict(X)
    truth = X.astype(np.float32).astype(np.float64) @ WEIGHTS[:, 0].astype(np.float64)
    assert soil_moisture.shape == out_of_range.shape == (n,)
    assert (soil_moisture.dtype, out_of_range.dtype) == (np.float32, np.bool_)
    np.testing.assert_allclose(soil_moisture, np.clip(truth, 0.05, 0.5), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(out_of_range, (truth < 0.05) | (truth > 0.5))
    assert n < 100 or 0.05 < out_of_range.mean() < 0.5


def test_rows_with_a_missing_predictor_become_nan_and_never_reach_the_model(session: Session, spy: Spy) -> None:
    X = rows(BATCH + 100)
    X[3, 0], X[7, 2], X[BATCH + 1, 1], X[9, 1] = np.nan, np.inf, -np.inf, 1e300
    gaps = [3, 7, 9, BATCH + 1]
    soil_moisture, out_of_range = session.predict(X)
    assert np.flatnonzero(np.isnan(soil_moisture)).tolist() == gaps
    assert not out_of_range[gaps].any()
    assert np.isfinite(np.concatenate(spy.given)).all()
    assert sum(len(part) for part in spy.given) == len(X) - len(gaps)
    kept = np.setdiff1d(np.arange(len(X)), gaps)
    np.testing.assert_array_equal(soil_moisture[kept], session.predict(X[kept])[0])


def test_nothing_but_missing_rows_asks_the_model_nothing(session: Session, spy: Spy) -> None:
    soil_moisture, _ = session.predict(np.full((5, 3), np.nan))
    assert np.isnan(soil_moisture).all()
    assert spy.given == []


def test_batches_are_bounded_and_do_not_change_the_answer(
    session: Session, spy: Spy, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = rows(1000)
    whole, _ = session.predict(X)
    spy.given.clear()
    monkeypatch.setattr(runtime, "BATCH", 64)
    parts, _ = session.predict(X)
    assert max(len(part) for part in spy.given) == 64
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [(5, 2), (5, 4), (3,), (2, 2, 3)])
def test_predictors_of_the_wrong_shape_are_refused(session: Session, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"expected \(n, 3\): lst, ndvi, dem"):
        session.predict(np.zeros(shape))


def test_says_what_the_model_takes_and_returns(session: Session) -> None:
    assert session.names == ["lst", "ndvi", "dem"]
    assert [feature.units for feature in session.features] == ["K", "1", "m"]
    assert session.clip == (0.05, 0.5)
    assert session.target["units"] == "m3 m-3"
    assert session.provider == "CPUExecutionProvider"


def test_features_are_returned_in_the_models_order(session: Session) -> None:
    assert session.features_in(["dem", "lst", "ndvi"]) == ["lst", "ndvi", "dem"]
    assert session.features_in(["station", "dem", "lst", "ndvi"], allow_extra=True) == ["lst", "ndvi", "dem"]


def test_missing_double_and_extra_predictors_are_named(session: Session) -> None:
    with pytest.raises(DataError) as caught:
        session.features_in(["lst", "slope", "lst", "evi"])
    told = str(caught.value)
    assert "missing: ndvi, dem" in told
    assert "given twice: lst" in told
    assert "not known to the model: evi, slope" in told
    with pytest.raises(DataError, match="missing: dem; it takes lst, ndvi, dem"):
        session.features_in(["lst", "ndvi", "station"], allow_extra=True)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(plane())
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    assert Session(path, verify_sha256=right).names == ["lst", "ndvi", "dem"]
    path.write_bytes(plane({**HEADER, "clip": [0.0, 0.5]}))
    with pytest.raises(IntegrityError, match=f"expected {right[:12]}") as caught:
        Session(path, verify_sha256=right)
    assert caught.value.exit_code == 3


def test_what_is_no_model_of_this_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.onnx cannot be read: No such file"):
        Session(tmp_path / "none.onnx")
    with pytest.raises(DataError, match="Is a directory"):
        Session(tmp_path)
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(DataError, match=r"text.onnx cannot be opened by onnxruntime"):
        Session(tmp_path / "text.onnx")
    with pytest.raises(IntegrityError, match="has no header of a trained model"):
        Session(plane(None))
    with pytest.raises(IntegrityError, match="has format 9"):
        Session(plane({**HEADER, "format": 9}))


def test_an_unknown_device_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="--device 'gpu' is not known; expected auto, cpu or cuda"):
        Session(plane(), device="gpu")


def test_auto_takes_what_there_is_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    session = Session(plane(), device="auto")
    assert session.provider in ("CPUExecutionProvider", "CUDAExecutionProvider")
    assert capfd.readouterr() == ("", "")
    X = rows(50)
    np.testing.assert_allclose(session.predict(X)[0], Session(plane(), device="cpu").predict(X)[0], rtol=0, atol=1e-5)


def test_cuda_fails_with_one_line_where_onnxruntime_cannot_use_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ZooError, match="--device cuda: onnxruntime cannot use CUDA here"):
        Session(plane(), device="cuda")
    assert capfd.readouterr() == ("", "")


def test_cuda_fails_where_onnxruntime_lists_it_and_silently_gives_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    made = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda content, options, providers, **more: made(content, options, providers[-1:]),
    )
    with pytest.raises(ZooError, match="cannot use CUDA here"):
        Session(plane(), device="cuda")
    assert Session(plane(), device="auto").provider == "CPUExecutionProvider"


def test_trees_stay_on_the_cpu_and_say_so() -> None:
    trees = plane(devices="cpu")
    assert Session(trees, device="auto").provider == "CPUExecutionProvider"
    with pytest.raises(ZooError, match="has no CUDA kernel"):
        Session(trees, device="cuda")


def test_predicting_imports_neither_torch_nor_scikit_learn_nor_onnx() -> None:
    heavy = ("torch", "sklearn", "onnx", "pandas", "xarray")
    code = f"import sys, zoo.inference.runtime; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
