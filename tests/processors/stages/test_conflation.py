"""What a worker that is late withholds: events alone, counted and told, and nothing of what they are computed from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pytest

from obflow.whole_log import Logged
from processors.contract import Batch, Emitted
from processors.factors.conflation import newest_of_each_status
from research.conflated import Conflated
from research.expected import expected_events
from schemas.codec import decode_as
from schemas.messages import FactorEvent, FactorRecord, InstrumentKey, Status
from schemas.withheld import Withheld, withheld_before
from tests.processors.staged import LOG, PARTITION, book_log, stage_of

RECORDS = book_log(31, 1, 300, wild=0.1)
ENGINES = ("reference", "kernel")
LIMIT_MS = 250.0
S0 = InstrumentKey("nowhere", "S0")


class Run:
    """A stage over `RECORDS`, so many a step, each so old as it is told."""

    def __init__(self, engine: str, ages_ms: list[float], step: int = 50) -> None:
        stage = stage_of("books", engine=engine, conflate_above_ms=LIMIT_MS)
        state = stage.fresh(str(S0))
        self.emitted: list[Emitted] = []
        for number, start in enumerate(range(0, len(RECORDS), step)):
            part = RECORDS[start : start + step]
            records = stage.decode([record.value for record in part])
            offsets = [record.offset for record in part]
            batch = Batch(str(S0), LOG.short_id, PARTITION, offsets, records, 0.0, ages_ms[number % len(ages_ms)])
            self.emitted.append(stage.step(state, batch))
        self.checkpoint = stage.dump(state)

    @property
    def logged(self) -> list[Logged]:
        emits = (emit for emitted in self.emitted for emit in emitted.records)
        return [Logged(0, at, emit.value, headers=emit.headers) for at, emit in enumerate(emits)]

    @property
    def events(self) -> list[FactorEvent]:
        return [event for logged in self.logged for event in decode_as(FactorRecord, logged.value).events]

    @property
    def withheld(self) -> float:
        counts = (count for emitted in self.emitted for count in emitted.counts)
        return sum(count.number for count in counts if count.metric == "obflow_withheld_total")


def book_records() -> Iterator[Logged]:
    return (Logged(PARTITION, record.offset, record.value or b"") for record in RECORDS)


def excused(run: Run) -> set[tuple[int, int]]:
    said = Conflated()
    for logged in run.logged:
        said.take(logged, decode_as(FactorRecord, logged.value))
    [(instrument, expected)] = expected_events(book_records()).events.items()
    return said.excused(instrument, LOG.short_id, expected)


@pytest.fixture(scope="module")
def whole() -> Run:
    return Run("reference", [0.0])


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_sent_is_the_same_to_the_bit_and_so_is_the_state(engine: str, whole: Run) -> None:
    late = Run(engine, [LIMIT_MS + 1])
    by_offset = {event.source_offset: event for event in whole.events}

    assert late.events == [by_offset[event.source_offset] for event in late.events]
    assert late.checkpoint == Run(engine, [0.0]).checkpoint
    assert 0 < len(late.events) < len(whole.events) / 3
    assert late.withheld == len(whole.events) - len(late.events)


def test_both_engines_withhold_the_same_events() -> None:
    first, second = (Run(engine, [0.0, LIMIT_MS + 1, LIMIT_MS + 1]) for engine in ENGINES)

    assert first.events == second.events
    assert [logged.headers for logged in first.logged] == [logged.headers for logged in second.logged]


def test_every_change_of_status_is_sent(whole: Run) -> None:
    late = Run("reference", [LIMIT_MS + 1], step=300)

    assert [event.status for event in late.events] == [status for status, _ in groupby(e.status for e in whole.events)]


@pytest.mark.parametrize("age_ms", [0.0, LIMIT_MS])
def test_records_that_are_not_late_have_all_their_events_and_no_header(age_ms: float, whole: Run) -> None:
    found = Run("reference", [age_ms])

    assert found.events == whole.events
    assert not any(logged.headers for logged in found.logged)
    assert found.withheld == 0


def test_a_record_holds_back_the_first_event_that_it_stands_for() -> None:
    for emitted in Run("reference", [LIMIT_MS + 1]).emitted:
        for emit in emitted.records:
            said = withheld_before(emit.headers)
            assert said is None or said.first_offset == emit.source_offset


def test_an_audit_excuses_what_was_withheld_and_nothing_else() -> None:
    late = Run("reference", [0.0, LIMIT_MS + 1])
    [expected] = expected_events(book_records()).events.values()

    assert excused(late) == expected - {(PARTITION, event.source_offset) for event in late.events}
    assert len(excused(late)) == late.withheld > 0


def test_a_stretch_that_says_another_number_than_the_log_excuses_nothing() -> None:
    late = Run("reference", [LIMIT_MS + 1], step=300)
    [first, *_] = late.logged
    wrong = withheld_before(first.headers)
    assert wrong is not None
    late.emitted[0] = Emitted([late.emitted[0].records[0]._replace(headers=(Withheld(wrong[0], wrong[1] - 1).header,))])

    assert excused(late) == set()


def test_what_a_record_sent_twice_says_is_excused_once() -> None:
    late = Run("reference", [LIMIT_MS + 1])
    once = excused(late)
    late.emitted += late.emitted[-1:]

    assert excused(late) == once


@pytest.mark.parametrize("said", [b"", b"5", b"-1 3", b"5 x", b"5 3 1", b"9" * 30 + b" 1"])
def test_a_header_that_is_none_of_ours_says_nothing(said: bytes) -> None:
    assert withheld_before([("obflow-withheld", said)]) is None


def test_the_last_of_each_stretch_of_one_status_is_kept() -> None:
    statuses = [Status.OK, Status.OK, Status.RESYNCING, Status.OK, Status.OK]

    assert newest_of_each_status(statuses) == [1, 2, 4]
    assert newest_of_each_status([]) == []
