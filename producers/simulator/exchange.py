"""A whole venue in virtual time: several markets, their frames in the order they leave, and the answers to requests.

`advance(to_ns)` gives the same frames whatever steps time is advanced in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappush, heapreplace
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from producers.simulator.contract import RestAnswer, SimulatedVenue
from producers.simulator.derivatives import EVERY_NS, Derivative, DerivativeState
from producers.simulator.dislocations import Dislocations
from producers.simulator.events import (
    DEPTH_SPEED_NS,
    Damage,
    DepthUpdate,
    MarketEvent,
    OddTrade,
    StreamKind,
    TopOfBook,
)
from producers.simulator.faults import DepthFaults, Fault, Schedule
from producers.simulator.market import OPENING_LEVELS, Market, MarketStep
from producers.simulator.market_spec import MarketSpec
from producers.simulator.true_book import Change, WholeBook
from schemas.errors import UsageError

FINER = 10
"""New ticks to an old one, where a tick size changes."""
LAST_TRADES = 1_000
"""Trades of an instrument that can be sent again."""


class Disconnect(NamedTuple):
    """The venue drops every connection."""

    sent_ns: int


class _PendingDepth:
    """What changed in one book since its last depth update."""

    def __init__(self, sequence: int) -> None:
        self.sent_id = sequence
        self._first_id = 0
        self._last_id = sequence
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self.matched_ns = 0

    def refine(self, times: int) -> None:
        """Write every price in ticks of so many to one of the old ones."""
        self._bids = {tick * times: lots for tick, lots in self._bids.items()}
        self._asks = {tick * times: lots for tick, lots in self._asks.items()}

    def add(self, changes: Sequence[Change], ns: int) -> None:
        for change in changes:
            self._first_id = self._first_id or change.sequence
            self._last_id = change.sequence
            (self._bids if change.is_bid else self._asks)[change.tick] = change.lots
        if changes:
            self.matched_ns = ns

    def take(self) -> DepthUpdate | None:
        if not self._first_id:
            return None
        bids = sorted(self._bids.items(), reverse=True)
        update = DepthUpdate(self._first_id, self._last_id, self.sent_id, bids, sorted(self._asks.items()))
        self.sent_id, self._first_id = self._last_id, 0
        self._bids, self._asks = {}, {}
        return update


class SimulatedExchange:
    """One venue.

    Args:
        venue: How it speaks.
        symbols: What it trades.
        seed: The same seed gives the same frames.
        start_ns: When it opens, ns UTC.
        changes_per_second: Mean order events a second and instrument, outside bursts.
        faults_every_s: Mean seconds between faults of a kind, an instrument (disconnects: the venue).
        dislocations_every_s: Mean seconds between two times that a market strays from its price; 0 is never.
        opening_levels: Levels a side that each market starts with.

    Attributes:
        trades_again: So many of an instrument's last trades are sent again to whoever subscribes to them.

    Raises:
        UsageError: A symbol is not in the venue's form, or there is none.
    """

    def __init__(
        self,
        venue: SimulatedVenue,
        symbols: Sequence[str],
        *,
        seed: int = 0,
        start_ns: int = 0,
        changes_per_second: float = 200.0,
        faults_every_s: Mapping[Fault, float] | None = None,
        dislocations_every_s: float = 0.0,
        opening_levels: int = OPENING_LEVELS,
    ) -> None:
        if not symbols:
            raise UsageError("a venue without instruments has nothing to simulate", next_step="give --symbol BTCUSDT")
        every_s = faults_every_s or {}
        self.venue = venue
        self.specs: dict[str, MarketSpec] = {}
        self.now_ns = start_ns
        self.trades_again = 0
        self._last_trades: dict[str, deque[MarketEvent]] = {}
        self._seed, self._rate, self._every_s = seed, changes_per_second, every_s
        self._opening_levels = opening_levels
        self._markets: dict[str, Market] = {}
        self._derivatives: dict[str, Derivative] = {}
        self._told: dict[str, DerivativeState] = {}
        self._depths: dict[str, _PendingDepth] = {}
        self.faults: dict[str, DepthFaults] = {}
        self._shown: dict[str, WholeBook] = {}
        # Time decides, then the order in which the instruments were named: the same for any steps of `advance`.
        self._heap: list[tuple[int, int, str]] = []
        for symbol in symbols:
            self.add_market(symbol)
        straying = symbols if dislocations_every_s else ()
        self.dislocations = {
            symbol: Dislocations(dislocations_every_s, f"{seed}:{venue.name}:{symbol}:strays", start_ns)
            for symbol in straying
        }
        disconnects = every_s.get(Fault.DISCONNECT)
        self._disconnects = Schedule(disconnects, f"{seed}:{venue.name}", start_ns) if disconnects else None
        self._odd_in = venue.rules.odd_trade_every
        self._next_flush_ns = (start_ns // DEPTH_SPEED_NS + 1) * DEPTH_SPEED_NS

    def add_market(self, symbol: str) -> None:
        """Trade an instrument from now on.

        Raises:
            UsageError: The symbol is not in the venue's form.
        """
        spec, seed, levels = self.venue.market(symbol), self._seed, self.venue.rules.depth_levels
        market = Market(spec, seed, self.now_ns, self._rate, self._opening_levels)
        heappush(self._heap, (market.next_ns, len(self._markets), symbol))
        self.specs[symbol], self._markets[symbol] = spec, market
        self._depths[symbol] = _PendingDepth(market.book.sequence)
        self._last_trades[symbol] = deque(maxlen=LAST_TRADES)
        self.faults[symbol] = DepthFaults(self._every_s, f"{seed}:{self.venue.name}:{symbol}", self.now_ns)
        if spec.is_derivative:
            self._derivatives[symbol] = Derivative(spec, seed)
        if levels:
            self._shown[symbol] = market.book.view(levels)

    def delist(self, symbol: str) -> None:
        """Trade an instrument no longer: its list says so, and nothing more is told of it."""
        self.specs[symbol] = self.specs[symbol]._replace(is_delisted=True)

    def refine(self, symbol: str, times: int = FINER) -> None:
        """Let an instrument trade in finer ticks from now on, so many to one of the old ones."""
        market = self._markets[symbol]
        market.refine(times)
        self._depths[symbol].refine(times)
        self.specs[symbol] = market.spec._replace(is_delisted=self.specs[symbol].is_delisted)
        if symbol in self._derivatives:
            self._derivatives[symbol].spec = market.spec
        if symbol in self._shown:
            self._shown[symbol] = self._shown[symbol].refined(times)

    def advance(self, to_ns: int) -> list[MarketEvent | Disconnect]:
        """Let time pass, and give what left the venue until then."""
        out: list[MarketEvent | Disconnect] = []
        while self._heap[0][0] <= to_ns or self._next_flush_ns <= to_ns:
            ns, index, symbol = self._heap[0]
            if self._next_flush_ns < ns:
                out.extend(self._flush())
                continue
            market = self._markets[symbol]
            out.extend(self._events(symbol, market.step()))
            heapreplace(self._heap, (market.next_ns, index, symbol))
        self.now_ns = max(self.now_ns, to_ns)
        return out

    def inject(self, kind: Fault, symbol: str, count: int = 1, damage: Damage = Damage.CUT) -> None:
        """Let the next depth updates of an instrument suffer."""
        self.faults[symbol].inject(kind, count, damage)

    def get(self, target: str) -> RestAnswer:
        """The answer to a GET of a path and query."""
        return self.venue.answer(*split_target(target), self)

    def open_lots(self, symbol: str) -> int:
        """The open interest of a derivative as it was last told, in lots."""
        return self._derivatives[symbol].open_lots

    def matched_ns(self, symbol: str) -> int:
        """When a book last changed, ns UTC."""
        return self._depths[symbol].matched_ns or self.now_ns

    def snapshot(self, symbol: str) -> MarketEvent:
        """A whole book in the stream: as the last depth update left it, so that the next one follows it."""
        view = self.true_book(symbol, self._depths[symbol].sent_id, self.venue.rules.depth_levels or None)
        times = self.matched_ns(symbol), self.now_ns
        return MarketEvent(self.specs[symbol], StreamKind.DEPTH, *times, view, summed=self._summed(symbol))

    def last_trades(self, symbol: str) -> list[MarketEvent]:
        """Trades that are sent again to whoever subscribes to them, oldest first."""
        trades = self._last_trades[symbol]
        return list(trades)[max(0, len(trades) - self.trades_again) :]

    def true_book(self, symbol: str, sequence: int | None = None, limit: int | None = None) -> WholeBook:
        """The book as it is, or was at an update id.

        Raises:
            KeyError: The symbol is not traded here.
            UnknownSequence: That update id is not, or no longer, known.
        """
        book = self._markets[symbol].book
        return book.view(limit) if sequence is None else book.view_at(sequence, limit)

    def _summed(self, symbol: str) -> WholeBook | None:
        """What a checksum of the last depth update covers, where the venue makes them."""
        levels = self.venue.rules.summed_levels
        return self.true_book(symbol, self._depths[symbol].sent_id, levels) if levels else None

    def _events(self, symbol: str, step: MarketStep) -> Iterator[MarketEvent]:
        spec = self.specs[symbol]
        if spec.is_delisted:
            return
        self._depths[symbol].add(step.changes, step.ns)
        for fill in step.fills:
            trade = MarketEvent(spec, StreamKind.TRADE, step.ns, step.ns, fill)
            self._last_trades[symbol].append(trade)
            yield trade
            self._odd_in -= 1
            if not self._odd_in:
                self._odd_in = self.venue.rules.odd_trade_every
                yield MarketEvent(spec, StreamKind.TRADE, step.ns, step.ns, OddTrade(fill.trade_id))
        if step.touched:
            book = self._markets[symbol].book
            yield MarketEvent(spec, StreamKind.QUOTE, step.ns, step.ns, TopOfBook(book.sequence, *book.top()))

    def _flush(self) -> Iterator[MarketEvent | Disconnect]:
        sent_ns = self._next_flush_ns
        self._next_flush_ns += DEPTH_SPEED_NS
        yield from self._stray(sent_ns)
        for symbol, depth in self._depths.items():
            if self.specs[symbol].is_delisted:
                continue
            update = depth.take()
            if update is not None:
                what = self._narrow(symbol, update) if self._shown else update
                times, summed = (depth.matched_ns, sent_ns), self._summed(symbol)
                event = MarketEvent(self.specs[symbol], StreamKind.DEPTH, *times, what, summed=summed)
                yield from self.faults[symbol].pass_on(event)
                self._markets[symbol].end_update()
            if self.venue.rules.book_in_stream and self.faults[symbol].take(Fault.SNAPSHOT):
                yield self.snapshot(symbol)._replace(sent_ns=sent_ns)
        if sent_ns % EVERY_NS == 0:
            yield from self._tell_derivatives(sent_ns)
        if self._disconnects is not None and self._disconnects.due(sent_ns):
            yield Disconnect(sent_ns)

    def _tell_derivatives(self, now_ns: int) -> Iterator[MarketEvent]:
        for symbol, derivative in self._derivatives.items():
            if self.specs[symbol].is_delisted:
                continue
            bid, _, ask, _ = self._markets[symbol].book.top()
            what = derivative.tell(now_ns, bid, ask)
            self._told[symbol] = what
            yield from self._derivative_events(symbol, what, now_ns)

    def derivative(self, symbol: str, stream: StreamKind) -> MarketEvent | None:
        """What was last told of a derivative on one of its streams, all of it; None where nothing was."""
        what = self._told.get(symbol)
        events = self._derivative_events(symbol, what._replace(is_whole=True), self.now_ns) if what else ()
        return next((event for event in events if event.stream is stream), None)

    def _derivative_events(self, symbol: str, what: DerivativeState, now_ns: int) -> Iterator[MarketEvent]:
        for stream in self.venue.rules.derivative_streams:
            if stream is not StreamKind.FUNDING or what.rate is not None:
                yield MarketEvent(self.specs[symbol], stream, now_ns, now_ns, what)

    def _stray(self, now_ns: int) -> Iterator[MarketEvent]:
        """Move the markets that are to stray now, or to come back."""
        for symbol, dislocations in self.dislocations.items():
            market = self._markets[symbol]
            ticks = dislocations.move(now_ns, market.spec.price_ticks)
            if ticks:
                yield from self._events(symbol, market.shift(ticks, now_ns))

    def _narrow(self, symbol: str, update: DepthUpdate) -> DepthUpdate:
        """The same update for readers who see the best levels alone: what left their view is deleted."""
        now = self._markets[symbol].book.view(self.venue.rules.depth_levels)
        before, self._shown[symbol] = self._shown[symbol], now
        return update._replace(bids=_changed(before.bids, now.bids)[::-1], asks=_changed(before.asks, now.asks))


def _changed(before: list[tuple[int, int]], now: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The levels that differ, by rising price; 0 lots where one is gone."""
    new = dict(now)
    return [(tick, new.get(tick, 0)) for tick in sorted({tick for tick, _ in {*before} ^ {*now}})]


def split_target(target: str) -> tuple[str, dict[str, str]]:
    """Take a request's target apart: path, and query by name."""
    url = urlsplit(target)
    return url.path, dict(parse_qsl(url.query))
