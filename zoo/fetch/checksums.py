"""Checksums as catalogues write them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from zoo.fetch.remote import Checksum

_CMR = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
"""Algorithms of UMM-G that hashlib has; the others (CRC, POSIX cksum, ...) are not compared."""
_MULTIHASH = {0x11: "sha1", 0x12: "sha256", 0x13: "sha512", 0x20: "sha384", 0xD5: "md5"}
"""Codes of the multihash table, https://github.com/multiformats/multicodec."""
_LENGTH = {"md5": 16, "sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}


def from_cmr(entry: Mapping[str, Any]) -> Checksum | None:
    """Read `Checksum` of UMM-G: `{"Value": hexadecimal, "Algorithm": "SHA-256"}`; None if it cannot be compared."""
    algorithm = _CMR.get(str(entry.get("Algorithm", "")).upper())
    return _checked(algorithm, str(entry.get("Value", "")))


def from_multihash(text: str) -> Checksum | None:
    """Read STAC's `file:checksum`: a multihash in hexadecimal (code, length, digest); None if it cannot be compared.

    Examples
    --------
    >>> from_multihash("1114" + "00" * 20).algorithm
    'sha1'
    """
    try:
        raw = bytes.fromhex(text)
        code, rest = _varint(raw)
        length, digest = _varint(rest)
    except (ValueError, IndexError):
        return None
    return _checked(_MULTIHASH.get(code), digest.hex()) if len(digest) == length else None


def from_content_md5(text: str) -> Checksum | None:
    """Read the header `Content-MD5` (RFC 1864): the digest in base 64."""
    try:
        return _checked("md5", base64.b64decode(text, validate=True).hex())
    except binascii.Error:
        return None


def _checked(algorithm: str | None, digest: str) -> Checksum | None:
    if algorithm is None or len(digest) != 2 * _LENGTH[algorithm]:
        return None
    return Checksum(algorithm, digest.lower())


def _varint(raw: bytes) -> tuple[int, bytes]:
    """Take an unsigned LEB128 number off the front."""
    value = 0
    for at in range(9):
        value |= (raw[at] & 0x7F) << (7 * at)
        if raw[at] < 0x80:
            return value, raw[at + 1 :]
    raise ValueError
