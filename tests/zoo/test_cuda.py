"""CUDA: the same answers, float32 that is float32, batches that are padded, and lanes side by side.

Without an NVIDIA GPU these are skipped, but for how lanes are shared out.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.errors import ZooError
from zoo.inference import cuda
from zoo.inference.cuda import CUDA, Lane, Lanes
from zoo.inference.runtime import Session
from zoo_onnx.precision import narrowed

HEADER = (
    '{"clip": [0.02, 0.6], "downscaler": "net", "features": [{"max": 1, "min": 0, "name": "a", "units": "1"},'
    ' {"max": 1, "min": 0, "name": "b", "units": "1"}], "format": 1, "params": {},'
    ' "target": {"name": "soil_moisture", "units": "m3 m-3"}}'
)


def network(width: int = 512, seed: int = 0) -> onnx.ModelProto:
    """Two sigmoid layers behind a clip, packaged as `zoo export onnx` does."""
    rng = np.random.default_rng(seed)
    sizes = [2, width, width, 1]
    nodes = [helper.make_node("Clip", ["predictors", "zero", "one"], ["layer_0"])]
    constants = [numpy_helper.from_array(np.float32(value), name) for name, value in (("zero", 0), ("one", 1))]
    for number, (below, above) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        weight = rng.normal(0, 3 / np.sqrt(below), (below, above)) * (0.1 if above == 1 else 1)
        constants += [
            numpy_helper.from_array(weight.astype(np.float32), f"w{number}"),
            numpy_helper.from_array(np.full(above, 0.3 if above == 1 else 0.1, np.float32), f"b{number}"),
        ]
        nodes.append(helper.make_node("Gemm", [f"layer_{number}", f"w{number}", f"b{number}"], [f"total_{number}"]))
        if above > 1:
            nodes.append(helper.make_node("Sigmoid", [f"total_{number}"], [f"layer_{number + 1}"]))
    limits = {"low": 0.02, "high": 0.6}
    constants += [numpy_helper.from_array(np.float32(value), name) for name, value in limits.items()]
    nodes += [
        helper.make_node("Clip", ["total_2", "low", "high"], ["soil_moisture"]),
        helper.make_node("Equal", ["total_2", "soil_moisture"], ["same"]),
        helper.make_node("Not", ["same"], ["out_of_range"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("predictors", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor_value_info("soil_moisture", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("out_of_range", TensorProto.BOOL, ["n", 1]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"zoo": HEADER, "devices": "cpu cuda"})
    return model


def rows(n: int, seed: int = 1) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).random((n, 2), np.float32)


def on_cuda(model: onnx.ModelProto, **options: Any) -> Session:
    """Open on CUDA, or skip."""
    if CUDA not in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime has no CUDA provider")
    try:
        return Session(model.SerializeToString(), device="cuda", **options)
    except ZooError as error:
        pytest.skip(f"no GPU: {error}")


@pytest.mark.parametrize("n", [1, 999, 1000, 4321])
def test_cuda_answers_as_the_cpu_does_whatever_the_number_of_rows(n: int) -> None:
    model = network()
    session, X = on_cuda(model, batch=1000), rows(n)
    assert session.provider == CUDA
    truth, marks = Session(model.SerializeToString(), device="cpu").predict(X)
    said, outside = session.predict(X)
    np.testing.assert_allclose(said, truth, rtol=0, atol=1e-5)
    clear = (np.abs(truth - 0.02) > 1e-5) & (np.abs(truth - 0.6) > 1e-5)
    np.testing.assert_array_equal(outside[clear], marks[clear])


def test_float32_is_not_rounded_on_cuda_unless_asked_for() -> None:
    model, X = network(), rows(5000)
    truth = Session(model.SerializeToString(), device="cpu").predict(X)[0]
    exact = np.abs(on_cuda(model).predict(X)[0] - truth).max()
    rounded = np.abs(on_cuda(model, tf32=True).predict(X)[0] - truth).max()
    assert exact <= 1e-5
    assert rounded <= 1e-2


def test_float16_on_cuda_is_near_float32() -> None:
    model, X = network(), rows(5000)
    truth = Session(model.SerializeToString(), device="cpu").predict(X)[0]
    off = np.abs(on_cuda(narrowed(model, "fp16")).predict(X)[0] - truth)
    assert 0 < off.max() <= 5e-3


def test_a_cuda_graph_is_captured_and_replayed_with_other_rows() -> None:
    session = on_cuda(network(), batch=500)
    assert session._lanes is not None
    assert all(lane.graph for lane in session._lanes.lanes)
    first, second = session.predict(rows(500, 1))[0], session.predict(rows(500, 2))[0]
    np.testing.assert_array_equal(session.predict(rows(500, 1))[0], first)
    assert not np.array_equal(first, second)


def test_a_lane_answers_through_buffers_that_stay() -> None:
    model = network(64)
    content = model.SerializeToString()

    def create(_: list[Any]) -> Any:
        return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    lane = Lane(create, 2, 300, memory="cpu")
    truth = Session(content, device="cpu", batch=300)
    first, again = lane.run(rows(300, 1)), lane.run(rows(120, 2))  # fewer rows than the buffer holds
    for said, X in ((first, rows(300, 1)), (again, rows(120, 2))):
        values, marks = truth.predict(X)
        np.testing.assert_allclose(said[0][:, 0], values, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(said[1][:, 0], marks)
    lane.close()


class SlowSession:
    """Stands for a lane: answers twice the first predictor, and counts how many are at work."""

    def __init__(self, batch: int) -> None:
        self.batch, self.at_work, self.most = batch, 0, 0
        self.lock, self.both = threading.Lock(), threading.Barrier(2, timeout=10)

    def run(self, part: npt.NDArray[np.float32]) -> list[npt.NDArray[Any]]:
        assert len(part) <= self.batch
        self.both.wait()  # breaks unless two lanes run at a time
        return [2 * part[:, :1], np.zeros((len(part), 1), np.bool_)]


def test_two_lanes_run_side_by_side_and_each_row_gets_its_own_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    lane = SlowSession(100)
    monkeypatch.setattr(cuda, "Lane", lambda *_, **__: lane)
    lanes = Lanes(lambda _: None, 2, 100)
    assert lanes.count == len(lanes.lanes) == 2
    found: dict[int, list[npt.NDArray[Any]]] = {}
    threads = [threading.Thread(target=lambda k=k: found.update({k: lanes.run(rows(250, k))})) for k in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    for k in (0, 1):
        np.testing.assert_array_equal(found[k][0], 2 * rows(250, k)[:, :1])
        assert found[k][1].shape == (250, 1)


def test_the_provider_does_not_round_by_default() -> None:
    assert cuda.provider() == (CUDA, {"use_tf32": "0", "enable_cuda_graph": "0"})
    assert cuda.provider(tf32=True, graph=True)[1] == {"use_tf32": "1", "enable_cuda_graph": "1"}
