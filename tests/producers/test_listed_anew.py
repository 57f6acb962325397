"""What becomes of one instrument's book when the venue's list says something else of it."""

from __future__ import annotations

from producers.messages import Instrument
from schemas.messages import FeedState, FeedStatus, Kind, L2Record, Reason
from tests.producers.l2_reader import books_of
from tests.producers.messages import BTC, SECOND, delta, kinds, l2, live_stream, snapshot, states, stream

FINER = BTC._replace(tick_size="0.01")
WHY = "the venue lists it as CLOSE: it will not trade again"


def regridded(instrument: Instrument = FINER) -> list[object]:
    """A LIVE book, a changed grid, and the snapshot after it."""
    made = live_stream()
    told = made.on_relisting(instrument, 3 * SECOND, "another grid")
    assert made.needs_snapshot is Reason.REGRID
    told += made.on_delta(delta(111, 120, 110, bids=[("100.01", "2")]), 4 * SECOND)
    told += made.on_snapshot(snapshot(115, bids=[("100.01", "2")], asks=[("100.11", "1")]), 5 * SECOND)
    return list(told)


def test_a_changed_grid_makes_the_book_invalid_until_a_snapshot_begins_an_epoch() -> None:
    invalid, snap, update = (record for record in regridded() if isinstance(record, L2Record))

    assert (invalid.kind, invalid.reason) == (Kind.INVALID, Reason.REGRID)
    assert (snap.kind, snap.tick_size, update.kind, update.tick_size) == (Kind.SNAPSHOT, "0.01", Kind.DELTA, "0.01")
    assert snap.epoch == update.epoch > invalid.epoch
    assert (snap.bid_ticks, snap.ask_ticks) == ([10_001], [10_011])


def test_a_contract_that_is_worth_something_else_begins_an_epoch_too() -> None:
    records = [record for record in regridded(BTC._replace(contract_value="10")) if isinstance(record, L2Record)]

    assert [(record.kind, record.contract_value) for record in records[1:]] == [
        (Kind.SNAPSHOT, "10"),
        (Kind.DELTA, "10"),
    ]


def test_a_changed_grid_of_a_book_that_is_not_live_says_nothing_until_there_is_one() -> None:
    fresh = stream()

    assert fresh.on_relisting(FINER, SECOND) == []
    fresh.on_delta(delta(95, 110, 94), SECOND)
    records = fresh.on_snapshot(snapshot(100), 2 * SECOND)
    assert {record.tick_size for record in l2(records)} == {"0.01"}


def test_the_book_of_a_delisted_instrument_ends_invalid_with_a_reason_of_its_own() -> None:
    made = live_stream()
    records = made.on_delisting(3 * SECOND, WHY)

    assert kinds(records) == [(Kind.INVALID, 110, Reason.DELISTED)]
    assert states(records) == [(FeedState.INVALID, Reason.DELISTED), (FeedState.STOPPED, Reason.DELISTED)]
    assert [record.detail for record in records if isinstance(record, FeedStatus)] == [WHY, WHY]


def test_a_book_that_an_earlier_run_left_with_readers_ends_too() -> None:
    made = stream()
    earlier = [*made.on_delta(delta(95, 110, 94), SECOND), *made.on_snapshot(snapshot(100), 2 * SECOND)]
    later = stream().on_delisting(60 * SECOND, WHY)
    invalid = l2(later)

    assert books_of(l2(earlier))["BTCUSDT"].live
    assert [record.kind for record in invalid] == [Kind.INVALID]
    assert invalid[0].epoch > made.epoch
    assert not books_of(l2([*earlier, *later]))["BTCUSDT"].live


def test_an_epoch_is_lifted_only_before_there_is_a_book() -> None:
    fresh, live = stream(), live_stream()
    fresh.lift_epoch(10**15)
    live.lift_epoch(10**15)
    fresh.on_delta(delta(95, 110, 94), SECOND)
    fresh.on_snapshot(snapshot(100), 2 * SECOND)

    assert fresh.epoch == 10**15 + 1
    assert live.epoch < 10**15
