"""Seeds over the rules of venues whose books come in the stream: a LIVE book is the venue's own, whatever was injected.

`make test` plays two a venue, `OBFLOW_FUZZ=all` (`make fuzz`) 2,500, so 10,000 over the four. An update that was lost
is noticed with the next one: else the book would be LIVE at its number, and another than the venue's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from producers.books.router import FrameRouter
from producers.books.stream import InstrumentStream
from producers.contract import Say
from producers.exchanges import EXCHANGES
from producers.messages import Frame, Instrument, InstrumentList, Reply, Via
from producers.simulator.contract import encode_event
from producers.simulator.events import MarketEvent, StreamKind
from producers.simulator.exchange import Disconnect, SimulatedExchange
from producers.simulator.faults import Fault
from producers.simulator.session import VenueSession
from producers.simulator.venues import SIMULATED
from schemas.units import NS_PER_MS, NS_PER_SECOND

START_NS = 1_704_067_200 * NS_PER_SECOND
STEP_NS = 50 * NS_PER_MS
SEEDS = 2_500 if os.environ.get("OBFLOW_FUZZ") == "all" else 2
FAULTS = {
    Fault.GAP: 0.6,
    Fault.DUPLICATE: 0.5,
    Fault.DISORDER: 0.9,
    Fault.CORRUPT: 1.1,
    Fault.SNAPSHOT: 0.8,
    Fault.DISCONNECT: 1.4,
}
EACH = pytest.mark.parametrize(
    "venue_id", sorted(name for name, each in SIMULATED.items() if each.rules.book_in_stream)
)


class Client:
    """The adapter and its streams on a simulated venue, in virtual time."""

    def __init__(self, venue_id: str, seed: int, faults: dict[Fault, float]) -> None:
        self.adapter, played = EXCHANGES[venue_id], SIMULATED[venue_id]
        self.symbols = played.listed[:2]
        self.venue = SimulatedExchange(
            played, self.symbols, seed=seed, start_ns=START_NS, changes_per_second=40.0, faults_every_s=faults
        )
        self.router = FrameRouter(self.adapter, self._listed())
        self._connect()

    def _listed(self) -> dict[str, Instrument]:
        found: dict[str, Instrument] = {}
        for fetch in self.adapter.listings(self.symbols):
            body = self.venue.get(fetch.path).body.encode()
            for message in self.adapter.parse(Frame(START_NS, Via.REST, "", fetch.path, body)):
                assert isinstance(message, InstrumentList)
                found.update({each.symbol: each for each in message.instruments if each.symbol in self.symbols})
        return found

    def _connect(self) -> None:
        self._change(Via.CONNECT)
        self.session = VenueSession(self.venue, self.adapter.websocket_path(self.symbols[0]), self.venue.now_ns)
        self._say([*self.adapter.keepalive.begin, *self.adapter.subscribe(self.symbols)])

    def _change(self, via: Via) -> None:
        self.router.handle(Frame(self.venue.now_ns, via, "1"))

    def _say(self, says: Sequence[Say]) -> None:
        for say in says:
            for said in self.session.receive(say.raw.decode(), self.venue.now_ns):
                self._hear(said if isinstance(said, str) else encode_event(self.venue.venue, said))

    def _hear(self, text: str) -> None:
        handled = self.router.handle(Frame(self.venue.now_ns, Via.WS, "1", "", text.encode()))
        self._say([Say(notice.raw) for notice in handled.notices if isinstance(notice, Reply)])

    def play(self, seconds: float) -> None:
        """Let time pass; each LIVE book is looked at after every update of it."""
        until_ns = self.venue.now_ns + int(seconds * NS_PER_SECOND)
        while self.venue.now_ns < until_ns:
            for item in self.venue.advance(self.venue.now_ns + STEP_NS):
                if isinstance(item, Disconnect):
                    self._change(Via.DISCONNECT)
                    self._connect()
                elif self.session.hears(item):
                    self._hear(encode_event(self.venue.venue, item))
                    self._look(item)
            for symbol, stream in self.router.streams.items():
                if stream.needs_snapshot:
                    way = self.adapter.recover(symbol)
                    assert isinstance(way, list)
                    self._say(way)

    def _look(self, event: MarketEvent) -> None:
        stream = self.router.streams[event.spec.symbol]
        if event.stream is StreamKind.DEPTH and stream.is_live:
            assert self.is_true(stream), "a LIVE book is not the venue's"

    def is_true(self, stream: InstrumentStream) -> bool:
        """Whether a book is the venue's own at its number, as far as the venue shows it."""
        levels = self.venue.venue.rules.depth_levels or None
        true = self.venue.true_book(stream.instrument.symbol, stream.tracked.sequence, levels)
        return (stream.book.bids.lots, stream.book.asks.lots) == (dict(true.bids), dict(true.asks))


@EACH
def test_a_clean_feed_raises_no_alarm(venue_id: str) -> None:
    client = Client(venue_id, 0, {})
    client.play(4.0)
    for stream in client.router.streams.values():
        counters = stream.counters
        assert stream.is_live
        assert client.is_true(stream)
        assert counters.deltas_applied > 30
        assert (counters.gaps, counters.contradicted, counters.duplicates, counters.snapshots) == (0, 0, 0, 1)
    assert not client.router.rejected


@EACH
def test_whatever_is_injected_a_live_book_is_the_venues_own(venue_id: str) -> None:
    for seed in range(1, SEEDS + 1):
        client = Client(venue_id, seed, FAULTS)
        client.play(2.5)
        for faults in client.venue.faults.values():
            faults._schedules.clear()
            faults._pending.update(dict.fromkeys(faults._pending, 0))
        client.venue._disconnects = None
        client.play(1.0)
        for symbol, stream in client.router.streams.items():
            assert stream.is_live, (seed, symbol, stream.reason)
            assert client.is_true(stream), (seed, symbol)
        assert sum(sum(faults.injected.values()) for faults in client.venue.faults.values()) > 4, seed
