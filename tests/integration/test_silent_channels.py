"""A subscription that never sends, an instrument that does not trade or is refused: told once, with a reason."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import ClassVar

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from producers.books.records import ProducerRecord
from producers.live import run
from schemas.errors import UsageError
from schemas.messages import FeedState, FeedStatus, TradeRecord
from tests.integration.misbehaving import listening, misbehaving, until

pytestmark = pytest.mark.integration


class Kept:
    """A sink that keeps what a recorder's feeds say."""

    waiting = 0
    records: ClassVar[list[ProducerRecord]] = []

    def offer(self, record: ProducerRecord) -> bool:
        self.records.append(record)
        return True


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch) -> type[Kept]:
    monkeypatch.setattr(run, "_Nowhere", Kept)
    Kept.records.clear()
    return Kept


def told(kept: type[Kept], symbol: str = "BTCUSDT") -> list[tuple[FeedState, str]]:
    """Changes that a feed published."""
    statuses = [record for record in kept.records if isinstance(record, FeedStatus) and record.symbol == symbol]
    return [(status.state, status.detail) for status in statuses if not status.heartbeat]


@pytest.mark.parametrize(
    ("channel", "name", "state"),
    [("depth", "depth update", FeedState.STALE), ("trade", "trade", None), ("bookTicker", "quote", None)],
)
@pytest.mark.case("silent-subscription")
async def test_a_channel_without_its_first_message_is_told_once_by_name(
    tmp_path: Path, kept: type[Kept], channel: str, name: str, state: FeedState | None
) -> None:
    def is_silent(stream: str) -> bool:
        return f"@{channel}" in stream

    with capture_logs() as lines:
        async with (
            misbehaving(silent=is_silent) as venue,
            listening(venue, tmp_path / "a.frames.jsonl", stale_seconds=1.0) as heard,
        ):
            await until(lambda: any(name in detail for _, detail in told(kept)), 20)
            await asyncio.sleep(1.5)
            silences = heard.feed.router.streams["BTCUSDT"].feed.silences
            heard.feed.publish_metrics()

    changes = [(found, detail) for found, detail in told(kept) if f"no {name} since it was subscribed" in detail]
    assert [found for found, _ in changes if found is not FeedState.STOPPED] == [state or FeedState.LIVE]
    assert [line["channel"] for line in lines if line["event"] == "channel_silent"] == [silences[0].value]


async def test_where_trades_are_silent_their_alternative_is_subscribed_and_read(
    tmp_path: Path, kept: type[Kept]
) -> None:
    async with (
        misbehaving("BTCUSDT", "ETHUSDT", silent=lambda stream: stream.endswith("@trade")) as venue,
        listening(venue, tmp_path / "a.frames.jsonl", ["BTCUSDT", "ETHUSDT"], stale_seconds=1.0),
    ):
        await until(lambda: len({one.symbol for one in kept.records if isinstance(one, TradeRecord)}) == 2, 20)

    (instead,) = [client for client in venue.clients if client.path == "/market/stream"]
    assert instead.listens == {"btcusdt@aggTrade", "ethusdt@aggTrade"}


async def test_while_trades_come_their_alternative_is_neither_subscribed_nor_read(
    tmp_path: Path, kept: type[Kept]
) -> None:
    async with misbehaving() as venue, listening(venue, tmp_path / "a.frames.jsonl", stale_seconds=0.5) as heard:
        await until(lambda: heard.feed.router.streams["BTCUSDT"].counters.trades > 20)
        for client in venue.connected:
            client.listens.add("btcusdt@aggTrade")
        await until(lambda: heard.feed.router.ignored["aggTrade"] > 3)

    ids = [one.trade_id for one in kept.records if isinstance(one, TradeRecord)]
    assert len(ids) == len(set(ids))
    assert {client.path for client in venue.clients} == {"/public/stream"}


async def test_a_venue_that_sends_nothing_at_all_makes_the_feed_stale(tmp_path: Path, kept: type[Kept]) -> None:
    async with (
        misbehaving(silent=lambda _: True) as venue,
        listening(venue, tmp_path / "a.frames.jsonl", stale_seconds=1.0),
    ):
        await until(lambda: told(kept) and told(kept)[-1][0] is FeedState.STALE, 10)

    states = [state for state, _ in told(kept)]
    assert states.count(FeedState.STALE) == 1
    (detail,) = [detail for state, detail in told(kept) if state is FeedState.STALE]
    assert all(f"no {channel} since" in detail for channel in ("depth update", "trade", "quote"))


@pytest.mark.parametrize("status", ["BREAK", "HALT", "SETTLING", "PENDING_TRADING", "CANCEL_ONLY"])
@pytest.mark.case("silent-subscription")
async def test_what_the_list_says_of_an_instrument_is_told(tmp_path: Path, kept: type[Kept], status: str) -> None:
    with capture_logs() as lines:
        async with misbehaving() as venue:
            venue.symbols["BTCUSDT"] = status
            async with listening(venue, tmp_path / "a.frames.jsonl") as heard:
                await until(lambda: heard.feed.router.streams["BTCUSDT"].is_live)

    assert all(f"the venue lists it as {status}" in detail for _, detail in told(kept))
    assert [line["status"] for line in lines if line["event"] == "instrument_not_trading"] == [status]


async def test_a_delisted_instrument_ends_with_a_reason_and_the_others_go_on(tmp_path: Path, kept: type[Kept]) -> None:
    async with misbehaving("BTCUSDT", "OLDUSDT") as venue:
        venue.symbols["OLDUSDT"] = "DELIVERED"
        async with listening(venue, tmp_path / "a.frames.jsonl", ["BTCUSDT", "OLDUSDT"]) as heard:
            await until(lambda: heard.feed.router.streams["BTCUSDT"].is_live)
            listens = venue.connected[0].listens

    assert told(kept, "OLDUSDT") == [
        (FeedState.STOPPED, "the venue lists it as DELIVERED: it will not trade again"),
    ]
    assert not any("oldusdt" in stream for stream in listens)


async def test_a_process_whose_instruments_are_all_delisted_ends(tmp_path: Path) -> None:
    async with misbehaving() as venue:
        venue.symbols["BTCUSDT"] = "CLOSE"
        with pytest.raises(ExceptionGroup) as ended:
            async with listening(venue, tmp_path / "a.frames.jsonl"):
                await asyncio.sleep(5)
    assert ended.group_contains(UsageError, match="has delisted all of these")


@pytest.mark.case("refused-symbol")
async def test_a_refused_symbol_is_asked_for_ever_more_rarely_and_others_are_resynced(
    tmp_path: Path, kept: type[Kept]
) -> None:
    gone = ["AUSDT", "BUSDT", "CUSDT", "DUSDT"]
    async with misbehaving("BTCUSDT", *gone) as venue:
        books = dict(venue.symbols)

        def refuse(request: web.Request) -> web.Response | None:
            symbol = request.query.get("symbol", "")
            return web_refusal() if symbol in gone else None

        venue.answer = refuse
        async with listening(venue, tmp_path / "a.frames.jsonl", list(books)) as heard:
            stream = heard.feed.router.streams["BTCUSDT"]
            await until(lambda: stream.is_live)
            for _ in range(3):
                heard.feed.outlet.emit(stream.on_overload(0))
                await until(lambda: stream.is_live, 5)
            await asyncio.sleep(6)

    asked = Counter(path.partition("symbol=")[2].partition("&")[0] for _, path in venue.asked if "/depth" in path)
    assert asked["BTCUSDT"] >= 4
    assert all(1 <= asked[symbol] <= 3 for symbol in gone), asked
    for symbol in gone:
        refused = [detail for _, detail in told(kept, symbol) if "the venue refuses a book of this symbol" in detail]
        assert "Invalid symbol" in refused[0]


def web_refusal() -> web.Response:
    return web.json_response({"code": -1121, "msg": "Invalid symbol."}, status=400)
