"""The stack in a folder: the same data as from the granules, resumable, and honest about what it was made from."""

import json
import shutil
import signal

import numpy as np
import pytest
import rasterio
import xarray as xr
from pyproj import CRS

from zoo.errors import DataError, IntegrityError, UnknownNameError, UsageError
from zoo.inputs import open_coarse
from zoo.predictors import PAPER
from zoo.samples.cells import stacked_cells
from zoo.samples.fingerprint import file_hashes
from zoo.samples.rows import from_granules, from_stack
from zoo.stack import build_stack, coarse_means
from zoo.stack.folder import StackFolder, make_stack


@pytest.fixture(scope="module")
def from_folder(request_of, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMZOO_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return from_granules(request_of())


def equal(one, other):
    return (
        one.dataset == other.dataset
        and one.predictors.equals(other.predictors)
        and np.array_equal(one.target, other.target)
        and np.array_equal(one.groups, other.groups)
        and (one.features, one.about, one.period, one.bbox, one.target_grid, one.simulated, one.split)
        == (other.features, other.about, other.period, other.bbox, other.target_grid, other.simulated, other.split)
    )


def test_the_rows_and_the_fingerprint_are_those_of_the_granules_bit_for_bit(made, from_folder):
    assert len(from_folder) >= 12
    assert from_folder.dataset.files
    assert equal(from_stack(made), from_folder)


def test_the_fingerprint_does_not_hang_on_place_order_or_further_layers(request_of, scene, from_folder, tmp_path):
    copy = shutil.copytree(scene.folder, tmp_path / "elsewhere" / "copy")
    make_stack(request_of(copy), ["slope", "evi"], folder=tmp_path / "stack", coarse=False)
    make_stack(request_of(copy), PAPER[::-1], folder=tmp_path / "stack")
    assert equal(from_stack(tmp_path / "stack"), from_folder)


def test_another_file_gives_another_fingerprint(request_of, scene, from_folder, tmp_path):
    copy = shutil.copytree(scene.folder, tmp_path / "copy")
    raise_ground(copy)
    make_stack(request_of(copy), folder=tmp_path / "stack")
    changed = from_stack(tmp_path / "stack")
    assert changed.dataset.fingerprint != from_folder.dataset.fingerprint
    assert changed.predictors.drop(columns="dem").equals(from_folder.predictors.drop(columns="dem"))


def raise_ground(folder):
    """Change the elevation of a scene by a metre."""
    for path in (folder / "terrain").glob("*.tif"):
        with rasterio.open(path, "r+") as file:
            values = file.read(1)
            file.write(np.where(values == file.nodata, values, values + 1).astype(values.dtype), 1)


def test_layers_are_cogs_equal_to_build_stack_with_their_provenance(made, request_of, scene, tmp_path):
    request = request_of()
    plain = build_stack(request.places, PAPER, request.target, scene.date, tmp_path / "plain")
    opened = StackFolder.open(made)
    np.testing.assert_array_equal(opened.only(PAPER).read(None, PAPER), plain.read(None, PAPER))
    np.testing.assert_array_equal(opened.stack.read_water(), plain.read_water())
    with rasterio.open(made / "lst.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (file.units, file.descriptions, file.dtypes) == (("K",), ("lst",), ("float32",))
        valid = np.isfinite(file.read(1)).mean()
    lst = opened.record.layers["lst"]
    assert lst.granules[0].startswith("MOD11A2.A2019265")
    assert dict(lst.files) == file_hashes((scene.folder / "modis").glob("MOD11A2*"))
    assert lst.valid_share == pytest.approx(valid, abs=0.05)
    assert lst.simulated


def test_the_coarse_twin_holds_the_sensors_field_and_the_means_over_its_cells(made, request_of):
    coarse = open_coarse(request_of())
    means = coarse_means(StackFolder.open(made).stack, PAPER, coarse, min_valid=0.5)
    with xr.open_dataset(made / "coarse" / "smap.nc", engine="h5netcdf", decode_coords="all") as twin:
        np.testing.assert_array_equal(twin["soil_moisture"], coarse)
        assert twin["soil_moisture"].attrs["units"] == "m3 m-3"
        enough = twin["valid_share_ndvi"].to_numpy() >= 0.5
        np.testing.assert_array_equal(np.where(enough, twin["ndvi"], np.nan), means["ndvi"])
        assert CRS.from_wkt(twin["spatial_ref"].attrs["crs_wkt"]).to_epsg() == 6933
        assert twin.attrs["simulated"] == "true"
    field, _ = StackFolder.open(made).twin("smap")
    assert field.odc.geobox == coarse.odc.geobox
    assert field["time"] == coarse["time"]
    assert field.attrs == coarse.attrs


def test_a_killed_run_goes_on_with_the_layer_that_it_was_in(request_of, made, in_child, tmp_path):
    folder = tmp_path / "stack"
    assert in_child("killed_stack.py", REQUEST=request_of(), FOLDER=str(folder), COUNT=4) == -signal.SIGKILL
    there = set(StackFolder.open(folder).record.layers)
    assert len(there) == 3
    assert {path.stem for path in folder.glob("[a-z]*.tif")} == there
    done = make_stack(request_of(), folder=folder)
    assert set(done.kept) == there
    assert set(done.made) == {*PAPER, "water", "coarse/smap"} - there
    assert done.record.layers == StackFolder.open(made).record.layers
    assert not list(folder.glob(".*.tif"))
    assert not (folder / ".making").exists()


def test_what_is_unchanged_is_kept_and_what_changed_is_made_again(request_of, scene, tmp_path):
    copy = shutil.copytree(scene.folder, tmp_path / "copy")
    request = request_of(copy)
    layers = ["dem", "slope", "lst"]
    first = make_stack(request, layers, folder=tmp_path / "stack")
    assert set(first.made) == {*layers, "water", "coarse/smap"}
    for path in copy.rglob("*"):
        path.touch()
    assert make_stack(request_of(copy), layers, folder=tmp_path / "stack").made == ()
    raise_ground(copy)
    assert set(make_stack(request_of(copy), layers, folder=tmp_path / "stack").made) == {"dem", "slope", "coarse/smap"}
    (tmp_path / "stack" / "lst.tif").write_bytes(b"broken")
    again = make_stack(request_of(copy), layers, folder=tmp_path / "stack")
    assert again.made == ("lst",)
    assert again.record.layers["lst"] == first.record.layers["lst"]


def test_a_preferred_product_is_taken_where_the_data_holds_it(request_of, tmp_path):
    wanted = {"lai": "MCD15A3H", "ndvi": "MOD13A2", "nosuch": "MOD13A2", "evi": "NOSUCH"}
    made = make_stack(request_of(products=wanted), ["lai", "ndvi"], folder=tmp_path / "stack", coarse=False)
    assert made.record.layers["lai"].products == ("MCD15A2H.061",)
    assert made.record.layers["ndvi"].products == ("MOD13A2.061",)


def test_another_day_place_or_grid_is_refused(request_of, stack):
    with pytest.raises(UsageError, match=r"holds the stack of 2019-09-25 at 115.9 41.9 116.3 42.2 on a grid of"):
        make_stack(request_of(crs="EPSG:32650", resolution=1000.0), folder=stack)


def test_a_folder_with_other_rasters_is_refused_and_left_alone(request_of, tmp_path):
    (tmp_path / "mine.tif").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"holds rasters that no stack.json knows \(mine.tif\)"):
        make_stack(request_of(), ["dem"], folder=tmp_path, coarse=False)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == ["mine.tif"]


def test_a_changed_twin_a_stale_one_and_a_missing_predictor_are_named(stack):
    with pytest.raises(UnknownNameError, match=r"No predictor in the stack .* named 'slope'; .* zoo stack --layers"):
        from_stack(stack, ["dem", "slope"])
    with pytest.raises(UnknownNameError, match="No coarse field in the stack .* named 'amsr2'; there is: smap"):
        from_stack(stack, sensor="amsr2")
    record = json.loads((stack / "stack.json").read_text())
    record["layers"]["dem"]["sha256"] = "0" * 64
    (stack / "stack.json").write_text(json.dumps(record))
    with pytest.raises(IntegrityError, match="made of an earlier dem; make it again with: zoo stack --sensor smap"):
        stacked_cells(stack, ["dem"])
    (stack / "coarse" / "smap.nc").write_bytes(b"other")
    with pytest.raises(IntegrityError, match="is missing or was changed since it was made"):
        from_stack(stack, ["lst"])


def test_a_folder_without_a_record_and_a_broken_record_are_one_line(tmp_path, stack):
    with pytest.raises(DataError, match=r"holds no stack.json .* expected a stack made by: zoo stack"):
        from_stack(tmp_path)
    (stack / "stack.json").write_text("{}")
    with pytest.raises(IntegrityError, match=r"is not as zoo stack writes it \(area: Field required\)"):
        from_stack(stack)


def test_the_command_tells_and_the_quick_look_shows_every_layer(run_json, run, scene, stack, monkeypatch):
    from zoo.report import figures

    drawn = []
    png = figures.png
    monkeypatch.setattr(figures, "png", lambda figure: drawn.append(figure) or png(figure))
    area = scene.area.bounds
    given = ["--data", scene.folder, "--area", *area, "--date", scene.date, "-o", stack]
    told = run_json("stack", *given)
    assert told["made"] == []
    assert set(told["layers"]) == {*PAPER, "water"}
    assert told["coarse"]["smap"]["products"] == ["SPL4SMGP.007"]
    assert told["simulated"] is True
    assert (stack / "quicklook.png").read_bytes().startswith(b"\x89PNG")
    titles = {axes.get_title() for axes in drawn[0].axes}
    assert titles >= {*PAPER, "water", "SPL4SMGP.007"}
    assert "simulated data" in drawn[0].get_suptitle()
    for mistake, said in (
        (["--layers", " , "], "names no predictor"),
        (["--prefer", "lst"], "is not LAYER=PRODUCT"),
        (["--prefer", "lst=MOD13A2"], "No layer of MOD13A2 named 'lst'; there is: evi, ndvi"),
    ):
        code, _, err = run("stack", *given, *mistake)
        assert (code, err.count("\n")) == (2, 1)
        assert said in err


def test_a_folder_in_which_the_first_layer_failed_is_free_for_another_place(scene, run, tmp_path):
    given = ["stack", "--data", scene.folder, "--date", scene.date, "--layers", "lst", "-o", tmp_path / "stack"]
    code, _, err = run(*given, "--area", 10, 10, 11, 11)
    assert (code, err.count("\n")) == (4, 1)
    assert "has no valid pixel in the area" in err
    code, _, err = run(*given, "--area", *scene.area.bounds)
    assert code == 0, err
    assert StackFolder.open(tmp_path / "stack").record.area == scene.area.bounds


def test_a_stack_is_not_predicted_under_another_date(stack, run, tmp_path):
    asked = ["predict", "-m", "smd-rf", "--stack", stack, "--date", "2001-01-01", "-o", tmp_path / "map.tif"]
    code, _, err = run(*asked)
    assert (code, err.count("\n")) == (2, 1)
    assert "is the stack of 2019-09-25; leave out --date 2001-01-01" in err
    assert not (tmp_path / "map.tif").exists()
