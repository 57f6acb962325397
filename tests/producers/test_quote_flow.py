"""What flowed through the best quotes between two depth records: folded as it comes, equal to a plain count."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obflow.settings import Settings
from orderbook.decimals import TextGrid
from producers.books.quote_flow import NOT_KNOWN, QuoteFlow, QuoteFolder
from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.messages import BestQuote, Via
from research.replay import open_replay
from schemas.messages import Kind, L2Record
from schemas.units import NS_PER_SECOND
from tests.producers.test_handover import SYMBOLS, Market, lines_of
from tests.support.tiers import tiered

GRID = TextGrid.of("0.1", "0.001")
SILENT_NS = 30 * NS_PER_SECOND
NAME = "BTCUSDT-20240808.frames.jsonl.gz"


def quote(sequence: int | None, bid: str, bid_size: str, ask: str, ask_size: str) -> BestQuote:
    return BestQuote("A", bid, bid_size, ask, ask_size, sequence)


def folder(*quotes: BestQuote) -> QuoteFolder:
    made = QuoteFolder(SILENT_NS)
    for number, one in enumerate(quotes):
        made.add(one, number)
    return made


FIRST = quote(1, "100.0", "2", "100.1", "3")


@pytest.mark.parametrize(
    ("after", "lots"),
    [
        (quote(2, "100.0", "5", "100.1", "3"), 3_000),  # the bid's queue grew
        (quote(2, "100.1", "5", "100.2", "3"), 5_000 + 3_000),  # both prices rose: a new bid, and the ask was taken
        (quote(2, "99.9", "7", "100.1", "3"), -2_000),  # the bid was taken
        (quote(2, "100.0", "2", "100.1", "8"), -5_000),  # the ask's queue grew
        (quote(2, "100.0", "2", "100.0", "8"), -8_000),  # a better ask
    ],
)
def test_an_update_of_the_best_quotes_counts_as_the_paper_says(after: BestQuote, lots: int) -> None:
    made = folder(FIRST)
    made.take(GRID, 1)
    made.add(after, 1)
    assert made.take(GRID, 2) == QuoteFlow(lots, 1)
    assert made.take(GRID, 3) == QuoteFlow(0, 0)


def test_there_is_no_flow_before_the_first_quote_and_in_its_own_record() -> None:
    made = folder()
    assert made.take(GRID, 1) == NOT_KNOWN
    made.add(FIRST, 1)
    assert made.take(GRID, 1) == QuoteFlow(None, 1)


def test_the_venues_order_counts_not_that_of_receipt() -> None:
    one, two, three = (quote(n, "100.0", size, "100.1", "3") for n, size in ((2, "9"), (3, "1"), (4, "4")))
    sorted_ones, mixed = folder(FIRST), folder(FIRST)
    for made, order in ((sorted_ones, (one, two, three)), (mixed, (three, one, two))):
        made.take(GRID, 1)
        for each in order:
            made.add(each, 1)
    assert sorted_ones.take(GRID, 2) == mixed.take(GRID, 2) == QuoteFlow(2_000, 3)


def test_an_update_behind_a_later_one_that_was_counted_is_a_hole() -> None:
    made = folder(FIRST, quote(9, "100.0", "1", "100.1", "3"))
    made.take(GRID, 2)
    made.add(quote(5, "100.0", "7", "100.1", "3"), 3)
    assert made.take(GRID, 3) == QuoteFlow(None, 1)
    assert made.take(GRID, 4) == QuoteFlow(0, 0)


def test_a_copy_of_a_second_connection_counts_once() -> None:
    made, second = folder(FIRST), quote(2, "100.0", "5", "100.1", "3")
    made.take(GRID, 1)
    for _ in range(2):
        made.add(second, 1)
    assert made.take(GRID, 2) == QuoteFlow(3_000, 1)


def test_while_a_second_connection_joins_nothing_is_known() -> None:
    made = folder(FIRST)
    made.join()
    made.add(quote(3, "100.0", "5", "100.1", "3"), 1)  # of the second one, ahead
    assert made.take(GRID, 1) == QuoteFlow(None, 2)
    made.add(quote(2, "100.0", "4", "100.1", "3"), 2)  # of the first one, behind
    made.add(quote(3, "100.0", "5", "100.1", "3"), 2)  # and here it has come as far
    assert made.take(GRID, 2).lots is None
    made.add(quote(4, "100.0", "6", "100.1", "3"), 3)
    assert made.take(GRID, 3) == QuoteFlow(1_000, 1)


def test_a_silent_stream_and_a_lost_connection_leave_nothing_known() -> None:
    made = folder(FIRST)
    made.take(GRID, 1)
    assert made.take(GRID, SILENT_NS + 1) == QuoteFlow(None, 0)
    made.forget()
    assert made.take(GRID, 2) == NOT_KNOWN


def test_a_side_without_orders_or_a_finer_price_leaves_nothing_known() -> None:
    for odd in (quote(2, "0", "0", "100.1", "3"), quote(2, "100.05", "1", "100.1", "3")):
        made = folder(FIRST, odd)
        assert made.take(GRID, 2) == QuoteFlow(None, 2)


def test_what_is_beyond_int64_is_not_known() -> None:
    most = str(9 * 10**15)
    many = [quote(n, f"{n}.0", most, "900000.1", "3") for n in range(1, 4)]
    made = folder(many[0])
    made.take(GRID, 1)
    for each in many[1:]:
        made.add(each, 1)
    assert made.take(GRID, 2).lots is None


# ---- a plain count, written apart


def plain_flow(tops: list[tuple[Decimal, Decimal, Decimal, Decimal]], lot: Decimal) -> int:
    total = Decimal(0)
    for (b0, q0, a0, s0), (b1, q1, a1, s1) in pairwise(tops):
        total += q1 * (b1 >= b0) - q0 * (b1 <= b0) - s1 * (a1 <= a0) + s0 * (a1 >= a0)
    return int(total / lot)


def top_of(data: dict[str, Any]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    bid, bid_size, ask, ask_size = (Decimal(data[name]) for name in "bBaA")
    return bid, bid_size, ask, ask_size


@pytest.mark.recorded
@pytest.mark.parametrize("venue", tiered(["binance", "binance-futures"], "binance"))
def test_the_flow_of_a_recording_equals_a_plain_count(recordings: Path, venue: str) -> None:
    path = recordings / venue / NAME
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    counted: dict[int, tuple[int | None, int]] = {}
    tops: list[tuple[Decimal, Decimal, Decimal, Decimal]] = []
    replay = open_replay(path, EXCHANGES[venue], Settings())
    [instrument] = replay.found.instruments.values()
    before = None
    for line in lines:
        data = json.loads(line["raw"]).get("data", {})
        if data.get("e") == "bookTicker" or "B" in data:
            tops.append(top_of(data))
        elif data.get("e") == "depthUpdate":
            flow = None if before is None else plain_flow([before, *tops], Decimal(instrument.lot_size))
            counted[data["u"]] = flow, len(tops)
            before, tops = tops[-1] if tops else before, []

    known = 0
    deltas = [record for record in replay.records() if isinstance(record, L2Record) and record.kind is Kind.DELTA]
    waited = sum(record.received_ns == deltas[0].received_ns for record in deltas)
    for record in deltas[waited:]:
        known += record.quote_flow_lots is not None
        assert (record.quote_flow_lots, record.quote_events) == counted[record.sequence]
    assert known == len(deltas) - waited > 2_500


@settings(max_examples=8)
@given(st.integers(0, 10**6), st.sampled_from(["binance", "binance-futures"]))
def test_what_two_connections_bring_is_counted_once(seed: int, venue: str) -> None:
    market = Market(venue, 6.0, seed=seed % 3)
    lines = lines_of(6.0, 3, Random(seed))
    frames = [frame for line in lines for frame in line.frames(market.events)]
    router = FrameRouter(market.exchange, market.instruments)
    router.assign("c", SYMBOLS)
    tops: dict[str, dict[int, tuple[Decimal, Decimal, Decimal, Decimal]]] = defaultdict(dict)
    folded: dict[str, int] = {}
    known = unknown = 0
    for frame in sorted([*frames, *market.books], key=lambda frame: frame.received_ns):
        data = json.loads(frame.raw).get("data", {}) if frame.via is Via.WS else {}
        if "B" in data:
            tops[data["s"]].setdefault(data["u"], top_of(data))
        for record in router.handle(frame).records:
            if not isinstance(record, L2Record) or record.kind is not Kind.DELTA:
                continue
            of_all, last = tops[record.symbol], folded.get(record.symbol)
            if record.quote_flow_lots is not None:
                known += 1
                assert last is not None
                since = [of_all[number] for number in sorted(of_all) if number >= last]
                assert record.quote_flow_lots == plain_flow(since, Decimal(record.lot_size))
            unknown += record.quote_flow_lots is None
            folded[record.symbol] = max(of_all, default=0)

    assert known > 2 * unknown
