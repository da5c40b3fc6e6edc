"""MODIS layers as AppEEARS, Earth Engine and Earthdata deliver them: the same values as from the native granule."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import h5netcdf
import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from pyhdf.SD import SD, SDC
from pyproj import CRS, Proj

from zoo.errors import DataError
from zoo.granules import granules_of, recognise
from zoo.grids import centres, geographic, geographic_bounds
from zoo.stack import build_stack
from zoo.testing import check_predictor_array, check_predictor_spec
from zoo.types import Area, DatedReader
from zoo_modis.names import parse
from zoo_modis.products import PRODUCTS
from zoo_modis.reader import ModisReader
from zoo_modis.tiles import SIDE, tile_box

RNG = np.random.default_rng(0)
SHAPE = (6, 8)
GEOGRAPHIC = GeoBox(SHAPE, Affine(0.05, 0, 115.8, 0, -0.05, 42.2), "EPSG:4326")
LST = RNG.integers(14000, 15500, SHAPE).astype(np.uint16)
LST[0, :3] = 0, 7499, 65535
QC = np.zeros(SHAPE, np.uint8)
QC[1, :4] = 2, 0b11_00_01_01, 0b01_00_00_01, 3
NDVI = RNG.integers(-2000, 10000, SHAPE).astype(np.int16)
NDVI[0, :2] = -3000, -2000
RELIABILITY = np.zeros(SHAPE, np.int8)
RELIABILITY[1, :5] = 0, 1, 2, 3, -1


def expected_lst() -> np.ndarray:
    good = (LST >= 7500) & (QC & 3 < 2) & (QC >> 6 < 3)
    return np.where(good, LST * 0.02, np.nan)


def expected_ndvi() -> np.ndarray:
    return np.where((NDVI >= -2000) & np.isin(RELIABILITY, (0, 1)), NDVI / 10000, np.nan)


def write_tif(path: Path, bands: Mapping[str, np.ndarray], box: GeoBox = GEOGRAPHIC, **extra: object) -> Path:
    first = next(iter(bands.values()))
    profile = {
        "driver": "GTiff", "dtype": first.dtype.name, "count": len(bands), "height": first.shape[0],
        "width": first.shape[1], "crs": str(box.crs), "transform": box.affine, **extra,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        for number, (name, values) in enumerate(bands.items(), 1):
            file.write(values, number)
            file.set_band_description(number, name)
    return path


@pytest.fixture
def reader() -> ModisReader:
    return ModisReader()


# --- names


@pytest.mark.parametrize(
    ("name", "product", "day", "layer"),
    [
        ("MOD11A2.A2019265.h26v04.061.2019274042127.hdf", "MOD11A2.061", "2019-09-22", ""),
        ("MYD13Q1.A2019265.h26v04.061.2019282042127.hdf", "MYD13Q1.061", "2019-09-22", ""),
        ("MOD11A2.A2019265.h26v04.061.2019274042127.hdf.nc4", "MOD11A2.061", "2019-09-22", ""),
        ("MOD11A1.A2019305.h14v09.006.2019306084028_LST_Day_1km_B01.TIF", "MOD11A1.006", "2019-11-01", "lst_day_1km"),
        ("MOD13A2.A2019257.h26v04.061.2019274_1_km_16_days_NDVI.tif", "MOD13A2.061", "2019-09-14", "1_km_16_days_ndvi"),
        ("MOD11A2.061_LST_Day_1km_doy2023361000000_aid0001.tif", "MOD11A2.061", "2023-12-27", "lst_day_1km"),
        ("MOD11A2.006_QC_Day_doy2016201_aid0001.tif", "MOD11A2.006", "2016-07-19", "qc_day"),
        ("MOD13A2.061__1_km_16_days_EVI_doy2019257000000_aid0001.tif", "MOD13A2.061", "2019-09-14", "1_km_16_days_evi"),
        ("MODIS_061_MOD13A2_2019_09_14.tif", "MOD13A2.061", "2019-09-14", ""),
        ("MOD13A2_061_2019_09_14.NDVI.tif", "MOD13A2.061", "2019-09-14", "ndvi"),
        ("MCD15A3H_2019_09_26_Lai.tif", "MCD15A3H", "2019-09-26", "lai"),
        ("MOD16A2GF_061_2019_09_22-0000000000-0000004096.tif", "MOD16A2GF.061", "2019-09-22", ""),
    ],
)  # fmt: skip
def test_a_name_says_product_day_and_layer_in_each_form(name: str, product: str, day: str, layer: str) -> None:
    found = parse(Path(name))
    assert (found.full_product, found.layer) == (product, layer)
    assert found.start == datetime.fromisoformat(day).replace(tzinfo=UTC)
    assert recognise(Path(name)).name == product.partition(".")[0]


@pytest.mark.parametrize(
    "name",
    ["MOD11A2_mean.tif", "MOD10A2.061_Snow_doy2019265_aid0001.tif", "MOD11A2.061.tif", "MOD11A2_2019_09_22.txt"],
)
def test_other_names_are_nobodys(name: str) -> None:
    with pytest.raises(DataError, match="not a product that is read here"):
        recognise(Path(name))


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_every_product_is_described_completely(product) -> None:
    check_predictor_spec(product.spec)
    assert product.resolution in (250, 500, 1000)
    for field in product.fields.values():
        assert field.quality
        assert field.valid[0] < field.valid[1]


def test_a_month_lasts_from_its_first_day_to_the_next(reader: ModisReader) -> None:
    granule = reader.granule(Path("MOD13A3.A2019032.h26v04.061.1.hdf"))
    assert (granule.start, granule.end) == (datetime(2019, 2, 1, tzinfo=UTC), datetime(2019, 3, 1, tzinfo=UTC))


# --- GeoTIFF


def appeears(folder: Path, product: str, layers: Mapping[str, np.ndarray], day: str = "2019265") -> list[Path]:
    fill = {"LST_Day_1km": 0, "_1_km_16_days_NDVI": -3000}
    return [
        write_tif(folder / f"{product}_{name}_doy{day}000000_aid0001.tif", {name: values}, nodata=fill.get(name))
        for name, values in layers.items()
    ]


def test_appeears_temperature_is_scaled_and_masked_by_the_quality_layer_beside_it(
    reader: ModisReader, tmp_path: Path
) -> None:
    paths = appeears(tmp_path, "MOD11A2.061", {"LST_Day_1km": LST, "QC_Day": QC})
    (granule,) = granules_of(PRODUCTS["MOD11A2"].spec, paths)
    assert (granule.product, granule.id) == ("MOD11A2.061", "MOD11A2.061_2019265_aid0001")
    assert (granule.start, granule.end) == (datetime(2019, 9, 22, tzinfo=UTC), datetime(2019, 9, 30, tzinfo=UTC))
    (array,) = reader.open(granule.paths, "lst")
    np.testing.assert_allclose(array, expected_lst(), rtol=1e-6)
    assert array.odc.geobox.crs.to_epsg() == 4326
    check_predictor_array(array)


def test_appeears_writes_mod13_with_a_double_underscore(reader: ModisReader, tmp_path: Path) -> None:
    layers = {"_1_km_16_days_NDVI": NDVI, "_1_km_16_days_pixel_reliability": RELIABILITY}
    paths = appeears(tmp_path, "MOD13A2.061", layers, "2019257")
    assert "MOD13A2.061__1_km" in paths[0].name
    (array,) = reader.open(paths, "ndvi")
    np.testing.assert_allclose(array, expected_ndvi(), rtol=1e-6)


def test_a_cut_of_mod13_whose_scale_tag_says_10000_is_divided(reader: ModisReader, tmp_path: Path) -> None:
    stem = "MOD13A2.A2019257.h26v04.061.2019274042127"
    box = tile_box("h26v04", 1200)[100:106, 200:208]
    paths = []
    for name, values in {"1_km_16_days_NDVI": NDVI, "1_km_16_days_pixel_reliability": RELIABILITY}.items():
        paths.append(write_tif(tmp_path / f"{stem}_{name}_B01.TIF", {name: values}, box))
        with rasterio.open(paths[-1], "r+") as file:
            file.scales = (10000.0,)
    (granule,) = granules_of(PRODUCTS["MOD13A2"].spec, paths)
    assert granule.id == stem
    (array,) = reader.open(paths, "ndvi")
    np.testing.assert_allclose(array, expected_ndvi(), rtol=1e-6)
    np.testing.assert_allclose(array.odc.geobox.affine, box.affine, atol=1e-6)


def test_earth_engine_has_short_names_and_raw_integers_in_described_bands(reader: ModisReader, tmp_path: Path) -> None:
    bands = {"NDVI": NDVI, "SummaryQA": RELIABILITY.astype(np.int16)}
    path = write_tif(tmp_path / "MODIS_061_MOD13A2_2019_09_14.tif", bands)
    (array,) = reader.open([path], "ndvi")
    np.testing.assert_allclose(array, expected_ndvi(), rtol=1e-6)
    leaf = {"Lai": np.full(SHAPE, 12, np.uint8), "FparLai_QC": np.zeros(SHAPE, np.uint8)}
    leaf["Lai"][0, 0] = 254
    split = [write_tif(tmp_path / f"MCD15A2H_061_2019_09_22.{name}.tif", {name: leaf[name]}) for name in leaf]
    (array,) = reader.open(split, "lai")
    np.testing.assert_allclose(array.to_numpy()[0, :2], [np.nan, 1.2], rtol=1e-6)


def test_a_large_export_in_pieces_is_put_together(reader: ModisReader, tmp_path: Path) -> None:
    for number, part in enumerate((slice(0, 5), slice(5, 8))):
        bands = {"NDVI": NDVI[:, part].copy(), "SummaryQA": RELIABILITY[:, part].astype(np.int16)}
        name = f"MOD13A2_061_2019_09_14-0000000000-000000{number:04}.tif"
        write_tif(tmp_path / name, bands, GEOGRAPHIC[:, part])
    (granule,) = granules_of(PRODUCTS["MOD13A2"].spec, sorted(tmp_path.iterdir()))
    (array,) = reader.open(granule.paths, "ndvi")
    np.testing.assert_allclose(array, expected_ndvi(), rtol=1e-6)


@pytest.mark.parametrize("kind", ["physical", "integers as float"])
def test_fractional_numbers_are_told_from_integers_stored_as_float(
    reader: ModisReader, tmp_path: Path, kind: str
) -> None:
    values = np.where(LST >= 7500, LST, np.nan).astype(np.float32)
    stored = values * np.float32(0.02) if kind == "physical" else values
    write_tif(tmp_path / "MOD11A2_2019_09_22.LST_Day_1km.tif", {"LST_Day_1km": stored}, nodata=float("nan"))
    write_tif(tmp_path / "MOD11A2_2019_09_22.QC_Day.tif", {"QC_Day": QC.astype(np.float32)})
    (array,) = reader.open(sorted(tmp_path.iterdir()), "lst")
    np.testing.assert_allclose(array, expected_lst(), rtol=1e-6)


def test_values_without_their_quality_layer_are_refused_by_name(reader: ModisReader, tmp_path: Path) -> None:
    paths = appeears(tmp_path, "MOD11A2.061", {"LST_Day_1km": LST})
    with pytest.raises(DataError, match="has no layer QC_Day; it holds lst_day_1km; .*add the file"):
        reader.open(paths, "lst")


def test_a_quality_layer_on_other_pixels_is_refused(reader: ModisReader, tmp_path: Path) -> None:
    write_tif(tmp_path / "MOD11A2_2019_09_22.LST_Day_1km.tif", {"a": LST})
    write_tif(tmp_path / "MOD11A2_2019_09_22.QC_Day.tif", {"a": QC[:, 1:].copy()}, GEOGRAPHIC[:, 1:])
    with pytest.raises(DataError, match="quality layer QC_Day lies on other pixels"):
        reader.open(sorted(tmp_path.iterdir()), "lst")


def test_bands_without_names_are_refused(reader: ModisReader, tmp_path: Path) -> None:
    write_tif(tmp_path / "MOD11A2_2019_09_22.tif", {"": LST})
    with pytest.raises(DataError, match="says neither in its name nor by band descriptions"):
        reader.open(sorted(tmp_path.iterdir()), "lst")


# --- NetCDF


def write_netcdf(path: Path, layers: Mapping[str, np.ndarray], days: list[int], *, georeferenced: bool = True) -> Path:
    """Write as AppEEARS does: integers with a scale, dims (time, lat, lon), time in days since 2000."""
    rows, columns = next(iter(layers.values())).shape[-2:]
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": len(days), "lat": rows, "lon": columns}
        if georeferenced:
            for axis, first, step in (("lat", 42.175, -0.05), ("lon", 115.825, 0.05)):
                size = file.dimensions[axis].size
                units = "degrees_north" if axis == "lat" else "degrees_east"
                variable = file.create_variable(axis, (axis,), "f8", data=first + step * np.arange(size))
                variable.attrs["standard_name"] = "latitude" if axis == "lat" else "longitude"
                variable.attrs["units"] = units
            crs = file.create_variable("crs", (), "i1", data=0)
            crs.attrs["grid_mapping_name"] = "latitude_longitude"
            crs.attrs["crs_wkt"] = CRS.from_epsg(4326).to_wkt()
        time = file.create_variable("time", ("time",), "i4", data=np.array(days, np.int32))
        time.attrs["units"], time.attrs["calendar"] = "days since 2000-01-01 00:00:00", "julian"
        for name, values in layers.items():
            whole = np.broadcast_to(values, (len(days), rows, columns))
            variable = file.create_variable(name, ("time", "lat", "lon"), values.dtype, data=whole)
            if georeferenced:
                variable.attrs["grid_mapping"] = "crs"
            variable.attrs["scale_factor"] = 0.02
    return path


def test_a_netcdf_of_several_dates_gives_the_composite_of_the_day(tmp_path: Path) -> None:
    days = [(date(2019, 9, day) - date(2000, 1, 1)).days for day in (14, 22, 30)]
    several = np.stack([LST - np.uint16(50), LST, np.where(LST > 0, LST - 100, 0).astype(np.uint16)])
    path = write_netcdf(tmp_path / "MOD11A2.061_1km_aid0001.nc", {"LST_Day_1km": several, "QC_Day": QC}, days)
    reader = ModisReader()
    assert isinstance(reader, DatedReader)
    granule = reader.granule(path)
    assert (granule.start, granule.end) == (datetime(2019, 9, 14, tzinfo=UTC), datetime(2019, 10, 8, tzinfo=UTC))
    (array,) = reader.at(date(2019, 9, 25)).open([path], "lst")
    np.testing.assert_allclose(array, expected_lst(), rtol=1e-6)
    np.testing.assert_allclose(array.odc.geobox.affine, GEOGRAPHIC.affine, atol=1e-9)
    with pytest.raises(DataError, match="holds no composite for 2020-01-01; it holds 2019-09-14, 2019-09-22"):
        reader.at(date(2020, 1, 1)).open([path], "lst")


def test_the_stack_takes_the_day_out_of_such_a_file(tmp_path: Path) -> None:
    days = [(date(2019, 9, day) - date(2000, 1, 1)).days for day in (14, 22)]
    several = np.stack([np.full(SHAPE, 14000, np.uint16), np.full(SHAPE, 15000, np.uint16)])
    layers = {"LST_Day_1km": several, "QC_Day": np.zeros(SHAPE, np.uint8)}
    write_netcdf(tmp_path / "MOD11A2.061_1km_aid0001.nc", layers, days)
    box = GeoBox((4, 4), Affine(0.05, 0, 115.9, 0, -0.05, 42.1), "EPSG:4326")
    for day, kelvin in ((16, 280), (25, 300)):
        stack = build_stack([tmp_path], ["lst"], box, date(2019, 9, day), tmp_path / f"stack{day}")
        np.testing.assert_allclose(stack.read(), kelvin, rtol=1e-6)
        assert stack.granules == ["MOD11A2.061_1km_aid0001"]


def test_a_tile_as_netcdf_without_georeference_lies_where_its_name_says(reader: ModisReader, tmp_path: Path) -> None:
    path = tmp_path / "MOD11A2.A2019265.h26v04.061.2019274042127.hdf.nc4"
    square = {"LST_Day_1km": np.full((12, 12), 15000, np.uint16), "QC_Day": np.zeros((12, 12), np.uint8)}
    write_netcdf(path, square, [0], georeferenced=False)
    (array,) = reader.open([path], "lst")
    np.testing.assert_allclose(array.odc.geobox.affine, tile_box("h26v04", 12).affine)
    np.testing.assert_allclose(array, 300, rtol=1e-6)


# --- the sinusoidal grid


@pytest.mark.parametrize("tile", ["h00v08", "h18v04", "h26v04", "h35v09"])
def test_tile_corners_agree_with_pyproj_and_those_off_the_globe_are_missing(tile: str) -> None:
    box = tile_box(tile, 1200)
    left, bottom, right, top = box.boundingbox.bbox
    x, y = np.array([left, right, left, right]), np.array([top, top, bottom, bottom])
    lon, lat = geographic(x, y, box.crs.proj)
    # By hand: on the sphere latitude is y / R, and longitude x / (R cos latitude).
    by_hand = np.degrees(x / (6371007.181 * np.cos(y / 6371007.181)))
    on_globe = np.abs(by_hand) <= 180 + 1e-9
    np.testing.assert_array_equal(np.isfinite(lon), on_globe)
    assert on_globe.sum() == {"h00v08": 3, "h18v04": 4, "h26v04": 4, "h35v09": 3}[tile]
    proj = Proj(proj="sinu", lon_0=0, x_0=0, y_0=0, R=6371007.181)
    again = np.array(proj(lon[on_globe], lat[on_globe]))
    assert np.abs(again - np.array([x, y])[:, on_globe]).max() < 1
    np.testing.assert_allclose(lon[on_globe], by_hand[on_globe], atol=1e-6)


@pytest.mark.parametrize(("tile", "pixels"), [("h26v04", 1200), ("h18v04", 2400)])
def test_the_reader_puts_a_written_tile_where_the_tile_formula_does(
    reader: ModisReader, tmp_path: Path, tile: str, pixels: int
) -> None:
    box = tile_box(tile, pixels)
    left, bottom, right, top = box.boundingbox.bbox
    path = tmp_path / f"MOD11A1.A2019305.{tile}.061.1.hdf"
    file = SD(str(path), SDC.WRITE | SDC.CREATE)
    # MOD11's ProjParams hold 86400 in ninth place and 13 values in all; PixelRegistration says centre, and is wrong.
    structure = (
        "GROUP=GridStructure\n\tGROUP=GRID_1\n"
        f'\t\tGridName="MODIS_Grid_Daily_1km_LST"\n\t\tXDim={pixels}\n\t\tYDim={pixels}\n'
        f"\t\tUpperLeftPointMtrs=({left:.6f},{top:.6f})\n\t\tLowerRightMtrs=({right:.6f},{bottom:.6f})\n"
        "\t\tProjection=GCTP_SNSOID\n\t\tProjParams=(6371007.181000,0,0,0,0,0,0,0,86400,0,0,0,0)\n"
        "\t\tSphereCode=-1\n\t\tPixelRegistration=HDFE_CENTER\n"
        '\t\tGROUP=DataField\n\t\t\tOBJECT=DataField_1\n\t\t\t\tDataFieldName="LST_Day_1km"\n'
        '\t\t\tEND_OBJECT=DataField_1\n\t\t\tOBJECT=DataField_2\n\t\t\t\tDataFieldName="QC_Day"\n'
        "\t\t\tEND_OBJECT=DataField_2\n\t\tEND_GROUP=DataField\n\tEND_GROUP=GRID_1\nEND_GROUP=GridStructure\nEND\n"
    )
    file.attr("StructMetadata.0").set(SDC.CHAR, structure.ljust(32000, "\0"))
    for name, kind in (("LST_Day_1km", SDC.UINT16), ("QC_Day", SDC.UINT8)):
        dataset = file.create(name, kind, (pixels, pixels))
        dataset.setcompress(SDC.COMP_DEFLATE, 1)
        dataset[:] = np.full((pixels, pixels), 15000 if "LST" in name else 0, "uint16" if "LST" in name else "uint8")
        dataset.endaccess()
    file.end()
    (array,) = reader.open([path], "lst", area=Area(*_inside(box)))
    whole = array.odc.geobox
    assert whole.affine.a == pytest.approx(SIDE / pixels, abs=1e-6)
    offset = ~box.affine * (whole.affine.c, whole.affine.f)
    np.testing.assert_allclose(offset, np.rint(offset), atol=1e-4)
    assert array.notnull().all()


def _inside(box: GeoBox) -> tuple[float, float, float, float]:
    lon, lat = geographic(*(box.affine * (box.shape.x / 2, box.shape.y / 2)), box.crs.proj)
    return float(lon) - 0.1, float(lat) - 0.1, float(lon) + 0.1, float(lat) + 0.1


def test_a_tile_that_reaches_off_the_globe_has_centres_and_bounds_only_on_it() -> None:
    box = tile_box("h35v09", 60)
    lon, _ = centres(box)
    assert 0 < np.isnan(lon).sum() < lon.size / 2
    assert np.nanmin(lon) > 170
    west, south, east, north = geographic_bounds(box)
    assert (west, south, north) == pytest.approx((170, -10, 0), abs=0.01)
    assert 179.5 < east < 180.01


# --- real files


@pytest.mark.real
def test_the_real_subset_lies_in_southern_germany(reader: ModisReader, real_data: Path) -> None:
    (array,) = reader.open([next((real_data / "modis").glob("MOD13A2.*.hdf"))], "ndvi")
    assert array.shape == (185, 219)
    west, south, east, north = geographic_bounds(array.odc.geobox)
    assert (round(south, 1), round(north, 1), round(west, 1), round(east, 1)) == (48.9, 50.4, 9.2, 12.3)


@pytest.mark.real
def test_the_real_vegetation_index_is_the_same_once_cut_out_by_gdal(
    reader: ModisReader, real_data: Path, tmp_path: Path
) -> None:
    path = next((real_data / "modis").glob("MOD13A2.*.hdf"))
    (native,) = reader.open([path], "ndvi")
    file = SD(str(path), SDC.READ)
    scale = file.select("1 km 16 days NDVI").attributes()["scale_factor"]
    assert scale == 10000.0
    for name in ("1 km 16 days NDVI", "1 km 16 days pixel reliability"):
        cut = tmp_path / f"{path.stem}_{name.replace(' ', '_')}.tif"
        write_tif(cut, {name: file.select(name)[:]}, native.odc.geobox)
        with rasterio.open(cut, "r+") as written:
            written.scales = (scale,)
    file.end()
    (array,) = reader.open(sorted(tmp_path.iterdir()), "ndvi")
    np.testing.assert_array_equal(array, native)
    assert array.notnull().mean() > 0.9
