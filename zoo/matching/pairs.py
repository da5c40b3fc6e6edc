"""Pairs of a map and what it is compared with: stations in its pixels, or another field on a common grid."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_reproject
from pyproj import Transformer

from zoo.errors import DataError, UsageError
from zoo.granules import Selection
from zoo.grids import as_array, centres, geobox_of
from zoo.stack.area_mean import area_mean, area_of, same_pixels, window_near
from zoo.types import check_depth

__all__ = ["NEAREST", "Match", "Pairs", "match_field", "match_stations", "on_grid_of", "place_stations", "values_at"]

MIN_VALID = 0.5
"""Share of a coarse cell that valid fine pixels must cover."""
SAME_SIZE = 1.5
"""Pixels whose sides differ by less than this factor are compared one to one."""
BLOCKS = 6
"""A field's pairs are cut into 6 x 6 blocks: neighbouring pixels are not independent."""


@dataclass(frozen=True, slots=True)
class Match:
    """How a map is read at a station; in every way the pixel that the station stands in has to be valid.

    Attributes
    ----------
    method : `nearest`, the pixel that the station stands in; `bilinear`, between the four pixel centres around it;
        `window`, the mean of the `size` x `size` pixels around that pixel. Missing pixels and those beyond the
        map's edge are left out, the weights of the others scaled up
    size : side of the window in pixels, odd
    """

    method: Literal["nearest", "bilinear", "window"] = "nearest"
    size: int = 1

    @classmethod
    def parse(cls, text: str) -> Match:
        """Read `nearest`, `bilinear` or `window=N`.

        Raises
        ------
        UsageError
            If it is another word, or N is not odd and at least 3.
        """
        method, _, size = text.partition("=")
        if method in ("nearest", "bilinear") and not size:
            return cls(cast("Literal['nearest', 'bilinear']", method))
        if method == "window" and size.isdecimal() and int(size) >= 3 and int(size) % 2:
            return cls("window", int(size))
        msg = f"--match {text!r} is not known; expected nearest, bilinear or window=N with N odd, for example window=3"
        raise UsageError(msg)

    def __str__(self) -> str:
        return f"window={self.size}" if self.method == "window" else self.method


NEAREST = Match()


@dataclass(frozen=True, slots=True)
class Pairs:
    """Matched values.

    Attributes
    ----------
    table : columns lon, lat, observed, predicted, and `station` or `block`
    dropped : how many stations or cells are not in it, by reason
    groups : labels of rows that hang together, None where rows count as independent
    left_out : names of the stations behind `dropped`, by reason; empty for fields
    """

    table: pd.DataFrame
    dropped: dict[str, int]
    groups: npt.NDArray[np.int64] | None = None
    left_out: dict[str, list[str]] = field(default_factory=dict)


def match_stations(
    moisture: xr.DataArray,
    stations: pd.DataFrame,
    when: Selection,
    depth: tuple[float, float] = (0.0, 0.05),
    match: Match = NEAREST,
) -> Pairs:
    """Pair every station with the map's value at its place.

    Parameters
    ----------
    moisture : map, dims (y, x), m3 m-3
    stations : columns as `ReferenceReader.open` gives them
    when : the period; a station's values in it are averaged. A time without window takes each station's value
        nearest to it on that day
    depth : metres (top, bottom), ends included; an unknown depth is taken
    match : how the map is read there

    Returns
    -------
    One row a pixel; stations that share a pixel are averaged and their names joined by `+`. `dropped` counts
    stations: `other_depth`, `no_observation`, `outside_map`, `masked_pixel` and `shared_pixel` (those averaged
    into another's row); `left_out` names them (under `shared_pixel` the joined names).
    """
    placed, left_out = place_stations(moisture, stations, when, depth, match)
    pairs = placed.groupby(["row", "column"], as_index=False).agg(
        station=("station", "+".join),
        lon=("lon", "mean"),
        lat=("lat", "mean"),
        observed=("observed", "mean"),
        predicted=("predicted", "mean"),
        observations=("observations", "sum"),
        stations=("station", "size"),
    )
    left_out["shared_pixel"] = pairs.loc[pairs["stations"] > 1, "station"].tolist()
    dropped = {reason: len(names) for reason, names in left_out.items()}
    dropped["shared_pixel"] = len(placed) - len(pairs)
    return Pairs(pairs.drop(columns=["row", "column", "stations"]), dropped, left_out=left_out)


def place_stations(
    moisture: xr.DataArray, stations: pd.DataFrame, when: Selection, depth: tuple[float, float], match: Match = NEAREST
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Read a map at every station, each for itself; see `match_stations`.

    Returns
    -------
    Columns station, lon, lat, observed, observations, row, column, predicted: only stations with both values. And
    the names of the others by reason.
    """
    check_depth(depth)
    at_depth = stations[stations["depth"].isna() | stations["depth"].between(*depth)]
    means = _station_means(at_depth, when).rename(columns={"sm": "observed"})
    placed = _placed(means, moisture, match)
    inside = placed[placed["row"] >= 0]
    valid = inside[inside["predicted"].notna()]
    left_out = {
        "other_depth": _without(stations, at_depth),
        "no_observation": _without(at_depth, means),
        "outside_map": _without(placed, inside),
        "masked_pixel": _without(inside, valid),
    }
    return valid.reset_index(drop=True), left_out


def _without(all_: pd.DataFrame, kept: pd.DataFrame) -> list[str]:
    """Name the stations that a step lost."""
    return sorted(set(all_["station"].astype(str)) - set(kept["station"].astype(str)))


def match_field(field: xr.DataArray, reference: xr.DataArray) -> Pairs:
    """Pair a map with another field.

    A coarser reference: the map is averaged over its cells. A finer one: it is averaged over the map's pixels.
    Else pixel by pixel, the reference moved to the nearest pixel where the grids differ. An average needs valid
    values over half of the cell.

    Parameters
    ----------
    field, reference : dims (y, x), m3 m-3, NaN where missing

    Returns
    -------
    One row a cell or pixel. `dropped` counts those in which only the map (`reference_missing`) or only the
    reference (`masked_pixel`) has a value. `groups` are 6 x 6 blocks.
    """
    box, other = geobox_of(field), geobox_of(reference)
    side = _relative_side(other, box)
    if side >= SAME_SIZE:
        observed = _near(reference, box)
        predicted = _averaged(field, geobox_of(observed))
        mapped = _averaged(xr.ones_like(field), geobox_of(observed))
        observed = observed.where(np.isfinite(mapped.to_numpy()))
    else:
        observed = _averaged(reference, box) if side <= 1 / SAME_SIZE else _on_grid(reference, box)
        predicted = field
    return _cells(observed, predicted)


def on_grid_of(moisture: xr.DataArray, like: xr.DataArray) -> xr.DataArray:
    """Bring a field to the grid of another: area means if it is finer, else the pixel that each centre lies in."""
    box, other = geobox_of(like), geobox_of(moisture)
    if _relative_side(other, box) <= 1 / SAME_SIZE:
        return _averaged(moisture, box)
    return _on_grid(moisture, box)


def _station_means(stations: pd.DataFrame, when: Selection) -> pd.DataFrame:
    """Return one row a station: its mean over the period, or the value nearest to the instant."""
    instant = when.time is not None and when.window is None
    period = Selection(when.date) if instant else when
    # A window includes both of its ends; a day ends before the next begins.
    sides = "left" if period.window is None else "both"
    chosen = stations[stations["time"].between(period.start, period.end, inclusive=sides)]  # type: ignore[arg-type]
    if instant and len(chosen):
        distance = (chosen["time"] - when.start).abs()
        chosen = chosen[distance == distance.groupby(chosen["station"]).transform("min")]
    return chosen.groupby("station", as_index=False).agg(
        lon=("lon", "mean"), lat=("lat", "mean"), sm=("sm", "mean"), observations=("sm", "size")
    )


def values_at(
    moisture: xr.DataArray, lon: npt.ArrayLike, lat: npt.ArrayLike, match: Match = NEAREST
) -> npt.NDArray[np.float64]:
    """Read a map at places in degrees, (n,); NaN outside it and on masked pixels."""
    return _located(moisture, lon, lat, match)[2]


def _placed(stations: pd.DataFrame, moisture: xr.DataArray, match: Match) -> pd.DataFrame:
    """Add row, column (-1 outside) and the map's value."""
    row, column, values = _located(moisture, stations["lon"], stations["lat"], match)
    return stations.assign(row=row, column=column, predicted=values)


def _located(
    moisture: xr.DataArray, lon: npt.ArrayLike, lat: npt.ArrayLike, match: Match
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Return row and column (-1 outside) of places and the map's value there."""
    box = geobox_of(moisture)
    to_map = Transformer.from_crs("EPSG:4326", str(box.crs), always_xy=True)
    x, y = to_map.transform(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    across, down = ~box.affine * (np.asarray(x), np.asarray(y))
    rows, columns = box.shape.yx
    inside = (across >= 0) & (across < columns) & (down >= 0) & (down < rows)
    across, down = np.where(inside, across, 0), np.where(inside, down, 0)
    row, column = np.floor(down).astype(np.int64), np.floor(across).astype(np.int64)
    array = moisture.to_numpy().astype(np.float64)
    values = np.where(inside & np.isfinite(array[row, column]), _read_at(array, down, across, match), np.nan)
    return np.where(inside, row, -1), np.where(inside, column, -1), values


def _read_at(
    values: npt.NDArray[np.float64], down: npt.NDArray[np.float64], across: npt.NDArray[np.float64], match: Match
) -> npt.NDArray[np.float64]:
    """Weighted mean of the valid pixels that the match takes around points (pixels from the map's corner)."""
    total, weights = np.zeros(down.shape), np.zeros(down.shape)
    for row, column, weight in _neighbours(down, across, match):
        here = (row >= 0) & (row < values.shape[0]) & (column >= 0) & (column < values.shape[1])
        found = values[np.where(here, row, 0), np.where(here, column, 0)]
        weight = np.where(here & np.isfinite(found), weight, 0.0)
        total += weight * np.nan_to_num(found)
        weights += weight
    means: npt.NDArray[np.float64] = np.divide(total, weights, out=np.full(down.shape, np.nan), where=weights > 0)
    return means


def _neighbours(
    down: npt.NDArray[np.float64], across: npt.NDArray[np.float64], match: Match
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]]:
    """Give row, column and weight of each pixel around points."""
    if match.method == "bilinear":
        top, left = np.floor(down - 0.5).astype(np.int64), np.floor(across - 0.5).astype(np.int64)
        below, right = down - 0.5 - top, across - 0.5 - left
        for i, j in np.ndindex(2, 2):
            yield top + i, left + j, np.where(i, below, 1 - below) * np.where(j, right, 1 - right)
        return
    half = match.size // 2
    row, column = np.floor(down).astype(np.int64), np.floor(across).astype(np.int64)
    for i, j in np.ndindex(match.size, match.size):
        yield row + i - half, column + j - half, np.ones(down.shape)


def _relative_side(reference: GeoBox, box: GeoBox) -> float:
    """Side of a reference pixel in pixels of the map, at the map's centre."""
    x, y = box.affine * (box.shape.x / 2, box.shape.y / 2)
    there = Transformer.from_crs(str(box.crs), str(reference.crs), always_xy=True)
    across, down = ~reference.affine * there.transform(x, y)
    if not np.isfinite([across, down]).all():
        raise DataError(_apart())
    corners = [reference.affine * (across + i, down + j) for i, j in ((0, 0), (1, 0), (0, 1))]
    (x0, y0), (x1, y1), (x2, y2) = (~box.affine * there.transform(*corner, direction="INVERSE") for corner in corners)
    return float(np.sqrt(abs((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0))))


def _near(reference: xr.DataArray, box: GeoBox) -> xr.DataArray:
    """Cut a coarse reference to the cells around the map."""
    window = window_near(geobox_of(reference), area_of(box))
    if window is None:
        raise DataError(_apart())
    return reference[window]


def _averaged(field: xr.DataArray, target: GeoBox) -> xr.DataArray:
    """Mean over the cells of a grid, NaN where less than `MIN_VALID` of a cell is valid."""
    values = field.to_numpy().astype(np.float32)[None]
    means, share = area_mean(values, geobox_of(field), target)
    return as_array(np.where(share[0] >= MIN_VALID, means[0], np.nan), target, str(field.name), field.attrs)


def _on_grid(reference: xr.DataArray, box: GeoBox) -> xr.DataArray:
    if same_pixels(geobox_of(reference), box):
        return reference
    moved: xr.DataArray = xr_reproject(reference, box, resampling="nearest", dst_nodata=float("nan"))
    return moved


def _cells(observed: xr.DataArray, predicted: xr.DataArray) -> Pairs:
    """Pair two fields on one grid."""
    o, p = observed.to_numpy().astype(np.float64), predicted.to_numpy().astype(np.float64)
    both = np.isfinite(o) & np.isfinite(p)
    if not np.isfinite(o).any():
        raise DataError(_apart())
    lon, lat = (np.broadcast_to(part, o.shape)[both] for part in centres(geobox_of(predicted)))
    block = _blocks(both)[both]
    table = pd.DataFrame({"lon": lon, "lat": lat, "observed": o[both], "predicted": p[both], "block": block})
    dropped = {
        "reference_missing": int((np.isfinite(p) & ~both).sum()),
        "masked_pixel": int((np.isfinite(o) & ~both).sum()),
    }
    return Pairs(table, dropped, block)


def _blocks(valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Cut the part of a grid that holds pairs into blocks; their numbers, shape of the grid."""
    numbers: list[npt.NDArray[np.int64]] = []
    for axis, size in enumerate(valid.shape):
        used = np.flatnonzero(valid.any(axis=1 - axis))
        first, after = (used[0], used[-1] + 1) if used.size else (0, size)
        numbers.append(np.clip((np.arange(size) - first) * BLOCKS // (after - first), 0, BLOCKS - 1))
    down, across = numbers
    return BLOCKS * down[:, None] + across[None, :]


def _apart() -> str:
    return "The reference has no value where the map lies; give one of the same place"
