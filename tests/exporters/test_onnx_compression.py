"""A smaller network is published only with a certificate, and answers only where the certificate holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from onnx import numpy_helper
from scipy.spatial import cKDTree

from zoo.errors import IntegrityError, ZooError
from zoo.inference.certified import Certificate, CertifiedSession, NotCertifiedError
from zoo.inference.runtime import Session
from zoo.model.artefact import Feature, TrainedModel, probe_rows
from zoo_dbn.onnx import build_model
from zoo_onnx import packaging
from zoo_onnx.certificate import certify
from zoo_onnx.coding import Curve, curve_of, thin_out
from zoo_onnx.compression import Calibration, Compressed, compress, worthwhile
from zoo_onnx.distillation import Lesson
from zoo_onnx.doubt import first_layer, learn
from zoo_onnx.exporter import OnnxExporter
from zoo_onnx.sampling import near, neighbours
from zoo_onnx.selection import Shape, least_squares, low_rank, pivots, select
from zoo_onnx.soap import Soap
from zoo_onnx.trained import Ramps, TrainedNetwork, as_codes

TOLERANCE = 0.002


def pixels(n: int = 6000, seed: int = 0) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.normal([300, 0.4, 1400], [6, 0.15, 200], (n, 3)).astype(np.float32)


def network_state(width: int = 120, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    """A network with smooth random weights, as zoo_dbn would store it, of two members, with a bent coding."""
    rng = np.random.default_rng(seed)
    knots = np.quantile(pixels(), [0.001, 0.25, 0.5, 0.75, 0.999], axis=0)
    ramps = [(j, knots[i, j], 1 / (knots[i + 1, j] - knots[i, j])) for j in range(3) for i in range(4)]
    mixing = np.zeros((12, 3))
    mixing[np.arange(12), np.repeat(np.arange(3), 4)] = np.tile([1.2, 0.8, 0.8, 1.2], 3)
    return {
        "coding/column": np.array([r[0] for r in ramps], np.int64),
        "coding/low": np.array([r[1] for r in ramps], np.float32),
        "coding/slope": np.array([r[2] for r in ramps], np.float32),
        "coding/mixing": mixing.astype(np.float32),
        "coding/offset": np.full(3, -2, np.float32),
        "weight/0": rng.normal(0, 0.4, (2, 3, width)).astype(np.float32),
        "bias/0": rng.normal(0, 0.5, (2, 1, width)).astype(np.float32),
        "weight/1": rng.normal(0, 1 / np.sqrt(width), (2, width, width)).astype(np.float32),
        "bias/1": rng.normal(0, 0.2, (2, 1, width)).astype(np.float32),
        "weight/2": rng.normal(0, 1 / np.sqrt(width), (2, width, 1)).astype(np.float32),
        "bias/2": np.zeros((2, 1, 1), np.float32),
        "target": np.array([0.25, 0.6]),
    }


def truth(state: dict[str, npt.NDArray[Any]], X: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The network's answers in double precision, written out."""
    rise = np.clip((X[:, state["coding/column"]].astype(float) - state["coding/low"]) * state["coding/slope"], 0, 1)
    codes = rise @ state["coding/mixing"].astype(float) + state["coding/offset"]
    answers = []
    for member in range(2):
        below = codes
        for layer in (0, 1):
            below = 1 / (1 + np.exp(-(below @ state[f"weight/{layer}"][member] + state[f"bias/{layer}"][member, 0])))
        answers.append((below @ state["weight/2"][member])[:, 0])
    return np.asarray(np.mean(answers, axis=0) * state["target"][1] + state["target"][0])


def trained(calibration: npt.NDArray[np.float32] | None = None) -> TrainedModel:
    state, X = network_state(), pixels()
    rows = probe_rows(X, rows=400)
    return TrainedModel(
        downscaler="dbn",
        params={},
        features=tuple(
            Feature(name, units, float(c.min()), float(c.max()))
            for (name, units), c in zip([("lst", "K"), ("ndvi", "1"), ("dem", "m")], X.T, strict=True)
        ),
        target={"name": "soil_moisture", "units": "m3 m-3"},
        state=state,
        test_X=rows,
        test_y=truth(state, rows),
        calib_X=calibration,
    )


def compiled(model: TrainedModel) -> Session:
    return Session(packaging.package(build_model(model.state), model).SerializeToString(), device="cpu", threads=1)


@pytest.fixture(scope="module")
def found() -> Compressed:
    model = trained()
    return compress(model, compiled(model), pixels(), TOLERANCE, shapes=[Shape((32, 16))], steps=800, points=20_000)


@pytest.fixture
def session(found: Compressed) -> CertifiedSession:
    return CertifiedSession(Session(found.content, device="cpu", threads=1), compiled(trained()))


def with_doubt(content: bytes, more: float) -> bytes:
    """Return a compressed model that is more often unsure, or less."""
    model = onnx.load_from_string(content)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "core/doubt_bias_1")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(more), bias.name))
    return bytes(model.SerializeToString())


def sure(rows: npt.NDArray[np.float32], session: CertifiedSession) -> npt.NDArray[np.float32]:
    """Pixels that the compressed network answers."""
    rows = rows[session.certificate.covers(rows)]
    return np.asarray(rows[np.isfinite(session.compressed.predict(rows)[0])])


def test_a_compressed_network_keeps_its_certificate_on_pixels_it_never_saw(
    found: Compressed, session: CertifiedSession
) -> None:
    fresh = pixels(20_000, seed=9)
    fresh = fresh[session.certificate.covers(fresh)]
    answers, _ = session.predict(fresh)
    wrong = np.abs(answers - truth(network_state(), fresh))
    assert 0 < session.uncovered < 0.02 * len(fresh)  # within the range, but rare
    # the certificate speaks of its own pixels; others of the same kind are nearly as good
    assert np.quantile(wrong, 0.999) <= TOLERANCE
    assert truth(network_state(), fresh).std() > 5 * TOLERANCE
    assert found.parity["max"] <= TOLERANCE
    assert found.parity["p99.9"] <= TOLERANCE / 2
    assert found.parity["n"] > 1000
    assert found.parity["tolerance"] == TOLERANCE


def test_pixels_beyond_the_calibrated_range_are_counted_and_answered_by_the_dense_network(
    session: CertifiedSession,
) -> None:
    rows = sure(pixels(500, seed=3), session)[:400]
    beyond = [5, 70, 399]
    rows[5, 0], rows[70, 2], rows[399, 1] = 350, 0, 1.5
    rows[8, 0] = np.nan
    small, _ = session.compressed.predict(rows)
    dense, _ = session.dense.predict(rows)
    answers, _ = session.predict(rows)
    assert session.uncovered == 3
    np.testing.assert_allclose(answers[beyond], dense[beyond], rtol=0, atol=1e-7)
    assert (answers[beyond] != small[beyond]).all()
    assert np.isnan(answers[8])
    kept = np.setdiff1d(np.arange(400), [*beyond, 8])
    np.testing.assert_array_equal(answers[kept], small[kept])
    session.predict(rows[beyond])
    assert session.uncovered == 6


def test_a_disturbed_compressed_network_gets_no_certificate(found: Compressed, session: CertifiedSession) -> None:
    rows = pixels(3000, seed=5)
    rows = rows[found.certificate.covers(rows)]
    told = certify(found.content, session.dense, rows, replace(found.certificate, tolerance=2 * TOLERANCE))
    assert told["n"] == len(sure(rows, session)) < len(rows)
    disturbed = onnx.load_from_string(found.content)
    head = [tensor for tensor in disturbed.graph.initializer if tensor.name.startswith("core/weight_")][-1]
    weight = numpy_helper.to_array(head).copy()
    weight[np.abs(weight).argmax()] *= 1.2
    head.CopyFrom(numpy_helper.from_array(weight, head.name))
    with pytest.raises(NotCertifiedError, match="differs from the dense one by up to"):
        certify(disturbed.SerializeToString(), session.dense, rows, replace(found.certificate, tolerance=2 * TOLERANCE))


def test_pixels_of_which_the_network_is_unsure_are_counted_and_answered_by_the_dense_network(
    found: Compressed, session: CertifiedSession
) -> None:
    rows = pixels(20_000, seed=4)
    rows = rows[session.certificate.covers(rows)]
    small, _ = session.compressed.predict(rows)
    dense, _ = session.dense.predict(rows)
    answers, outside = session.predict(rows)
    unsure = np.isnan(small)
    assert session.uncovered == unsure.sum() > 0
    np.testing.assert_allclose(answers[unsure], dense[unsure], rtol=0, atol=1e-7)
    assert not outside[unsure].any()
    # what it would have said there is worse than elsewhere
    wrong = np.abs(Session(with_doubt(found.content, -1e9), device="cpu").predict(rows)[0] - dense)
    assert wrong[unsure].mean() > 1.5 * wrong[~unsure].mean()


def test_a_network_that_is_too_often_unsure_gets_no_certificate(found: Compressed, session: CertifiedSession) -> None:
    shy = with_doubt(found.content, 1000)
    rows = pixels(3000, seed=5)
    rows = rows[found.certificate.covers(rows)]
    with pytest.raises(NotCertifiedError, match="leaves .* of the held-out pixels to the dense one"):
        certify(shy, session.dense, rows, replace(found.certificate, tolerance=2 * TOLERANCE))


def test_doubt_is_the_mahalanobis_distance_and_finds_combinations_that_no_pixel_had() -> None:
    network = TrainedNetwork.read(network_state(), "dbn")
    X = pixels(6000, seed=2)
    X[:, 1] = np.float32(0.4) + (X[:, 0] - 300) * np.float32(0.02) + (X[:, 1] - np.float32(0.4)) / 20  # go together
    seen = torch.as_tensor(network.ramps.heights(X[:2000]))
    small = select(network, as_codes(network.ramps.encode(X[:2000])), network.ramps, seen, Shape((24, 12)))
    usual, other = (Lesson(part, network.answers_to(part), network.ramps) for part in np.split(X, [4000]))
    doubt = learn(small, usual, seed=0)
    assert 0.001 < doubt.unsure(small, other).mean() < 0.02  # of other pixels than the limit was put by
    active = first_layer(small, usual).double().numpy()
    apart = first_layer(small, other).double().numpy() - active.mean(axis=0)
    ridge = 1e-7 * np.linalg.eigvalsh(np.cov(active.T))[-1] * np.eye(24)
    exact = np.einsum("ni,ij,nj->n", apart, np.linalg.inv(np.cov(active.T) + ridge), apart)
    limit = -float(doubt.biases[1])
    found = doubt.of(first_layer(small, other)).numpy() + limit
    np.testing.assert_allclose(found, exact, rtol=0.02)  # in float32
    wide = select(network, as_codes(network.ramps.encode(X[:2000])), network.ramps, seen, Shape((120, 12)))
    assert learn(wide, usual, seed=0).weights[0].shape == (120, 48)
    swapped = X[4000:].copy()
    swapped[:, 1] = swapped[::-1, 1]  # each predictor as before
    assert doubt.unsure(small, replace(other, rows=swapped)).mean() > 0.5


def test_neighbours_are_those_of_a_search_tree() -> None:
    rows = np.random.default_rng(0).normal(size=(1500, 6))
    numbers, distance = neighbours(rows, 5)
    apart, others = cKDTree(rows).query(rows, 6)
    assert (np.sort(numbers, axis=1) == np.sort(others[:, 1:], axis=1)).mean() > 0.999
    np.testing.assert_allclose(distance, apart[:, -1], rtol=1e-3)


def test_points_to_learn_from_lie_as_the_pixels_do_and_more_of_them_where_pixels_are_rare() -> None:
    rng = np.random.default_rng(0)
    at = rng.random((3000, 1)) ** 4  # dense near 0, rare near 1
    rows = np.column_stack([at, np.sin(6 * at), at**2]).astype(np.float32) + rng.normal(0, 1e-3, (3000, 3)).astype("f4")
    points = near(rows, rows, 20_000, seed=1)
    assert points.shape == (20_000, 3)
    assert points.dtype == np.float32
    assert (points >= rows.min(axis=0)).all()
    assert (points <= rows.max(axis=0)).all()
    away = cKDTree(rows).query(points)[0]
    anywhere = cKDTree(rows).query(rng.uniform(rows.min(axis=0), rows.max(axis=0), (20_000, 3)))[0]
    assert np.median(away) < 0.1 * np.median(anywhere)
    assert (points[:, 0] > 0.5).mean() > 2 * (rows[:, 0] > 0.5).mean()
    np.testing.assert_array_equal(points, near(rows, rows, 20_000, seed=1))


def test_pixels_to_learn_to_choose_and_to_certify_by_have_none_in_common() -> None:
    rows = np.concatenate([pixels(24_000), pixels(24_000)[:5000]])  # some twice
    dealt = Calibration.split(rows, seed=0)
    parts = [dealt.learnt, dealt.checked, *dealt.certified]
    assert len(dealt.certified) == 2  # a network that was refused is not followed by one proven on the same pixels
    assert min(map(len, parts)) > 2000
    assert len(np.unique(np.concatenate(parts), axis=0)) == sum(map(len, parts))


def test_another_device_is_held_to_the_certificate(found: Compressed, session: CertifiedSession) -> None:
    rows = pixels(3000, seed=5)
    session.certificate = replace(found.certificate, tolerance=2 * TOLERANCE)
    session.check(rows)
    session.certificate = replace(found.certificate, tolerance=1e-7)
    with pytest.raises(NotCertifiedError, match="certified are 1e-07; give --precision fp32"):
        session.check(rows)


def test_a_certificate_needs_pixels_and_all_of_them_within_its_range(
    found: Compressed, session: CertifiedSession
) -> None:
    rows = pixels(3000, seed=5)
    with pytest.raises(NotCertifiedError, match="do not make a certificate"):
        certify(found.content, session.dense, rows, found.certificate)
    with pytest.raises(NotCertifiedError, match="40 held-out pixels"):
        certify(found.content, session.dense, rows[found.certificate.covers(rows)][:40], found.certificate)


def test_a_tolerance_out_of_reach_is_refused_and_says_what_remains() -> None:
    model = trained()
    with pytest.raises(NotCertifiedError, match="No smaller network keeps to 1e-06 .* use the dense model"):
        compress(model, compiled(model), pixels(), 1e-6, shapes=[Shape((8, 4))], steps=60, points=8000)
    with pytest.raises(NotCertifiedError, match="too few.*--calibrate"):
        compress(model, compiled(model), pixels(900), TOLERANCE)


def test_a_trained_model_whose_weights_were_disturbed_is_not_compressed(tmp_path: Path) -> None:
    model = trained(pixels())
    state = {**model.state, "weight/2": model.state["weight/2"] * np.float32(1.01)}
    replace(model, state=state).save(tmp_path / "model.safetensors")
    with pytest.raises(IntegrityError, match="differs from the trained one"):
        OnnxExporter().export(tmp_path / "model.safetensors", tmp_path / "small.onnx", compress=TOLERANCE)
    assert not (tmp_path / "small.onnx").exists()


def test_other_models_than_sigmoid_networks_are_refused() -> None:
    with pytest.raises(ZooError, match="'rf' is no network of sigmoid layers"):
        TrainedNetwork.read({"offsets": np.array([0, 1])}, "rf")


def test_a_compressed_model_of_another_dense_one_or_without_certificate_is_refused(found: Compressed) -> None:
    model = trained()
    other = compiled(replace(model, params={"cd_k": 2}))
    with pytest.raises(IntegrityError, match="not of this dense one"):
        CertifiedSession(Session(found.content, device="cpu"), other)
    with pytest.raises(IntegrityError, match="has no certificate"):
        CertifiedSession(compiled(model), compiled(model))
    assert Certificate.parse(found.certificate.text()) == found.certificate
    assert json.loads(found.certificate.text())["tolerance"] == TOLERANCE


def test_the_trained_network_is_read_as_it_answers() -> None:
    state, X = network_state(), pixels(300, seed=2)
    network = TrainedNetwork.read(state, "dbn")
    said = network.answers(as_codes(network.ramps.encode(X))).numpy()
    np.testing.assert_allclose(said, truth(state, X), rtol=0, atol=2e-6)


def test_all_neurons_and_exact_totals_give_the_trained_network_back() -> None:
    network, X = TrainedNetwork.read(network_state(width=20), "dbn"), pixels(2000, seed=2)
    codes = as_codes(network.ramps.encode(X))
    same = select(network, codes, network.ramps, torch.as_tensor(network.ramps.heights(X)), Shape((40, 40)))
    said = same.answers(torch.as_tensor(network.ramps.heights(X)))[:, 0]
    np.testing.assert_allclose(said.numpy(), network.answers(codes).numpy(), rtol=0, atol=2e-5)


def test_pivots_find_the_independent_columns() -> None:
    rng = np.random.default_rng(0)
    basis = rng.normal(size=(200, 3)) * [3, 2, 1]
    matrix = np.column_stack([basis @ [0.1, 0.1, 0.1], basis[:, 0], basis[:, 1], 0.5 * basis[:, 1], basis[:, 2]])
    assert set(pivots(torch.as_tensor(matrix), 3)) == {1, 2, 4}


def test_low_rank_is_exact_where_the_activations_have_that_rank() -> None:
    rng = np.random.default_rng(0)
    active = torch.as_tensor(rng.normal(size=(500, 2)) @ rng.normal(size=(2, 10)) + 1)
    weight, bias = rng.normal(size=(10, 6)), rng.normal(size=6)
    first, second, mended = low_rank(active, weight, bias, 2)
    wanted = active.numpy() @ weight + bias
    np.testing.assert_allclose(active.numpy() @ first @ second + mended, wanted, rtol=0, atol=1e-4)
    solved, shift = least_squares(active, torch.as_tensor(wanted))
    np.testing.assert_allclose(active.numpy() @ solved + shift, wanted, rtol=0, atol=1e-4)


def bent_curve(slack: float) -> tuple[Ramps, Curve]:
    """sin(3 x) in 40 ramps; the answer changes with the code `slack` times as much above .5."""
    x = np.linspace(0, 1, 41)
    curve = np.sin(3 * x)
    ramps = Ramps(np.zeros(40, np.int64), x[:-1], 1 / np.diff(x), np.diff(curve)[:, None], np.array([curve[0]]))
    at = np.random.default_rng(0).random(4000) * 0.8 + 0.1
    return ramps, curve_of(ramps, 0, 0.1, 0.9, at, np.where(at > 0.5, slack, 1.0)[:, None])


def chord_error(knots: npt.ArrayLike, weight: float = 1.0) -> float:
    """Mean square between sin(3 x) and chords through it, integrated finely; above .5 it weighs more."""
    at = np.linspace(0.1, 0.9, 20_001)
    off = np.interp(at, knots, np.sin(3 * np.asarray(knots))) - np.sin(3 * at)
    return float(np.mean((off * np.where(at > 0.5, weight, 1)) ** 2))


def test_the_knots_that_are_kept_are_the_best_of_all_choices() -> None:
    ramps, curve = bent_curve(3.0)
    _, kept = curve.choices()
    assert [len(knots) for knots in kept[:4]] == [2, 3, 4, 5]
    found = chord_error(curve.x[kept[2]], 3.0)
    inner = range(1, len(curve.x) - 1)
    every = [chord_error(curve.x[[0, a, b, len(curve.x) - 1]], 3.0) for a in inner for b in inner if a < b]
    assert found <= 1.02 * min(every)  # 4,000 rows stand for the integral
    assert found < 0.5 * np.median(every)
    assert kept[-1] == list(range(len(curve.x)))
    assert len(ramps.low) == 40


def test_values_between_knots_are_fitted_better_than_by_chords() -> None:
    _, curve = bent_curve(1.0)
    _, kept = curve.choices()
    at = np.linspace(0.1, 0.9, 2001)
    fitted = np.interp(at, curve.x[kept[3]], curve.fitted(kept[3])[:, 0])
    chords = np.interp(at, curve.x[kept[3]], np.sin(3 * curve.x[kept[3]]))
    assert np.mean((fitted - np.sin(3 * at)) ** 2) < 0.4 * np.mean((chords - np.sin(3 * at)) ** 2)
    np.testing.assert_allclose(curve.fitted(kept[-1]), curve.values, rtol=0, atol=1e-9)


def test_a_thinner_coding_changes_the_answers_by_no_more_than_is_allowed() -> None:
    network, X = TrainedNetwork.read(network_state(), "dbn"), pixels(3000, seed=2)
    low, high = X.min(axis=0), X.max(axis=0)
    truths = truth(network_state(), X)
    found = []
    for tolerance in (0.1, 0.01, 1e-5):
        ramps = thin_out(network, X, low, high, tolerance)
        said = network.answers(as_codes(ramps.encode(X))).numpy()
        assert np.quantile(np.abs(said - truths), 0.999) <= 0.5 * tolerance + 2e-6
        found.append(len(ramps.low))
    assert 3 <= found[0] < found[1] <= found[2] <= 12 + 6  # flat ends beyond the outer knots, too


def test_soap_solves_ill_conditioned_least_squares_that_adam_does_not() -> None:
    rng = np.random.default_rng(0)
    X = torch.as_tensor(rng.normal(size=(400, 20)) @ (np.eye(20) + 20 * np.ones((20, 20))) / 50, dtype=torch.float32)
    wanted = X @ torch.as_tensor(rng.normal(size=(20, 5)), dtype=torch.float32)

    def left(soap: bool) -> float:
        weight = torch.zeros(20, 5, requires_grad=True)
        optimiser = Soap([weight]) if soap else torch.optim.Adam([weight], 0.02)
        for _ in range(400):
            weight.grad = None
            loss = (X @ weight - wanted).pow(2).mean()
            loss.backward()
            optimiser.step(0.02) if soap else optimiser.step()
        return float(loss.detach())

    assert left(soap=True) < 0.2 * left(soap=False)


def test_only_shapes_that_save_work_are_tried() -> None:
    shapes = worthwhile(TrainedNetwork.read(network_state(), "dbn"))
    work = 2 * (3 * 120 + 120 * 120 + 120)
    assert shapes
    assert all(shape.multiplications(3) < work / 2 for shape in shapes)
    assert shapes == sorted(shapes, key=lambda shape: shape.multiplications(3))
    assert Shape((4, 3), 2).multiplications(5) == 5 * 4 + 4 * 2 + 2 * 3 + 3
    assert str(Shape((4, 3), 2)) == "4-(2)-3"
