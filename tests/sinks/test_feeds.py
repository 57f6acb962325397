"""A table that cannot be fed is tried again, and the others do not hear of it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from schemas.errors import BrokerRefused, BrokerUnreachable, FatalError, StoreUnreachable
from sinks.claims import ClaimLost
from sinks.counts import Counts
from sinks.feeds import LONGEST_PAUSE_SECONDS, LONGEST_WAIT_SECONDS, PATIENCE_SECONDS, OnceForAll, TableFeed
from sinks.preflight import TableGone
from sinks.tables import TABLES


class Clock(threading.Event):
    """A stop event whose waiting is the time's passing; set once it has been waited for so often."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.now_s = 100.0
        self.pauses: list[float] = []
        self._waits = waits

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        self.now_s += timeout or 0.0
        if len(self.pauses) >= self._waits:
            self.set()
        return self.is_set()


class Opened:
    """A worker that does as it is told."""

    def __init__(self, run: Callable[[threading.Event], None]) -> None:
        self.run = run


def feed(tries: list[Callable[[], None]], waits: int) -> tuple[TableFeed, Clock, list[str]]:
    """A feed whose n-th worker does the n-th thing; afterwards it runs until told to stop."""
    clock, heard = Clock(waits), []
    left = iter(tries)

    def run(stop: threading.Event) -> None:
        heard.append("run")
        attempt = next(left, None)
        if attempt is None:
            stop.set()
        else:
            attempt()

    def open_worker(counts: Counts) -> Opened:
        return Opened(run)

    made = TableFeed(
        TABLES["factors"],
        open_worker,  # type: ignore[arg-type] # as much of a worker as a feed needs
        clock,
        lambda: heard.append("failed"),
        now_s=lambda: clock.now_s,
    )
    return made, clock, heard


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


def test_a_worker_that_fails_is_opened_again_until_it_runs() -> None:
    one, _, heard = feed([failing(FatalError("no")), failing(KeyError("a mistake"))], waits=100)
    one.run()

    assert heard == ["run", "failed", "run", "failed", "run"]
    assert one.trouble is None
    assert not one.counts.failing


def test_pauses_grow_to_a_bound() -> None:
    one, clock, _ = feed([failing(FatalError("no"))] * 20, waits=20)
    one.run()

    assert clock.pauses[0] < clock.pauses[3] < clock.pauses[8]
    assert max(clock.pauses) <= LONGEST_PAUSE_SECONDS


def test_a_table_with_trouble_of_its_own_is_hopeless_at_once_and_ends_no_process() -> None:
    one, _, _ = feed([failing(FatalError("no such column"))], waits=1)
    one.run()

    assert (one.is_hopeless, one.ends_the_process, one.counts.failing) == (True, False, True)


def test_a_database_that_does_not_answer_ends_the_process_after_half_a_minute() -> None:
    one, clock, heard = feed([], waits=10_000)
    one._open_worker = lambda counts: failing(StoreUnreachable("gone"))()  # type: ignore[method-assign, func-returns-value]
    one._on_failure = lambda: clock.set() if one.ends_the_process else None
    one.run()

    assert isinstance(one.trouble, StoreUnreachable)
    assert PATIENCE_SECONDS < clock.now_s - 100.0 < PATIENCE_SECONDS + 2.0
    assert max(clock.pauses) <= 1.0
    assert heard == []


def test_a_database_that_answers_again_in_time_is_forgiven() -> None:
    one, clock, _ = feed([failing(StoreUnreachable("gone"))] * 3, waits=100)
    one.run()

    assert one.trouble is None
    assert clock.now_s - 100.0 < 5.0


@pytest.mark.parametrize("error", [StoreUnreachable("gone"), BrokerUnreachable("gone"), TableGone("no table")])
def test_what_was_there_once_is_waited_for_as_long_as_it_takes(error: FatalError) -> None:
    one, clock, heard = feed([lambda: None, *[failing(error)] * 60], waits=60)
    one.run()

    assert heard.count("failed") == 60
    assert clock.now_s - 100.0 > 4 * PATIENCE_SECONDS
    assert max(clock.pauses) <= LONGEST_WAIT_SECONDS
    assert (one.is_hopeless, one.ends_the_process) == (False, False)


def test_a_broker_that_begins_to_refuse_us_is_not_waited_for() -> None:
    one, _, _ = feed([lambda: None, failing(BrokerRefused("no such user"))], waits=1)
    one.run()

    assert one.ends_the_process


def test_what_concerns_every_table_is_told_once_in_half_a_minute_and_not_by_each() -> None:
    once, error = OnceForAll(), StoreUnreachable("gone")

    assert [once.may_tell(table, error, 100.0) for table in ("factors", "trades", "factors")] == [True, False, False]
    assert not once.may_tell("trades", StoreUnreachable("in other words"), 129.0)
    assert once.may_tell("trades", error, 130.0)
    assert [once.may_tell(table, FatalError("no"), 131.0) for table in ("factors", "trades", "trades")] == [
        True,
        True,
        False,
    ]


def test_an_end_of_the_process_is_no_failure_to_be_tried_again() -> None:
    one, _, heard = feed([failing(SystemExit(1))], waits=100)
    one.run()

    assert one.ends_the_process
    assert heard == ["run", "failed"]


@pytest.mark.parametrize("error", [FatalError("no"), StoreUnreachable("gone"), MemoryError()])
def test_what_went_wrong_is_kept_for_the_end(error: BaseException) -> None:
    one, _, _ = feed([failing(error)], waits=1)
    one.run()

    assert one.trouble is error


def test_a_feed_whose_claim_is_lost_rests_and_is_opened_again_without_failing() -> None:
    made, clock, heard = feed([failing(ClaimLost("another sink has claimed partitions of factors"))], waits=9)
    made._rest = lambda: heard.append("rest")
    made.run()

    assert heard == ["run", "rest", "run"]
    assert (made.counts.fenced, made.trouble, clock.pauses) == (1, None, [])


def test_a_feed_that_has_no_partitions_is_well_and_looks_again() -> None:
    stop, rests = threading.Event(), []
    made = TableFeed(
        TABLES["factors"], lambda counts: None, stop, rest=lambda: stop.set() if len(rests) > 1 else rests.append(1)
    )
    made.trouble, made.counts.failing = StoreUnreachable("it was away"), True
    made.run()

    assert (made.trouble, made.counts.failing, len(rests)) == (None, False, 2)
