"""Checksums as CMR, STAC and HTTP write them; digests by hashlib, multihashes written out by hand."""

import hashlib

import pytest

from zoo.fetch.checksums import from_cmr, from_content_md5, from_multihash

TEXT = b"granule"


@pytest.mark.parametrize(
    ("algorithm", "name"), [("MD5", "md5"), ("SHA-1", "sha1"), ("SHA-256", "sha256"), ("sha-512", "sha512")]
)
def test_cmr_names_of_algorithms(algorithm, name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(TEXT)
    digest = hashlib.new(name, TEXT).hexdigest()
    assert from_cmr({"Algorithm": algorithm, "Value": digest.upper()}).matches(path)
    assert not from_cmr({"Algorithm": algorithm, "Value": "0" * len(digest)}).matches(path)


@pytest.mark.parametrize(
    "entry", [{}, {"Algorithm": "POSIX", "Value": "4294967295"}, {"Algorithm": "MD5", "Value": "too short"}]
)
def test_what_cannot_be_compared_is_none(entry):
    assert from_cmr(entry) is None


@pytest.mark.parametrize(
    ("prefix", "name"),
    [("1220", "sha256"), ("1114", "sha1"), ("1340", "sha512"), ("d50110", "md5"), ("2030", "sha384")],
)
def test_a_multihash_says_its_algorithm(prefix, name):
    digest = hashlib.new(name, TEXT).hexdigest()
    found = from_multihash(prefix + digest)
    assert (found.algorithm, found.hexdigest) == (name, digest)


@pytest.mark.parametrize("text", ["", "12", "1220ab", "xyz", "9999" + "00" * 32, "ffffffffffffffffffff"])
def test_a_broken_multihash_is_none(text):
    assert from_multihash(text) is None


def test_content_md5_is_base_64():
    assert from_content_md5("Q2hlY2sgSW50ZWdyaXR5IQ==").hexdigest == b"Check Integrity!".hex()  # RFC 1864, section 2
    assert from_content_md5("not base 64") is None
    assert from_content_md5("") is None
