from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest

from orderbook.validity import RULES, Age, Outcome, TrackedBook, Validity
from schemas.errors import InvalidNumber
from schemas.messages import ContractKind, Kind, L2Record, Reason, Source

SECOND = 1_000_000_000
EPOCH = 5

Levels = Sequence[tuple[int, int]]
Make = Callable[[], TrackedBook]


def record(
    kind: Kind,
    *,
    epoch: int = EPOCH,
    sequence: int = 10,
    previous: int | None = None,
    at: int = 0,
    bids: Levels = (),
    asks: Levels = (),
    tick_size: str = "0.1",
    reason: Reason | None = None,
) -> L2Record:
    return L2Record(
        venue="v",
        symbol="s",
        source=Source.REPLAY,
        kind=kind,
        reason=reason or (Reason.DISCONNECT if kind is Kind.INVALID else None),
        epoch=epoch,
        sequence=sequence,
        previous_sequence=previous,
        received_ns=at,
        tick_size=tick_size,
        lot_size="0.001",
        contract_kind=ContractKind.LINEAR,
        bid_ticks=[tick for tick, _ in bids],
        bid_lots=[lots for _, lots in bids],
        ask_ticks=[tick for tick, _ in asks],
        ask_lots=[lots for _, lots in asks],
    )


def snapshot(**fields: Any) -> L2Record:
    return record(Kind.SNAPSHOT, **{"bids": [(100, 1)], "asks": [(101, 1)], **fields})


def delta(sequence: int = 11, previous: int = 10, **fields: Any) -> L2Record:
    return record(Kind.DELTA, sequence=sequence, previous=previous, **fields)


def invalid(**fields: Any) -> L2Record:
    return record(Kind.INVALID, **fields)


def live() -> TrackedBook:
    tracked = TrackedBook()
    assert tracked.apply(snapshot()) is Outcome.MADE_LIVE
    return tracked


def dead() -> TrackedBook:
    tracked = live()
    assert tracked.apply(invalid()) is Outcome.INVALIDATED
    return tracked


def awaiting() -> TrackedBook:
    return TrackedBook()


def test_a_book_awaits_its_first_snapshot() -> None:
    tracked = TrackedBook()
    assert (tracked.validity, tracked.reason, tracked.grid) == (Validity.AWAITING_SNAPSHOT, None, None)
    assert tracked.apply(delta()) is Outcome.IGNORED_NOT_LIVE
    assert tracked.apply(snapshot()) is Outcome.MADE_LIVE
    assert tracked.is_live
    assert tracked.grid is not None
    assert tracked.grid.tick_size == "0.1"


def test_every_combination_of_kind_age_and_validity_has_a_rule() -> None:
    assert set(RULES) == set(product(Kind, Age, (True, False)))


LIVE, INVALID, AWAITING = Validity.LIVE, Validity.INVALID, Validity.AWAITING_SNAPSHOT
TABLE = [
    # book, record, outcome, validity after, reason after, epoch after
    (live, delta(), Outcome.APPLIED, LIVE, None, 5),
    (live, delta(sequence=3), Outcome.APPLIED, LIVE, None, 5),  # sequences are not ordered
    (live, delta(sequence=10), Outcome.APPLIED, LIVE, None, 5),  # nor unique
    (live, delta(previous=9), Outcome.BROKE, INVALID, Reason.GAP, 5),
    (live, delta(previous=11), Outcome.BROKE, INVALID, Reason.GAP, 5),
    (live, delta(epoch=6), Outcome.BROKE, INVALID, Reason.GAP, 6),
    (live, delta(epoch=6, previous=9), Outcome.BROKE, INVALID, Reason.GAP, 6),
    (live, delta(epoch=4), Outcome.IGNORED_OLD_EPOCH, LIVE, None, 5),
    (live, delta(epoch=4, previous=9), Outcome.IGNORED_OLD_EPOCH, LIVE, None, 5),
    (live, delta(tick_size="0.01"), Outcome.BROKE, INVALID, Reason.REGRID, 5),
    (live, snapshot(), Outcome.ROUTINE, LIVE, None, 5),
    (live, snapshot(bids=[(100, 2)]), Outcome.BROKE, INVALID, Reason.SNAPSHOT_MISMATCH, 5),
    (live, snapshot(asks=[]), Outcome.BROKE, INVALID, Reason.SNAPSHOT_MISMATCH, 5),
    (live, snapshot(bids=[(100, 1), (99, 0)]), Outcome.ROUTINE, LIVE, None, 5),  # zeros in a snapshot say nothing
    (live, snapshot(sequence=12), Outcome.BROKE, INVALID, Reason.GAP, 5),
    (live, snapshot(tick_size="0.01"), Outcome.BROKE, INVALID, Reason.REGRID, 5),
    (live, snapshot(epoch=6), Outcome.MADE_LIVE, LIVE, None, 6),
    (live, snapshot(epoch=6, sequence=12), Outcome.MADE_LIVE, LIVE, None, 6),
    (live, snapshot(epoch=4), Outcome.IGNORED_OLD_EPOCH, LIVE, None, 5),
    (live, invalid(), Outcome.INVALIDATED, INVALID, Reason.DISCONNECT, 5),
    (live, invalid(epoch=6, reason=Reason.OVERLOAD), Outcome.INVALIDATED, INVALID, Reason.OVERLOAD, 6),
    (live, invalid(epoch=4), Outcome.IGNORED_OLD_EPOCH, LIVE, None, 5),
    (dead, delta(), Outcome.IGNORED_NOT_LIVE, INVALID, Reason.DISCONNECT, 5),
    (dead, delta(epoch=6), Outcome.IGNORED_NOT_LIVE, INVALID, Reason.DISCONNECT, 5),
    (dead, delta(epoch=4), Outcome.IGNORED_OLD_EPOCH, INVALID, Reason.DISCONNECT, 5),
    (dead, snapshot(), Outcome.MADE_LIVE, LIVE, None, 5),
    (dead, snapshot(sequence=12), Outcome.MADE_LIVE, LIVE, None, 5),
    (dead, snapshot(epoch=6), Outcome.MADE_LIVE, LIVE, None, 6),
    (dead, snapshot(epoch=4), Outcome.IGNORED_OLD_EPOCH, INVALID, Reason.DISCONNECT, 5),
    (dead, invalid(reason=Reason.GAP), Outcome.INVALIDATED, INVALID, Reason.GAP, 5),
    (dead, invalid(epoch=6), Outcome.INVALIDATED, INVALID, Reason.DISCONNECT, 6),
    (dead, invalid(epoch=4), Outcome.IGNORED_OLD_EPOCH, INVALID, Reason.DISCONNECT, 5),
    (awaiting, delta(), Outcome.IGNORED_NOT_LIVE, AWAITING, None, 0),
    (awaiting, invalid(), Outcome.INVALIDATED, INVALID, Reason.DISCONNECT, 5),
    (awaiting, snapshot(epoch=1), Outcome.MADE_LIVE, LIVE, None, 1),
]


@pytest.mark.parametrize(("make", "update", "outcome", "validity", "reason", "epoch"), TABLE)
def test_one_record_moves_a_book_as_the_table_says(
    make: Make, update: L2Record, outcome: Outcome, validity: Validity, reason: Reason | None, epoch: int
) -> None:
    tracked = make()
    assert tracked.apply(update) is outcome
    assert (tracked.validity, tracked.reason, tracked.epoch) == (validity, reason, epoch)


IGNORED = {Outcome.IGNORED_OLD_EPOCH, Outcome.IGNORED_NOT_LIVE, Outcome.ROUTINE}


@pytest.mark.parametrize(("make", "update"), [row[:2] for row in TABLE if row[2] in IGNORED])
def test_what_is_ignored_or_routine_changes_no_level_and_no_sequence(make: Make, update: L2Record) -> None:
    tracked, untouched = make(), make()
    tracked.apply(update)
    assert tracked.book == untouched.book
    assert tracked.sequence == untouched.sequence


def test_a_delta_that_does_not_connect_changes_no_level() -> None:
    tracked = live()
    tracked.apply(delta(previous=9, bids=[(100, 7)]))
    assert tracked.book == live().book


def test_a_chain_of_deltas_is_applied_in_turn() -> None:
    tracked = live()
    assert tracked.apply(delta(sequence=20, previous=10, bids=[(99, 4)])) is Outcome.APPLIED
    assert tracked.apply(delta(sequence=15, previous=20, bids=[(99, 0), (98, 2)])) is Outcome.APPLIED
    assert tracked.book.top_bids(9) == [(100, 1), (98, 2)]
    assert tracked.sequence == 15


def test_the_same_delta_twice_breaks_the_book_at_the_reader() -> None:
    tracked = live()
    tracked.apply(delta())
    assert tracked.apply(delta()) is Outcome.BROKE


def test_after_a_break_a_snapshot_from_memory_of_a_newer_epoch_alone_is_obeyed() -> None:
    tracked = live()
    tracked.apply(delta(epoch=6))
    assert tracked.apply(snapshot(epoch=5)) is Outcome.IGNORED_OLD_EPOCH
    assert tracked.apply(snapshot(epoch=6)) is Outcome.MADE_LIVE


def test_a_snapshot_with_an_impossible_grid_leaves_the_book_as_it_was() -> None:
    tracked = live()
    with pytest.raises(InvalidNumber):
        tracked.apply(snapshot(epoch=6, tick_size="0"))
    assert (tracked.validity, tracked.epoch, tracked.book) == (LIVE, 5, live().book)


def test_a_snapshot_replaces_the_grid() -> None:
    tracked = live()
    tracked.apply(snapshot(epoch=6, tick_size="0.01"))
    assert tracked.grid is not None
    assert tracked.grid.tick_size == "0.01"
    assert tracked.apply(delta(epoch=6, tick_size="0.01")) is Outcome.APPLIED


# crossed


def crossing(sequence: int, at: int = 0) -> L2Record:
    return delta(sequence=sequence, previous=sequence - 1, at=at, bids=[(102, 1)])


def quiet(sequence: int, at: int = 0) -> L2Record:
    return delta(sequence=sequence, previous=sequence - 1, at=at, bids=[(90, sequence)])


def uncrossing(sequence: int, at: int = 0) -> L2Record:
    return delta(sequence=sequence, previous=sequence - 1, at=at, bids=[(102, 0)])


def test_a_book_still_crossed_three_records_later_is_invalid() -> None:
    tracked = live()
    outcomes = [tracked.apply(update) for update in (crossing(11), quiet(12), quiet(13), quiet(14))]
    assert outcomes == [Outcome.APPLIED, Outcome.APPLIED, Outcome.APPLIED, Outcome.CROSSED_OUT]
    assert (tracked.validity, tracked.reason) == (INVALID, Reason.CROSSED)
    assert tracked.sequence == 14, "the record on which it fires counts as applied"
    assert tracked.apply(quiet(15)) is Outcome.IGNORED_NOT_LIVE


@pytest.mark.parametrize(("later", "outcome"), [(SECOND - 1, Outcome.APPLIED), (SECOND, Outcome.CROSSED_OUT)])
def test_a_book_still_crossed_a_second_later_is_invalid(later: int, outcome: Outcome) -> None:
    tracked = live()
    tracked.apply(crossing(11, at=7))
    assert tracked.apply(quiet(12, at=7 + later)) is outcome


def test_a_book_that_uncrosses_in_time_starts_afresh() -> None:
    tracked = live()
    updates = (crossing(11), quiet(12), quiet(13), uncrossing(14, at=2 * SECOND), crossing(15, at=3 * SECOND))
    assert {tracked.apply(update) for update in updates} == {Outcome.APPLIED}
    assert (tracked.crossed_since_ns, tracked.crossed_records) == (3 * SECOND, 0)
    assert tracked.apply(quiet(16, at=3 * SECOND)) is Outcome.APPLIED


def test_a_locked_book_may_stay_locked() -> None:
    tracked = live()
    tracked.apply(delta(sequence=11, previous=10, bids=[(101, 1)]))
    assert {tracked.apply(quiet(sequence, at=sequence * SECOND)) for sequence in range(12, 20)} == {Outcome.APPLIED}


def test_a_snapshot_may_make_a_book_live_crossed_and_the_rule_counts_from_it() -> None:
    tracked = TrackedBook()
    tracked.apply(snapshot(bids=[(102, 1)]))
    assert [tracked.apply(quiet(sequence)) for sequence in (11, 12, 13)][-1] is Outcome.CROSSED_OUT


def test_routine_snapshots_do_not_count_as_records_of_a_crossed_book() -> None:
    tracked = live()
    tracked.apply(crossing(11))
    same = snapshot(sequence=11, bids=[(100, 1), (102, 1)])
    assert [tracked.apply(same) for _ in range(5)] == [Outcome.ROUTINE] * 5
    assert tracked.is_live


def test_a_new_snapshot_forgets_that_the_book_was_crossed() -> None:
    tracked = live()
    for update in (crossing(11), quiet(12), quiet(13), quiet(14)):
        tracked.apply(update)
    tracked.apply(snapshot(epoch=6))
    assert (tracked.validity, tracked.reason, tracked.crossed_since_ns) == (LIVE, None, None)


def test_judging_changes_nothing() -> None:
    tracked = live()
    assert tracked.judge(delta(previous=9)) is Outcome.BROKE
    assert tracked.is_live
