"""A recording of a simulated venue in virtual time, with what its reader must find at the end.

What is expected is computed here from whole numbers, by the venue's published rule, and shares no code with the
adapters, the streams or the books that it is the yardstick of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from producers.simulator.catalogue import FUTURES, SPOT, MarketSpec
from producers.simulator.exchange import Disconnect, SimulatedExchange
from producers.simulator.market import Fill
from producers.simulator.protocol import MS, US, DepthUpdate, Frame, encode_frame
from producers.simulator.true_book import BookView

SNAPSHOT_AFTER_NS = 350 * MS
"""From the connection to the first request for a book: some updates have come by then and wait."""
SNAPSHOT_TAKES_NS = 160 * MS
RECONNECT_AFTER_NS = 500 * MS
STEP_NS = 10 * MS
SNAPSHOT_LEVELS = 1000
PATHS = {FUTURES: "/fapi/v1", SPOT: "/api/v3"}


class RecordedFrame(NamedTuple):
    """One line of a recording."""

    received_ns: int
    via: str
    raw: str = ""
    connection: str = ""
    request: str = ""


class _Reader:
    """What a client that keeps to the venue's rule knows of one book: whole numbers, no code of the pipeline."""

    def __init__(self, spec: MarketSpec) -> None:
        self.spec = spec
        self.snapshot_id = 0
        self.depth_events = 0
        self.dropped = 0
        self.applied = 0
        self.trades = 0
        self.last_id = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._waiting: list[DepthUpdate] = []

    def take_snapshot(self, view: BookView) -> None:
        self.snapshot_id = self.last_id = view.sequence
        self.bids, self.asks = dict(view.bids), dict(view.asks)
        waiting, self._waiting = self._waiting, []
        for update in waiting:
            self._apply(update)

    def take(self, frame: Frame) -> None:
        self.trades += isinstance(frame.event, Fill)
        if isinstance(frame.event, DepthUpdate):
            self.depth_events += 1
            if self.snapshot_id:
                self._apply(frame.event)
            else:
                self._waiting.append(frame.event)

    def _apply(self, update: DepthUpdate) -> None:
        oldest = self.snapshot_id if self.spec.venue == FUTURES else self.snapshot_id + 1
        if update.last_id < oldest:
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
        bids, asks = sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
        price, size = self.spec.price_text, self.spec.size_text
        text = [(price(tick), size(lots)) for tick, lots in bids], [(price(tick), size(lots)) for tick, lots in asks]
        whole = "".join(f"{side}{p} {s}\n" for side, levels in zip("ba", text, strict=True) for p, s in levels)
        return {
            "tick_size": self.spec.tick_size,
            "lot_size": self.spec.lot_size,
            "snapshot_lastUpdateId": self.snapshot_id,
            "depth_events": self.depth_events,
            "dropped_before_snapshot": self.dropped,
            "applied": self.applied,
            "trades": self.trades,
            "last_u": self.last_id,
            "final_levels": [len(bids), len(asks)],
            "final_top5_bids": text[0][:5],
            "final_top5_asks": text[1][:5],
            "final_book_sha256": hashlib.sha256(whole.encode()).hexdigest(),
        }


class _Answer(NamedTuple):
    """An answer on its way to the client."""

    arrives_ns: int
    symbol: str
    body: str
    view: BookView


class SimulatedRecording:
    """A venue recorded for some seconds of its own time. Iterate it once, then ask what is expected.

    Args:
        exchange: The venue, not used before.
        seconds: How long.
        seed: Of the network's delays.
    """

    def __init__(self, exchange: SimulatedExchange, seconds: float, seed: int = 0) -> None:
        self._exchange = exchange
        self._end_ns = exchange.now_ns + int(seconds * 1000) * MS
        self._readers = {symbol: _Reader(spec) for symbol, spec in exchange.specs.items()}
        self._random = Random(f"{seed}:network").random  # noqa: S311 (a simulation, not a secret)
        self._unit_ns = US if exchange.venue == SPOT else MS
        self._received_ns = exchange.now_ns
        self._connection = 0
        self._connected_ns: int | None = exchange.now_ns
        self._due: list[tuple[int, str]] = []
        self._answers: list[_Answer] = []

    def __iter__(self) -> Iterator[RecordedFrame]:
        path = f"{PATHS[self._exchange.venue]}/exchangeInfo"
        yield RecordedFrame(
            self._received(self._exchange.now_ns), "rest", self._exchange.exchange_info().body, "", path
        )
        while self._exchange.now_ns < self._end_ns:
            yield from self._requests()
            for item in self._exchange.advance(min(self._exchange.now_ns + STEP_NS, self._end_ns)):
                if isinstance(item, Disconnect):
                    yield from self._disconnect(item.sent_ns)
                elif self._connected_ns is None:
                    raw = encode_frame(item, unit_ns=self._unit_ns)
                    self._readers[item.spec.symbol].take(item)
                    yield RecordedFrame(self._received(item.sent_ns), "ws", raw, str(self._connection))

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
            bids = [(spec.price_text(tick), spec.size_text(lots)) for tick, lots in view.bids]
            asks = [(spec.price_text(tick), spec.size_text(lots)) for tick, lots in view.asks]
            books[symbol] = {"sequence": view.sequence, "bids": bids, "asks": asks}
        return books

    def _requests(self) -> Iterator[RecordedFrame]:
        """What this client does of itself by now: connect, ask for books, receive them."""
        now = self._exchange.now_ns
        if self._connected_ns is not None and now >= self._connected_ns:
            self._connected_ns = None
            self._connection += 1
            yield RecordedFrame(self._received(now), "connect", connection=str(self._connection))
            yield RecordedFrame(self._received(now), "ws", '{"result":null,"id":1}', str(self._connection))
            self._due = [(now + SNAPSHOT_AFTER_NS, symbol) for symbol in self._exchange.specs]
        while self._due and self._due[0][0] <= now:
            self._answers.append(self._ask(self._due.pop(0)[1]))
        while self._answers and self._answers[0].arrives_ns <= now:
            answer = self._answers.pop(0)
            self._readers[answer.symbol].take_snapshot(answer.view)
            path = f"{PATHS[self._exchange.venue]}/depth?symbol={answer.symbol}&limit={SNAPSHOT_LEVELS}"
            yield RecordedFrame(self._received(now), "rest", answer.body, str(self._connection), path)

    def _ask(self, symbol: str) -> _Answer:
        exchange = self._exchange
        view = exchange.true_book(symbol, limit=SNAPSHOT_LEVELS)
        return _Answer(exchange.now_ns + SNAPSHOT_TAKES_NS, symbol, exchange.depth(symbol, SNAPSHOT_LEVELS).body, view)

    def _disconnect(self, ns: int) -> Iterator[RecordedFrame]:
        if self._connected_ns is None:
            yield RecordedFrame(self._received(ns), "disconnect", connection=str(self._connection))
        self._connected_ns = ns + RECONNECT_AFTER_NS
        self._due, self._answers = [], []
        for reader in self._readers.values():
            reader.snapshot_id = 0

    def _received(self, sent_ns: int) -> int:
        """When a frame arrives: some milliseconds later, never before the one before it."""
        self._received_ns = max(self._received_ns, sent_ns + 2 * MS + int(7 * MS * self._random()))
        return self._received_ns
