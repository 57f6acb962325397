"""Every factor a second time, slowly and from the definitions: plain dicts, sorting, fractions, full history.

It imports nothing of the project, so that a shared mistake has to be made twice. Prices and sizes are exact fractions;
a float appears only where a value leaves. Nothing is kept incrementally but the book itself and the list of what
happened since the book became live.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import pairwise

SECOND = 1_000_000_000
Value = float | Fraction | None
Levels = Sequence[tuple[int, int]]


READ = {"obi_l3": 3, "obi_l5": 5, "obi_l10": 10, "obi_l20": 20, "obi_change_rate": 5, "obi_decay_bps": 20}
READ |= dict.fromkeys(("bid_ask_ratio", "obi_weighted", "micro_price_imb", "pressure_score", "obi_vwap"), 10)
READ |= {"confidence": 10, "size_dispersion": 20, "size_cv": 20}
"""Levels of each side that a factor reads."""


@dataclass
class Expected:
    status: str
    values: dict[str, float | None]


@dataclass
class Past:
    """One event since the book became live."""

    received_ns: int
    is_delta: bool
    status: str
    obi_l1: Fraction | None = None
    obi_l5: Fraction | None = None
    depth: Fraction | None = None
    ofi_l1: Fraction | None = None
    quotes: Fraction | None = None
    by_level: "list[Fraction | None]" = field(default_factory=lambda: [None] * 10)
    trades: "list[tuple[int, int]]" = field(default_factory=list)
    mid_before: Fraction | None = None
    mid: Fraction | None = None
    added: int | None = 0
    removed: int | None = 0


@dataclass
class Side:
    """A side of a sorted book as far as it is known, best first; `whole` where all of it is."""

    whole: bool
    ticks: list[int]
    lots: list[int]
    prices: list[Fraction]
    sizes: list[Fraction]


@dataclass
class Sorted:
    bids: Side
    asks: Side

    @property
    def is_open(self) -> bool:
        return bool(self.bids.ticks and self.asks.ticks) and self.bids.ticks[0] < self.asks.ticks[0]

    @property
    def mid(self) -> Fraction:
        return (self.bids.prices[0] + self.asks.prices[0]) / 2

    def knows(self, levels: int) -> bool:
        return all(side.whole or len(side.ticks) >= levels for side in (self.bids, self.asks))


@dataclass
class BruteForce:
    thin_notional: Fraction = Fraction(10_000)
    mean_size: Fraction = Fraction(1)
    weights: list[Fraction] = field(default_factory=list)
    live: bool = False
    epoch: int = 0
    sequence: int = 0
    grid: tuple[str, str, str, str] = ("1", "1", "1", "spot")
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    coverage: str = "whole"
    bid_known: int | None = None
    ask_known: int | None = None
    history: list[Past] = field(default_factory=list)
    last: "Sorted | None" = None

    def feed(
        self,
        *,
        kind: str,
        epoch: int,
        sequence: int,
        previous_sequence: int | None,
        received_ns: int,
        grid: tuple[str, str, str, str],
        bids: Levels,
        asks: Levels,
        coverage: str | None = None,
        bid_known: int | None = None,
        ask_known: int | None = None,
        quote_flow: int | None = None,
        trades: Levels = (),
        wanted: bool = True,
    ) -> Expected | None:
        """One record in; the event it makes out, or None. Not `wanted`: only what later events depend on."""
        if epoch < self.epoch:
            return None
        if kind == "invalid":
            return self._dead(epoch)
        if kind == "snapshot":
            if not self.live or epoch > self.epoch:
                self.live, self.epoch, self.sequence, self.grid = True, epoch, sequence, grid
                self.bids = {tick: lots for tick, lots in dict(bids).items() if lots}
                self.asks = {tick: lots for tick, lots in dict(asks).items() if lots}
                self.coverage, self.bid_known, self.ask_known = coverage or "whole", bid_known, ask_known
                self.history = []
                return self._event(received_ns, None, wanted=wanted)
            if sequence != self.sequence or grid != self.grid:
                return self._dead(epoch)
            return self._routine(epoch, bids, asks, bid_known, ask_known)
        if not self.live:
            return None
        if epoch != self.epoch or previous_sequence != self.sequence or grid != self.grid:
            return self._dead(epoch)
        before = dict(self.bids), dict(self.asks)
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for tick, lots in levels:
                side.pop(tick, None)
                if lots:
                    side[tick] = lots
        self.sequence = sequence
        if self._is_beyond():
            return self._dead(epoch)
        expected = self._event(received_ns, before, quote_flow, trades, wanted=wanted)
        if self._crossed_for_too_long():
            self._dead(epoch)
        return expected

    def _routine(
        self, epoch: int, bids: Levels, asks: Levels, bid_known: int | None, ask_known: int | None
    ) -> Expected | None:
        """A snapshot of the book's own sequence: it must agree where both are known, and may know more."""
        theirs = [{tick: lots for tick, lots in dict(side).items() if lots} for side in (bids, asks)]
        limits = ((self.bid_known, bid_known), (self.ask_known, ask_known))
        if self.coverage == "top_n":
            bid_ends = min(self.bids, default=None), min(theirs[0], default=None)
            limits = (bid_ends, (max(self.asks, default=None), max(theirs[1], default=None)))
        for sign, ours, other, known in zip((1, -1), (self.bids, self.asks), theirs, limits, strict=True):
            for tick in {*ours, *other}:
                is_known = all(limit is None or sign * (tick - limit) >= 0 for limit in known)
                if is_known and ours.get(tick) != other.get(tick):
                    return self._dead(epoch)
        if self.bid_known is not None and (bid_known is None or bid_known < self.bid_known):
            self.bids, self.bid_known = theirs[0], bid_known
        if self.ask_known is not None and (ask_known is None or ask_known > self.ask_known):
            self.asks, self.ask_known = theirs[1], ask_known
        if self.last is not None:
            self.last = self._sort(self.bids, self.asks)
        return None

    def _is_beyond(self) -> bool:
        bid_is_missing = self.bid_known is not None and max(self.bids, default=-1) < self.bid_known
        return bid_is_missing or (self.ask_known is not None and min(self.asks, default=2**70) > self.ask_known)

    def _dead(self, epoch: int) -> Expected:
        self.live, self.epoch, self.history = False, epoch, []
        return Expected("RESYNCING", {})

    def _crossed_for_too_long(self) -> bool:
        crossed = []
        for past in reversed(self.history):
            if past.status != "CROSSED":
                break
            crossed.append(past)
        if not crossed:
            return False
        return len(crossed) > 3 or crossed[0].received_ns - crossed[-1].received_ns >= SECOND

    def _event(
        self,
        received_ns: int,
        before: tuple[dict[int, int], dict[int, int]] | None,
        quote_flow: int | None = None,
        trades: Levels = (),
        *,
        wanted: bool,
    ) -> Expected:
        after = self._sort(self.bids, self.asks)
        status = self._status(after)
        past = Past(received_ns, before is not None, status)
        old = None if before is None else self.last
        past.trades = [(tick, lots) for tick, lots in trades if lots]
        past.mid = after.mid if after.is_open else None
        past.mid_before = old.mid if old is not None and old.is_open else None
        if before is not None and old is not None:
            if old.knows(20) and after.knows(20):
                self._count_changes(past, before, old, after)
            else:
                past.added = past.removed = None
        if after.bids.ticks and after.asks.ticks and quote_flow is not None:
            unit = Fraction(self.grid[1]) * Fraction(self.grid[2])
            past.quotes = quote_flow * unit / (after.mid if self.grid[3] == "inverse" else 1)
        elif quote_flow is not None and self.grid[3] != "inverse":
            past.quotes = quote_flow * Fraction(self.grid[1]) * Fraction(self.grid[2])
        if after.is_open:
            past.obi_l1, past.obi_l5 = obi(after, 1), obi(after, 5) if after.knows(5) else None
            depths = self._within(after.bids, after, 10), self._within(after.asks, after, 10)
            past.depth = None if depths[0] is None or depths[1] is None else depths[0] + depths[1]
            past.ofi_l1 = ofi(old, after, 1)
            past.by_level = [level_flow(old, after, level) for level in range(1, 11)]
        values = self._values(past, old, after) if wanted else {}
        self.history.append(past)
        self.last = after
        return Expected(status, {name: None if value is None else float(value) for name, value in values.items()})

    # the book, sorted anew each time

    def _sort(self, bids: dict[int, int], asks: dict[int, int]) -> Sorted:
        below, above = self.bid_known, self.ask_known
        if self.coverage == "top_n":
            below, above = min(bids, default=None), max(asks, default=None)
        bid_ticks = [tick for tick in sorted(bids, reverse=True) if below is None or tick >= below]
        ask_ticks = [tick for tick in sorted(asks) if above is None or tick <= above]
        return Sorted(self._side(bids, bid_ticks, below is None), self._side(asks, ask_ticks, above is None))

    def _side(self, lots: dict[int, int], ticks: list[int], whole: bool) -> Side:
        tick_size, unit = Fraction(self.grid[0]), Fraction(self.grid[1]) * Fraction(self.grid[2])
        prices = [tick * tick_size for tick in ticks[:20]]
        sizes = [lots[tick] * unit for tick in ticks[:20]]
        if self.grid[3] == "inverse":
            sizes = [size / price for size, price in zip(sizes, prices, strict=True)]
        return Side(whole, ticks, list(map(lots.__getitem__, ticks)), prices, sizes)

    def _status(self, book: Sorted) -> str:
        if not book.bids.ticks and not book.asks.ticks:
            return "EMPTY"
        if not book.bids.ticks or not book.asks.ticks:
            return "ONE_SIDED"
        if book.bids.ticks[0] > book.asks.ticks[0]:
            return "CROSSED"
        if book.bids.ticks[0] == book.asks.ticks[0]:
            return "LOCKED"
        return "THIN" if self._top_notional(book) < self.thin_notional else "OK"

    @staticmethod
    def _top_notional(book: Sorted) -> Fraction:
        return sum(
            (p * q for side in (book.bids, book.asks) for p, q in zip(side.prices[:10], side.sizes[:10], strict=True)),
            Fraction(0),
        )

    def _within(self, side: Side, book: Sorted, bps: int) -> Fraction | None:
        best = book.bids.ticks[0] + book.asks.ticks[0]
        known, sign = (self.bid_known, -1) if side is book.bids else (self.ask_known, 1)
        if self.coverage == "top_n":
            known = side.ticks[-1]
        edge = Fraction(best * (10_000 + sign * bps), 20_000)
        whole_tick = edge.numerator // edge.denominator if sign > 0 else -(-edge.numerator // edge.denominator)
        if known is not None and sign * (whole_tick - known) > 0:
            return None
        unit, total = Fraction(self.grid[1]) * Fraction(self.grid[2]), 0
        for tick, lots in zip(side.ticks, side.lots, strict=True):
            is_inside = (
                20000 * tick >= best * (10000 - bps) if side is book.bids else 20000 * tick <= best * (10000 + bps)
            )
            if not is_inside:
                break
            total += lots if self.grid[3] == "inverse" else lots * tick
        return total * unit * (1 if self.grid[3] == "inverse" else Fraction(self.grid[0]))

    def _count_changes(
        self, past: Past, before: tuple[dict[int, int], dict[int, int]], old: Sorted, after: Sorted
    ) -> None:
        sides = ((before[0], self.bids, old.bids, after.bids), (before[1], self.asks, old.asks, after.asks))
        for was, now, old_side, new_side in sides:
            for tick in {*old_side.ticks[:20], *new_side.ticks[:20]}:
                change = now.get(tick, 0) - was.get(tick, 0)
                past.added = (past.added or 0) + max(change, 0)
                past.removed = (past.removed or 0) + max(-change, 0)

    # the factors

    def _values(self, past: Past, old: Sorted | None, book: Sorted) -> dict[str, Value]:
        values = self._quotes(book)
        if book.is_open:
            values |= self._imbalances(book)
            values |= self._depths(book)
            values |= self._memory(past, old, book)
            for name, levels in READ.items():
                if not book.knows(levels):
                    values[name] = None
            for name, side in (("bid_volume_l10", book.bids), ("ask_volume_l10", book.asks)):
                if not side.whole and len(side.ticks) < 10:
                    values[name] = None
            for name, side in (("hhi_bid_l20", book.bids), ("hhi_ask_l20", book.asks)):
                values[name] = concentration(side)
            values |= self._known(book)
        return values

    def _known(self, book: Sorted) -> dict[str, Value]:
        below, above = self.bid_known, self.ask_known
        if self.coverage == "top_n":
            below, above = book.bids.ticks[-1], book.asks.ticks[-1]
        tick = Fraction(self.grid[0])
        return {
            "bid_known_bps": None if below is None else 10_000 * (book.mid - below * tick) / book.mid,
            "ask_known_bps": None if above is None else 10_000 * (above * tick - book.mid) / book.mid,
        }

    def _quotes(self, book: Sorted) -> dict[str, Value]:
        bids, asks = book.bids, book.asks
        values: dict[str, Value] = {"bid_levels": float(len(bids.ticks)), "ask_levels": float(len(asks.ticks))}
        if bids.ticks:
            values |= {"best_bid": bids.prices[0], "best_bid_size": bids.sizes[0]}
        if asks.ticks:
            values |= {"best_ask": asks.prices[0], "best_ask_size": asks.sizes[0]}
        if bids.ticks and asks.ticks:
            spread = asks.prices[0] - bids.prices[0]
            values |= {"mid": book.mid, "spread": spread}
            values["spread_bps"] = 10_000 * spread / book.mid if book.mid else None
        return values

    def _imbalances(self, book: Sorted) -> dict[str, Value]:
        bids, asks, mid = book.bids, book.asks, book.mid
        values: dict[str, Value] = {f"obi_l{levels}": obi(book, levels) for levels in (1, 3, 5, 10, 20)}
        bid_volume, ask_volume = sum(bids.sizes[:10]), sum(asks.sizes[:10])
        values |= {"bid_volume_l10": Fraction(bid_volume), "ask_volume_l10": Fraction(ask_volume)}
        values["bid_ask_ratio"] = Fraction(bid_volume) / ask_volume
        values["obi_weighted"] = balance(book, 10, lambda k, p: Fraction(9, 10) ** k / (1 + abs(p - mid) / mid))
        values["micro_price_imb"] = balance(book, 10, lambda k, _: Fraction(1, 2) ** k)
        values["obi_decay_bps"] = decayed(book)
        pulls = [
            sum((abs(p - mid) * q for p, q in zip(side.prices[:10], side.sizes[:10], strict=True)), Fraction(0))
            for side in (bids, asks)
        ]
        values["pressure_score"] = pulls[0] / pulls[1]
        prices, sizes = bids.prices[:10] + asks.prices[:10], bids.sizes[:10] + asks.sizes[:10]
        vwap = sum((p * q for p, q in zip(prices, sizes, strict=True)), Fraction(0)) / sum(sizes)
        values["obi_vwap"] = (vwap - mid) / mid
        if min(len(bids.ticks), len(asks.ticks)) >= 3:
            pooled = bids.sizes[:20] + asks.sizes[:20]
            values["size_dispersion"] = deviation(pooled)
            values["size_cv"] = deviation(pooled) / float(statistics.mean(pooled))
        weighted_mid = (bids.prices[0] * asks.sizes[0] + asks.prices[0] * bids.sizes[0]) / (
            asks.sizes[0] + bids.sizes[0]
        )
        spread = asks.prices[0] - bids.prices[0]
        values["weighted_mid"] = weighted_mid
        values["weighted_mid_adjusted"] = weighted_mid + Fraction(1, 2) * obi(book, 1) * spread / 2
        return values

    def _depths(self, book: Sorted) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for bps in (5, 10, 25):
            values[f"bid_depth_{bps}bps"] = self._within(book.bids, book, bps)
            values[f"ask_depth_{bps}bps"] = self._within(book.asks, book, bps)
        bid, ask = self._within(book.bids, book, 10), self._within(book.asks, book, 10)
        values["obi_10bps"] = None
        if bid is not None and ask is not None and bid + ask:
            values["obi_10bps"] = (bid - ask) / (bid + ask)
        for name, side in (("depth_slope_bid_25bps", book.bids), ("depth_slope_ask_25bps", book.asks)):
            points = [(Fraction(bps), self._within(side, book, bps)) for bps in (5, 10, 15, 20, 25)]
            if len(side.ticks) >= 3:
                values[name] = least_squares([(x, y) for x, y in points if y is not None], of=5)
        values["confidence"] = min(Fraction(1), self._top_notional(book) / (10 * self.thin_notional))
        return values

    def _memory(self, past: Past, old: Sorted | None, book: Sorted) -> dict[str, Value]:
        events = [event for event in self.history if event.status in ("OK", "THIN")]
        values: dict[str, Value] = {"ofi_l1": past.ofi_l1, "ofi_l5": ofi(old, book, 5)}
        values["ofi_quotes"] = past.quotes
        assert past.obi_l1 is not None
        fives = [event.obi_l5 for event in events[-10:] if event.obi_l5 is not None]
        if past.obi_l5 is not None and len(fives) >= 2 and len(fives) == len(events[-10:]):
            values["obi_change_rate"] = past.obi_l5 - statistics.mean(fives)
        ones = [event.obi_l1 for event in events[-20:] if event.obi_l1 is not None]
        depths = [event.depth for event in events[-20:] if event.depth is not None]
        if len(ones) == 20 and deviation(ones) >= 1e-9:
            values["obi_l1_z"] = float(past.obi_l1 - statistics.mean(ones)) / deviation(ones)
        if len(depths) == 20 and past.depth and sum(depths):
            values["liquidity_shift"] = logarithm(past.depth / statistics.mean(depths))
        return values | self._last_second(past) | self._trades(past, book)

    def _trades(self, past: Past, book: Sorted) -> dict[str, Value]:
        everything, now, values = [*self.history, past], past.received_ns, dict[str, Value]()
        lot, tick = Fraction(self.grid[1]) * Fraction(self.grid[2]), Fraction(self.grid[0])
        is_inverse = self.grid[3] == "inverse"
        for seconds in (1, 5, 30):
            if now - everything[0].received_ns < seconds * SECOND:
                break
            window = [event for event in everything if now - seconds * SECOND < event.received_ns]
            sizes = [lots for event in window for _, lots in event.trades]
            bought, sold = sum(n for n in sizes if n > 0), -sum(n for n in sizes if n < 0)
            base = lot / book.mid if is_inverse else lot
            values |= {f"trade_buy_{seconds}s": bought * base, f"trade_sell_{seconds}s": sold * base}
            values[f"trade_count_{seconds}s"] = Fraction(len(sizes))
            if sizes:
                values[f"trade_flow_{seconds}s"] = Fraction(bought - sold, bought + sold)
            if seconds == 1 and sizes and all(event.mid_before is not None for event in window if event.trades):
                paid = Fraction(0)
                for event in window:
                    mid = event.mid_before or Fraction(1)
                    paid += sum(lots * 20_000 * (price * tick - mid) / mid for price, lots in event.trades)
                values["effective_spread_bps_1s"] = paid / (bought + sold)
        values |= volatilities(everything, now)
        worth = Fraction(lot if is_inverse else lot * tick)
        values["kyle_lambda_60s"] = impact(everything, now, worth, is_inverse=is_inverse)
        largest = self.thin_notional * 10 / worth
        values["vpin_exact"] = toxicity(everything, max(1, -(-largest.numerator // largest.denominator)), is_inverse)
        return values

    def _last_second(self, past: Past) -> dict[str, Value]:
        everything = [*self.history, past]
        if past.received_ns - everything[0].received_ns < SECOND:
            return {}
        window = [event for event in everything if past.received_ns - SECOND < event.received_ns and event.is_delta]
        flows = [event.ofi_l1 for event in window if event.ofi_l1 is not None]
        values: dict[str, Value] = {}
        quotes = [event.quotes for event in window if event.quotes is not None]
        if quotes and len(quotes) == len(window):
            values["ofi_quotes_1s"] = sum(quotes, Fraction(0))
        if len(window) <= 1_024:
            for level in range(1, 11):
                deep = [flow for event in window if (flow := event.by_level[level - 1]) is not None]
                if deep and len(deep) == len(window):
                    values[f"mlofi_{level}_1s"] = sum(deep, Fraction(0))
            deep = [flow for event in window for flow in event.by_level if flow is not None]
            if self.weights and window and len(deep) == 10 * len(window):
                weighed = sum(flow * self.weights[at % 10] for at, flow in enumerate(deep))
                values["integrated_ofi_1s"] = weighed / (self.mean_size * sum(map(abs, self.weights)))
        if any(event.added is None for event in window):
            return values | ({"ofi_l1_1s": sum(flows, Fraction(0))} if flows else {})
        added, removed = sum(event.added or 0 for event in window), sum(event.removed or 0 for event in window)
        if flows:
            values["ofi_l1_1s"] = sum(flows, Fraction(0))
        if added + removed:
            values["removal_ratio_1s"] = Fraction(removed, added + removed)
        return values


def obi(book: Sorted, levels: int) -> Fraction:
    bid, ask = sum(book.bids.lots[:levels]), sum(book.asks.lots[:levels])
    return Fraction(bid - ask, bid + ask)


def balance(book: Sorted, levels: int, weight) -> Fraction:  # type: ignore[no-untyped-def]  # noqa: ANN001
    bid, ask = (
        sum(
            (weight(k, p) * q for k, (p, q) in enumerate(zip(side.prices[:levels], side.sizes[:levels], strict=True))),
            Fraction(0),
        )
        for side in (book.bids, book.asks)
    )
    return Fraction(bid - ask) / (bid + ask)


def ofi(old: Sorted | None, new: Sorted, levels: int) -> Fraction | None:
    if old is None:
        return None
    if any(len(side.ticks) < levels for side in (old.bids, old.asks, new.bids, new.asks)):
        return None
    flow = Fraction(0)
    for level in range(levels):
        was, now = old.bids.prices[level], new.bids.prices[level]
        flow += new.bids.sizes[level] * (now >= was) - old.bids.sizes[level] * (now <= was)
        was, now = old.asks.prices[level], new.asks.prices[level]
        flow += old.asks.sizes[level] * (now >= was) - new.asks.sizes[level] * (now <= was)
    return flow


def level_flow(old: Sorted | None, new: Sorted, level: int) -> Fraction | None:
    """Flow at one level: that of the best so many levels, less that of those above it."""
    whole, above = ofi(old, new, level), ofi(old, new, level - 1)
    return None if whole is None or above is None else whole - above


def concentration(side: Side) -> Fraction | None:
    """Σ share² of the notionals of the top 20, where there are 3 levels, and 20 are known."""
    count = len(side.ticks[:20])
    if count < 3 or (not side.whole and count < 20):
        return None
    notionals = [price * size for price, size in zip(side.prices, side.sizes, strict=True)]
    return sum((notional / sum(notionals)) ** 2 for notional in notionals) if sum(notionals) else None


def least_squares(points: "list[tuple[Fraction, Fraction]]", of: int) -> Fraction | None:
    """Slope with a constant; None where points are missing, or all stand at one x."""
    if len(points) < of:
        return None
    mean_x = sum((x for x, _ in points), Fraction(0)) / len(points)
    mean_y = sum((y for _, y in points), Fraction(0)) / len(points)
    spread = sum(((x - mean_x) ** 2 for x, _ in points), Fraction(0))
    return sum(((x - mean_x) * (y - mean_y) for x, y in points), Fraction(0)) / spread if spread else None


def bar_of(time_ns: int, step_ns: int) -> int:
    """Number of the step that a moment ends or lies in: (end - step, end]."""
    return -(-time_ns // step_ns)


def mids_at_ends(events: "list[Past]", now: int, step_ns: int, count: int) -> "list[Fraction | None] | None":
    """Mids at the ends of the newest whole bars, and of that before; fewer where the book is not live for so long."""
    ends = [number * step_ns for number in range(bar_of(now, step_ns) - 1 - count, bar_of(now, step_ns))]
    return [
        [event for event in events if event.received_ns <= end][-1].mid for end in ends if end >= events[0].received_ns
    ]


def returns_of(events: "list[Past]", now: int, step_ns: int, count: int) -> "list[float | None]":
    mids = mids_at_ends(events, now, step_ns, count)
    return [
        None if one is None or other is None else 10_000 * math.log1p(float((other - one) / one))
        for one, other in zip(mids or [], (mids or [])[1:], strict=False)
    ]


def volatilities(events: "list[Past]", now: int) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name, step_ns, count in (("rv_5s", SECOND // 4, 20), ("rv_60s", SECOND, 60)):
        returns = returns_of(events, now, step_ns, count)
        known = [change for change in returns if change is not None]
        if len(known) == len(returns) == count:
            values[name] = (sum(change * change for change in known) * SECOND / (count * step_ns)) ** 0.5
            if name == "rv_60s":
                products = sum(abs(one * other) for one, other in pairwise(known))
                values["bipower_60s"] = (math.pi / 2 * products / 59) ** 0.5
    return values


def impact(events: "list[Past]", now: int, worth: Fraction, *, is_inverse: bool) -> Fraction | None:
    """Slope of returns on signed notional by whole seconds, per million."""
    returns = returns_of(events, now, SECOND, 60)
    if len(returns) < 30 or None in returns:
        return None
    last = bar_of(now, SECOND) - 1
    flows = dict.fromkeys(range(last - len(returns) + 1, last + 1), Fraction(0))
    for event in events:
        bar = bar_of(event.received_ns, SECOND)
        if bar in flows:
            flows[bar] += sum(lots * (1 if is_inverse else price) for price, lots in event.trades) * worth
    points = [
        (flow, Fraction(change)) for flow, change in zip(flows.values(), returns, strict=True) if change is not None
    ]
    slope = least_squares(points, of=30)
    return None if slope is None else slope * 1_000_000


def toxicity(events: "list[Past]", size: int, is_inverse: bool) -> Fraction | None:
    """VPIN: the line of all traded units is cut into buckets, the newest 50 full ones count."""
    if size > 2**54:
        return None
    units = [lots * (1 if is_inverse else price) for event in events for price, lots in event.trades]
    full = sum(map(abs, units)) // size
    if full < 50:
        return None
    gaps, at = dict.fromkeys(range(full - 50, full), 0), 0
    for trade in units:
        first, last = at // size, (at + abs(trade)) // size
        for bucket in range(max(first, full - 50), min(last, full - 1) + 1):
            inside = min(at + abs(trade), (bucket + 1) * size) - max(at, bucket * size)
            gaps[bucket] += inside if trade > 0 else -inside
        at += abs(trade)
    return Fraction(sum(map(abs, gaps.values())), 50 * size)


def deviation(values: Sequence[Fraction]) -> float:
    """Sample standard deviation, rounded once."""
    mean = sum(values, Fraction(0)) / len(values)
    variance = sum(((value - mean) ** 2 for value in values), Fraction(0)) / (len(values) - 1)
    with localcontext() as context:
        context.prec = 60
        return float(_decimal(variance).sqrt())


def decayed(book: Sorted) -> Fraction:
    """The ratio weighted by exp(-bps/5), top 20, with decimals of 60 digits and any exponent."""
    with localcontext() as context:
        context.prec = 60
        bid, ask = (
            sum(
                (
                    _decimal(-10_000 * abs(p - book.mid) / book.mid / 5).exp() * _decimal(q)
                    for p, q in zip(side.prices, side.sizes, strict=True)
                ),
                Decimal(0),
            )
            for side in (book.bids, book.asks)
        )
        return Fraction((bid - ask) / (bid + ask))


def logarithm(value: Fraction) -> float:
    with localcontext() as context:
        context.prec = 40
        return float(_decimal(value).ln())


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
