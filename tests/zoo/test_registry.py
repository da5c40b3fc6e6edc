"""The registry keeps what it was given, changes nothing behind anyone's back, and says plainly what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.errors import DataError, IntegrityError, UnknownNameError, UsageError, ZooError
from zoo.registry import Registry, VersionRecord, layers, schema
from zoo.types import ModelRef, Score

SCORE = Score("dbn", "rmse", 0.03, 81, 0.02, 0.04, "SPL4SMGP", "blocks, 5 folds")


def record(**fields: Any) -> dict[str, Any]:
    return {
        "architecture": "dbn",
        "plugin": "soil-moisture-zoo",
        "plugin_version": "0.1.0",
        "features": [{"name": "ndvi", "units": "1", "min": 0.1, "max": 0.8}],
        "target": {"sensor": "smap", "product": "SPL4SMGP.008", "depth": [0.0, 0.05]},
        "dataset": {"fingerprint": "abc", "rows": 81, "files": {"a.h5": "0" * 64}},
    } | fields


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "made" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / "registry.json"


@pytest.fixture
def published(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A published registry with smd-dbn@v1, closed for writing."""
    path = tmp_path / "published" / "registry.json"
    monkeypatch.setattr(layers, "PUBLISHED", path)
    monkeypatch.setenv("SMZOO_PUBLISH", "1")
    Registry.open(path).add("smd-dbn", record(), {"model": source})
    monkeypatch.delenv("SMZOO_PUBLISH")
    return path


@pytest.fixture(autouse=True)
def _nothing_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "PUBLISHED", tmp_path / "none" / "registry.json")


def test_add_stores_file_with_its_hash_under_a_relative_path(home: Path, source: Path) -> None:
    found = Registry.open(home).add("smd-dbn", record(), {"model": source})
    stored = json.loads(home.read_text())["models"]["smd-dbn"]["versions"]["v1"]["artefacts"]["model"]
    assert stored["path"] == "smd-dbn/v1/model.safetensors"
    assert stored["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert stored["bytes"] == 7
    assert found.path("model") == home.parent / "smd-dbn/v1/model.safetensors"
    assert found.path("model").read_bytes() == b"weights"


def test_registry_can_be_moved_with_its_folder(home: Path, source: Path, tmp_path: Path) -> None:
    Registry.open(home).add("smd-dbn", record(), {"model": source})
    home.parent.rename(tmp_path / "elsewhere")
    moved = Registry.open(tmp_path / "elsewhere" / "registry.json").resolve("smd-dbn")
    assert moved.path("model").is_relative_to(tmp_path / "elsewhere")


def test_file_has_sorted_keys_indent_two_and_a_final_newline(home: Path, source: Path) -> None:
    Registry.open(home).add("smd-dbn", record(), {"model": source})
    text = home.read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert json.loads(text)["schema"] == 1


def test_numbers_ascend_and_are_not_given_out_again(home: Path, source: Path) -> None:
    registry = Registry.open(home)
    refs = [registry.add("m", record(), {"model": source}).ref for _ in range(3)]
    assert [str(ref) for ref in refs] == ["m@v1", "m@v2", "m@v3"]
    registry.remove("m@v3")
    assert not (home.parent / "m" / "v3").exists()
    assert str(registry.add("m", record(), {"model": source}).ref) == "m@v4"
    with pytest.raises(UnknownNameError, match="m@v3"):
        registry.resolve("m@v3")


def test_bare_name_is_the_default_alias_else_the_highest_version(home: Path, source: Path) -> None:
    registry = Registry.open(home)
    for _ in range(11):
        registry.add("m", record(), {"model": source})
    assert registry.resolve("m").ref == ModelRef("m", "v11")
    registry.set_alias("m", "default", 2)
    assert registry.resolve("m").ref == ModelRef("m", "v2")
    assert registry.resolve("m@default").ref == ModelRef("m", "v2")
    registry.set_alias("m", "default", None)
    assert registry.resolve("m").ref == ModelRef("m", "v11")


def test_every_alias_move_is_logged(home: Path, source: Path) -> None:
    registry = Registry.open(home)
    for _ in range(2):
        registry.add("m", record(), {"model": source})
    for version in (1, 2, None):
        registry.set_alias("m", "best", version)
    log = json.loads(home.read_text())["models"]["m"]["alias_log"]
    assert [(move["from"], move["to"]) for move in log] == [(None, "v1"), ("v1", "v2"), ("v2", None)]
    assert all(datetime.fromisoformat(move["time"]).tzinfo for move in log)


@pytest.mark.parametrize("alias", ["v3", "../x", "", "UPPER"])
def test_alias_cannot_look_like_a_version_or_a_path(home: Path, source: Path, alias: str) -> None:
    registry = Registry.open(home)
    registry.add("m", record(), {"model": source})
    with pytest.raises(UsageError):
        registry.set_alias("m", alias, 1)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/b", ".hidden", "", "a@v1", "a\\b"])
def test_model_name_cannot_leave_the_folder(home: Path, source: Path, name: str) -> None:
    with pytest.raises(UsageError):
        Registry.open(home).add(name, record(), {"model": source})
    assert not home.exists()


def test_unknown_model_lists_what_there_is_and_the_next_command(home: Path, source: Path) -> None:
    registry = Registry.open(home)
    registry.add("smd-dbn", record(), {"model": source})
    with pytest.raises(UnknownNameError, match=r"'smd-dbm'; there is: smd-dbn\..*'smd-dbn'.*zoo models list"):
        registry.resolve("smd-dbm")
    with pytest.raises(UnknownNameError, match=r"'smd-dbn@v7'; there is: smd-dbn@v1"):
        registry.resolve("smd-dbn@v7")


def test_changed_artefact_is_found(home: Path, source: Path) -> None:
    registry = Registry.open(home)
    found = registry.add("m", record(), {"model": source})
    assert registry.verify() == ()
    (home.parent / "m/v1/model.safetensors").write_bytes(b"Weights")
    assert [(problem.model, problem.artefact) for problem in registry.verify()] == [("m@v1", "model")]
    with pytest.raises(IntegrityError, match="m@v1 model: .* was changed") as error:
        found.path("model")
    assert error.value.exit_code == 3
    (home.parent / "m/v1/model.safetensors").unlink()
    with pytest.raises(IntegrityError, match="is missing"):
        found.path("model")


def test_missing_artefact_names_the_command_that_makes_it(home: Path, source: Path) -> None:
    found = Registry.open(home).add("m", record(), {"model": source})
    assert not found.has("onnx")
    with pytest.raises(UnknownNameError, match="there is: model.*zoo export onnx --model m@v1"):
        found.path("onnx")


def test_appended_artefact_and_scores_leave_the_rest_as_it_was(home: Path, source: Path, tmp_path: Path) -> None:
    registry = Registry.open(home)
    before = registry.add("m", record(scores=[SCORE]), {"model": source}).record
    onnx = tmp_path / "model.onnx"
    onnx.write_bytes(b"graph")
    parity = {"max": 1e-6, "p99.9": 1e-7, "n": 256, "provider": "CPUExecutionProvider"}
    registry.append_artefact("m@v1", "onnx", onnx, opset=17, inputs=["predictors"], parity=parity)
    after = registry.append_scores("m", [SCORE], {"region": "Shandian", "period": "2019-09-25"}).record
    assert after.artefacts["onnx"].parity is not None
    assert json.loads(home.read_text())["models"]["m"]["versions"]["v1"]["artefacts"]["onnx"]["parity"]["p99.9"] == 1e-7
    assert [score.region for score in after.scores] == [None, "Shandian"]
    assert [score.score() for score in after.scores] == [SCORE, SCORE]
    kept = {"artefacts", "scores"}
    assert after.model_dump(exclude=kept) == before.model_dump(exclude=kept)
    assert after.artefacts["model"] == before.artefacts["model"]


def test_registered_artefact_is_never_replaced(home: Path, source: Path, tmp_path: Path) -> None:
    registry = Registry.open(home)
    registry.add("m", record(), {"model": source})
    assert registry.append_artefact("m", "model", source).record.artefacts.keys() == {"model"}
    other = tmp_path / "model.safetensors"
    other.write_bytes(b"others")
    with pytest.raises(UsageError, match="never changes"):
        registry.append_artefact("m", "model", other)
    with pytest.raises(UsageError, match="another name"):
        registry.append_artefact("m", "second", other)
    assert registry.resolve("m").path("model").read_bytes() == b"weights"


def test_user_numbers_continue_after_the_published_ones(published: Path, source: Path) -> None:
    registry = Registry.open()
    mine = registry.add("smd-dbn", record(), {"model": source})
    assert str(mine.ref) == "smd-dbn@v2"
    assert mine.layer.path == layers.user_registry()
    assert [str(found.ref) for found in registry.list()] == ["smd-dbn@v1", "smd-dbn@v2"]
    assert registry.newest().ref == mine.ref
    assert registry.resolve("smd-dbn@v1").layer.path == published


def test_what_is_appended_to_a_published_version_goes_to_the_users_layer(
    published: Path, source: Path, tmp_path: Path
) -> None:
    text = published.read_text()
    onnx = tmp_path / "model.onnx"
    onnx.write_bytes(b"graph")
    registry = Registry.open()
    registry.append_artefact("smd-dbn@v1", "onnx", onnx, opset=17)
    found = registry.append_scores("smd-dbn@v1", [SCORE])
    assert found.path("onnx") == layers.user_registry().parent / "smd-dbn/v1/model.onnx"
    assert found.path("model").is_relative_to(published.parent)
    assert len(found.record.scores) == 1
    registry.set_alias("smd-dbn", "default", 1)
    assert registry.resolve("smd-dbn").aliases == ("default",)
    assert published.read_text() == text
    assert registry.verify() == ()


def test_additions_do_not_attach_to_another_version_of_the_same_number(
    published: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Registry.open().append_scores("smd-dbn@v1", [SCORE])
    published.unlink()
    monkeypatch.setenv("SMZOO_PUBLISH", "1")
    Registry.open(published).add("smd-dbn", record(seed=5), {"model": source})
    monkeypatch.delenv("SMZOO_PUBLISH")
    assert Registry.open().resolve("smd-dbn@v1").record.scores == ()


def test_published_registry_is_never_written(published: Path, source: Path) -> None:
    with pytest.raises(UsageError, match="published registry, which is only read"):
        Registry.open(published).add("smd-dbn", record(), {"model": source})
    with pytest.raises(UsageError, match="cannot be removed"):
        Registry.open().remove("smd-dbn@v1")


def test_layers_are_read_in_order_and_the_first_given_is_written(
    home: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Registry.open().add("m", record(), {"model": source})
    monkeypatch.setenv("SMZOO_REGISTRY", str(tmp_path / "env" / "registry.json"))
    second = Registry.open().add("m", record(), {"model": source})
    third = Registry.open(home).add("m", record(), {"model": source})
    assert [str(found.ref) for found in (mine, second, third)] == ["m@v1", "m@v2", "m@v3"]
    assert [found.layer.origin for found in Registry.open(home).list()] == ["user", "SMZOO_REGISTRY", "--registry"]
    with pytest.raises(UsageError, match="add --registry"):
        Registry.open(home).remove("m@v1")


def test_version_hidden_by_another_layer_is_a_problem_that_verify_names(source: Path, tmp_path: Path) -> None:
    aside = tmp_path / "aside" / "registry.json"
    Registry.open(aside).add("m", record(), {"model": source})
    Registry.open().add("m", record(seed=1), {"model": source})
    registry = Registry.open(aside)
    assert registry.resolve("m@v1").layer.path == aside
    assert "hidden" in registry.verify()[0].problem


def test_removing_needs_a_number_and_no_alias(home: Path, source: Path) -> None:
    registry = Registry.open(home)
    registry.add("m", record(), {"model": source})
    with pytest.raises(UsageError, match="names no version to remove"):
        registry.remove("m")
    registry.set_alias("m", "best", 1)
    with pytest.raises(UsageError, match="has the alias best"):
        registry.remove("m@v1")


def test_two_registries_in_one_folder_keep_their_files_apart(tmp_path: Path, source: Path) -> None:
    first, second = (Registry.open(tmp_path / name) for name in ("a.json", "b.json"))
    first.add("m", record(), {"model": source})
    source.write_bytes(b"other weights")
    second.add("m", record(), {"model": source})
    assert first.resolve("m").path("model").read_bytes() == b"weights"
    assert second.resolve("m").path("model").read_bytes() == b"other weights"


def test_link_to_a_registry_is_followed(home: Path, source: Path, tmp_path: Path) -> None:
    Registry.open(home).add("m", record(), {"model": source})
    link = tmp_path / "registry.json"
    link.symlink_to(home)
    registry = Registry.open(link)
    assert registry.resolve("m").path("model").read_bytes() == b"weights"
    registry.add("m", record(), {"model": source})
    assert link.is_symlink()
    assert Registry.open(home).resolve("m@v2")


def test_registry_that_does_not_exist_is_named_when_a_model_is_not_found(home: Path) -> None:
    with pytest.raises(UnknownNameError, match=f"--registry {home} does not exist"):
        Registry.open(home).resolve("m")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
def test_file_is_on_disk_before_and_its_folder_after_it_replaces_the_old_one(
    home: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(handle: int) -> None:
        events.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        fsync(handle)

    def noted_replace(old: Path, new: Path) -> None:
        events.append(f"replace {Path(new).name}")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    Registry.open(home).add("m", record(), {"model": source})
    assert events[-3:] == ["fsync .registry.json.tmp", "replace registry.json", "fsync home"]
    assert events.index("replace v1") < events.index("replace registry.json")
    assert events[:2] == ["fsync .model.safetensors.tmp", "replace model.safetensors"]


def test_mode_of_the_file_is_kept(home: Path, source: Path) -> None:
    registry = Registry.open(home)
    registry.add("m", record(), {"model": source})
    home.chmod(0o664)
    registry.add("m", record(), {"model": source})
    assert stat.S_IMODE(home.stat().st_mode) == 0o664


def test_reading_leaves_no_trace(home: Path, source: Path) -> None:
    Registry.open(home).add("m", record(), {"model": source})
    (home.parent / "registry.json.lock").unlink(missing_ok=True)
    before = {path: path.stat().st_mtime_ns for path in (home.parent, *home.parent.rglob("*"))}
    registry = Registry.open(home)
    registry.list()
    registry.resolve("m").path("model")
    registry.verify()
    assert {path: path.stat().st_mtime_ns for path in (home.parent, *home.parent.rglob("*"))} == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_read_and_not_written(home: Path, source: Path) -> None:
    Registry.open(home).add("m", record(), {"model": source})
    (home.parent / "registry.json.lock").unlink(missing_ok=True)
    home.parent.chmod(0o555)
    try:
        assert Registry.open(home).resolve("m").path("model")
        with pytest.raises(ZooError, match="cannot write the registry"):
            Registry.open(home).add("m", record(), {"model": source})
    finally:
        home.parent.chmod(0o755)


def test_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path, source: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooError, match="cannot write the registry .*; give another with --registry"):
        Registry.open(tmp_path / "file" / "registry.json").add("m", record(), {"model": source})


def test_registry_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; give a file"):
        Registry.open(tmp_path)


def test_missing_source_leaves_the_registry_unchanged(home: Path, source: Path) -> None:
    registry = Registry.open(home)
    registry.add("m", record(), {"model": source})
    before = home.read_text()
    with pytest.raises(DataError, match="does not exist"):
        registry.add("m", record(), {"model": source.with_name("none")})
    assert home.read_text() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 99, "models": {}}', "has schema 99, this program reads up to 1; upgrade soil-moisture-zoo"),
        ('{"schema": 0, "models": {}}', "has schema 0, which no release wrote"),
        ('{"models": {}}', "has no schema number"),
        ('{"schema": 1, "models"', "is no JSON"),
        ('{"schema": 1, "models": {}, "extra": 1}', "extra: Extra inputs are not permitted"),
        ("[]", "has no schema number"),
        ("", "is no JSON"),
    ],
)
def test_file_that_is_no_registry_is_one_clear_line(home: Path, text: str, message: str) -> None:
    home.parent.mkdir()
    home.write_text(text)
    with pytest.raises(IntegrityError, match=message) as error:
        Registry.open(home).list()
    assert str(home) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("path", ["/etc/passwd", "../outside", "m/../../outside", "c:\\x", ""])
def test_artefact_path_that_leaves_the_folder_is_refused(home: Path, source: Path, path: str) -> None:
    Registry.open(home).add("m", record(), {"model": source})
    document = json.loads(home.read_text())
    document["models"]["m"]["versions"]["v1"]["artefacts"]["model"]["path"] = path
    home.write_text(json.dumps(document))
    with pytest.raises(IntegrityError, match="not relative to the registry file"):
        Registry.open(home).list()


def test_migrations_run_step_by_step(home: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Registry.open(home).add("m", record(), {"model": source})
    document = json.loads(home.read_text())
    document["schema"] = -1
    document["modelle"] = document.pop("models")
    document["models_list"] = 0
    home.write_text(json.dumps(document))
    steps = {
        -1: lambda old: {key: value for key, value in old.items() if key != "models_list"},
        0: lambda old: {"models": old["modelle"]},
    }
    monkeypatch.setattr(schema, "MIGRATIONS", steps)
    assert Registry.open(home).resolve("m@v1").path("model")


names = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
instants = st.datetimes(min_value=datetime(1980, 1, 1), timezones=st.just(UTC))
scores = st.builds(Score, names, names, numbers, st.integers(0), numbers, numbers, st.text(), st.text())
records = st.builds(
    lambda **fields: VersionRecord.model_validate(record(**fields)),
    created=instants,
    features=st.lists(st.fixed_dictionaries({"name": names, "units": st.text(), "min": numbers, "max": numbers})),
    hyperparameters=st.dictionaries(names, st.recursive(numbers | st.text() | st.booleans(), st.lists, max_leaves=4)),
    seed=st.none() | st.integers(-(2**63), 2**63),
    scores=st.lists(scores, max_size=3),
    environment=st.dictionaries(names, st.text()),
    start_datetime=st.none() | instants,
    notes=st.lists(st.text()),
    simulated=st.booleans(),
)


@given(st.dictionaries(names, st.dictionaries(st.integers(1, 99).map("v{}".format), records, max_size=2), max_size=2))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_document_survives_writing_and_reading(models: dict[str, dict[str, VersionRecord]]) -> None:
    document = schema.Document(models={name: schema.Model(versions=found) for name, found in models.items()})
    text = schema.dump(document)
    assert schema.parse(text, Path("registry.json")) == document
    assert schema.dump(schema.parse(text, Path("registry.json"))) == text


def test_numbers_of_numpy_and_nan_are_taken() -> None:
    made = VersionRecord.model_validate(
        record(
            features=[{"name": "a", "units": "1", "min": np.float32(0.5), "max": np.nan}],
            hyperparameters={"layers": (np.int64(8), np.float64(2.5)), "grid": np.arange(2)},
            scores=[Score("dbn", "r", float("nan"), np.int64(3), None, float("inf"), "x", "y")],
        )
    )
    assert (made.features[0].min, made.features[0].max) == (0.5, None)
    assert made.hyperparameters == {"layers": [8, 2.5], "grid": [0, 1]}
    assert made.scores[0].score() == Score("dbn", "r", None, 3, None, None, "x", "y")
