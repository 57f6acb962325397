"""A book known in part gives the factors of the whole one, or none: compared with a venue whose true book is at hand.

A small venue moves its price by up to 3 % and answers each request for a book with 20 to 1,000 levels a side. What the
producer publishes goes through the engine, and so do the same records with the venue's whole book in every snapshot.
`make test` looks at 60 seeds, `OBFLOW_FUZZ=all` (`make fuzz`) at 10,000.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from msgspec.structs import replace

from orderbook.known import Coverage
from producers.books.options import StreamOptions
from producers.books.stream import InstrumentStream
from producers.exchanges.binance.rules import BinanceFuturesRule
from producers.messages import BestQuote, DepthDelta, DepthSnapshot, Instrument, TradeTick
from schemas.factors import FACTOR_NAMES
from schemas.messages import ContractKind, Kind, L2Record, Reason, Status
from tests.processors.feed import ENGINE

SEEDS = 10_000 if os.environ.get("OBFLOW_FUZZ") == "all" else 60
MS = 1_000_000
START_NS = 1_700_000_000_000 * MS
UPDATES = 90
OF_MINUTES = {"rv_60s", "bipower_60s", "kyle_lambda_60s", "trade_buy_30s", "trade_sell_30s", "trade_count_30s"}
OF_MINUTES |= {"trade_flow_30s", "vpin_exact"}
"""What few of these books live long enough for."""
OF_THE_RANGE = {"bid_levels", "ask_levels", "bid_known_bps", "ask_known_bps"}
"""What says how much is known, and differs by its meaning."""
Levels = list[tuple[str, str]]


class Answer(NamedTuple):
    """A book on its way over REST."""

    due_ns: int
    book: DepthSnapshot


class Venue:
    """A venue with one instrument: prices in ticks of 0.1, sizes in lots of 1; its true book by sequence."""

    def __init__(self, seed: int) -> None:
        self.random, self.traded = Random(seed), Random(~seed)
        self.trades = 0
        self.levels = self.random.choice((20, 50, 200, 1_000))
        self.drift = self.random.uniform(-0.03, 0.03)
        centre = self.random.choice((1_000, 6_000, 60_000))
        self.spacing = self.random.choice((1, 1, 3))
        deep = self.random.choice((60, 300, 1_500))
        self.step = self.drift * centre / UPDATES
        self.centre = float(centre)
        self.bids = {centre - self.spacing * n: self._size() for n in range(1, deep) if centre > self.spacing * n}
        self.asks = {centre + self.spacing * n: self._size() for n in range(1, deep)}
        self.sequence = 100
        self.history = {100: (dict(self.bids), dict(self.asks))}

    def update(self) -> DepthDelta:
        """What changed in a tenth of a second: the price drifted, orders came and went, most of them near it."""
        self.centre += self.step * self.random.choice((0.0, 1.0, 2.0))
        middle, changes = round(self.centre), ({}, {})
        for tick in [tick for tick in self.bids if tick >= middle]:
            self._put(changes, 0, tick, 0)
        for tick in [tick for tick in self.asks if tick <= middle]:
            self._put(changes, 1, tick, 0)
        for _ in range(self.random.randrange(8)):
            side, far = self.random.randrange(2), self.random.choice((3, 20, 200))
            tick = middle + (1 - 2 * (1 - side)) * self.random.randrange(1, far)
            if tick > 0:
                self._put(changes, side, tick, self.random.choice((0, self._size(), self._size())))
        if not self.bids:
            self._put(changes, 0, max(1, middle - 1), self._size())
        if not self.asks:
            self._put(changes, 1, middle + 1, self._size())
        first, self.sequence = self.sequence + 1, self.sequence + self.random.randrange(1, 4)
        self.history[self.sequence] = dict(self.bids), dict(self.asks)
        return DepthDelta("A", first, self.sequence, *map(written, changes), previous_sequence=first - 1)

    def book(self) -> DepthSnapshot:
        bids = sorted(self.bids.items(), reverse=True)[: self.levels]
        asks = sorted(self.asks.items())[: self.levels]
        return DepthSnapshot("A", self.sequence, written(dict(bids)), written(dict(asks)), coverage=Coverage.RANGE)

    def quote(self) -> BestQuote:
        bid, ask = max(self.bids), min(self.asks)
        prices = price(bid), str(self.bids[bid]), price(ask), str(self.asks[ask])
        return BestQuote("A", *prices, self.sequence)

    def trade(self) -> TradeTick:
        """Somebody takes a size of its own from a best price; the book tells of it no sooner than of anything."""
        is_buy = self.traded.random() < 0.5
        tick = min(self.asks) if is_buy else max(self.bids)
        self.trades += 1
        return TradeTick("A", str(self.trades), price(tick), str(self.traded.randrange(1, 500)), is_buy)

    def whole(self, sequence: int) -> dict[str, object]:
        bids, asks = self.history[sequence]
        return {
            "coverage": Coverage.WHOLE,
            "bid_known_ticks": None,
            "ask_known_ticks": None,
            "bid_ticks": list(bids),
            "bid_lots": list(bids.values()),
            "ask_ticks": list(asks),
            "ask_lots": list(asks.values()),
        }

    def _put(self, changes: tuple[dict[int, int], dict[int, int]], side: int, tick: int, lots: int) -> None:
        changes[side][tick] = lots
        book = (self.bids, self.asks)[side]
        book.pop(tick, None)
        if lots:
            book[tick] = lots

    def _size(self) -> int:
        return self.random.randrange(1, 500)


def price(tick: int) -> str:
    return f"{tick // 10}.{tick % 10}"


def written(side: dict[int, int]) -> Levels:
    return [(price(tick), str(lots)) for tick, lots in side.items()]


def published(venue: Venue) -> Iterator[L2Record]:
    """What a producer makes of the venue, that asks for books as it needs them."""
    instrument = Instrument("binance-futures", "A", "0.1", "1", contract_kind=ContractKind.LINEAR)
    wanted_bps = venue.random.choice((0.0, 10.0, 60.0))
    stream = InstrumentStream(
        instrument, BinanceFuturesRule(), StreamOptions(known_bps=wanted_bps, routine_snapshot_ns=2_000 * MS)
    )
    answer: Answer | None = None
    pace = venue.random.choice((100, 1_000))
    for number in range(UPDATES):
        now = START_NS + number * pace * MS
        records = stream.on_delta(venue.update(), now)
        records += stream.on_quote(venue.quote(), now + MS)
        records += stream.on_trade(venue.trade(), now + MS)
        if answer is not None and answer.due_ns <= now:
            records += stream.on_snapshot(answer.book, now + 2 * MS)
            answer = None
        if answer is None and (stream.needs_snapshot or stream.wants_book_beside(now)):
            answer = Answer(now + venue.random.choice((1, 3, 6)) * pace * MS, venue.book())
        yield from (record for record in records if isinstance(record, L2Record))
    assert stream.counters.levels_wrong == 0
    assert stream.counters.contradicted == 0


def test_every_value_of_a_book_known_in_part_is_that_of_the_whole_one() -> None:
    values: Counter[str] = Counter()
    nulls: Counter[str] = Counter()
    statuses: Counter[Status] = Counter()
    reasons: Counter[Reason | None] = Counter()
    for seed in range(SEEDS):
        venue = Venue(seed)
        part = list(published(venue))
        whole = [
            replace(record, **venue.whole(record.sequence)) if record.kind is Kind.SNAPSHOT else record
            for record in part
        ]
        offsets = range(len(part))
        found = ENGINE.step(ENGINE.fresh(), offsets, part)
        true = ENGINE.step(ENGINE.fresh(), offsets, whole)
        by_offset = dict(zip(true.source_offset, true.values, strict=True))
        reasons.update(record.reason for record in part)
        statuses.update(found.status)
        for offset, ours in zip(found.source_offset, found.values, strict=True):
            for name, value, expected in zip(FACTOR_NAMES, ours, by_offset[offset], strict=True):
                if name in OF_THE_RANGE:
                    continue
                nulls[name] += value is None and expected is not None
                values[name] += value is not None
                assert value is None or value == expected, f"seed {seed}, record {offset}: {name}"

    assert min(values[name] for name in FACTOR_NAMES if name not in OF_THE_RANGE | OF_MINUTES) > 10 * SEEDS
    assert min(values[name] for name in OF_MINUTES) > SEEDS // 2
    assert nulls["ask_depth_25bps"] > 10 * SEEDS, "the comparison shows nothing where everything is known"
    assert statuses[Status.OK] + statuses[Status.THIN] > 40 * SEEDS
    assert reasons[Reason.BEYOND_SNAPSHOT] >= SEEDS // 4
