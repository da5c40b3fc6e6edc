"""Search NASA's Common Metadata Repository (CMR) through earthaccess."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatch
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from zoo.errors import MissingDependencyError, ZooError
from zoo.fetch.catalogue import Product
from zoo.fetch.checksums import from_cmr
from zoo.fetch.endpoints import Endpoints, Patience, reason_of
from zoo.fetch.remote import RemoteFile, RemoteGranule, below
from zoo.types import Area

_MOST = 100_000
"""Granules of one search; more is a mistake in the request."""
_UNITS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
_NAMED_DAY = re.compile(r"\.A(\d{7})\.")


def search_cmr(
    product: Product, area: Area, period: tuple[datetime, datetime], endpoints: Endpoints, patience: Patience
) -> list[RemoteGranule]:
    """Return the granules of a product that meet an area and a period, of the first version that has any.

    Raises
    ------
    ZooError
        If CMR does not answer as it should.
    """
    for version in product.versions:
        found = _search(product.name, version, area, period, endpoints, patience)
        granules = [granule for entry in found if (granule := _granule(entry, product, version, endpoints)).files]
        if granules:
            return granules
    return []


def _search(
    name: str,
    version: str,
    area: Area,
    period: tuple[datetime, datetime],
    endpoints: Endpoints,
    patience: Patience,
) -> list[Mapping[str, Any]]:
    try:
        import earthaccess
        import requests
    except ImportError as error:
        what, package, extra = "Searching NASA's catalogue", "earthaccess", "fetch"
        raise MissingDependencyError(what, package, extra) from error
    query = earthaccess.DataGranules()
    query.mode(endpoints.cmr)
    for scheme in ("http://", "https://"):
        query.session.mount(scheme, patience.adapter())
    query.short_name(name).version(version).bounding_box(*area.bounds).temporal(*period)
    try:
        with warnings.catch_warnings():
            # earthaccess 0.17 warns of its own call of a method that becomes an attribute in 1.0
            warnings.simplefilter("ignore", FutureWarning)
            return list(query.get(_MOST))
    except (requests.RequestException, RuntimeError, ValueError, KeyError) as error:
        msg = f"NASA's catalogue at {endpoints.cmr} cannot be searched for {name} ({reason_of(error)}); try again later"
        raise ZooError(msg) from error


def _granule(entry: Mapping[str, Any], product: Product, version: str, endpoints: Endpoints) -> RemoteGranule:
    umm = entry["umm"]
    files = tuple(_files(umm, product, endpoints))
    identifier = files[0].place.stem if files else str(umm["GranuleUR"])
    start, end = _period(umm)
    if product.named_day and (match := _NAMED_DAY.search(identifier)):
        start = datetime.strptime(match[1], "%Y%j").replace(tzinfo=UTC)
        end = start + timedelta(days=1)
    return RemoteGranule(f"{product.name}.{version}", identifier, start, end, files)


def _files(umm: Mapping[str, Any], product: Product, endpoints: Endpoints) -> list[RemoteFile]:
    """Describe the data files that a granule links over HTTP, each name once; archives list mirrors."""
    facts = umm.get("DataGranule", {}).get("ArchiveAndDistributionInformation", [])
    by_name = {str(fact.get("Name")): fact for fact in facts}
    links = [link["URL"] for link in umm.get("RelatedUrls", []) if link.get("Type") == "GET DATA"]
    found: dict[str, RemoteFile] = {}
    for url in links:
        name = PurePosixPath(unquote(urlsplit(url).path)).name
        if url.startswith("http") and fnmatch(name, product.pattern) and name not in found:
            only = facts[0] if len(facts) == 1 else {}
            found[name] = _file(url, name, by_name.get(name, only), product, endpoints)
    return list(found.values())


def _file(url: str, name: str, facts: Mapping[str, Any], product: Product, endpoints: Endpoints) -> RemoteFile:
    exact = facts.get("SizeInBytes")
    unit = _UNITS.get(str(facts.get("SizeUnit")))
    about = round(float(facts["Size"]) * unit) if unit and facts.get("Size") else None
    return RemoteFile(
        url=url,
        place=below(PurePosixPath(product.folder), name),
        bytes=int(float(exact)) if exact else None,
        about=about,
        checksum=from_cmr(facts.get("Checksum", {})),
        earthdata=endpoints.is_earthdata(url),
    )


def _period(umm: Mapping[str, Any]) -> tuple[datetime | None, datetime | None]:
    extent = umm.get("TemporalExtent", {})
    dates = extent.get("RangeDateTime", {})
    start = dates.get("BeginningDateTime") or extent.get("SingleDateTime")
    end = dates.get("EndingDateTime") or start
    return _time(start), _time(end)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
