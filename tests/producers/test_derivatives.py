"""What frames tell of derivatives: the venues' own examples, and a public normaliser's pairs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obflow.clock import SystemClock
from orderbook.decimals import plain_signed
from producers.books.feed_state import FeedTracker, LinkEvent
from producers.books.router import FrameRouter
from producers.contract import Channel
from producers.exchanges import EXCHANGES
from producers.live.source import VenueSource
from producers.messages import DerivativeTick, Frame, Ignored, Instrument, VenueMessage, Via
from producers.tardis.stream import MachineStream
from schemas.errors import InvalidNumber, MessageError
from schemas.messages import DerivativeRecord
from tests.producers.messages import SECOND, live_stream

MS = 1_000_000


def told(venue: str, raw: object) -> list[VenueMessage]:
    return EXCHANGES[venue].parse(Frame(1, Via.WS, raw=raw if isinstance(raw, bytes) else json.dumps(raw).encode()))


def okx(channel: str, **data: str) -> dict[str, Any]:
    return {"arg": {"channel": channel, "instId": "A-SWAP"}, "data": [{"instId": "A-SWAP", "instType": "SWAP", **data}]}


def mark(**changes: object) -> dict[str, Any]:
    event = {"e": "markPriceUpdate", "E": 5, "s": "A", "p": "2.50", "i": "2.4", "r": "-0.0001", "T": 7, "st": 1}
    return {"stream": "a@markPrice@1s", "data": event | changes}


EXAMPLES: list[tuple[str, object, VenueMessage]] = [
    ("binance-futures", mark(), DerivativeTick("A", 5 * MS, "-0.0001", 7 * MS, None, "2.50", "2.4")),
    ("binance-futures", mark(r="0.00000000", T=0), DerivativeTick("A", 5 * MS, mark_price="2.50", index_price="2.4")),
    ("binance-delivery", mark(r="", T=0, i=""), DerivativeTick("A", 5 * MS, mark_price="2.50")),
    ("binance-delivery", mark()["data"], DerivativeTick("A", 5 * MS, "-0.0001", 7 * MS, None, "2.50", "2.4")),
    ("bybit", {"topic": "tickers.A", "type": "delta", "ts": 5, "data": {"symbol": "A", "openInterest": "3"}},
     DerivativeTick("A", 5 * MS, open_interest="3")),
    ("bybit", {"topic": "tickers.A", "type": "delta", "ts": 5, "data": {"symbol": "A", "bid1Size": "3"}},
     Ignored("tickers")),
    ("bybit", {"topic": "tickers.A", "type": "snapshot", "ts": 5, "data":
     {"symbol": "A", "fundingRate": "", "nextFundingTime": "0", "markPrice": "1"}},
     DerivativeTick("A", 5 * MS, mark_price="1")),
    ("bybit-spot", {"topic": "tickers.A", "type": "snapshot", "ts": 5, "data": {"symbol": "A", "lastPrice": "1"}},
     Ignored("tickers")),
    ("okx", okx("mark-price", markPx="2.1", ts="9"), DerivativeTick("A-SWAP", 9 * MS, mark_price="2.1")),
    ("okx", okx("open-interest", oi="644195", oiCcy="6", ts="9"),
     DerivativeTick("A-SWAP", 9 * MS, open_interest="644195")),
    ("okx", okx("funding-rate", fundingTime="1000", nextFundingTime="3601000", fundingRate="0.1", nextFundingRate=""),
     DerivativeTick("A-SWAP", None, "0.1", SECOND, 3600)),
    ("okx", okx("funding-rate", ts="9"), Ignored("funding-rate")),
]  # fmt: skip


@pytest.mark.parametrize(("venue", "raw", "expected"), EXAMPLES)
def test_a_message_tells_what_it_carries_and_no_more(venue: str, raw: object, expected: VenueMessage) -> None:
    assert told(venue, raw) == [expected]


@pytest.mark.parametrize(
    ("venue", "raw"),
    [
        ("binance-futures", mark(p=1)),
        ("binance-futures", mark(T=2**63 - 1)),
        ("bybit", {"topic": "tickers.A", "ts": 5, "data": {"nextFundingTime": "soon"}}),
        ("okx", okx("funding-rate", fundingTime="-1")),
        ("deribit", {"method": "subscription", "params": {"channel": "ticker.A.100ms", "data": {"mark_price": "1"}}}),
    ],
)
def test_a_message_out_of_shape_is_an_error_of_its_channel(venue: str, raw: object) -> None:
    with pytest.raises(MessageError) as refused:
        told(venue, raw)
    assert refused.value.context["channel"] is Channel.DERIVATIVE


@pytest.mark.parametrize("number", ["", "1e5", "NaN", "--1", "+1", "0x1", " 1", "9" * 60])
def test_a_number_that_is_none_is_refused_and_changes_nothing(number: str) -> None:
    stream = live_stream()
    before = (stream.counters.derivatives, stream.tracked.sequence)
    for name in ("funding_rate", "mark_price", "index_price", "open_interest"):
        with pytest.raises(InvalidNumber):
            stream.derivatives.take(DerivativeTick("BTCUSDT", **{name: number}), SECOND)
    with pytest.raises(InvalidNumber):
        stream.derivatives.take(DerivativeTick("BTCUSDT", mark_price="-1"), SECOND)
    assert (stream.counters.derivatives, stream.tracked.sequence) == before


@given(st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, places=18))
def test_a_signed_number_keeps_its_value_and_loses_its_padding(number: Decimal) -> None:
    text = plain_signed(f"{number:f}")
    assert Decimal(text) == number
    assert text == "0" or (text.strip("-")[-1] != "0" or "." not in text)
    assert text != "-0"


def test_its_record_says_when_and_of_which_contract() -> None:
    stream = live_stream()
    records = [stream.derivatives.take(DerivativeTick("BTCUSDT", mark_price="1.50"), at) for at in (9 * SECOND, SECOND)]
    (first,), (second,) = records
    assert isinstance(first, DerivativeRecord)
    assert isinstance(second, DerivativeRecord)
    assert (first.mark_price, first.funding_rate, first.received_ns) == ("1.5", None, 9 * SECOND)
    assert second.received_ns == 9 * SECOND, "received_ns never falls"
    assert first.contract_kind is stream.instrument.contract_kind


class TestSilence:
    def looked(self, *, expected: bool, told_at: int = 0) -> FeedTracker:
        feed = FeedTracker(has_derivatives=expected)
        feed.since_ns, feed.derivative_ns = SECOND, told_at
        feed.note(LinkEvent.OPENED)
        feed.trade_ns = feed.quote_ns = SECOND
        feed.note_depth(99 * SECOND)
        feed.note_time(100 * SECOND, 30 * SECOND)
        return feed

    def test_of_what_is_subscribed_it_is_told_whether_or_not_it_ever_came(self) -> None:
        never, once = self.looked(expected=True), self.looked(expected=True, told_at=60 * SECOND)
        assert never.silences == once.silences == (Channel.DERIVATIVE,)
        assert never.detail(100 * SECOND) == "no derivative since it was subscribed 99 s ago"
        assert once.detail(100 * SECOND) == "no derivative for 40 s"

    def test_shorter_than_venues_tell_it_no_silence_counts(self) -> None:
        feed = self.looked(expected=True, told_at=91 * SECOND)
        feed.note_time(100 * SECOND, SECOND)
        assert feed.missing == ()

    def test_of_what_is_heard_or_not_subscribed_it_is_not(self) -> None:
        assert self.looked(expected=True, told_at=80 * SECOND).silences == ()
        assert self.looked(expected=False).silences == ()


@pytest.mark.parametrize(("exchange", "venue", "asks"), [("okex-swap", "okx", True), ("okex", "okx", False)])
def test_a_machine_is_asked_for_tickers_where_its_exchange_has_some(exchange: str, venue: str, asks: bool) -> None:
    machine = MachineStream(EXCHANGES[venue], exchange, "ws://127.0.0.1:8001")
    assert "derivative_ticker" not in machine.websocket_path("A-B-SWAP")
    assert (machine.derivatives is not None) == asks
    if machine.derivatives:
        assert "derivative_ticker" in machine.derivatives.websocket_path("A-B-SWAP")
        assert machine.derivatives.streams("A-B") == ()


@pytest.mark.parametrize("named", [False, True])
def test_an_interruption_beside_the_books_is_none_of_them(named: bool) -> None:
    reader = MachineStream(EXCHANGES["bybit"], "bybit", "ws://127.0.0.1:8001")
    router = FrameRouter(reader, {"BTCUSDT": Instrument("bybit", "BTCUSDT", "0.1", "0.001")})
    router.assign("c1", ["BTCUSDT"])
    times = {"timestamp": "2024-01-01T00:00:00.000Z", "localTimestamp": "2024-01-01T00:00:00.000Z"}
    head = {"exchange": "bybit", "symbol": "BTCUSDT", **times}
    sides = {"bids": [{"price": 1, "amount": 1}], "asks": [{"price": 2, "amount": 1}]}
    book = {"type": "book_change", "isSnapshot": True, **sides, **head}
    lost = {"type": "disconnect", "exchange": "bybit", **({"symbols": ["BTCUSDT"]} if named else {})}
    for connection, message in (("c1", book), ("c2", lost)):
        router.handle(Frame(SECOND, Via.WS, connection, raw=json.dumps(message).encode()))
    assert router.streams["BTCUSDT"].is_live
    router.handle(Frame(2 * SECOND, Via.WS, "c1", raw=json.dumps(lost).encode()))
    assert not router.streams["BTCUSDT"].is_live


FIELDS = {
    "funding_rate": "fundingRate",
    "mark_price": "markPrice",
    "index_price": "indexPrice",
    "open_interest": "openInterest",
}


@pytest.mark.recorded
@pytest.mark.parametrize(("name", "tickers"), {"binance-futures": 3, "bybit": 4, "okex-swap": 4, "deribit": 5}.items())
def test_a_public_normaliser_says_the_same_of_each_value(recordings: Path, name: str, tickers: int) -> None:
    """It merges what several channels told; whatever a message of ours tells is among that."""
    venue, compared = "okx" if name == "okex-swap" else name, 0
    for pair in json.loads((recordings / "normalized-pairs" / f"{name}.json").read_text()):
        expected = [one for one in pair["expected"] if one["type"] == "derivative_ticker"]
        try:
            ours = [one for one in told(venue, pair["raw"]) if isinstance(one, DerivativeTick)]
        except MessageError:
            continue  # a protocol that was shut down; `tests/research/test_venue_recordings.py` names it
        for tick, its in zip(ours, expected, strict=False):
            for field, key in FIELDS.items():
                if (value := getattr(tick, field)) is not None:
                    assert Decimal(value) == Decimal(str(its[key])), (field, pair)
            compared += 1
    assert compared == tickers


@pytest.mark.recorded
def test_the_venues_published_samples_are_read(recordings: Path) -> None:
    samples = recordings / "sample-frames"
    (bybit,) = told("bybit", (samples / "bybit" / "ws_ticker_linear.json").read_bytes())
    assert bybit == DerivativeTick(
        "BTCUSDT",
        1_673_272_861_686 * MS,
        "-0.000212",
        1_673_280_000_000 * MS,
        28_800,
        "17217.33",
        "17227.36",
        "68744.761",
    )
    (deribit,) = told("deribit", (samples / "deribit" / "ws_ticker.json").read_bytes())
    time = 1_765_541_474_086 * MS
    assert deribit == DerivativeTick("BTC-PERPETUAL", time, "0", None, None, "92281.78", "92263.55", "1132329370")
    (okx_told,) = told("okx", (samples / "okx" / "ws_funding_rate.json").read_bytes())
    assert okx_told == DerivativeTick("BTC-USDT-SWAP", 1_744_590_349_506 * MS, "0.0001", 1_744_590_349_506 * MS, 28_800)


def test_the_same_of_the_same_moment_is_told_once_whichever_connection_brings_it() -> None:
    made = live_stream()
    ticks = [DerivativeTick("BTCUSDT", moment * SECOND, mark_price="100.1") for moment in (1, 2, 3)]
    untimed = DerivativeTick("BTCUSDT", None, funding_rate="0.1")
    told = [made.derivatives.take(tick, 9 * SECOND) for tick in (*ticks[:2], *ticks, untimed, untimed)]
    assert [len(records) for records in told] == [1, 1, 0, 0, 1, 1, 1]
    assert (made.counters.derivatives, made.counters.duplicates) == (5, 2)


def test_mark_prices_have_a_second_path_where_the_first_is_not_sure() -> None:
    coin, usd = EXCHANGES["binance-delivery"], EXCHANGES["binance-futures"]
    found = coin.alternative(Channel.DERIVATIVE, ["BTCUSD_PERP"])
    assert found is not None
    assert found.path == "/market/stream"
    assert json.loads(found.says[0].raw)["params"] == ["btcusd_perp@markPrice@1s"]
    trades = coin.alternative(Channel.TRADE, ["BTCUSD_PERP"])
    assert trades is not None
    assert json.loads(trades.says[0].raw)["params"] == ["btcusd_perp@aggTrade"]
    assert usd.alternative(Channel.DERIVATIVE, ["BTCUSDT"]) is None
    assert coin.alternative(Channel.QUOTE, ["BTCUSD_PERP"]) is None


async def test_what_stands_in_has_connections_by_channel_with_as_many_as_is_allowed() -> None:
    coin, opened = EXCHANGES["binance-delivery"], list[object]()
    symbols = [f"A{number}USD_PERP" for number in range(coin.limits.streams_per_connection + 1)]
    source = VenueSource(coin, symbols, "ws://x", clock=SystemClock(), max_bytes=9, on_oversized=lambda _: None)

    def spawn(run: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        run.close()
        opened.append(run)
        return asyncio.ensure_future(asyncio.sleep(0))

    source.start(spawn)
    before = len(opened)
    for symbol in (*symbols, *symbols):
        assert source.subscribe_instead(Channel.DERIVATIVE, symbol)
    assert source.subscribe_instead(Channel.TRADE, symbols[0])
    assert len(opened) - before == 3
