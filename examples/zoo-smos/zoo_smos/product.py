"""What the product's description and files say: names, fill values, grid, thresholds.

File name: https://catalogue.theia.data-terra.org/meta/9cef422f-ed3f-4090-9556-b2e895ba2ca8, "File naming". Fields as
found in files of processor version 300 (CATDS L3 SM Filtering Processor, 2015).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from affine import Affine
from odc.geo.geobox import GeoBox

NAME = re.compile(
    r"SM_(?P<file_class>[A-Z0-9]{4})_MIR_CLF31(?P<orbit>[AD])_(?P<start>\d{8}T\d{6})_(?P<end>\d{8}T\d{6})"
    r"_(?P<version>\d{3})_(?P<counter>\d{3})_7(\.DBL)?\.nc",
    re.IGNORECASE,
)
NAME_TIME = "%Y%m%dT%H%M%S"

SHORT_NAME = "MIR_CLF31"
"""Ascending and descending passes are one product here, so that a day may take both; `--orbit` chooses."""

SOIL_MOISTURE = "Soil_Moisture"
DAYS, SECONDS = "Mean_Acq_Time_Days", "Mean_Acq_Time_Seconds"
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
"""Days are counted from here (MJD2000); day 5604 stands in the files named 20150506."""

DEPTH = (0.0, 0.05)
"""Metres; the surface layer that L band senses."""

RFI_FIELDS = ("Rfi_Prob", "Ratio_RFI")
MAX_RFI = 0.2
"""Retrievals above it are to be discarded: https://labo.obs-mip.fr/smos-blog/2021-a-look-back-2-8-part-2-level-3-soil-
moisture-available-at-catds. Files cut down to soil moisture do not hold these fields; then nothing is masked."""

CELL = 25025.2600081
SHAPE = (584, 1388)
GRID = GeoBox(SHAPE, Affine(CELL, 0, -SHAPE[1] / 2 * CELL, 0, -CELL, SHAPE[0] / 2 * CELL), "EPSG:6933")
"""EASE-Grid 2.0 M25, global, north up (Brodzik et al. 2012, doi:10.3390/ijgi1010032)."""

ON_CENTRE = 0.01
"""Cells: how far a coordinate of a file, stored as float32, may lie from the centre of a cell."""
