"""What a server's answer to a request for a file means."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from zoo.errors import DataError, ZooError
from zoo.fetch.endpoints import BUSY
from zoo.fetch.login import HOW, REGISTER, LoginError
from zoo.fetch.remote import RemoteFile

if TYPE_CHECKING:
    import requests

_LICENCE = re.compile(
    r"eula|licen[cs]e|terms of use|not (?:yet )?(?:authori[sz]ed|approved)|approve_app", re.IGNORECASE
)
_APPROVAL = re.compile(r"approve_app|accept_eula|unaccepted_eula", re.IGNORECASE)
"""Pages of Earthdata Login that ask for consent in place of a name."""
_ADDRESS = re.compile(r"https?://[^\s\"'<>]+")
_APPLICATIONS = f"{REGISTER}/application_search"
_TOTAL = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")


class Setback(ZooError):
    """A try failed; the next may succeed. `wait` is what the server asks for, seconds."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def check_answer(answer: requests.Response, file: RemoteFile) -> None:
    """Let an answer with content (200, 206) or 416 pass; say what any other means.

    Raises
    ------
    LoginError
        401; 403 that names a licence; or a login page in place of the file.
    Setback
        The server is busy.
    DataError
        The file is gone.
    ZooError
        The server refuses for another reason.
    """
    code = answer.status_code
    if code in BUSY:
        reason = f"{file.name}: the server is busy ({code})"
        raise Setback(reason, retry_after(answer))
    if code in (200, 206) and is_page(answer, file) and _APPROVAL.search(answer.text):
        raise _forbidden(answer, file)
    if code == 401 or (code in (200, 206) and is_page(answer, file)):
        raise LoginError(_unauthorised(file))
    if code == 403:
        raise _forbidden(answer, file)
    if code in (404, 410):
        msg = f"{file.name} is in the catalogue but no longer at its address ({code}); try again later"
        raise DataError(msg)
    if code not in (200, 206, 416):
        msg = f"{file.name}: {_host(answer)} answers {code} {answer.reason}; try again later"
        raise ZooError(msg)


def retry_after(answer: requests.Response) -> float | None:
    """Read `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3)."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def announced(answer: requests.Response) -> tuple[int, int | None]:
    """Return at which byte an answer's content begins, and how long the whole file is, if it says so."""
    match = _TOTAL.match(answer.headers.get("Content-Range", ""))
    if answer.status_code == 206 and match:
        return int(match[1] or 0), int(match[2])
    length = answer.headers.get("Content-Length", "")
    coded = answer.headers.get("Content-Encoding", "identity") != "identity"
    return 0, int(length) if length.isdecimal() and not coded else None


def whole_length(answer: requests.Response) -> int | None:
    """Return the file's length that an unsatisfiable range (416) names."""
    match = _TOTAL.match(answer.headers.get("Content-Range", ""))
    return int(match[2]) if match else None


def version_of(answer: requests.Response) -> str:
    """Return what tells one version of a file from another, or nothing."""
    tag = answer.headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified", "")


def is_page(answer: requests.Response, file: RemoteFile) -> bool:
    """Tell whether a web page came in place of the file: a login form is sent with code 200."""
    kind = answer.headers.get("Content-Type", "").lower()
    return kind.startswith("text/html") and PurePosixPath(file.name).suffix.lower() not in (".html", ".htm")


def _unauthorised(file: RemoteFile) -> str:
    if not file.earthdata:
        return f"{file.name}: its server asks for a login that is unknown here; set SMZOO_STAC_URL to another catalogue"
    return f"{file.name}: Earthdata Login is missing, wrong or expired; {HOW}"


def _forbidden(answer: requests.Response, file: RemoteFile) -> ZooError:
    """403: a licence to accept, where the answer speaks of one; NASA's distribution sends JSON with an address."""
    text = answer.text[:20_000]
    try:
        said = json.loads(text)
    except ValueError:
        said = {}
    said = said if isinstance(said, dict) else {}
    reason = str(said.get("error_description") or "")
    if not _LICENCE.search(reason or text) and "resolution_url" not in said:
        msg = f"{file.name}: {_host(answer)} refuses access (403); {_what_it_says(reason or text)}"
        return ZooError(msg)
    page = next((url for url in _ADDRESS.findall(text) if "earthdata.nasa.gov" in url), _APPLICATIONS)
    where = str(said.get("resolution_url") or page)
    quoted = f" ({reason})" if reason else ""
    msg = (
        f"{file.name}: a licence (EULA) or application has not been accepted in your Earthdata account{quoted}; "
        f"accept it at {where} and run the command again"
    )
    return LoginError(msg)


def _what_it_says(text: str) -> str:
    plain = " ".join(re.sub(r"<[^>]*>", " ", text).split())[:120]
    return f"it says: {plain}" if plain else "it gives no reason"


def _host(answer: requests.Response) -> str:
    from urllib.parse import urlsplit

    return urlsplit(answer.url).hostname or "the server"
