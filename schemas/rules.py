"""What a record must keep that neither its schema nor the bounds of its fields can say."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

import msgspec

from schemas.bounds import MAX_EVENTS, MAX_LEVELS
from schemas.messages import (
    Coverage,
    DerivativeRecord,
    FactorRecord,
    FeedQuality,
    Kind,
    L2Record,
    QuoteRecord,
    RegimeEvent,
    TradeRecord,
)

MAX_QUOTED: Final = 20
"""Most levels a side that a quote tells."""


def problem_of(record: msgspec.Struct) -> str:
    """Say which rule of its own a record breaks; empty where it breaks none."""
    rule = _RULES.get(type(record))
    return rule(record) if rule else ""


def _l2_problem(record: L2Record) -> str:
    if len(record.bid_ticks) != len(record.bid_lots) or len(record.ask_ticks) != len(record.ask_lots):
        return "prices and sizes of a side differ in number"
    if len(record.bid_ticks) + len(record.ask_ticks) > MAX_LEVELS:
        return f"more than {MAX_LEVELS} levels"
    if len(record.trade_ticks) != len(record.trade_lots):
        return "prices and sizes of the trades differ in number"
    if record.trade_ticks and record.kind is not Kind.DELTA:
        return f"a {record.kind} carries trades"
    if record.kind is Kind.DELTA and record.previous_sequence is None:
        return "a delta has no previous_sequence"
    if record.kind is Kind.INVALID and (record.reason is None or record.bid_ticks or record.ask_ticks):
        return "an invalid needs a reason and carries no levels"
    return _coverage_problem(record)


def _coverage_problem(record: L2Record) -> str:
    if record.coverage is not None and record.kind is not Kind.SNAPSHOT:
        return f"a record of kind {record.kind} says how far its book is known"
    known = (record.bid_known_ticks, record.ask_known_ticks)
    if known != (None, None) and record.coverage is not Coverage.RANGE:
        return "a known range without coverage range"
    bid, ask = record.bid_known_ticks, record.ask_known_ticks
    bids, asks = (
        zip(record.bid_ticks, record.bid_lots, strict=True),
        zip(record.ask_ticks, record.ask_lots, strict=True),
    )
    if bid is not None and not any(lots and tick >= bid for tick, lots in bids):
        return "its best bid lies beyond the range it is known in"
    if ask is not None and not any(lots and tick <= ask for tick, lots in asks):
        return "its best ask lies beyond the range it is known in"
    if (record.quote_flow_lots is not None or record.quote_events) and record.kind is not Kind.DELTA:
        return f"a record of kind {record.kind} carries the flow of quotes"
    return ""


def _trade_problem(record: TradeRecord) -> str:
    return "" if record.size_lots else "a trade of size 0 has no side"


def _quality_problem(record: FeedQuality) -> str:
    if record.received_ns < record.began_ns:
        return "it ends before it begins"
    if (record.ids_seen is None) != (record.ids_lost is None):
        return "of numbers seen and lost one is told without the other"
    if (record.clock_low_ns is None) != (record.clock_high_ns is None):
        return "of two bounds of a clock one is told without the other"
    pairs = (
        (record.depth_latency_us, record.depth_latency_counts),
        (record.trade_latency_us, record.trade_latency_counts),
    )
    if any(len(latencies) != len(counts) or len(set(latencies)) != len(latencies) for latencies, counts in pairs):
        return "a sketch has not one count for each of its latencies"
    return ""


def _derivative_problem(record: DerivativeRecord) -> str:
    told = (
        record.funding_rate,
        record.next_funding_ns,
        record.funding_interval_s,
        record.mark_price,
        record.index_price,
        record.open_interest,
    )
    return "it tells nothing" if told == (None,) * len(told) else ""


def packing_problem(events: int) -> str:
    """Say why a factor record may not pack so many events; empty where it may."""
    return "" if 0 < events <= MAX_EVENTS else f"a factors record packs {events} events, not 1 to {MAX_EVENTS}"


def _factors_problem(record: FactorRecord) -> str:
    problem = packing_problem(len(record.events))
    if not problem and any(low.source_offset >= high.source_offset for low, high in pairwise(record.events)):
        return "events are not in the order of their source"
    return problem


def _regime_problem(record: RegimeEvent) -> str:
    return "" if record.window_start_ns < record.window_end_ns else "a window ends before it begins"


def _quote_problem(record: QuoteRecord) -> str:
    if len(record.bid_ticks) != len(record.bid_lots) or len(record.ask_ticks) != len(record.ask_lots):
        return "prices and sizes of a side differ in number"
    if 0 in (*record.bid_ticks, *record.bid_lots, *record.ask_ticks, *record.ask_lots):
        return "a quote has a level without price or size"
    if len(record.bid_ticks) > MAX_QUOTED or len(record.ask_ticks) > MAX_QUOTED:
        return f"a quote has more than {MAX_QUOTED} levels a side"
    falls = all(better > worse for better, worse in pairwise(record.bid_ticks))
    rises = all(better < worse for better, worse in pairwise(record.ask_ticks))
    return "" if falls and rises else "the levels of a quote are not in order, best first"


_RULES: Final[dict[type, Callable[[Any], str]]] = {
    L2Record: _l2_problem,
    TradeRecord: _trade_problem,
    DerivativeRecord: _derivative_problem,
    FeedQuality: _quality_problem,
    FactorRecord: _factors_problem,
    RegimeEvent: _regime_problem,
    QuoteRecord: _quote_problem,
}
