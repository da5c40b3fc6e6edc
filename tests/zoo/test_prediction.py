"""Maps window by window: the bands that are asked for, the same bytes whatever runs beside what."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import rasterio
import xarray as xr
from odc.geo.geobox import GeoBox
from onnx import TensorProto, helper, numpy_helper
from rasterio.transform import from_origin

from zoo.errors import DataError
from zoo.grids import as_array
from zoo.inference.runtime import Session
from zoo.prediction import Prediction, predict_map, predict_table
from zoo.registry import Resolved
from zoo.stack import Stack
from zoo.stack.opened import OpenedStack, window_shape
from zoo.stack.sources import Layer
from zoo.tiles.pipeline import Overlap
from zoo.tiles.windows import UNCERTAINTY, FurtherBand
from zoo.writers import Band

NAMES = ["lst", "ndvi", "dem"]
WEIGHTS = np.array([0.001, 0.25, -0.0001], np.float32)
THRESHOLD = 0.5
METHOD = Band("method", "", "how the value was made", codes={0: "no_value", 1: "observed", 2: "filled"})


def model(*, extras: bool = True) -> bytes:
    """A plane, clipped to .05-.5, with bounds .05 around it and the first predictor's distance from 300 / 40."""
    nodes = [
        helper.make_node("MatMul", ["predictors", "W"], ["y"]),
        helper.make_node("Clip", ["y", "low", "high"], ["soil_moisture"]),
        helper.make_node("Equal", ["y", "soil_moisture"], ["same"]),
        helper.make_node("Not", ["same"], ["out_of_range"]),
        helper.make_node("Sub", ["soil_moisture", "half"], ["soil_moisture_lower"]),
        helper.make_node("Add", ["soil_moisture", "half"], ["soil_moisture_upper"]),
        helper.make_node("Gather", ["predictors", "first"], ["t"], axis=1),
        helper.make_node("Sub", ["t", "middle"], ["from_middle"]),
        helper.make_node("Abs", ["from_middle"], ["distance"]),
        helper.make_node("Div", ["distance", "span"], ["dissimilarity_index"]),
    ]
    outputs = ["soil_moisture", "out_of_range", *(UNCERTAINTY if extras else ())]
    constants = {"low": 0.05, "high": 0.5, "half": 0.05, "middle": 300.0, "span": 40.0}
    graph = helper.make_graph(
        nodes if extras else nodes[:4],
        "plane",
        [helper.make_tensor_value_info("predictors", TensorProto.FLOAT, ["n", 3])],
        [
            helper.make_tensor_value_info(
                name, TensorProto.BOOL if name == "out_of_range" else TensorProto.FLOAT, ["n", 1]
            )
            for name in outputs
        ],
        [
            numpy_helper.from_array(WEIGHTS[:, None], "W"),
            numpy_helper.from_array(np.array([0], np.int64), "first"),
            *(numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()),
        ],
    )
    packed = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    header = {
        "downscaler": "plane",
        "params": {},
        "features": [{"name": name, "units": "1", "min": 0.0, "max": 1.0} for name in NAMES],
        "target": {"name": "soil_moisture", "units": "m3 m-3"},
        "clip": [0.05, 0.5],
        "format": 1,
    }
    props = {"zoo": json.dumps(header), "aoa_threshold": str(THRESHOLD), "interval_level": "0.9", "batch": "1000"}
    helper.set_model_props(packed, props)
    content: bytes = packed.SerializeToString()
    return content


def version() -> Resolved:
    record = SimpleNamespace(
        target=SimpleNamespace(depth=(0.0, 0.05)),
        artefacts={"onnx": SimpleNamespace(sha256="0" * 64)},
        dataset=SimpleNamespace(fingerprint="f"),
        simulated=True,
        texture=None,
    )
    return cast("Resolved", SimpleNamespace(ref="plane@v1", record=record))


def layers(height: int, width: int, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    low, high = np.array([275, -0.2, 0]), np.array([325, 1.0, 3000])
    span = (high - low)[:, None, None]
    values: np.ndarray[Any, Any] = low[:, None, None] + span * rng.random((3, height, width))
    return values.astype(np.float32)


def write_layers(folder: Path, values: np.ndarray[Any, Any], **options: Any) -> Stack:
    folder.mkdir(exist_ok=True)
    profile = {"driver": "GTiff", "crs": "EPSG:6933", "transform": from_origin(9e6, 5e6, 1000, 1000), "count": 1,
               "dtype": "float32", "height": values.shape[1], "width": values.shape[2], "nodata": -9999.0}  # fmt: skip
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    for name, band in zip([*NAMES, "water"], values, strict=False):
        with rasterio.open(folder / f"{name}.tif", "w", **{**profile, **tiles, **options}) as file:
            file.write(np.where(np.isfinite(band), band, -9999.0).astype(np.float32), 1)
    return Stack.from_folder(folder)


def truth(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    answers: np.ndarray[Any, Any] = np.clip(np.tensordot(WEIGHTS.astype(float), values[:3].astype(float), 1), 0.05, 0.5)
    return answers


@pytest.fixture
def session() -> Session:
    return Session(model(), "cpu")


def test_uncertainty_makes_bands_that_other_programs_read(tmp_path: Path, session: Session) -> None:
    values = layers(700, 600)
    values[1, 100:200, :50] = np.nan
    stack = write_layers(tmp_path / "stack", values)
    for name in ("map.tif", "map.nc"):
        done = predict_map(version(), session, stack, tmp_path / name, extras=UNCERTAINTY)
    expected = truth(values)
    far = np.abs(values[0].astype(float) - 300) / 40
    with rasterio.open(tmp_path / "map.tif") as found:
        read = found.read(masked=True).filled(np.nan)
        assert found.descriptions == ("soil_moisture", *UNCERTAINTY)
        assert found.units == ("m3 m-3", "m3 m-3", "m3 m-3", "1")
        assert (found.tags()["interval_level"], found.tags()["aoa_threshold"]) == ("0.9", "0.5")
        assert found.tags()["pixels_out_of_domain"] == str(done.out_of_domain)
        assert found.tags(2)["long_name"] == "lower bound of soil moisture"
    gap = np.isnan(values[1])
    assert (np.isnan(read) == gap).all()
    for band, wanted in zip(read, [expected, expected - 0.05, expected + 0.05, far], strict=True):
        np.testing.assert_allclose(band[~gap], wanted[~gap], rtol=0, atol=2e-6)
    assert done.compared == done.predicted == (~gap).sum()
    assert done.out_of_domain == (far[~gap].astype(np.float32) > np.float32(THRESHOLD)).sum() > 0
    with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as cdf:
        np.testing.assert_array_equal(np.stack([cdf[name] for name in ("soil_moisture", *UNCERTAINTY)]), read)
        assert cdf.soil_moisture.attrs["ancillary_variables"] == " ".join(UNCERTAINTY)


def test_codes_get_a_file_of_their_own_beside_a_geotiff_and_flags_in_netcdf(tmp_path: Path, session: Session) -> None:
    values = layers(700, 600)
    values[0, :300] = np.nan
    stack = write_layers(tmp_path / "stack", values)

    def method(window: Any, predictors: np.ndarray[Any, Any], sm: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        np.testing.assert_array_equal(predictors, values[(slice(None), *window)])
        rows = np.arange(window[0].start, window[0].stop)[:, None]
        return np.where(np.isnan(sm), np.nan, np.where(rows < 500, 1, 2))

    for name in ("map.tif", "map.nc"):
        predict_map(version(), session, stack, tmp_path / name, further=[FurtherBand(METHOD, method)])
    expected = np.repeat([0, 1, 2], [300, 200, 200])
    with rasterio.open(tmp_path / "map.tif") as found:
        assert found.count == 1
    with rasterio.open(tmp_path / "map_method.tif") as found:
        codes = found.read(1)
        assert (found.dtypes, found.nodata, found.overviews(1)) == (("uint8",), 0, [2])
        assert (found.tags(1)["flag_values"], found.tags(1)["flag_meanings"]) == ("0, 1, 2", "no_value observed filled")
        colours = found.colormap(1)
        assert len({colours[code] for code in METHOD.codes}) == 3
        assert set(np.unique(found.read(1, out_shape=(350, 300)))) == {0, 1, 2}  # never a mean of codes
        assert found.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert (codes == expected[:, None]).all()
    with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf", mask_and_scale=False) as cdf:
        assert cdf.method.dtype == np.uint8
        assert cdf.method.attrs["flag_values"].tolist() == [0, 1, 2]
        assert cdf.method.attrs["flag_meanings"] == "no_value observed filled"
        assert not {"units", "_FillValue"} & set(cdf.method.attrs)
        assert cdf.soil_moisture.attrs["ancillary_variables"] == "method"
        np.testing.assert_array_equal(cdf.method, codes)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.nc", "map.tif", "map_method.tif", "stack"]


def test_strict_refuses_pixels_out_of_the_domain_and_leaves_nothing(tmp_path: Path, session: Session) -> None:
    stack = write_layers(tmp_path / "stack", layers(90, 80))
    with pytest.raises(DataError, match=r"pixels \(\d+\.\d+%\) are unlike anything that plane@v1"):
        predict_map(version(), session, stack, tmp_path / "map.tif", strict=0.0)
    assert [path.name for path in tmp_path.iterdir()] == ["stack"]
    done = predict_map(version(), session, stack, tmp_path / "map.tif", strict=0.9)
    assert done.out_of_domain_share is not None
    assert 0.1 < done.out_of_domain_share < 0.3  # 10 of the 50 K lie beyond 20 K from the middle


def test_the_share_out_of_the_domain_is_told_of_a_sample_unless_all_is_asked_for(
    tmp_path: Path, session: Session
) -> None:
    stack = write_layers(tmp_path / "stack", layers(500, 600))
    done = predict_map(version(), session, stack, tmp_path / "map.tif")
    assert done.compared == pytest.approx(500 * 600 / 101, rel=0.01)
    assert done.out_of_domain_share == pytest.approx(0.2, abs=0.03)
    with rasterio.open(tmp_path / "map.tif") as found:
        assert "pixels_out_of_domain" not in found.tags()


def test_a_model_without_intervals_says_so(tmp_path: Path) -> None:
    stack = write_layers(tmp_path / "stack", layers(30, 30))
    bare = Session(model(extras=False), "cpu")
    for options in ({"extras": UNCERTAINTY}, {"strict": 0.1}):
        with pytest.raises(DataError, match=r"has no .*train and export it anew"):
            predict_map(version(), bare, stack, tmp_path / "map.tif", **cast("Any", options))
    assert predict_map(version(), bare, stack, tmp_path / "map.tif").out_of_domain is None


def test_a_table_gets_columns(tmp_path: Path, session: Session) -> None:
    import pandas as pd

    values = layers(1, 50)[:, 0].T
    pd.DataFrame(values, columns=NAMES).to_csv(tmp_path / "t.csv", index=False)
    done = predict_table(version(), session, tmp_path / "t.csv", tmp_path / "out.csv", extras=UNCERTAINTY)
    read = pd.read_csv(tmp_path / "out.csv")
    np.testing.assert_allclose(read.soil_moisture_upper - read.soil_moisture, 0.05, atol=1e-6)
    assert (read.dissimilarity_index > THRESHOLD).sum() == done.out_of_domain
    with pytest.raises(DataError, match="--strict lets"):
        predict_table(version(), session, tmp_path / "t.csv", tmp_path / "no.csv", strict=0.0)


def test_the_same_bytes_whatever_runs_beside_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = layers(1100, 1300)
    values[2, 40:600, 200:900] = np.nan
    stack = write_layers(tmp_path / "stack", values)
    tags = {"created": "then", "TIFFTAG_DATETIME": "2019:09:25 00:00:00"}
    alone = Overlap(0, 0, writing=False)
    overlaps = (alone, Overlap(0, 1), Overlap(0, 3, waiting=4), Overlap(2), Overlap(4, writing=False, waiting=1))
    ways = {(threads, overlap) for threads in (1, 2) for overlap in overlaps}
    found = []
    for number, (threads, overlap) in enumerate(sorted(ways, key=str)):
        path = tmp_path / f"{number}" / "map.tif"
        predict_map(version(), Session(model(), "cpu", threads), stack, path, tags=tags, overlap=overlap)
        found.append(path.read_bytes())
    assert len(ways) == 10
    assert len(set(found)) == 1
    with rasterio.open(tmp_path / "0" / "map.tif") as file:
        np.testing.assert_allclose(file.read(1)[:40], truth(values)[:40], atol=2e-6)


@pytest.mark.parametrize("overlap", [Overlap(0, 0, writing=False), Overlap(0, 2), Overlap(2)])
def test_an_error_while_reading_is_one_line_and_leaves_nothing(
    tmp_path: Path, session: Session, overlap: Overlap
) -> None:
    stack = write_layers(tmp_path / "stack", layers(1200, 1200))
    path = tmp_path / "stack" / "dem.tif"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # GDAL opens it; the tiles of its second half are missing
    with pytest.raises(DataError, match=r"dem\.tif cannot be read as a raster") as caught:
        predict_map(version(), session, stack, tmp_path / "map.tif", overlap=overlap)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["stack"]
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("ahead", "behind"))]


def test_interruption_leaves_nothing_and_no_thread(tmp_path: Path, session: Session) -> None:
    stack = write_layers(tmp_path / "stack", layers(1200, 1200))

    def interrupted(window: Any, _: Any, sm: Any) -> Any:
        if window[0].start:
            raise KeyboardInterrupt
        return sm

    with pytest.raises(KeyboardInterrupt):
        predict_map(version(), session, stack, tmp_path / "map.tif", further=[FurtherBand(METHOD, interrupted)])
    assert [path.name for path in tmp_path.iterdir()] == ["stack"]
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith(("ahead", "behind"))]


@pytest.mark.parametrize("overlap", [Overlap(0, 2, waiting=2), Overlap(2, waiting=2)])
def test_no_more_windows_are_held_than_may_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overlap: Overlap
) -> None:
    stack = write_layers(tmp_path / "stack", layers(4096, 512))
    session = Session(model(), "cpu", 1)
    read, held, lock = OpenedStack.read, [], threading.Lock()
    answered = 0

    def counted(self: OpenedStack, window: Any) -> Any:
        with lock:
            held.append(window[0].start // 512 - answered)
        return read(self, window)

    def slow(window: Any, *_: Any) -> Any:
        nonlocal answered
        time.sleep(0.03)  # the reader is as far ahead as it may be
        answered += 1
        return np.ones((512, 512))

    monkeypatch.setattr(OpenedStack, "read", counted)
    predict_map(
        version(), session, stack, tmp_path / "map.tif",
        further=[FurtherBand(METHOD, slow)], overlap=overlap,
    )  # fmt: skip
    assert len(held) == 8
    assert 1 <= max(held) <= 2  # windows begun beyond the one that is being answered


def test_what_is_missing_throughout_is_not_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.concatenate([layers(1024, 1024), np.zeros((1, 1024, 1024), np.float32)])
    values[0, :512, :512] = np.nan  # the first predictor is missing
    values[0, 512:, :300], values[1, 512:, 300:512] = np.nan, np.nan  # the first two together
    values[3, :512, 512:] = 1  # water
    stack = write_layers(tmp_path / "stack", values)
    asked: list[tuple[str, int, int]] = []
    into = Layer.read_into

    def counted(self: Layer, part: Any, window: Any, opened: Any = None) -> bool:
        asked.append((self.name, window[0].start, window[1].start))
        return into(self, part, window, opened)

    monkeypatch.setattr(Layer, "read_into", counted)
    done = predict_map(version(), Session(model(), "cpu"), stack, tmp_path / "map.tif")
    predictors = [one for one in asked if one[0] != "water"]
    assert [one for one in predictors if one[1:] == (0, 0)] == [("lst", 0, 0)]
    assert [one[0] for one in predictors if one[1:] == (512, 0)] == ["lst", "ndvi"]
    assert [one[0] for one in predictors if one[1:] == (0, 512)] == []
    assert [one[0] for one in predictors if one[1:] == (512, 512)] == NAMES
    assert (done.pixels, done.predicted, done.water) == (1024**2, 512**2, 512**2)
    with rasterio.open(tmp_path / "map.tif") as found:
        assert (found.read_masks(1) > 0).sum() == 512**2


def test_a_session_that_fills_gaps_sees_every_window(tmp_path: Path) -> None:
    class Filling(Session):
        fills_gaps = True

        def answers(self, X: Any, extras: Any = (), *, where: Any = None) -> Any:
            return super().answers(np.nan_to_num(X, nan=300.0), extras, where=where)

    values = layers(600, 600)
    values[0] = np.nan
    stack = write_layers(tmp_path / "stack", values)
    done = predict_map(version(), Filling(model(), "cpu"), stack, tmp_path / "map.tif")
    assert done.predicted == 600 * 600


def test_correction_moves_the_interval_and_keeps_further_bands(tmp_path: Path, session: Session) -> None:
    values = layers(90, 80)
    values[0, :4] = np.nan
    stack = write_layers(tmp_path / "stack", values)
    coarse_box = GeoBox.from_bbox(stack.geobox.boundingbox, stack.geobox.crs, shape=(9, 8))
    field = np.full((9, 8), 0.3)
    coarse = as_array(field, coarse_box, "soil_moisture", {})
    further = [FurtherBand(METHOD, lambda window, X, sm: np.isfinite(sm).astype(float))]
    done = predict_map(
        version(), session, stack, tmp_path / "map.nc", coarse=coarse, extras=UNCERTAINTY, further=further
    )
    with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as found:
        means = found.soil_moisture.to_numpy().reshape(9, 10, 8, 10)
        np.testing.assert_allclose(np.nanmean(means, axis=(1, 3)), 0.3, atol=2e-6)
        moved = found.soil_moisture - truth(values)
        lower = np.clip(truth(values) - 0.05 + moved, 0.05, 0.5)
        np.testing.assert_allclose(found.soil_moisture_lower, lower, atol=2e-6)
        np.testing.assert_array_equal(found.method, np.isfinite(found.soil_moisture))
        far = np.where(np.isnan(values[0]), np.nan, np.abs(values[0] - 300) / 40)
        np.testing.assert_allclose(found.dissimilarity_index, far, atol=1e-6)
    assert done.correction["cells"] == 72


@pytest.mark.parametrize(
    ("tiles", "shape", "expected"),
    [
        ([], (3000, 3000), (512, 512)),
        ([(256, 256)], (3000, 3000), (512, 512)),
        ([(1024, 1024), (256, 256)], (3000, 3000), (1024, 1024)),
        ([(300, 400)], (3000, 3000), (600, 800)),
        ([(1, 3000)], (3000, 3000), (87, 3000)),
        ([(4, 20000)], (9000, 20000), (32, 8192)),
        ([(200, 300)], (200, 300), (600, 600)),
        ([(3000, 3000)], (3000, 3000), (87, 3000)),
    ],
)
def test_windows_hold_whole_tiles(tiles: Any, shape: Any, expected: tuple[int, int]) -> None:
    assert window_shape(tiles, shape) == expected


@pytest.mark.parametrize(
    "options", [{"tiled": False}, {"compress": "lzw", "dtype": "int16"}, {"nodata": None}, {"blockxsize": 1024}]
)
def test_files_of_any_layout_give_what_rasterio_reads(tmp_path: Path, options: dict[str, Any]) -> None:
    values = np.round(layers(700, 1100))
    values[1, 5:9] = -9999
    stack = write_layers(tmp_path / "stack", values, **options)
    with OpenedStack(stack, NAMES, gaps=True) as opened:
        read = np.full(values.shape, -1.0)
        for window in opened.windows:
            read[(slice(None), *window)] = opened.read(window)[1]
    for name, band in zip(NAMES, read, strict=True):
        with rasterio.open(tmp_path / "stack" / f"{name}.tif") as file:
            np.testing.assert_array_equal(band, file.read(1, masked=True).astype(float).filled(np.nan))


def test_prediction_tells_no_share_where_nothing_was_compared(tmp_path: Path) -> None:
    assert Prediction(tmp_path, "m@v1", "CPU").out_of_domain_share is None
