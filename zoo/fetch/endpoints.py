"""Where the catalogues are, and how long to wait for a server."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter

CMR = "https://cmr.earthdata.nasa.gov/search/"
STAC = "https://planetarycomputer.microsoft.com/api/stac/v1"
SAS = "https://planetarycomputer.microsoft.com/api/sas/v1/token"
BUSY = (408, 429, 500, 502, 503, 504)
"""Answers after which the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the catalogues.

    Attributes
    ----------
    cmr : NASA's Common Metadata Repository, `SMZOO_CMR_URL`
    stac : a STAC API with `landsat-c2-l2` and `cop-dem-glo-30`, `SMZOO_STAC_URL`
    sas : where the Planetary Computer hands out tokens for its storage, `SMZOO_SAS_URL`
    """

    cmr: str = CMR
    stac: str = STAC
    sas: str = SAS

    @classmethod
    def from_environment(cls) -> Endpoints:
        """Read the variables, or take the public services."""
        return cls(
            os.environ.get("SMZOO_CMR_URL", CMR).rstrip("/") + "/",
            os.environ.get("SMZOO_STAC_URL", STAC).rstrip("/"),
            os.environ.get("SMZOO_SAS_URL", SAS).rstrip("/"),
        )

    def is_earthdata(self, url: str) -> bool:
        """Whether a file may see the Earthdata credentials: a host of NASA, or that of the catalogue in use."""
        host = urlsplit(url).hostname or ""
        return host.endswith(".nasa.gov") or host == urlsplit(self.cmr).hostname


@dataclass(frozen=True, slots=True)
class Patience:
    """How often and how long to try.

    Attributes
    ----------
    attempts : tries in a row that bring nothing new before giving up
    unreached : tries where the server's name or the server itself is not found; without a connection, waiting longer
        helps nobody
    first, longest : pause after the first try, doubled from try to try up to the longest, seconds
    longest_asked : the longest pause that a server may ask for (`Retry-After`), seconds
    timeout : silence of a server that counts as a dropped connection, seconds
    connect : wait for a connection to a server, seconds
    """

    attempts: int = 6
    unreached: int = 3
    first: float = 1.0
    longest: float = 60.0
    longest_asked: float = 900.0
    timeout: float = 60.0
    connect: float = 10.0

    @property
    def timeouts(self) -> tuple[float, float]:
        """For a connection and for an answer, as requests takes them."""
        return self.connect, self.timeout

    def pause(self, tries: int) -> float:
        """Seconds to wait after that many tries without progress."""
        return float(min(self.first * 2.0 ** (tries - 1), self.longest))

    def adapter(self) -> HTTPAdapter:
        """Make a transport for catalogue requests that waits and tries again in the same way."""
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        retry = Retry(
            total=self.attempts - 1,
            connect=min(self.unreached, self.attempts) - 1,
            backoff_factor=self.first,
            backoff_max=self.longest,
            status_forcelist=BUSY,
            allowed_methods=None,  # a search may be a POST; it changes nothing
            raise_on_status=False,
        )
        timeouts = self.timeouts

        class Bounded(HTTPAdapter):
            def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
                options["timeout"] = options.get("timeout") or timeouts
                return super().send(request, *args, **options)

        return Bounded(max_retries=retry)


def is_unreached(error: BaseException) -> bool:
    """Whether a name was not found, or a connection not made: what requests wraps in layers of its own."""
    from urllib3.exceptions import ConnectTimeoutError

    inner = error.args[0] if error.args else None
    reason = getattr(inner, "reason", inner)
    return isinstance(getattr(reason, "original_error", reason), ConnectTimeoutError)  # that of a proxy is wrapped too


def reason_of(error: Exception) -> str:
    """Say briefly why a catalogue did not answer: no connection, or its own words."""
    words = " ".join(str(error).split())
    if "Max retries exceeded" in words or "Connection" in type(error).__name__:
        return "no connection"
    return words[:200] or "it gives no reason"
