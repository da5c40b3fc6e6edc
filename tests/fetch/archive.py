"""An archive on the loopback: CMR, a STAC catalogue and the files, over HTTP, and the trouble that archives make.

It answers as the public services do (CMR's `granules.umm_json` with `CMR-Search-After`, a STAC API 1.0.0 with
`/search`, files with ranges and ETags) and misbehaves on command: see `Trouble`.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "loopback-token"
"""What Earthdata files ask for."""
WORLD = (-180.0, -90.0, 180.0, 90.0)
ASSETS = {
    "SR_B2.TIF": "blue", "SR_B3.TIF": "green", "SR_B4.TIF": "red", "SR_B5.TIF": "nir08", "SR_B6.TIF": "swir16",
    "SR_B7.TIF": "swir22", "QA_PIXEL.TIF": "qa_pixel", "QA_RADSAT.TIF": "qa_radsat", "MTL.txt": "mtl.txt",
    "MTL.json": "mtl.json", "ST_B10.TIF": "lwir11",
}  # fmt: skip
MULTIHASH = {"sha256": "1220", "md5": "d50110"}


@dataclass
class Trouble:
    """How to misbehave for one file, and how many times.

    kind : `drop` closes after half of what is asked, `stall` sends half and then nothing, `short` promises more than it
        sends, `long` sends more than there is, `garbage` sends other bytes of the right length, `page` sends a web page
        (`body`, or a login form) with code 200, `changed` sends a new ETag, `ignore-range` always sends half of all; a
        number is an HTTP code
    times : how often; then the archive behaves
    headers, body : of a code
    """

    kind: str | int
    times: int = 10**9
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


@dataclass
class Request:
    """A request for a file, as it came."""

    method: str
    name: str
    range: str | None
    authorised: bool


@dataclass
class Archive:
    """What is served, and what was asked for."""

    url: str = ""
    files: dict[str, Path] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    granules: list[dict[str, Any]] = field(default_factory=list)
    items: list[dict[str, Any]] = field(default_factory=list)
    trouble: dict[str, list[Trouble]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    searches: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    page: int = 100
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def misbehave(self, name: str, *troubles: Trouble) -> None:
        """Make trouble for a file (its name), or for a catalogue (`cmr`, `stac`), one after the other."""
        self.trouble[name] = list(troubles)

    def downloads(self, name: str | None = None) -> list[Request]:
        """Requests for content, of one file or all."""
        return [r for r in self.requests if r.method == "GET" and name in (None, r.name)]

    def environment(self) -> dict[str, str]:
        """Variables that point the program here."""
        return {
            "SMZOO_CMR_URL": f"{self.url}/cmr/search",
            "SMZOO_STAC_URL": f"{self.url}/stac",
            "SMZOO_SAS_URL": f"{self.url}/sas",
            "EARTHDATA_TOKEN": TOKEN,
        }

    def add_granule(
        self,
        path: Path,
        short_name: str,
        version: str,
        start: datetime,
        end: datetime,
        box: tuple[float, float, float, float] = WORLD,
        **facts: Any,
    ) -> None:
        """List a file in CMR; `facts` replace what is said of size and checksum."""  # fmt: skip
        url = f"{self.url}/files/{path.name}"
        self.files[path.name] = path
        self.protected.add(path.name)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        said = {
            "Name": path.name,
            "SizeInBytes": path.stat().st_size,
            "Size": path.stat().st_size / 1024**2,
            "SizeUnit": "MB",
            "Checksum": {"Value": digest, "Algorithm": "SHA-256"},
        }
        umm = {
            "GranuleUR": path.name,
            "CollectionReference": {"ShortName": short_name, "Version": version},
            "TemporalExtent": {"RangeDateTime": {"BeginningDateTime": _z(start), "EndingDateTime": _z(end)}},
            "SpatialExtent": {},
            "RelatedUrls": [
                {"URL": url, "Type": "GET DATA"},
                {"URL": f"{url}.xml", "Type": "EXTENDED METADATA"},
                {"URL": url.replace("http://", "s3://"), "Type": "GET DATA VIA DIRECT ACCESS"},
            ],
            "DataGranule": {"ArchiveAndDistributionInformation": [{**said, **facts}]},
        }
        self.granules.append({"meta": {"concept-id": f"G{len(self.granules)}-LOOP"}, "umm": umm, "_box": box})

    def add_item(
        self,
        collection: str,
        name: str,
        assets: Mapping[str, Path],
        when: datetime | None,
        box: tuple[float, float, float, float],
        *,
        cloud: float = 5.0,
        said: bool = True,
    ) -> None:
        """List files as one STAC item; `said` tells sizes and checksums."""  # fmt: skip
        described = {}
        for key, path in assets.items():
            served = f"{name}/{path.name}"
            self.files[served] = path
            facts = {"href": f"{self.url}/files/{served}"}
            if said:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                facts |= {"file:size": path.stat().st_size, "file:checksum": MULTIHASH["sha256"] + digest}
            described[key] = facts
        w, s, e, n = box
        self.items.append(
            {
                "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": collection, "bbox": list(box),
                "geometry": {"type": "Polygon", "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]]},
                "properties": {"datetime": _z(when or datetime(2021, 4, 22, tzinfo=UTC)), "eo:cloud_cover": cloud},
                "links": [], "assets": described,
            }
        )  # fmt: skip


def serve_scene(archive: Archive, scene: Path, day: date, box: tuple[float, float, float, float]) -> None:
    """List everything of a simulated scene as the public catalogues would."""
    noon = datetime(day.year, day.month, day.day, tzinfo=UTC)
    for path in sorted((scene / "smap").iterdir()):
        middle = datetime.strptime(re.search(r"\d{8}T\d{6}", path.name)[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)  # type: ignore[index]
        archive.add_granule(path, "SPL4SMGP", "008", middle - timedelta(minutes=90), middle + timedelta(minutes=90))
    for path in sorted((scene / "amsr2").iterdir()):
        orbit = re.search(r"_DS_([AD])_", path.name)[1]  # type: ignore[index]
        archive.add_granule(path, f"LPRM_AMSR2_DS_{orbit}_SOILM3", "001", noon, noon + timedelta(days=1, seconds=-1))
    days = {"MOD11A2": 8, "MOD13A2": 16, "MCD15A2H": 8}
    for path in sorted((scene / "modis").iterdir()):
        name, stamp = path.name.split(".")[:2]
        named = datetime.strptime(stamp, "A%Y%j").replace(tzinfo=UTC)
        start, length = (named - timedelta(days=8), 16) if name == "MCD43A3" else (named, days[name])
        archive.add_granule(path, name, "061", start, start + timedelta(days=length, seconds=-1), (110, 39, 125, 51))
    for folder in sorted((scene / "landsat").iterdir()):
        assets = {ASSETS[path.name[len(folder.name) + 1 :]]: path for path in sorted(folder.iterdir())}
        archive.add_item("landsat-c2-l2", folder.name, assets, noon + timedelta(hours=3), box, said=False)
    for path in sorted((scene / "terrain").iterdir()):
        archive.add_item("cop-dem-glo-30", path.stem, {"data": path}, None, box)


@contextmanager
def running() -> Iterator[Archive]:
    """Serve an empty archive on a free port of the loopback."""
    archive = Archive()
    handler = type("Handler", (_Handler,), {"archive": archive})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    archive.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        archive.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    """Does not print what a client does that hangs up in the middle of an answer: stderr is the client's under test."""

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    archive: Archive
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent."""

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def _route(self) -> None:
        parts = urlsplit(self.path)
        routes: dict[str, Callable[[], None]] = {
            "/cmr/search/granules.umm_json": lambda: self._cmr(parse_qs(parts.query)),
            "/stac": self._landing,
            "/stac/search": lambda: self._stac(parse_qs(parts.query)),
        }
        if parts.path.startswith("/files/"):
            self._file(parts.path.removeprefix("/files/"))
        elif parts.path.startswith("/sas/"):
            ends = datetime.now(UTC) + timedelta(hours=1)
            self._json({"token": f"sig=for-{parts.path[5:]}", "msft:expiry": _z(ends)})
        elif parts.path.rstrip("/") in routes:
            routes[parts.path.rstrip("/")]()
        else:
            self._code(404)

    # catalogues

    def _cmr(self, query: dict[str, list[str]]) -> None:
        asked = {key: values[0] for key, values in query.items()}
        self.archive.searches.append(("cmr", asked))
        if self._is_troubled("cmr"):
            return
        found = [g for g in self.archive.granules if self._is_wanted(g, asked)]
        after = int(self.headers.get("CMR-Search-After", 0))
        shown = found[after : after + int(asked["page_size"])]
        headers = {"CMR-Hits": str(len(found))}
        if after + len(shown) < len(found):
            headers["CMR-Search-After"] = str(after + len(shown))
        items = [{key: value for key, value in g.items() if key != "_box"} for g in shown]
        self._json({"hits": len(found), "items": items}, headers)

    def _is_wanted(self, granule: dict[str, Any], asked: Mapping[str, str]) -> bool:
        umm = granule["umm"]
        wanted = asked["short_name"], asked["version"]
        if wanted != (umm["CollectionReference"]["ShortName"], umm["CollectionReference"]["Version"]):
            return False
        times = umm["TemporalExtent"]["RangeDateTime"]
        first, last = asked.get("temporal", asked.get("temporal[]", "")).split(",")
        box = [float(edge) for edge in asked["bounding_box"].split(",")]
        return (
            _when(times["BeginningDateTime"]) <= _when(last)
            and _when(times["EndingDateTime"]) >= _when(first)
            and _meet(granule["_box"], box)
        )

    def _landing(self) -> None:
        self._json(
            {
                "type": "Catalog", "id": "loop", "stac_version": "1.0.0", "description": "loopback",
                "conformsTo": [
                    "https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search",
                ],
                "links": [
                    {"rel": "self", "href": f"{self.archive.url}/stac", "type": "application/json"},
                    {"rel": "root", "href": f"{self.archive.url}/stac", "type": "application/json"},
                    {"rel": "search", "href": f"{self.archive.url}/stac/search", "type": "application/geo+json",
                     "method": "POST"},
                ],
            }
        )  # fmt: skip

    def _stac(self, query: dict[str, list[str]]) -> None:
        length = int(self.headers.get("Content-Length", 0))
        asked = json.loads(self.rfile.read(length)) if length else {}
        self.archive.searches.append(("stac", asked))
        if self._is_troubled("stac"):
            return
        found = [
            item
            for item in self.archive.items
            if item["collection"] in asked["collections"]
            and _meet(item["bbox"], asked["bbox"])
            and _within(item["properties"]["datetime"], asked.get("datetime"))
        ]
        at, page = int(asked.get("token", 0)), self.archive.page
        links = []
        if at + page < len(found):
            body = {**asked, "token": str(at + page)}
            links = [{"rel": "next", "method": "POST", "href": f"{self.archive.url}/stac/search", "body": body}]
        self._json({"type": "FeatureCollection", "features": found[at : at + page], "links": links})

    # files

    def _file(self, name: str) -> None:
        authorised = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        asked = self.headers.get("Range")
        with self.archive.lock:
            self.archive.requests.append(Request(self.command, name, asked, authorised))
        if name not in self.archive.files:
            self._code(404)
        elif name in self.archive.protected and not authorised:
            self._code(401, body="HTTP Basic: Access denied.")
        elif not self._is_troubled(name):
            self._send(self.archive.files[name].read_bytes(), asked)

    def _is_troubled(self, name: str) -> bool:
        """Misbehave, if that is ordered for this name."""
        with self.archive.lock:
            coming = [trouble for trouble in self.archive.trouble.get(name, []) if trouble.times > 0]
            if not coming or self.command == "HEAD":
                return False
            trouble = coming[0]
            trouble.times -= 1
        if isinstance(trouble.kind, int):
            self._code(trouble.kind, trouble.headers, trouble.body)
            return True
        content = self.archive.files[name].read_bytes()
        asked = self.headers.get("Range")
        start = _start(asked)
        rest = content[start:]
        match trouble.kind:
            case "drop":
                self._send(content, asked, cut=max(len(rest) // 2, 1))
            case "stall":
                self._send(content, asked, cut=len(rest) // 2)
                self.wfile.flush()
                self.archive.closing.wait(30)
            case "short":
                self._send(content, asked, promised=len(rest) + 1000)
            case "long":
                self._send(content + b"x" * 1000, asked)
            case "garbage":
                self._send(bytes(len(content)), asked)
            case "changed":
                self._send(content, asked, tag='"another"')
            case "ignore-range":
                self._send(content, None, cut=len(content) // 2)
            case "page":
                page = (trouble.body or "<!DOCTYPE html><title>Earthdata Login</title>").encode()
                self._headers(200, {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(page))})
                self.wfile.write(page)
        return True

    def _send(
        self, content: bytes, asked: str | None, *, cut: int | None = None, promised: int | None = None,
        tag: str | None = None,
    ) -> None:  # fmt: skip
        start = _start(asked)
        tag = tag or f'"{hashlib.md5(content).hexdigest()}"'
        headers = {"Content-Type": "application/octet-stream", "ETag": tag, "Accept-Ranges": "bytes"}
        if start and start >= len(content):
            self._headers(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return
        rest = content[start:]
        headers["Content-Length"] = str(promised or len(rest))
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._headers(206 if asked else 200, headers)
        if self.command == "HEAD":
            return
        self.wfile.write(rest[:cut])
        if cut is not None or promised is not None:
            self.close_connection = True

    def _json(self, content: Any, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self._headers(200, {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})})
        self.wfile.write(body)

    def _code(self, code: int, headers: Mapping[str, str] | None = None, body: str = "") -> None:
        raw = body.encode()
        self._headers(code, {"Content-Length": str(len(raw)), "Content-Type": "text/plain", **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(raw)

    def _headers(self, code: int, headers: Mapping[str, str]) -> None:
        self.send_response(code)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()


def _start(asked: str | None) -> int:
    return int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0


def _z(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _meet(one: Any, other: Any) -> bool:
    return bool(one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3])


def _within(text: str, period: str | None) -> bool:
    if not period:
        return True
    first, last = period.split("/")
    return _when(first) <= _when(text) <= _when(last)
