"""Parameter sets of the deep belief network, by name.

`features` in a preset names the predictors that the host takes where the user names none; everything else is a
parameter of `DeepBeliefNetwork`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.predictors import PAPER, PAPER_EQ1

_TABLE_4: dict[str, Any] = {
    "hidden_layers_structure": [1000, 1000],
    "cd_k": 1,
    "RBM_epochs": 400,
    "RBM_learning_rate": 0.1,
    "BP_epochs": 800,
    "BP_learning_rate": 0.1,
    "batch_size": 16,
    "dropout": 0.05,
}
"""Cai et al. 2022, Table 4."""

_UNSTATED: dict[str, Any] = {
    "pretrain": True,
    "visible": "binary",
    "input_scaling": "minmax",
    "target_scaling": "minmax",
    "momentum": 0.0,
    "RBM_weight_decay": 0.0,
    "weight_decay": 0.0,
    "optimizer": "sgd",
    "schedule": "constant",
    "smooth_l1_beta": 1.0,
    "input_noise": 0.0,
    "screening": False,
    "early_stopping": False,
    "n_members": 1,
}
"""What the paper leaves open, in its plainest reading."""

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": {**_TABLE_4, **_UNSTATED, "features": PAPER},
    "paper-eq1": {**_TABLE_4, **_UNSTATED, "features": PAPER_EQ1},
}
"""`default` is what the estimator takes by itself."""
