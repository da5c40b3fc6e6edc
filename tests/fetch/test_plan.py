"""Which granules a place and a date need, from the answers of CMR and a STAC catalogue."""

import socket
from datetime import UTC, date, datetime, time, timedelta

import pytest
from loopback_archive import Trouble

from zoo.errors import DataError, UnknownNameError, UsageError, ZooError
from zoo.fetch import plan
from zoo.fetch.catalogue import PRODUCTS, chosen
from zoo.fetch.endpoints import Endpoints, Patience
from zoo.fetch.stac import Signer
from zoo.predictors import LAYERS, PAPER
from zoo.types import Area

PLACE = Area(115.9, 41.9, 116.2, 42.2)
DAY = date(2019, 9, 25)
BOX = (115.0, 41.0, 117.0, 43.0)
NOON = datetime(2019, 9, 25, 12, tzinfo=UTC)
BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22", "qa_pixel", "qa_radsat", "mtl.txt", "mtl.json", "lwir11")


@pytest.fixture
def path(tmp_path):
    """Make a small file of a name."""

    def make(name):
        made = tmp_path / "archive" / name
        made.parent.mkdir(exist_ok=True)
        made.write_bytes(name.encode())
        return made

    return make


def scene(archive, path, name, when, *, box=BOX, cloud=5.0, keys=BANDS, **options):
    archive.add_item(
        "landsat-c2-l2", name, {key: path(f"{name}_{key}") for key in keys}, when, box, cloud=cloud, **options
    )


def names(planned):
    return [granule.id for granule in planned.granules]


def test_by_default_everything_that_training_needs_is_meant():
    products = [product.name for product in chosen(None, PAPER, "smap")]
    assert products == [
        "SPL4SMGP", "MOD11A2", "MOD13A2", "MCD15A2H", "MCD43A3", "landsat-c2-l2", "cop-dem-glo-30",
    ]  # fmt: skip


def test_the_sensor_and_the_layers_decide():
    products = [product.name for product in chosen(None, ("et", "lst"), "amsr2")]
    assert products == ["LPRM_AMSR2_DS_A_SOILM3", "LPRM_AMSR2_DS_D_SOILM3", "MOD16A2", "MOD11A2"]


def test_every_layer_of_the_catalogue_is_one_that_readers_deliver():
    assert {layer for product in PRODUCTS.values() for layer in product.layers} <= set(LAYERS)


def test_an_unknown_product_is_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'MOD11A2'"):
        chosen(["MOD11X2"], PAPER, "smap")
    with pytest.raises(UnknownNameError, match=r"No version of MOD11A2 named '006'; there is: 061"):
        chosen(["MOD11A2.006"], PAPER, "smap")


@pytest.mark.parametrize(("name", "told"), [("JAXA_SMC", "G-Portal .*SFTP"), ("gmted2010", "brings Copernicus GLO-30")])
def test_what_is_in_no_catalogue_is_said_to_be_elsewhere(name, told):
    with pytest.raises(UsageError, match=told):
        chosen([name], PAPER, "smap")


def test_a_sensor_that_cannot_be_fetched_is_named():
    with pytest.raises(UnknownNameError, match="No sensor that can be fetched named 'smos'; there is: amsr2, smap"):
        chosen(None, PAPER, "smos")


def test_the_granules_of_the_day_are_those_whose_middle_lies_on_it(archive, path, quick):
    for hour in range(-3, 30, 3):
        start = datetime(2019, 9, 25, tzinfo=UTC) + timedelta(hours=hour)
        name = f"SMAP_L4_SM_gph_{start + timedelta(minutes=90):%Y%m%dT%H%M%S}_Vv8010_001.h5"
        archive.add_granule(path(name), "SPL4SMGP", "008", start, start + timedelta(hours=3))
    whole = plan(["smap"], PLACE, DAY, patience=quick)
    assert len(whole.granules) == 8
    assert {granule.start.date() for granule in whole.granules} == {DAY}
    assert names(plan(["smap"], PLACE, DAY, time=time(10, 30), patience=quick)) == [
        "SMAP_L4_SM_gph_20190925T103000_Vv8010_001"
    ]
    around = plan(["smap"], PLACE, DAY, time=time(23, 0), window=timedelta(hours=6), patience=quick)
    assert [granule.start.hour for granule in around.granules] == [21, 0]
    assert len(plan(["smap"], PLACE, DAY - timedelta(days=1), days=2, patience=quick).granules) == 9


def test_an_older_version_is_taken_where_the_newest_has_nothing(archive, path, quick):
    archive.add_granule(
        path("SMAP_L4_SM_gph_20190925T103000_Vv7032_001.h5"), "SPL4SMGP", "007", NOON - timedelta(hours=3), NOON
    )
    (granule,) = plan(["SPL4SMGP"], PLACE, DAY, patience=quick).granules
    assert granule.product == "SPL4SMGP.007"


def test_composites_are_those_that_contain_the_day(archive, path, quick):
    for start in (date(2019, 9, 14), date(2019, 9, 22), date(2019, 9, 30)):
        first = datetime(start.year, start.month, start.day, tzinfo=UTC)
        name = f"MOD11A2.A{start:%Y%j}.h26v04.061.2020001000000.hdf"
        archive.add_granule(path(name), "MOD11A2", "061", first, first + timedelta(days=8, seconds=-1))
    assert names(plan(["modis"], PLACE, DAY, layers=["lst"], patience=quick)) == [
        "MOD11A2.A2019265.h26v04.061.2020001000000"
    ]
    assert len(plan(["modis"], PLACE, DAY, days=8, layers=["lst"], patience=quick).granules) == 2


def test_albedo_is_that_of_the_day_in_its_name_among_sixteen_that_contain_it(archive, path, quick):
    for offset in range(-9, 9):
        day = datetime(2019, 9, 25, tzinfo=UTC) + timedelta(days=offset)
        name = f"MCD43A3.A{day:%Y%j}.h26v04.061.2020001000000.hdf"
        archive.add_granule(path(name), "MCD43A3", "061", day - timedelta(days=8), day + timedelta(days=8, seconds=-1))
    assert names(plan(["MCD43A3"], PLACE, DAY, patience=quick)) == ["MCD43A3.A2019268.h26v04.061.2020001000000"]


def test_tiles_beyond_the_edge_that_the_whole_cells_reach_are_taken(archive, path, quick):
    """The target grid is snapped outward to cells of 9 km: a tile that begins 3 km east of the area is needed."""
    first = datetime(2019, 9, 22, tzinfo=UTC)
    edge = PLACE.east + 0.03
    for tile, box in (("h26v04", (110, 40, edge, 50)), ("h27v04", (edge, 40, 125, 50)), ("h28v04", (117, 40, 130, 50))):
        archive.add_granule(
            path(f"MOD11A2.A2019265.{tile}.061.2020001000000.hdf"), "MOD11A2", "061",
            first, first + timedelta(days=8, seconds=-1), box,
        )  # fmt: skip
    assert [name.split(".")[2] for name in names(plan(["MOD11A2"], PLACE, DAY, patience=quick))] == ["h26v04", "h27v04"]


def test_pages_of_cmr_are_all_read(archive, path, quick):
    start = datetime(2019, 9, 25, tzinfo=UTC)
    file = path("SMAP_L2_SM_P_1_A_20190925T000000_R18290_001.h5")
    archive.add_granule(file, "SPL2SMP", "009", start, start + timedelta(hours=1))
    (template,) = archive.granules
    for number in range(2050):
        umm = dict(template["umm"])
        umm["RelatedUrls"] = [{"URL": f"{archive.url}/files/SMAP_L2_SM_P_{number}_D.h5", "Type": "GET DATA"}]
        archive.granules.append({**template, "umm": umm})
    assert len(plan(["SPL2SMP"], PLACE, DAY, patience=quick).granules) == 2051


def test_pages_of_a_stac_catalogue_are_all_read(archive, path, quick):
    archive.page = 2
    for number in range(5):
        archive.add_item("cop-dem-glo-30", f"tile{number}", {"data": path(f"tile{number}.tif")}, None, BOX)
    assert len(plan(["dem"], PLACE, DAY, patience=quick).granules) == 5


def test_only_the_assets_that_the_layers_need_are_taken(archive, path, quick):
    scene(archive, path, "LC08_L2SP_124031_20190925_02_T1", NOON)
    planned = plan(["landsat"], PLACE, DAY, layers=["red", "lst"], patience=quick)
    keys = {file.name.removeprefix("LC08_L2SP_124031_20190925_02_T1_") for file in planned.files}
    assert keys == {"red", "qa_pixel", "qa_radsat", "mtl.txt", "mtl.json"}
    assert {str(file.place.parent) for file in planned.files} == {"landsat/LC08_L2SP_124031_20190925_02_T1"}


def test_an_asset_that_is_missing_is_named_with_those_there_are(archive, path, quick):
    scene(archive, path, "LC08_L2SP_124031_20190925_02_T1", NOON, keys=("qa_pixel", "qa_radsat"))
    with pytest.raises(DataError, match=r"has no asset 'red' .* it has: qa_pixel, qa_radsat"):
        plan(["landsat"], PLACE, DAY, layers=["red"], patience=quick)


def test_the_nearest_clear_landsat_day_is_taken(archive, path, quick):
    scene(archive, path, "LC08_L2SP_124031_20190925_02_T1", NOON, cloud=90)
    scene(archive, path, "LC08_L2SP_124031_20190909_02_T1", NOON - timedelta(days=16), cloud=5)
    scene(archive, path, "LC09_L2SP_124031_20191003_02_T1", NOON + timedelta(days=8), cloud=40)
    scene(archive, path, "LE07_L2SP_124031_20190924_02_T1", NOON - timedelta(days=1), cloud=0)
    assert names(plan(["landsat"], PLACE, DAY, patience=quick)) == ["LC09_L2SP_124031_20191003_02_T1"]
    assert names(plan(["landsat"], PLACE, DAY, cloud=10, patience=quick)) == ["LC08_L2SP_124031_20190909_02_T1"]
    assert names(plan(["landsat"], PLACE, DAY, cloud=100, patience=quick)) == ["LC08_L2SP_124031_20190925_02_T1"]
    with pytest.raises(DataError, match=r"at most 1 % cloud; there is: 2019-09-09 5 %, 2019-09-25 90 %, .*--cloud"):
        plan(["landsat"], PLACE, DAY, cloud=1, patience=quick)


def test_a_day_that_covers_the_place_goes_before_a_nearer_one_that_does_not(archive, path, quick):
    scene(archive, path, "LC08_L2SP_123031_20190925_02_T1", NOON, box=(116.15, 41, 118, 43))
    scene(archive, path, "LC08_L2SP_124031_20190918_02_T1", NOON - timedelta(days=7))
    scene(archive, path, "LC08_L2SP_124032_20190918_02_T1", NOON - timedelta(days=7), box=(115, 40, 117, 42))
    assert names(plan(["landsat"], PLACE, DAY, patience=quick)) == [
        "LC08_L2SP_124031_20190918_02_T1", "LC08_L2SP_124032_20190918_02_T1",
    ]  # fmt: skip


def test_sizes_that_the_catalogue_leaves_out_are_asked_of_the_server(archive, path, quick):
    scene(archive, path, "LC08_L2SP_124031_20190925_02_T1", NOON, said=False)
    planned = plan(["landsat"], PLACE, DAY, patience=quick)
    assert planned.bytes == sum(
        archive.files[f"{file.place.parent.name}/{file.name}"].stat().st_size for file in planned.files
    )
    assert {request.method for request in archive.requests} == {"HEAD"}


def test_an_asset_in_a_store_with_accounts_is_refused_with_a_way_out(archive, path, quick):
    scene(archive, path, "LC08_L2SP_124031_20190925_02_T1", NOON)
    for asset in archive.items[0]["assets"].values():
        asset["href"] = "s3://usgs-landsat/" + asset["href"].rpartition("/")[2]
    with pytest.raises(DataError, match="only at s3://usgs-landsat.*set SMZOO_STAC_URL"):
        plan(["landsat"], PLACE, DAY, patience=quick)


def test_a_catalogue_cannot_write_outside_the_folder(archive, path, quick):
    scene(archive, path, "LC08_L2SP_124031_20190925_02_T1", NOON)
    archive.items[0]["id"] = "LC08/../../../elsewhere"
    with pytest.raises(DataError, match="which is none for a file"):
        plan(["landsat"], PLACE, DAY, patience=quick)


def test_nothing_found_names_product_place_and_date(archive, quick):
    with pytest.raises(DataError, match=r"no MOD11A2 \(versions 061\) for the area 115.8.* and 2019-09-25"):
        plan(["MOD11A2"], PLACE, DAY, patience=quick)


@pytest.mark.parametrize(("catalogue", "what"), [("cmr", "MOD11A2"), ("stac", "dem")])
def test_a_busy_catalogue_is_asked_again_and_at_last_named(archive, path, quick, catalogue, what):
    archive.misbehave(catalogue, Trouble(503, times=2))
    with pytest.raises(DataError, match="has no"):  # it answered the third time: nothing there
        plan([what], PLACE, DAY, patience=quick)
    archive.misbehave(catalogue, Trouble(503))
    with pytest.raises(ZooError, match=rf"{archive.url}.* cannot be searched for"):
        plan([what], PLACE, DAY, patience=quick)


def test_a_catalogue_that_is_not_there_is_named(quick):
    nowhere = Endpoints(cmr="http://127.0.0.1:9/search/", stac="http://127.0.0.1:9/stac")
    with pytest.raises(
        ZooError,
        match=r"NASA's catalogue at http://127.0.0.1:9/search/ cannot be searched for MOD11A2 \(no connection\)",
    ):
        plan(["MOD11A2"], PLACE, DAY, endpoints=nowhere, patience=quick)
    with pytest.raises(
        ZooError,
        match=r"The STAC catalogue at http://127.0.0.1:9/stac cannot be searched for cop-dem-glo-30 \(no connection\)",
    ):
        plan(["dem"], PLACE, DAY, endpoints=nowhere, patience=quick)


@pytest.mark.parametrize("what", ["MOD11A2", "dem"])
@pytest.mark.parametrize("host", ["127.0.0.1:9", "nosuch.invalid"])
def test_without_a_connection_it_is_said_within_seconds(monkeypatch, what, host):
    """A port that refuses, and a name that is not found: with the patience that users have."""
    waited, find = [], socket.getaddrinfo

    def found(name, *more):
        if name == "nosuch.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return find(name, *more)

    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setattr("socket.getaddrinfo", found)
    nowhere = Endpoints(cmr=f"http://{host}/search/", stac=f"http://{host}/stac")
    with pytest.raises(ZooError, match=r"\(no connection\)"):
        plan([what], PLACE, DAY, endpoints=nowhere)
    assert sum(waited) <= 3


@pytest.mark.parametrize(("catalogue", "what"), [("cmr", "MOD11A2"), ("stac", "dem")])
def test_a_busy_catalogue_gets_all_tries_and_longer_pauses(archive, monkeypatch, catalogue, what):
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    archive.misbehave(catalogue, Trouble(503, times=Patience().attempts - 1))
    with pytest.raises(DataError, match="has no"):  # it answered the last time: nothing there
        plan([what], PLACE, DAY)
    assert sum(waited) >= 20


def test_addresses_in_the_planetary_computers_storage_get_a_token(archive, endpoints, quick):
    signer = Signer(endpoints, quick)
    store = "https://landsateuwest.blob.core.windows.net/landsat-c2/level-2/x.TIF"
    assert signer.sign(store) == f"{store}?sig=for-landsateuwest/landsat-c2"
    assert signer.sign(store + "?sig=own") == store + "?sig=own"
    assert signer.sign("https://example.org/x.TIF") == "https://example.org/x.TIF"
