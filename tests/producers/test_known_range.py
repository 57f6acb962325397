"""How far a book is known, at its producer: nothing is believed beyond it, and it is kept wide enough."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orderbook.known import Known
from orderbook.validity import TrackedBook
from producers.books.beside import CHECK_EVERY_NS, PACE_NS, PATIENCE_NS, BookBeside
from producers.books.stream import InstrumentStream
from producers.exchanges.binance.rules import BinanceFuturesRule
from producers.messages import BestQuote, DepthDelta, DepthSnapshot
from schemas.codec import decode, encode
from schemas.errors import InvalidNumber
from schemas.messages import Coverage, FeedState, FeedStatus, Kind, L2Record, Reason, ResyncRequest
from tests.producers.messages import SECOND, delta, l2, snapshot, stream

FAR = [(f"{100 + 0.1 * step:.1f}", "1") for step in range(1, 6)]  # asks 100.1 … 100.5
NEAR = [(f"{100 - 0.1 * step:.1f}", "1") for step in range(5)]  # bids 100.0 … 99.6


def part(sequence: int, bids: list[tuple[str, str]] = NEAR, asks: list[tuple[str, str]] = FAR) -> DepthSnapshot:
    """A book that holds so many levels of a side, and says no more."""
    return replace(snapshot(sequence, bids, asks), coverage=Coverage.RANGE)


def live(**options: object) -> InstrumentStream:
    """A stream whose book is LIVE at sequence 110 and known from 99.6 to 100.5."""
    made = stream(**options)
    made.on_delta(delta(95, 110, 94), SECOND)
    made.on_snapshot(part(100), 2 * SECOND)
    assert made.is_live
    return made


def gone(*prices: str) -> list[tuple[str, str]]:
    return [(price, "0") for price in prices]


ASKS_TAKEN = delta(111, 120, 110, asks=[*gone("100.1", "100.2", "100.3", "100.4", "100.5"), ("100.8", "2")])


def test_a_snapshot_says_how_far_it_knows_the_book_and_a_delta_says_nothing() -> None:
    made = stream()
    made.on_delta(delta(95, 110, 94), SECOND)
    first, second = l2(made.on_snapshot(part(100), 2 * SECOND))
    assert (first.coverage, first.bid_known_ticks, first.ask_known_ticks) == (Coverage.RANGE, 996, 1005)
    assert (second.kind, second.coverage, second.bid_known_ticks, second.ask_known_ticks) == (Kind.DELTA, *[None] * 3)


def test_a_side_that_came_empty_is_known_whole() -> None:
    made = stream()
    made.on_delta(delta(95, 110, 94), SECOND)
    first = l2(made.on_snapshot(part(100, asks=[]), 2 * SECOND))[0]
    assert (first.bid_known_ticks, first.ask_known_ticks) == (996, None)
    made.on_delta(delta(111, 120, 110, asks=[("500.0", "1")]), 3 * SECOND)
    assert made.is_live


def test_a_best_price_beyond_what_is_known_makes_the_book_invalid() -> None:
    made = live()
    records = l2(made.on_delta(ASKS_TAKEN, 3 * SECOND))
    assert [(record.kind, record.reason) for record in records] == [
        (Kind.DELTA, None),
        (Kind.INVALID, Reason.BEYOND_SNAPSHOT),
    ]
    assert (made.feed.state, made.needs_snapshot) == (FeedState.INVALID, Reason.BEYOND_SNAPSHOT)
    assert made.counters.went_beyond == 1


def test_a_known_side_that_was_emptied_is_not_taken_for_an_empty_one() -> None:
    made = live()
    made.on_delta(delta(111, 120, 110, bids=gone(*(price for price, _ in NEAR))), 3 * SECOND)
    assert made.reason is Reason.BEYOND_SNAPSHOT


def no_asks(number: int) -> BestQuote:
    return BestQuote("BTCUSDT", "100.0", "1", "0.0", "0", number)


@pytest.mark.parametrize("quote_is_first", [True, False])
@pytest.mark.case("zero-quote")
def test_a_side_that_the_venues_quote_shows_empty_is_known_whole_from_there_on(*, quote_is_first: bool) -> None:
    made, emptied = live(), delta(111, 120, 110, asks=gone(*(price for price, _ in FAR)))
    if quote_is_first:
        made.on_quote(no_asks(115), 3 * SECOND)
        records = l2(made.on_delta(emptied, 4 * SECOND))
    else:
        records = [*l2(made.on_delta(emptied, 3 * SECOND)), *l2(made.on_quote(no_asks(115), 4 * SECOND))]

    assert [record.kind for record in records] == [Kind.DELTA, Kind.INVALID, Kind.SNAPSHOT]
    assert (records[-1].sequence, records[-1].bid_known_ticks, records[-1].ask_known_ticks) == (120, 996, None)
    assert (made.is_live, made.reason, made.needs_snapshot) == (True, None, None)
    made.on_delta(delta(121, 130, 120, asks=[("500.0", "1")]), 5 * SECOND)
    assert made.is_live
    assert made.book.best_ask == 5000


@pytest.mark.parametrize("number", [99, 121])
def test_a_quote_from_before_the_snapshot_or_ahead_of_the_book_shows_no_side_empty(number: int) -> None:
    made = live()
    made.on_quote(no_asks(number), 3 * SECOND)
    made.on_delta(delta(111, 120, 110, asks=gone(*(price for price, _ in FAR))), 4 * SECOND)
    assert made.reason is Reason.BEYOND_SNAPSHOT
    made.on_delta(delta(121, 130, 120, bids=[("100.0", "3")]), 5 * SECOND)
    assert made.is_live == (number == 121)


def test_where_the_best_price_comes_back_the_book_is_published_from_memory() -> None:
    made = live()
    made.on_delta(ASKS_TAKEN, 3 * SECOND)
    assert l2(made.on_delta(delta(121, 130, 120, bids=[("99.9", "4")]), 4 * SECOND)) == []
    [record] = l2(made.on_delta(delta(131, 140, 130, asks=[("100.4", "3")]), 5 * SECOND))

    assert (record.kind, record.sequence, record.epoch) == (Kind.SNAPSHOT, 140, made.epoch)
    assert (record.bid_known_ticks, record.ask_known_ticks) == (996, 1005)
    assert dict(zip(record.bid_ticks, record.bid_lots, strict=True))[999] == 4_000
    assert (record.ask_ticks[0], record.ask_lots[0]) == (1004, 3_000)
    assert (made.is_live, made.reason, made.needs_snapshot) == (True, None, None)
    assert (made.counters.deltas_applied, made.counters.deltas_dropped, made.waiting) == (4, 0, 0)


def test_a_snapshot_that_comes_first_begins_an_epoch_with_what_waited() -> None:
    made = live()
    made.on_delta(ASKS_TAKEN, 3 * SECOND)
    made.on_delta(delta(121, 130, 120, bids=[("99.9", "4")]), 4 * SECOND)
    before = made.epoch
    first, *rest = l2(made.on_snapshot(part(125, asks=[("100.7", "9"), ("100.8", "2")]), 5 * SECOND))

    assert (first.kind, first.sequence, first.ask_known_ticks) == (Kind.SNAPSHOT, 125, 1008)
    assert [(record.kind, record.sequence) for record in rest] == [(Kind.DELTA, 130)]
    assert made.is_live
    assert made.epoch > before
    assert made.counters.deltas_applied == 3


def test_a_gap_while_nobody_believes_the_book_ends_the_following_of_it() -> None:
    made = live()
    made.on_delta(ASKS_TAKEN, 3 * SECOND)
    assert l2(made.on_delta(delta(141, 150, 140, asks=[("100.4", "3")]), 4 * SECOND)) == []
    assert (made.is_live, made.reason, made.counters.gaps) == (False, Reason.GAP, 1)
    assert l2(made.on_delta(delta(151, 160, 150, asks=[("100.3", "3")]), 5 * SECOND)) == []
    assert not made.is_live


def test_a_lost_connection_ends_the_following_of_a_book() -> None:
    made = live()
    made.on_delta(ASKS_TAKEN, 3 * SECOND)
    made.feed.on_disconnect(4 * SECOND)
    made.feed.on_connect(5 * SECOND)
    assert l2(made.on_delta(delta(121, 130, 120, asks=[("100.4", "3")]), 6 * SECOND)) == []
    assert (made.is_live, made.reason) == (False, Reason.DISCONNECT)


# ---- a book beside the LIVE one


WIDE_BIDS = [(f"{100 - 0.1 * step:.1f}", "1") for step in range(60)]
WIDE_ASKS = [(f"{100 + 0.1 * step:.1f}", "1") for step in range(1, 61)]


def due(**options: object) -> InstrumentStream:
    """A stream that wants another book: 4 of 10 bps are known on a side, and half of those are gone."""
    made = live(known_bps=10.0, **options)
    assert not made.wants_book_beside(2 * SECOND)
    made.on_delta(
        delta(111, 120, 110, bids=[("100.2", "1"), ("100.3", "1")], asks=gone("100.1", "100.2", "100.3")), SECOND
    )
    assert not made.wants_book_beside(2 * SECOND + PACE_NS - 1)
    assert made.wants_book_beside(2 * SECOND + PACE_NS)
    return made


def now_book(asks: list[tuple[str, str]] = WIDE_ASKS[3:], sequence: int = 125) -> DepthSnapshot:
    return part(sequence, [("100.3", "1"), ("100.2", "1"), *WIDE_BIDS], asks)


def compared(made: InstrumentStream, book: DepthSnapshot, told: list[FeedStatus] | None = None) -> list[L2Record]:
    """What comes of a book at 125: one update before it, one that bridges it."""
    made.on_delta(delta(121, 122, 120), 20 * SECOND)
    assert l2(made.on_snapshot(book, 21 * SECOND)) == []
    records = made.on_delta(delta(123, 130, 122, asks=[("100.9", "7")]), 22 * SECOND)
    if told is not None:
        told += [record for record in records if isinstance(record, FeedStatus)]
    return l2(records)


def test_a_book_is_asked_for_once_and_again_after_a_while_without_an_answer() -> None:
    made = due()
    assert not made.wants_book_beside(2 * SECOND + PACE_NS + PATIENCE_NS)
    assert not made.wants_book_beside(3 * SECOND + PACE_NS + PATIENCE_NS)
    assert made.wants_book_beside(3 * SECOND + 2 * PACE_NS + PATIENCE_NS)


def test_a_book_is_asked_for_as_a_check_even_where_the_range_holds() -> None:
    made = live(known_bps=1.0)
    assert not made.wants_book_beside(2 * SECOND + CHECK_EVERY_NS - 1)
    assert made.wants_book_beside(2 * SECOND + CHECK_EVERY_NS)


def test_nothing_is_asked_for_where_the_range_is_whole_or_none_is_wanted() -> None:
    whole = stream(known_bps=10.0)
    whole.on_delta(delta(95, 110, 94), SECOND)
    whole.on_snapshot(snapshot(100), 2 * SECOND)
    assert not whole.wants_book_beside(10 * CHECK_EVERY_NS)
    assert not live().wants_book_beside(10 * CHECK_EVERY_NS)


def test_a_book_that_agrees_widens_what_is_known_and_the_chain_goes_on() -> None:
    made, told = due(), []
    update, widened = compared(made, now_book(), told)

    assert (update.kind, update.sequence) == (Kind.DELTA, 130)
    assert (widened.kind, widened.sequence, widened.epoch) == (Kind.SNAPSHOT, 130, update.epoch)
    assert (widened.bid_known_ticks, widened.ask_known_ticks) == (941, 1060)
    assert dict(zip(widened.ask_ticks, widened.ask_lots, strict=True))[1009] == 7_000
    assert len(widened.bid_ticks) == 62
    assert (made.is_live, made.counters.comparisons, made.counters.levels_wrong) == (True, 1, 0)
    assert made.counters.levels_compared == 7 + 2
    assert [(one.state, one.detail) for one in told] == [(FeedState.LIVE, "9 levels agree with the venue's own book")]
    [following] = l2(made.on_delta(delta(131, 140, 130), 23 * SECOND))
    assert following.previous_sequence == 130
    assert made.is_live


def test_what_the_live_book_knows_farther_is_kept() -> None:
    made = due()
    _, widened = compared(made, replace(now_book(), bids=[("100.3", "1"), ("100.2", "1"), ("100.0", "1")]))
    assert (widened.bid_known_ticks, widened.ask_known_ticks) == (996, 1060)
    assert len(widened.bid_ticks) == 7


def test_a_book_that_differs_where_both_are_known_shows_the_live_one_to_be_wrong() -> None:
    made, told = due(), []
    asks = [("100.4", "2"), *WIDE_ASKS[4:]]
    records = compared(made, now_book(asks), told)

    assert [(record.kind, record.reason) for record in records] == [
        (Kind.DELTA, None),
        (Kind.INVALID, Reason.SNAPSHOT_MISMATCH),
    ]
    assert (made.counters.levels_compared, made.counters.levels_wrong) == (9, 1)
    assert [one.detail for one in told] == ["1 of 9 levels differ from the venue's own book"]
    assert made.needs_snapshot is Reason.SNAPSHOT_MISMATCH


def test_a_book_too_old_for_the_kept_updates_is_discarded() -> None:
    made = due()
    made.on_delta(delta(121, 122, 120), 20 * SECOND)
    assert l2(made.on_snapshot(now_book(sequence=90), 21 * SECOND)) == []
    assert (made.is_live, made.counters.snapshots_discarded, made.counters.comparisons) == (True, 1, 0)


def test_a_book_that_nobody_asked_for_is_discarded() -> None:
    made = live()
    assert l2(made.on_snapshot(now_book(), 21 * SECOND)) == []
    assert made.counters.snapshots_discarded == 1


# ---- the venue's best quotes


def quote(sequence: int | None, ask_size: str = "1") -> BestQuote:
    return BestQuote("BTCUSDT", "100.0", "1", "100.1", ask_size, sequence)


@pytest.mark.parametrize("numbered", [True, False])
def test_three_contradictions_in_a_row_make_the_book_invalid(numbered: bool) -> None:
    made, records = live(), []
    for number in range(6):
        at, sequence = 2 * (number + 2) * SECOND, 120 + 10 * number
        records += l2(made.on_delta(delta(sequence - 9, sequence, sequence - 10), at))
        records += l2(made.on_quote(quote(sequence if numbered else None, "9"), at + SECOND // 2))
    invalid = [record for record in records if record.kind is Kind.INVALID]
    assert [record.reason for record in invalid] == [Reason.QUOTE_MISMATCH]
    assert made.counters.contradicted == 1
    assert made.needs_snapshot is Reason.QUOTE_MISMATCH


@pytest.mark.parametrize("numbered", [True, False])
def test_a_quote_that_agrees_in_between_is_the_end_of_a_row(numbered: bool) -> None:
    made = live()
    for number in range(12):
        at, sequence = 2 * (number + 2) * SECOND, 120 + 10 * number
        made.on_delta(delta(sequence - 9, sequence, sequence - 10), at)
        made.on_quote(quote(sequence if numbered else None, "1" if number % 3 == 2 else "9"), at + SECOND // 2)
    assert made.is_live
    assert made.counters.contradicted == 0


# ---- what one mend could break of another


def test_a_book_shown_to_be_wrong_is_not_published_again_by_a_routine_snapshot() -> None:
    made = live(known_bps=10.0)
    made.on_delta(delta(111, 120, 110, bids=[("99.95", "1")]), 3 * SECOND)  # a finer grid
    now = 2 * SECOND + CHECK_EVERY_NS
    assert made.wants_book_beside(now)
    made.on_snapshot(part(125, [("100.0", "7"), ("99.95", "1"), *NEAR[1:]]), now + SECOND)
    records = l2(made.on_delta(delta(121, 130, 120), now + 2 * SECOND))

    assert [record.kind for record in records] == [Kind.DELTA, Kind.INVALID]
    assert (made.is_live, made.needs_snapshot) == (False, Reason.SNAPSHOT_MISMATCH)


def test_a_book_that_went_beyond_while_it_was_bridged_is_followed_too() -> None:
    made = stream()
    made.on_delta(delta(95, 110, 94), SECOND)
    made.on_delta(ASKS_TAKEN, SECOND)
    made.on_delta(delta(121, 130, 120, asks=[("100.4", "3")]), SECOND)  # and is back
    made.on_delta(delta(131, 140, 130, bids=[("99.9", "6")]), SECOND)
    records = l2(made.on_snapshot(part(100), 2 * SECOND))

    kinds = [record.kind for record in records]
    assert kinds == [Kind.SNAPSHOT, Kind.DELTA, Kind.DELTA, Kind.INVALID, Kind.SNAPSHOT, Kind.DELTA]
    assert (made.is_live, made.reason, made.needs_snapshot) == (True, None, None)
    assert (made.counters.deltas_applied, made.counters.gaps, made.waiting) == (4, 0, 0)


def test_what_waits_is_counted_once_whichever_snapshot_it_bridges() -> None:
    made = live()
    made.on_delta(ASKS_TAKEN, 3 * SECOND)
    for number in range(5):
        first = 121 + 10 * number
        made.on_delta(delta(first, first + 9, first - 1), 4 * SECOND)
    assert made.counters.deltas_applied == 7
    made.on_snapshot(part(125, asks=[("100.8", "2"), ("100.9", "1")]), 5 * SECOND)
    assert made.is_live
    assert (made.counters.deltas_applied, made.counters.deltas_dropped) == (7, 0)


@pytest.mark.parametrize(
    "second",
    [
        replace(ASKS_TAKEN, exchange_ns=120_000_005),  # the other connection's copy, another time in it
        delta(131, 140, 130),  # one ahead
    ],
)
def test_a_hand_over_ends_no_following_of_a_book(second: DepthDelta) -> None:
    made = live()
    made.feed.on_overlap(2 * SECOND)
    made.on_delta(ASKS_TAKEN, 3 * SECOND)
    made.on_delta(second, 3 * SECOND + 1)
    records = l2(made.on_delta(delta(121, 130, 120, asks=[("100.4", "3")]), 4 * SECOND))

    assert (made.is_live, made.counters.gaps) == (True, 0)
    assert records[0].kind is Kind.SNAPSHOT
    assert made.tracked.sequence == (140 if second.last_sequence == 140 else 130)


def test_a_damaged_update_ends_the_following_of_a_book() -> None:
    made = live()
    made.on_delta(ASKS_TAKEN, 3 * SECOND)
    made.on_bad_input(4 * SECOND)
    assert l2(made.on_delta(delta(121, 130, 120, asks=[("100.4", "3")]), 5 * SECOND)) == []


def test_a_book_that_is_back_is_published_above_an_epoch_lifted_meanwhile() -> None:
    made = live()
    made.on_delta(ASKS_TAKEN, 3 * SECOND)
    lifted = made.epoch + 10**9
    made.on_resync_request(ResyncRequest("v", "s", Reason.GAP, lifted, 0, 1), 4 * SECOND, outdated=False)
    [record] = l2(made.on_delta(delta(121, 130, 120, asks=[("100.4", "3")]), 5 * SECOND))
    assert (record.kind, record.epoch) == (Kind.SNAPSHOT, lifted + 1)


def test_sizes_of_0_in_a_snapshot_know_nothing() -> None:
    made = stream()
    made.on_delta(delta(95, 110, 94), SECOND)
    first = l2(made.on_snapshot(part(100, bids=[("100.0", "0")]), 2 * SECOND))[0]
    assert (first.bid_known_ticks, first.ask_known_ticks) == (None, 1005)
    assert decode(encode(first)) == first


def test_a_range_that_ends_beyond_every_level_can_be_written_on_a_finer_grid() -> None:
    made = stream()
    made.on_delta(delta(95, 110, 94), SECOND)
    made.on_snapshot(part(100, asks=[("100.1", "1"), ("100000000000000000", "1")]), 2 * SECOND)
    made.on_delta(delta(111, 120, 110, asks=gone("100000000000000000")), 3 * SECOND)
    records = l2(made.on_delta(delta(121, 130, 120, bids=[("99.95", "1")]), 4 * SECOND))
    assert [decode(encode(record)) for record in records] == records
    assert made.is_live


@pytest.mark.parametrize(("given", "left", "is_due"), [(12.0, 9.7, True), (11.0, 9.0, True), (11.0, 10.8, False)])
def test_within_the_wanted_range_a_small_gain_is_worth_a_request(given: float, left: float, is_due: bool) -> None:
    beside = BookBeside(BinanceFuturesRule(), 10.0)
    beside.widened(tracked(given), SECOND)
    assert beside.is_due(tracked(left), 2 * SECOND + PACE_NS) is is_due


def tracked(known_bps: float) -> TrackedBook:
    """A book about 100,000.0 that is known so far on both sides."""
    book, far = TrackedBook(), round(known_bps * 100)
    book.book.replace([999_999], [1], [1_000_001], [1])
    book.known = Known(Coverage.RANGE, 1_000_000 - far, 1_000_000 + far)
    return book


def test_ids_begun_anew_contradict_nothing_and_leave_the_flow_known() -> None:
    made = live()
    made.on_quote(quote(1_000_000), 3 * SECOND)
    made.on_delta(delta(1, 10, 0, at=10**15), 10 * SECOND)
    made.on_snapshot(part(5), 11 * SECOND)
    flows = []
    for number in range(10):
        at, sequence = 12 * SECOND + number, 20 + 10 * number
        update = delta(sequence - 9, sequence, sequence - 10, bids=[("100.0", str(number + 2))], at=10**15 + number)
        flows += [record.quote_flow_lots for record in l2(made.on_delta(update, at))]
        made.on_quote(BestQuote("BTCUSDT", "100.0", str(number + 2), "100.1", "1", sequence), at)
    assert (made.is_live, made.counters.contradicted) == (True, 0)
    assert flows == [None, None, *[1_000] * 8]


def test_a_refused_quote_is_a_hole_and_contradicts_nothing() -> None:
    made = live()
    made.on_quote(quote(105), 3 * SECOND)
    made.on_delta(delta(111, 120, 110), 3 * SECOND)
    with pytest.raises(InvalidNumber):
        made.on_quote(quote(122, "3e0"), 3 * SECOND)
    made.on_quote(quote(123, "5"), 3 * SECOND)
    flows = []
    for number in range(6):
        first = 121 + 10 * number
        size = [("100.1", "5")] if number == 0 else []
        flows += [
            one.quote_flow_lots for one in l2(made.on_delta(delta(first, first + 9, first - 1, asks=size), 4 * SECOND))
        ]
        made.on_quote(quote(first + 9, "5"), 4 * SECOND)
    assert flows == [None, *[0] * 5]
    assert made.is_live
