"""Earthdata Login through earthaccess, and sessions that carry it."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from zoo.errors import MissingDependencyError, ZooError

if TYPE_CHECKING:
    import earthaccess
    import requests

REGISTER = "https://urs.earthdata.nasa.gov"
HOW = (
    "put 'machine urs.earthdata.nasa.gov login NAME password WORD' into ~/.netrc, or set EARTHDATA_USERNAME and "
    f"EARTHDATA_PASSWORD, or EARTHDATA_TOKEN; accounts are free at {REGISTER}"
)


class LoginError(ZooError):
    """Earthdata Login is missing, refused, or lacks a licence that has to be accepted."""


def log_in() -> earthaccess.Auth:
    """Log in with the environment's credentials, else those of ~/.netrc.

    A token (`EARTHDATA_TOKEN`) is taken as it is; a name and password are exchanged for one.

    Raises
    ------
    LoginError
        If there are no credentials, or Earthdata Login refuses them.
    """
    try:
        import earthaccess
        import requests
        from earthaccess.exceptions import LoginAttemptFailure, LoginStrategyUnavailable
    except ImportError as error:
        what, package, extra = "Fetching from NASA", "earthaccess", "fetch"
        raise MissingDependencyError(what, package, extra) from error
    logging.getLogger("earthaccess").addHandler(logging.NullHandler())  # else it prints what is raised as well
    environment = any(os.environ.get(f"EARTHDATA_{name}") for name in ("TOKEN", "USERNAME", "PASSWORD"))
    try:
        auth = earthaccess.Auth()
        auth.login(strategy="environment" if environment else "netrc")
    except LoginStrategyUnavailable as error:
        msg = f"These files need Earthdata Login, and there are no credentials; {HOW}"
        raise LoginError(msg) from error
    except LoginAttemptFailure as error:
        msg = f"Earthdata Login refuses the name or password; {HOW}"
        raise LoginError(msg) from error
    except requests.RequestException as error:
        msg = f"Earthdata Login at {REGISTER} cannot be reached ({type(error).__name__}); try again later"
        raise ZooError(msg) from error
    return auth


class Sessions:
    """Gives each thread a session of its own, one with Earthdata Login and one without.

    Credentials go only to files that ask for them; requests drops them when an answer redirects to another host.

    Attributes
    ----------
    unreached : hosts that could not be reached; who finds one here need not try for long
    """

    def __init__(self, auth: earthaccess.Auth | None) -> None:
        import threading

        self._auth = auth
        self._own = threading.local()
        self.unreached: set[str] = set()

    def session(self, *, earthdata: bool) -> requests.Session:
        """Return the calling thread's session."""
        import requests

        name = "earthdata" if earthdata and self._auth is not None else "plain"
        session: requests.Session | None = getattr(self._own, name, None)
        if session is None:
            session = self._auth.get_session() if name == "earthdata" and self._auth else requests.Session()
            setattr(self._own, name, session)
        return session
