"""For every way an insert can fail there is one right answer, and letters come before what they are about is passed."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from schemas.errors import EXIT_DEPENDENCY, FatalError, StoreUnreachable
from schemas.logs import Position
from schemas.messages import DeadLetter
from sinks.batching import Entry, RowBatch
from sinks.claims import Claim, ClaimLost
from sinks.counts import Counts
from sinks.preflight import LogAnew
from sinks.tables import TABLES
from sinks.writer import (
    GIVE_UP_SECONDS,
    LONGEST_PAUSE_SECONDS,
    UNEXPLAINED_TRIES,
    Stopped,
    Writer,
)
from tests.sinks.decoded import block_entry
from tests.sinks.fakes import FakeLetters, FakeStore, insert_error
from tests.sinks.records import entry, factors, origin_of
from tests.support.manual_clock import ManualClock

CLAIM = Claim("factors", "a", (0,), "0000000000000001-aa")


class Waited(threading.Event):
    """A stop event whose waiting is the clock's advancing."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0.0)
        self._clock.advance(timeout or 0.0)
        return self.is_set()


class Bench:
    """A writer of `factors` between fakes."""

    def __init__(self, require_same_log: Callable[[], None] = lambda: None) -> None:
        self.events: list[str] = []
        self.store = FakeStore(self.events)
        self.letters = FakeLetters(self.events)
        self.clock = ManualClock(1_000)
        self.stop = Waited(self.clock)
        self.counts = Counts()
        self.writer = Writer(
            TABLES["factors"],
            self.store,  # type: ignore[arg-type] # as much of a store as a writer needs
            self.letters,
            CLAIM,
            clock=self.clock,
            stop=self.stop,
            counts=self.counts,
            require_same_log=require_same_log,
        )


def batch(*offsets: int) -> RowBatch:
    found = RowBatch(TABLES["factors"])
    for offset in offsets:
        one = entry(Position("a", 0, offset), factors("X", [offset]))
        found.passed(one.position, 0.0)
        found.add(one)
    return found


def letter(letter_id: str) -> DeadLetter:
    return DeadLetter(letter_id, "sink", "DecodeError", "no", 0, b"", 0)


def test_letters_are_on_the_log_before_the_insert_that_passes_them() -> None:
    bench = Bench()
    one = batch(0, 2)
    one.refuse(letter("a:0:1"))
    written = bench.writer.write(one)

    assert bench.events == ["letter a:0:1", "insert [0, 2]"]
    assert (written.rows, written.letters) == (2, 1)


def test_a_batch_of_letters_alone_inserts_nothing() -> None:
    bench = Bench()
    one = batch()
    one.passed(Position("a", 0, 1), 0.0)
    one.refuse(letter("a:0:1"))
    bench.writer.write(one)

    assert bench.events == ["letter a:0:1"]


def test_of_a_batch_that_may_be_of_another_log_neither_letters_nor_rows_leave() -> None:
    def anew() -> None:
        raise LogAnew("the topic was made anew")

    for offsets in ((), (0, 2)):
        bench = Bench(require_same_log=anew)
        one = batch(*offsets)
        one.passed(Position("a", 0, 3), 0.0)
        one.refuse(letter("a:0:3"))
        with pytest.raises(LogAnew):
            bench.writer.write(one)
        assert bench.events == []


def test_a_busy_database_is_asked_again_after_growing_pauses_under_new_tokens() -> None:
    bench = Bench()
    bench.store.failures.extend(insert_error("busy") for _ in range(5))
    bench.writer.write(batch(0))

    assert bench.store.offsets == [0]
    assert len(set(bench.store.tokens)) == 6
    assert len(bench.stop.pauses) == 5
    assert bench.stop.pauses[4] > bench.stop.pauses[0]
    assert (bench.counts.retried_inserts, bench.counts.failed_inserts) == (5, 0)


def test_an_insert_without_an_answer_is_counted_as_failed() -> None:
    bench = Bench()
    bench.store.failures.append(insert_error("unanswered"))
    with pytest.raises(StoreUnreachable):
        bench.writer.write(batch(0))

    assert (bench.counts.retried_inserts, bench.counts.failed_inserts) == (0, 1)


def test_a_database_that_stays_busy_ends_the_sink_with_exit_code_3() -> None:
    bench = Bench()
    bench.store.failures.extend(insert_error("busy") for _ in range(1000))

    with pytest.raises(StoreUnreachable, match="refused inserts for") as caught:
        bench.writer.write(batch(0))
    assert caught.value.exit_code == EXIT_DEPENDENCY
    assert sum(bench.stop.pauses) < GIVE_UP_SECONDS + 2 * LONGEST_PAUSE_SECONDS


def test_being_told_to_stop_ends_the_waiting() -> None:
    bench = Bench()
    bench.store.failures.append(insert_error("busy"))
    bench.stop.set()

    with pytest.raises(Stopped):
        bench.writer.write(batch(0))


def test_no_answer_is_never_retried_since_the_rows_may_be_stored() -> None:
    bench = Bench()
    bench.store.failures.append(insert_error("unanswered"))

    with pytest.raises(StoreUnreachable, match="did not say"):
        bench.writer.write(batch(0))
    assert len(bench.store.tokens) == 1


def test_a_table_that_does_not_fit_stops_the_sink_without_letters() -> None:
    bench = Bench()
    bench.store.failures.append(insert_error("rejected", code=16))

    with pytest.raises(FatalError, match="obflow tables check"):
        bench.writer.write(batch(0, 1))
    assert bench.letters.published == []
    assert len(bench.store.tokens) == 1


@pytest.mark.parametrize("poisoned", [{0}, {7}, {3}, {2, 5}])
def test_a_poisoned_record_gets_a_letter_and_the_rest_is_stored_in_order(poisoned: set[int]) -> None:
    bench = Bench()
    bench.store.poisoned = poisoned
    written = bench.writer.write(batch(*range(8)))

    assert bench.store.offsets == [offset for offset in range(8) if offset not in poisoned]
    assert [found.letter_id for found in bench.letters.published] == [
        f"a-and-more:0:{offset}" for offset in sorted(poisoned)
    ]
    assert (written.rows, written.letters) == (8 - len(poisoned), len(poisoned))
    for offset in poisoned:  # nothing after a poisoned record is stored before its letter is on the log
        at = bench.events.index(f"letter a-and-more:0:{offset}")
        later = [event for event in bench.events[:at] if event.startswith("insert")]
        assert all(max(map(int, event[8:-1].split(", "))) < offset for event in later)


def test_a_poisoned_records_letter_names_its_instrument_and_carries_its_bytes() -> None:
    bench = Bench()
    bench.store.poisoned = {0}
    one = batch(0)
    bench.writer.write(one)
    [found] = bench.letters.published

    assert (found.venue, found.symbol, found.reason) == ("binance-futures", "X", "ImpossibleRecord")
    assert found.payload == one.entries[0].payload


def test_a_value_that_does_not_fit_its_column_is_poison_too() -> None:
    bench = Bench()
    one = batch(0, 2)
    bad = entry(Position("a", 0, 1), factors("X", [1], partition=70_000))
    one.entries.insert(1, bad)
    one.rows += 1
    bench.writer.write(one)

    assert bench.store.offsets == [0, 2]
    assert [found.letter_id for found in bench.letters.published] == ["a-and-more:0:1"]


@pytest.mark.parametrize("put", [entry, block_entry])
def test_of_a_record_with_refused_rows_all_others_are_stored_behind_its_letter(put: Any) -> None:
    bench = Bench()
    bench.store.poisoned_rows = {13, 14, 29}
    one = RowBatch(TABLES["factors"])
    for offset, first in enumerate(range(0, 40, 10)):
        one.add(put(Position("a", 0, offset), factors("X", list(range(first, first + 10)))))
    written = bench.writer.write(one)

    assert bench.store.source_offsets == [n for n in range(40) if n not in {13, 14, 29}]
    assert [found.letter_id for found in bench.letters.published] == ["a-and-more:0:1", "a-and-more:0:2"]
    assert (written.rows, written.letters) == (37, 2)
    for offset in (1, 2):  # a crash in the midst of them leaves rows out, but the letter is there
        letter_at = bench.events.index(f"letter a-and-more:0:{offset}")
        assert all(str(offset) not in event for event in bench.events[:letter_at] if event.startswith("insert"))


def test_many_refused_records_among_others_are_no_reason_to_stop() -> None:
    bench = Bench()
    bench.store.poisoned = {offset for offset in range(200) if offset % 4}
    written = bench.writer.write(batch(*range(200)))

    assert bench.store.offsets == list(range(0, 200, 4))
    assert (written.rows, written.letters) == (50, 150)


def test_a_refusal_nobody_can_explain_is_tried_again_and_then_found_out_row_by_row() -> None:
    bench = Bench()
    bench.store.unexplained = {5}
    written = bench.writer.write(batch(*range(8)))

    assert bench.store.offsets == [0, 1, 2, 3, 4, 6, 7]
    assert [found.letter_id for found in bench.letters.published] == ["a-and-more:0:5"]
    assert written.letters == 1
    assert len(bench.stop.pauses) == UNEXPLAINED_TRIES - 1, "only the first time"


def test_a_refusal_nobody_can_explain_that_passes_costs_nobody_a_letter() -> None:
    bench = Bench()
    bench.store.failures.extend(insert_error("rejected", code=9999) for _ in range(UNEXPLAINED_TRIES - 1))
    bench.writer.write(batch(0, 1))

    assert bench.store.offsets == [0, 1]
    assert bench.letters.published == []


def test_a_table_that_refuses_everything_stops_the_sink() -> None:
    bench = Bench()
    bench.store.poisoned = set(range(64))

    with pytest.raises(FatalError, match="refuses rows"):
        bench.writer.write(batch(*range(64)))
    assert len(bench.letters.published) == 16


def test_a_poisoned_letter_stops_the_sink_as_a_letter_about_it_would_be_poisoned() -> None:
    bench = Bench()
    table = TABLES["dead_letters"]
    writer = Writer(
        table,
        bench.store,  # type: ignore[arg-type] # as much of a store as a writer needs
        bench.letters,
        CLAIM,
        clock=bench.clock,
        stop=bench.stop,
    )
    one = RowBatch(table)
    position = Position("a", 0, 0)
    one.passed(position, 0.0)
    one.add(Entry(position, table.rows(letter("a:0:1"), position), b"", 0, origin_of(position)))
    bench.store.poisoned = {0}

    with pytest.raises(FatalError, match="refuses rows"):
        writer.write(one)
    assert bench.letters.published == []


def test_a_writer_whose_claim_is_not_the_highest_stores_nothing_and_goes() -> None:
    bench = Bench()
    bench.store.failures.append(insert_error("fenced"))

    with pytest.raises(ClaimLost, match="another sink has claimed partitions of factors: 2 rows are left to it"):
        bench.writer.write(batch(5, 6))
    assert bench.store.offsets == []
    assert bench.store.conditions == {CLAIM.condition}
    assert len(bench.store.tokens) == 1


def test_numbers_of_inserts_rise_though_the_clock_goes_back() -> None:
    bench = Bench()
    bench.writer.write(batch(0))
    bench.clock.step_wall(-3600)
    bench.writer.write(batch(1))

    numbers = [int(token.split(":")[1]) for token in bench.store.tokens]
    assert numbers[1] > numbers[0]
