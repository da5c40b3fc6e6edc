"""Fewer bits: what they change is measured, and what stays in float32 stays exact."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import numpy_helper

from zoo.inference.certified import Certificate, NotCertifiedError
from zoo.inference.runtime import Session
from zoo.model.artefact import Feature, TrainedModel, probe_rows
from zoo_dbn.estimator import DeepBeliefNetwork
from zoo_onnx import packaging, precision
from zoo_onnx.precision import certified, narrowed


def rows(n: int = 3000, seed: int = 0) -> npt.NDArray[np.float32]:
    """Surface temperature, vegetation index, elevation: the last one has no digits to spare in float16."""
    return np.random.default_rng(seed).uniform([280, 0.1, 1400], [320, 0.8, 1500], (n, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def dense() -> bytes:
    X = rows()
    y = 0.1 + 0.3 * X[:, 1] + 0.05 * np.sin((X[:, 0] - 280) / 10) + 0.1 * np.sin((X[:, 2] - 1400) / 8)
    network = DeepBeliefNetwork((400, 400), BP_epochs=3, n_members=1, random_state=0).fit(X, y)
    test = probe_rows(X, rows=200)
    features = tuple(Feature(f"x{i}", "1", float(c.min()), float(c.max())) for i, c in enumerate(X.T))
    model = TrainedModel(
        "dbn",
        network.get_params(),
        features,
        {"name": "soil_moisture", "units": "m3 m-3"},
        network.state(),
        test,
        network.predict(test),
    )
    content: bytes = packaging.package(network.to_onnx(model.state), model).SerializeToString()
    return content


def said(content: bytes, X: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return Session(content, device="cpu", threads=1).predict(X)[0]


@pytest.mark.parametrize(("name", "allowed"), [("fp16", 3e-4), ("int8", 3e-3)])
def test_fewer_bits_change_little_and_the_change_is_certified(
    dense: bytes, monkeypatch: pytest.MonkeyPatch, name: str, allowed: float
) -> None:
    monkeypatch.setattr(precision, "LEAST_GAIN", 0.0)  # how fast it is here is not what is tested
    content, parity = certified(dense, rows(), name)
    session = Session(content, device="cpu")
    certificate = Certificate.parse(session.metadata["certificate"])
    fresh = rows(2000, seed=1)
    off = np.abs(said(content, fresh) - said(dense, fresh))
    assert 0 < off.max() <= allowed
    assert said(dense, fresh).std() > 30 * off.max()
    assert parity["max"] <= certificate.tolerance <= 0.01
    assert np.quantile(off, 0.999) <= certificate.tolerance
    assert session.metadata["precision"] == name
    assert len(content) < 0.75 * len(dense)


def test_the_wide_layers_and_only_they_are_narrower(dense: bytes) -> None:
    for name, kind in (("fp16", np.float16), ("int8", np.int8)):
        model = narrowed(onnx.load_from_string(dense), name)
        held = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        assert any(array.dtype == kind and array.shape == (400, 400) for array in held.values())
        coding = [array for key, array in held.items() if key.startswith("core/") and array.shape[:1] == (3,)]
        assert coding
        assert all(array.dtype == np.float32 for array in coding)


def test_a_disturbed_weight_is_not_certified(dense: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def disturbed(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
        half = narrowed(model, name)
        wide = next(t for t in half.graph.initializer if list(t.dims) == [400, 400])
        wide.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(wide) * np.float16(3), wide.name))
        return half

    monkeypatch.setattr(precision, "narrowed", disturbed)
    with pytest.raises(NotCertifiedError, match="differs from the dense one"):
        certified(dense, rows(), "fp16")


def test_too_few_pixels_and_no_gain_are_refused(dense: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotCertifiedError, match="900 pixels do not make a certificate"):
        certified(dense, rows(900), "fp16")
    with pytest.raises(NotCertifiedError, match="0 pixels do not make a certificate"):
        certified(dense, np.empty((0, 3), np.float32), "fp16")
    monkeypatch.setattr(precision, "LEAST_GAIN", 1e9)
    with pytest.raises(NotCertifiedError, match="times the speed of float32 on this processor"):
        certified(dense, rows(), "int8")


def test_rounding_up_keeps_one_digit() -> None:
    assert precision._rounded_up(0.00021) == pytest.approx(3e-4)
    assert precision._rounded_up(0.0) == 1e-6
    assert precision._rounded_up(9.4e-4) == pytest.approx(1e-3)
