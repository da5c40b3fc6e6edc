"""`zoo simulate` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from zoo.cli import simulate as command
from zoo.errors import UsageError

SMALL = ("--area", "116.0", "42.0", "116.05", "42.02", "--landsat-resolution", "480")


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    return app


def test_table_lists_files_and_the_truth(app: typer.Typer, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["simulate", "--out", str(tmp_path / "scene"), *SMALL])
    assert result.exit_code == 0, result.output
    assert "smap/SMAP_L4_SM_gph_20190925T103000_Vv7032_001.h5" in result.stdout
    assert "truth/sm_1km_truth.tif" in result.stdout
    assert "variance: unobserved of fine" in result.stdout
    assert "SIMULATED data, not an observation" in result.stdout


def test_json_has_stable_keys(app: typer.Typer, tmp_path: Path) -> None:
    arguments = ["simulate", "-o", str(tmp_path / "scene"), "--date", "2019-07-25", "--seed", "5", "--json", *SMALL]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    payload = json.loads(result.stdout)
    assert payload["folder"] == str(tmp_path / "scene")
    assert payload["simulated"] is True
    assert (payload["seed"], payload["date"], payload["version"]) == (5, "2019-07-25", 1)
    assert {"files", "truth", "variance_shares", "statement", "area"} <= set(payload)
    assert any("MOD13A2.A2019193" in file["path"] for file in payload["files"])


def test_bad_date_and_bad_area_are_usage_errors(app: typer.Typer, tmp_path: Path) -> None:
    for arguments, message in (
        (["--date", "tomorrow"], "expected YYYY-MM-DD"),
        (["--area", "117", "42", "116", "43"], "is empty or off the globe"),
    ):
        result = CliRunner().invoke(app, ["simulate", "--out", str(tmp_path / "scene"), *arguments])
        assert isinstance(result.exception, UsageError)
        assert message in str(result.exception)
    assert not list(tmp_path.iterdir())
