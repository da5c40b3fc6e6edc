"""Ask the servers for the sizes that a catalogue leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from zoo.fetch.answers import is_page
from zoo.fetch.checksums import from_content_md5
from zoo.fetch.endpoints import Endpoints, Patience
from zoo.fetch.remote import RemoteFile, RemoteGranule
from zoo.fetch.stac import Signer

if TYPE_CHECKING:
    import requests

_THREADS = 4


def measured(granules: Sequence[RemoteGranule], endpoints: Endpoints, patience: Patience) -> list[RemoteGranule]:
    """Return granules whose open files have sizes, and checksums where the store keeps them, by HEAD requests.

    Files behind Earthdata Login are left as they are: planning needs no credentials. A server that does not answer
    leaves the size unknown; the download will say what is wrong.
    """
    import requests

    signer = Signer(endpoints, patience)
    with requests.Session() as session, ThreadPoolExecutor(_THREADS) as pool:
        for scheme in ("http://", "https://"):
            session.mount(scheme, patience.adapter())

        def ask(file: RemoteFile) -> RemoteFile:
            if file.bytes is not None or file.earthdata:
                return file
            try:
                answer = session.head(
                    signer.sign(file.url), headers={"Accept-Encoding": "identity"}, allow_redirects=True
                )
            except requests.RequestException:
                return file
            return _with_facts(file, answer)

        return [replace(granule, files=tuple(pool.map(ask, granule.files))) for granule in granules]


def _with_facts(file: RemoteFile, answer: requests.Response) -> RemoteFile:
    length = answer.headers.get("Content-Length", "")
    if not answer.ok or not length.isdecimal() or is_page(answer, file):
        return file
    checksum = file.checksum or from_content_md5(answer.headers.get("Content-MD5", ""))
    return replace(file, bytes=int(length), checksum=checksum)
