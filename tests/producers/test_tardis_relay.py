"""What a relay of Tardis's data says: each message, its credentials, its quota."""

from __future__ import annotations

import json
from typing import Any

import pytest

from producers.exchanges import EXCHANGES
from producers.messages import (
    DepthDelta,
    DepthSnapshot,
    Frame,
    Ignored,
    Notice,
    NoticeKind,
    Reply,
    TradeTick,
    VenueMessage,
    Via,
)
from producers.tardis.relay import LIFETIME_SECONDS, Credentials, Quota, RelayReader, RelayStream, read_quota
from schemas.errors import DecodeError, UnknownMessage

BYBIT = EXCHANGES["bybit"]
SIDES = {"symbol": "BTCUSDT", "bids": [["100.5", "1"]], "asks": [], "update_id": 7}
NOW_NS = 1_700_000_000_000_000_000


def parse(*, is_chain: bool = False, **said: Any) -> VenueMessage:
    (found,) = RelayReader(BYBIT, is_chain=is_chain).parse(Frame(1, Via.WS, raw=json.dumps(said).encode()))
    return found


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"type": "snapshot", **SIDES}, DepthSnapshot),
        ({"type": "delta", **SIDES}, DepthDelta),
        ({"type": "trade", "symbol": "BTCUSDT", "side": "buy", "price": "1", "amount": "2"}, TradeTick),
        ({"type": "funding", "symbol": "BTCUSDT"}, Ignored),
        ({"type": "subscribed"}, Ignored),
        ({"type": "pong"}, Ignored),
        ({"type": "ping"}, Reply),
        ({"type": "error", "message": "no such channel"}, Notice),
    ],
)
def test_each_message_is_read(said: dict[str, Any], kind: type) -> None:
    assert isinstance(parse(**said), kind)


def test_an_error_about_an_instrument_names_it() -> None:
    assert parse(type="error", message="no such symbol", symbol="A") == Notice(
        NoticeKind.REFUSED, "no such symbol", "A"
    )


def test_an_error_about_how_often_we_come_is_about_no_instrument_that_it_names() -> None:
    told = parse(type="error", message="Rate limit exceeded", symbol="A")
    assert isinstance(told, Notice)
    assert told.kind is NoticeKind.TOO_MANY


def test_ids_are_a_chain_where_that_is_said() -> None:
    assert parse(type="delta", **SIDES).previous_sequence is None  # type: ignore[union-attr]
    assert parse(type="delta", is_chain=True, **SIDES).previous_sequence == 6  # type: ignore[union-attr]


@pytest.mark.parametrize(("raw", "error"), [(b"[]", DecodeError), (b"\xff", DecodeError), (b"{}", UnknownMessage)])
def test_what_is_no_message_is_refused(raw: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        RelayReader(BYBIT).parse(Frame(1, Via.WS, raw=raw))


def test_an_answer_over_rest_is_the_venues() -> None:
    with pytest.raises(DecodeError, match="not"):
        RelayReader(BYBIT).parse(Frame(1, Via.REST, request="/v5/market/instruments-info?category=linear", raw=b"x"))


@pytest.mark.parametrize(("ends_s", "lifetime_s"), [(None, LIFETIME_SECONDS), (60, 30), (1e7, LIFETIME_SECONDS)])
def test_a_connection_lives_half_as_long_as_credentials(ends_s: float | None, lifetime_s: float) -> None:
    ends_ns = None if ends_s is None else NOW_NS + int(ends_s * 1e9)
    assert Credentials("ws://x", "k", ends_ns).lifetime_s(NOW_NS) == lifetime_s


@pytest.mark.parametrize(
    ("answer", "quota"),
    [
        ({"quota": {"limit": 10, "remaining": 3}}, Quota(3, 10)),
        ({"message_quota_remaining": 3}, Quota(3)),
        ({"valid": True, "features": ["x"]}, Quota()),
    ],
)
def test_a_quota_is_read_as_far_as_it_is_told(answer: dict[str, Any], quota: Quota) -> None:
    assert read_quota(json.dumps(answer).encode()) == quota


def test_each_instrument_has_a_connection_of_its_own_and_the_venues_list() -> None:
    stream = RelayStream(BYBIT, "wss://relay/stream", 30.0, depth=20, is_chain=False)
    assert (stream.limits.streams_per_connection, stream.limits.lifetime_s, stream.recover("A")) == (1, 30.0, [])
    assert stream.listings(["BTCUSDT"]) == BYBIT.listings(["BTCUSDT"])
    assert stream.websocket_path("A") == ""
