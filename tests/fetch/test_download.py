"""Files over a bad line: an archive that drops, lies, refuses and is busy."""

import hashlib
import sys
import time
from datetime import UTC, date, datetime
from pathlib import PurePosixPath

import pytest
from loopback_archive import TOKEN, Trouble

from zoo.errors import DataError, IntegrityError, MissingDependencyError, ZooError
from zoo.fetch import fetch
from zoo.fetch.download import Download
from zoo.fetch.endpoints import Patience
from zoo.fetch.login import LoginError, Sessions
from zoo.fetch.remote import RemoteFile
from zoo.types import Area

PLACE = Area(115.9, 41.9, 116.2, 42.2)
DAY = date(2019, 9, 25)
NAME = "MOD11A1.A2019268.h26v04.061.2019269000000.hdf"
START, END = datetime(2019, 9, 25, tzinfo=UTC), datetime(2019, 9, 25, 23, 59, 59, tzinfo=UTC)
CONTENT = hashlib.shake_256(b"granule").digest(700_000)


@pytest.fixture
def granule(archive, tmp_path):
    """One granule in the archive, larger than a block."""
    path = tmp_path / "archive" / NAME
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    archive.add_granule(path, "MOD11A1", "061", START, END)
    return path


@pytest.fixture
def bring(granule, tmp_path, quick):
    """Fetch that granule."""
    return lambda **options: fetch(["MOD11A1"], PLACE, DAY, tmp_path / "to", **{"patience": quick, **options})


def left(tmp_path):
    return sorted(path.name for path in (tmp_path / "to").rglob("*") if path.is_file())


def test_a_file_arrives_whole_and_verified(bring, tmp_path):
    report = bring()
    assert report.files == (tmp_path / "to" / "modis" / NAME,)
    assert report.files[0].read_bytes() == CONTENT
    assert (report.bytes, report.skipped, report.verified) == (len(CONTENT), 0, 1)
    assert left(tmp_path) == [NAME]


def test_what_is_there_and_verified_is_not_fetched_again(bring, archive, tmp_path):
    first = bring().files[0]
    changed = first.stat().st_mtime_ns
    report = bring()
    assert (report.bytes, report.skipped) == (0, 1)
    assert len(archive.downloads()) == 1
    assert first.stat().st_mtime_ns == changed


def test_a_file_that_lies_elsewhere_in_the_folder_is_taken(bring, archive, tmp_path):
    elsewhere = tmp_path / "to" / "mine" / NAME
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_bytes(CONTENT)
    assert bring().files == (elsewhere,)
    assert archive.downloads() == []


@pytest.mark.parametrize("spoilt", [CONTENT[:-1], bytes(len(CONTENT))], ids=["size", "checksum"])
def test_a_spoilt_file_is_fetched_again(bring, tmp_path, spoilt):
    path = bring().files[0]
    path.write_bytes(spoilt)
    assert bring().bytes == len(CONTENT)
    assert path.read_bytes() == CONTENT


def test_a_dropped_connection_is_resumed_where_it_broke(bring, archive):
    archive.misbehave(NAME, Trouble("drop", times=2))
    report = bring()
    assert report.files[0].read_bytes() == CONTENT
    half = len(CONTENT) // 2
    asked = [request.range for request in archive.downloads()]
    assert asked == [None, f"bytes={half}-", f"bytes={half + half // 2}-"]
    assert report.bytes == len(CONTENT)  # no byte came twice


def test_a_later_command_resumes_what_an_earlier_one_left(bring, archive, tmp_path):
    archive.misbehave(NAME, Trouble("drop", times=1), Trouble(503))
    with pytest.raises(ZooError, match=rf"{NAME}: the server is busy \(503\); given up after 3 tries: run the same"):
        bring()
    assert NAME not in left(tmp_path)
    archive.trouble.clear()
    report = bring()
    assert report.bytes == len(CONTENT) - len(CONTENT) // 2
    assert report.files[0].read_bytes() == CONTENT
    assert left(tmp_path) == [NAME]


def test_progress_counts_the_tries_anew(bring, archive):
    archive.misbehave(NAME, Trouble("drop", times=10))  # patience is for 3 in a row
    assert bring().files[0].read_bytes() == CONTENT


def test_a_server_that_cannot_resume_and_drops_is_given_up_and_nothing_half_is_left(bring, archive, tmp_path):
    archive.misbehave(NAME, Trouble("ignore-range"))
    with pytest.raises(ZooError, match=rf"{NAME}: the connection broke .* after {len(CONTENT) // 2} bytes; given up"):
        bring()
    assert NAME not in left(tmp_path)


def test_a_server_that_cannot_resume_is_read_from_the_start(bring, archive):
    archive.misbehave(NAME, Trouble("ignore-range", times=1))
    assert bring().files[0].read_bytes() == CONTENT


def test_a_file_that_changes_meanwhile_is_begun_again(bring, archive, granule):
    archive.misbehave(NAME, Trouble("drop", times=1), Trouble("changed", times=1))
    report = bring()
    assert report.files[0].read_bytes() == CONTENT
    assert archive.downloads()[-1].range is None


def test_a_promise_of_more_bytes_than_there_are_is_seen_through_by_checksum(bring, archive):
    archive.misbehave(NAME, Trouble("short"))
    assert bring().files[0].read_bytes() == CONTENT


def test_a_wrong_length_is_an_integrity_error_that_names_the_file(bring, archive, granule, tmp_path):
    archive.granules.clear()
    archive.add_granule(granule, "MOD11A1", "061", START, END, Checksum={}, SizeInBytes=len(CONTENT) + 5)
    with pytest.raises(IntegrityError, match=rf"{NAME}: 700000 bytes came, 700005 were expected; given up"):
        bring()
    assert NAME not in left(tmp_path)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [("garbage", "has not the published sha256"), ("long", "more than the 700000 bytes that were expected")],
)
def test_other_bytes_than_published_are_refused(bring, archive, tmp_path, kind, complaint):
    archive.misbehave(NAME, Trouble(kind))
    with pytest.raises(IntegrityError, match=rf"{NAME}: .*{complaint}"):
        bring()
    assert left(tmp_path) == []


def test_bad_bytes_once_are_fetched_again(bring, archive):
    archive.misbehave(NAME, Trouble("garbage", times=1))
    assert bring().files[0].read_bytes() == CONTENT


def test_sizes_alone_are_verified_where_no_checksum_is_published(bring, archive, granule):
    archive.granules.clear()
    archive.add_granule(granule, "MOD11A1", "061", START, END, Checksum={"Value": "1", "Algorithm": "CRC-32"})
    report = bring()
    assert (report.verified, report.bytes) == (0, len(CONTENT))
    assert bring().skipped == 1


def test_a_rough_size_serves_to_list_and_to_see_a_stump(bring, archive, granule, tmp_path):
    archive.granules.clear()
    archive.add_granule(granule, "MOD11A1", "061", START, END, Checksum={}, SizeInBytes=None, Name="Not provided")
    assert bring(dry_run=True).bytes == len(CONTENT)
    assert bring().bytes == len(CONTENT)
    assert bring().skipped == 1
    (tmp_path / "to" / "modis" / NAME).write_bytes(CONTENT[:1000])
    assert bring().bytes == len(CONTENT)


def test_a_login_that_is_refused_is_one_line(bring, archive, monkeypatch):
    monkeypatch.setenv("EARTHDATA_TOKEN", "expired")
    with pytest.raises(LoginError, match=r"Earthdata Login is missing, wrong or expired; put .* ~/\.netrc") as caught:
        bring()
    assert "\n" not in str(caught.value)
    assert len(archive.downloads()) == 1  # asking again would be refused again


class _Token:
    """Earthdata Login's answer to a name and password."""

    text = "Invalid user credentials"

    def __init__(self, token):
        self.ok = token is not None
        self._token = token

    def json(self):
        return {"access_token": self._token, "expiration_date": "12/31/2030"}


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    path = tmp_path / "netrc"
    path.write_text("machine urs.earthdata.nasa.gov login someone password secret\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    monkeypatch.delenv("EARTHDATA_TOKEN")
    return path


def test_a_netrc_is_exchanged_for_a_token(bring, archive, netrc, monkeypatch):
    asked = []

    def answer(auth):
        asked.append((auth.username, auth.password))
        return _Token(TOKEN)

    monkeypatch.setattr("earthaccess.Auth._find_or_create_token", answer)
    assert bring().files[0].read_bytes() == CONTENT
    assert asked == [("someone", "secret")]


def test_a_name_or_password_that_is_refused_is_one_line(bring, archive, netrc, monkeypatch, capfd):
    monkeypatch.setattr("earthaccess.Auth._find_or_create_token", lambda auth: _Token(None))
    with pytest.raises(LoginError, match="Earthdata Login refuses the name or password; put"):
        bring()
    assert capfd.readouterr().err == ""


def test_a_package_that_is_missing_is_named_with_its_extra(bring, monkeypatch):
    monkeypatch.setitem(sys.modules, "earthaccess", None)
    with pytest.raises(MissingDependencyError, match=r"'earthaccess'.*pip install 'soil-moisture-zoo\[fetch\]'"):
        bring()


def test_without_credentials_no_file_is_asked_for(bring, archive, monkeypatch):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    with pytest.raises(LoginError, match=r"need Earthdata Login, and there are no credentials; put .* ~/\.netrc"):
        bring()
    assert archive.downloads() == []


def test_a_login_page_in_place_of_the_file_is_not_taken_for_it(bring, archive, tmp_path):
    archive.misbehave(NAME, Trouble("page"))
    with pytest.raises(LoginError, match="Earthdata Login is missing"):
        bring()
    assert left(tmp_path) == []


def test_a_page_that_asks_for_consent_is_a_licence_to_accept(bring, archive):
    archive.misbehave(NAME, Trouble("page", body=APPROVE))
    with pytest.raises(LoginError, match=r"accept it at https://urs.earthdata.nasa.gov/approve_app\?client_id=y and"):
        bring()


EULA = """{"status_code": 403, "error_description": "EULA Acceptance Failure",
"resolution_url": "https://urs.earthdata.nasa.gov/accept_eula?eula_id=x"}"""
APPROVE = """<html>You have not yet approved NASA GESDISC DATA ARCHIVE:
<a href="https://urs.earthdata.nasa.gov/approve_app?client_id=y">approve</a></html>"""


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (EULA, r"\(EULA Acceptance Failure\); accept it at https://urs.earthdata.nasa.gov/accept_eula\?eula_id=x and"),
        (APPROVE, r"accept it at https://urs.earthdata.nasa.gov/approve_app\?client_id=y and run"),
        ("You must accept the license agreement.", r"accept it at https://urs.earthdata.nasa.gov/application_search"),
    ],
)
def test_a_licence_that_was_not_accepted_is_named_with_the_place_to_accept_it(bring, archive, body, told):
    archive.misbehave(NAME, Trouble(403, body=body))
    with pytest.raises(LoginError, match=rf"{NAME}: a licence \(EULA\) .*{told}"):
        bring()


def test_another_403_is_told_in_the_words_of_the_server(bring, archive):
    archive.misbehave(NAME, Trouble(403, body="<p>Your network is blocked</p>"))
    with pytest.raises(ZooError, match=rf"{NAME}: 127.0.0.1 refuses access \(403\); it says: Your network is blocked"):
        bring()
    assert len(archive.downloads()) == 1


def test_a_file_that_is_gone_is_missing_data(bring, archive):
    archive.misbehave(NAME, Trouble(404))
    with pytest.raises(DataError, match=rf"{NAME} is in the catalogue but no longer at its address \(404\)"):
        bring()


@pytest.mark.parametrize("code", [429, 503])
def test_a_busy_server_is_asked_again_after_the_time_it_names(bring, archive, code):
    archive.misbehave(NAME, Trouble(code, times=1, headers={"Retry-After": "1"}))
    began = time.monotonic()
    assert bring().files[0].read_bytes() == CONTENT
    assert time.monotonic() - began >= 1


def test_a_server_that_asks_to_wait_too_long_is_left(bring, archive):
    archive.misbehave(NAME, Trouble(429, headers={"Retry-After": "3600"}))
    with pytest.raises(ZooError, match=r"busy \(429\) and asks to wait 3600 s; given up after 1 tries"):
        bring()


def test_a_dry_run_transfers_nothing_and_needs_no_login(bring, archive, tmp_path, monkeypatch):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    report = bring(dry_run=True)
    assert (report.bytes, report.skipped, report.dry_run) == (len(CONTENT), 0, True)
    assert archive.requests == []
    assert not (tmp_path / "to").exists()


def test_one_failure_does_not_keep_the_other_files_away(bring, archive, tmp_path):
    other = tmp_path / "archive" / NAME.replace("h26", "h27")
    other.write_bytes(b"other")
    archive.add_granule(other, "MOD11A1", "061", START, END)
    archive.misbehave(NAME, Trouble(404))
    with pytest.raises(DataError, match=NAME):
        bring()
    assert left(tmp_path) == [other.name]


def test_a_full_disk_is_said_before_anything_is_fetched(bring, archive, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(ZooError, match="has room for 0.0 GB"):
        bring()
    assert archive.downloads() == []


def test_credentials_are_kept_from_hosts_that_are_not_nasas(archive, endpoints):
    assert endpoints.is_earthdata("https://data.lpdaac.earthdatacloud.nasa.gov/x.hdf")
    assert endpoints.is_earthdata(f"{archive.url}/x.hdf")
    assert not endpoints.is_earthdata("https://example.org/x.hdf")
    assert not endpoints.is_earthdata("https://nasa.gov.example.org/x.hdf")


CLOSED = f"http://127.0.0.1:9/{NAME}"
"""A port that refuses every connection."""
PATIENT = Patience(attempts=6, unreached=3, first=0.01, longest=0.02, timeout=5)


def test_a_server_that_cannot_be_reached_is_said_soon(bring, archive, tmp_path):
    (link, *_) = archive.granules[0]["umm"]["RelatedUrls"]
    link["URL"] = CLOSED
    with pytest.raises(
        ZooError, match=rf"{NAME}: 127.0.0.1 cannot be reached \(no connection\); given up after 3 tries"
    ):
        bring(patience=PATIENT)
    assert left(tmp_path) == []


def test_what_one_file_could_not_reach_the_next_tries_once(tmp_path):
    sessions, file = Sessions(None), RemoteFile(CLOSED, PurePosixPath(NAME), bytes=5)
    for tries in (3, 1):
        with pytest.raises(ZooError, match=f"given up after {tries} tries"):
            Download(file, tmp_path / NAME, sessions, patience=PATIENT).run()


def test_a_connection_that_is_lost_on_the_way_is_waited_for(archive, granule, tmp_path):
    """The first answer breaks off half way, then the server takes no connection for four tries."""
    archive.protected.clear()
    archive.misbehave(NAME, Trouble("drop", times=1))
    good = f"{archive.url}/files/{NAME}"
    addresses = iter([good, *[CLOSED] * 4, good])
    file = RemoteFile(good, PurePosixPath(NAME), bytes=len(CONTENT))
    target = tmp_path / NAME
    Download(file, target, Sessions(None), sign=lambda url: next(addresses), patience=PATIENT).run()
    assert target.read_bytes() == CONTENT
