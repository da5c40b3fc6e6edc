"""The wheel in an empty environment, without the extra `train`."""

import json

import numpy as np
import pytest
import rasterio

pytestmark = pytest.mark.packaging


def test_nothing_that_only_training_needs_is_installed(untrained):
    assert untrained.packages & {"torch", "scikit-learn", "onnx", "skl2onnx"} == set()
    assert "soil-moisture-zoo" in untrained.packages


def test_help_is_shown(untrained):
    assert untrained.help.returncode == 0, untrained.help.stderr
    assert "predict" in untrained.help.stdout


def test_every_built_in_plugin_loads(untrained):
    plugins = untrained.plugins["plugins"]
    assert {plugin["distribution"] for plugin in plugins} == {"soil-moisture-zoo"}
    assert [(plugin["name"], plugin["error"]) for plugin in plugins if plugin["error"]] == []
    assert {"smap", "amsr2", "dbn", "rf", "onnx"} <= {plugin["name"] for plugin in plugins}


def test_the_published_model_predicts_the_sample_scene(untrained):
    assert untrained.prediction.returncode == 0, untrained.prediction.stderr
    assert json.loads(untrained.prediction.stdout)["model"] == "smd-dbn@v1"
    with rasterio.open(untrained.map) as source:
        values = source.read(1, masked=True).compressed()
        assert source.tags()["model"] == "smd-dbn@v1"
    assert values.size > 1000
    assert 0 <= values.min() < values.max() <= 1
    assert np.ptp(values) > 0.01


def test_training_says_what_to_install(untrained):
    assert untrained.training.returncode == 1
    assert "pip install 'soil-moisture-zoo[train]'" in untrained.training.stderr
    assert untrained.training.stderr.count("\n") == 1
