"""Fetch what a plan names: what is there is verified, the rest is brought, several files at once."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import date, time, timedelta
from pathlib import Path

from zoo.cache import cache_folder
from zoo.errors import ZooError
from zoo.fetch.catalogue import SENSORS
from zoo.fetch.download import Download, Stopped
from zoo.fetch.endpoints import Endpoints, Patience
from zoo.fetch.login import LoginError, Sessions, log_in
from zoo.fetch.plan import CLOUD, Plan, plan
from zoo.fetch.remote import RemoteFile
from zoo.fetch.report import FetchReport
from zoo.fetch.stac import Signer
from zoo.predictors import PAPER
from zoo.progress import task
from zoo.types import Area

THREADS = 4
"""Files at once; archives ask for no more than a few connections a user."""
_ROUGH = 0.1
"""How far a rough size may be off: catalogues mix MB and MiB, and round."""


def fetch(
    products: Sequence[str] | None,
    area: Area,
    date: date,
    to: Path,
    *,
    days: int = 1,
    time: time | None = None,
    window: timedelta | None = None,
    sensor: str = SENSORS[0],
    layers: Sequence[str] = PAPER,
    cloud: float = CLOUD,
    dry_run: bool = False,
    endpoints: Endpoints | None = None,
    patience: Patience | None = None,
) -> FetchReport:
    """Fetch the granules that a place and a date need into a folder.

    Parameters
    ----------
    products, area, date, days, time, window, sensor, layers, cloud : see `zoo.fetch.plan`
    to : folder; files go into `smap`, `amsr2`, `modis`, `landsat/<scene>` and `terrain` below it
    dry_run : ask the catalogues and look at what is there, transfer nothing
    endpoints : addresses of the catalogues; from the environment by default
    patience : how often to try

    Raises
    ------
    LoginError
        If Earthdata Login or the acceptance of a licence is missing.
    IntegrityError
        If a file does not have the published size or checksum.
    DataError
        If a catalogue has nothing for the place and the date.
    ZooError
        If a server cannot be reached or is busy for too long. Files that came whole stay, and what came of the
        others is resumed by the next call.
    """
    endpoints, patience = endpoints or Endpoints.from_environment(), patience or Patience()
    planned = plan(
        products, area, date, days=days, time=time, window=window, sensor=sensor, layers=layers, cloud=cloud,
        endpoints=endpoints, patience=patience,
    )  # fmt: skip
    return fetch_plan(planned, to, dry_run=dry_run, endpoints=endpoints, patience=patience)


def fetch_plan(
    planned: Plan,
    to: Path,
    *,
    dry_run: bool = False,
    endpoints: Endpoints | None = None,
    patience: Patience | None = None,
) -> FetchReport:
    """Fetch the files of a plan; see `fetch`."""
    from filelock import FileLock

    with FileLock(_lock_of(to)):  # two fetches into one folder would write the same parts
        places = {file: place for file, place in _places(planned.files, to).items() if _is_whole(file, place)}
        missing = [file for file in planned.files if file not in places]
        amount = sum(file.size or 0 for file in missing)
        if missing and not dry_run:
            _check_room(to, amount)
            amount = _bring(missing, to, endpoints or Endpoints.from_environment(), patience or Patience())
    checked = places if dry_run else planned.files
    return FetchReport(
        plan=planned,
        files=tuple(places.get(file, to / file.place) for file in planned.files),
        bytes=amount,
        skipped=len(places),
        verified=sum(file.checksum is not None for file in checked),
        dry_run=dry_run,
    )


def _lock_of(folder: Path) -> Path:
    """Name the lock of a folder; it lies in the cache, since a file in the folder would look like a change of data."""
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
    locks = cache_folder() / "fetch"
    locks.mkdir(parents=True, exist_ok=True)
    return locks / f"{key}.lock"


def _places(files: Sequence[RemoteFile], to: Path) -> dict[RemoteFile, Path]:
    """Find the files that are below a folder already, wherever a person may have put them."""
    by_name = {path.name: path for path in to.rglob("*") if path.is_file()} if to.is_dir() else {}
    own = {file: to / file.place for file in files}
    return {file: path if path.is_file() else by_name[file.name] for file, path in own.items() if file.name in by_name}


def _is_whole(file: RemoteFile, path: Path) -> bool:
    """Whether a file is what the catalogue describes, as far as it does."""
    size = path.stat().st_size
    if file.checksum is not None:
        return file.checksum.matches(path)
    if file.bytes is not None:
        return size == file.bytes
    return file.about is None or abs(size - file.about) <= _ROUGH * file.about


def _check_room(to: Path, amount: int) -> None:
    folder = next(parent for parent in (to, *to.absolute().parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    if amount > free:
        msg = f"{to} has room for {free / 1e9:.1f} GB, and {amount / 1e9:.1f} GB are missing; free some or change --to"
        raise ZooError(msg)


def _bring(files: Sequence[RemoteFile], to: Path, endpoints: Endpoints, patience: Patience) -> int:
    """Download files, and return the bytes that came."""
    sessions = Sessions(log_in() if any(file.earthdata for file in files) else None)
    sign, stop = Signer(endpoints, patience).sign, threading.Event()
    failures: list[ZooError] = []
    with (
        task(f"Fetching {len(files)} files", sum(file.size or 0 for file in files), in_bytes=True) as advance,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        downloads = [
            Download(file, to / file.place, sessions, sign=sign, patience=patience, advance=advance, stop=stop)
            for file in files
        ]
        futures = [pool.submit(download.run) for download in downloads]
        try:
            for future in as_completed(futures):
                error = future.exception()
                if isinstance(error, LoginError):
                    stop.set()  # every other file would be refused too
                if isinstance(error, ZooError):
                    failures.append(error)
                elif error is not None:
                    raise error
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    _raise_first(failures, len(files))
    return sum(download.transferred for download in downloads)


def _raise_first(failures: Sequence[ZooError], total: int) -> None:
    """Raise the failure that explains the others, and say how many there are."""
    told = [failure for failure in failures if not isinstance(failure, Stopped)]
    if not told:
        return
    first = next((failure for failure in told if isinstance(failure, LoginError)), told[0])
    others = f" ({len(failures)} of {total} files are missing)" if len(failures) > 1 else ""
    msg = f"{first}{others}"
    raise type(first)(msg) from first
