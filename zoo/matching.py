"""Pairs of a map and what it is compared with: stations in its pixels, or another field on a common grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_reproject
from pyproj import Transformer

from zoo.errors import DataError
from zoo.granules import Selection
from zoo.grids import as_array, centres, geobox_of
from zoo.stack.area_mean import area_mean, area_of, same_pixels, window_near

__all__ = ["Pairs", "match_field", "match_stations"]

MIN_VALID = 0.5
"""Share of a coarse cell that valid fine pixels must cover."""
SAME_SIZE = 1.5
"""Pixels whose sides differ by less than this factor are compared one to one."""
BLOCKS = 6
"""A field's pairs are cut into 6 x 6 blocks: neighbouring pixels are not independent."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Matched values.

    Attributes
    ----------
    table : columns lon, lat, observed, predicted, and `station` or `block`
    dropped : how many stations or cells are not in it, by reason
    groups : labels of rows that hang together, None where rows count as independent
    """

    table: pd.DataFrame
    dropped: dict[str, int]
    groups: npt.NDArray[np.int64] | None = None


def match_stations(
    field: xr.DataArray, stations: pd.DataFrame, when: Selection, depth: tuple[float, float] = (0.0, 0.05)
) -> Pairs:
    """Pair every station with the pixel that it stands in.

    Parameters
    ----------
    field : map, dims (y, x), m3 m-3
    stations : columns as `ReferenceReader.open` gives them
    when : the period; a station's values in it are averaged. A time without window takes each station's value
        nearest to it on that day
    depth : metres (top, bottom), ends included; an unknown depth is taken

    Returns
    -------
    One row a pixel; stations that share a pixel are averaged and their names joined by `+`. `dropped` counts
    stations: `other_depth`, `no_observation`, `outside_map`, `masked_pixel` and `shared_pixel` (those averaged
    into another's row).
    """
    known = stations["station"].nunique()
    at_depth = stations[stations["depth"].isna() | stations["depth"].between(*depth)]
    deep_enough = at_depth["station"].nunique()
    means = _station_means(at_depth, when)
    placed = _placed(means, field)
    inside = placed[placed["row"] >= 0]
    valid = inside[inside["predicted"].notna()]
    pairs = valid.groupby(["row", "column"], as_index=False).agg(
        station=("station", "+".join),
        lon=("lon", "mean"),
        lat=("lat", "mean"),
        observed=("sm", "mean"),
        predicted=("predicted", "first"),
        observations=("observations", "sum"),
    )
    dropped = {
        "other_depth": known - deep_enough,
        "no_observation": deep_enough - len(means),
        "outside_map": len(placed) - len(inside),
        "masked_pixel": len(inside) - len(valid),
        "shared_pixel": len(valid) - len(pairs),
    }
    return Pairs(pairs.drop(columns=["row", "column"]), dropped)


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


def _placed(stations: pd.DataFrame, field: xr.DataArray) -> pd.DataFrame:
    """Add row, column (-1 outside) and the map's value."""
    box = geobox_of(field)
    to_map = Transformer.from_crs("EPSG:4326", str(box.crs), always_xy=True)
    x, y = to_map.transform(stations["lon"].to_numpy(float), stations["lat"].to_numpy(float))
    across, down = ~box.affine * (np.asarray(x), np.asarray(y))
    rows, columns = box.shape.yx
    inside = (across >= 0) & (across < columns) & (down >= 0) & (down < rows)
    row = np.where(inside, np.floor(np.where(inside, down, 0)), -1).astype(int)
    column = np.where(inside, np.floor(np.where(inside, across, 0)), -1).astype(int)
    values = np.where(inside, field.to_numpy()[row, column], np.nan).astype(np.float64)
    return stations.assign(row=row, column=column, predicted=values)


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
