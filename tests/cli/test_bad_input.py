"""Bad input gets one clear line, its exit code, and leaves nothing behind."""

import json
import shutil
from datetime import date
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from zoo.cli import main
from zoo.grids import target_geobox
from zoo.simulate import simulate_scene
from zoo.types import Area
from zoo.writers import open_writer

AREA = Area(115.8, 41.8, 116.2, 42.2)
PLACE = ["--area", "115.8", "41.8", "116.2", "42.2"]
DATE = ["--date", "2019-09-25"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scene") / "scene"
    return simulate_scene(folder, area=AREA, date=date(2019, 9, 25), landsat_resolution=500).folder


@pytest.fixture
def refused(tmp_path, capsys):
    """Run a command that must fail; return its one line after checking the exit code and that nothing was written."""

    def run(*arguments: object, code: int, watched: Path | None = None) -> str:
        before = sorted(watched.rglob("*")) if watched else None
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert ended.value.code == code, printed.err
        assert printed.out == ""
        lines = printed.err.strip().splitlines()
        assert len(lines) == 1, printed.err
        assert lines[0].startswith("zoo: ")
        if watched:
            assert sorted(watched.rglob("*")) == before
        return lines[0]

    return run


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"lst": rng.uniform(290, 310, 60), "ndvi": rng.uniform(0, 1, 60), "block": np.arange(60) % 6})
    frame["sm"] = 0.1 + 0.2 * frame.ndvi
    path = tmp_path / "table.parquet"
    frame.to_parquet(path)
    return path


def write_raster(path: Path, value: float) -> Path:
    box = target_geobox(AREA)
    rows, columns = box.shape.yx
    with open_writer(path, box) as writer:
        writer.write((slice(0, rows), slice(0, columns)), np.full((rows, columns), value, np.float32))
    return path


def train(table: Path, registry: Path, *more: str) -> list[object]:
    given = ["train", "rf", "--table", table, "--target", "sm", "--features", "lst,ndvi", "--groups", "block"]
    return [*given, "--set", "n_estimators=5", "--registry", registry, *more]


@pytest.fixture
def registry(table, tmp_path, capsys) -> Path:
    path = tmp_path / "zoo" / "registry.json"
    for command in (
        train(table, path, "--name", "toy", "--quiet"),
        ["export", "onnx", "--model", "toy", "--registry", path, "-q"],
    ):
        with pytest.raises(SystemExit) as ended:
            main([str(part) for part in command])
        assert not ended.value.code, capsys.readouterr().err
    capsys.readouterr()
    return path


def test_a_file_of_a_product_that_is_not_read_is_named_with_what_is(tmp_path, refused):
    path = tmp_path / "MOD10A2.A2019265.h26v04.061.2019274000000.hdf"
    path.write_bytes(b"\x0e\x03\x13\x01")
    line = refused("inspect", path, code=4)
    assert "MOD10A2.A2019265" in line
    assert "is not a product that is read here; readers: " in line
    assert "amsr2" in line


def test_a_file_named_as_one_product_that_holds_another_is_refused(scene, tmp_path, refused):
    lprm = next(scene.glob("amsr2/*.nc4"))
    path = tmp_path / next(scene.glob("smap/*.h5")).name
    shutil.copy(lprm, path)
    line = refused(
        "train", "rf", "--data", path, *PLACE, *DATE, "--registry", tmp_path / "r.json", code=4, watched=tmp_path
    )
    assert path.name in line
    assert "SPL4SMGP" in line


def test_a_truncated_granule_is_one_line(scene, tmp_path, refused):
    whole = next(scene.glob("smap/*.h5"))
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    line = refused(
        "train", "rf", "--data", cut, *PLACE, *DATE, "--registry", tmp_path / "r.json", code=4, watched=tmp_path
    )
    assert cut.name in line
    assert "truncated" in line or "cannot be read" in line


def test_an_empty_area_is_refused_before_anything_is_read(scene, tmp_path, refused):
    line = refused(
        "train",
        "rf",
        "--data",
        scene,
        "--area",
        "116",
        "42",
        "115",
        "43",
        *DATE,
        "--registry",
        tmp_path / "r.json",
        code=2,
    )
    assert "The area 116 42 115 43 is empty or off the globe" in line


def test_an_area_without_cells_says_where_the_data_are(scene, tmp_path, refused):
    line = refused(
        "train",
        "rf",
        "--data",
        scene,
        "--area",
        "116",
        "42",
        "116.001",
        "42.001",
        *DATE,
        "--registry",
        tmp_path / "r.json",
        code=4,
    )
    assert "No cell of the grid has its centre in the area" in line


def test_a_date_without_granule_says_which_dates_there_are(scene, tmp_path, refused):
    line = refused(
        "train", "rf", "--data", scene, *PLACE, "--date", "2019-10-25", "--registry", tmp_path / "r.json", code=4
    )
    assert "No granule of sensor 'smap' for 2019-10-25; there are 2 from 2019-09-25" in line


def test_a_missing_predictor_product_is_named(scene, tmp_path, refused):
    partly = tmp_path / "partly"
    shutil.copytree(scene, partly, ignore=shutil.ignore_patterns("MOD13A2*"))
    line = refused("train", "rf", "--data", partly, *PLACE, *DATE, "--registry", tmp_path / "r.json", code=4)
    assert "ndvi" in line
    assert "evi" in line
    assert "MOD13A2" in line


def test_a_missing_predictor_at_prediction_is_named(registry, tmp_path, refused):
    only = write_raster(tmp_path / "lst.tif", 300)
    line = refused(
        "predict", "--model", "toy", "--registry", registry, "--stack", f"lst={only}", "-o", tmp_path / "m.tif", code=4
    )
    assert "missing: ndvi" in line
    assert not (tmp_path / "m.tif").exists()


def test_a_predictor_too_many_at_prediction_is_named(registry, tmp_path, refused):
    for name in ("lst", "ndvi", "dem"):
        write_raster(tmp_path / f"{name}.tif", 0.5)
    stack = [part for name in ("lst", "ndvi", "dem") for part in ("--stack", f"{name}={tmp_path / name}.tif")]
    line = refused("predict", "--model", "toy", "--registry", registry, *stack, "-o", tmp_path / "m.tif", code=4)
    assert "not known to the model: dem" in line


def test_a_constant_predictor_is_refused_in_training_and_fine_at_prediction(table, registry, tmp_path, refused, capsys):
    constant = tmp_path / "constant.parquet"
    pd.read_parquet(table).assign(lst=300.0).to_parquet(constant)
    line = refused(*train(constant, tmp_path / "r.json"), code=4)
    assert "Predictor lst is constant over all 60 training rows" in line
    with pytest.raises(SystemExit) as ended:
        main(
            [
                str(part)
                for part in (
                    "predict",
                    "--model",
                    "toy",
                    "--registry",
                    registry,
                    "--table",
                    constant,
                    "-o",
                    tmp_path / "p.parquet",
                    "-q",
                )
            ]
        )
    assert not ended.value.code
    assert pd.read_parquet(tmp_path / "p.parquet")["soil_moisture"].notna().all()


def test_a_predictor_without_values_is_refused_by_name(table, tmp_path, refused):
    empty = tmp_path / "empty.parquet"
    pd.read_parquet(table).assign(lst=np.nan).to_parquet(empty)
    assert "predictor lst has no value at all" in refused(*train(empty, tmp_path / "r.json"), code=4)


def test_a_target_outside_0_to_1_is_refused(table, tmp_path, refused):
    percent = tmp_path / "percent.parquet"
    frame = pd.read_parquet(table)
    frame.assign(sm=frame.sm * 100).to_parquet(percent)
    assert "expected soil moisture in m3 m-3 between 0 and 1" in refused(*train(percent, tmp_path / "r.json"), code=4)


def test_fewer_rows_than_folds_is_refused(table, tmp_path, refused):
    few = tmp_path / "few.parquet"
    pd.read_parquet(table).head(4).to_parquet(few)
    line = refused(*train(few, tmp_path / "r.json", "--folds", "5"), code=4)
    assert "4 rows in 4 groups cannot make 5 folds" in line


def test_a_registry_of_a_newer_schema_is_refused(registry, refused):
    content = json.loads(registry.read_text())
    registry.write_text(json.dumps(content | {"schema": 99}))
    line = refused("models", "list", "--registry", registry, code=3)
    assert "has schema 99, this program reads up to" in line
    assert "upgrade soil-moisture-zoo" in line


def test_an_artefact_whose_hash_differs_is_refused(table, registry, tmp_path, refused):
    artefact = next(registry.parent.glob("toy/v1/*.onnx"))
    artefact.write_bytes(artefact.read_bytes() + b"x")
    line = refused(
        "predict", "--model", "toy@v1", "--registry", registry, "--table", table, "-o", tmp_path / "p.parquet", code=3
    )
    assert "toy@v1 onnx" in line
    assert not (tmp_path / "p.parquet").exists()


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "UPPER"])
def test_a_model_name_cannot_leave_the_registry(table, tmp_path, refused, name):
    line = refused(*train(table, tmp_path / "zoo" / "r.json", "--name", name), code=2)
    assert repr(name) in line
    assert not (tmp_path / "evil").exists()


def test_an_output_that_is_a_folder_is_refused_before_any_work(table, registry, tmp_path, refused):
    folder = tmp_path / "out.parquet"
    folder.mkdir()
    line = refused("predict", "--model", "toy", "--registry", registry, "--table", table, "-o", folder, code=2)
    assert "is a folder" in line


def test_an_output_below_a_file_cannot_be_written(table, registry, tmp_path, refused):
    (tmp_path / "file").write_text("")
    line = refused(
        "predict",
        "--model",
        "toy",
        "--registry",
        registry,
        "--table",
        table,
        "-o",
        tmp_path / "file" / "p.parquet",
        code=1,
    )
    assert "p.parquet" in line


def test_a_registry_that_is_a_folder_is_refused(table, tmp_path, refused):
    assert "is a folder" in refused(*train(table, tmp_path), code=2)


def test_unknown_names_list_what_there_is_and_the_nearest(table, tmp_path, refused):
    line = refused("train", "dnb", "--registry", tmp_path / "r.json", code=2)
    assert "No downscaler named 'dnb'; there is: auto, dbn, hgb, rf" in line
    assert "Did you mean 'dbn'?" in line
    assert "No model named 'smd-dnb'" in refused("predict", "--model", "smd-dnb", "--table", table, code=2)


def test_options_that_contradict_each_other_are_refused(table, tmp_path, refused):
    assert "exclude one another; give one source of training rows" in refused(
        *train(table, tmp_path / "r.json", "--sensor", "smap"), code=2
    )
    assert "--data needs --area W S E N and --date" in refused("train", "rf", "--data", tmp_path, code=2)
    line = refused("train", "rf", "--table", table, code=2)
    assert "--table needs --target, --features, --groups" in line or "--table needs --target, --groups" in line


def test_a_coarse_file_that_is_no_soil_moisture_is_refused(registry, tmp_path, refused):
    for name in ("lst", "ndvi"):
        write_raster(tmp_path / f"{name}.tif", 0.5)
    wrong = write_raster(tmp_path / "coarse.tif", 25)
    stack = [part for name in ("lst", "ndvi") for part in ("--stack", f"{name}={tmp_path / name}.tif")]
    line = refused(
        "predict", "--model", "toy", "--registry", registry, *stack, "--coarse", wrong, "-o", tmp_path / "m.tif", code=4
    )
    assert "expected soil moisture in m3 m-3 between 0 and 1" in line


def test_hdf5_of_something_else_is_no_granule(tmp_path, refused):
    path = tmp_path / "SMAP_L4_SM_gph_20190925T103000_Vv7032_001.h5"
    with h5py.File(path, "w") as file:
        file["something"] = np.arange(3)
    assert path.name in refused("inspect", path, code=4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nosuch"], "No such command 'nosuch'; see: zoo --help"),
        (["stack"], "Missing option '-o' / '--output'; see: zoo stack --help"),
        (["demo", "--seed", "abc"], "Invalid value for '--seed'"),
        (["models", "show", "--nosuch"], "--nosuch"),
    ],
)
def test_a_wrong_command_line_is_one_line_that_names_the_help(refused, arguments, said):
    line = refused(*arguments, code=2)
    assert said in line
    assert line.endswith("--help")


@pytest.mark.parametrize("command", [["demo", "-o"], ["reproduce", "cai2022", "-o"], ["fetch", *PLACE, *DATE, "--to"]])
def test_a_file_is_no_folder_of_results(tmp_path, refused, command):
    """Said before any work, so before the network is asked."""
    path = tmp_path / "file"
    path.touch()
    assert refused(*command, path, code=2, watched=tmp_path) == f"zoo: {path} is a file; give a folder"


@pytest.mark.parametrize(("features", "said"), [("lst,nosuch", "named 'nosuch'"), (",", "names no predictor")])
def test_predictors_that_are_not_known_are_refused_before_the_network_is_asked(tmp_path, refused, features, said):
    assert said in refused("fetch", *PLACE, *DATE, "--to", tmp_path / "to", "--features", features, code=2)


def test_a_share_of_a_cell_is_not_above_one(tmp_path, refused):
    line = refused("table", "--stack", tmp_path, "-o", tmp_path / "t.parquet", "--min-valid", "3", code=2)
    assert "--min-valid 3 is out of range; give a share of the cell from 0 to 1" in line


def test_a_table_to_screen_that_is_not_there_is_named(tmp_path, refused):
    assert "nothere.parquet is not there" in refused("screen", tmp_path / "nothere.parquet", code=4)


@pytest.mark.parametrize(("option", "value"), [("--reach", "-3"), ("--tolerance", "-0.001"), ("--tolerance", "1")])
def test_reach_and_tolerance_are_in_range(registry, refused, option, value):
    line = refused("predict", "-m", "toy", option, value, "--registry", registry, code=2)
    assert f"{option} {float(value):g} is out of range" in line


@pytest.mark.parametrize("depth", [("1", "0"), ("-0.1", "0.05"), ("nan", "1")])
@pytest.mark.parametrize("command", [["validate", "--map", "none.tif"], ["compare", "a.tif", "b.tif"]])
def test_a_layer_that_is_upside_down_or_in_the_air_is_refused_before_a_file_is_read(tmp_path, refused, command, depth):
    line = refused(*command, "--reference", tmp_path / "none.parquet", "--depth", *depth, code=2)
    assert f"--depth {float(depth[0]):g} {float(depth[1]):g} is no layer" in line


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--set", "n_estimators=abc"], "rf cannot be trained with these parameters; see --set, --preset and --seed: "),
        (["--seed", "5000000000"], "rf cannot be trained with these parameters"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
        (["--folds", "0"], "Invalid value for '--folds'"),
        (["--features", ","], "--features ',' names no predictor"),
        (["--where", "ndvi"], "it says not of each row whether to keep it"),
    ],
)
def test_a_value_that_cannot_be_is_one_line_and_no_model(table, tmp_path, refused, more, said):
    registry = tmp_path / "zoo" / "registry.json"
    assert said in refused(*train(table, registry), *more, code=2)
    assert not registry.exists()


def test_an_option_that_lacks_a_value_names_the_help_of_its_command(refused):
    assert refused("inspect", "x", "--area", 1, 2, 3, code=2).endswith("requires 4 arguments; see: zoo inspect --help")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (
            ["predict", "-m", "toy", "--stack", "S", "--quality", "all", "--site", "shandian"],
            "leave out --quality, --site",
        ),
        (["predict", "-m", "toy", "--table", "T", "--correct", "exact", *DATE], "leave out --correct, --date"),
        (["predict", "-m", "toy", "--stack", "lst=a.tif", "--date", "2019-13-45"], "'2019-13-45' is no date"),
        (["validate", "--table", "T", "--match", "bilinear", "--depth", "0", "1"], "leave out --depth, --match"),
        (["validate", "--map", "M", "-r", "R", "--station", "name"], "belong to --table; leave out --station"),
        (["validate", "--map", "M", "-r", "R", "--sensor", "smap"], "is predicted already; leave out --sensor"),
        (["compare", "a", "b", "--table", "T", "--time", "10:30", "--seen"], "leave out --seen, --time"),
        (["compare", "a", "b", "-r", "R", "--split", "own"], "belong to --table; leave out --split"),
        (["report", "--map", "M", "-o", "page.txt"], "cannot tell the format of page.txt"),
    ],
)
def test_what_nothing_would_heed_is_refused_before_a_file_is_read(registry, tmp_path, refused, command, said):
    stored = [] if command[0] == "report" else ["--registry", registry]
    assert said in refused(*command, *stored, code=2, watched=tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--compress", "-1"], "The tolerance is -1"),
        (["--precision", "fp64"], "--precision 'fp64' cannot be exported; expected one of fp16, int8"),
        (["--calibrate", "t.parquet"], "needs --compress TOLERANCE or --precision"),
    ],
)
def test_an_export_that_cannot_be_is_refused_before_the_dense_one_is_made(table, tmp_path, refused, options, said):
    registry = tmp_path / "zoo" / "registry.json"
    with pytest.raises(SystemExit):
        main([str(part) for part in train(table, registry, "--name", "toy", "--quiet")])
    assert said in refused("export", "onnx", "-m", "toy", "--registry", registry, *options, code=2)
    assert list(registry.parent.rglob("*.onnx")) == []
