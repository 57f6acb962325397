"""A recording of a simulated venue in virtual time, with what its reader must find at the end.

What is expected is computed here from whole numbers, by the venue's published rule, and shares no code with the
adapters, the streams or the books that it is the yardstick of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from producers.simulator.contract import RestAnswer, encode_event
from producers.simulator.events import DepthUpdate, MarketEvent
from producers.simulator.exchange import Disconnect, SimulatedExchange
from producers.simulator.market import Fill
from producers.simulator.market_spec import MarketSpec
from producers.simulator.session import VenueSession
from producers.simulator.true_book import WholeBook
from schemas.units import NS_PER_MS

SNAPSHOT_AFTER_NS = 350 * NS_PER_MS
"""From the connection to the first request for a book: some updates have come by then and wait."""
SNAPSHOT_TAKES_NS = 160 * NS_PER_MS
RECONNECT_AFTER_NS = 500 * NS_PER_MS
STEP_NS = 10 * NS_PER_MS


class RecordedFrame(NamedTuple):
    """One line of a recording."""

    received_ns: int
    via: str
    raw: str = ""
    connection: str = ""
    request: str = ""


class _Reader:
    """What a client that keeps to the venue's rule knows of one book: whole numbers, no code of the pipeline."""

    def __init__(self, spec: MarketSpec, is_older: Callable[[DepthUpdate, int], bool]) -> None:
        self.spec = spec
        self._is_older = is_older
        self.snapshot_id = 0
        self.depth_events = 0
        self.dropped = 0
        self.applied = 0
        self.trades = 0
        self.last_id = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._waiting: list[DepthUpdate] = []

    def take_snapshot(self, view: WholeBook) -> None:
        self.snapshot_id = self.last_id = view.sequence
        self.bids, self.asks = dict(view.bids), dict(view.asks)
        waiting, self._waiting = self._waiting, []
        for update in waiting:
            self._apply(update)

    def take(self, event: MarketEvent) -> None:
        self.trades += isinstance(event.what, Fill)
        if isinstance(event.what, WholeBook):
            self.take_snapshot(event.what)
        elif isinstance(event.what, DepthUpdate):
            self.depth_events += 1
            if self.snapshot_id:
                self._apply(event.what)
            else:
                self._waiting.append(event.what)

    def _apply(self, update: DepthUpdate) -> None:
        if self._is_older(update, self.snapshot_id):
            self.dropped += 1
            return
        self.applied += 1
        self.last_id = update.last_id
        for side, levels in ((self.bids, update.bids), (self.asks, update.asks)):
            for tick, lots in levels:
                if lots:
                    side[tick] = lots
                else:
                    side.pop(tick, None)

    def expected(self) -> dict[str, Any]:
        bids = self.spec.level_texts(sorted(self.bids.items(), reverse=True))
        asks = self.spec.level_texts(sorted(self.asks.items()))
        whole = "".join(f"{side}{p} {s}\n" for side, levels in (("b", bids), ("a", asks)) for p, s in levels)
        return {
            "tick_size": self.spec.tick_size,
            "lot_size": self.spec.lot_size,
            "snapshot_id": self.snapshot_id,
            "depth_events": self.depth_events,
            "dropped_before_snapshot": self.dropped,
            "applied": self.applied,
            "trades": self.trades,
            "last_id": self.last_id,
            "final_levels": [len(bids), len(asks)],
            "final_top5_bids": bids[:5],
            "final_top5_asks": asks[:5],
            "final_book_sha256": hashlib.sha256(whole.encode()).hexdigest(),
        }


class _Fetched(NamedTuple):
    """An answer on its way to the client."""

    arrives_ns: int
    symbol: str
    target: str
    answer: RestAnswer


class SimulatedRecording:
    """A venue recorded for some seconds of its own time. Iterate it once, then ask what is expected.

    Args:
        exchange: The venue, not used before.
        seconds: How long.
        seed: Of the network's delays.
        derivatives: Whether what the venue tells of derivatives is recorded too, over a connection of its own.
    """

    def __init__(
        self, exchange: SimulatedExchange, seconds: float, seed: int = 0, *, derivatives: bool = False
    ) -> None:
        self._exchange = exchange
        self._end_ns = exchange.now_ns + int(seconds * 1000) * NS_PER_MS
        self._readers = {symbol: _Reader(spec, exchange.venue.is_older) for symbol, spec in exchange.specs.items()}
        self._random = Random(f"{seed}:network").random  # noqa: S311 (a simulation, not a secret)
        self._received_ns = exchange.now_ns
        self._connection = 0
        self._session: VenueSession | None = None
        self._derivatives = exchange.venue.derivatives_target if derivatives else ""
        self._beside: VenueSession | None = None
        self._connect_ns = exchange.now_ns
        self._due: list[tuple[int, str]] = []
        self._fetched: list[_Fetched] = []

    def __iter__(self) -> Iterator[RecordedFrame]:
        exchange = self._exchange
        for target in exchange.venue.listing_targets(tuple(exchange.specs)):
            body = exchange.get(target).body
            yield RecordedFrame(self._received(exchange.now_ns), "rest", body, "", target)
        while exchange.now_ns < self._end_ns:
            yield from self._connect()
            yield from self._fetch_books()
            for item in exchange.advance(min(exchange.now_ns + STEP_NS, self._end_ns)):
                if isinstance(item, Disconnect):
                    yield from self._disconnect(item.sent_ns)
                elif self._session is not None and self._session.hears(item):
                    yield self._heard(self._session, item, item.sent_ns)
                elif self._beside is not None and self._beside.hears(item):
                    yield self._heard_beside(self._beside, item, item.sent_ns)

    def expected(self) -> dict[str, Any]:
        """By instrument, what a reader of the recording must find: counts, ids, and the book it ends with.

        Only of a recording without faults: with them, a reader's book ends where it broke.
        """
        return {symbol: reader.expected() for symbol, reader in self._readers.items()}

    def true_books(self) -> dict[str, Any]:
        """By instrument, the venue's own book at the last update that was recorded: every level, seen or not."""
        books = {}
        for symbol, reader in self._readers.items():
            view = self._exchange.true_book(symbol, reader.last_id)
            spec = reader.spec
            levels = {"bids": spec.level_texts(view.bids), "asks": spec.level_texts(view.asks)}
            books[symbol] = {"sequence": view.sequence, **levels}
        return books

    def _connect(self) -> Iterator[RecordedFrame]:
        """Connect once it is time, and subscribe to everything."""
        exchange, now = self._exchange, self._exchange.now_ns
        if self._session is not None or now < self._connect_ns:
            return
        self._session = session = VenueSession(exchange, exchange.venue.websocket_target, now)
        self._connection += 1
        yield RecordedFrame(self._received(now), "connect", connection=str(self._connection))
        for message in exchange.venue.subscriptions(tuple(exchange.specs)):
            for said in session.receive(message, now):
                yield self._heard(session, said, now)
        yield from self._connect_beside(now)
        fetched = [symbol for symbol in exchange.specs if exchange.venue.book_target(symbol)]
        self._due = [(now + SNAPSHOT_AFTER_NS, symbol) for symbol in fetched]

    def _connect_beside(self, now: int) -> Iterator[RecordedFrame]:
        """Subscribe to what is told of derivatives, where that is wanted."""
        if not self._derivatives:
            return
        self._beside = session = VenueSession(self._exchange, self._derivatives, now)
        yield RecordedFrame(self._received_ns, "connect", connection=self._name_beside)
        for message in self._exchange.venue.derivative_subscriptions(tuple(self._exchange.specs)):
            for said in session.receive(message, now):
                yield self._heard_beside(session, said, now)

    def _fetch_books(self) -> Iterator[RecordedFrame]:
        """Ask for the books whose time has come, and receive what was asked for a while ago."""
        exchange, now = self._exchange, self._exchange.now_ns
        while self._due and self._due[0][0] <= now:
            symbol = self._due.pop(0)[1]
            target = exchange.venue.book_target(symbol)
            self._fetched.append(_Fetched(now + SNAPSHOT_TAKES_NS, symbol, target, exchange.get(target)))
        while self._fetched and self._fetched[0].arrives_ns <= now:
            _, symbol, target, answer = self._fetched.pop(0)
            assert answer.book is not None  # noqa: S101 (the venue answers its own request)
            self._readers[symbol].take_snapshot(answer.book)
            yield RecordedFrame(self._received(now), "rest", answer.body, str(self._connection), target)

    def _disconnect(self, ns: int) -> Iterator[RecordedFrame]:
        if self._session is not None:
            yield RecordedFrame(self._received(ns), "disconnect", connection=str(self._connection))
        if self._beside is not None:
            yield RecordedFrame(self._received_ns, "disconnect", connection=self._name_beside)
        self._session, self._beside, self._connect_ns = None, None, ns + RECONNECT_AFTER_NS
        self._due, self._fetched = [], []
        for reader in self._readers.values():
            reader.snapshot_id = 0

    def _heard(self, session: VenueSession, said: str | MarketEvent, sent_ns: int) -> RecordedFrame:
        if isinstance(said, MarketEvent):
            self._readers[said.spec.symbol].take(said)
            said = encode_event(self._exchange.venue, said, session.form)
        return RecordedFrame(self._received(sent_ns), "ws", said, str(self._connection))

    @property
    def _name_beside(self) -> str:
        return f"{self._connection}-derivatives"

    def _heard_beside(self, session: VenueSession, said: str | MarketEvent, sent_ns: int) -> RecordedFrame:
        """A frame about a derivative; it draws no delay, so that all others come when they do without it."""
        del sent_ns
        text = encode_event(self._exchange.venue, said, session.form) if isinstance(said, MarketEvent) else said
        return RecordedFrame(self._received_ns, "ws", text, self._name_beside)

    def _received(self, sent_ns: int) -> int:
        """When a frame arrives: some milliseconds later, never before the one before it."""
        self._received_ns = max(self._received_ns, sent_ns + 2 * NS_PER_MS + int(7 * NS_PER_MS * self._random()))
        return self._received_ns
