"""What moves the grid of a book: levels alone, never beyond its headroom, and back to the listed grid by a resync."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orderbook.decimals import HEADROOM, INT64_MAX
from orderbook.grid import Grid
from producers.books.stream import InstrumentStream
from producers.messages import BestQuote
from schemas.errors import InvalidNumber
from schemas.messages import L2Record, TradeRecord
from tests.producers.messages import SECOND, delta, l2, live_stream, snapshot, trade, trades
from tests.support.tiers import fourth_of

ABSURD = ("61800.00000000000001", "0.00000000000000000001", "9223372036854775807", "922337203685477580.7", "NaN", "-1")
NUMBERS = st.one_of(
    st.sampled_from(["0", "0.5", "99.95", "99.9999", "100.0", "100.1", *ABSURD]),
    st.from_regex(r"[0-9]{1,19}(\.[0-9]{1,20})?", fullmatch=True),
)
Pair = tuple[str, str]
SIDES = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3)
BESIDE = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), NUMBERS, NUMBERS, st.booleans()),
        st.tuples(st.just("quote"), NUMBERS, NUMBERS, st.one_of(st.none(), st.integers(100, 400))),
    ),
    max_size=4,
)


OF_OTHER_CHANNELS = {"trade_ticks": [], "trade_lots": [], "quote_flow_lots": None, "quote_events": 0}


def levels_of(size: str) -> list[Pair]:
    return [("99.5", size), ("99.95", size)]  # the second is finer than the listed tick


def take(stream: InstrumentStream, message: tuple[str, str, str, object]) -> list[object]:
    """Let a stream take a trade or a quote; one that is refused gives nothing."""
    kind, price, size, more = message
    try:
        if kind == "trade":
            return list(stream.on_trade(trade(price, size, buyer=bool(more)), 3 * SECOND))
        quote = BestQuote("BTCUSDT", price, size, price, size, more)  # type: ignore[arg-type]
        return list(stream.on_quote(quote, 3 * SECOND))
    except InvalidNumber:
        return []


@settings(max_examples=fourth_of(150))
@given(st.lists(BESIDE, min_size=1, max_size=6), st.integers(0, 5), st.integers(0, 6))
def test_no_trade_and_no_quote_changes_what_is_published_of_a_book(
    beside: list[list[tuple[str, str, str, object]]], finer_at: int, lost_at: int
) -> None:
    """Two streams take the same depth: one of them hears trades and quotes, and says the same of its book."""
    quiet, loud = live_stream(), live_stream()
    said: list[L2Record] = []
    for number, messages in enumerate(beside):
        for message in messages:
            said += l2(take(loud, message))
        first = 111 + 10 * number + (number == lost_at)
        bids = levels_of("2") if number == finer_at else [("99.0", "1")]
        update = delta(first, 120 + 10 * number, first - 1, bids=bids)
        expected = l2(quiet.on_delta(update, 4 * SECOND))
        said += l2(loud.on_delta(update, 4 * SECOND))
        if loud.counters.contradicted:
            return  # three quotes in a row that contradict a book are not about nothing
        assert [replace(record, **OF_OTHER_CHANNELS) for record in said] == expected
        said = []
    assert loud.counters.deltas_applied == quiet.counters.deltas_applied
    assert loud.counters.regrids == quiet.counters.regrids


@settings(max_examples=fourth_of(150))
@given(NUMBERS, NUMBERS, st.booleans(), st.booleans())
def test_a_trade_is_exact_or_refused_whatever_its_numbers(price: str, size: str, buyer: bool, finer: bool) -> None:
    live = live_stream()
    if finer:
        live.on_delta(delta(111, 120, 110, bids=levels_of("2")), 3 * SECOND)
    found: list[TradeRecord] = trades(take(live, ("trade", price, size, buyer)))
    event(f"published: {len(found)}, off the book's grid: {live.counters.trades_off_grid}")
    for record in found:
        assert record.price_ticks * Decimal(record.tick_size) == Decimal(price)
        assert record.size_lots * Decimal(record.lot_size) == (Decimal(size) if buyer else -Decimal(size))
        assert max(record.price_ticks, abs(record.size_lots)) <= INT64_MAX
    (update,) = l2(live.on_delta(delta(121, 130, 120) if finer else delta(111, 120, 110), 4 * SECOND))
    assert len(update.trade_ticks) + live.counters.trades_off_grid == len(found)
    for ticks, lots in zip(update.trade_ticks, update.trade_lots, strict=True):
        assert ticks * Decimal(update.tick_size) == Decimal(price)
        assert abs(lots) * Decimal(update.lot_size) == Decimal(size)


@settings(max_examples=fourth_of(100))
@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=8))
def test_a_finer_grid_always_leaves_its_headroom_above_the_book(messages: list[tuple[list[Pair], list[Pair]]]) -> None:
    live = live_stream()
    sequence, grid = 110, ("0.1", "0.001")
    for bids, asks in messages:
        regrids = live.counters.regrids
        update = delta(sequence + 1, sequence + 10, sequence, bids=bids, asks=asks)
        try:
            records = l2(live.on_delta(update, 3 * SECOND))
        except InvalidNumber:
            assert (live.tracked.sequence, live.counters.regrids) == (sequence, regrids)
            continue
        sequence += 10
        book = live.tracked.book
        for record in records:
            changed = tuple(new != old for new, old in zip((record.tick_size, record.lot_size), grid, strict=True))
            if changed[0]:
                farthest = max([*record.bid_ticks, *record.ask_ticks, *book.bids.prices, *book.asks.prices])
                assert farthest * HEADROOM <= INT64_MAX
            if changed[1]:
                sizes = [*record.bid_lots, *record.ask_lots, *book.bids.lots.values(), *book.asks.lots.values()]
                assert max(sizes) * HEADROOM <= INT64_MAX
            grid = (record.tick_size, record.lot_size)
        if not live.is_live:  # crossed for too long
            break
    event(f"regrids: {min(live.counters.regrids, 3)}")


@settings(max_examples=fourth_of(100))
@given(st.lists(SIDES, max_size=4), BESIDE)
def test_after_a_resync_the_grid_is_the_listed_one(
    messages: list[list[Pair]], beside: list[tuple[str, str, str, object]]
) -> None:
    live = live_stream()
    sequence = 110
    for bids in messages:
        for message in beside:
            take(live, message)
        try:
            live.on_delta(delta(sequence + 1, sequence + 10, sequence, bids=bids), 3 * SECOND)
            sequence += 10
        except InvalidNumber:
            live.on_bad_input(3 * SECOND)
    live.feed.on_disconnect(4 * SECOND)
    live.on_delta(delta(995, 1_010, 994), 5 * SECOND)

    records = l2(live.on_snapshot(snapshot(1_000), 6 * SECOND))

    assert [(record.sequence, record.tick_size, record.lot_size) for record in records] == [
        (1_000, "0.1", "0.001"),
        (1_010, "0.1", "0.001"),
    ]


@given(st.integers(1, INT64_MAX // HEADROOM), st.integers(1, INT64_MAX), st.integers(1, 400_000), st.integers(0, 19))
def test_notionals_of_the_largest_books_are_exact_before_they_are_floats(
    ticks: int, lots: int, levels: int, places: int
) -> None:
    """Totals of ticks·lots pass int64 by far: they are whole numbers of any size, divided once."""
    grid = Grid.of("0." + "0" * places + "1", "0.00000000000000000001")
    total = ticks * lots * levels
    exact = total * Decimal(grid.tick_size) * Decimal(grid.lot_size)

    assert abs(Decimal(grid.notional(total)) - exact) <= exact * Decimal("1e-15")
