"""The parts of the embedded engine's HTTP interface that need no network."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib

import lz4.frame  # type: ignore[import-untyped]
import pytest
from backports import zstd

from embedded.clickhouse_access import is_loopback, may_write, refuse_browsers
from embedded.clickhouse_bodies import decompress
from embedded.clickhouse_engine import Answer
from embedded.clickhouse_http import HttpInterface
from embedded.clickhouse_sql import QueryRefused
from obflow.engine_tokens import EngineTokens

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


TOKENS = EngineTokens(reader="r" * 43, writer="w" * 43)


def basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "fields", "writes"),
    [
        ({"X-ClickHouse-Key": TOKENS.writer}, {}, True),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": TOKENS.writer}, {}, True),
        ({"X-ClickHouse-User": "reader", "X-ClickHouse-Key": TOKENS.reader}, {}, False),
        (basic(f"default:{TOKENS.writer}"), {}, True),
        (basic(f"reader:{TOKENS.reader}"), {}, False),
        ({"Authorization": f"Bearer {TOKENS.reader}"}, {}, False),
        ({"Authorization": f"bearer {TOKENS.writer}"}, {}, True),
        ({}, {"user": "reader", "password": TOKENS.reader}, False),
        ({}, {"password": TOKENS.writer}, True),
    ],
)
def test_a_token_says_who_asks(headers: dict[str, str], fields: dict[str, str], writes: bool) -> None:
    assert may_write(headers, fields, TOKENS) is writes


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-ClickHouse-User": "default"},
        {"X-ClickHouse-User": "reader", "X-ClickHouse-Key": TOKENS.writer},
        {"X-ClickHouse-User": "", "X-ClickHouse-Key": TOKENS.reader},
        {"X-ClickHouse-Key": TOKENS.reader},
        basic("default:"),
        basic(TOKENS.writer),
        {"Authorization": "Basic not-base64!"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Digest {TOKENS.writer}"},
        {"X-ClickHouse-Key": "\udcff" * 43},
    ],
)
def test_who_shows_no_token_or_anothers_is_nobody(headers: dict[str, str]) -> None:
    with pytest.raises(QueryRefused) as refused:
        may_write(headers, {}, TOKENS)
    assert refused.value.code == 516


@pytest.mark.parametrize("site", ["none", "same-origin", "None", None])
def test_a_program_and_a_person_are_no_page(site: str | None) -> None:
    refuse_browsers({"Host": "127.0.0.1:8123", **({"Sec-Fetch-Site": site} if site else {})})


class EndsAsItIsCancelled:
    """An engine whose last statement ends just as it is cancelled."""

    def __init__(self, running: set[asyncio.Future[Answer]]) -> None:
        self._running = running

    def cancel(self) -> None:
        self._running.clear()


async def test_a_stop_is_orderly_where_the_last_query_ends_as_it_is_cancelled() -> None:
    interface = HttpInterface(None, EngineTokens("r", "w"))  # type: ignore[arg-type] # no engine is asked
    interface._running.add(asyncio.get_running_loop().create_future())
    interface._engine = EndsAsItIsCancelled(interface._running)  # type: ignore[assignment]
    assert await interface.drain(0.02)
