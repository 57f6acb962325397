"""Deribit's login, pure: what is said, what is heard, and what the simulator lets a client do without one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from producers.contract import Granted
from producers.exchanges.deribit.login import DeribitLogin
from producers.exchanges.deribit.venue import RAW_DERIBIT
from producers.messages import Ack, Frame, Notice, NoticeKind, Via
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.session import VenueSession
from producers.simulator.venues.deribit import CLIENT_ID, CLIENT_SECRET, VENUE

SYMBOL = "BTC-PERPETUAL"
LOGIN = DeribitLogin(CLIENT_ID, CLIENT_SECRET)


def session() -> VenueSession:
    return VenueSession(SimulatedExchange(VENUE, (SYMBOL,)), VENUE.websocket_target, 0)


def said(one: VenueSession, raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(text) for text in one.receive(raw.decode(), 0) if isinstance(text, str)]


def test_a_login_is_granted_and_renewed_by_what_it_granted() -> None:
    venue, message = session(), LOGIN.begin
    for _ in range(2):
        [answer] = said(venue, message)
        granted = LOGIN.read(json.dumps(answer).encode())
        assert isinstance(granted, Granted)
        assert granted.seconds == 900
        assert CLIENT_SECRET.encode() not in granted.renewal
        message = granted.renewal


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"id": 5, "error": {"code": 13004, "message": "invalid_credentials"}}, "13004 invalid_credentials"),
        (
            {"id": 5, "error": {"code": 10028, "message": "too_many_requests"}},
            Notice(NoticeKind.TOO_MANY, "10028 too_many_requests"),
        ),
        (
            {"id": 5, "error": {"code": 11051, "message": "system_maintenance"}},
            Notice(NoticeKind.UNAVAILABLE, "11051 system_maintenance"),
        ),
        ({"id": 5, "result": {"access_token": "secret"}}, "an answer that cannot be read"),
        ({"id": 1, "result": ["book.A.raw"]}, None),
        ({"jsonrpc": "2.0", "method": "subscription", "id": 5, "result": {}}, None),
        ([1], None),
    ],
)
def test_each_answer_is_known_for_what_it_is(answer: Any, found: object) -> None:
    assert LOGIN.read(json.dumps(answer).encode()) == found


def test_the_secret_is_in_no_representation() -> None:
    assert CLIENT_SECRET not in f"{LOGIN!r} {LOGIN}"


def test_raw_channels_want_a_login_and_are_acknowledged_with_one() -> None:
    venue = session()
    [say] = RAW_DERIBIT.subscribe([SYMBOL])
    assert [one["error"]["code"] for one in said(venue, say.raw)] == [13009]
    public = say.raw.replace(b"private/", b"public/")
    assert [one["error"]["code"] for one in said(venue, public)] == [13778]
    said(venue, LOGIN.begin)
    [answer] = said(venue, say.raw)
    acknowledged = RAW_DERIBIT.parse(Frame(1, Via.WS, raw=json.dumps(answer).encode()))
    assert {ack.key for ack in acknowledged if isinstance(ack, Ack)} == set(say.acknowledged_by)
    assert f"private/subscribe:book.{SYMBOL}.raw" in say.acknowledged_by


def test_a_book_is_had_again_as_it_was_subscribed() -> None:
    methods = [json.loads(say.raw)["method"] for say in RAW_DERIBIT.recover(SYMBOL)]
    assert methods == ["private/unsubscribe", "private/subscribe"]
