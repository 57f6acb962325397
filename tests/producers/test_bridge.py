"""A snapshot and the updates that wait for it, at the bridge alone."""

from __future__ import annotations

from producers.books.bridge import Bridge, Held, NoBridge
from producers.books.options import StreamCounters
from producers.exchanges.binance.rules import BinanceFuturesRule
from schemas.messages import Reason
from tests.producers.messages import delta, snapshot


def bridge(most: int = 10) -> tuple[Bridge, StreamCounters]:
    counters = StreamCounters()
    return Bridge(BinanceFuturesRule(), most, counters), counters


def test_nothing_joins_without_both_a_snapshot_and_an_update() -> None:
    made, _ = bridge()
    assert made.join() is None
    made.hold(snapshot(100), 1)
    assert made.join() is None
    assert (made.wanted, made.held) == (None, Held(snapshot(100), 1))


def test_updates_older_than_the_snapshot_are_dropped_and_the_spanning_one_bridges() -> None:
    made, counters = bridge()
    for number in (80, 90, 100):
        made.wait(delta(number, number + 9, number - 1), number)
    made.hold(snapshot(105), 7)

    assert made.join() == Held(snapshot(105), 7)
    assert [waiting.received_ns for waiting in made.waiting] == [100]
    assert (counters.deltas_dropped, made.held, made.wanted) == (2, None, None)


def test_a_snapshot_too_early_for_every_update_is_discarded_and_another_wanted() -> None:
    made, counters = bridge()
    made.wait(delta(110, 120, 109), 1)
    made.hold(snapshot(100), 2)

    assert made.join() == NoBridge(snapshot(100), delta(110, 120, 109))
    assert (counters.snapshots_discarded, made.held, made.wanted) == (1, None, Reason.NO_BRIDGE)
    assert len(made.waiting) == 1


def test_the_newest_snapshot_is_held() -> None:
    made, counters = bridge()
    for sequence in (100, 120, 110):
        made.hold(snapshot(sequence), sequence)
    assert made.held == Held(snapshot(120), 120)
    assert counters.snapshots_discarded == 2


def test_what_waits_is_bounded_and_the_oldest_give_way() -> None:
    made, counters = bridge(most=2)
    for number in (1, 2, 3):
        made.wait(delta(number, number, number - 1), number)
    made.wait_first(delta(2, 2, 1), 9)

    assert [waiting.received_ns for waiting in made.waiting] == [9, 2, 3]
    assert counters.deltas_dropped == 1


def test_everything_dropped_is_counted() -> None:
    made, counters = bridge()
    made.wait(delta(1, 1, 0), 1)
    made.hold(snapshot(5), 1)
    made.drop(wanted=Reason.DISCONNECT)

    assert (counters.deltas_dropped, counters.snapshots_discarded) == (1, 1)
    assert (made.held, len(made.waiting), made.wanted) == (None, 0, Reason.DISCONNECT)
