"""A venue that refuses one of many subscriptions: that instrument's feed says so, and the others come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from obflow.clock import SystemClock
from obflow.metrics import Metrics
from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.exchanges.binance.usd_m import BINANCE_FUTURES
from producers.live import connections, talk
from producers.live.rest import RestClient
from producers.live.roster import Roster
from producers.live.source import VenueSource
from producers.messages import Ack, Frame, Instrument, Notice, NoticeKind, Via
from producers.selection import Selection
from schemas.messages import FeedStatus
from tests.integration.misbehaving import Listening, listening, misbehaving, until
from tests.integration.simulators import simulator
from tests.support.patience import patient

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("venue", "traded", "refused"),
    [
        ("bybit", "BTCUSDT", "GONEUSDT"),
        ("okx", "BTC-USDT-SWAP", "GONE-USDT-SWAP"),
        ("deribit", "BTC-PERPETUAL", "GONE-PERPETUAL"),
    ],
)
@pytest.mark.case("refused-symbol")
async def test_one_refused_symbol_costs_the_others_one_connection(
    monkeypatch: pytest.MonkeyPatch, venue: str, traded: str, refused: str
) -> None:
    monkeypatch.setattr(talk, "ACK_SECONDS", 1.0)
    symbols, told = (traded, refused), {}
    router = FrameRouter(EXCHANGES[venue], {name: Instrument(venue, name, "0.0001", "0.0001") for name in symbols})
    async with simulator(venue, symbols=[traded]) as served, asyncio.timeout(patient(15)), asyncio.TaskGroup() as group:
        source = VenueSource(
            EXCHANGES[venue],
            symbols,
            served.server.websocket_url,
            clock=SystemClock(),
            max_bytes=10**7,
            on_oversized=lambda _: None,
            on_refused=told.__setitem__,
        )
        source.start(group.create_task)
        async for frame in source.frames():
            source.handle(frame, notices) if (notices := router.handle(frame).notices) else None
            if refused in told and router.streams[traded].counters.deltas_applied > 12:
                break
        opened = (await served.report())["stats"]["connections"]
        for task in source.tasks:
            task.cancel()

    assert list(told) == [refused]
    assert told[refused]
    assert opened == 2
    assert not router.streams[refused].is_live


@pytest.mark.case("refused-symbol")
async def test_where_a_venue_accepts_nothing_it_is_told_at_once_and_the_waits_grow() -> None:
    told: list[tuple[str, str]] = []
    told_s: list[float] = []

    def note(symbol: str, why: str) -> None:
        told.append((symbol, why))
        told_s.append(asyncio.get_running_loop().time())

    simulated = simulator("deribit", symbols=["BTC-PERPETUAL"])
    async with simulated as served, asyncio.timeout(patient(30)), asyncio.TaskGroup() as group:
        source = VenueSource(
            EXCHANGES["deribit"],
            ["GONE-PERPETUAL"],
            served.server.websocket_url,
            clock=SystemClock(),
            max_bytes=10**7,
            on_oversized=lambda _: None,
            on_refused=note,
        )
        source.start(group.create_task)
        router = FrameRouter(
            EXCHANGES["deribit"], {"GONE-PERPETUAL": Instrument("deribit", "GONE-PERPETUAL", "0.5", "10")}
        )
        async for frame in source.frames():
            source.handle(frame, notices) if (notices := router.handle(frame).notices) else None
            if len(told) > 1:
                break
        for task in source.tasks:
            task.cancel()

    assert set(told) == {("GONE-PERPETUAL", "it accepted none of the channels")}
    assert told_s[1] - told_s[0] >= connections.REFUSED_SECONDS


def refusing(symbol: str, why: str) -> Callable[[dict[str, Any]], dict[str, Any] | None]:
    """Refuse whatever asks for a symbol."""

    def refuse(said: dict[str, Any]) -> dict[str, Any] | None:
        asked = any(symbol.lower() in stream for stream in said["params"]) and said["method"] == "SUBSCRIBE"
        return {"error": {"code": 2, "msg": why}, "id": said["id"]} if asked else None

    return refuse


@pytest.mark.parametrize(
    ("detail", "refused"),
    [
        ("60012 Invalid request: {said}", ()),
        ("60018 Wrong URL or channel:books,instId:B-USDT doesn't exist.", ("B-USDT",)),
        ("60018 no such instruments: A-USDT, C-USDT", ("A-USDT", "C-USDT")),
    ],
)
async def test_a_refusal_that_repeats_a_message_is_about_none_of_its_instruments(
    detail: str, refused: tuple[str, ...]
) -> None:
    okx, carried = EXCHANGES["okx"], ("A-USDT", "B-USDT", "C-USDT", "D-USDT")
    heard = talk.Talk(okx, "c", lambda: carried)
    [first], [second] = okx.subscribe(carried[:2]), okx.subscribe(carried[2:])
    heard.say([first, second])
    heard.handle(Notice(NoticeKind.REFUSED, detail.replace("{said}", first.raw.decode())))
    with pytest.raises(talk.SubscriptionRefused) as told:
        await heard.watch()
    assert told.value.symbols == refused


@pytest.mark.parametrize("was_accepted", [True, False])
@pytest.mark.parametrize("carried", [("A-PERPETUAL",), ("A-PERPETUAL", "B-PERPETUAL")])
async def test_a_refusal_that_names_nothing_is_about_the_one_that_is_asked_for_anew(
    carried: tuple[str, ...], *, was_accepted: bool
) -> None:
    deribit = EXCHANGES["deribit"]
    heard, again = talk.Talk(deribit, "c", lambda: carried), deribit.recover(carried[0])
    assert isinstance(again, list)
    first = deribit.subscribe(carried) if was_accepted else []
    heard.say(first)
    for key in [key for say in first for key in say.acknowledged_by]:
        heard.handle(Ack(key))
    heard.say(again)
    for notice in deribit.parse(Frame(1, Via.WS, "c", "", b'{"jsonrpc":"2.0","id":1,"result":[]}')):
        assert isinstance(notice, Notice)
        heard.handle(notice)
    with pytest.raises(talk.SubscriptionRefused) as told:
        await heard.watch()
    is_known = was_accepted and len(carried) > 1
    assert told.value.symbols == (carried[:1] if is_known else ()), "alone, or first of all, it is waited for"


NAMES = ("AUSDT", "BTCUSDT", "ETHUSDT")
REFUSED = "the venue refuses to send this symbol"


def detail_of(heard: Listening, symbol: str) -> str:
    """What the feed's status says of it."""
    (status,) = heard.feed.router.streams[symbol].feed.on_heartbeat(0)
    assert isinstance(status, FeedStatus)
    return status.detail


@pytest.mark.parametrize("gone", ["AUSDT", "ETHUSDT"])
@pytest.mark.parametrize("why", ["Invalid request.", "no such stream: [gone]"])
@pytest.mark.case("refused-symbol")
async def test_a_refusal_in_any_words_is_found_out_and_the_others_come(tmp_path: Path, gone: str, why: str) -> None:
    refuse = refusing(gone, why.replace("gone", f"{gone.lower()}@depth"))
    with capture_logs() as logs:
        async with (
            misbehaving(*NAMES, refuses=refuse) as venue,
            listening(venue, tmp_path / "a.frames.jsonl", NAMES) as heard,
        ):
            others = [stream for symbol, stream in heard.feed.router.streams.items() if symbol != gone]
            await until(lambda: all(stream.is_live for stream in others), 30)
            await until(lambda: REFUSED in detail_of(heard, gone), 30)
            await until(lambda: all(stream.is_live for stream in others), 30)
            assert not any(detail_of(heard, symbol) for symbol in NAMES if symbol != gone)

    told = [line["symbol"] for line in logs if line["event"] == "subscription_refused"]
    assert told.count(gone) <= 2
    assert len(venue.clients) <= 4, "one that is refused, then one after the other"


@pytest.mark.case("refused-symbol")
async def test_a_venue_that_is_not_itself_has_refused_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REFUSED_SECONDS", 0.2)
    refused = []

    def busy(said: dict[str, Any]) -> dict[str, Any] | None:
        if len(refused) > 2 or not any("ethusdt" in stream for stream in said["params"]):
            return None
        refused.append(said)
        return {"error": {"code": -1001, "msg": "Internal error; unable to subscribe ethusdt@depth."}, "id": said["id"]}

    async with (
        misbehaving(*NAMES, refuses=busy) as venue,
        listening(venue, tmp_path / "a.frames.jsonl", NAMES) as heard,
    ):
        await until(lambda: all(stream.is_live for stream in heard.feed.router.streams.values()), 30)
        await until(lambda: not any(detail_of(heard, symbol) for symbol in NAMES))


@pytest.mark.case("refused-symbol")
async def test_where_all_are_refused_none_is_left_out_and_the_waits_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "REFUSED_SECONDS", 1.0)
    async with (
        misbehaving(*NAMES, refuses=refusing("usdt", "the system is busy")) as venue,
        listening(venue, tmp_path / "a.frames.jsonl", NAMES) as heard,
    ):
        await until(lambda: len(venue.knocked_s) >= 4, 20)
        gaps = [later - earlier for earlier, later in pairwise(venue.knocked_s)]
        assert all("the system is busy" in detail_of(heard, symbol) for symbol in NAMES)
        venue.refuses = lambda _: None
        await until(lambda: all(stream.is_live for stream in heard.feed.router.streams.values()), 40)
        await until(lambda: not any(detail_of(heard, symbol) for symbol in NAMES))

    assert gaps[1] >= 1.0
    assert gaps[2] >= 2.0


@pytest.mark.case("refused-symbol")
async def test_what_was_refused_is_asked_for_again_with_the_list_and_no_other_feels_it(tmp_path: Path) -> None:
    symbols = ("BTCUSDT", "ETHUSDT")
    refuse = refusing("ETHUSDT", "no such stream: [ethusdt@depth]")
    async with (
        misbehaving(*symbols, refuses=refuse) as venue,
        listening(venue, tmp_path / "a.frames.jsonl", symbols) as heard,
        RestClient(BINANCE_FUTURES, venue.url, 10**7) as rest,
    ):
        streams = heard.feed.router.streams
        await until(lambda: streams["BTCUSDT"].is_live and REFUSED in detail_of(heard, "ETHUSDT"))
        roster = Roster(
            heard.feed,
            rest,
            BINANCE_FUTURES,
            Selection(symbols),
            {symbol: stream.instrument for symbol, stream in streams.items()},
            clock=SystemClock(),
            metrics=Metrics("test"),
            is_ours=lambda _: True,
            admit=_nobody,
        )
        opened, epoch = len(venue.knocked_s), streams["BTCUSDT"].epoch

        venue.symbols["ETHUSDT"] = "PENDING_TRADING"
        await roster.refresh()
        venue.symbols["ETHUSDT"] = "TRADING"
        await asyncio.sleep(0.3)
        assert len(venue.knocked_s) == opened, "what does not trade is not asked for"

        for asked in (1, 2):
            await roster.refresh()
            await until(lambda: len(venue.knocked_s) == opened + asked)  # noqa: B023 (waited for in this turn)
            await until(lambda: len(venue.connected) == 1)
        assert REFUSED in detail_of(heard, "ETHUSDT")

        venue.refuses = lambda _: None
        await roster.refresh()
        await until(lambda: streams["ETHUSDT"].is_live)
        await until(lambda: not detail_of(heard, "ETHUSDT"))
        assert (streams["BTCUSDT"].epoch, streams["BTCUSDT"].counters.gaps) == (epoch, 0)


async def _nobody(_: object) -> list[str]:
    return []
