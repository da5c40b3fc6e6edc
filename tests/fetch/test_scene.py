"""The whole way from the catalogues: what is fetched trains the same model as the folder it was served from."""

import json
import subprocess
import sys
import time

import pytest
from loopback_archive import Trouble, serve_scene

from zoo.cli import main
from zoo.granules import Selection
from zoo.inputs import Request
from zoo.samples.rows import from_granules

BOX = (115.0, 41.0, 117.0, 43.0)


@pytest.fixture
def served(archive, scene):
    serve_scene(archive, scene.folder, scene.date, BOX)
    return archive


@pytest.fixture
def arguments(scene, tmp_path):
    area = [str(edge) for edge in scene.area.bounds]
    return ["--area", *area, "--date", scene.date.isoformat(), "--to", str(tmp_path / "to")]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as done:
        main(list(arguments))
    printed = capsys.readouterr()
    return done.value.code or 0, printed.out, printed.err


def test_the_fetched_folder_gives_the_same_dataset_bit_for_bit(served, arguments, scene, tmp_path, capsys):
    served.misbehave("SMAP_L4_SM_gph_20190925T103000_Vv7032_001.h5", Trouble("drop", times=1))
    code, out, _ = run(capsys, "fetch", *arguments, "--json")
    assert code == 0
    told = json.loads(out)
    fetched = {path.name: path for path in (tmp_path / "to").rglob("*") if path.is_file()}
    original = {path.name: path for path in scene.folder.rglob("*") if path.name in fetched}
    assert len(fetched) == sum(len(granule["files"]) for granule in told["granules"]) == 17
    assert all(fetched[name].read_bytes() == original[name].read_bytes() for name in fetched)

    def fingerprint(folder):
        request = Request((folder,), scene.area, Selection(scene.date), "smap")
        return from_granules(request).dataset.fingerprint

    assert fingerprint(tmp_path / "to") == fingerprint(scene.folder)


def test_a_command_that_is_killed_is_carried_on_by_the_next(served, arguments, tmp_path, capsys):
    name = "MCD43A3.A2019268.h26v04.061.2019280000000.hdf"
    size = served.files[name].stat().st_size
    part = tmp_path / "to" / "modis" / f".{name}.part"
    served.misbehave(name, Trouble("stall", times=1))
    command = ["fetch", "MCD43A3", *arguments]
    program = subprocess.Popen([sys.executable, "-c", f"from zoo.cli import main; main({command})"])
    try:
        while not (part.exists() and part.stat().st_size == size // 2):
            assert program.poll() is None
            time.sleep(0.02)
    finally:
        program.kill()
        program.wait()
    assert not (tmp_path / "to" / "modis" / name).exists()
    code, out, _ = run(capsys, *command, "--json")
    assert (code, json.loads(out)["bytes"]) == (0, size - size // 2)
    assert (tmp_path / "to" / "modis" / name).read_bytes() == served.files[name].read_bytes()


def test_credentials_go_to_nasas_files_and_to_no_others(served, arguments, capsys):
    code, _, _ = run(capsys, "fetch", "modis", "landsat", "dem", *arguments)
    assert code == 0
    assert {(request.name in served.protected, request.authorised) for request in served.requests} == {
        (True, True),
        (False, False),
    }


def test_a_second_run_and_a_dry_run_fetch_nothing(served, arguments, capsys):
    code, out, err = run(capsys, "fetch", "smap", "modis", "dem", *arguments)
    assert code == 0
    assert "7 granules, 7 files" in out
    assert "Next: zoo train" in err
    downloads = len(served.downloads())
    for extra in ([], ["--dry-run"]):
        code, out, _ = run(capsys, "fetch", "smap", "modis", "dem", *arguments, "--json", *extra)
        assert code == 0
        assert (json.loads(out)["bytes"], json.loads(out)["skipped"]) == (0, 7)
    assert len(served.downloads()) == downloads


def test_a_dry_run_lists_granules_and_bytes(served, arguments, scene, tmp_path, capsys):
    code, out, _ = run(capsys, "fetch", "smap", *arguments, "--dry-run")
    assert code == 0
    assert "SMAP_L4_SM_gph_20190925T103000_Vv7032_001" in out
    size = sum(path.stat().st_size for path in (scene.folder / "smap").iterdir())
    assert f"{size / 1e6:.1f} MB to fetch; 0 files are there" in out
    assert not (tmp_path / "to").exists()


def test_a_product_stands_in_place_of_its_groups_default(served, arguments, capsys):
    code, out, _ = run(capsys, "fetch", "modis", *arguments, "--product", "MOD13A2", "--dry-run", "--json")
    assert code == 0
    assert [granule["product"] for granule in json.loads(out)["granules"]] == ["MOD13A2.061"]


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (["fetch", "modis"], 2, "zoo fetch needs --area W S E N, --date, --to DIR, for example"),
        (["fetch", "jaxa"], 2, "G-Portal"),
        (["fetch", "smap", "--window", "3h"], 2, "needs --time"),
        (["fetch", "MOD16A2"], 4, "no MOD16A2"),
    ],
)
def test_mistakes_are_one_line_and_an_exit_code(served, arguments, capsys, monkeypatch, given, code, told):
    monkeypatch.delenv("SMZOO_DEBUG", raising=False)
    got, out, err = run(capsys, *given, *([] if given == ["fetch", "modis"] else arguments))
    assert (got, out) == (code, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_refused_login_is_one_line(served, arguments, capsys, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "wrong")
    code, _, err = run(capsys, "fetch", "smap", *arguments)
    assert code == 1
    assert "Earthdata Login" in err
    assert ".netrc" in err
    assert err.count("\n") == 1
