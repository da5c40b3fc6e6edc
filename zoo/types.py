"""Descriptions that plugins hand to the host, and the values that pass between the workflows.

Everything here is cheap: no module imported by this one takes noticeable time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from zoo.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx
    import pandas as pd
    import xarray as xr

__all__ = [
    "Area",
    "DatedReader",
    "Downscaler",
    "DownscalerSpec",
    "Exporter",
    "ExporterSpec",
    "Granule",
    "LayerSpec",
    "ModelRef",
    "Orbit",
    "PredictorReader",
    "PredictorSpec",
    "Quality",
    "ReferenceReader",
    "ReferenceSpec",
    "Score",
    "SensorReader",
    "SensorSpec",
    "StationSelection",
    "check_depth",
    "is_name",
]

Quality = Literal["recommended", "all"]
"""`recommended` masks by the product's own quality flags, `all` keeps every retrieval."""

Orbit = Literal["A", "D"]
"""Ascending or descending pass."""


@dataclass(frozen=True, slots=True)
class Area:
    """A place as geographic bounds on WGS84, degrees.

    Raises
    ------
    UsageError
        If the box is empty or leaves the globe.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        if not (-180 <= self.west < self.east <= 180 and -90 <= self.south < self.north <= 90):
            msg = (
                f"The area {self} is empty or off the globe; give --area WEST SOUTH EAST NORTH in degrees, "
                "west < east and south < north, for example --area 115.5 41.5 116.5 42.5"
            )
            raise UsageError(msg)

    def __str__(self) -> str:
        return f"{self.west:g} {self.south:g} {self.east:g} {self.north:g}"

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(west, south, east, north) in degrees."""
        return self.west, self.south, self.east, self.north


@dataclass(frozen=True, slots=True)
class Granule:
    """One granule of a product, as its name and metadata tell, before any field is read.

    Attributes
    ----------
    product : short name and version, `SPL4SMGP.008`
    id : the granule's own identifier, normally its file name without extension
    start, end : the period that it stands for, aware datetimes in UTC; None for static data
    orbit : `A` ascending, `D` descending, None where it has no meaning
    paths : the files that make it up
    passes : of a file that holds several passes side by side: which; empty elsewhere. The `open` of a reader
        that fills it takes a keyword `orbit` as well, one of them, or None for the mean over all
    """

    product: str
    id: str
    start: datetime | None
    end: datetime | None
    paths: tuple[Path, ...]
    orbit: Orbit | None = None
    passes: tuple[Orbit, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """A predictor layer: its standard name here, units, and a sentence."""

    name: str
    units: str
    title: str


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """A coarse soil-moisture sensor.

    Attributes
    ----------
    name : what a user types after `--sensor`
    title : one line for `zoo plugins`
    reader : `"module:Class"`, imported on first use; an instance satisfies `SensorReader`
    patterns : file-name patterns (fnmatch) that the reader claims
    grid : the grids that it delivers, for people
    units : of what the reader returns, always m3 m-3
    depth : sensed layer, metres below the surface (top, bottom)
    requires : import names that the reader needs
    """

    name: str
    title: str
    reader: str
    patterns: tuple[str, ...]
    grid: str
    units: str = "m3 m-3"
    depth: tuple[float, float] = (0.0, 0.05)
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PredictorSpec:
    """A product that delivers predictor layers; see `SensorSpec` for the common fields.

    Attributes
    ----------
    patterns : empty where the layers follow from the day alone; the reader is then a `DatedReader`, and opens no paths
    resolution : native pixel, metres, about: the stack reads finer products in smaller blocks. None where it is
        not known beforehand; of products that are otherwise equal such a one is chosen last
    """

    name: str
    title: str
    reader: str
    patterns: tuple[str, ...]
    layers: tuple[LayerSpec, ...]
    requires: tuple[str, ...] = ()
    resolution: float | None = None


@dataclass(frozen=True, slots=True)
class DownscalerSpec:
    """A regressor from predictors to soil moisture.

    Attributes
    ----------
    name : what a user types after `zoo train`
    title : one line for `zoo plugins`
    estimator : `"module:Class"`, a scikit-learn regressor that satisfies `Downscaler`
    presets : parameter sets by name; `default` is {} if not given
    requires : import names that training needs
    """

    name: str
    title: str
    estimator: str
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExporterSpec:
    """A compiled format for trained models; `exporter` satisfies `Exporter`."""

    name: str
    title: str
    exporter: str
    suffix: str
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReferenceSpec:
    """Measurements to validate against; `reader` satisfies `ReferenceReader`."""

    name: str
    title: str
    reader: str
    patterns: tuple[str, ...]
    requires: tuple[str, ...] = ()


@runtime_checkable
class SensorReader(Protocol):
    """What the class named by `SensorSpec.reader` offers; it is made without arguments."""

    def granule(self, path: Path) -> Granule:
        """Say what a file is from its name and metadata; DataError if it is another product."""
        ...

    def open(
        self,
        paths: Sequence[Path],
        *,
        area: Area | None = None,
        quality: Quality = "recommended",
        variable: str | None = None,
    ) -> xr.DataArray:
        """Read soil moisture from granules of one product.

        Returns
        -------
        DataArray `soil_moisture`, dims (y, x), north up, float32, m3 m-3, NaN where masked; coordinates x, y
        (cell centres in the CRS of `spatial_ref`) and scalar `time` (UTC, middle of the period). Only cells
        whose centre lies in `area`, if given. Several granules: the mean over the valid ones, cell by cell.
        Attributes: `units`, `long_name`, `product`, `granules` (list of ids), `depth` (two numbers, metres),
        `time_coverage_start`, `time_coverage_end` (ISO 8601, Z) and `flag_counts` (dict: name of a quality
        flag or mask -> number of cells with it). Where it has a meaning: `orbit` (`A`, `D`, or `A, D` for a
        mean over both) and `notes` (list of sentences that a user of the field has to know).

        Raises
        ------
        DataError
            If a file is truncated, of another product, or holds no cell in `area`.
        """
        ...


@runtime_checkable
class PredictorReader(Protocol):
    """What the class named by `PredictorSpec.reader` offers; it is made without arguments."""

    def granule(self, path: Path) -> Granule:
        """Say what a file is from its name and metadata; DataError if it is another product."""
        ...

    def open(self, paths: Sequence[Path], layer: str, *, area: Area | None = None) -> Sequence[xr.DataArray]:
        """Read one layer from the files of one date or composite.

        Returns
        -------
        One DataArray a native grid (tiles of one grid joined, scenes of different UTM zones apart): dims
        (y, x), north up, float32, physical units, NaN where masked by the product's quality flags; coordinates
        x, y (pixel centres in the CRS of `spatial_ref`), attributes `units`, `long_name`, `product`, `granules`.
        Cropped to `area` with a margin of a few pixels.
        """
        ...


@runtime_checkable
class DatedReader(Protocol):
    """What a `PredictorReader` offers besides if one file may hold several dates."""

    def at(self, day: date) -> PredictorReader:
        """Return a reader that takes from such files the date or composite that contains a day, UTC."""
        ...


@runtime_checkable
class Downscaler(Protocol):
    """A scikit-learn regressor that also knows how to become ONNX.

    It takes predictors in their own units and returns m3 m-3: scaling is inside. Its trained state is a flat
    dictionary of arrays, stored without pickle. A parameter `use` is set to what the model is declared to be for
    (`zoo.learning.splits.Use`), and a `fit` with keywords `places` or `times` is given them, where they are known.
    """

    def fit(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        groups: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Downscaler:
        """Learn; X (n, k), y (n,), `groups` (n,) hold out together in early stopping."""
        ...

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.floating[Any]]:
        """Soil moisture for X (n, k), shape (n,)."""
        ...

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name, as in scikit-learn."""
        ...

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything learnt, as arrays; what `to_onnx` needs and nothing else."""
        ...

    @staticmethod
    def to_onnx(state: Mapping[str, npt.NDArray[Any]]) -> onnx.ModelProto:
        """Build the graph from `state()`: input `X` float32 (n, k), output `y` float32 (n, 1), opset 17."""
        ...


@runtime_checkable
class Exporter(Protocol):
    """What the class named by `ExporterSpec.exporter` offers."""

    def export(self, source: Path, target: Path, **options: Any) -> Mapping[str, Any]:
        """Compile the trained model in `source` (a `model.safetensors`) to the file `target`.

        Returns
        -------
        `opset`, `inputs`, `outputs` and `parity` (max, p99.9, n, provider) for the registry.

        Raises
        ------
        IntegrityError
            If the compiled model does not equal the original on its test vectors; nothing is written then.
        """
        ...


def check_depth(depth: tuple[float, float]) -> None:
    """Refuse a layer that is none: metres below the surface (top, bottom), the top not below the bottom.

    Raises
    ------
    UsageError
        If it is upside down, or begins above the surface.
    """
    top, bottom = depth
    if not 0 <= top <= bottom:
        msg = f"--depth {top:g} {bottom:g} is no layer; expected metres, top above bottom: 0 0.05"
        raise UsageError(msg)


@dataclass(frozen=True, slots=True)
class StationSelection:
    """Which measurements to take from a reference, and how to treat frozen soil and several sensors.

    Attributes
    ----------
    networks, stations, sensors : names or patterns (fnmatch, case ignored); empty takes all
    depth : metres below the surface (top, bottom) that must enclose a sensor; None takes all
    period : UTC (start, first instant after the end); None takes all
    flags : quality flags that a value may carry, `all` for any; only where the data has flags
    frozen : `mask` leaves out frozen soil (0 degree C or below) and soil whose state nothing tells, `known` only
        what is known to be frozen; `keep` leaves out nothing and adds a column `frozen` (thawed, frozen or
        undetermined) where the data can tell
    several : sensors of one station at one depth: `mean` averages them time by time, `longest` takes the one with
        most valid values, `apart` keeps each as a station of its own
    utc_offset : hours that times without an offset are ahead of UTC; None where the reader knows
    """

    networks: tuple[str, ...] = ()
    stations: tuple[str, ...] = ()
    sensors: tuple[str, ...] = ()
    depth: tuple[float, float] | None = None
    period: tuple[datetime, datetime] | None = None
    flags: tuple[str, ...] = ("G",)
    frozen: Literal["mask", "known", "keep"] = "mask"
    several: Literal["mean", "longest", "apart"] = "mean"
    utc_offset: float | None = None

    def __post_init__(self) -> None:
        for name, allowed in (("frozen", ("mask", "known", "keep")), ("several", ("mean", "longest", "apart"))):
            if getattr(self, name) not in allowed:
                msg = f"--{name} {getattr(self, name)!r} is unknown; expected {', '.join(allowed)}"
                raise UsageError(msg)
        if self.depth:
            check_depth(self.depth)
        if self.period and not self.period[0] < self.period[1]:
            first, after = (f"{moment:%Y-%m-%d}" for moment in self.period)
            msg = f"The period from {first} to before {after} is empty; give --from a day not after --to"
            raise UsageError(msg)
        if self.utc_offset is not None and not -12 <= self.utc_offset <= 14:
            msg = f"--utc-offset {self.utc_offset:g} is none on Earth; give hours from -12 to 14, for example 8"
            raise UsageError(msg)

    def given(self) -> dict[str, Any]:
        """Return what differs from the default, by name: the keywords for a reader."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}


@runtime_checkable
class ReferenceReader(Protocol):
    """What the class named by `ReferenceSpec.reader` offers.

    `open` may take more keywords, any of those of `StationSelection`; the host passes what was asked for and the
    reader names (or takes as `**selection`), and narrows stations, depth and period itself where it does not.
    A reader may also offer `inventory(path)`, a row for each sensor, and `claims(path)`, whether a folder or zip
    whose name no pattern matches is one of its own.
    """

    def open(self, path: Path, *, area: Area | None = None) -> pd.DataFrame:
        """Read measurements: columns station, lon, lat, depth (m), time (UTC), sm (m3 m-3).

        `attrs["dropped"]` counts what was left out, by reason.
        """
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """One validation figure, with all that is needed to defend it.

    Attributes
    ----------
    estimator : dbn, rf, ridge, mean, bilinear, coarse or another plugin's name
    metric : r, p, spearman, r2_pearson (squared Pearson), r2 (1-SSE/SST), rmse, ubrmse, bias, mae, mre, slope, kge
        (2009), kge_2012, mse and its parts mse_bias, mse_variance, mse_correlation; g_down and its parts g_effi,
        g_prec, g_accu; and `<metric>_difference` of two estimators
    value, ci_low, ci_high : the figure and its 95 % interval; None where undefined
    n : sample size
    reference : what it was compared with
    split : how the sample was held out
    """

    estimator: str
    metric: str
    value: float | None
    n: int
    ci_low: float | None
    ci_high: float | None
    reference: str
    split: str


_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def is_name(text: str) -> bool:
    """Whether a text can name a model or an alias: lower-case letters, digits, `.`, `_` and `-`, first no sign."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A reference to a model: `name`, `name@v3` or `name@alias`."""

    name: str
    selector: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Read `name[@selector]`.

        Raises
        ------
        UsageError
            If a part holds anything but lower-case letters, digits, `.`, `_` and `-`, or begins with `.`.
        """
        name, at, selector = text.partition("@")
        if not is_name(name) or (at and not is_name(selector)):
            msg = (
                f"{text!r} is no model reference; expected NAME, NAME@vN or NAME@ALIAS in lower-case letters, "
                "digits, '.', '_' and '-', for example smd-dbn@v1; see: zoo models list"
            )
            raise UsageError(msg)
        return cls(name, selector or None)

    @property
    def version(self) -> int | None:
        """The number in `name@vN`, else None."""
        if self.selector and (match := re.fullmatch(r"v([1-9][0-9]*)", self.selector)):
            return int(match[1])
        return None

    def __str__(self) -> str:
        return f"{self.name}@{self.selector}" if self.selector else self.name
