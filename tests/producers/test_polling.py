"""What no channel tells of derivatives: how it is asked for, what the answer says, and what waits for what."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from producers.books.router import FrameRouter
from producers.contract import Fetch
from producers.exchanges import EXCHANGES
from producers.live.polling import Poller, pause_s
from producers.messages import DerivativeTick, Frame, Instrument, Via
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.venues import simulated_venue
from schemas.errors import ExchangeUnreachable
from schemas.messages import DerivativeRecord

ASKED = {"binance-futures": "BTCUSDT", "binance-delivery": "BTCUSD_PERP"}
START_NS = 1_700_000_000_000_000_000


@pytest.mark.parametrize("venue", EXCHANGES)
def test_binance_alone_has_to_be_asked(venue: str) -> None:
    assert (EXCHANGES[venue].poll("BTCUSDT") is not None) == (venue in ASKED)


@pytest.mark.parametrize(("venue", "symbol"), ASKED.items())
def test_the_answer_is_the_open_interest_of_the_venue(venue: str, symbol: str) -> None:
    market = SimulatedExchange(simulated_venue(venue), (symbol,), start_ns=START_NS)
    fetch = EXCHANGES[venue].poll(symbol)
    assert fetch is not None
    answer = market.get(fetch.path)
    assert (answer.status, answer.weight) == (200, fetch.weight)
    frame = Frame(1, Via.REST, request=fetch.path, raw=answer.body.encode())
    [tick] = EXCHANGES[venue].parse(frame)
    expected = market.specs[symbol].size_text(market.open_lots(symbol))
    assert tick == DerivativeTick(symbol, START_NS, open_interest=expected)


def test_an_answer_says_nothing_of_a_silent_channel() -> None:
    venue, symbol = EXCHANGES["binance-futures"], "BTCUSDT"
    router = FrameRouter(venue, {symbol: Instrument(venue.venue, symbol, "0.1", "0.001")})
    stream = router.streams[symbol]
    stream.derivatives.expect()
    stream.feed.on_connect(START_NS)
    raw = b'{"symbol":"BTCUSDT","openInterest":"12.5","time":1700000000000}'
    told: list[Any] = []
    for second in range(0, 100, 5):
        frame = Frame(START_NS + second * 10**9, Via.REST, "c", "/fapi/v1/openInterest?symbol=BTCUSDT", raw)
        told += router.handle(frame).records
        stream.feed.on_look(frame.received_ns)
    assert [record.open_interest for record in told if isinstance(record, DerivativeRecord)] == ["12.5"] * 20
    assert "derivative" in [channel.value for channel in stream.feed.silences]


@pytest.mark.parametrize(
    ("every_s", "instruments", "weight", "expected"), [(60, 6, 1, 10), (60, 600, 1, 0.25), (60, 6, 50, 12.5)]
)
def test_requests_are_even_and_take_a_tenth_of_the_weight(
    every_s: float, instruments: int, weight: int, expected: float
) -> None:
    assert pause_s(every_s, instruments, Fetch("/x", weight), 2_400) == expected


class Venue:
    """A client, a source and a feed that note what is asked, while a book is lacking or not."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answered: list[str] = []
        self.lacks_books = True
        self.fails = False
        self.router = SimpleNamespace(streams={"A": None, "B": None})
        self.carried = {"A", "B"}
        self.limits = SimpleNamespace(weight_per_minute=60_000_000)

    def poll(self, symbol: str) -> Fetch:
        return Fetch(f"/{symbol}")

    async def get(self, fetch: Fetch) -> bytes:
        self.asked.append(fetch.path)
        if self.fails:
            raise ExchangeUnreachable("away", next_step="wait")
        return b"{}"

    def carries(self, symbol: str) -> bool:
        return symbol in self.carried

    async def answer(self, symbol: str, request: str, body: bytes) -> None:
        del request, body
        if symbol not in self.carried:  # as the source's own
            raise KeyError(symbol)
        self.answered.append(symbol)


async def test_a_book_that_never_comes_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.live.polling.BOOKS_SECONDS", 0.0)
    venue: Any = Venue()
    task = asyncio.create_task(Poller(venue, venue, venue, venue, 0.0).run())
    for _ in range(400):
        await asyncio.sleep(0)
    task.cancel()
    assert 1 <= len(venue.answered) <= 4


async def test_books_come_first_and_a_failure_costs_one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("producers.live.polling.BOOKS_SECONDS", 0.0)
    venue: Any = Venue()
    task = asyncio.create_task(Poller(venue, venue, venue, venue, 0.0).run())
    for _ in range(50):
        await asyncio.sleep(0)
    assert venue.asked == []
    venue.lacks_books, venue.fails = False, True
    for _ in range(50):
        await asyncio.sleep(0)
    assert venue.asked[:3] == ["/A", "/B", "/A"]
    assert venue.answered == []
    venue.fails = False
    for _ in range(50):
        await asyncio.sleep(0)
    task.cancel()
    assert set(venue.answered) == {"A", "B"}


async def test_an_instrument_that_waits_for_its_connection_is_passed_over() -> None:
    venue: Any = Venue()
    venue.lacks_books, venue.carried = False, {"B"}
    task = asyncio.create_task(Poller(venue, venue, venue, venue, 0.0).run())
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    assert set(venue.answered) == {"B"}
