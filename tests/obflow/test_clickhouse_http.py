"""The parts of the embedded engine's HTTP interface that need no network."""

from __future__ import annotations

import gzip
import zlib

import lz4.frame  # type: ignore[import-untyped]
import pytest
from backports import zstd

from obflow.embedded.clickhouse_http import decompress, is_loopback
from obflow.embedded.clickhouse_sql import QueryRefused

ENCODERS = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstd.compress,
    "identity": bytes,
    "": bytes,
}


@pytest.mark.parametrize("encoding", ENCODERS)
def test_every_encoding_of_the_client_is_undone(encoding: str) -> None:
    plain = bytes(range(256)) * 100
    assert decompress(ENCODERS[encoding](plain), encoding) == plain


@pytest.mark.parametrize("encoding", [name for name in ENCODERS if name not in ("", "identity")])
def test_a_body_that_unpacks_beyond_the_limit_is_refused(encoding: str) -> None:
    """A bomb of 10 MB of zeros is never unpacked whole."""
    with pytest.raises(QueryRefused) as refused:
        decompress(ENCODERS[encoding](bytes(10_000_000)), encoding, limit=1000)
    assert refused.value.code == 307


@pytest.mark.parametrize("encoding", [name for name in ENCODERS if name not in ("", "identity")])
@pytest.mark.parametrize("body", [b"not compressed at all", b""])
def test_a_body_that_is_not_what_it_claims_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(QueryRefused) as refused:
        decompress(body, encoding)
    assert refused.value.code == 354


@pytest.mark.parametrize("encoding", [name for name in ENCODERS if name not in ("", "identity")])
def test_a_body_that_was_cut_short_is_refused(encoding: str) -> None:
    whole = ENCODERS[encoding](bytes(range(256)) * 100)
    for length in (len(whole) - 1, len(whole) // 2):
        with pytest.raises(QueryRefused) as refused:
            decompress(whole[:length], encoding)
        assert refused.value.code == 354


def test_an_unknown_encoding_is_refused_by_name() -> None:
    with pytest.raises(QueryRefused, match="snappy"):
        decompress(b"", "snappy")


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - it is refused
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_else(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours
