"""How gaps can be filled, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from zoo.stack import Stack

Way = Literal["temporal", "dct-pls"]
WAYS: tuple[Way, ...] = get_args(Way)
"""How gaps can be filled; several are tried one after the other."""


@dataclass(frozen=True, slots=True)
class Dated:
    """The same layers on another day, on the same grid."""

    day: date
    stack: Stack
