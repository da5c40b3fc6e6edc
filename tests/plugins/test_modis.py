"""MODIS granules: files that the test writes with pyhdf, and real ones read by hand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pyhdf.SD import SD, SDC
from pyproj import Transformer

from zoo.errors import DataError, UnknownNameError
from zoo.granules import granules_of, select_composites
from zoo.types import Area, PredictorReader
from zoo_modis.products import PRODUCTS
from zoo_modis.reader import ModisReader

RADIUS = 6371007.181
TILE = np.pi * RADIUS / 18
TYPES = {"uint8": SDC.UINT8, "int8": SDC.INT8, "uint16": SDC.UINT16, "int16": SDC.INT16}
NDVI, RELIABILITY = "1 km 16 days NDVI", "1 km 16 days pixel reliability"


def write_hdf(path: Path, corner: tuple[float, float], pixel: float, data: Mapping[str, np.ndarray]) -> Path:
    """Write data sets of one shape as HDF4-EOS on the sinusoidal grid."""
    rows, columns = next(iter(data.values())).shape
    fields = "".join(
        f'\t\t\tOBJECT=DataField_{i}\n\t\t\t\tDataFieldName="{name}"\n\t\t\tEND_OBJECT=DataField_{i}\n'
        for i, name in enumerate(data, 1)
    )
    west, north = corner
    text = (
        "GROUP=SwathStructure\nEND_GROUP=SwathStructure\nGROUP=GridStructure\n\tGROUP=GRID_1\n"
        f'\t\tGridName="g"\n\t\tYDim={rows}\n\t\tXDim={columns}\n'
        f"\t\tUpperLeftPointMtrs=({west:.6f},{north:.6f})\n"
        f"\t\tLowerRightMtrs=({west + columns * pixel:.6f},{north - rows * pixel:.6f})\n"
        "\t\tProjection=GCTP_SNSOID\n\t\tProjParams=(6371007.181000,0,0,0,0,0,0,0,86400,0,0,0,0)\n"
        f"\t\tGROUP=DataField\n{fields}\t\tEND_GROUP=DataField\n\tEND_GROUP=GRID_1\nEND_GROUP=GridStructure\nEND\n"
    )
    file = SD(str(path), SDC.WRITE | SDC.CREATE | SDC.TRUNC)
    file.attr("StructMetadata.0").set(SDC.CHAR, text.ljust(32000, "\0"))
    for name, values in data.items():
        dataset = file.create(name, TYPES[values.dtype.name], values.shape)
        dataset[:] = values
        dataset.endaccess()
    file.end()
    return path


def ndvi_data(values: np.ndarray) -> dict[str, np.ndarray]:
    return {NDVI: values.astype(np.int16), RELIABILITY: np.zeros(values.shape, np.int8)}


@pytest.fixture
def reader() -> ModisReader:
    return ModisReader()


def test_the_reader_satisfies_the_protocol(reader: ModisReader) -> None:
    assert isinstance(reader, PredictorReader)


def test_temperature_is_masked_by_its_quality_bits(reader: ModisReader, tmp_path: Path) -> None:
    lst = np.array([[15000, 15000, 15000, 0, 7499, 15000, 15000]], np.uint16)
    #   good, other with error <= 1 K, cloud, fill, below range, other with error > 3 K, good flag, <= 3 K
    flags = np.array([[0, 0b00_00_01_01, 2, 0, 0, 0b11_00_01_01, 0b10_00_00_00]], np.uint8)
    path = write_hdf(
        tmp_path / "MOD11A2.A2019265.h26v04.061.2019274042127.hdf",
        (8 * TILE, 5 * TILE),
        926.6,
        {"LST_Day_1km": lst, "QC_Day": flags},
    )
    (array,) = reader.open([path], "lst")
    np.testing.assert_allclose(array[0], [300, 300, np.nan, np.nan, np.nan, np.nan, 300], rtol=1e-6)
    assert (array.dtype, array.attrs["units"], array.attrs["product"]) == ("float32", "K", "MOD11A2.061")
    assert array.attrs["granules"] == [path.stem]


def test_vegetation_index_divides_and_keeps_good_and_marginal_pixels(reader: ModisReader, tmp_path: Path) -> None:
    data = {
        NDVI: np.array([[5000, 5000, 5000, 5000, 5000, -3000, -2000, 10000]], np.int16),
        RELIABILITY: np.array([[0, 1, 2, 3, -1, 0, 0, 0]], np.int8),
    }
    path = write_hdf(tmp_path / "MOD13A2.A2019257.h26v04.061.1.hdf", (0, 0), 926.6, data)
    (array,) = reader.open([path], "ndvi")
    np.testing.assert_allclose(array[0], [0.5, 0.5, *[np.nan] * 4, -0.2, 1.0], rtol=1e-6)


def test_albedo_masks_the_fill_that_lies_inside_the_valid_range(reader: ModisReader, tmp_path: Path) -> None:
    data = {
        "Albedo_WSA_vis": np.array([[120, 120, 32767, 120]], np.int16),
        "BRDF_Albedo_Band_Mandatory_Quality_vis": np.array([[0, 1, 0, 255]], np.uint8),
    }
    path = write_hdf(tmp_path / "MCD43A3.A2019268.h26v04.061.1.hdf", (0, 0), 463.3, data)
    (array,) = reader.open([path], "alb_vis")
    np.testing.assert_allclose(array[0], [0.12, 0.12, np.nan, np.nan], rtol=1e-6)


def test_leaf_area_masks_classes_clouds_and_the_backup_algorithm(reader: ModisReader, tmp_path: Path) -> None:
    data = {
        "Lai_500m": np.array([[12, 100, *range(249, 256), 12, 12, 12, 12]], np.uint8),
        "FparLai_QC": np.array([[0, 0b001_00_0_1_0, *[0] * 7, 0b01_000, 0b010_00_000, 0b100, 0b11_000]], np.uint8),
    }
    path = write_hdf(tmp_path / "MCD15A2H.A2019265.h26v04.061.1.hdf", (0, 0), 463.3, data)
    (array,) = reader.open([path], "lai")
    np.testing.assert_allclose(array[0], [1.2, 10.0, *[np.nan] * 10, 1.2], rtol=1e-6)


def test_pixel_centres_lie_where_the_sinusoidal_formula_puts_them(reader: ModisReader, tmp_path: Path) -> None:
    corner, pixel = (8 * TILE, 5 * TILE), 926.6254331387694
    path = write_hdf(tmp_path / "MOD13A2.A2019257.h26v04.061.1.hdf", corner, pixel, ndvi_data(np.ones((30, 40))))
    (array,) = reader.open([path], "ndvi")
    x, y = float(array.x[7]), float(array.y[11])
    assert x == pytest.approx(corner[0] + 7.5 * pixel, abs=1e-4)
    lat = y / RADIUS
    lon = x / (RADIUS * np.cos(lat))
    place = Transformer.from_crs(array.odc.geobox.crs.proj, "EPSG:4326", always_xy=True).transform(x, y)
    # The sphere's latitude is taken as it is: PROJ without a datum shift.
    assert place == pytest.approx((np.degrees(lon), np.degrees(lat)), abs=1e-6)


def test_only_the_window_around_the_area_is_read(reader: ModisReader, tmp_path: Path) -> None:
    corner, pixel = (8 * TILE, 5 * TILE), 5000.0
    values = np.arange(200 * 240).reshape(200, 240) % 9999
    path = write_hdf(tmp_path / "MOD13A2.A2019257.h26v04.061.1.hdf", corner, pixel, ndvi_data(values))
    (whole,) = reader.open([path], "ndvi")
    (part,) = reader.open([path], "ndvi", area=Area(115.5, 41.5, 116.5, 42.5))
    assert part.size < whole.size / 10
    expected = whole.sel(x=part.x, y=part.y, method="nearest", tolerance=1)
    np.testing.assert_array_equal(part, expected)
    assert reader.open([path], "ndvi", area=Area(-60, -20, -59, -19)) == []


def test_two_tiles_give_the_same_as_one(reader: ModisReader, tmp_path: Path) -> None:
    pixel, values = 5000.0, np.random.default_rng(1).integers(0, 9000, (30, 50))
    whole = write_hdf(tmp_path / "MOD13A2.A2019257.h27v05.061.1.hdf", (0, 0), pixel, ndvi_data(values))
    left = write_hdf(tmp_path / "MOD13A2.A2019257.h25v04.061.1.hdf", (0, 0), pixel, ndvi_data(values[:, :20]))
    # Corners of real tiles differ by less than a millimetre.
    corner = (20 * pixel + 4e-4, 0)
    right = write_hdf(tmp_path / "MOD13A2.A2019257.h26v04.061.1.hdf", corner, pixel, ndvi_data(values[:, 20:]))
    (one,) = reader.open([whole], "ndvi")
    (two,) = reader.open([right, left], "ndvi")
    np.testing.assert_array_equal(two, one)
    np.testing.assert_allclose(two.x, one.x, atol=1e-3)
    assert sorted(two.attrs["granules"]) == sorted([left.stem, right.stem])


def test_of_two_files_for_one_tile_the_newer_is_read(reader: ModisReader, tmp_path: Path) -> None:
    new = write_hdf(tmp_path / "MOD13A2.A2019257.h26v04.061.2.hdf", (0, 0), 1e3, ndvi_data(np.full((3, 3), 2000)))
    old = write_hdf(tmp_path / "MOD13A2.A2019257.h26v04.006.1.hdf", (0, 0), 1e3, ndvi_data(np.full((3, 3), 9000)))
    (array,) = reader.open([new, old], "ndvi")
    np.testing.assert_allclose(array, 0.2, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "first", "after"),
    [
        ("MOD11A1.A2019305.h14v09.061.1.hdf", "2019-11-01", "2019-11-02"),
        ("MOD11A2.A2019265.h26v04.061.1.hdf", "2019-09-22", "2019-09-30"),
        ("MOD11A2.A2019361.h26v04.061.1.hdf", "2019-12-27", "2020-01-01"),
        ("MOD13A2.A2019257.h26v04.061.1.hdf", "2019-09-14", "2019-09-30"),
        ("MCD43A3.A2019268.h26v04.061.1.hdf", "2019-09-25", "2019-09-26"),
        ("MCD15A2H.A2016201.h18v05.006.1.hdf", "2016-07-19", "2016-07-27"),
    ],
)
def test_the_date_in_the_name_means_what_the_product_says(
    reader: ModisReader, name: str, first: str, after: str
) -> None:
    granule = reader.granule(Path(name))
    assert granule.start == datetime.fromisoformat(first).replace(tzinfo=UTC)
    assert granule.end == datetime.fromisoformat(after).replace(tzinfo=UTC)


def test_a_day_selects_the_composite_that_contains_it_and_the_albedo_of_the_day(tmp_path: Path) -> None:
    for name in ("MOD11A2.A2019257", "MOD11A2.A2019265", "MCD43A3.A2019267", "MCD43A3.A2019268"):
        (tmp_path / f"{name}.h26v04.061.1.hdf").touch()
    chosen = []
    for product in ("MOD11A2", "MCD43A3"):
        granules = granules_of(PRODUCTS[product].spec, sorted(tmp_path.iterdir()))
        chosen += [g.id[:16] for g in select_composites(granules, datetime(2019, 9, 25).date(), product)]
    assert chosen == ["MOD11A2.A2019265", "MCD43A3.A2019268"]


def test_an_incomplete_file_is_one_clear_line(reader: ModisReader, tmp_path: Path) -> None:
    whole = write_hdf(tmp_path / "whole.hdf", (0, 0), 1e3, ndvi_data(np.ones((200, 200))))
    path = tmp_path / "MOD13A2.A2019257.h26v04.061.1.hdf"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 3])
    with pytest.raises(DataError, match="MOD13A2.A2019257.* cannot be read as HDF4.*download it again"):
        reader.open([path], "ndvi")


def test_a_file_of_another_product_says_what_it_holds(reader: ModisReader, tmp_path: Path) -> None:
    path = write_hdf(tmp_path / "MOD11A2.A2019265.h26v04.061.1.hdf", (0, 0), 1e3, ndvi_data(np.ones((3, 3))))
    with pytest.raises(DataError, match="has no data set 'LST_Day_1km'; it holds 1 km 16 days NDVI"):
        reader.open([path], "lst")
    with pytest.raises(UnknownNameError, match="layer of MOD11A2 named 'ndvi'; there is: lst, lst_night"):
        reader.open([path], "ndvi")


@pytest.mark.parametrize("name", ["MOD09GA.A2019265.h26v04.061.1.hdf", "lst.hdf", "MOD11A2.A2019999.h26v04.061.1.hdf"])
def test_a_foreign_name_is_refused(reader: ModisReader, name: str) -> None:
    with pytest.raises(DataError, match=re.escape(name)):
        reader.granule(Path(name))


def by_hand(path: Path, dataset: str) -> tuple[np.ndarray, str]:
    file = SD(str(path), SDC.READ)
    values = file.select(dataset)[:]
    text = file.attributes().get("CoreMetadata.0", "")
    file.end()
    return values, text


def real_file(folder: Path, product: str) -> Path:
    return next((folder / "modis").glob(f"{product}.*.hdf"))


@pytest.mark.real
def test_real_temperature_equals_a_read_by_hand(reader: ModisReader, real_data: Path) -> None:
    path = real_file(real_data, "MOD11A1")
    raw, _ = by_hand(path, "LST_Day_1km")
    flags, _ = by_hand(path, "QC_Day")
    (array,) = reader.open([path], "lst")
    keep = (raw > 0) & (flags % 4 < 2) & (flags // 64 < 3)
    assert keep.sum() > 100_000
    np.testing.assert_allclose(array, np.where(keep, raw * 0.02, np.nan), rtol=1e-6)
    # Tile h14v09: its corner by the tile formula.
    assert array.odc.geobox.affine.c == pytest.approx((14 - 18) * TILE, abs=1e-2)
    assert array.odc.geobox.affine.f == pytest.approx((9 - 9) * TILE, abs=1e-2)


@pytest.mark.real
def test_real_subset_has_its_own_size_and_place(reader: ModisReader, real_data: Path) -> None:
    path = real_file(real_data, "MOD13A2")
    raw, _ = by_hand(path, NDVI)
    reliability, _ = by_hand(path, RELIABILITY)
    (array,) = reader.open([path], "ndvi")
    assert array.shape == (185, 219)
    keep = np.isin(reliability, (0, 1)) & (raw >= -2000)
    np.testing.assert_allclose(array, np.where(keep, raw / 10000, np.nan), rtol=1e-6)
    box = array.odc.geobox
    assert (box.affine.c, box.affine.f) == pytest.approx((670117.907295, 5608858.446491))
    assert (box.affine.a, -box.affine.e) == pytest.approx((926.6254331, 926.6254331))


@pytest.mark.real
def test_real_albedo_and_leaf_area_equal_a_read_by_hand(reader: ModisReader, real_data: Path) -> None:
    path = real_file(real_data, "MCD43A3")
    raw, _ = by_hand(path, "Albedo_WSA_nir")
    quality, _ = by_hand(path, "BRDF_Albedo_Band_Mandatory_Quality_nir")
    (array,) = reader.open([path], "alb_nir")
    np.testing.assert_allclose(array, np.where((quality < 2) & (raw < 32767), raw / 1000, np.nan), rtol=1e-6)
    path = real_file(real_data, "MCD15A2H")
    raw, _ = by_hand(path, "Lai_500m")
    flags, _ = by_hand(path, "FparLai_QC")
    keep = (raw <= 100) & (flags // 32 < 2) & (flags // 8 % 4 != 1) & (flags // 4 % 2 == 0)
    assert keep.sum() > 100_000
    (array,) = reader.open([path], "lai")
    np.testing.assert_allclose(array, np.where(keep, raw / 10, np.nan), rtol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize("product", ["MOD11A1", "MCD15A2H", "MCD43A3"])
def test_real_periods_agree_with_the_metadata(reader: ModisReader, real_data: Path, product: str) -> None:
    path = real_file(real_data, product)
    _, text = by_hand(path, next(iter(PRODUCTS[product].fields.values())).dataset)
    dates = {
        key: datetime.fromisoformat(re.search(rf"{key}\s.*?\sVALUE\s+= \"([\d-]+)\"", text, re.S)[1])  # type: ignore[index]
        for key in ("RANGEBEGINNINGDATE", "RANGEENDINGDATE")
    }
    granule = reader.granule(path)
    assert granule.start is not None
    assert granule.end is not None
    begin, last = (dates[key].replace(tzinfo=UTC) for key in ("RANGEBEGINNINGDATE", "RANGEENDINGDATE"))
    if product == "MCD43A3":
        assert ((granule.start - begin).days, (last - granule.start).days) == (8, 7)
    else:
        assert (granule.start, (granule.end - last).days) == (begin, 1)
