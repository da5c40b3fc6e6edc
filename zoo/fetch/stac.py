"""Search a STAC catalogue through pystac-client, and sign what the Planetary Computer keeps in Azure."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from zoo.errors import DataError, MissingDependencyError, ZooError
from zoo.fetch.catalogue import Product
from zoo.fetch.checksums import from_multihash
from zoo.fetch.endpoints import Endpoints, Patience, reason_of
from zoo.fetch.remote import RemoteFile, RemoteGranule, below
from zoo.types import Area

AZURE = ".blob.core.windows.net"
"""Storage of the Planetary Computer: reading asks for a token in the address."""


def search_stac(
    product: Product,
    area: Area,
    period: tuple[datetime, datetime] | None,
    endpoints: Endpoints,
    patience: Patience,
) -> list[Mapping[str, Any]]:
    """Return the items (GeoJSON) of a collection that meet an area and, unless it is static, a period.

    Raises
    ------
    ZooError
        If the catalogue does not answer as it should.
    """
    try:
        import requests
        from pystac_client import Client
        from pystac_client.exceptions import APIError
        from pystac_client.stac_api_io import StacApiIO
    except ImportError as error:
        what, package, extra = "Searching a STAC catalogue", "pystac-client", "fetch"
        raise MissingDependencyError(what, package, extra) from error
    io = StacApiIO(timeout=patience.timeouts)
    for scheme in ("http://", "https://"):
        io.session.mount(scheme, patience.adapter())
    try:
        client = Client.open(endpoints.stac, stac_io=io)
        found = client.search(collections=[product.name], bbox=area.bounds, datetime=period, limit=100)
        return list(found.items_as_dicts())
    except (
        APIError,
        requests.RequestException,
        ValueError,
        KeyError,
        TypeError,
        NotImplementedError,
    ) as error:
        msg = f"The STAC catalogue at {endpoints.stac} cannot be searched for {product.name} ({reason_of(error)}); "
        raise ZooError(msg + "try again later, or name another with SMZOO_STAC_URL") from error


def granule_of(item: Mapping[str, Any], product: Product, layers: Iterable[str]) -> RemoteGranule:
    """Describe an item with the assets that the layers need.

    Raises
    ------
    DataError
        If an asset is missing, or cannot be fetched over HTTP.
    """
    start, end = (None, None) if product.group == "dem" else _period(item)
    folder = PurePosixPath(product.folder)
    if product.group == "landsat":
        folder = below(folder, str(item["id"]))
    files = tuple(_file(item, key, folder) for key in _keys(item, product, layers))
    return RemoteGranule(product.name, str(item["id"]), start, end, files)


def _keys(item: Mapping[str, Any], product: Product, layers: Iterable[str]) -> Iterator[str]:
    """Name the assets to fetch; of the metadata files those that there are."""
    wanted = [key for layer in layers for key in product.assets.get(layer, ())]
    for key in dict.fromkeys((*wanted, *product.always)):
        if key in item["assets"]:
            yield key
        elif not key.startswith("mtl"):
            listed = ", ".join(sorted(item["assets"]))
            msg = f"{item['id']} has no asset {key!r} in the STAC catalogue; it has: {listed}"
            raise DataError(msg)


def _file(item: Mapping[str, Any], key: str, folder: PurePosixPath) -> RemoteFile:
    asset = item["assets"][key]
    url = str(asset["href"])
    if not url.startswith("http"):
        msg = (
            f"{item['id']} offers {key!r} only at {url}, which needs an account of that store; "
            "set SMZOO_STAC_URL to a catalogue with https addresses, such as that of the Planetary Computer"
        )
        raise DataError(msg)
    size = asset.get("file:size")
    return RemoteFile(
        url=url,
        place=below(folder, PurePosixPath(unquote(urlsplit(url).path)).name),
        bytes=int(size) if size else None,
        checksum=from_multihash(str(asset.get("file:checksum", ""))),
    )


def _period(item: Mapping[str, Any]) -> tuple[datetime, datetime]:
    facts = item["properties"]
    start = facts.get("datetime") or facts["start_datetime"]
    return _time(start), _time(facts.get("datetime") or facts["end_datetime"])


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


class Signer:
    """Adds the Planetary Computer's tokens to addresses in its storage; others pass unchanged.

    A token serves a container and is asked for again a minute before it ends
    (https://planetarycomputer.microsoft.com/docs/concepts/sas).
    """

    def __init__(self, endpoints: Endpoints, patience: Patience) -> None:
        self._sas = endpoints.sas
        self._patience = patience
        self._tokens: dict[str, tuple[str, datetime]] = {}
        self._lock = threading.Lock()

    def sign(self, url: str) -> str:
        """Return the address with a token, if it needs one."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not host.endswith(AZURE) or parts.query:
            return url
        container = f"{host.removesuffix(AZURE)}/{parts.path.split('/')[1]}"
        return f"{url}?{self._token(container)}"

    def _token(self, container: str) -> str:
        with self._lock:
            token, ends = self._tokens.get(container, ("", datetime.min.replace(tzinfo=UTC)))
            if (ends - datetime.now(UTC)).total_seconds() < 60:
                token, ends = self._tokens[container] = self._ask(container)
            return token

    def _ask(self, container: str) -> tuple[str, datetime]:
        import requests

        try:
            with requests.Session() as session:
                for scheme in ("http://", "https://"):
                    session.mount(scheme, self._patience.adapter())
                answer = session.get(f"{self._sas}/{container}")
                answer.raise_for_status()
                content = answer.json()
            return str(content["token"]), _time(content["msft:expiry"])
        except (requests.RequestException, ValueError, KeyError) as error:
            msg = f"{self._sas} gives no token for {container} ({reason_of(error)}); try again later"
            raise ZooError(msg) from error
