"""What Cai et al. 2022 print: every number of Tables 2 to 8 as it stands there, and what has to be known about it.

Source: Cai, Fan, Lang, Li, Muhammad and Liu 2022, Downscaling of SMAP Soil Moisture Data by Using a Deep Belief
Network, Remote Sensing 14, 5681, doi:10.3390/rs14225681 (CC BY 4.0). The remarks are of this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

SOURCE = "Cai et al. 2022, Remote Sensing 14, 5681, doi:10.3390/rs14225681"
TRAINED_ON = date(2019, 9, 25)
DATES = (date(2019, 3, 25), date(2019, 5, 25), date(2019, 7, 25), TRAINED_ON, date(2019, 11, 25))
"""Section 3.1.2; section 2.2.2 leaves out 25 July."""
CORRELATED_ON = (date(2019, 5, 25), TRAINED_ON)
"""Section 2.3.1: the dates of Table 2."""
STATIONS = ("L6", "M5", "S2")
"""Of the time series, in the order of Table 5."""

TABLES = {
    2: "Correlation of factors with SMAP L4",
    3: "Training parameters and results of the SMD-DBN model",
    4: "Training parameters of the SMD-DBN model",
    5: "Evaluation of downscaling results of time series",
    6: "Parameters of the SMD-RF model",
    7: "Accuracy of the two models on 25 September 2019",
    8: "SMD-DBN on AMSR-2 against the original and in situ measurements",
}
FIGURES = {
    5: "Original SMAP and downscaled soil moisture, 25 September 2019",
    6: "SMD-DBN against SMAP (a) and in situ measurements (b)",
    7: "Original SMAP and downscaled soil moisture on the four other dates",
    8: "Time series at L6, M5 and S2",
    9: "Soil moisture downscaled by SMD-RF",
    10: "SMD-RF against SMAP (a) and in situ measurements (b)",
    11: "Original AMSR-2 and downscaled soil moisture",
}

TABLE_2: dict[str, tuple[str, float]] = {
    "Blue": ("blue", -0.43),
    "Red": ("red", -0.44),
    "Green": ("green", -0.44),
    "NIR": ("nir", -0.42),
    "SWIR1": ("swir1", -0.48),
    "SWIR2": ("swir2", -0.46),
    "DEM": ("dem", 0.41),
    "Slope": ("slope", 0.32),
    "Aspect": ("aspect_cos", -0.20),
    "NDVI": ("ndvi", 0.69),
    "LST": ("lst", -0.58),
    "EVI": ("evi", 0.63),
    "WI": ("wetness", 0.74),
    "ALB_vis": ("alb_vis", -0.69),
    "ALB_nir": ("alb_nir", -0.66),
    "LAI": ("lai", 0.21),
}
"""Factor -> layer here and printed R."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One row of Table 3."""

    layers: tuple[int, ...]
    rbm_epochs: int
    bp_epochs: int
    r2: float
    rmse: float


TABLE_3 = (
    Trial((500,), 50, 200, 0.4365, 0.0452),
    Trial((500, 500), 50, 200, 0.5581, 0.0412),
    Trial((800, 800), 50, 200, 0.5672, 0.0400),
    Trial((1000, 1000), 50, 200, 0.5743, 0.0392),
    Trial((1000, 1000), 50, 400, 0.6154, 0.0374),
    Trial((1000, 1000), 50, 800, 0.6355, 0.0321),
    Trial((1000, 1000), 100, 800, 0.6571, 0.0296),
    Trial((1000, 1000), 200, 800, 0.6816, 0.0245),
    Trial((1000, 1000), 400, 800, 0.7286, 0.0219),
)

TABLE_4: dict[str, Any] = {
    "hidden_layers_structure": [1000, 1000],
    "cd_k": 1,
    "RBM_epochs": 400,
    "RBM_learning_rate": 0.1,
    "BP_epochs": 800,
    "BP_learning_rate": 0.1,
    "batch_size": 16,
    "dropout": 0.05,
}

TABLE_5 = {
    ("L6", "SMAP"): (0.0547, 0.1854),
    ("L6", "SMN-SDR"): (0.0257, 0.1070),
    ("M5", "SMAP"): (0.0248, 0.0991),
    ("M5", "SMN-SDR"): (0.0161, 0.0735),
    ("S2", "SMAP"): (0.0341, 0.1225),
    ("S2", "SMN-SDR"): (0.0203, 0.0904),
}
"""(station, reference) -> MAE, m3 m-3, and MRE, a share."""

TABLE_6 = {
    "n_estimators": 106,
    "max_depth": 14,
    "max_features": 0.1,
    "min_samples_leaf": 1,
    "min_samples_split": 3,
}

TABLE_7 = {
    ("SMD-RF", "SMAP"): (0.7571, 0.5732, 0.0235),
    ("SMD-RF", "SMN-SDR"): (0.6939, 0.4816, 0.0342),
    ("SMD-DBN", "SMAP"): (0.8357, 0.6984, 0.0210),
    ("SMD-DBN", "SMN-SDR"): (0.7253, 0.5260, 0.0303),
}
"""(model, reference) -> R, R2, RMSE in m3 m-3."""

TABLE_8 = {
    ("SMD-DBN", "AMSR-2"): (0.8265, 0.6831, 0.0257),
    ("SMD-DBN", "SMN-SDR"): (0.5356, 0.2631, 0.0321),
}

REMARKS: dict[str, tuple[str, ...]] = {
    "table 2": (
        "The text calls every factor significant at the 0.01 level and names the dates 25 May and 25 "
        "September. The box holds about 113 cells of 9 km before water is masked; R = 0.21 gives p = 0.026 at"
        " n = 113, so the claim holds only with both dates pooled. Pooled rows are no independent sample: the"
        " p below takes them as one, the intervals resample spatial blocks.",
        "Aspect is an angle, with which nothing correlates linearly; here it is its cosine (north 1, south "
        "-1). The text names evapotranspiration among the negative factors; it is in no model and not in the "
        "table.",
    ),
    "table 3": (
        "Neither the split nor the sample behind R² and RMSE is stated. Here: R² as the square of R and RMSE "
        "in cells that the network has seen, and in spatial blocks that it has not.",
    ),
    "table 4": (
        "Not stated in the paper: activation, kind of visible units, scaling of inputs and target, optimiser,"
        " momentum, beta of Smooth L1, where dropout acts, output layer, split and seed. About 100 cells "
        "stand against 1,017,001 weights. The rows without a printed value are chosen here.",
    ),
    "table 5": (
        "The denominator of MRE is not stated; here it is the reference. Five dates at most: the intervals "
        "say how much five values can tell.",
    ),
    "table 6": (
        "The text swaps the descriptions of min_samples_split and min_samples_leaf; the values stand. "
        "max_features 0.1 of 13 or 14 predictors is one predictor a split.",
    ),
    "table 7": (
        "R² is the square of Pearson's R in all rows (0.8357² = 0.6984), not 1 - SSE/SST. According to "
        "section 3.1.1 the comparison with SMAP is made at the stations, in cells on which the model was "
        "trained.",
        "With n = 34, R = 0.7253 has a 95 % interval of 0.51 to 0.85 and R = 0.6939 one of 0.47 to 0.84: the "
        "two models cannot be told apart by these figures alone. The abstract's 'relative mean square error' "
        "is the RMSE, and 'Table 8' on page 10 means this table.",
    ),
    "table 8": (
        "0.5356 squared is 0.2869, not the printed 0.2631: a misprint. Whether the network was trained anew "
        "on AMSR-2 or transferred is unclear: here it is trained anew.",
    ),
    "figure 5": ("The text calls panel a 'Figure 5b' on page 9. The blank parts are water; here also cloud.",),
    "figure 6": ("Printed: R 0.8357, R² 0.6984, RMSE 0.0210 (a); R 0.7253, R² 0.5260, RMSE 0.0303 (b).",),
    "figure 7": (
        "Landsat is of September and October 2019 on all dates, as in the paper; which composite, hour of "
        "SMAP L4 and pass of MODIS were taken is not stated: here the composite that contains the date, all "
        "granules of the day, and day temperature.",
    ),
    "figure 8": ("The window over which in situ values are averaged is not stated; here it is the day, UTC.",),
    "figure 9": (
        "The forest takes the same predictors as the network: 14 in section 2.3.1, 13 in equation 1; here 14.",
    ),
    "figure 10": ("Printed: R 0.7571, R² 0.5732, RMSE 0.0235 (a); R 0.6939, R² 0.4816, RMSE 0.0342 (b).",),
    "figure 11": ("Printed (Table 8): R 0.8265, R² 0.6831, RMSE 0.0257 against AMSR-2.",),
}
"""What has to be known about a table or figure."""
