"""A venue that tells to wait is left alone: nobody asks before the time it names, by REST or by handshake."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from producers.exchanges import EXCHANGES
from producers.live.gate import refusal_in_close
from producers.messages import Frame, Notice, NoticeKind, Via
from producers.simulator.venues import SIMULATED
from schemas.errors import MessageError
from tests.integration.misbehaving import listening, misbehaving, until

pytestmark = pytest.mark.integration


def now_s() -> float:
    return time.time()


def banned(after_s: float, status: int = 418) -> web.Response:
    until_ms = int((now_s() + after_s) * 1000)
    told = f"Way too many requests; IP(192.0.2.1) banned until {until_ms}. Please use the websocket for live updates."
    return web.json_response({"code": -1003, "msg": told}, status=status)


@pytest.mark.parametrize("how", ["body", "header", "date", "milliseconds", "status 200", "status 400"])
@pytest.mark.case("ban-until")
async def test_nothing_is_asked_before_the_named_time(tmp_path: Path, how: str) -> None:
    least_s = 2.5
    refused_s: list[float] = []

    def refuse_once(request: web.Request) -> web.Response | None:
        if refused_s or "/depth" not in request.path:
            return None
        refused_s.append(venue.now_s)
        for client in venue.connected:
            client.socket._req.transport.abort()  # type: ignore[union-attr] # the connection is lost as well
        headers = {
            "header": {"Retry-After": str(least_s)},
            "date": {"Retry-After": formatdate(int(now_s()) + 4, usegmt=True)},
            "milliseconds": {"retry-after-ms": "2500"},
        }
        if how not in headers:
            return banned(least_s, int(how.removeprefix("status ")) if "status" in how else 418)
        return web.Response(status=429, headers=headers[how])

    async with misbehaving(answer=refuse_once) as venue, listening(venue, tmp_path / "a.frames.jsonl") as heard:
        await until(lambda: len(venue.asked_for("/depth")) > 1, 15)
        await until(lambda: heard.feed.router.streams["BTCUSDT"].is_live, 15)

    came = sorted(asked_s for asked_s in [*venue.asked_for("/depth"), *venue.knocked_s] if asked_s > refused_s[0])
    assert came[0] - refused_s[0] >= least_s - 0.05
    assert len(venue.knocked_s) == 2, "the lost connection came back, after the wait"


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (418, {}, '{"code":-1003,"msg":"Way too many requests."}'),
        (429, {"Retry-After": "0"}, "{}"),
        (403, {}, "<html><head><title>403 Forbidden</title></head></html>"),
        (429, {"Retry-After": "soon"}, ""),
    ],
)
async def test_without_a_time_the_waits_double(tmp_path: Path, status: int, headers: dict[str, str], body: str) -> None:
    def refuse(request: web.Request) -> web.Response | None:
        refused = web.Response(status=status, headers=headers, text=body)
        return refused if "/depth" in request.path else None

    async with misbehaving(answer=refuse) as venue, listening(venue, tmp_path / "a.frames.jsonl"):
        await asyncio.sleep(7.5)

    asked_s = venue.asked_for("/depth")
    assert 2 <= len(asked_s) <= 3, "seven requests in 1.3 s once"
    for (first, second), least_s in zip(pairwise(asked_s), (2.0, 4.0), strict=False):
        assert second - first >= least_s


@pytest.mark.parametrize(("status", "headers"), [(429, {"Retry-After": "60"}), (403, {"Retry-After": "60"}), (451, {})])
async def test_a_refused_handshake_is_not_tried_again_and_keeps_requests_back(
    tmp_path: Path, status: int, headers: dict[str, str]
) -> None:
    refused = status

    def refuse(_: web.Request) -> web.Response:
        return web.Response(status=refused, headers=headers)

    async with misbehaving(handshake=refuse) as venue, listening(venue, tmp_path / "a.frames.jsonl") as heard:
        await until(lambda: venue.knocked_s)
        await asyncio.sleep(3.0)
        (status,) = heard.feed.router.streams["BTCUSDT"].feed.on_heartbeat(time.time_ns())
        assert f"HTTP {refused}" in getattr(status, "detail", ""), "feed-status says so"
        assert heard.feed.gate.wait_s() > 50

    assert len(venue.knocked_s) == 1, "19 in 40 s once"
    assert [json.dumps(path) for _, path in venue.asked if "/depth" in path] == []


@pytest.mark.case("ban-until")
async def test_a_subscription_refused_for_too_many_requests_waits_ever_longer(tmp_path: Path) -> None:
    def refuse(said: dict[str, Any]) -> dict[str, Any]:
        return {"error": {"code": -1003, "msg": "Too many requests."}, "id": said["id"]}

    async with misbehaving(refuses=refuse) as venue, listening(venue, tmp_path / "a.frames.jsonl") as heard:
        await asyncio.sleep(7.5)
        (status,) = heard.feed.router.streams["BTCUSDT"].feed.on_heartbeat(time.time_ns())
        assert "refuses requests (" in getattr(status, "detail", ""), "feed-status says so"

    assert 2 <= len(venue.knocked_s) <= 3, "one every second or so otherwise"
    for (first, second), least_s in zip(pairwise(venue.knocked_s), (2.0, 4.0), strict=False):
        assert second - first >= least_s


@pytest.mark.case("ban-until")
async def test_a_ban_that_a_socket_is_ended_with_is_waited_out(tmp_path: Path) -> None:
    least_s, ended_s = 2.5, []

    def end() -> tuple[int, str] | None:
        if ended_s:
            return None
        ended_s.append(now_s())
        return 1008, f"Too many requests; IP banned until {int((now_s() + least_s) * 1000)}."

    async with misbehaving(ends=end) as venue, listening(venue, tmp_path / "a.frames.jsonl") as heard:
        await until(lambda: heard.feed.router.streams["BTCUSDT"].is_live, 15)

    first_s, second_s = venue.knocked_s
    assert second_s - first_s >= least_s - 0.05
    assert all(asked_s > second_s for asked_s in venue.asked_for("/depth"))


@pytest.mark.parametrize(("code", "reason"), [(1013, ""), (1008, "too many requests"), (4008, "Rate limit exceeded")])
async def test_sockets_ended_for_how_often_we_come_are_opened_ever_more_rarely(
    tmp_path: Path, code: int, reason: str
) -> None:
    async with misbehaving(ends=lambda: (code, reason)) as venue, listening(venue, tmp_path / "a.frames.jsonl"):
        await asyncio.sleep(7.5)

    assert 2 <= len(venue.knocked_s) <= 3, "eleven in 8 s once"
    for (first, second), least_s in zip(pairwise(venue.knocked_s), (2.0, 4.0), strict=False):
        assert second - first >= least_s


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (1008, "Pong timeout"), (1012, "")])
def test_any_other_end_of_a_socket_is_no_refusal(code: int, reason: str) -> None:
    assert refusal_in_close(code, reason) is None


@pytest.mark.parametrize("body", ["<html><body>Maintenance</body></html>", "", "null", '{"lastUpdateId":7}'])
@pytest.mark.case("refused-symbol")
async def test_an_answer_that_is_no_book_is_asked_for_ever_more_rarely_and_told(tmp_path: Path, body: str) -> None:
    def answer(request: web.Request) -> web.Response | None:
        return web.Response(text=body) if request.query.get("symbol") == "ETHUSDT" else None

    symbols = ("BTCUSDT", "ETHUSDT")
    async with (
        misbehaving(*symbols, answer=answer) as venue,
        listening(venue, tmp_path / "a.frames.jsonl", symbols) as heard,
    ):
        streams = heard.feed.router.streams
        await until(lambda: streams["BTCUSDT"].is_live)
        await asyncio.sleep(5.5)
        (status,) = streams["ETHUSDT"].feed.on_heartbeat(time.time_ns())
        assert "its answer cannot be used" in getattr(status, "detail", ""), "feed-status says so"
        asked = len(venue.asked_for("depth?symbol=ETHUSDT"))
        venue.answer = lambda _: None
        await until(lambda: streams["ETHUSDT"].is_live, 15)
        await until(lambda: "cannot be used" not in getattr(streams["ETHUSDT"].feed.on_heartbeat(0)[0], "detail", ""))

    assert asked <= 2, "six in 6 s once"


async def test_books_that_no_update_bridges_are_asked_for_ever_more_rarely(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.live.snapshots.FEW_FUTILE", 1)
    old = {"lastUpdateId": 1, "bids": [["100.0", "1.000"]], "asks": [["100.1", "1.000"]]}

    def answer(request: web.Request) -> web.Response | None:
        return web.json_response(old) if request.query.get("symbol") == "ETHUSDT" else None

    symbols = ("BTCUSDT", "ETHUSDT")
    async with (
        misbehaving(*symbols, answer=answer) as venue,
        listening(venue, tmp_path / "a.frames.jsonl", symbols) as heard,
    ):
        streams = heard.feed.router.streams
        await until(lambda: streams["BTCUSDT"].is_live and len(venue.asked_for("depth?symbol=ETHUSDT")) >= 3, 20)
        first_s, second_s, third_s, *_ = venue.asked_for("depth?symbol=ETHUSDT")
        assert third_s - second_s >= 4.0 > second_s - first_s
        venue.answer = lambda _: None
        await until(lambda: streams["ETHUSDT"].is_live, 20)


async def test_a_feed_says_why_nothing_carries_it(tmp_path: Path) -> None:
    def moved(_: web.Request) -> web.Response:
        return web.Response(status=404, text="<html>Not Found</html>")

    async with misbehaving(handshake=moved) as venue, listening(venue, tmp_path / "a.frames.jsonl") as heard:
        stream = heard.feed.router.streams["BTCUSDT"]
        await until(lambda: "HTTP 404" in getattr(stream.feed.on_heartbeat(0)[0], "detail", ""), 15)
        venue.handshake = lambda _: None
        await until(lambda: stream.is_live, 15)
        await until(lambda: not getattr(stream.feed.on_heartbeat(0)[0], "detail", ""))


async def test_a_feed_says_why_no_book_can_be_had(tmp_path: Path) -> None:
    def answer(request: web.Request) -> web.Response | None:
        return web.Response(status=502, text="<html>Bad gateway</html>") if "/depth" in request.path else None

    async with misbehaving(answer=answer) as venue, listening(venue, tmp_path / "a.frames.jsonl") as heard:
        stream = heard.feed.router.streams["BTCUSDT"]
        await until(lambda: "HTTP 502" in getattr(stream.feed.on_heartbeat(0)[0], "detail", ""))
        venue.answer = lambda _: None
        await until(lambda: stream.is_live, 15)
        await until(lambda: not getattr(stream.feed.on_heartbeat(0)[0], "detail", ""))


def kind_told(venue: str, via: Via, raw: str) -> NoticeKind:
    """What a venue's adapter takes an answer for."""
    [notice] = EXCHANGES[venue].parse(Frame(0, via, request="/any" if via is Via.REST else "", raw=raw.encode()))
    assert isinstance(notice, Notice)
    return notice.kind


@pytest.mark.parametrize(
    ("venue", "via", "raw"),
    [
        ("binance", Via.WS, '{"code":-1003,"msg":"Too many requests; current limit is 5."}'),
        ("binance-delivery", Via.REST, '{"code":-1003,"msg":"Too many requests"}'),
        ("bybit", Via.REST, '{"retCode":10006,"retMsg":"Too many visits!","result":{}}'),
        ("bybit-spot", Via.REST, '{"retCode":10018,"retMsg":"Exceeded the IP Rate Limit.","result":{}}'),
        ("bybit", Via.WS, '{"success":false,"ret_msg":"Too many visits!","op":"subscribe","req_id":"1"}'),
        ("okx", Via.REST, '{"code":"50011","msg":"Rate limit reached","data":[]}'),
        ("okx", Via.WS, '{"event":"error","code":"60014","msg":"Requests too frequent","connId":"a"}'),
        ("deribit", Via.REST, '{"jsonrpc":"2.0","error":{"code":10028,"message":"too_many_requests"}}'),
        (
            "deribit",
            Via.WS,
            '{"jsonrpc":"2.0","id":1,"error":{"code":10028,"message":"too_many_requests","data":{"wait":3}}}',
        ),
        ("deribit", Via.REST, '{"jsonrpc":"2.0","error":{"code":10066,"message":"too_many_concurrent_requests"}}'),
    ],
)
@pytest.mark.case("ban-until")
def test_each_venues_words_for_too_many_requests_are_known(venue: str, via: Via, raw: str) -> None:
    assert kind_told(venue, via, raw) is NoticeKind.TOO_MANY


@pytest.mark.parametrize("venue", sorted(SIMULATED))
def test_a_server_that_fails_is_not_one_that_is_asked_too_often(venue: str) -> None:
    def read(status: int) -> set[NoticeKind]:
        raw = SIMULATED[venue].refusal(status).encode()
        try:
            told = EXCHANGES[venue].parse(Frame(0, Via.REST, request="/any", raw=raw))
        except MessageError:
            return set()
        return {one.kind for one in told if isinstance(one, Notice)}

    assert read(429) == {NoticeKind.TOO_MANY}
    assert read(503) == {NoticeKind.UNAVAILABLE}


@pytest.mark.parametrize(
    ("venue", "via", "raw"),
    [
        ("binance", Via.REST, '{"code":-1008,"msg":"Server is currently overloaded with other requests."}'),
        ("bybit", Via.REST, '{"retCode":10000,"retMsg":"Server Timeout","result":{}}'),
        ("okx", Via.REST, '{"code":"50001","msg":"Service temporarily unavailable. Try again later","data":[]}'),
        ("okx", Via.WS, '{"event":"error","code":"50026","msg":"System error. Try again later","connId":"a"}'),
        ("deribit", Via.WS, '{"jsonrpc":"2.0","id":1,"error":{"code":11051,"message":"system_maintenance"}}'),
    ],
)
def test_a_venue_in_trouble_says_nothing_against_what_was_asked(venue: str, via: Via, raw: str) -> None:
    assert kind_told(venue, via, raw) is NoticeKind.UNAVAILABLE


@pytest.mark.parametrize("status", [200, 400, 503])
async def test_a_book_that_a_venue_in_trouble_does_not_give_is_asked_for_soon_again(
    tmp_path: Path, status: int
) -> None:
    def answer(request: web.Request) -> web.Response | None:
        if "/depth" not in request.path:
            return None
        return web.json_response({"code": -1001, "msg": "Internal error; unable to process."}, status=status)

    async with misbehaving(answer=answer) as venue, listening(venue, tmp_path / "a.frames.jsonl") as heard:
        stream = heard.feed.router.streams["BTCUSDT"]
        await until(lambda: "Internal error" in getattr(stream.feed.on_heartbeat(0)[0], "detail", ""))
        (status_now,) = stream.feed.on_heartbeat(0)
        assert "refuses" not in getattr(status_now, "detail", "")
        assert len(venue.asked_for("/depth")) >= 2
        venue.answer = lambda _: None
        await until(lambda: stream.is_live, 10)
