"""`zoo models` lists, shows, aliases, verifies and removes; its JSON has stable keys and its errors one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zoo.cli import main
from zoo.registry import Registry, layers
from zoo.types import Score

SCORE = Score("dbn", "rmse", 0.03, 81, 0.02, 0.04, "SPL4SMGP", "spatial blocks, 5 folds")
RECORD = {
    "architecture": "dbn",
    "plugin": "soil-moisture-zoo",
    "plugin_version": "0.1.0",
    "sensor": "smap",
    "features": [{"name": "ndvi", "units": "1", "min": 0.1, "max": 0.8}],
    "target": {"sensor": "smap", "product": "SPL4SMGP.008", "depth": [0.0, 0.05]},
    "dataset": {"fingerprint": "abc", "rows": 81, "dropped": {"no soil moisture": 3}},
    "hyperparameters": {"cd_k": 1},
    "notes": ["Half of the area is | irrigated."],
    "scores": [SCORE],
    "simulated": True,
}


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a registry with two versions of smd-dbn."""
    monkeypatch.setattr(layers, "PUBLISHED", tmp_path / "none" / "registry.json")
    path = tmp_path / "zoo" / "registry.json"
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    for _ in range(2):
        Registry.open(path).add("smd-dbn", RECORD, {"model": file})
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run `zoo models ...` and return its exit code, stdout and stderr."""
    with pytest.raises(SystemExit) as end:
        main(["models", *map(str, arguments)])
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_list_names_every_version(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "list", "--registry", registry)["models"]
    assert [model["model"] for model in found] == ["smd-dbn@v1", "smd-dbn@v2"]
    assert found[0]["artifacts"] == {"model": str(registry.parent / "smd-dbn/v1/model.safetensors")}
    _, out, _ = run(capsys, "list", "--registry", registry)
    assert "smd-dbn@v2" in out
    assert "simulated" in out


def test_list_of_nothing_names_the_next_command(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "zoo train dbn" in run(capsys, "list")[1]


def test_show_gives_scores_with_stable_keys(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run_json(capsys, "show", "smd-dbn@v1", "--registry", registry)
    assert found["model"] == "smd-dbn@v1"
    expected = {
        "estimator": "dbn",
        "metric": "rmse",
        "value": 0.03,
        "n": 81,
        "ci_low": 0.02,
        "ci_high": 0.04,
        "reference": "SPL4SMGP",
        "split": "spatial blocks, 5 folds",
    }
    assert found["scores"][0].items() >= expected.items()
    assert found["record"]["artefacts"]["model"]["bytes"] == 7


def test_card_says_what_a_person_must_know(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "show", "smd-dbn", "--registry", registry)
    assert out.startswith("# smd-dbn@v2\n")
    for text in (
        "Trained on simulated data.",
        "soil_moisture in m3 m-3, 0 to 0.05 m deep, as in SPL4SMGP.008",
        "| ndvi | 1 | 0.1 | 0.8 |",
        "| dbn | rmse | 0.03 [0.02, 0.04] | 81 | SPL4SMGP |",
        "81 (left out: 3 no soil moisture)",
        "cd_k=1",
    ):
        assert text in out


def test_alias_is_set_followed_and_taken_away(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--registry", registry)
    assert "smd-dbn@default is now smd-dbn@v1" in run(capsys, "alias", "smd-dbn@v1", "default", *place)[1]
    assert run_json(capsys, "show", "smd-dbn", *place)["aliases"] == ["default"]
    run(capsys, "alias", "smd-dbn@v1", "default", "--delete", *place)
    assert run_json(capsys, "show", "smd-dbn", *place)["model"] == "smd-dbn@v2"


def test_verify_ends_with_three_when_a_file_was_changed(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "verify", "--registry", registry)
    assert (code, "2 files of 2 models are as registered" in out) == (0, True)
    (registry.parent / "smd-dbn/v2/model.safetensors").write_bytes(b"tampered")
    assert run(capsys, "verify", "smd-dbn@v1", "--registry", registry)[0] == 0
    code, out, err = run(capsys, "verify", "--registry", registry, "--json")
    assert code == 3
    assert [problem["model"] for problem in json.loads(out)["problems"]] == ["smd-dbn@v2"]
    assert err.startswith("zoo: 1 of 2 files are not as registered: smd-dbn@v2 model ")
    assert err.count("\n") == 1


def test_remove_takes_the_version_and_its_files(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "smd-dbn@v2 is removed" in run(capsys, "remove", "smd-dbn@v2", "--registry", registry)[1]
    assert not (registry.parent / "smd-dbn/v2").exists()
    code, _, err = run(capsys, "remove", "smd-dbn", "--registry", registry)
    assert (code, "names no version to remove" in err) == (2, True)


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        ('{"schema": 99}', 3, "has schema 99, this program reads up to 1; upgrade soil-moisture-zoo"),
        ("{", 3, "is no JSON"),
    ],
)
def test_unreadable_registry_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, code: int, message: str
) -> None:
    path = tmp_path / "registry.json"
    path.write_text(content)
    found, out, err = run(capsys, "list", "--registry", path)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert message in err


@pytest.mark.parametrize("name", ["nothing", "../smd-dbn", "smd-dbn@v9", "smd-dbn@best"])
def test_unknown_or_impossible_name_ends_with_two(
    registry: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, out, err = run(capsys, "show", name, "--registry", registry)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "zoo models" in err


def test_quiet_prints_nothing(registry: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "list", "--registry", registry, "--quiet") == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["smd-dbn@v1", "Best One"], "'Best One' cannot be an alias; give a word of lower-case letters"),
        (["smd-dbn@v1", ""], "'' cannot be an alias; give a word of lower-case letters"),
        (["smd-dbn@v1", "v3"], "'v3' cannot be an alias, v1, v2 ... are versions"),
        (["smd-dbn@v1", "good", "--delete"], "No alias of smd-dbn named 'good'; there is: best. See: zoo models show"),
        (["smd-dbn@v1", "best", "--delete"], "smd-dbn@best is smd-dbn@v2, not smd-dbn@v1; give smd-dbn@v2, or smd-dbn"),
        (["smd-dbn@v9", "best"], "No model named 'smd-dbn@v9'; there is: smd-dbn@best, smd-dbn@v1, smd-dbn@v2"),
        (["smd-dbn@v1"], "Missing argument 'ALIAS'; see: zoo models alias --help"),
    ],
)
def test_an_alias_that_cannot_be_is_one_line_about_what_was_given(
    registry: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    Registry.open(registry).set_alias("smd-dbn", "best", 2)
    before = registry.read_text()
    code, out, err = run(capsys, "alias", *arguments, "--registry", registry)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert registry.read_text() == before


def test_an_alias_of_another_registry_is_not_taken_away_and_no_registry_is_begun(
    registry: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Registry.open(registry).set_alias("smd-dbn", "best", 2)
    own = tmp_path / "own" / "registry.json"
    monkeypatch.setenv("SMZOO_REGISTRY", str(registry))
    code, _, err = run(capsys, "alias", "smd-dbn", "best", "--delete", "--registry", own)
    assert (code, err.count("\n")) == (2, 1)
    assert f"smd-dbn@best is set in {registry}; add --registry {registry}" in err
    monkeypatch.setattr(layers, "PUBLISHED", registry)
    monkeypatch.delenv("SMZOO_REGISTRY")
    code, _, err = run(capsys, "alias", "smd-dbn", "best", "--delete", "--registry", own)
    assert code == 2
    assert "smd-dbn@best is published with the program; point it elsewhere: zoo models alias smd-dbn@vN best" in err
    assert not own.parent.exists()
