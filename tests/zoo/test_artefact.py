"""A trained model comes back from disk as it went, and what is not one is refused with its reason."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from zoo.errors import DataError, IntegrityError, UsageError
from zoo.model.artefact import PHYSICAL_RANGE, Feature, Header, TrainedModel, probe_rows, write_bytes

MODEL = TrainedModel(
    downscaler="rf",
    params={"n_estimators": 3, "max_depth": None, "max_features": 0.1},
    features=(Feature("lst", "K", 280.5, 320.25), Feature("ndvi", "1", 0.1, 0.8)),
    target={
        "name": "soil_moisture",
        "units": "m3 m-3",
        "sensor": "smap",
        "product": "SPL4SMGP.008",
        "depth": [0, 0.05],
    },
    state={
        "left": np.array([[1, -1], [2, -1]], np.int32),
        "value": np.array([0.1, 0.2, 0.3]),
        "k": np.array(2, np.int64),
    },
    test_X=np.array([[300, 0.5], [310, 0.2]], np.float32),
    test_y=np.array([0.21, 0.13]),
)


def by_hand(path: Path) -> tuple[dict[str, Any], bytes]:
    """Read a safetensors file as its specification says: length, JSON, bytes."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    MODEL.save(path)
    return path


def test_a_saved_model_comes_back_whole(saved: Path) -> None:
    found = TrainedModel.load(saved)
    assert (found.downscaler, found.params, found.features) == (MODEL.downscaler, MODEL.params, MODEL.features)
    assert (found.target, found.clip) == (MODEL.target, PHYSICAL_RANGE)
    assert found.state.keys() == MODEL.state.keys()
    for name, array in MODEL.state.items():
        assert found.state[name].dtype == array.dtype
        np.testing.assert_array_equal(found.state[name], array)
    np.testing.assert_array_equal(found.test_X, MODEL.test_X)
    np.testing.assert_array_equal(found.test_y, MODEL.test_y)


def test_the_file_is_laid_out_as_documented(saved: Path) -> None:
    head, data = by_hand(saved)
    about = json.loads(head.pop("__metadata__")["zoo"])
    assert about["format"] == 1
    assert about["features"][0] == {"name": "lst", "units": "K", "min": 280.5, "max": 320.25}
    assert about["clip"] == [0.0, 1.0]
    assert set(about) == {"downscaler", "params", "features", "target", "clip", "format"}
    assert set(head) == {"state/left", "state/value", "state/k", "test/X", "test/y"}
    assert head["test/X"]["dtype"] == "F32"
    assert head["test/y"]["dtype"] == "F64"
    first, last = head["test/y"]["data_offsets"]
    np.testing.assert_array_equal(np.frombuffer(data[first:last], "<f8"), MODEL.test_y)


def test_the_same_model_gives_the_same_bytes_and_leaves_nothing_beside(saved: Path) -> None:
    before = saved.read_bytes()
    TrainedModel.load(saved).save(saved)
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model.safetensors"]


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_probe_rows_keep_to_the_range_of_training(columns: int, seed: int) -> None:
    X = np.random.default_rng(seed).normal(300, 1e-3, (40, columns)).astype(np.float32)
    rows = probe_rows(X, rows=64, seed=seed)
    assert rows.dtype == np.float32
    assert rows.shape == (64, columns)
    assert (rows >= X.min(axis=0)).all()
    assert (rows <= X.max(axis=0)).all()
    seen = {row.tobytes() for row in X}
    assert all(row.tobytes() in seen for row in rows[:32])
    np.testing.assert_array_equal(rows, probe_rows(X, rows=64, seed=seed))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.safetensors is missing; expected a model.safetensors"):
        TrainedModel.load(tmp_path / "gone.safetensors")
    with pytest.raises(DataError, match="is a folder"):
        TrainedModel.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 5, 60, -1])
def test_a_truncated_file_is_refused(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(DataError, match="truncated or no safetensors file"):
        TrainedModel.load(saved)


def write(path: Path, header: dict[str, Any] | None, **arrays: Any) -> Path:
    given = {"test/X": MODEL.test_X, "test/y": MODEL.test_y} | arrays
    kept = {name: array for name, array in given.items() if array is not None}
    save_file(kept, path, metadata={"zoo": json.dumps(header)} if header is not None else None)
    return path


def test_another_programs_safetensors_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="has no header of a trained model"):
        TrainedModel.load(write(tmp_path / "m.safetensors", None))


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    header = json.loads(MODEL.header.text()) | {"format": 2}
    with pytest.raises(IntegrityError, match="has format 2, this program reads 1; upgrade") as caught:
        TrainedModel.load(write(tmp_path / "m.safetensors", header))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("change", [{"features": [{"name": "lst"}]}, {"clip": [0.0]}, {"params": 3}, {"stray": 1}])
def test_a_damaged_header_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    header = json.loads(MODEL.header.text()) | change
    with pytest.raises(IntegrityError, match=f"damaged header: {next(iter(change))}"):
        TrainedModel.load(write(tmp_path / "m.safetensors", header))


@pytest.mark.parametrize(
    "arrays",
    [
        {"test/X": None},
        {"test/X": np.zeros((2, 3), np.float32)},
        {"test/y": np.zeros(3)},
        {"test/X": np.zeros((0, 2), np.float32), "test/y": np.zeros(0)},
        {"test/y": np.array([0.1, np.nan])},
    ],
)
def test_test_vectors_that_judge_nothing_are_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError, match="test vectors"):
        TrainedModel.load(write(tmp_path / "m.safetensors", json.loads(MODEL.header.text()), **arrays))


def test_a_model_that_cannot_be_stored_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    with pytest.raises(UsageError, match="params"):
        replace(MODEL, params={"rng": np.random.default_rng(0)}).save(path)
    with pytest.raises(UsageError, match="NaN or infinity"):
        replace(MODEL, params={"missing": float("nan")}).save(path)
    with pytest.raises(UsageError, match="features.0.min"):
        replace(MODEL, features=(Feature("lst", "K", float("nan"), 1), MODEL.features[1])).save(path)
    with pytest.raises(IntegrityError, match=r"X \(2, 2\) and y \(2,\), expected X \(m, 1\)"):
        replace(MODEL, features=MODEL.features[:1]).save(path)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        write_bytes(saved, b"new")
    assert saved.read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["model.safetensors"]


def test_a_place_that_is_a_folder_or_missing_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for place in (tmp_path / "folder", tmp_path / "none" / "model.onnx"):
        with pytest.raises(DataError, match="cannot be written"):
            write_bytes(place, b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_tuples_and_numpy_numbers_among_the_parameters_become_json(tmp_path: Path) -> None:
    params = {"layers": (200, 100), "rate": np.float32(0.5), "names": ["a"], "n": np.int64(3), "on": np.True_}
    replace(MODEL, params=params).save(tmp_path / "m.safetensors")
    found = TrainedModel.load(tmp_path / "m.safetensors").params
    assert found == {"layers": [200, 100], "rate": 0.5, "names": ["a"], "n": 3, "on": True}


def test_header_reads_what_it_wrote() -> None:
    assert Header.parse(MODEL.header.text(), "x") == MODEL.header
