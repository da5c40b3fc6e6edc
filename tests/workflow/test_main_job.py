"""The main job on the simulated sample scene: what a newcomer runs first."""

import json
import os

import numpy as np
import pandas as pd
import pytest
import rasterio

from zoo.cli import main
from zoo.maps import read_map
from zoo.simulate import Scene, sample_scene


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments), "--json"])
    printed = capsys.readouterr()
    assert not ended.value.code, printed.err
    return json.loads(printed.out)


def value(result, estimator, metric, reference=""):
    found = [
        s
        for s in result["scores"]
        if (s["estimator"], s["metric"]) == (estimator, metric) and reference in s["reference"]
    ]
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    from zoo.demo.workflow import demonstrate

    folder = tmp_path_factory.mktemp("demo")
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMZOO_CACHE_DIR", str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "cache"))
        patch.setenv("SMZOO_DATA_DIR", str(folder / "data"))
        return demonstrate(folder)


def test_the_demonstration_leaves_a_report_maps_and_models(demo):
    page = demo.report.read_text()
    assert "Simulated" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    for path in demo.maps.values():
        with rasterio.open(path) as source:
            assert source.crs.to_epsg() == 6933
            assert source.tags()["simulated"] == "true"
    assert {str(trained.version.ref).partition("@")[0] for trained in demo.trained.values()} == {
        "smd-dbn", "smd-rf", "smd-dbn-amsr2",
    }  # fmt: skip


def test_the_scores_of_the_maps_are_those_of_an_independent_comparison_with_the_truth(demo):
    truth = read_map(Scene.open(sample_scene()).truth).to_numpy()
    for label in ("dbn", "rf", "bilinear"):
        fine = read_map(demo.maps["smap", label]).to_numpy()
        both = np.isfinite(fine) & np.isfinite(truth)
        error = fine[both] - truth[both]
        scores = {s.metric: s for s in demo.scores if s.estimator == label and s.reference.startswith("1 km truth")}
        assert scores["rmse"].n == both.sum()
        assert scores["rmse"].value == pytest.approx(np.sqrt((error**2).mean()), rel=1e-6)
        assert scores["r"].value == pytest.approx(np.corrcoef(fine[both], truth[both])[0, 1], rel=1e-6)


def test_downscaling_then_correcting_beats_bilinear_interpolation_on_the_scene(demo):
    truth = read_map(Scene.open(sample_scene()).truth).to_numpy()
    fine = {label: read_map(path).to_numpy() for (sensor, label), path in demo.maps.items() if sensor == "smap"}
    common = np.isfinite([truth, *fine.values()]).all(axis=0)  # one sample: bilinear covers less

    def rmse(label):
        return float(np.sqrt(((fine[label] - truth)[common] ** 2).mean()))

    assert common.sum() > 5000
    assert rmse("dbn corrected") < rmse("bilinear")
    assert rmse("rf corrected") < rmse("bilinear")


def test_the_published_model_predicts_the_sample_scene_without_any_option(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(capsys, "predict", "--model", "smd-dbn@v1")
    path = tmp_path / result["artifacts"]["map"]
    assert path.name == "smd-dbn-v1_2019-09-25.tif"
    assert result["model"] == "smd-dbn@v1"
    with rasterio.open(path) as source:
        tags, values = source.tags(), source.read(1, masked=True)
        assert source.units == ("m3 m-3",)
        assert source.nodata == -9999
        assert source.descriptions == ("soil_moisture",)
    assert tags["model"] == "smd-dbn@v1"
    assert len(tags["model_sha256"]) == 64
    assert "SIMULATED" in tags["inputs"].upper() or tags["simulated"] == "true"
    assert result["predicted"] == values.count()
    assert result["predicted"] + result["water"] <= result["pixels"] == values.size
    scores = run(capsys, "validate", "--map", path, "--reference", Scene.open(sample_scene()).stations)
    assert value(scores, "dbn", "rmse")["n"] > 20
    shown = run(capsys, "models", "show", "smd-dbn@v1")
    assert any(s["reference"] == "stations.parquet" for s in shown["scores"])


def test_a_table_is_predicted_row_by_row_like_the_map(tmp_path, capsys, monkeypatch):
    from zoo.inference.runtime import Session
    from zoo.registry import Registry

    session = Session(Registry.open().resolve("smd-rf@v1").path("onnx"))
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({f.name: rng.uniform(f.min, f.max, 50) for f in session.features})
    rows.loc[3, "lst"] = np.nan
    rows["station"] = "x"
    rows.to_parquet(tmp_path / "in.parquet")
    result = run(
        capsys, "predict", "--model", "smd-rf@v1", "--table", tmp_path / "in.parquet", "-o", tmp_path / "out.parquet"
    )
    out = pd.read_parquet(tmp_path / "out.parquet")
    expected, _ = session.predict(rows[session.names].to_numpy(np.float32))
    np.testing.assert_array_equal(out["soil_moisture"], expected)
    assert np.isnan(out["soil_moisture"][3])
    assert result["predicted"] == 49


def test_training_without_arguments_takes_the_sample_scene_and_says_that_it_is_simulated(tmp_path, capsys):
    result = run(capsys, "train", "rf", "--set", "n_estimators=20", "--registry", tmp_path / "r.json")
    assert result["simulated"] is True
    assert result["rows"] > 90
    assert value(result, "rf", "r2")["split"] == "spatial blocks of 3 x 3 cells, 5 folds, out of fold, for space"
    assert {s["estimator"] for s in result["scores"]} == {"rf", "ridge", "mean"}


def test_a_netcdf_holds_the_same_map_as_the_cog(tmp_path, capsys):
    for name in ("m.tif", "m.nc"):
        run(capsys, "predict", "--model", "smd-rf@v1", "-o", tmp_path / name)
    np.testing.assert_array_equal(read_map(tmp_path / "m.tif"), read_map(tmp_path / "m.nc"))


def test_time_and_orbit_choose_among_granules_in_training(tmp_path, capsys):
    morning = run(
        capsys, "train", "rf", "--time", "10:30", "--set", "n_estimators=5", "--registry", tmp_path / "r.json"
    )
    both = run(capsys, "train", "rf", "--set", "n_estimators=5", "--registry", tmp_path / "r.json")
    night = run(
        capsys, "train", "rf", "--sensor", "amsr2", "--orbit", "D", "--set", "n_estimators=5",
        "--registry", tmp_path / "r.json",
    )  # fmt: skip
    granules = [
        run(capsys, "models", "show", r["model"], "--registry", tmp_path / "r.json") for r in (morning, both, night)
    ]
    counts = [
        sum(name.startswith(("SMAP_L4", "LPRM")) for name in g["record"]["dataset"]["granules"]) for g in granules
    ]
    assert counts == [1, 2, 1]


def test_correction_keeps_the_sensor_in_every_cell_that_is_half_on_the_map_and_counts_the_others(tmp_path, capsys):
    from zoo.inputs import open_coarse, sample_request

    result = run(capsys, "predict", "--model", "smd-rf@v1", "--correct", "exact", "-o", tmp_path / "m.tif")
    fine, coarse = read_map(tmp_path / "m.tif"), open_coarse(sample_request())
    means = fine.coarsen(y=9, x=9).mean()  # every M09 cell of the map is 9 x 9 whole pixels
    observed = coarse.reindex_like(means, method="nearest", tolerance=1.0)
    difference = np.abs(means - observed)
    assert int(difference.count()) == int(coarse.count())
    covered = np.isfinite(fine).coarsen(y=9, x=9).mean() >= 0.5
    assert float(difference.where(covered).max()) < 2e-6
    assert result["correction"]["mode"] == "exact"
    assert result["correction"]["cells"] == int(difference.where(covered).count())
    assert result["correction"]["partial"] == int(difference.where(~covered).count())


def test_a_corrected_map_keeps_of_the_texture_what_held_out_cells_speak_for(tmp_path, capsys):
    """The weight stands in the card and in the map's tags, unless another is given; the means are kept under any."""
    registry = ("--registry", tmp_path / "r.json")
    trained = run(capsys, "train", "rf", "--set", "n_estimators=20", "--no-ablation", *registry)["model"]
    shown = run(capsys, "models", "show", trained, *registry)["record"]["texture"]
    assert shown["weight"] == pytest.approx(min(max(shown["estimate"], 0), 1))
    assert 0 < shown["weight"] < 1  # else nothing is tested below

    def corrected(name, *options):
        command = ("predict", "--model", trained, "--correct", "exact", "-o", tmp_path / name, *options, *registry)
        return run(capsys, *command)["correction"]["texture"], read_map(tmp_path / name)

    weight, own = corrected("own.tif")
    assert weight == shown["weight"]
    (_, full), (_, none) = corrected("full.tif", "--texture", "1"), corrected("none.tif", "--texture", "0")
    within = ((none > 0.001) & (full > 0.001)).to_numpy()  # nothing is cut off at 0
    between = none + weight * (full - none)
    np.testing.assert_allclose(own.to_numpy()[within], between.to_numpy()[within], rtol=0, atol=1e-3)


def test_card_and_prediction_say_whether_errors_were_larger_out_of_domain(tmp_path, capsys):
    """Soil moisture is easy where the predictor is usual, and noise where it is not."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random(1000) < 0.08, rng.uniform(6, 12, 1000), rng.normal(0, 1, 1000))
    noise = rng.normal(0, np.where(x > 5, 0.1, 0.01), 1000)
    rows = pd.DataFrame({"ndvi": x, "lst": rng.normal(size=1000), "sm": np.clip(0.2 + 0.02 * np.tanh(x) + noise, 0, 1)})
    rows.assign(block=np.arange(1000) % 12).to_parquet(tmp_path / "t.parquet")
    registry, table = ("--registry", tmp_path / "r.json"), ("--table", tmp_path / "t.parquet")
    asked = ("--target", "sm", "--features", "ndvi,lst", "--groups", "block", "--set", "n_estimators=20")
    trained = run(capsys, "train", "rf", *table, *asked, *registry)["model"]
    tested = run(capsys, "models", "show", trained, *registry)["record"]["domain"]
    assert tested["n"] == 1000
    assert 20 < tested["outside"] < 100
    assert tested["rmse_outside"] > 0.08 > 0.03 > tested["rmse_inside"]
    told = run(
        capsys, "predict", "--model", trained, *table, "-o", tmp_path / "out.parquet", "--uncertainty", *registry
    )
    assert told["domain_tested"] == tested
    with pytest.raises(SystemExit):
        main(["models", "show", trained, "--registry", str(tmp_path / "r.json")])
    assert "errors were larger there" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("given", "said"), [("0.5", "--texture is for the correction"), ("2", "--texture 2 is out")])
def test_a_weight_of_texture_without_a_correction_or_out_of_range_is_refused(tmp_path, capsys, given, said):
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--model", "smd-rf@v1", "--texture", given, "-o", str(tmp_path / "m.tif")])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
