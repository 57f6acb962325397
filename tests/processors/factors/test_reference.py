"""Which records make events, with which status, and what the edge is told."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderbook.validity import Outcome
from processors.factors.engine import Break
from processors.factors.reference.state import InstrumentState
from schemas.codec import encode
from schemas.digest import digest
from schemas.errors import ImpossibleRecord
from schemas.factors import NO_FACTORS
from schemas.messages import FactorEvent, L2Record, Reason, Status
from tests.processors.feed import ENGINE, Feed, Levels, factors, fresh, history, process
from tests.processors.generated import stream

BIDS: Levels = [(99, 3), (98, 1)]
ASKS: Levels = [(101, 1), (102, 3)]


def test_an_event_carries_the_position_and_times_of_its_record() -> None:
    feed = Feed()
    records = [feed.snapshot(BIDS, ASKS), feed.delta([(97, 1)], at=5)]
    result = process(records, start=40)
    assert [(e.source_offset, e.sequence, e.received_ns) for e in result.events()] == [
        (40, 1, 0),
        (41, 2, 5_000_000),
    ]
    assert result.events()[1].values == result.values[1]


def test_a_snapshot_that_makes_the_book_live_and_every_applied_delta_make_an_event() -> None:
    feed = Feed()
    result = process([feed.snapshot(BIDS, ASKS), feed.delta(), feed.delta([(98, 0)])])
    assert result.outcomes == {Outcome.MADE_LIVE: 1, Outcome.APPLIED: 2}
    assert len(result) == 3
    assert Status.RESYNCING not in result.status


def test_a_routine_snapshot_makes_no_event_and_changes_nothing() -> None:
    feed = Feed()
    start = [feed.snapshot(BIDS, ASKS), feed.delta([(97, 1)], at=400), feed.delta([(97, 4)], at=900)]
    with_routine = [*start, feed.snapshot([*BIDS, (97, 4)], ASKS, at=900, routine=True)]
    state, quiet = fresh(), fresh()
    result = process(with_routine, state)
    process(start, quiet)
    assert (len(result), result.outcomes[Outcome.ROUTINE]) == (3, 1)
    assert state.to_bytes() == quiet.to_bytes()


def test_what_is_ignored_makes_no_event_but_is_counted() -> None:
    feed = Feed()
    early = feed.delta()
    feed.epoch = 5
    result = process([early, feed.snapshot(BIDS, ASKS), early])
    assert result.outcomes == {Outcome.IGNORED_NOT_LIVE: 1, Outcome.MADE_LIVE: 1, Outcome.IGNORED_OLD_EPOCH: 1}
    assert len(result) == 1


def test_a_published_invalid_makes_a_null_event_and_asks_for_nothing() -> None:
    feed = Feed()
    result = process([feed.invalid(), feed.snapshot(BIDS, ASKS), feed.invalid(), feed.delta()])
    assert result.status == [Status.RESYNCING, Status.THIN, Status.RESYNCING]
    assert result.values[0] == result.values[2] == NO_FACTORS
    assert result.resync is None


@pytest.mark.parametrize(
    ("breaker", "reason"),
    [
        (lambda feed: feed.delta([(98, 2)], at=7, lost=1), Reason.GAP),
        (lambda feed: feed.snapshot(BIDS, [], at=7, routine=True), Reason.SNAPSHOT_MISMATCH),
        (lambda feed: feed.snapshot(BIDS, ASKS, at=7), Reason.GAP),
    ],
)
def test_a_record_that_breaks_a_live_book_makes_one_null_event_and_asks(breaker, reason: Reason) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    feed = Feed()
    records = [feed.snapshot(BIDS, ASKS), breaker(feed), feed.delta(at=8), feed.delta(at=9)]
    result = process(records, start=10)
    assert result.status == [Status.THIN, Status.RESYNCING]
    assert result.values[1] == NO_FACTORS
    assert result.resync == Break(reason, epoch=1, source_offset=11, received_ns=7_000_000, awaits_invalid=False)


def test_a_break_stays_open_over_batches_until_a_snapshot_heals_it() -> None:
    feed, state = Feed(), fresh()
    first = process([feed.snapshot(BIDS, ASKS), feed.delta(lost=1)], state)
    assert process([feed.delta()], state, start=2).resync == first.resync
    assert process([feed.snapshot(BIDS, ASKS)], state, start=3).resync is None


def test_an_invalid_after_a_break_closes_it_because_the_producer_knows() -> None:
    feed = Feed()
    assert process([feed.snapshot(BIDS, ASKS), feed.delta(lost=1), feed.invalid()]).resync is None


def test_a_book_crossed_too_long_ends_crossed_and_awaits_the_producers_invalid() -> None:
    feed, state = Feed(), fresh()
    records = [feed.snapshot(BIDS, ASKS), feed.delta([(103, 1)]), *(feed.delta([(90, n)]) for n in (1, 2, 3))]
    result = process([*records, feed.delta()], state)
    assert result.status == [Status.THIN, *[Status.CROSSED] * 4]
    assert result.outcomes[Outcome.CROSSED_OUT] == 1
    assert result.resync == Break(Reason.CROSSED, epoch=1, source_offset=4, received_ns=0, awaits_invalid=True)
    assert factors(result)["spread"] == -2.0
    assert process([feed.invalid(reason=Reason.CROSSED)], state, start=6).resync is None


STATUSES = [
    ([], [], Status.EMPTY),
    ([(99, 1)], [], Status.ONE_SIDED),
    ([], [(101, 1)], Status.ONE_SIDED),
    ([(101, 1)], [(101, 1)], Status.LOCKED),
    ([(102, 1)], [(101, 1)], Status.CROSSED),
    ([(99, 1)], [(101, 49)], Status.THIN),  # 99 + 49·101 = 5,048
    ([(99, 50)], [(101, 50)], Status.OK),  # 10,000: not below thin_notional
    ([(99, 50), (98, 1)], [(101, 49)], Status.THIN),  # 9,997
]


@pytest.mark.parametrize(("bids", "asks", "status"), STATUSES)
def test_the_status_is_the_first_that_holds(bids: Levels, asks: Levels, status: Status) -> None:
    assert process([Feed().snapshot(bids, asks)]).status == [status]


@pytest.mark.parametrize(("bids", "asks", "status"), STATUSES)
def test_only_an_open_book_has_more_than_its_quotes(bids: Levels, asks: Levels, status: Status) -> None:
    found = {name for name, value in factors(process([Feed().snapshot(bids, asks)])).items() if value is not None}
    quotes = {"bid_levels", "ask_levels"}
    quotes |= {"best_bid", "best_bid_size"} if bids else set()
    quotes |= {"best_ask", "best_ask_size"} if asks else set()
    quotes |= {"mid", "spread", "spread_bps"} if bids and asks else set()
    if status in {Status.OK, Status.THIN}:
        assert quotes < found
        assert "obi_l1" in found
    else:
        assert found == quotes


def test_thin_is_the_instruments_own_threshold() -> None:
    snapshot = Feed().snapshot([(99, 1)], [(101, 1)])
    assert process([snapshot], fresh(200.0)).status == [Status.OK]
    assert process([snapshot], fresh(200.1)).status == [Status.THIN]


@pytest.mark.parametrize("thin_notional", [0.0, -1.0, float("nan"), float("inf")])
def test_a_threshold_that_is_no_notional_is_refused(thin_notional: float) -> None:
    with pytest.raises(ValueError, match="thin_notional"):
        InstrumentState(thin_notional)


def test_a_higher_epoch_on_a_live_book_is_a_new_book() -> None:
    feed = Feed()
    records = [
        feed.snapshot(BIDS, ASKS),
        feed.delta([(97, 1)], at=900),
        feed.snapshot(BIDS, ASKS, at=1_200, epoch=2),
        feed.delta([(97, 1)], at=1_300),
    ]
    result = process(records)
    assert result.outcomes == {Outcome.MADE_LIVE: 2, Outcome.APPLIED: 2}
    assert history(result, "ofi_l1") == [None, 0.0, None, 0.0]
    assert history(result, "removal_ratio_1s") == [None] * 4, "windows start anew"


# any split, any cut


def cut_up(records: list[L2Record], cuts: list[int], *, restore: bool) -> tuple[list[FactorEvent], bytes]:
    state, events = fresh(), []
    edges = sorted({0, len(records), *(cut % len(records) for cut in cuts)})
    for start, end in pairwise(edges):
        events += process(records[start:end], state, start).events()
        if restore:
            state = ENGINE.load(ENGINE.dump(state))
    return events, state.to_bytes()


@given(st.integers(0, 2**32), st.lists(st.integers(0, 1_000), max_size=12))
def test_any_split_restored_from_checkpoints_gives_the_same_digest_and_state(seed: int, cuts: list[int]) -> None:
    records = stream(seed)
    whole, state = cut_up(records, [], restore=False)
    split, split_state = cut_up(records, cuts, restore=True)
    assert digest(split) == digest(whole)
    assert split_state == state


@pytest.mark.parametrize("seed", range(6))
def test_single_records_with_a_restore_after_each_give_the_same_events(seed: int) -> None:
    records = stream(seed)
    assert cut_up(records, list(range(len(records))), restore=True) == cut_up(records, [], restore=False)


@pytest.mark.parametrize("lost", range(1, 20))
def test_a_lost_delta_is_one_break_and_nothing_has_status_ok_after_it(lost: int) -> None:
    feed = Feed()
    records = [feed.snapshot([(99, 60)], [(101, 60)]), *(feed.delta([(98, n)], at=n) for n in range(1, 21))]
    result = process([*records[:lost], *records[lost + 1 :]])
    assert result.outcomes[Outcome.BROKE] == 1
    assert result.status == [*[Status.OK] * lost, Status.RESYNCING]


# what may not come in


def test_a_step_needs_an_offset_for_each_record() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ENGINE.step(fresh(), [1, 2], [Feed().delta()])


def test_a_record_with_an_impossible_grid_is_refused_before_any_state_changes() -> None:
    impossible = Feed(("0", "1", "1", Feed().grid[3])).snapshot(BIDS, ASKS)
    [refused] = ENGINE.decode([encode(impossible)])
    assert isinstance(refused, ImpossibleRecord)
