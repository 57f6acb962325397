"""When a reader asks for a snapshot."""

from __future__ import annotations

import pytest

from processors.factors.engine import Break
from processors.factors.resync import ResyncAsker
from schemas.messages import InstrumentKey, Reason

INSTRUMENT = InstrumentKey("binance", "BTCUSDT")
GAP = Break(Reason.GAP, epoch=7, source_offset=41, received_ns=0, awaits_invalid=False)
LATER_GAP = Break(Reason.GAP, epoch=7, source_offset=80, received_ns=0, awaits_invalid=False)
CROSSED = Break(Reason.CROSSED, epoch=7, source_offset=42, received_ns=0, awaits_invalid=True)


def times_asked(asker: ResyncAsker, seconds: float, step: float = 0.25) -> list[float]:
    return [now * step for now in range(int(seconds / step) + 1) if asker.due(now * step)]


@pytest.fixture
def asker() -> ResyncAsker:
    return ResyncAsker(INSTRUMENT)


def test_a_healthy_reader_asks_nothing(asker: ResyncAsker) -> None:
    asker.follow(None, 3, 0.0)

    assert times_asked(asker, 100) == []


def test_a_gap_is_asked_about_at_once_and_then_after_1_2_4_up_to_30_seconds(asker: ResyncAsker) -> None:
    asker.follow(GAP, 3, 0.0)

    assert times_asked(asker, 125) == [0, 1, 3, 7, 15, 31, 61, 91, 121]


def test_a_request_says_where_it_broke_and_how_often_it_was_asked(asker: ResyncAsker) -> None:
    asker.follow(GAP, 3, 0.0)
    first, second = asker.due(0.0), asker.due(1.0)

    assert first is not None
    assert second is not None
    assert (first.venue, first.symbol, first.reason, first.epoch) == ("binance", "BTCUSDT", Reason.GAP, 7)
    assert (first.source_partition, first.source_offset, first.attempt, second.attempt) == (3, 41, 1, 2)


def test_a_live_book_or_a_published_invalid_ends_the_asking(asker: ResyncAsker) -> None:
    asker.follow(GAP, 3, 0.0)
    asker.due(0.0)
    asker.follow(None, 3, 0.5)

    assert times_asked(asker, 60) == []


def test_the_same_break_seen_again_starts_no_second_series(asker: ResyncAsker) -> None:
    asker.follow(GAP, 3, 0.0)
    asker.due(0.0)
    asker.follow(GAP, 3, 0.5)

    assert asker.due(0.5) is None


def test_a_new_break_is_asked_about_at_once(asker: ResyncAsker) -> None:
    asker.follow(GAP, 3, 0.0)
    asker.due(0.0)
    asker.follow(LATER_GAP, 3, 0.5)

    request = asker.due(0.5)
    assert request is not None
    assert (request.source_offset, request.attempt) == (80, 1)


def test_a_crossed_book_waits_a_second_for_the_producer_to_say_so(asker: ResyncAsker) -> None:
    asker.follow(CROSSED, 3, 0.0)

    assert asker.due(0.9) is None
    assert asker.due(1.0) is not None


def test_an_invalid_within_that_second_makes_asking_needless(asker: ResyncAsker) -> None:
    asker.follow(CROSSED, 3, 0.0)
    asker.follow(None, 3, 0.9)

    assert times_asked(asker, 60) == []


def test_lower_epochs_alone_for_ten_seconds_are_reported_with_our_epoch(asker: ResyncAsker) -> None:
    asker.only_lower_epochs(7, 3, 43, 0.0)
    asker.follow(None, 3, 0.0)
    asker.only_lower_epochs(7, 3, 99, 5.0)

    assert asker.due(9.9) is None
    request = asker.due(10.0)
    assert request is not None
    assert (request.reason, request.epoch, request.source_offset) == (Reason.STALE_EPOCH, 7, 43)


def test_a_record_of_our_epoch_ends_the_suspicion_but_not_a_break(asker: ResyncAsker) -> None:
    asker.only_lower_epochs(7, 3, 43, 0.0)
    asker.heard_own_epoch()
    assert times_asked(asker, 30) == []

    asker.follow(GAP, 3, 0.0)
    asker.heard_own_epoch()
    assert asker.due(0.0) is not None


def test_a_break_takes_over_from_a_suspicion(asker: ResyncAsker) -> None:
    asker.only_lower_epochs(7, 3, 43, 0.0)
    asker.follow(GAP, 3, 2.0)

    request = asker.due(2.0)
    assert request is not None
    assert request.reason is Reason.GAP
