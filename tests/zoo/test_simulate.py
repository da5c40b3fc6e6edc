"""The simulated scene: read back by hand with h5py, pyhdf, rasterio and pandas, never with the project's readers."""

from __future__ import annotations

import json
import threading
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyproj
import pytest
import rasterio
from pyhdf.SD import SD
from rasterio.warp import Resampling, reproject

from zoo.errors import DataError, UsageError
from zoo.simulate import SHANDIAN, Scene, cache, sample_scene, simulate_scene
from zoo.simulate.domain import Domain
from zoo.simulate.fields import gaussian_field, streams
from zoo.simulate.landsat import wrs2
from zoo.simulate.landscape import Landscape, make_landscape, variance_shares
from zoo.simulate.modis import period
from zoo.simulate.surface import Surface, make_surface
from zoo.simulate.terrain import _accumulated, make_terrain
from zoo.types import Area

SMALL = Area(116.05, 42.0, 116.19, 42.14)
small_scene = partial(simulate_scene, area=SMALL, landsat_resolution=240)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return small_scene(tmp_path_factory.mktemp("scene") / "scene")


@pytest.fixture(scope="module")
def state() -> tuple[Domain, Landscape, Surface]:
    """The whole Shandian basin, computed but not written."""
    chance = streams(2019)
    domain = Domain.over(SHANDIAN, date(2019, 9, 25), "SIMULATED")
    terrain = make_terrain(domain, chance["terrain"])
    land = make_landscape(domain, terrain, chance["landscape"], chance["unobserved"])
    return domain, land, make_surface(domain, land, chance["landscape"])


def one(scene: Scene, pattern: str) -> Path:
    (path,) = scene.folder.glob(pattern)
    return path


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1)


def blocks(values: np.ndarray, size: int) -> np.ndarray:
    rows, columns = values.shape
    return np.array(
        [
            [np.nanmean(values[r : r + size, c : c + size], dtype=float) for c in range(0, columns, size)]
            for r in range(0, rows, size)
        ]
    )


def test_same_seed_gives_the_same_bytes_in_every_file(scene: Scene, tmp_path: Path) -> None:
    again = small_scene(tmp_path / "again")
    names = [file["path"] for file in scene.description["files"]]
    assert len(names) >= 18
    for name in [*names, "scene.json"]:
        assert (scene.folder / name).read_bytes() == (again.folder / name).read_bytes(), name


def test_another_seed_gives_another_place() -> None:
    domain = Domain.over(SMALL, date(2019, 9, 25), "SIMULATED")
    first, second = (make_terrain(domain, streams(seed)["terrain"]).elevation for seed in (1, 2))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.9
    assert np.abs(first - second).max() > 20


def test_description_lists_every_file_with_its_size(scene: Scene) -> None:
    on_disk = {
        path.relative_to(scene.folder).as_posix(): path.stat().st_size
        for path in scene.folder.rglob("*")
        if path.is_file() and path.name != "scene.json"
    }
    assert {file["path"]: file["bytes"] for file in scene.description["files"]} == on_disk
    assert scene.description["version"] == 1
    assert scene.area == SMALL
    assert scene.date == date(2019, 9, 25)


def test_every_file_says_that_it_is_simulated(scene: Scene) -> None:
    for file in scene.description["files"]:
        path = scene.folder / file["path"]
        match path.suffix:
            case ".h5" | ".nc4":
                with h5py.File(path) as hdf:
                    text = " ".join(str(value) for value in hdf.attrs.values())
            case ".hdf":
                text = str(SD(str(path)).attributes()["SIMULATED"])
                assert "SIMULATED" in SD(str(path)).attributes()["CoreMetadata.0"]
            case ".tif" | ".TIF":
                with rasterio.open(path) as raster:
                    text = raster.tags()["TIFFTAG_IMAGEDESCRIPTION"]
            case ".parquet":
                text = pq.read_schema(path).metadata[b"simulated"].decode()
            case _:
                text = path.read_text()
        assert "SIMULATED data, not an observation" in text, path.name


def test_truth_lies_on_m01_in_whole_m09_cells(scene: Scene) -> None:
    with rasterio.open(scene.truth) as file:
        truth, affine = file.read(1), file.transform
        assert file.crs.to_epsg() == 6933
        assert file.units == ("m3 m-3",)
    cell = 9008.055210146
    assert affine.a == pytest.approx(cell / 9, abs=1e-6)
    assert [(affine.c + 17367530.4451615) / cell % 1, (7314540.8306386 - affine.f) / cell % 1] == pytest.approx(
        [0, 0], abs=1e-6
    )
    assert truth.shape[0] % 9 == truth.shape[1] % 9 == 0
    known = truth[np.isfinite(truth)]
    assert known.size > 0.8 * truth.size
    assert known.min() >= 0.02
    assert known.max() <= 0.48


def test_smap_cells_are_the_mean_of_the_truth_within_the_model_error(scene: Scene) -> None:
    with rasterio.open(scene.truth) as file:
        truth, affine = file.read(1), file.transform
    expected = blocks(truth, 9)
    column = round((affine.c + 17367530.4451615) / 9008.055210146)
    row = round((7314540.8306386 - affine.f) / 9008.055210146)
    for path in sorted(scene.folder.glob("smap/*.h5")):
        with h5py.File(path) as file:
            cells = file["Geophysical_Data/sm_surface"][
                row : row + expected.shape[0], column : column + expected.shape[1]
            ]
        difference = cells - expected
        assert 1e-4 < np.abs(difference).max() < 0.05


def test_smap_granule_is_laid_out_as_spl4smgp(scene: Scene) -> None:
    path = one(scene, "smap/SMAP_L4_SM_gph_20190925T103000_Vv7032_001.h5")
    with h5py.File(path) as file:
        layers = file["Geophysical_Data"]
        assert {"sm_surface", "sm_rootzone", "soil_temp_layer1", "snow_mass"} <= set(layers)
        for dataset in layers.values():
            assert dataset.shape == (1624, 3856)
            assert dataset.dtype == np.float32
            assert dataset.attrs["_FillValue"] == dataset.fillvalue == -9999
        moisture = layers["sm_surface"][:]
        filled = np.argwhere(moisture != -9999)
        top, left = filled[0]
        rows, columns = (filled.max(axis=0) - (top, left)) + 1
        assert len(filled) == rows * columns < 100
        assert layers["sm_surface"].attrs["units"] == b"m3 m-3"
        row, column = int(file["cell_row"][top, left]), int(file["cell_column"][top, left])
        assert (row, column) == (top, left)
        lon, lat = pyproj.Transformer.from_crs(6933, 4326, always_xy=True).transform(file["x"][column], file["y"][row])
        assert (file["cell_lon"][top, left], file["cell_lat"][top, left]) == pytest.approx((lon, lat), abs=1e-5)
        assert 115 < lon < 116.5
        assert 42 < lat < 42.6
        stamp = datetime(2000, 1, 1, 12, tzinfo=UTC) + timedelta(seconds=float(file["time"][0]))
        assert stamp == datetime(2019, 9, 25, 10, 30, tzinfo=UTC)


def test_amsr2_granules_are_global_in_percent_and_differ(scene: Scene) -> None:
    fields = []
    truth = read(scene.truth)
    for orbit in "AD":
        with h5py.File(one(scene, f"amsr2/LPRM-AMSR2_L3_DS_{orbit}_SOILM3_V001_20190925*.nc4")) as file:
            raw = file["soil_moisture_c1"]
            assert raw.shape == (3600, 1800)
            assert raw.dtype == np.int16
            assert raw.attrs["units"] == b"percent"
            assert file["Longitude"][0] == pytest.approx(-179.95)
            assert file["Latitude"][0] == pytest.approx(89.95)
            assert raw.dims[0][0].name == "/Longitude"
            values = raw[:]
            at = np.argwhere(values != -32767)
            lon, lat = file["Longitude"][:][at[:, 0]], file["Latitude"][:][at[:, 1]]
            assert ((lon > 115.6) & (lon < 116.6) & (lat > 41.6) & (lat < 42.6)).all()
            seconds = file["scantime"][:][tuple(at[0])]
            assert (datetime(1993, 1, 1, tzinfo=UTC) + timedelta(seconds=float(seconds))).date() == date(2019, 9, 25)
            assert (file["mask"][:][tuple(at.T)] < 64).all()
            fields.append(values[tuple(at.T)] / 100)
    assert len(fields[0]) >= 4
    assert fields[0].shape != fields[1].shape or (fields[0] != fields[1]).any()
    assert abs(np.mean(fields) - np.nanmean(truth)) < 0.12


@pytest.mark.parametrize(
    ("product", "day", "size", "first", "last"),
    [
        ("MOD11A2", "2019265", 1200, "2019-09-22", "2019-09-29"),
        ("MOD13A2", "2019257", 1200, "2019-09-14", "2019-09-29"),
        ("MCD15A2H", "2019265", 2400, "2019-09-22", "2019-09-29"),
        ("MCD43A3", "2019268", 2400, "2019-09-17", "2019-10-02"),
    ],
)
def test_modis_tiles_carry_their_grid_and_period(
    scene: Scene, product: str, day: str, size: int, first: str, last: str
) -> None:
    file = SD(str(one(scene, f"modis/{product}.A{day}.h26v04.061.*.hdf")))
    structure = file.attributes(full=1)["StructMetadata.0"]
    assert structure[3] == 32000
    side = np.pi * 6371007.181 / 18
    assert f"UpperLeftPointMtrs=({8 * side:.6f},{5 * side:.6f})" in structure[0]
    assert f"LowerRightMtrs=({9 * side:.6f},{4 * side:.6f})" in structure[0]
    assert f"XDim={size}\n" in structure[0]
    core = file.attributes()["CoreMetadata.0"]
    assert f'VALUE                = "{first}"' in core
    assert f'VALUE                = "{last}"' in core
    for name, (_, shape, _, _) in file.datasets().items():
        assert shape == (size, size)
        assert f'DataFieldName="{name}"' in structure[0]


def test_modis_pixels_lie_where_the_scene_is(scene: Scene) -> None:
    raw = SD(str(one(scene, "modis/MOD13A2*.hdf"))).select("1 km 16 days NDVI")[:]
    rows, columns = np.nonzero(raw != -3000)
    pixel = np.pi * 6371007.181 / 18 / 1200
    to_degrees = pyproj.Transformer.from_crs("+proj=sinu +R=6371007.181", 4326, always_xy=True)
    x, y = 8 * 1200 * pixel + (columns + 0.5) * pixel, 5 * 1200 * pixel - (rows + 0.5) * pixel
    lon, lat = to_degrees.transform(x, y)
    with rasterio.open(scene.truth) as file:
        box = rasterio.warp.transform_bounds(file.crs, 4326, *file.bounds)
    assert (np.mean(lon), np.mean(lat)) == pytest.approx(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), abs=0.02)
    assert lon.min() < box[0] < box[2] < lon.max()
    assert lat.min() < box[1] < box[3] < lat.max()


def test_modis_quality_layers_agree_with_the_values(scene: Scene) -> None:
    lst = SD(str(one(scene, "modis/MOD11A2*.hdf")))
    day, quality = lst.select("LST_Day_1km")[:], lst.select("QC_Day")[:]
    assert ((day == 0) == np.isin(quality & 3, (2, 3))).all()
    kelvin = 0.02 * day[day > 0]
    assert 275 < kelvin.min() < kelvin.max() < 325
    assert (quality[day > 0] & 3 == 0).mean() > 0.5
    assert ((quality == 2).sum() / ((day > 0) | (quality == 2)).sum()) == pytest.approx(0.05, abs=0.03)

    vegetation = SD(str(one(scene, "modis/MOD13A2*.hdf")))
    ndvi = vegetation.select("1 km 16 days NDVI")[:]
    reliability = vegetation.select("1 km 16 days pixel reliability")[:]
    assert ((ndvi == -3000) == (reliability == -1)).all()
    assert set(np.unique(reliability)) >= {-1, 0, 3}
    assert ndvi[reliability == 3].mean() < ndvi[reliability == 0].mean() - 1000

    leaves = SD(str(one(scene, "modis/MCD15A2H*.hdf")))
    lai, qc = leaves.select("Lai_500m")[:], leaves.select("FparLai_QC")[:]
    assert (qc[(lai > 100) & (lai < 255)] == 157).all()
    assert (lai == 254).any()
    assert ((qc == 255) == (lai == 255)).all()

    albedo = SD(str(one(scene, "modis/MCD43A3*.hdf")))
    white = albedo.select("Albedo_WSA_vis")[:]
    flags = albedo.select("BRDF_Albedo_Band_Mandatory_Quality_vis")[:]
    assert ((white == 32767) == (flags == 255)).all()
    assert white[flags < 255].max() < 400


def test_landsat_scene_is_a_collection_2_product(scene: Scene) -> None:
    folder = one(scene, "landsat/LC08_L2SP_124031_20190925_*_02_T1")
    metadata = json.loads((folder / f"{folder.name}_MTL.json").read_text())["LANDSAT_METADATA_FILE"]
    text = (folder / f"{folder.name}_MTL.txt").read_text()
    group = text.split("GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS")[1]
    assert group.strip().startswith("REFLECTANCE_MULT_BAND_2 = 2.75e-05")
    assert metadata["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"]["REFLECTANCE_ADD_BAND_7"] == "-0.2"
    assert metadata["LEVEL1_RADIOMETRIC_RESCALING"]["REFLECTANCE_MULT_BAND_2"] == "2.0000E-05"
    with rasterio.open(folder / f"{folder.name}_SR_B5.TIF") as file:
        assert file.crs.to_epsg() == 32650
        assert file.nodata == 0
        assert file.dtypes == ("uint16",)
        assert file.tags()["AREA_OR_POINT"] == "Point"
        assert (file.transform.c + 120) % 240 == 0
        assert int(metadata["PROJECTION_ATTRIBUTES"]["REFLECTIVE_LINES"]) == file.height
        west, south, east, north = rasterio.warp.transform_bounds(file.crs, 4326, *file.bounds)
    assert west < SMALL.west < SMALL.east < east
    assert south < SMALL.south < SMALL.north < north


def test_landsat_flags_point_at_water_cloud_and_shadow(scene: Scene) -> None:
    folder = one(scene, "landsat/LC08*")
    quality = read(one(scene, "landsat/*/*_QA_PIXEL.TIF"))
    band = {n: read(folder / f"{folder.name}_SR_B{n}.TIF") * 2.75e-05 - 0.2 for n in (2, 5, 6)}
    flagged = {name: (quality >> bit) & 1 == 1 for name, bit in (("cloud", 3), ("shadow", 4), ("water", 7))}
    land = quality == 21824
    assert set(np.unique(quality)) <= {1, 21824, 21952, 22280, 21762, 23888}
    assert np.median(band[5][flagged["water"]]) < 0.12 < np.median(band[5][land])
    assert np.median(band[2][flagged["cloud"]]) > 0.4
    assert np.median(band[5][flagged["shadow"]]) < 0.7 * np.median(band[5][land])
    share = 1 - (land | flagged["water"])[quality != 1].mean()
    assert 0.04 < share < 0.14


def test_truth_is_missing_only_where_landsat_sees_water(scene: Scene) -> None:
    with rasterio.open(one(scene, "landsat/*/*_QA_PIXEL.TIF")) as file:
        water = ((file.read(1) >> 7) & 1).astype(np.float32)
        source = {"src_transform": file.transform, "src_crs": file.crs}
    with rasterio.open(scene.truth) as file:
        truth = file.read(1)
        share = np.full(truth.shape, np.nan, np.float32)
        reproject(water, share, **source, dst_transform=file.transform, dst_crs=file.crs, resampling=Resampling.average)
    assert np.isnan(truth).any()
    assert (share[np.isnan(truth)] > 0.2).all()
    assert np.nanmean(share[np.isfinite(truth)]) < 0.02


def test_elevation_tile_has_the_grid_and_name_of_gmted(scene: Scene) -> None:
    with rasterio.open(one(scene, "terrain/30N090E_20101117_gmted_mea300.tif")) as file:
        assert file.shape == (2400, 3600)
        assert file.transform.a == pytest.approx(1 / 120)
        assert (file.bounds.left, file.bounds.bottom) == pytest.approx((90 - 1 / 7200, 30 - 1 / 7200))
        heights = [int(v[0]) for v in file.sample([(116.05, 42.05), (116.1, 42.1), (100.0, 40.0)])]
    assert 1150 < heights[0] < 2200
    assert heights[2] == -32768


def test_stations_are_the_network_inside_the_area_and_follow_the_truth(scene: Scene) -> None:
    table = pd.read_parquet(scene.stations)
    assert list(table) == ["station", "lon", "lat", "depth", "time", "sm"]
    assert str(table["time"].dt.tz) == "UTC"
    assert set(table["station"]) == {"M4", "M12"}
    assert table.groupby("station").size().eq(48).all()
    with rasterio.open(scene.truth) as file:
        to_grid = pyproj.Transformer.from_crs(4326, 6933, always_xy=True)
        for _, rows in table.groupby("station"):
            x, y = to_grid.transform(rows["lon"].iloc[0], rows["lat"].iloc[0])
            truth = next(file.sample([(x, y)]))[0]
            assert abs(rows["sm"].mean() - truth) < 0.15


def test_unobserved_part_is_a_quarter_of_the_fine_variance(state: tuple[Domain, Landscape, Surface]) -> None:
    domain, land, _ = state
    rows, columns = domain.inside(1)

    def fine(values: np.ndarray) -> np.ndarray:
        kilometre = blocks(np.where(land.water < 0.5, values, np.nan)[rows, columns], 4)
        return kilometre - np.kron(blocks(kilometre, 9), np.ones((9, 9)))

    with np.errstate(all="ignore"), pytest.warns(RuntimeWarning, match="Mean of empty slice"):
        share = np.nanvar(fine(land.unobserved)) / np.nanvar(fine(land.moisture))
    assert 0.20 < share < 0.30
    assert variance_shares(domain, land)["unobserved_of_fine"] == pytest.approx(share, abs=0.01)


def test_predictors_follow_moisture_but_not_its_unobserved_part(state: tuple[Domain, Landscape, Surface]) -> None:
    _, land, surface = state
    dry_land = land.water < 0.05

    def related(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a[dry_land], b[dry_land])[0, 1])

    assert -0.95 < related(surface.lst_day, land.moisture) < -0.4
    assert 0.2 < related(surface.ndvi, land.moisture) < 0.9
    assert -0.9 < related(surface.alb_vis, land.moisture) < -0.2
    for field in (surface.lst_day, surface.ndvi, surface.alb_vis, surface.lai):
        assert abs(related(field, land.unobserved)) < 0.15


def test_moisture_and_height_have_plausible_ranges(state: tuple[Domain, Landscape, Surface]) -> None:
    domain, land, _ = state
    low, high = np.quantile(land.moisture, [0.02, 0.98])
    assert 0.02 < low < 0.08
    assert 0.30 < high < 0.45
    height = land.terrain.elevation
    assert 1150 < height.min() < 1300
    assert 1900 < height.max() < 2200
    half = height.shape[0] // 2
    assert height[half:].mean() > height[:half].mean() + 50
    share = float((land.water >= 0.5)[domain.inside(1)].mean())
    assert share == pytest.approx(0.016, abs=0.01)


def test_field_has_the_correlation_length_and_slope_asked_for() -> None:
    rng = np.random.default_rng(0)
    field = gaussian_field(rng, (512, 512), (100.0, 100.0), 3e3, 3.0)
    power = np.abs(np.fft.rfft2(field * np.outer(np.hanning(512), np.hanning(512)))) ** 2
    k = 2 * np.pi * np.hypot(np.fft.fftfreq(512, 100)[:, None], np.fft.rfftfreq(512, 100)[None])
    steep = (k > 3e-3) & (k < 2e-2)
    slope = np.polyfit(np.log(k[steep]), np.log(power[steep]), 1)[0]
    assert slope == pytest.approx(-3.0, abs=0.25)
    assert field.mean() == pytest.approx(0, abs=1e-5)
    assert field.std() == pytest.approx(1, abs=1e-5)


def test_water_gathers_downhill_over_a_filled_pit() -> None:
    slope = np.array([[9, 9, 9, 9, 9], [9, 5, 3, 4, 1], [9, 9, 9, 9, 9]], dtype=np.float32)
    area = _accumulated(slope)
    assert area[1].tolist()[1:] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("lon", "lat", "path", "row"),
    [(115.4, 41.76, 124, 31), (-82.9, 34.6, 18, 36), (-122.2, 37.5, 44, 34), (2.6, 48.9, 199, 26)],
)
def test_path_and_row_are_those_of_wrs2(lon: float, lat: float, path: int, row: int) -> None:
    assert wrs2(lon, lat) == (path, row)


def test_composites_begin_anew_each_year() -> None:
    assert period("MOD13A2", date(2019, 12, 31)).start.timetuple().tm_yday == 353
    assert period("MOD11A2", date(2020, 1, 3)).named.timetuple().tm_yday == 1
    assert period("MCD43A3", date(2017, 7, 18)).start.date() == date(2017, 7, 10)


def test_area_across_a_tile_edge_gets_both_tiles(tmp_path: Path) -> None:
    scene = simulate_scene(tmp_path / "edge", area=Area(116.0, 39.9, 116.1, 40.1), landsat_resolution=480)
    tiles = sorted(path.name.split(".")[2] for path in scene.folder.glob("modis/MOD13A2*"))
    assert tiles == ["h26v04", "h26v05"]
    assert pd.read_parquet(scene.stations)["station"].str.startswith("R").all()


def test_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="is not empty and holds no simulated scene; give a new folder with --out"):
        small_scene(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scene").write_text("")
    with pytest.raises(UsageError, match="is a file; give a folder"):
        small_scene(tmp_path / "scene")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"seed": -1}, "--seed -1 is negative"),
        ({"landsat_resolution": 5}, "--landsat-resolution 5 is out of range"),
        ({"cloud": 9}, "cloud 9 is out of range"),
    ],
)
def test_option_out_of_range_is_refused(tmp_path: Path, option: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        simulate_scene(tmp_path / "scene", **option)  # type: ignore[arg-type]


def test_failure_leaves_the_earlier_scene_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "scene"
    folder.mkdir()
    (folder / "scene.json").write_text('{"kind": "soil-moisture-zoo simulated scene", "version": 0}')

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zoo.simulate.smap.write_smap", fails)
    with pytest.raises(OSError, match="No space"):
        small_scene(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["scene"]
    assert Scene.open(folder).description["version"] == 0


def test_folder_without_scene_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="make one with: zoo simulate"):
        Scene.open(tmp_path)


def test_sample_scene_is_made_once_for_two_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    made = []

    def slowly(folder: Path) -> Scene:
        made.append(folder)
        threading.Event().wait(0.3)
        folder.mkdir()
        (folder / "scene.json").write_text(json.dumps({**scene.description, "files": []}))
        return Scene.open(folder)

    monkeypatch.setenv("SMZOO_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "simulate_scene", slowly)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(sample_scene())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "sample-scene-v1"] * 3
    assert len(made) == 1


def test_sample_scene_with_a_lost_file_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: Scene
) -> None:
    folder = tmp_path / "sample-scene-v1"
    folder.mkdir()
    (folder / "scene.json").write_text(json.dumps(scene.description))
    made = []
    monkeypatch.setenv("SMZOO_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "simulate_scene", made.append)
    sample_scene()
    assert made == [folder]


@pytest.mark.real
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("MCD43A3", "MCD43A3"), ("MCD15A2H", "MCD15A2H"), ("MOD11A2", "MOD11A1"), ("MOD13A2", "MOD13A2")],
)
def test_modis_attributes_are_those_of_the_real_product(scene: Scene, real_data: Path, ours: str, theirs: str) -> None:
    made, real = SD(str(one(scene, f"modis/{ours}*"))), SD(str(next((real_data / "modis").glob(f"{theirs}.A*"))))
    shared = set(made.datasets()) & set(real.datasets())
    assert len(shared) >= 3
    for name in shared:
        assert made.datasets()[name][2] == real.datasets()[name][2], name
        mine, other = made.select(name).attributes(), real.select(name).attributes()
        for key in ("scale_factor", "add_offset", "_FillValue"):
            assert mine.get(key) == pytest.approx(other.get(key)), (name, key)


@pytest.mark.real
def test_amsr2_variables_are_those_of_the_real_product(scene: Scene, real_data: Path) -> None:
    real = next((real_data / "amsr2").glob("LPRM-AMSR2_L3_D_*.nc4"))
    with h5py.File(one(scene, "amsr2/*_D_*.nc4")) as made, h5py.File(real) as other:
        assert set(made) == set(other)
        for name in other:
            assert made[name].dtype == other[name].dtype, name
            for key in ("_FillValue", "scale_factor", "units", "long_name"):
                if name not in ("Longitude", "Latitude"):
                    mine, theirs = made[name].attrs.get(key), other[name].attrs.get(key)
                    assert str(mine).lower() == str(theirs).lower(), (name, key)
