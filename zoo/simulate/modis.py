"""MODIS collection 6.1 granules: MOD11A2, MOD13A2, MCD15A2H and MCD43A3, with quality layers and cloud gaps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine

from zoo.simulate.domain import Domain
from zoo.simulate.fields import Field, Mask, covering, gaussian_field, smoothed
from zoo.simulate.hdfeos import SINUSOIDAL, Layer, Period, Tile, write_tile
from zoo.simulate.landscape import Landscape
from zoo.simulate.surface import Surface

_CLOUD_SHARE = {"MOD11A2": 0.05, "MOD13A2": 0.05, "MCD15A2H": 0.05, "MCD43A3": 0.05}
_FOOTPRINT = 350.0
"""Standard deviation of the blur by scanning and gridding, metres."""


@dataclass(frozen=True, slots=True)
class _Footprint:
    """The part of a tile that the base grid touches."""

    domain: Domain
    tile: Tile
    rows: slice
    columns: slice

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def mean(self, values: Field, blur: float = _FOOTPRINT) -> Field:
        """Area mean of a base field in the pixels of the tile, as blurred as a sensor sees it."""
        seen = smoothed(values, self.domain.spacing, blur) if blur else values
        affine = self.tile.affine * Affine.translation(self.columns.start, self.rows.start)
        return self.domain.average(seen, affine, self.shape, SINUSOIDAL)

    def raw(self, values: npt.NDArray[Any], fill: int, kind: str) -> npt.NDArray[np.integer[Any]]:
        """Put values (NaN is fill) into an array of the whole tile."""
        whole = np.full((self.tile.size, self.tile.size), fill, dtype=kind)
        known = np.isfinite(values)
        whole[self.rows, self.columns] = np.where(known, np.round(np.where(known, values, 0)), fill)
        return whole


def write_modis(
    folder: Path, domain: Domain, landscape: Landscape, surface: Surface, rng: np.random.Generator, cloud: float
) -> list[Path]:
    """Write every tile of the four products; `cloud` multiplies the share of cloud."""
    folder.mkdir(parents=True)
    makers = {
        "MOD11A2": (_temperature, "MODIS_Grid_8Day_1km_LST", 1200),
        "MOD13A2": (_vegetation, "MODIS_Grid_16DAY_1km_VI", 1200),
        "MCD15A2H": (_leaf_area, "MOD_Grid_MOD15A2H", 2400),
        "MCD43A3": (_albedo, "MOD_Grid_BRDF", 2400),
    }
    paths = []
    for (product, (make, grid, size)), own in zip(makers.items(), rng.spawn(len(makers)), strict=True):
        hidden = _clouds(domain, own, cloud * _CLOUD_SHARE[product])
        for at in _footprints(domain, size):
            layers = make(at, landscape, surface, hidden, own)
            paths.append(
                write_tile(folder, product, grid, at.tile, period(product, domain.day), layers, domain.statement)
            )
    return paths


def period(product: str, day: date) -> Period:
    """Return the period of the granule that holds a day.

    MOD11A2 and MCD15A2H: eight days, MOD13A2: sixteen, counted from 1 January and named after their first day.
    MCD43A3: daily, named after the ninth of sixteen days.
    """
    if product == "MCD43A3":
        first, days, named = day - timedelta(days=8), 16, day
    else:
        days = 16 if product == "MOD13A2" else 8
        first = day - timedelta(days=(day.timetuple().tm_yday - 1) % days)
        named = first
    last = first + timedelta(days=days - 1)
    return Period(
        datetime.combine(named, time(0), UTC),
        datetime.combine(first, time(0), UTC),
        datetime.combine(last, time(23, 59, 59), UTC),
    )


def _footprints(domain: Domain, size: int) -> Iterator[_Footprint]:
    """Every tile that the base grid touches."""
    side = Tile(0, 0, size)
    whole = domain.window(side.affine, (18 * size, 36 * size), SINUSOIDAL)
    if whole is None:
        return
    rows, columns = whole
    for v in range(rows.start // size, (rows.stop - 1) // size + 1):
        for h in range(columns.start // size, (columns.stop - 1) // size + 1):
            tile = Tile(h, v, size)
            window = domain.window(tile.affine, (size, size), SINUSOIDAL)
            if window is not None:
                yield _Footprint(domain, tile, *window)


def _clouds(domain: Domain, rng: np.random.Generator, share: float) -> Field:
    """1 where cloud hid the ground for the whole period."""
    return covering(gaussian_field(rng, domain.shape, domain.spacing, 7e3, 3.4), share).astype(np.float32)


def _noise(rng: np.random.Generator, values: Field, deviation: float | Field) -> Field:
    return (values + deviation * rng.standard_normal(values.shape, dtype=np.float32)).astype(np.float32)


def _is_cloudy(at: _Footprint, hidden: Field) -> Mask:
    return at.mean(hidden, blur=0) > 0.35


def _temperature(
    at: _Footprint, landscape: Landscape, surface: Surface, hidden: Field, rng: np.random.Generator
) -> list[Layer]:
    """MOD11A2: no value under cloud; more error, and a flag for it, in a broken sky."""
    cloudy = _is_cloudy(at, hidden)
    ragged = at.mean(hidden, blur=1500.0) > 0.12
    layers = []
    for part, kelvin, code in (("Day", surface.lst_day, 105), ("Night", surface.lst_night, 225)):
        values = at.mean(kelvin)
        values = np.where(cloudy, np.nan, _noise(rng, values, np.where(ragged, 1.6, 0.7).astype(np.float32)))
        known = np.isfinite(values)
        quality = np.where(known, np.where(ragged, 0b01000001 | 0b00010000, 0), np.where(cloudy, 2, np.nan))
        layers += [
            _lst_layer(f"LST_{part}_1km", at.raw(values / 0.02, 0, "uint16"), part),
            Layer(
                f"QC_{part}",
                at.raw(quality, 3, "uint8"),
                {
                    "long_name": f"Quality control for {part.lower()}time LST and emissivity",
                    "Number Type": "uint8",
                    "valid_range": np.array([0, 255], np.uint8),
                },
            ),
            _byte(
                f"{part}_view_time",
                at.raw(np.where(known, code, np.nan), 255, "uint8"),
                255,
                (0, 240),
                0.1,
                units="hrs",
            ),
            _byte(
                f"{part}_view_angl", at.raw(np.where(known, 65, np.nan), 255, "uint8"), 255, (0, 130), 1.0, -65.0, "deg"
            ),
        ]
    green = at.mean(surface.green)
    for band, low in (("31", 0.965), ("32", 0.972)):
        emissivity = (low + 0.018 * green - 0.49) / 0.002
        layers.append(_byte(f"Emis_{band}", at.raw(emissivity, 0, "uint8"), 0, (1, 255), 0.002, 0.49))
    days = np.where(cloudy, 0, np.where(ragged, 0b00100100, 0b11110111))
    for name in ("Clear_sky_days", "Clear_sky_nights"):
        layers.append(_byte(name, at.raw(np.where(np.isfinite(green), days, np.nan), 0, "uint8"), 0, (0, 255)))
    return layers


def _lst_layer(name: str, raw: npt.NDArray[np.integer[Any]], part: str) -> Layer:
    attributes: dict[str, Any] = {
        "long_name": f"8-day {part.lower()}time 1km grid Land-surface Temperature",
        "units": "K",
        "Number Type": "uint16",
        "valid_range": np.array([7500, 65535], np.uint16),
        "_FillValue": np.uint16(0),
        "scale_factor": 0.02,
        "scale_factor_err": 0.0,
        "add_offset_err": 0.0,
    }
    return Layer(name, raw, attributes)


def _byte(
    name: str,
    raw: npt.NDArray[np.integer[Any]],
    fill: int,
    valid: tuple[int, int],
    scale: float | None = None,
    offset: float | None = None,
    units: str = "",
    **texts: str,
) -> Layer:
    """Make a layer of 8-bit values with the attributes that its product gives it."""
    attributes: dict[str, Any] = {"long_name": name, **({"units": units} if units else {}), **texts}
    attributes |= {"valid_range": np.array(valid, np.uint8), "_FillValue": np.uint8(fill)}
    attributes |= {} if scale is None else {"scale_factor": scale}
    attributes |= {} if offset is None else {"add_offset": offset}
    return Layer(name, raw, attributes)


def _vegetation(
    at: _Footprint, landscape: Landscape, surface: Surface, hidden: Field, rng: np.random.Generator
) -> list[Layer]:
    """MOD13A2: cloudy pixels keep a value, spoiled, and say so in pixel reliability and quality."""
    cloudy, water = _is_cloudy(at, hidden), at.mean(landscape.water, blur=0)
    inside = np.isfinite(water)
    marginal = ~cloudy & (at.mean(hidden, blur=1500.0) > 0.12)
    layers = []
    spoiled = 0.06 + 0.05 * rng.random(at.shape, dtype=np.float32)
    for name, index, deviation in (("NDVI", surface.ndvi, 0.018), ("EVI", surface.evi, 0.014)):
        values = _noise(rng, at.mean(index), deviation)
        values = np.where(marginal, values - 0.03, values)
        values = np.clip(np.where(cloudy, spoiled, values), -0.2, 1.0)
        attributes = {
            "long_name": f"1 km 16 days {name}",
            "units": name,
            "valid_range": np.array([-2000, 10000], np.int16),
            "_FillValue": np.int16(-3000),
            "scale_factor": 10000.0,
            "scale_factor_err": 0.0,
            "add_offset": 0.0,
            "add_offset_err": 0.0,
        }
        raw = at.raw(np.where(inside, values, np.nan) * 10000, -3000, "int16")
        layers.append(Layer(f"1 km 16 days {name}", raw, attributes))
    # bits: 0-1 MODLAND, 2-5 usefulness, 10 mixed cloud, 11-13 land (1) or inland water (3)
    quality = np.where(cloudy, 0b10 | (0b1100 << 2) | (1 << 10), np.where(marginal, 0b01 | (0b0010 << 2), 0))
    quality = quality | np.where(water > 0.5, 3 << 11, 1 << 11)
    reliability = np.where(cloudy, 3, np.where(marginal, 1, 0))
    return [
        *layers,
        Layer(
            "1 km 16 days VI Quality",
            at.raw(np.where(inside, quality, np.nan), 65535, "uint16"),
            {
                "long_name": "1 km 16 days VI Quality",
                "units": "bit field",
                "valid_range": np.array([0, 65534], np.uint16),
                "_FillValue": np.uint16(65535),
            },
        ),
        Layer(
            "1 km 16 days pixel reliability",
            at.raw(np.where(inside, reliability, np.nan), -1, "int8"),
            {
                "long_name": "1 km 16 days pixel reliability",
                "units": "rank",
                "valid_range": np.array([0, 3], np.int8),
                "_FillValue": np.int8(-1),
            },
        ),
    ]


def _leaf_area(
    at: _Footprint, landscape: Landscape, surface: Surface, hidden: Field, rng: np.random.Generator
) -> list[Layer]:
    """MCD15A2H: classes 254 (water) and 253 (barren) instead of values, back-up values under cloud."""
    cloudy, water = _is_cloudy(at, hidden), at.mean(landscape.water, blur=0)
    inside = np.isfinite(water)
    barren = at.mean((surface.green < 0.03).astype(np.float32), blur=0) > 0.5
    green, lai = at.mean(surface.green), at.mean(surface.lai)
    lai = _noise(rng, lai, (0.06 + 0.09 * lai).astype(np.float32))
    lai = np.where(cloudy, 0.6 * lai + _noise(rng, np.zeros_like(lai), 0.5), lai)
    saturated = ~cloudy & (lai > 4.5)
    fpar = _noise(rng, np.clip(0.02 + 0.93 * green, 0, 1).astype(np.float32), 0.025)
    classes = np.where(water > 0.5, 254, np.where(barren, 253, 0))

    def packed(values: npt.NDArray[Any], scale: float, none: int = 0) -> npt.NDArray[np.integer[Any]]:
        raw = np.clip(np.round(values / scale), 0, 100)
        return at.raw(np.where(inside, np.where(classes > 0, none or classes, raw), np.nan), 255, "uint8")

    quality = np.where(cloudy, 0b01101001, np.where(saturated, 0b00100000, 0))
    quality = np.where(classes > 0, 157, quality)
    extra = np.where(cloudy, 0b00100000, 0) | np.where(water > 0.5, 2, 0) | 0b10000000
    units = {"Fpar_500m": "Percent", "Lai_500m": "m^2/m^2"}
    layers = [
        _byte("Fpar_500m", packed(fpar, 0.01), 255, (0, 100), 0.01, 0.0, units["Fpar_500m"]),
        _byte("Lai_500m", packed(lai, 0.1), 255, (0, 100), 0.1, 0.0, units["Lai_500m"]),
        _byte("FparLai_QC", at.raw(np.where(inside, quality, np.nan), 255, "uint8"), 255, (0, 254), units="class-flag"),
        _byte("FparExtra_QC", at.raw(np.where(inside, extra, np.nan), 255, "uint8"), 255, (0, 254), units="class-flag"),
    ]
    spread: Mapping[str, tuple[npt.NDArray[Any], float]] = {
        "FparStdDev_500m": (np.full(at.shape, 0.03), 0.01),
        "LaiStdDev_500m": (0.06 + 0.09 * np.maximum(lai, 0), 0.1),
    }
    for name, (values, scale) in spread.items():
        layers.append(
            _byte(name, packed(values, scale, 248), 255, (0, 100), scale, 0.0, units=units[name.replace("StdDev", "")])
        )
    return layers


def _albedo(
    at: _Footprint, landscape: Landscape, surface: Surface, hidden: Field, rng: np.random.Generator
) -> list[Layer]:
    """MCD43A3: fill under lasting cloud, magnitude inversions with more error where the sky was broken."""
    cloudy = _is_cloudy(at, hidden)
    magnitude = ~cloudy & (at.mean(hidden, blur=1500.0) > 0.12)
    error = np.where(magnitude, 0.012, 0.004).astype(np.float32)
    white = {"vis": at.mean(surface.alb_vis), "nir": at.mean(surface.alb_nir)}
    white["shortwave"] = (0.44 * white["vis"] + 0.56 * white["nir"]).astype(np.float32)
    inside = np.isfinite(white["vis"])
    layers = [
        _byte(
            f"BRDF_Albedo_Band_Mandatory_Quality_{band}",
            at.raw(np.where(inside & ~cloudy, np.where(magnitude, 1, 0), np.nan), 255, "uint8"),
            255,
            (0, 254),
            units="concatenated flags",
        )
        for band in white
    ]
    for sky, factor in (("BSA", 0.96), ("WSA", 1.0)):
        for band, values in white.items():
            seen = np.where(cloudy, np.nan, np.clip(_noise(rng, factor * values, error), 0.0, 1.0))
            attributes = {
                "long_name": f"Albedo_{sky}_{band}",
                "units": "reflectance, no units",
                "valid_range": np.array([0, 32767], np.int16),
                "_FillValue": np.int16(32767),
                "scale_factor": 0.001,
                "add_offset": 0.0,
                "scale_factor_err": 0.0,
                "add_offset_err": 0.0,
            }
            layers.append(Layer(f"Albedo_{sky}_{band}", at.raw(seen / 0.001, 32767, "int16"), attributes))
    return layers
