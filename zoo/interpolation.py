"""Interpolation of the coarse field to the fine grid: what a downscaled map has to be better than."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox


def interpolate(coarse: xr.DataArray, geobox: GeoBox, method: str = "bilinear") -> xr.DataArray:
    """Interpolate a coarse field (dims y, x) to a fine grid.

    Parameters
    ----------
    coarse : NaN where missing
    geobox : the fine grid
    method : `bilinear` or `cubic`
    """
    from odc.geo.xr import xr_reproject

    fine: xr.DataArray = xr_reproject(coarse, geobox, resampling=method, dst_nodata=float("nan"))
    return fine.rename(coarse.name).assign_attrs(coarse.attrs)
