"""One instrument's producer side, rule by rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from obflow.kafka import MAX_RECORD_BYTES
from producers.books import kept
from producers.books.stream import InstrumentStream
from producers.books.trades import MAX_PENDING_TRADES
from producers.contract import Checksum
from producers.exchanges.binance.rules import BinanceFuturesRule
from producers.messages import BestQuote, DepthSnapshot, SnapshotOrigin
from schemas.codec import decode, encode
from schemas.errors import FrameTooLarge, InvalidNumber
from schemas.messages import DeadLetter, FeedState, FeedStatus, Kind, Reason, ResyncRequest
from tests.producers.messages import (
    BTC,
    SECOND,
    Pairs,
    delta,
    fork,
    kinds,
    l2,
    largest_record,
    live_stream,
    snapshot,
    states,
    stream,
    trade,
    trades,
)

INVALID, DELTA, SNAPSHOT = Kind.INVALID, Kind.DELTA, Kind.SNAPSHOT


class TestStart:
    def test_a_snapshot_is_wanted_only_once_an_update_came_that_it_could_be_bridged_by(self) -> None:
        fresh = stream()
        assert fresh.needs_snapshot is None

        records = fresh.on_delta(delta(95, 110, 94), SECOND)

        assert fresh.needs_snapshot is Reason.RESTART
        assert states(records) == [(FeedState.AWAITING_SNAPSHOT, None)]
        assert kinds(records) == []

    def test_the_snapshot_goes_first_with_its_own_time_and_what_waited_is_lifted_to_it(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(80, 94, 79), SECOND)
        fresh.on_delta(delta(95, 110, 94, bids=[("99.9", "2")]), SECOND)
        fresh.on_delta(delta(111, 120, 110), SECOND + 1)

        records = fresh.on_snapshot(snapshot(100), 2 * SECOND)

        assert kinds(records) == [(SNAPSHOT, 100, None), (DELTA, 110, None), (DELTA, 120, None)]
        assert [record.received_ns for record in l2(records)] == [2 * SECOND] * 3
        assert [record.previous_sequence for record in l2(records)] == [None, 100, 110]
        assert fresh.counters.deltas_dropped == 1
        assert fresh.needs_snapshot is None

    def test_a_snapshot_is_held_until_an_update_bridges_it_and_keeps_its_own_time(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(80, 94, 79), SECOND)
        assert kinds(fresh.on_snapshot(snapshot(100), 2 * SECOND)) == []
        assert kinds(fresh.on_delta(delta(95, 99, 94), 3 * SECOND)) == []
        assert fresh.needs_snapshot is None

        records = fresh.on_delta(delta(100, 110, 99), 4 * SECOND)

        assert [(record.kind, record.received_ns) for record in l2(records)] == [
            (SNAPSHOT, 2 * SECOND),
            (DELTA, 4 * SECOND),
        ]
        assert fresh.counters.deltas_dropped == 2

    def test_a_snapshot_that_no_update_can_bridge_is_discarded_and_another_one_wanted(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(105, 110, 104), SECOND)

        records = fresh.on_snapshot(snapshot(100), 2 * SECOND)

        assert kinds(records) == []
        assert states(records) == [(FeedState.AWAITING_SNAPSHOT, Reason.NO_BRIDGE)]
        assert fresh.needs_snapshot is Reason.NO_BRIDGE
        assert kinds(fresh.on_snapshot(snapshot(107), 3 * SECOND)) == [(SNAPSHOT, 107, None), (DELTA, 110, None)]
        assert fresh.counters.snapshots_discarded == 1

    def test_an_older_snapshot_does_not_replace_the_one_held(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(80, 94, 79), SECOND)
        fresh.on_snapshot(snapshot(100), 2 * SECOND)
        fresh.on_snapshot(snapshot(90), 3 * SECOND)

        assert kinds(fresh.on_delta(delta(95, 105, 94), 4 * SECOND))[0] == (SNAPSHOT, 100, None)

    def test_an_update_id_may_repeat_the_snapshots(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(95, 100, 94), SECOND)
        records = fresh.on_snapshot(snapshot(100), SECOND)
        assert [(record.previous_sequence, record.sequence) for record in l2(records)] == [(None, 100), (100, 100)]

        assert kinds(fresh.on_delta(delta(95, 100, 94), SECOND)) == []
        assert fresh.counters.duplicates == 1
        assert kinds(fresh.on_delta(delta(101, 105, 100), SECOND)) == [(DELTA, 105, None)]

    def test_a_snapshot_for_a_live_book_is_not_needed(self) -> None:
        live = live_stream()
        assert live.on_snapshot(snapshot(200), 3 * SECOND) == []
        assert (live.counters.snapshots, live.counters.snapshots_discarded) == (1, 1)


class TestGap:
    def test_a_gap_is_published_once_and_nothing_follows_until_the_next_snapshot(self) -> None:
        live = live_stream()

        records = live.on_delta(delta(121, 130, 120), 3 * SECOND)
        assert kinds(records) == [(INVALID, 110, Reason.GAP)]
        assert states(records) == [(FeedState.INVALID, Reason.GAP)]
        assert live.needs_snapshot is Reason.GAP
        assert l2(records)[0].epoch == live.epoch

        assert live.on_delta(delta(131, 140, 130), 4 * SECOND) == []
        assert live.waiting == 2

        before = live.epoch
        records = live.on_snapshot(snapshot(125), 5 * SECOND)
        assert kinds(records) == [(SNAPSHOT, 125, None), (DELTA, 130, None), (DELTA, 140, None)]
        assert l2(records)[0].epoch == live.epoch > before
        assert states(records) == [(FeedState.LIVE, None)]

    def test_a_gap_among_what_waited_invalidates_again_and_keeps_the_rest_in_order(self) -> None:
        live = live_stream()
        live.on_delta(delta(121, 130, 120), 3 * SECOND)
        live.on_delta(delta(141, 150, 140), 4 * SECOND)
        live.on_delta(delta(151, 160, 150), 5 * SECOND)

        records = live.on_snapshot(snapshot(125), 6 * SECOND)
        assert kinds(records) == [(SNAPSHOT, 125, None), (DELTA, 130, None), (INVALID, 130, Reason.GAP)]
        assert live.counters.gaps == 2

        records = live.on_snapshot(snapshot(145), 7 * SECOND)
        assert kinds(records) == [(SNAPSHOT, 145, None), (DELTA, 150, None), (DELTA, 160, None)]

    def test_what_waits_is_bounded_and_the_oldest_give_way(self) -> None:
        live = live_stream(delta_buffer=3)
        for number in range(12, 18):
            live.on_delta(delta(number * 10 + 1, number * 10 + 10, number * 10), 3 * SECOND)

        assert (live.waiting, live.counters.deltas_dropped) == (3, 3)
        assert kinds(live.on_snapshot(snapshot(155), 4 * SECOND))[0] == (SNAPSHOT, 155, None)

    def test_a_repeated_update_is_counted_and_ignored(self) -> None:
        live = live_stream()
        assert live.on_delta(delta(95, 110, 94), 3 * SECOND) == []
        assert (live.counters.duplicates, live.counters.gaps) == (1, 0)


class TestTrades:
    def test_a_trade_goes_out_at_once_and_with_the_next_update(self) -> None:
        live = live_stream()

        records = live.on_trade(trade("100.1", "0.5"), 3 * SECOND)
        assert [(record.price_ticks, record.size_lots) for record in trades(records)] == [(1001, 500)]
        live.on_trade(trade("100.0", "0.25", buyer=False), 3 * SECOND)

        update = l2(live.on_delta(delta(111, 120, 110), 4 * SECOND))[0]
        assert (update.trade_ticks, update.trade_lots) == ([1001, 1000], [500, -250])
        assert l2(live.on_delta(delta(121, 130, 120), 5 * SECOND))[0].trade_ticks == []

    def test_trades_before_the_book_is_live_are_trades_alone(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(95, 110, 94), SECOND)
        assert len(trades(fresh.on_trade(trade(), SECOND))) == 1

        assert [record.trade_ticks for record in l2(fresh.on_snapshot(snapshot(100), 2 * SECOND))] == [[], []]

    def test_an_invalid_drops_the_pending_trades_from_the_books_side(self) -> None:
        live = live_stream()
        live.on_trade(trade(), 3 * SECOND)
        live.on_delta(delta(121, 130, 120), 3 * SECOND)

        assert all(not record.trade_ticks for record in l2(live.on_snapshot(snapshot(125), 4 * SECOND)))

    def test_a_routine_snapshot_neither_carries_nor_consumes_trades(self) -> None:
        live = live_stream()
        live.on_trade(trade(), 3 * SECOND)
        request = ResyncRequest("binance-futures", "BTCUSDT", Reason.GAP, live.epoch, 0, 9)
        answer = l2(live.on_resync_request(request, 3 * SECOND, outdated=False))

        assert [(record.kind, record.trade_ticks) for record in answer] == [(SNAPSHOT, [])]
        assert l2(live.on_delta(delta(111, 120, 110), 4 * SECOND))[0].trade_ticks == [1000]

    def test_trades_without_any_depth_are_an_overload_in_the_open(self) -> None:
        live = live_stream()
        for number in range(MAX_PENDING_TRADES):
            assert kinds(live.on_trade(trade(number=number), 3 * SECOND)) == []

        records = live.on_trade(trade(), 3 * SECOND)

        assert kinds(records) == [(INVALID, 110, Reason.OVERLOAD)]
        assert len(trades(records)) == 1


class TestSnapshotsAndEpochs:
    def test_a_routine_snapshot_follows_the_update_past_the_mark_and_changes_nothing(self) -> None:
        live = live_stream(routine_snapshot_ns=60 * SECOND)
        assert kinds(live.on_delta(delta(111, 120, 110), 62 * SECOND - 1)) == [(DELTA, 120, None)]

        records = l2(live.on_delta(delta(121, 130, 120, bids=[("99.5", "2")]), 62 * SECOND))

        assert kinds(records) == [(DELTA, 130, None), (SNAPSHOT, 130, None)]
        assert records[0].epoch == records[1].epoch == live.epoch
        assert records[1].bid_ticks == [1000, 995]
        assert records[1].exchange_ns == records[0].exchange_ns
        assert kinds(live.on_delta(delta(131, 140, 130), 63 * SECOND)) == [(DELTA, 140, None)]

    def test_a_live_epoch_is_the_clock_in_ms_and_always_rises(self) -> None:
        live = live_stream()
        assert live.epoch == 2_000
        live.on_delta(delta(121, 130, 120), 2 * SECOND)
        live.on_snapshot(snapshot(125), 2 * SECOND)
        assert live.epoch == 2_001

    def test_a_replays_epochs_start_where_it_was_told(self) -> None:
        live = live_stream(epoch_floor=1_800_000_000_000)
        assert live.epoch == 1_800_000_000_000
        live.on_delta(delta(121, 130, 120), 3 * SECOND)
        live.on_snapshot(snapshot(125), 4 * SECOND)
        assert live.epoch == 1_800_000_000_001

    def test_received_time_never_falls(self) -> None:
        live = live_stream()
        record = l2(live.on_delta(delta(111, 120, 110), SECOND))[0]
        assert record.received_ns == 2 * SECOND
        assert trades(live.on_trade(trade(), SECOND))[0].received_ns == 2 * SECOND


class TestResync:
    def request(self, epoch: int) -> ResyncRequest:
        return ResyncRequest("binance-futures", "BTCUSDT", Reason.GAP, epoch, 0, 9)

    def test_a_live_book_answers_from_memory_with_the_same_epoch(self) -> None:
        live = live_stream()
        epoch = live.epoch

        records = l2(live.on_resync_request(self.request(epoch), 3 * SECOND, outdated=False))

        assert kinds(records) == [(SNAPSHOT, 110, None)]
        assert (records[0].epoch, records[0].received_ns) == (epoch, 3 * SECOND)
        assert live.counters.resyncs_answered == 1

    def test_a_request_older_than_the_last_snapshot_is_answered_already(self) -> None:
        live = live_stream()
        assert live.on_resync_request(self.request(live.epoch), 3 * SECOND, outdated=True) == []
        assert live.counters.resyncs_outdated == 1

    def test_a_reader_of_a_higher_epoch_lifts_ours_above_it(self) -> None:
        live = live_stream()
        records = l2(live.on_resync_request(self.request(live.epoch + 500), 3 * SECOND, outdated=True))

        assert kinds(records) == [(SNAPSHOT, 110, None)]
        assert records[0].epoch == live.epoch == 3_000
        assert kinds(live.on_delta(delta(111, 120, 110), 3 * SECOND)) == [(DELTA, 120, None)]

    def test_a_book_that_is_not_live_is_fetched_anyway_and_its_epoch_will_be_higher(self) -> None:
        live = live_stream()
        live.on_delta(delta(121, 130, 120), 3 * SECOND)
        assert kinds(live.on_resync_request(self.request(90_000), 3 * SECOND, outdated=False)) == []
        assert live.needs_snapshot is Reason.GAP

        live.on_snapshot(snapshot(125), 4 * SECOND)
        assert live.epoch == 90_001


class TestConnection:
    def test_a_disconnect_invalidates_and_forgets_what_waited(self) -> None:
        live = live_stream()
        records = live.feed.on_disconnect(3 * SECOND)
        assert kinds(records) == [(INVALID, 110, Reason.DISCONNECT)]
        assert states(records)[-1] == (FeedState.DISCONNECTED, Reason.DISCONNECT)
        assert live.needs_snapshot is None

        records = live.feed.on_connect(4 * SECOND)
        assert states(records) == [(FeedState.INVALID, Reason.DISCONNECT)]
        assert live.needs_snapshot is None

        live.on_delta(delta(121, 130, 120), 5 * SECOND)
        assert live.needs_snapshot is Reason.DISCONNECT
        assert kinds(live.on_snapshot(snapshot(125), 6 * SECOND))[0] == (SNAPSHOT, 125, None)

    def test_a_disconnect_while_waiting_counts_what_is_lost(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(80, 94, 79), SECOND)
        fresh.on_snapshot(snapshot(100), 2 * SECOND)
        fresh.on_delta(delta(95, 99, 94), 2 * SECOND)
        records = fresh.feed.on_disconnect(3 * SECOND)

        assert kinds(records) == []
        assert (fresh.counters.snapshots_discarded, fresh.counters.deltas_dropped) == (1, 2)
        assert fresh.reason is Reason.DISCONNECT

    def test_a_late_answer_over_rest_is_no_sign_of_a_connection(self) -> None:
        live = live_stream()
        live.feed.on_disconnect(3 * SECOND)
        assert live.on_snapshot(snapshot(200), 4 * SECOND) == []
        assert live.feed.state is FeedState.DISCONNECTED

    def test_a_connection_without_a_disconnect_before_it_was_lost_unseen(self) -> None:
        assert kinds(live_stream().feed.on_connect(3 * SECOND)) == [(INVALID, 110, Reason.DISCONNECT)]

    def test_the_first_connection_loses_nothing(self) -> None:
        assert states(stream().feed.on_connect(SECOND)) == [(FeedState.AWAITING_SNAPSHOT, None)]

    def test_silence_is_stale_and_a_message_ends_it(self) -> None:
        live = live_stream(stale_ns=30 * SECOND)

        alive = live.feed.on_heartbeat(3 * SECOND)
        assert [record.heartbeat for record in alive if hasattr(record, "heartbeat")] == [True]
        assert states(live.feed.on_heartbeat(33 * SECOND)) == [(FeedState.STALE, None)]
        assert states(live.on_delta(delta(111, 120, 110), 34 * SECOND)) == [(FeedState.LIVE, None)]

    def test_a_book_whose_depth_is_silent_is_stale_though_trades_and_quotes_still_come(self) -> None:
        live = live_stream(stale_ns=30 * SECOND)
        told: list[object] = []
        for second in range(3, 40):
            told += live.on_trade(trade(number=second), second * SECOND)
            told += live.on_quote(BestQuote("BTCUSDT", "100.0", "1", "100.1", "1"), second * SECOND)
            told += [
                record for record in live.feed.on_heartbeat(second * SECOND) if not getattr(record, "heartbeat", True)
            ]

        assert states(told) == [(FeedState.STALE, None)]
        assert [record.detail for record in told if isinstance(record, FeedStatus)] == ["no depth update for 31 s"]
        assert live.is_live, "its book is what it was; how old it is, its readers are told"
        assert states(live.on_delta(delta(111, 120, 110), 40 * SECOND)) == [(FeedState.LIVE, None)]

    def test_a_feed_is_connecting_until_its_first_connection_stands(self) -> None:
        fresh = stream()
        assert states(fresh.feed.on_heartbeat(SECOND)) == [(FeedState.CONNECTING, None)]
        assert states(fresh.feed.on_connect(2 * SECOND)) == [(FeedState.AWAITING_SNAPSHOT, None)]
        assert states(fresh.feed.on_disconnect(3 * SECOND)) == [(FeedState.DISCONNECTED, Reason.DISCONNECT)]

    def test_a_stopped_feed_says_so(self) -> None:
        assert states(live_stream().feed.on_stop(3 * SECOND)) == [(FeedState.STOPPED, None)]

    def test_an_overload_is_shed_in_the_open(self) -> None:
        live = live_stream()
        assert kinds(live.on_overload(3 * SECOND)) == [(INVALID, 110, Reason.OVERLOAD)]
        assert live.needs_snapshot is Reason.OVERLOAD
        assert live.on_overload(3 * SECOND) == []


class TestCrossed:
    def test_a_book_that_stays_crossed_is_invalidated_after_the_update_that_shows_it(self) -> None:
        live = live_stream()
        assert kinds(live.on_delta(delta(111, 111, 110, bids=[("100.2", "1")]), 2 * SECOND)) == [(DELTA, 111, None)]
        live.on_delta(delta(112, 112, 111), 2 * SECOND)
        live.on_delta(delta(113, 113, 112), 2 * SECOND)

        records = live.on_delta(delta(114, 114, 113), 2 * SECOND)

        assert kinds(records) == [(DELTA, 114, None), (INVALID, 114, Reason.CROSSED)]
        assert live.needs_snapshot is Reason.CROSSED
        assert live.counters.crossed == 4

    def test_a_cross_that_resolves_is_only_counted(self) -> None:
        live = live_stream()
        live.on_delta(delta(111, 111, 110, bids=[("100.2", "1")]), 2 * SECOND)
        live.on_delta(delta(112, 112, 111, bids=[("100.2", "0")]), 2 * SECOND)

        assert live.is_live
        assert live.counters.crossed == 1


class TestRegrid:
    def test_a_finer_level_moves_the_book_to_a_finer_grid_before_it_is_applied(self) -> None:
        live = live_stream()
        live.on_trade(trade("100.0", "0.5"), 3 * SECOND)
        before = live.epoch

        records = l2(live.on_delta(delta(111, 120, 110, bids=[("99.95", "2")]), 3 * SECOND))

        assert kinds(records) == [(SNAPSHOT, 110, None), (DELTA, 120, None)]
        assert [(record.tick_size, record.lot_size) for record in records] == [("0.01", "0.001")] * 2
        assert records[0].epoch == records[1].epoch > before
        assert (records[0].bid_ticks, records[0].ask_ticks) == ([10000], [10010])
        assert (records[1].bid_ticks, records[1].trade_ticks) == ([9995], [10000])
        assert (live.counters.deltas_applied, live.counters.snapshots, live.counters.regrids) == (2, 1, 1)

    @pytest.mark.parametrize(
        ("price", "size", "exact"),
        [
            ("100.05", "0.00001", ("0.01", "0.00001", 10005, 1)),
            ("100.00000000000001", "0.5", ("0.00000000000001", "0.001", 10_000_000_000_000_001, 500)),
            ("100.0", "0.000000000000000001", ("0.1", "0.000000000000000001", 1000, 1)),
        ],
    )
    def test_a_finer_trade_is_exact_on_its_own_grid_and_moves_no_book(
        self, price: str, size: str, exact: tuple[object, ...]
    ) -> None:
        live = live_stream()
        live.on_trade(trade("100.0", "0.25"), 3 * SECOND)
        before = live.epoch

        records = live.on_trade(trade(price, size), 3 * SECOND)

        found = trades(records)[0]
        assert kinds(records) == []
        assert (found.tick_size, found.lot_size, found.price_ticks, found.size_lots) == exact
        update = l2(live.on_delta(delta(111, 120, 110), 4 * SECOND))[0]
        assert (update.epoch, update.tick_size, update.lot_size) == (before, "0.1", "0.001")
        assert (update.trade_ticks, update.trade_lots) == ([1000], [250])
        assert (live.counters.trades, live.counters.trades_off_grid) == (2, 1)

    def test_a_trade_that_no_grid_holds_is_refused_and_changes_nothing(self) -> None:
        live = live_stream()
        with pytest.raises(InvalidNumber):
            live.on_trade(trade("61800.00000000000000001"), 3 * SECOND)

        assert kinds(live.on_delta(delta(111, 120, 110), 4 * SECOND)) == [(DELTA, 120, None)]
        assert (live.counters.trades, live.counters.trades_off_grid) == (0, 0)

    def test_a_pending_trade_that_cannot_follow_to_a_finer_grid_does_not_stop_the_book(self) -> None:
        live = live_stream()
        live.on_trade(trade("900000000000000000"), 3 * SECOND)
        live.on_trade(trade("100.0", "0.25"), 3 * SECOND)

        records = l2(live.on_delta(delta(111, 120, 110, bids=[("99.95", "2")]), 3 * SECOND))

        assert kinds(records) == [(SNAPSHOT, 110, None), (DELTA, 120, None)]
        assert (records[1].trade_ticks, records[1].trade_lots) == ([10000], [250])
        assert live.counters.trades_off_grid == 1
        live.on_trade(trade("900000000000000000"), 3 * SECOND)
        assert kinds(live.on_delta(delta(121, 130, 120), 3 * SECOND)) == [(DELTA, 130, None)]
        assert (live.counters.trades, live.counters.trades_off_grid) == (3, 2)

    def test_a_quote_that_was_read_before_the_grid_became_finer_refuses_no_update(self) -> None:
        live = live_stream()
        live.on_quote(BestQuote("BTCUSDT", "900000000000000000", "1", "900000000000000001", "1", 115), 3 * SECOND)
        live.on_quote(BestQuote("BTCUSDT", "100.0", "1", "100.1", "1", 116), 3 * SECOND)

        records = live.on_delta(delta(111, 115, 110, bids=[("99.95", "2")]), 3 * SECOND)

        assert kinds(records) == [(SNAPSHOT, 110, None), (DELTA, 115, None)]
        assert (live.quotes.checked, live.quotes.wrong) == (1, 1)

    def test_a_finer_trade_before_the_book_is_live_is_exact_and_moves_nothing(self) -> None:
        fresh = stream()
        found = trades(fresh.on_trade(trade("100.05"), SECOND))[0]
        assert (found.tick_size, found.price_ticks) == ("0.01", 10005)

        fresh.on_delta(delta(95, 110, 94), SECOND)
        assert l2(fresh.on_snapshot(snapshot(100), SECOND))[0].tick_size == "0.1"

    def test_a_level_whose_grid_would_leave_no_room_above_the_book_is_refused(self) -> None:
        live = live_stream()
        for price, size in (("99.00000000000001", "1"), ("99.0", "0.00000000000000001")):
            with pytest.raises(InvalidNumber, match="leave no room"):
                live.on_delta(delta(111, 120, 110, bids=[(price, size)]), 3 * SECOND)

        assert l2(live.on_delta(delta(111, 120, 110), 3 * SECOND))[0].tick_size == "0.1"
        assert live.counters.regrids == 0

    def test_a_resync_returns_to_the_listed_grid(self) -> None:
        live = live_stream()
        finer = l2(live.on_delta(delta(111, 120, 110, bids=[("99.9999", "0.00001")]), 3 * SECOND))
        lost = l2(live.on_delta(delta(131, 140, 130), 3 * SECOND))
        assert [(record.tick_size, record.lot_size) for record in [*finer, *lost]] == [("0.0001", "0.00001")] * 3

        records = l2(live.on_snapshot(snapshot(135), 4 * SECOND))

        assert kinds(records) == [(SNAPSHOT, 135, None), (DELTA, 140, None)]
        assert {(record.tick_size, record.lot_size) for record in records} == {("0.1", "0.001")}
        assert trades(live.on_trade(trade(), 4 * SECOND))[0].tick_size == "0.1"

    def test_a_finer_snapshot_sets_the_grid(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(95, 110, 94), SECOND)
        records = l2(fresh.on_snapshot(snapshot(100, bids=[("99.95", "1")]), SECOND))
        assert [record.tick_size for record in records] == ["0.01", "0.01"]
        assert fresh.counters.regrids == 0

    def test_a_number_the_book_cannot_follow_within_int64_is_refused_and_changes_nothing(self) -> None:
        live = live_stream()
        live.on_delta(delta(111, 120, 110, asks=[("900000000000000", "1")]), 3 * SECOND)
        with pytest.raises(InvalidNumber):
            live.on_delta(delta(121, 130, 120, bids=[("0.0000000001", "1")]), 3 * SECOND)

        assert live.is_live
        assert kinds(live.on_delta(delta(121, 130, 120), 3 * SECOND)) == [(DELTA, 130, None)]

    def test_the_same_among_what_waited_invalidates_the_book_and_is_counted(self) -> None:
        fresh = stream()
        fresh.on_delta(delta(95, 110, 94), SECOND)
        fresh.on_delta(delta(111, 120, 110, bids=[("0.0000000001", "1")]), SECOND)
        fresh.on_delta(delta(121, 130, 120), SECOND)

        records = fresh.on_snapshot(snapshot(100, asks=[("900000000000000", "1")]), 2 * SECOND)

        assert kinds(records) == [(SNAPSHOT, 100, None), (DELTA, 110, None), (INVALID, 110, Reason.BAD_INPUT)]
        assert (fresh.counters.deltas_refused, fresh.waiting) == (1, 1)
        (letter,) = [record for record in records if isinstance(record, DeadLetter)]
        assert (letter.reason, letter.symbol, letter.received_ns) == ("InvalidNumber", "BTCUSDT", SECOND)
        assert b'"first_sequence":111,"last_sequence":120,"bids":[["0.0000000001","1"]]' in letter.payload
        assert decode(encode(letter)) == letter


def in_stream(sequence: int, bids: Pairs = (("100.0", "1"),), asks: Pairs = (("100.1", "1"),)) -> DepthSnapshot:
    """A whole book as some venues send it among their updates."""
    return replace(snapshot(sequence, bids, asks), origin=SnapshotOrigin.IN_STREAM)


class TestInStream:
    def test_a_book_in_the_stream_is_live_at_once_and_the_next_update_follows_it(self) -> None:
        fresh = stream()
        records = fresh.on_snapshot(in_stream(100), SECOND)

        assert kinds(records) == [(SNAPSHOT, 100, None)]
        assert states(records) == [(FeedState.LIVE, None)]
        assert fresh.needs_snapshot is None
        assert kinds(fresh.on_delta(delta(101, 110, 100), 2 * SECOND)) == [(DELTA, 110, None)]

    def test_it_replaces_a_live_book_in_a_new_epoch_and_its_ids_may_begin_anew(self) -> None:
        live = live_stream()
        live.on_trade(trade(), 3 * SECOND)
        before = live.epoch

        records = live.on_snapshot(in_stream(1, bids=[("99.0", "2")]), 3 * SECOND)

        assert kinds(records) == [(SNAPSHOT, 1, None)]
        assert l2(records)[0].epoch == live.epoch > before
        assert live.book.arrays() == ([990], [2000], [1001], [1000])
        assert live.counters.snapshots == 2
        update = l2(live.on_delta(delta(2, 5, 1), 4 * SECOND))[0]
        assert (update.previous_sequence, update.trade_ticks) == (1, [1000]), "a snapshot consumes no trades"

    def test_it_ends_the_wait_for_another_one_and_what_waited_is_in_it(self) -> None:
        live = live_stream()
        live.on_delta(delta(121, 130, 120), 3 * SECOND)
        assert live.needs_snapshot is Reason.GAP

        records = live.on_snapshot(in_stream(140), 4 * SECOND)

        assert kinds(records) == [(SNAPSHOT, 140, None)]
        assert (live.needs_snapshot, live.waiting, live.counters.deltas_dropped) == (None, 0, 1)
        assert live.is_live

    def test_after_a_lost_connection_it_is_the_first_thing_a_new_one_brings(self) -> None:
        live = live_stream()
        live.feed.on_disconnect(3 * SECOND)
        live.feed.on_connect(4 * SECOND)
        assert live.needs_snapshot is None, "it comes by itself"

        assert states(live.on_snapshot(in_stream(1), 5 * SECOND)) == [(FeedState.LIVE, None)]

    def test_one_on_another_grid_leaves_pending_trades_to_their_own_records(self) -> None:
        live = live_stream()
        live.on_trade(trade(), 3 * SECOND)
        live.on_snapshot(in_stream(200, bids=[("99.95", "1")]), 3 * SECOND)

        assert live.counters.trades_off_grid == 1
        assert l2(live.on_delta(delta(201, 210, 200), 4 * SECOND))[0].trade_ticks == []

    def test_a_bad_one_raises_and_changes_nothing(self) -> None:
        live = live_stream()
        with pytest.raises(InvalidNumber):
            live.on_snapshot(in_stream(200, bids=[("NaN", "1")]), 3 * SECOND)
        assert kinds(live.on_delta(delta(111, 120, 110), 3 * SECOND)) == [(DELTA, 120, None)]


class TestChecksum:
    """A venue that sums up its book: here the number of levels it covers, and their prices."""

    def live(self) -> InstrumentStream:
        checksum = Checksum(2, lambda bids, asks: sum(int(float(price) * 10) for price, _ in (*bids, *asks)))
        made = InstrumentStream(BTC, BinanceFuturesRule(), None, checksum)
        made.on_snapshot(replace(in_stream(100), checksum=1000 + 1001), SECOND)
        return made

    def test_each_one_that_holds_is_counted(self) -> None:
        live = self.live()
        levels = [("99.9", "2"), ("99.8", "1")]
        records = live.on_delta(replace(delta(101, 110, 100, bids=levels), checksum=1000 + 999 + 1001), SECOND)

        assert kinds(records) == [(DELTA, 110, None)]
        assert (live.counters.checksums_ok, live.counters.checksums_bad) == (2, 0)

    def test_one_that_does_not_makes_the_book_invalid_right_after_the_update(self) -> None:
        live = self.live()
        records = live.on_delta(replace(delta(101, 110, 100), checksum=7), SECOND)

        assert kinds(records) == [(DELTA, 110, None), (INVALID, 110, Reason.CHECKSUM)]
        assert live.needs_snapshot is Reason.CHECKSUM
        assert (live.counters.checksums_ok, live.counters.checksums_bad) == (1, 1)

    def test_a_whole_book_is_checked_too(self) -> None:
        live = self.live()
        records = live.on_snapshot(replace(in_stream(200), checksum=7), SECOND)
        assert kinds(records) == [(SNAPSHOT, 200, None), (INVALID, 200, Reason.CHECKSUM)]

    def test_an_update_without_one_is_not_checked(self) -> None:
        live = self.live()
        assert kinds(live.on_delta(delta(101, 110, 100), SECOND)) == [(DELTA, 110, None)]
        assert live.counters.checksums_ok == 1


class TestBadInput:
    @pytest.mark.parametrize("bad", ["NaN", "-1", "1e5", "99999999999999999999", "inf", ""])
    def test_a_bad_number_raises_and_changes_nothing(self, bad: str) -> None:
        live = live_stream()
        attempts: list[Callable[[], object]] = [
            lambda: live.on_delta(delta(111, 120, 110, bids=[("1", bad)]), 3 * SECOND),
            lambda: live.on_delta(delta(111, 120, 110, asks=[(bad, "1")]), 3 * SECOND),
            lambda: live.on_snapshot(snapshot(200, bids=[(bad, "1")]), 3 * SECOND),
            lambda: live.on_trade(trade(bad), 3 * SECOND),
            lambda: live.on_trade(trade("1", bad), 3 * SECOND),
            lambda: live.on_quote(BestQuote("BTCUSDT", "1", "1", "1", bad, 1), 3 * SECOND),
        ]
        for attempt in attempts:
            with pytest.raises(InvalidNumber):
                attempt()

        assert kinds(live.on_delta(delta(111, 120, 110), 3 * SECOND)) == [(DELTA, 120, None)]

    def test_a_lost_update_invalidates_a_live_book_and_no_other(self) -> None:
        live = live_stream()
        assert kinds(live.on_bad_input(3 * SECOND, "why")) == [(INVALID, 110, Reason.BAD_INPUT)]
        assert live.needs_snapshot is Reason.BAD_INPUT
        assert live.on_bad_input(3 * SECOND) == []


class TestTooLarge:
    """The broker takes records up to a bound: none may be larger, and whatever would be must not end the producer."""

    def levels(self, count: int) -> list[tuple[str, str]]:
        return [(f"{number}.0", "1") for number in range(1, count + 1)]

    def test_the_largest_record_is_one_the_broker_takes(self) -> None:
        # Key, headers and what Kafka puts around a record are within the kilobyte left.
        assert len(encode(largest_record())) < MAX_RECORD_BYTES - 1024

    def test_a_message_of_more_levels_than_a_record_holds_is_refused_whole(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kept, "MAX_LEVELS", 5)
        live = live_stream()
        with pytest.raises(FrameTooLarge, match="a message of 6 levels; a record holds 5"):
            live.on_delta(delta(111, 120, 110, bids=self.levels(4), asks=[("101", "1"), ("102", "1")]), 3 * SECOND)
        with pytest.raises(FrameTooLarge):
            live.on_snapshot(snapshot(200, bids=self.levels(6), asks=[]), 3 * SECOND)

        assert kinds(live.on_delta(delta(111, 120, 110, bids=self.levels(5)), 3 * SECOND)) == [(DELTA, 120, None)]

    @pytest.mark.parametrize("asked", [True, False])
    def test_a_book_that_outgrew_a_snapshot_is_fetched_afresh(
        self, monkeypatch: pytest.MonkeyPatch, asked: bool
    ) -> None:
        live = live_stream(routine_snapshot_ns=60 * SECOND)
        assert kinds(live.on_delta(delta(111, 120, 110, bids=self.levels(8)), 3 * SECOND)) == [(DELTA, 120, None)]
        monkeypatch.setattr(kept, "MAX_LEVELS", 9)

        if asked:
            request = ResyncRequest("binance-futures", "BTCUSDT", Reason.GAP, live.epoch, 0, 9)
            records = live.on_resync_request(request, 4 * SECOND, outdated=False)
        else:
            records = live.on_delta(delta(121, 130, 120), 70 * SECOND)[1:]

        assert kinds(records)[-1][::2] == (INVALID, Reason.OVERLOAD)
        assert live.needs_snapshot is Reason.OVERLOAD
        live.on_delta(delta(131, 140, 130), 71 * SECOND)
        assert kinds(live.on_snapshot(snapshot(135), 72 * SECOND)) == [(SNAPSHOT, 135, None), (DELTA, 140, None)]

    def test_a_book_too_large_for_a_snapshot_moves_to_no_finer_grid(self, monkeypatch: pytest.MonkeyPatch) -> None:
        live = live_stream()
        live.on_delta(delta(111, 120, 110, bids=self.levels(8)), 3 * SECOND)
        monkeypatch.setattr(kept, "MAX_LEVELS", 9)
        with pytest.raises(FrameTooLarge, match="a book of 10 levels"):
            live.on_delta(delta(121, 130, 120, bids=[("0.01", "1")]), 4 * SECOND)

        assert kinds(live.on_bad_input(4 * SECOND, "why")) == [(INVALID, 120, Reason.BAD_INPUT)]


def test_a_copy_goes_its_own_way() -> None:
    live = live_stream()
    live.on_trade(trade(), 3 * SECOND)
    twin = fork(live)

    live.on_delta(delta(111, 120, 110, bids=[("100.0", "0"), ("99.0", "7")]), 3 * SECOND)
    live.on_delta(delta(131, 140, 130), 3 * SECOND)

    assert (twin.is_live, twin.waiting, twin.counters.gaps) == (True, 0, 0)
    assert twin.book.arrays() == ([1000], [1000], [1001], [1000])
    assert l2(twin.on_delta(delta(111, 120, 110), 3 * SECOND))[0].trade_lots == [500]
