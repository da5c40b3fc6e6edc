"""Errors of the zoo: one base, and one class for each exit code.

A message says what was given, what was expected and what to do next, in one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ZooError(Exception):
    """A known failure: the command ends with one line on stderr and `exit_code`."""

    exit_code = 1


class UsageError(ZooError):
    """An option or argument cannot be used as given."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A sensor, downscaler, exporter, model, layer, parameter or station that does not exist.

    Parameters
    ----------
    kind, name : what was asked for
    known : what there is
    hint : what to do next
    most : of those there are, this many are named
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "", *, most: int | None = None) -> None:
        names = sorted(known)
        nearest = get_close_matches(name, names, n=1, cutoff=0.5)
        guess = f" Did you mean {nearest[0]!r}?" if nearest else ""
        more = f" and {len(names) - most} more" if most is not None and len(names) > most else ""
        listed = f"{', '.join(names[:most])}{more}" if names else "none"
        super().__init__(f"No {kind} named {name!r}; there is: {listed}.{guess}{' ' + hint if hint else ''}")


class IntegrityError(ZooError):
    """A hash, a parity gate or a schema does not hold."""

    exit_code = 3


class DataError(ZooError):
    """Data is missing, unreadable, or not what it has to be."""

    exit_code = 4


class MissingDependencyError(ZooError):
    """A plugin needs a package that is not installed."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package!r}, which is not installed; "
            f"install it with: pip install 'soil-moisture-zoo[{extra}]'"
        )
