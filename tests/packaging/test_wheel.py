"""What is in the wheel."""

import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.packaging


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def packages(names: list[str]) -> set[str]:
    return {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")}


def test_only_zoo_and_its_plugins_land_in_site_packages(names):
    assert packages(names) == {
        "zoo", "zoo_smap", "zoo_amsr2", "zoo_modis", "zoo_landsat", "zoo_terrain", "zoo_insitu", "zoo_season",
        "zoo_dbn", "zoo_rf", "zoo_hgb", "zoo_auto", "zoo_onnx",
    }  # fmt: skip


def test_every_package_says_that_it_is_typed(names):
    assert [name for name in packages(names) if f"{name}/py.typed" not in names] == []


def test_the_published_models_and_their_files_are_there(names):
    assert "zoo/published/registry.json" in names
    assert [name for name in names if name.startswith("zoo/published/") and name.endswith(".onnx")]


def test_the_templates_of_the_report_are_there(names):
    assert [name for name in names if name.startswith("zoo/report/") and name.endswith(".j2")]


def test_no_test_no_build_product_and_no_pickle_is_there(names):
    strange = (".lock", ".pyc", ".pkl", ".pickle", ".joblib", ".pt", ".pth")
    assert [name for name in names if name.endswith(strange) or "tests/" in name] == []
