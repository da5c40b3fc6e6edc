"""What options say of granules, a place and a day, as a request; and of predictors, as their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from zoo.correction import Mode
    from zoo.inputs import Request


def request_of(
    *,
    sensor: str | None,
    data: list[Path] | None,
    area: tuple[float, float, float, float] | None,
    date: str | None,
    time: str | None = None,
    window: str | None = None,
    orbit: str | None = None,
    quality: str = "recommended",
    variable: str | None = None,
    like: Path | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    site: str | None = None,
) -> Request:
    """Make the request that the options describe; without `--data`, that of the sample scene.

    A site fills in what no option says.
    """
    from dataclasses import replace

    from zoo.granules import Selection, parse_date, parse_time, parse_window
    from zoo.inputs import Request, sample_request
    from zoo.sites import find_site
    from zoo.types import Area

    check_quality(quality)
    _check_orbit(orbit)
    check_window(time, window)
    _check_grid(crs, resolution)
    products: dict[str, str] = {}
    if site:
        known = find_site(site)
        area, sensor, products = area or known.area, sensor or known.sensor, known.prefer
        date = date or (known.day.isoformat() if known.day else None)
        if like is None and crs is None:
            crs, resolution = known.crs, known.resolution
    if data:
        _check_place(area, date)
    box, day = Area(*area) if area else None, parse_date(date) if date else None
    when: dict[str, Any] = {
        "time": parse_time(time) if time else None,
        "window": parse_window(window) if window else None,
        "orbit": orbit,
    }
    how: dict[str, Any] = {
        "quality": quality, "variable": variable, "like": like, "crs": crs, "resolution": resolution,
        "products": products,
    }  # fmt: skip
    if data:
        assert box is not None
        assert day is not None
        return Request(tuple(data), box, Selection(day, **when), sensor or "smap", **how)
    sample = sample_request(sensor or "smap")
    selection = Selection(day or sample.selection.date, **when)
    return replace(sample, area=box or sample.area, selection=selection, _files=[], **how)


def layers_of(text: str | None, site: str | None) -> tuple[str, ...]:
    """Return the predictors that `--layers` names, else the site's, else the default set."""
    from zoo.predictors import PAPER
    from zoo.sites import find_site

    if text is None:
        return (find_site(site).layers if site else None) or PAPER
    return predictors_in(text, "--layers")


def predictors_in(text: str, option: str) -> tuple[str, ...]:
    """Return the predictors that an option names, at least one."""
    from zoo.errors import UsageError
    from zoo.predictors import listed

    named = listed(text)
    if not named:
        msg = f"{option} {text!r} names no predictor; give for example {option} lst,ndvi,dem; see: zoo plugins"
        raise UsageError(msg)
    return named


def check_quality(quality: str) -> None:
    """Refuse a `--quality` that is not known."""
    from zoo.errors import UsageError

    if quality not in ("recommended", "all"):
        msg = f"--quality {quality!r} is not known; expected recommended or all"
        raise UsageError(msg)


def check_correct(mode: str) -> Mode:
    """Refuse a `--correct` that is not known."""
    from zoo.errors import UsageError

    if mode not in ("none", "smooth", "exact"):
        msg = f"--correct {mode!r} is not known; expected none, smooth or exact"
        raise UsageError(msg)
    return cast("Mode", mode)


def check_min_valid(share: float) -> None:
    """Refuse a `--min-valid` that is no share."""
    from zoo.errors import UsageError

    if not 0 <= share <= 1:
        msg = f"--min-valid {share:g} is out of range; give a share of the cell from 0 to 1, for example 0.5"
        raise UsageError(msg)


def check_window(time: str | None, window: str | None) -> None:
    """Refuse a `--window` without the `--time` around which it lies."""
    from zoo.errors import UsageError

    if window and not time:
        msg = f"--window {window} needs --time HH:MM, around which it lies"
        raise UsageError(msg)


def _check_place(area: tuple[float, float, float, float] | None, date: str | None) -> None:
    from zoo.errors import UsageError

    missing = " and ".join(name for name, given in (("--area W S E N", area), ("--date", date)) if given is None)
    if missing:
        msg = f"--data needs {missing}, for example --area 115.5 41.5 116.5 42.5 --date 2019-09-25"
        raise UsageError(msg)


def _check_orbit(orbit: str | None) -> None:
    from zoo.errors import UsageError

    if orbit not in (None, "A", "D"):
        msg = f"--orbit {orbit!r} is not known; expected A (ascending) or D (descending)"
        raise UsageError(msg)


def _check_grid(crs: str | None, resolution: float | None) -> None:
    from zoo.errors import UsageError

    if (crs is None) != (resolution is None):
        msg = "--crs and --resolution go together; give both, or neither for EASE-Grid 2.0 at 1 km"
        raise UsageError(msg)
