"""A market of one instrument with planted orders that come and go, and what is known of each: the truth.

Its book is a ladder of cells of ten ticks, its mid a walk over them, its sizes differ. Large orders come and
go all the time without meaning anything; a planted one does so while the mid moves its way and others trade its way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from math import log
from random import Random
from typing import NamedTuple

from schemas.messages import ContractKind, Kind, L2Record, LevelSide, Source
from schemas.units import NS_PER_SECOND

T0_NS = 1_700_000_000 * NS_PER_SECOND
CELL = 10
"""Ticks between two levels; a tick is a 600,000th of the price, so ten basis points are 60 cells."""
RATE = 10
"""Records a second."""
DEPTH = 90
NEAR = 60
ORDINARY_A_SECOND = 0.05
"""Large orders that mean nothing, 180 an hour: on the recordings 280 on futures and 30 on spot."""
LIFE_S, LIFE_SPREAD = 0.12, 1.5
"""Median of their lives, and deviation of its logarithm: on the recordings 24 of 28 lived for less than 0.5 s."""
SHARES = (0.2, 0.35)
"""Their shares of their side: on the recordings 27 of 28 lie within 0.20-0.25."""
TRADES = 2
"""Trades a record, about: on the recordings there are 28-62 a second."""


class Missing(StrEnum):
    """What a planted episode lacks, to be a control."""

    NOTHING = "nothing"
    TRADES = "trades"
    MOVE = "move"
    CANCEL = "cancel"


class Truth(NamedTuple):
    """A planted order: which level, from when to when."""

    side: LevelSide
    tick: int
    since_ns: int
    until_ns: int


class Planted(NamedTuple):
    """An order that is there now. `cells` are how far the mid is still to be moved, `lots` what is still traded."""

    is_bid: bool
    tick: int
    lots: int
    since: int
    until: int
    cells: int
    traded: int


@dataclass
class PlantedMarket:
    """The market.

    Args:
        seed: The same seed gives the same market.
        seconds: How long it lasts.
        episodes: How many orders are planted, one after the other.
        missing: What they lack.
    """

    seed: int
    seconds: float
    episodes: int
    missing: Missing = Missing.NOTHING
    truths: list[Truth] = field(default_factory=list)
    cell: int = 60_000
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    ordinary: dict[tuple[bool, int], tuple[int, int]] = field(default_factory=dict)
    planted: Planted | None = None
    changes: tuple[dict[int, int], dict[int, int]] = field(default_factory=lambda: ({}, {}))
    trades: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        for away in range(DEPTH):
            self.bids[(self.cell - away) * CELL] = self._size()
            self.asks[(self.cell + 1 + away) * CELL] = self._size()

    def records(self) -> Iterator[L2Record]:
        """Every record, the first a snapshot."""
        steps = int(self.seconds * RATE)
        starts = self._starts(steps)
        yield self._record(0, Kind.SNAPSHOT, list(self.bids.items()), list(self.asks.items()))
        for at in range(1, steps):
            self.changes, self.trades = ({}, {}), []
            if at in starts:
                self._plant(at)
            self._background(at)
            if self.planted is not None:
                self._go_on(self.planted, at)
            bids, asks = self.changes
            yield self._record(at, Kind.DELTA, list(bids.items()), list(asks.items()))

    def _starts(self, steps: int) -> set[int]:
        """One start in each stretch, so that no two planted orders meet."""
        stretch = steps // max(1, self.episodes)
        return {
            number * stretch + self.random.randrange(8 * RATE, stretch - 12 * RATE) for number in range(self.episodes)
        }

    def _size(self) -> int:
        return 1 + int(100 * self.random.expovariate(1.0))

    def _set(self, is_bid: bool, tick: int, lots: int) -> None:
        side = self.bids if is_bid else self.asks
        side[tick] = lots
        if not lots:
            del side[tick]
        self.changes[0 if is_bid else 1][tick] = lots

    def _move(self, up: bool) -> None:
        """The best level of one side goes, one of the other comes, and both ends follow."""
        self.cell += 1 if up else -1
        best_bid, best_ask = self.cell * CELL, (self.cell + 1) * CELL
        for is_bid, side in ((True, self.bids), (False, self.asks)):
            gone = [tick for tick in side if (tick > best_bid if is_bid else tick < best_ask)]
            for tick in gone:
                self._set(is_bid, tick, 0)
                self.ordinary.pop((is_bid, tick), None)
            for tick in (
                (best_bid, best_bid - (DEPTH - 1) * CELL) if is_bid else (best_ask, best_ask + (DEPTH - 1) * CELL)
            ):
                if tick not in side:
                    self._set(is_bid, tick, self._size())

    def _background(self, at: int) -> None:
        """A few levels change, a trade comes now and then, the mid walks, large orders come and go."""
        held = self.planted
        for _ in range(2):
            is_bid, away = self.random.random() < 0.5, self.random.randrange(DEPTH)
            tick = (self.cell - away if is_bid else self.cell + 1 + away) * CELL
            if (is_bid, tick) not in self.ordinary and not (held and held.tick == tick):
                self._set(is_bid, tick, self._size())
        self._ordinary(at)
        for _ in range(0 if held else self.random.randrange(2 * TRADES)):
            self._trade(self.random.random() < 0.5, 1 + int(10 * self.random.expovariate(1.0)))
        if held is None and self.random.random() < 0.3:
            self._move(self.random.random() < 0.5)

    def _ordinary(self, at: int) -> None:
        if self.random.random() < ORDINARY_A_SECOND / RATE:
            is_bid, away = self.random.random() < 0.5, self.random.randrange(1, NEAR - 5)
            tick = (self.cell - away if is_bid else self.cell + 1 + away) * CELL
            side = self.bids if is_bid else self.asks
            if tick in side and not (self.planted and self.planted.tick == tick):
                until = at + 1 + int(RATE * self.random.lognormvariate(log(LIFE_S), LIFE_SPREAD))
                self.ordinary[is_bid, tick] = (side[tick], until)
                self._set(is_bid, tick, side[tick] + int(self._near(is_bid) * self.random.uniform(*SHARES)))
        for (is_bid, tick), (base, until) in list(self.ordinary.items()):
            if at >= until:
                del self.ordinary[is_bid, tick]
                self._set(is_bid, tick, base)

    def _near(self, is_bid: bool) -> int:
        side, mid2 = self.bids if is_bid else self.asks, (2 * self.cell + 1) * CELL
        return sum(lots for tick, lots in side.items() if 1_000 * abs(2 * tick - mid2) <= mid2)

    def _trade(self, buys: bool, lots: int) -> None:
        self.trades.append(((self.cell + 1 if buys else self.cell) * CELL, lots if buys else -lots))

    def _plant(self, at: int) -> None:
        is_bid, away = self.random.random() < 0.5, self.random.randrange(6, 30)
        tick = (self.cell - away if is_bid else self.cell + 1 + away) * CELL
        side, added = self.bids if is_bid else self.asks, int(0.3 * self._near(is_bid))
        self.ordinary.pop((is_bid, tick), None)
        until = at + int(RATE * self.random.uniform(1.0, 10.0))
        moved = 0 if self.missing is Missing.MOVE else self.random.randrange(7, 16)
        traded = 0 if self.missing is Missing.TRADES else int(added * self.random.uniform(0.03, 0.15))
        self.planted = Planted(is_bid, tick, side[tick], at, until, moved, traded)
        self._set(is_bid, tick, side[tick] + added)
        side_name = LevelSide.BID if is_bid else LevelSide.ASK
        self.truths.append(Truth(side_name, tick, self._ns(at), self._ns(until)))

    def _go_on(self, held: Planted, at: int) -> None:
        """Move the mid and trade a little more of what is to be, the order's way; at the end it is gone."""
        if at == held.since:
            return
        left = max(1, held.until - at)
        cells, lots = -(-held.cells // left), -(-held.traded // left)
        for _ in range(cells):
            self._move(held.is_bid)
        if lots:
            self._trade(held.is_bid, lots)
            if self.random.random() < 0.2 and lots > 4:
                self._trade(not held.is_bid, lots // 4)
        self.planted = held._replace(cells=held.cells - cells, traded=held.traded - lots)
        if at >= held.until:
            self._end(held)

    def _end(self, held: Planted) -> None:
        side = self.bids if held.is_bid else self.asks
        if self.missing is Missing.CANCEL:
            taken = side[held.tick] - held.lots
            self.trades.append((held.tick, -taken if held.is_bid else taken))
        self._set(held.is_bid, held.tick, held.lots)
        self.planted = None

    def _ns(self, at: int) -> int:
        return T0_NS + at * NS_PER_SECOND // RATE

    def _record(self, at: int, kind: Kind, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> L2Record:
        return L2Record(
            venue="v",
            symbol="S",
            source=Source.SIMULATOR,
            kind=kind,
            epoch=1,
            sequence=at + 1,
            previous_sequence=at if kind is Kind.DELTA else None,
            received_ns=self._ns(at),
            tick_size="0.1",
            lot_size="0.001",
            contract_kind=ContractKind.LINEAR,
            bid_ticks=[tick for tick, _ in bids],
            bid_lots=[lots for _, lots in bids],
            ask_ticks=[tick for tick, _ in asks],
            ask_lots=[lots for _, lots in asks],
            trade_ticks=[tick for tick, _ in self.trades] if kind is Kind.DELTA else [],
            trade_lots=[lots for _, lots in self.trades] if kind is Kind.DELTA else [],
        )
