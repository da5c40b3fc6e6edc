"""`zoo map`: the same map as its steps one by one, kept where nothing changed, and continued after any kill."""

import json
import shlex
import shutil
import signal

import numpy as np
import pytest
import rasterio

from zoo.cli import main
from zoo.errors import DataError, UsageError
from zoo.mapping.workflow import STEPS, Plan, make_map, planned
from zoo.model.recipe import Recipe
from zoo.registry import Registry
from zoo.samples.rows import from_stack
from zoo.validation import CONSISTENCY

LAYERS = ("lst", "ndvi", "dem", "swir1")


@pytest.fixture(scope="session")
def plan(scene):
    return Plan(
        area=scene.area.bounds,
        date=scene.date,
        data=(str(scene.folder),),
        layers=LAYERS,
        downscaler="rf",
        parameters={"n_estimators": 12},
        folds=2,
        reference=str(scene.stations),
    )


@pytest.fixture(scope="session")
def whole(plan, tmp_path_factory):
    """The map, made without a break."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMZOO_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        return make_map(plan, tmp_path_factory.mktemp("map") / "whole")


def values(path):
    with rasterio.open(path) as file:
        return file.read()


def states(done):
    return {name: state for name, (_, state) in done.steps.items()}


def test_it_leaves_a_map_its_scores_a_report_and_a_model(whole, plan, scene):
    assert states(whole) == dict.fromkeys(STEPS[1:], "done")
    tags = rasterio.open(whole.map).tags()
    assert tags["model"] == whole.model
    assert (tags["correction"], tags["simulated"]) == ("exact", "true")
    assert tags["time_coverage_start"] == f"{scene.date}T00:00:00Z"
    assert (
        whole.facts["predicted"] == np.isfinite(np.where(values(whole.map) == -9999, np.nan, values(whole.map))).sum()
    )
    splits = {score.split for score in whole.scores}
    assert splits == {"spatial blocks of 3 x 3 cells, 2 folds, out of fold, for space", "independent", CONSISTENCY}
    by_split = {(s.estimator, s.split, s.metric): s.value for s in whole.scores}
    assert by_split["rf exact", CONSISTENCY, "rmse"] == pytest.approx(0, abs=1e-6)
    assert by_split["rf exact", "independent", "rmse"] > 0.005
    record = Registry.open(whole.folder / "registry.json").resolve(whole.model).record
    assert {s.split for s in record.scores} == splits
    assert record.dataset.fingerprint == from_stack(whole.folder / "stack", LAYERS).dataset.fingerprint
    page = whole.report.read_text()
    assert "Simulated" in page
    assert "this shows consistency and no skill" in page
    assert CONSISTENCY not in page  # no row of it among the scores
    assert all(name in page for name in ("zoo stack --data", "zoo train rf --stack", "zoo predict --model"))


def test_the_printed_commands_one_by_one_give_the_same_map_bit_for_bit(whole, tmp_path, capsys):
    apart = tmp_path / "apart"
    for name in ("stack", "train", "export", "predict", "validate"):
        words = [word.replace(str(whole.folder), str(apart)) for word in shlex.split(whole.steps[name][0])]
        assert words[:2] == ["zoo", name]
        with pytest.raises(SystemExit) as ended:
            main([*words[1:], "--quiet"])
        assert not ended.value.code, capsys.readouterr().err
    np.testing.assert_array_equal(values(apart / "map.tif"), values(whole.map))
    one, other = (
        Registry.open(folder / "registry.json").resolve(whole.model).record for folder in (apart, whole.folder)
    )
    assert one.artefacts["model"].sha256 == other.artefacts["model"].sha256
    assert one.artefacts["onnx"].sha256 == other.artefacts["onnx"].sha256
    assert [record.score() for record in one.scores] == [record.score() for record in other.scores]


def test_a_map_that_is_killed_in_every_step_goes_on_with_that_step(whole, plan, in_child, tmp_path):
    folder = tmp_path / "map"
    for number, step in enumerate(STEPS[1:], start=1):
        given = {"PLAN": plan.model_dump_json(), "FOLDER": str(folder), "STEP": step}
        assert in_child("killed_map.py", **given) == -signal.SIGKILL
        # The work of `step` was done, but not remembered: what came before it was kept, and nothing came after.
        assert list(json.loads((folder / "map.json").read_text())["steps"]) == list(STEPS[1:number])
    done = make_map(plan, folder)
    assert states(done) == {**dict.fromkeys(STEPS[1:-1], "kept"), "report": "done"}
    assert done.model == whole.model
    np.testing.assert_array_equal(values(done.map), values(whole.map))
    assert done.scores == whole.scores
    own = [found for found in Registry.open(folder / "registry.json").list() if found.layer.path.parent == folder]
    kept = Registry.open(whole.folder / "registry.json").resolve(whole.model).record
    assert len(own) == 1
    assert [record.score() for record in own[0].record.scores] == [record.score() for record in kept.scores]


def test_it_can_be_gone_on_with_redone_and_read_as_json(whole, run, run_json):
    first = run_json("map", "-o", whole.folder)
    assert {name: step["state"] for name, step in first["steps"].items()} == dict.fromkeys(STEPS[1:], "kept")
    redone = run_json("map", "-o", whole.folder, "--redo", "report")
    assert [name for name, step in redone["steps"].items() if step["state"] == "done"] == ["report"]
    assert redone["model"] == whole.model
    _, out, err = run("map", "-o", whole.folder)
    assert "train    kept  zoo train rf --stack" in err
    assert "out of fold" in out


def test_a_damaged_output_is_made_again_and_what_does_not_hang_on_it_is_kept(whole, plan, tmp_path):
    before = values(whole.map)
    whole.map.write_bytes(b"damaged")
    done = make_map(plan, whole.folder)
    assert states(done)["train"] == states(done)["stack"] == "kept"
    assert states(done)["predict"] == "done"
    np.testing.assert_array_equal(values(done.map), before)


def test_the_model_weighs_and_leaves_out_as_asked_and_is_found_again(whole, plan, scene, run_json, tmp_path):
    folder = shutil.copytree(whole.folder, tmp_path / "map")
    place = [*plan.area, "--date", scene.date, "--data", scene.folder, "--layers", ",".join(LAYERS)]
    how = ["--downscaler", "rf", "--set", "n_estimators=12", "--folds", 2, "--reference", scene.stations]
    asked = ["map", "-o", folder, "--area", *place, *how, "--weights", "homogeneity", "--outliers", 2]
    done = run_json(*asked)
    assert (done["steps"]["stack"]["state"], done["steps"]["train"]["state"]) == ("kept", "done")
    assert "--weights homogeneity --outliers 2" in done["steps"]["train"]["command"]
    registry = Registry.open(folder / "registry.json")
    record = registry.resolve(done["model"]).record
    assert done["model"] != whole.model
    assert (record.dataset.definition["weights"], record.dataset.definition["outliers"]) == ("homogeneity", 2)
    assert record.dataset.dropped["outliers"] > 0
    versions = len(registry.list())
    journal = json.loads((folder / "map.json").read_text())
    del journal["steps"]["train"]  # as after a kill between training and remembering it
    (folder / "map.json").write_text(json.dumps(journal))
    assert run_json(*asked)["model"] == done["model"]
    assert len(registry.list()) == versions
    assert planned(folder).outliers == 2


def test_a_downscaler_that_takes_no_weights_is_refused_before_anything_is_fetched(plan, tmp_path, monkeypatch):
    class Plain:
        def fit(self, X, y):
            """Learn from rows that all count alike."""

    monkeypatch.setattr(Recipe, "estimator", lambda recipe: Plain())
    asked = plan.model_copy(update={"data": (), "weights": "homogeneity"})
    with pytest.raises(UsageError, match="The downscaler rf takes no weights of rows"):
        make_map(asked, tmp_path / "map")
    assert not (tmp_path / "map").exists()


def test_a_model_that_is_given_is_not_trained(whole, plan, tmp_path):
    given = plan.model_copy(
        update={
            "model": whole.model,
            "registry": str(whole.folder / "registry.json"),
            "correct": "none",
            "reference": None,
        }
    )
    done = make_map(given, tmp_path / "map")
    assert list(done.steps) == ["stack", "export", "predict", "validate", "report"]
    assert done.model == whole.model
    assert {score.split for score in done.scores} == {"cells seen in training"}


@pytest.mark.parametrize(
    ("given", "code", "told"),
    [
        (["--redo", "colour"], 2, "No step named 'colour'; there is: export, fetch, predict"),
        (["--sensor", "amsr2"], 2, "--sensor would change the map"),
        (["--set", "n_estimators=3", "--folds", 4], 2, "--folds, --set would change the map"),
        (
            ["--area", 1, 2, 3, 4, "--date", "2019-09-25"],
            2,
            "holds the map of smap at 115.9 41.9 116.3 42.2 on 2019-09-25",
        ),
        (["--correct", "twice"], 2, "--correct 'twice' is not known"),
        (["--weights", "even"], 2, "--weights 'even' is unknown; expected none, homogeneity"),
        (["--outliers", "0.5"], 2, "--outliers 0.5 is out of range"),
        (
            ["--model", "smd-rf", "--outliers", 4, "--preset", "paper", "--seed", 1],
            2,
            "--model and --outliers, --preset exclude one another",
        ),
    ],
)
def test_mistakes_are_one_line_and_an_exit_code(whole, run, given, code, told):
    got, out, err = run("map", "-o", whole.folder, *given)
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert told in err


def test_a_folder_without_a_plan_needs_place_and_day(run, tmp_path):
    code, _, err = run("map", "-o", tmp_path / "none")
    assert (code, err.count("\n")) == (2, 1)
    assert "give --area W S E N and --date (or --site)" in err


def test_a_folder_in_which_nothing_was_done_is_free_for_another_place(plan, tmp_path):
    wrong = plan.model_copy(update={"area": (10.0, 10.0, 10.5, 10.5)})
    with pytest.raises(DataError):
        make_map(wrong, tmp_path / "map")
    made = make_map(plan.model_copy(update={"reference": None}), tmp_path / "map")
    assert planned(made.folder).area == plan.area


def test_a_reference_that_is_not_there_is_said_before_anything_is_made(plan, tmp_path):
    asked = plan.model_copy(update={"data": (), "reference": str(tmp_path / "none.parquet")})
    with pytest.raises(DataError, match=r"none.parquet is no file"):
        make_map(asked, tmp_path / "map")
    assert not (tmp_path / "map").exists()
