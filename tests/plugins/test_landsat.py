"""Landsat scenes: small ones that the test writes, and the real one read by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from zoo.errors import DataError
from zoo.granules import granules_of
from zoo.types import Area, PredictorReader
from zoo_landsat.metadata import read_mtl, scene_time
from zoo_landsat.product import SPEC, WETNESS
from zoo_landsat.reader import LandsatReader

ID = "LC08_L2SP_124031_20190925_20200825_02_T1"
CLEAR, WATER = 21824, 21952
DN = {2: 9000, 3: 10000, 4: 11000, 5: 16000, 6: 15000, 7: 13000}
MTL = """GROUP = LANDSAT_METADATA_FILE
  GROUP = IMAGE_ATTRIBUTES
    SPACECRAFT_ID = "LANDSAT_8"
    DATE_ACQUIRED = 2019-09-25
    SCENE_CENTER_TIME = "02:53:21.1234560Z"
  END_GROUP = IMAGE_ATTRIBUTES
  GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
    REFLECTANCE_MULT_BAND_4 = 2.75e-05
    REFLECTANCE_ADD_BAND_4 = -0.2
  END_GROUP = LEVEL2_SURFACE_REFLECTANCE_PARAMETERS
  GROUP = LEVEL1_RADIOMETRIC_RESCALING
    REFLECTANCE_MULT_BAND_4 = 2.0000E-05
    REFLECTANCE_ADD_BAND_4 = -0.100000
  END_GROUP = LEVEL1_RADIOMETRIC_RESCALING
END_GROUP = LANDSAT_METADATA_FILE
END
"""


def write_scene(
    folder: Path,
    scene: str = ID,
    *,
    shape: tuple[int, int] = (4, 5),
    corner: tuple[float, float] = (399885.0, 4700115.0),
    crs: str = "EPSG:32650",
    quality: np.ndarray | int = CLEAR,
    saturated: np.ndarray | int = 0,
    bands: Mapping[int, np.ndarray | int] = DN,
    mtl: str | None = MTL,
    transform: Affine | None = None,
) -> list[Path]:
    """Write a scene; arrays or constants as values."""
    folder.mkdir(exist_ok=True)
    profile = {
        "driver": "GTiff", "dtype": "uint16", "count": 1, "height": shape[0], "width": shape[1], "crs": crs,
        "transform": transform or Affine(30, 0, corner[0], 0, -30, corner[1]),
    }  # fmt: skip
    parts = {f"SR_B{band}": values for band, values in bands.items()}
    for part, values in {**parts, "QA_PIXEL": quality, "QA_RADSAT": saturated}.items():
        path = folder / f"{scene}_{part}.TIF"
        with rasterio.open(path, "w", **profile, **({"nodata": 0} if "SR" in part else {})) as file:
            file.update_tags(AREA_OR_POINT="Point")
            file.write(np.broadcast_to(np.asarray(values, np.uint16), shape), 1)
    if mtl is not None:
        (folder / f"{scene}_MTL.txt").write_text(mtl)
    return sorted(folder.iterdir())


@pytest.fixture
def reader() -> LandsatReader:
    return LandsatReader()


def test_the_reader_satisfies_the_protocol(reader: LandsatReader) -> None:
    assert isinstance(reader, PredictorReader)


def test_reflectance_takes_the_level_2_scale_and_not_the_level_1_one(reader: LandsatReader, tmp_path: Path) -> None:
    (array,) = reader.open(write_scene(tmp_path / "s"), "red")
    np.testing.assert_allclose(array, 11000 * 2.75e-05 - 0.2, rtol=1e-5)
    assert (array.attrs["units"], array.attrs["granules"]) == ("1", [ID])
    assert array.odc.geobox.crs.to_epsg() == 32650


@pytest.mark.parametrize("bit", range(6))
def test_each_mask_bit_masks(reader: LandsatReader, tmp_path: Path, bit: int) -> None:
    quality = np.full((4, 5), CLEAR)
    quality[1, 2] |= 1 << bit
    paths = write_scene(tmp_path / "s", quality=quality)
    for layer in ("blue", "wetness", "water"):
        (array,) = reader.open(paths, layer)
        assert np.argwhere(np.isnan(array.to_numpy())).tolist() == [[1, 2]]


def test_saturation_masks_its_band_alone_and_the_wetness(reader: LandsatReader, tmp_path: Path) -> None:
    saturated = np.zeros((4, 5), int)
    saturated[0, 0] = 1 << 4  # band 5, near infrared
    paths = write_scene(tmp_path / "s", saturated=saturated)
    missing = {layer: bool(np.isnan(reader.open(paths, layer)[0][0, 0])) for layer in (*WETNESS, "wetness", "water")}
    assert [layer for layer, is_missing in missing.items() if is_missing] == ["nir", "wetness"]


def test_digital_number_0_is_missing(reader: LandsatReader, tmp_path: Path) -> None:
    red = np.full((4, 5), 11000)
    red[3, 4] = 0
    (array,) = reader.open(write_scene(tmp_path / "s", bands={**DN, 4: red}), "red")
    assert np.isnan(array.to_numpy()).sum() == 1


def test_wetness_is_the_tasselled_cap_of_surface_reflectance(reader: LandsatReader, tmp_path: Path) -> None:
    (array,) = reader.open(write_scene(tmp_path / "s"), "wetness")
    reflectance = np.array([DN[band] for band in range(2, 8)]) * 2.75e-05 - 0.2
    zhai = np.array([0.0382, 0.2137, 0.3536, 0.2270, -0.6108, -0.6351])
    np.testing.assert_allclose(array, zhai @ reflectance, rtol=1e-4)


def test_water_is_1_on_clear_water_and_0_on_clear_land(reader: LandsatReader, tmp_path: Path) -> None:
    quality = np.full((1, 4), CLEAR)
    quality[0, 1], quality[0, 2] = WATER, WATER | 8
    (array,) = reader.open(write_scene(tmp_path / "s", shape=(1, 4), quality=quality), "water")
    np.testing.assert_array_equal(array[0], [0, 1, np.nan, 0])


def test_the_time_comes_from_the_metadata_file(reader: LandsatReader, tmp_path: Path) -> None:
    write_scene(tmp_path / "s")
    (granule,) = granules_of(SPEC, sorted((tmp_path / "s").iterdir()))
    assert granule.start == granule.end == datetime(2019, 9, 25, 2, 53, 21, 123456, tzinfo=UTC)
    assert (granule.id, granule.product, len(granule.paths)) == (ID, "LC08_L2SP.02", 9)


def test_json_metadata_reads_like_text(reader: LandsatReader, tmp_path: Path) -> None:
    paths = write_scene(tmp_path / "s", mtl=None)
    groups = {"IMAGE_ATTRIBUTES": {"DATE_ACQUIRED": "2019-09-25", "SCENE_CENTER_TIME": "02:53:21.1234560Z"}}
    (tmp_path / "s" / f"{ID}_MTL.json").write_text(json.dumps({"LANDSAT_METADATA_FILE": groups}))
    assert reader.granule(paths[0]).start == datetime(2019, 9, 25, 2, 53, 21, 123456, tzinfo=UTC)


def test_without_metadata_the_scene_stands_for_its_day(reader: LandsatReader, tmp_path: Path) -> None:
    granule = reader.granule(write_scene(tmp_path / "s", mtl=None)[0])
    assert granule.start == datetime(2019, 9, 25, tzinfo=UTC)
    assert granule.end is not None
    assert timedelta(hours=23) < granule.end - granule.start < timedelta(days=1)


def test_only_the_window_around_the_area_is_read(reader: LandsatReader, tmp_path: Path) -> None:
    blue = np.random.default_rng(0).integers(8000, 20000, (400, 300))
    paths = write_scene(tmp_path / "s", shape=(400, 300), bands={**DN, 2: blue})
    (whole,) = reader.open(paths, "blue")
    middle = Area(115.81, 42.41, 115.83, 42.42)
    (part,) = reader.open(paths, "blue", area=middle)
    assert part.size < whole.size / 10
    np.testing.assert_array_equal(part, whole.sel(x=part.x, y=part.y))
    assert reader.open(paths, "blue", area=Area(10, 10, 11, 11)) == []


def test_scenes_of_one_zone_are_joined_and_of_two_zones_kept_apart(reader: LandsatReader, tmp_path: Path) -> None:
    blue = np.random.default_rng(0).integers(8000, 20000, (60, 20))
    above = write_scene(tmp_path / "a", shape=(40, 20), bands={**DN, 2: blue[:40]})
    south, other = ID.replace("031", "032"), ID.replace("124", "123")
    below = write_scene(
        tmp_path / "b", south, shape=(40, 20), bands={**DN, 2: blue[20:]}, corner=(399885.0, 4700115.0 - 600)
    )
    east = write_scene(tmp_path / "c", other, crs="EPSG:32651")
    joined, apart = reader.open([*above, *below, *east], "blue")
    np.testing.assert_allclose(joined, blue * 2.75e-05 - 0.2, atol=1e-6)
    assert joined.attrs["granules"] == [ID, south]
    assert apart.odc.geobox.crs.to_epsg() == 32651


def test_a_missing_band_is_named(reader: LandsatReader, tmp_path: Path) -> None:
    paths = [path for path in write_scene(tmp_path / "s") if "SR_B6" not in path.name]
    with pytest.raises(DataError, match=f"{ID} lacks its file _SR_B6.TIF"):
        reader.open(paths, "wetness")


def test_an_incomplete_file_is_one_clear_line(reader: LandsatReader, tmp_path: Path) -> None:
    paths = write_scene(tmp_path / "s", shape=(500, 500))
    red = next(path for path in paths if "SR_B4" in path.name)
    red.write_bytes(red.read_bytes()[:5000])
    with pytest.raises(DataError, match="SR_B4.TIF cannot be read as a GeoTIFF.*download it again"):
        reader.open(paths, "red")


def test_xml_metadata_reads_like_text(reader: LandsatReader, tmp_path: Path) -> None:
    paths = write_scene(tmp_path / "s", mtl=None)
    (tmp_path / "s" / f"{ID}_MTL.xml").write_text(
        "<LANDSAT_METADATA_FILE><IMAGE_ATTRIBUTES><DATE_ACQUIRED>2019-09-25</DATE_ACQUIRED>"
        "<SCENE_CENTER_TIME>02:53:21.1234560Z</SCENE_CENTER_TIME></IMAGE_ATTRIBUTES></LANDSAT_METADATA_FILE>"
    )
    assert reader.granule(paths[0]).start == datetime(2019, 9, 25, 2, 53, 21, 123456, tzinfo=UTC)
    (tmp_path / "s" / f"{ID}_MTL.xml").write_text("<LANDSAT_METADATA_FILE><IMAGE")
    with pytest.raises(DataError, match="cannot be read as a Landsat metadata file"):
        reader.granule(paths[0])


def test_pixels_that_are_not_square_and_points_keep_their_place(reader: LandsatReader, tmp_path: Path) -> None:
    """The sample of USGS is decimated: 445 m x 452 m or so, and says AREA_OR_POINT=Point."""
    affine = Affine(445.5, 0, 207585, 0, -451.25, 3942915)
    paths = write_scene(tmp_path / "s", transform=affine)
    with rasterio.open(paths[1]) as file:
        assert file.tags()["AREA_OR_POINT"] == "Point"
    (array,) = reader.open(paths, "red")
    assert tuple(array.odc.geobox.affine)[:6] == pytest.approx(tuple(affine)[:6])


# --- STAC

STAC_ID = "LC08_L2SP_124031_20190925_02_T1"
KEYS = {2: "blue", 3: "green", 4: "red", 5: "nir08", 6: "swir16", 7: "swir22"}


def write_item(path: Path, addresses: Mapping[str, str], identity: str = STAC_ID) -> Path:
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": identity, "collection": "landsat-c2-l2",
        "properties": {"datetime": "2019-09-25T02:53:21.123456Z", "platform": "landsat-8"},
        "assets": {key: {"href": address, "type": "image/tiff"} for key, address in addresses.items()},
    }  # fmt: skip
    path.write_text(json.dumps(item))
    return path


def cogs(folder: Path, **extra: object) -> dict[str, str]:
    """Write a scene whose files are named like the assets, and return their relative addresses by key."""
    made = write_scene(folder / "made", mtl=None, **extra)  # type: ignore[arg-type]
    names = {f"SR_B{band}": key for band, key in KEYS.items()} | {"QA_PIXEL": "qa_pixel", "QA_RADSAT": "qa_radsat"}
    for path in made:
        path.rename(folder / f"{names[path.stem.removeprefix(ID + '_')]}.tif")
    (folder / "made").rmdir()
    return {key: f"./{key}.tif" for key in names.values()}


@pytest.mark.parametrize("name", [f"{STAC_ID}.json", f"{ID}_SR_stac.json", f"{ID}_SR.json"])
def test_a_stac_item_reads_like_the_folder(reader: LandsatReader, tmp_path: Path, name: str) -> None:
    red = np.random.default_rng(0).integers(8000, 20000, (4, 5))
    quality = np.full((4, 5), CLEAR)
    quality[1, 1] = 22280
    (expected,) = reader.open(write_scene(tmp_path / "s", bands={**DN, 4: red}, quality=quality), "red")
    (tmp_path / "t").mkdir()
    write_item(tmp_path / "t" / name, cogs(tmp_path / "t", bands={**DN, 4: red}, quality=quality))
    (granule,) = granules_of(SPEC, sorted((tmp_path / "t").iterdir()))
    assert granule.start == granule.end == datetime(2019, 9, 25, 2, 53, 21, 123456, tzinfo=UTC)
    assert (granule.product, len(granule.paths)) == ("LC08_L2SP.02", 9)
    (array,) = LandsatReader().open(granule.paths, "red")
    np.testing.assert_array_equal(array, expected)
    assert array.attrs["granules"] == [granule.id]
    for layer in ("wetness", "water"):
        assert np.argwhere(np.isnan(LandsatReader().open(granule.paths, layer)[0].to_numpy())).tolist() == [[1, 1]]


def test_a_stac_item_may_name_absolute_paths(reader: LandsatReader, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    addresses = {key: f"file://{tmp_path / 'data' / name}" for key, name in cogs(tmp_path / "data").items()}
    item = write_item(tmp_path / f"{STAC_ID}.json", addresses)
    (array,) = reader.open(reader.granule(item).paths, "red")
    np.testing.assert_allclose(array, 11000 * 2.75e-05 - 0.2, rtol=1e-5)


def test_a_remote_asset_is_named_unless_it_lies_beside_the_item(reader: LandsatReader, tmp_path: Path) -> None:
    addresses = {key: f"https://data.example/{key}.tif?token=x" for key in cogs(tmp_path)}
    item = write_item(tmp_path / f"{STAC_ID}.json", addresses)
    (array,) = reader.open(reader.granule(item).paths, "red")
    np.testing.assert_allclose(array, 11000 * 2.75e-05 - 0.2, rtol=1e-5)
    (tmp_path / "red.tif").unlink()
    reader = LandsatReader()
    with pytest.raises(DataError, match="SR_B4 of Landsat scene .* is not on disk but at https://data.example/red.tif"):
        reader.open(reader.granule(item).paths, "red")


def test_a_scene_that_is_there_as_item_and_as_folder_counts_once(reader: LandsatReader, tmp_path: Path) -> None:
    paths = write_scene(tmp_path / "s")
    (tmp_path / "t").mkdir()
    item = write_item(tmp_path / "t" / f"{STAC_ID}.json", cogs(tmp_path / "t"))
    (array,) = reader.open([*reader.granule(item).paths, *paths], "red")
    assert array.attrs["granules"] == [ID]
    # And an item over the very files of the folder.
    keys = {f"SR_B{band}": key for band, key in KEYS.items()} | {"QA_PIXEL": "qa_pixel", "QA_RADSAT": "qa_radsat"}
    addresses = {key: f"{ID}_{part}.TIF" for part, key in keys.items()}
    item = write_item(tmp_path / "s" / f"{STAC_ID}.json", addresses)
    granules = granules_of(SPEC, sorted((tmp_path / "s").iterdir()))
    (array,) = LandsatReader().open([path for granule in granules for path in granule.paths], "red")
    assert set(array.attrs["granules"]) <= {granule.id for granule in granules}
    np.testing.assert_allclose(array, 11000 * 2.75e-05 - 0.2, rtol=1e-5)


@pytest.mark.parametrize(
    "text", ["{}", "[1]", "no json", '{"id": "x", "properties": {"datetime": null}, "assets": {}}']
)
def test_json_that_is_no_item_is_one_clear_line(reader: LandsatReader, tmp_path: Path, text: str) -> None:
    path = tmp_path / f"{STAC_ID}.json"
    path.write_text(text)
    with pytest.raises(DataError, match="cannot be read as a STAC item with datetime and assets"):
        reader.granule(path)


@pytest.mark.real
def test_the_real_scene_is_cloud_throughout_and_in_its_place(reader: LandsatReader, real_data: Path) -> None:
    (granule,) = granules_of(SPEC, sorted((real_data / "landsat").iterdir()))
    assert granule.start == datetime(2013, 4, 19, 16, 1, 51, 829419, tzinfo=UTC)
    (array,) = reader.open(granule.paths, "red")
    assert np.isnan(array.to_numpy()).all()
    assert (array.odc.geobox.affine.c, array.odc.geobox.affine.f) == (207585.0, 3942915.0)


@pytest.mark.real
def test_the_real_metadata_says_the_same_in_its_three_forms(real_data: Path) -> None:
    texts = [read_mtl(path) for path in sorted((real_data / "landsat").glob("*_MTL.*"))]
    assert len(texts) == 3
    assert len({scene_time(groups) for groups in texts}) == 1
    scales = {groups["LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"]["REFLECTANCE_MULT_BAND_4"] for groups in texts}
    assert {float(scale) for scale in scales} == {2.75e-05}


@pytest.mark.real
def test_real_pixels_are_not_square_and_points(reader: LandsatReader, real_data: Path) -> None:
    (granule,) = granules_of(SPEC, sorted((real_data / "landsat").iterdir()))
    (array,) = reader.open(granule.paths, "red")
    with rasterio.open(next((real_data / "landsat").glob("*_SR_B4.TIF"))) as file:
        assert (file.tags()["AREA_OR_POINT"], file.nodata, file.shape) == ("Point", 0, (512, 512))
        assert abs(file.transform.a + file.transform.e) > 1
        assert tuple(array.odc.geobox.affine)[:6] == pytest.approx(tuple(file.transform)[:6])


@pytest.mark.real
def test_real_bands_equal_a_read_by_hand_once_the_sky_is_called_clear(
    reader: LandsatReader, real_data: Path, tmp_path: Path
) -> None:
    for source in (real_data / "landsat").iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    (mask,) = tmp_path.glob("*_QA_PIXEL.TIF")
    with rasterio.open(mask, "r+") as file:
        file.write(np.full(file.shape, CLEAR, np.uint16), 1)
    (granule,) = granules_of(SPEC, sorted(tmp_path.iterdir()))
    with rasterio.open(next((real_data / "landsat").glob("*_SR_B5.TIF"))) as file:
        numbers = file.read(1)
    (array,) = reader.open(granule.paths, "nir")
    assert (numbers > 0).mean() > 0.5
    expected = np.where(numbers > 0, numbers * 2.75e-05 - 0.2, np.nan)
    np.testing.assert_allclose(array, expected, atol=1e-6)
