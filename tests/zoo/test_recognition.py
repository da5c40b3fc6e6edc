"""Files recognised without being told, and those that nobody reads named with what is read."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave

from zoo.errors import DataError
from zoo.explain.inspection import inspect_files
from zoo.granules import claimed, files_under, recognise
from zoo.plugins import host
from zoo.types import PredictorSpec, SensorSpec

MISTAKES = (
    "MOD10A2.A2019265.h26v04.061.2019274042127.hdf",
    "MOD09A1.A2019265.h26v04.061.2019274042127.hdf",
    "T50TNM_20190925T025551_B04_10m.jp2",
    "S2A_MSIL2A_20190925T025551_N0213_R032_T50TNM_20190925T070134.SAFE.zip",
    "LC08_L1TP_124031_20190925_20191017_01_T1_B4.TIF",
    "holiday.jpg",
    "notes.txt",
)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_product_dropped_in_by_mistake_is_named_with_what_is_read(name: str) -> None:
    with pytest.raises(DataError) as caught:
        recognise(Path(name))
    text = str(caught.value)
    assert text.startswith(f"{name} is not a product that is read here; readers: ")
    listed = set(re.findall(r"[\w-]+", text.partition("readers:")[2]))
    assert {*host().specs(SensorSpec), *host().specs(PredictorSpec)} <= listed
    assert "\n" not in text


def test_a_real_jpeg_beside_a_real_tile_stops_nothing(tmp_path: Path) -> None:
    picture = tmp_path / "holiday.jpg"
    imsave(picture, np.zeros((8, 8)))
    assert picture.read_bytes().startswith(b"\xff\xd8")
    tile = tmp_path / "N41E115.hgt"
    tile.write_bytes(np.full((1201, 1201), 700, ">i2").tobytes())
    seen, unread = inspect_files([picture, tile])
    assert [inspection.facts["product"] for inspection in seen] == ["SRTM"]
    assert [(item.path, str(item.error).partition(" is not")[0]) for item in unread] == [(picture, "holiday.jpg")]


def test_every_product_claims_its_files_alone() -> None:
    """Of the specs of one plugin family no two claim one name; only DEM's words are in Copernicus' names too."""
    names = {
        "MOD11A2.A2019265.h26v04.061.2019274042127.hdf": "MOD11A2",
        "MOD16A2GF.A2019265.h26v04.061.2019274042127.hdf": "MOD16A2GF",
        "MOD16A2.061_ET_500m_doy2019265_aid0001.tif": "MOD16A2",
        "LC09_L2SP_124031_20220925_20230825_02_T1_QA_PIXEL.TIF": "LANDSAT_C2L2",
        "30n090e_20101117_gmted_mea300.tif": "GMTED2010",
        "n41e115.hgt.zip": "SRTM",
    }
    specs = host().specs(PredictorSpec)
    for name, product in names.items():
        assert [spec.name for spec in specs.values() if claimed([Path(name)], spec.patterns)] == [product]


@pytest.mark.real
@pytest.mark.parametrize(
    ("folder", "products"),
    [
        ("modis", {"MCD15A2H", "MCD43A3", "MOD11A1", "MOD13A2"}),
        ("landsat", {"LANDSAT_C2L2"}),
        ("terrain", {"SRTM"}),
    ],
)
def test_every_real_predictor_file_is_recognised_and_read(real_data: Path, folder: str, products: set[str]) -> None:
    files = files_under([real_data / folder])
    assert {recognise(path).name for path in files} == products
    seen, unread = inspect_files(files)
    assert not unread
    assert {inspection.facts["plugin"] for inspection in seen} == products
    assert {path for inspection in seen for path in inspection.facts["files"]} == {str(path) for path in files}
    for inspection in seen:
        assert inspection.fields
