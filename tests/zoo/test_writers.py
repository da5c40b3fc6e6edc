"""Maps and tables are written whole, with the metadata that the formats have a place for, or not at all."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import rasterio
import rasterio.shutil
import xarray as xr
from odc.geo.geobox import GeoBox

from zoo.errors import UsageError, ZooError
from zoo.grids import ease2_geobox
from zoo.writers import check_writable, open_writer, write_table

TAGS = {
    "model": "smd-dbn@v1",
    "model_sha256": "0" * 64,
    "inputs": "ndvi=MOD13A2",
    "time_coverage_start": "2019-09-25T00:00:00Z",
    "time_coverage_end": "2019-09-26T00:00:00Z",
}


def grid(height: int, width: int) -> GeoBox:
    """A part of EASE-Grid 2.0 M09."""
    return ease2_geobox("M09")[200 : 200 + height, 300 : 300 + width]


def field(height: int, width: int) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(0).uniform(0, 0.5, (height, width)).astype(np.float32)
    values[:3, :5] = np.nan
    return values


def write(path: Path, geobox: GeoBox, values: np.ndarray[Any, Any], step: int = 512, **options: Any) -> None:
    height, width = values.shape[-2:]
    with open_writer(path, geobox, tags=TAGS, depth=(0.0, 0.05), **options) as writer:
        for top in range(0, height, step):
            for left in range(0, width, step):
                window = slice(top, min(top + step, height)), slice(left, min(left + step, width))
                writer.write(window, values[(..., *window)])
        writer.update_tags({"pixels_clipped": "7"})


def test_cog_holds_values_grid_and_metadata(tmp_path: Path) -> None:
    values, geobox = field(1200, 700), grid(1200, 700)
    write(tmp_path / "map.tif", geobox, values)
    with rasterio.open(tmp_path / "map.tif") as found:
        np.testing.assert_array_equal(found.read(1, masked=True).filled(np.nan), values)
        assert (found.nodata, found.dtypes[0], found.crs.to_epsg()) == (-9999.0, "float32", 6933)
        assert found.transform == geobox.affine
        assert (found.descriptions, found.units) == (("soil_moisture",), ("m3 m-3",))
        assert found.tags(1)["standard_name"] == "volume_fraction_of_condensed_water_in_soil"
        assert found.tags().items() >= {**TAGS, "pixels_clipped": "7", "AREA_OR_POINT": "Area"}.items()
        assert found.tags()["TIFFTAG_SOFTWARE"].startswith("soil-moisture-zoo")
        layout = found.tags(ns="IMAGE_STRUCTURE")
        assert (layout["LAYOUT"], layout["COMPRESSION"], layout["PREDICTOR"]) == ("COG", "DEFLATE", "3")
        assert found.block_shapes == [(512, 512)]
        assert found.overviews(1) == [2, 4]
        overview = found.read(1, out_shape=(600, 350))
    means = values.reshape(600, 2, 350, 2).mean((1, 3))
    np.testing.assert_allclose(overview[10:, 10:], means[10:, 10:], rtol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.tif"]


@pytest.mark.parametrize("suffix", [".tif", ".nc"])
def test_several_bands_and_windows_of_any_size(tmp_path: Path, suffix: str) -> None:
    values = np.stack([field(100, 80), field(100, 80) / 10])
    write(tmp_path / f"map{suffix}", grid(100, 80), values, step=33, bands=("soil_moisture", "spread"))
    if suffix == ".tif":
        with rasterio.open(tmp_path / "map.tif") as found:
            read = found.read(masked=True).filled(np.nan)
            assert found.descriptions == ("soil_moisture", "spread")
    else:
        with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as found:
            read = np.stack([found.soil_moisture, found.spread])
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize("suffix", [".tif", ".nc"])
def test_what_was_not_written_is_missing(tmp_path: Path, suffix: str) -> None:
    with open_writer(tmp_path / f"map{suffix}", grid(600, 600)) as writer:
        writer.write((slice(0, 10), slice(0, 10)), np.zeros((10, 10)))
    with xr.open_dataset(tmp_path / f"map{suffix}", engine="h5netcdf" if suffix == ".nc" else "rasterio") as found:
        band = found["soil_moisture"] if suffix == ".nc" else found["band_data"][0]
        assert int(band.notnull().sum()) == 100


def test_netcdf_follows_cf(tmp_path: Path) -> None:
    values, geobox = field(600, 700), grid(600, 700)
    write(tmp_path / "map.nc", geobox, values)
    with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf", decode_coords="all") as found:
        sm = found.soil_moisture
        np.testing.assert_array_equal(sm, values)
        assert sm.attrs["standard_name"] == "volume_fraction_of_condensed_water_in_soil"
        assert sm.attrs["units"] == "m3 m-3"
        assert sm.encoding["chunksizes"] == (512, 512)
        assert found.x.attrs["standard_name"] == "projection_x_coordinate"
        assert found.y.attrs["units"] == "metre"
        assert found.spatial_ref.attrs["grid_mapping_name"] == "lambert_cylindrical_equal_area"
        assert found.spatial_ref.attrs["standard_parallel"] == 30.0
        assert found.time.values == np.datetime64("2019-09-25T12:00")
        assert float(found.depth) == 0.025
        assert found.depth_bnds.values.tolist() == [0.0, 0.05]
        assert found.depth.attrs["positive"] == "down"
        assert found.attrs["model"] == "smd-dbn@v1"
        assert found.attrs["pixels_clipped"] == "7"
        assert found.attrs["Conventions"].startswith("CF-1")
        assert sm.odc.geobox == geobox
        assert sm.rio.crs.to_epsg() == 6933
    with rasterio.open(f"netcdf:{tmp_path / 'map.nc'}:soil_moisture") as gdal:
        assert gdal.transform.almost_equals(geobox.affine, 1e-6)


def test_netcdf_on_degrees_names_longitude_and_latitude(tmp_path: Path) -> None:
    write(tmp_path / "map.nc", GeoBox.from_bbox((10, 40, 12, 41), resolution=0.25), field(4, 8))
    with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as found:
        assert found.x.attrs["standard_name"] == "longitude"
        np.testing.assert_allclose(found.y, [40.875, 40.625, 40.375, 40.125])


@pytest.mark.parametrize("suffix", [".tif", ".nc"])
def test_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"map{suffix}"
    path.write_bytes(b"old")

    def predict() -> None:
        with open_writer(path, grid(600, 600)) as writer:
            writer.write((slice(0, 512), slice(0, 512)), np.zeros((512, 512)))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        predict()
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_error_of_a_reader_is_not_blamed_on_the_writer(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="predictor"), open_writer(tmp_path / "map.tif", grid(9, 9)):
        raise FileNotFoundError("predictor.tif")


def test_failure_of_the_last_step_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise rasterio.errors.RasterioIOError("disk full")

    monkeypatch.setattr(rasterio.shutil, "copy", refuse)
    with pytest.raises(ZooError, match=r"cannot write .*map.tif: disk full"):
        write(tmp_path / "map.tif", grid(20, 20), field(20, 20))
    assert not list(tmp_path.iterdir())


MEASURE = """
import sys
from pathlib import Path
import numpy as np
from odc.geo.geobox import GeoBox
from zoo.writers import open_writer

def highest_mb():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024

def write(size):
    geobox = GeoBox.from_bbox((0, 0, size, size), "EPSG:6933", resolution=1)
    ramp = np.add.outer(np.arange(512), np.arange(512)).astype("f4") / 1024
    with open_writer(Path(sys.argv[1]), geobox) as writer:
        for top in range(0, size, 512):
            for left in range(0, size, 512):
                writer.write((slice(top, top + 512), slice(left, left + 512)), ramp)

write(2048)
before = highest_mb()
write(4096)
print(highest_mb() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("suffix", [".tif", ".nc"])
def test_memory_does_not_grow_with_the_map(tmp_path: Path, suffix: str) -> None:
    script = [sys.executable, "-c", MEASURE, str(tmp_path / f"map{suffix}")]
    grown = float(subprocess.run(script, check=True, capture_output=True, text=True).stdout)
    assert grown < 45  # the map has 64 MiB


def test_unknown_suffix_lists_the_formats(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"map.jpg by its name; give a name that ends in .tif, .tiff, .nc"):
        open_writer(tmp_path / "map.jpg", grid(2, 2))
    with pytest.raises(UsageError, match=r".parquet, .csv"):
        write_table(tmp_path / "map.tif", pd.DataFrame())


def test_place_is_checked_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_writable(tmp_path / "new" / "folder" / "map.tif")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UsageError, match="is a folder; give the name of a file") as usage:
        check_writable(tmp_path)
    assert usage.value.exit_code == 2
    (tmp_path / "file").write_text("")
    with pytest.raises(ZooError, match="cannot write .*; choose another place") as refused:
        check_writable(tmp_path / "file" / "map.tif")
    assert refused.value.exit_code == 1

    def read_only(*arguments: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(ZooError, match="cannot write .*map.tif: Permission denied"):
        check_writable(tmp_path / "map.tif")


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "map.tif", grid(9, 9), field(9, 9))
    assert (tmp_path / "a" / "b" / "map.tif").is_file()


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_table_is_written_without_its_index(tmp_path: Path, suffix: str) -> None:
    table = pd.DataFrame({"ndvi": [0.1, 0.2], "soil_moisture": [0.25, np.nan]}, index=[7, 9])
    path = tmp_path / f"t{suffix}"
    write_table(path, table, {"model": "smd-rf@v1"})
    read = pd.read_parquet(path) if suffix == ".parquet" else pd.read_csv(path)
    pd.testing.assert_frame_equal(read, table.reset_index(drop=True))
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    if suffix == ".parquet":
        assert pq.read_schema(path).metadata[b"model"] == b"smd-rf@v1"
