"""A whole venue in virtual time: several markets, their frames in the order they leave, and the answers to requests.

`advance(to_ns)` gives the same frames whatever steps time is advanced in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heapreplace
from typing import NamedTuple

import msgspec

from producers.simulator.catalogue import FUTURES, SPOT, MarketSpec, market_spec, require_venue
from producers.simulator.faults import DepthFaults, Fault, Schedule
from producers.simulator.market import Market, Step
from producers.simulator.protocol import (
    DEPTH_SPEED_NS,
    Channel,
    Damage,
    DepthUpdate,
    Frame,
    OddTrade,
    TopOfBook,
    encode_error,
    encode_exchange_info,
    encode_snapshot,
)
from producers.simulator.true_book import BookView, Change
from schemas.errors import UsageError

ODD_TRADE_EVERY = 400
"""On the futures one trade in so many is followed by a message that is none."""


class Disconnect(NamedTuple):
    """The venue drops every connection."""

    sent_ns: int


class Rules(NamedTuple):
    """A venue's request limits: weight a minute, and the weight of a depth request by its largest limit."""

    weight_per_minute: int
    depth_weights: tuple[tuple[int, int], ...]
    exact_limits: bool


RULES: dict[str, Rules] = {
    FUTURES: Rules(2400, ((50, 2), (100, 5), (500, 10), (1000, 20)), exact_limits=True),
    SPOT: Rules(6000, ((100, 5), (500, 25), (1000, 50), (5000, 250)), exact_limits=False),
}
FUTURES_LIMITS = (5, 10, 20, 50, 100, 500, 1000)


class Answer(NamedTuple):
    """An answer to a REST request: HTTP status, request weight it cost, body."""

    status: int
    weight: int
    body: str


_NAMES = msgspec.json.Decoder(list[str])


class _Depth:
    """What changed in one book since its last depth update."""

    def __init__(self, sequence: int) -> None:
        self._previous_id = sequence
        self._first_id = 0
        self._last_id = sequence
        self._bids: dict[int, int] = {}
        self._asks: dict[int, int] = {}
        self.matched_ns = 0

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
        update = DepthUpdate(self._first_id, self._last_id, self._previous_id, bids, sorted(self._asks.items()))
        self._previous_id, self._first_id = self._last_id, 0
        self._bids, self._asks = {}, {}
        return update


class SimulatedExchange:
    """One venue.

    Args:
        venue: Exchange id; see `catalogue.VENUES`.
        symbols: What it trades.
        seed: The same seed gives the same frames.
        start_ns: When it opens, ns UTC.
        changes_per_second: Mean order events a second and instrument, outside bursts.
        faults_every_s: Mean seconds between faults of a kind, an instrument (disconnects: the venue).

    Raises:
        UsageError: It does not speak for the venue, a symbol is not in the venue's form, or there is none.
    """

    def __init__(
        self,
        venue: str,
        symbols: Sequence[str],
        *,
        seed: int = 0,
        start_ns: int = 0,
        changes_per_second: float = 200.0,
        faults_every_s: Mapping[Fault, float] | None = None,
    ) -> None:
        if not symbols:
            raise UsageError("a venue without instruments has nothing to simulate", next_step="give --symbol BTCUSDT")
        every_s = faults_every_s or {}
        self.venue = require_venue(venue)
        self.rules = RULES[venue]
        self.specs: dict[str, MarketSpec] = {symbol: market_spec(venue, symbol) for symbol in symbols}
        self.now_ns = start_ns
        self._markets = {
            symbol: Market(spec, seed, start_ns, changes_per_second) for symbol, spec in self.specs.items()
        }
        self._depths = {symbol: _Depth(market.book.sequence) for symbol, market in self._markets.items()}
        self.faults = {symbol: DepthFaults(every_s, f"{seed}:{venue}:{symbol}", start_ns) for symbol in self.specs}
        disconnects = every_s.get(Fault.DISCONNECT)
        self._disconnects = Schedule(disconnects, f"{seed}:{venue}", start_ns) if disconnects else None
        self._odd_in = ODD_TRADE_EVERY
        self._next_flush_ns = (start_ns // DEPTH_SPEED_NS + 1) * DEPTH_SPEED_NS
        # Time decides, then the order in which the instruments were named: the same for any steps of `advance`.
        self._heap = [(market.next_ns, index, symbol) for index, (symbol, market) in enumerate(self._markets.items())]
        heapify(self._heap)

    def advance(self, to_ns: int) -> list[Frame | Disconnect]:
        """Let time pass, and give what left the venue until then."""
        out: list[Frame | Disconnect] = []
        while self._heap[0][0] <= to_ns or self._next_flush_ns <= to_ns:
            ns, index, symbol = self._heap[0]
            if self._next_flush_ns < ns:
                out.extend(self._flush())
                continue
            market = self._markets[symbol]
            out.extend(self._frames(symbol, market.step()))
            heapreplace(self._heap, (market.next_ns, index, symbol))
        self.now_ns = max(self.now_ns, to_ns)
        return out

    def inject(self, kind: Fault, symbol: str, count: int = 1, damage: Damage = Damage.CUT) -> None:
        """Let the next depth frames of an instrument suffer."""
        self.faults[symbol].inject(kind, count, damage)

    def depth(self, symbol: str, limit: int) -> Answer:
        """The answer to a request for a whole book."""
        limits = self.rules.depth_weights
        if symbol not in self.specs:
            return Answer(400, 1, encode_error(-1121, "Invalid symbol."))
        if limit < 1 or limit > limits[-1][0] or (self.rules.exact_limits and limit not in FUTURES_LIMITS):
            return Answer(400, 1, encode_error(-4021, f"{limit} is not a valid depth limit."))
        weight = next(weight for most, weight in limits if limit <= most)
        matched_ns = self._depths[symbol].matched_ns or self.now_ns
        view = self._markets[symbol].book.view(limit)
        return Answer(200, weight, encode_snapshot(self.specs[symbol], view, matched_ns, self.now_ns))

    def exchange_info(self, symbols: str = "") -> Answer:
        """The answer to a request for the instrument list.

        Args:
            symbols: The query's JSON array of names, where it has one. Spot answers with these alone, and refuses what
                it does not trade; the futures pay no heed to it.
        """
        weight = 20 if self.venue == SPOT else 1
        wanted = list(self.specs)
        if symbols and self.venue == SPOT:
            try:
                wanted = _NAMES.decode(symbols)
            except msgspec.DecodeError:
                return Answer(400, weight, encode_error(-1100, "Illegal characters found in parameter 'symbols'."))
        if not self.specs.keys() >= set(wanted):
            return Answer(400, weight, encode_error(-1121, "Invalid symbol."))
        specs = [self.specs[symbol] for symbol in wanted]
        return Answer(200, weight, encode_exchange_info(specs, self.rules.weight_per_minute, self.now_ns))

    def true_book(self, symbol: str, sequence: int | None = None, limit: int | None = None) -> BookView:
        """The book as it is, or was at an update id.

        Raises:
            KeyError: The symbol is not traded here.
            UnknownSequence: That update id is not, or no longer, known.
        """
        book = self._markets[symbol].book
        return book.view(limit) if sequence is None else book.view_at(sequence, limit)

    def _frames(self, symbol: str, step: Step) -> Iterator[Frame]:
        spec = self.specs[symbol]
        self._depths[symbol].add(step.changes, step.ns)
        for fill in step.fills:
            yield Frame(spec, Channel.TRADE, step.ns, step.ns, fill)
            self._odd_in -= self.venue == FUTURES
            if not self._odd_in:
                self._odd_in = ODD_TRADE_EVERY
                yield Frame(spec, Channel.TRADE, step.ns, step.ns, OddTrade(fill.trade_id))
        if step.touched:
            book = self._markets[symbol].book
            yield Frame(spec, Channel.QUOTE, step.ns, step.ns, TopOfBook(book.sequence, *book.top()))

    def _flush(self) -> Iterator[Frame | Disconnect]:
        sent_ns = self._next_flush_ns
        self._next_flush_ns += DEPTH_SPEED_NS
        for symbol, depth in self._depths.items():
            update = depth.take()
            if update is not None:
                frame = Frame(self.specs[symbol], Channel.DEPTH, depth.matched_ns, sent_ns, update)
                yield from self.faults[symbol].pass_on(frame)
        if self._disconnects is not None and self._disconnects.due(sent_ns):
            yield Disconnect(sent_ns)
