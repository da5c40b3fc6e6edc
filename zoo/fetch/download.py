"""Bring one file: resumed where it broke off, verified, and put in place at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from zoo.errors import IntegrityError, ZooError
from zoo.fetch.answers import Setback, announced, check_answer, version_of, whole_length
from zoo.fetch.endpoints import Patience, is_unreached
from zoo.fetch.login import Sessions
from zoo.fetch.remote import RemoteFile

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 18


class Stopped(ZooError):
    """The fetch ends; what came so far stays for the next."""


class Mismatch(Setback):
    """What came is not what the catalogue describes."""


class Unreached(Setback):
    """The server was not found, or took no connection, and nothing has come from it yet."""


class Part:
    """What has come of a file, beside its final place, and of which version of the file it is.

    The name begins with a dot and ends with `.part`, so that no reader claims it.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.part")
        self._version = target.with_name(f".{target.name}.part.version")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def version(self) -> str:
        """ETag or time of change of the file that the part belongs to."""
        return self._version.read_text() if self._version.exists() else ""

    def begin(self, version: str) -> None:
        """Start anew with a version of the file."""
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        self._version.write_text(version)

    def drop(self) -> None:
        """Remove what is there."""
        self.path.unlink(missing_ok=True)
        self._version.unlink(missing_ok=True)

    def finish(self) -> None:
        """Move the file to its place."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(self.path, self.target)
        self._version.unlink(missing_ok=True)


class Download:
    """One file on its way.

    Parameters
    ----------
    file : what to bring
    target : its place
    sessions : how to ask
    sign : adds a token to an address that needs one
    patience : how often to try
    advance : told the bytes that came; a negative number takes them back
    stop : set by someone else to end
    """

    def __init__(
        self,
        file: RemoteFile,
        target: Path,
        sessions: Sessions,
        *,
        sign: Callable[[str], str] = lambda url: url,
        patience: Patience | None = None,
        advance: Callable[[float], None] = lambda count: None,
        stop: threading.Event | None = None,
    ) -> None:
        self._file = file
        self._sessions = sessions
        self._sign = sign
        self._patience = patience or Patience()
        self._advance = advance
        self._stop = stop or threading.Event()
        self._part = Part(target)
        self._length = file.bytes
        self._answered = False
        self.transferred = 0

    def run(self) -> None:
        """Bring the file.

        Tries that bring nothing new are counted; any that does starts the count again.

        Raises
        ------
        LoginError
            If credentials or the acceptance of a licence are missing.
        IntegrityError
            If what comes does not have the published size or checksum.
        ZooError
            If the server is gone or busy for too long, or the disk refuses.
        """
        furthest, tries = self._part.size, 0
        self._advance(furthest)
        while True:
            if self._stop.is_set():
                raise Stopped(self._file.name)
            try:
                if not self._is_complete():
                    self._try()
                self._verify()
                self._part.finish()
                return
            except Setback as setback:
                tries = 1 if self._part.size > furthest else tries + 1
                furthest = max(furthest, self._part.size)
                self._wait_or_give_up(setback, tries)
            except OSError as error:
                reason = error.strerror or error
                msg = f"cannot write {self._part.target}: {reason}; choose another place with --to"
                raise ZooError(msg) from error

    def _is_complete(self) -> bool:
        return self._length is not None and self._part.path.exists() and self._part.size == self._length

    def _try(self) -> None:
        """Ask for what is missing and write it."""
        import requests
        from urllib3.exceptions import HTTPError

        size = self._part.size
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={size}-"} if size else {})
        session = self._sessions.session(earthdata=self._file.earthdata)
        try:
            with session.get(
                self._sign(self._file.url), headers=headers, stream=True, timeout=self._patience.timeouts
            ) as answer:
                self._answered = True
                check_answer(answer, self._file)
                if answer.status_code == 416:
                    self._nothing_left(answer)
                else:
                    self._receive(answer)
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            if not self._answered and is_unreached(error):
                reason = f"{self._file.name}: {self._host} cannot be reached (no connection)"
                raise Unreached(reason) from error
            reason = f"{self._file.name}: the connection broke ({type(error).__name__}) after {self._part.size} bytes"
            raise Setback(reason) from error
        except requests.RequestException as error:
            msg = f"{self._file.name} cannot be fetched from {self._file.url} ({error})"
            raise ZooError(msg) from error

    def _nothing_left(self, answer: requests.Response) -> None:
        """416: the part is the whole file, or of another one."""
        if whole_length(answer) != self._part.size:
            self._start_over()
            reason = f"{self._file.name}: the server does not resume"
            raise Setback(reason)
        if self._file.bytes is None:
            self._length = self._part.size

    def _receive(self, answer: requests.Response) -> None:
        """Write the content of an answer where it belongs."""
        start, length = announced(answer)
        size, version = self._part.size, version_of(answer)
        resumed = start == size and size > 0
        if resumed and not self._same_version(version):
            self._start_over()
            reason = f"{self._file.name}: the file has changed on the server"
            raise Setback(reason)
        if not resumed:
            if start != 0:
                self._start_over()
                reason = f"{self._file.name}: the server sends another part than asked for"
                raise Setback(reason)
            self._advance(-size)
            self._part.begin(version)
        self._length = self._file.bytes if self._file.bytes is not None else length
        self._write(answer)
        if self._length is None:
            self._length = self._part.size

    def _same_version(self, version: str) -> bool:
        """Whether the part can be carried on; without any sign of its version the checksum has to tell."""
        return self._part.version == version if version else self._file.checksum is not None

    def _write(self, answer: requests.Response) -> None:
        with self._part.path.open("ab") as out:
            # read1 hands over what came before a line breaks; iter_content would drop up to a block
            while block := answer.raw.read1(_CHUNK, decode_content=True):
                out.write(block)
                self.transferred += len(block)
                self._advance(len(block))
                if self._stop.is_set():
                    raise Stopped(self._file.name)
                if self._length is not None and out.tell() > self._length:
                    break

    def _verify(self) -> None:
        """Compare checksum and size with what is published; where there is a checksum, it decides."""
        size, expected, checksum = self._part.size, self._length, self._file.checksum
        if checksum.matches(self._part.path) if checksum else size == expected:
            return
        if expected is not None and size < expected:
            reason = f"{self._file.name}: {size} bytes came, {expected} were expected"
            raise Mismatch(reason)
        self._start_over()
        if expected is not None and size > expected:
            reason = f"{self._file.name}: more than the {expected} bytes that were expected came"
        else:
            reason = f"{self._file.name}: what came has not the published {checksum.algorithm if checksum else 'size'}"
        raise Mismatch(reason)

    def _start_over(self) -> None:
        self._advance(-self._part.size)
        self._part.drop()

    def _wait_or_give_up(self, setback: Setback, tries: int) -> None:
        if self._stop.is_set():
            raise Stopped(self._file.name)
        asked = setback.wait or 0.0
        if tries >= self._most_tries(setback) or asked > self._patience.longest_asked:
            waiting = f" and asks to wait {asked:.0f} s" if asked else ""
            if isinstance(setback, Unreached):
                self._sessions.unreached.add(self._host)
            msg = f"{setback}{waiting}; given up after {tries} tries: run the same command again to resume"
            raise IntegrityError(msg) if isinstance(setback, Mismatch) else ZooError(msg)
        if self._stop.wait(max(asked, self._patience.pause(tries))):
            raise Stopped(self._file.name)

    def _most_tries(self, setback: Setback) -> int:
        """How often to try: once at a server that no other file could reach, less where there is no connection."""
        if not isinstance(setback, Unreached):
            return self._patience.attempts
        if self._host in self._sessions.unreached:
            return 1
        return min(self._patience.unreached, self._patience.attempts)

    @property
    def _host(self) -> str:
        return urlsplit(self._file.url).hostname or "the server"
