"""A lost depth line of a recorded session is one gap, and nothing after it is believed.

`make test` drops 16 lines a recording, `OBFLOW_FUZZ=all` each one there is (6,545 and 3,447). How it is done: the
session is walked forward once; before each chosen line the stream is copied and the processor's state saved as its
checkpoint; from these the rest of the file is played, to its end, without the line. The rest holds every update and
every snapshot, for every 8th chosen line also all trades and quotes: they cannot make a book LIVE, as is seen there.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from orderbook.validity import Validity
from processors.factors.reference.state import InstrumentState
from producers.books.stream import InstrumentStream
from schemas.messages import FactorEvent, Kind, L2Record, Reason, Status
from tests.processors.feed import ENGINE
from tests.producers.messages import fork
from tests.research.parsed import ParsedRecording, parse_recording, play

pytestmark = [pytest.mark.recorded, pytest.mark.slow]

SESSIONS = {"binance-futures": (4, 6_545), "binance": (2, 3_447)}  # updates older than the snapshot; lines to drop
SAMPLE = 6
WITH_EVERYTHING = 6
EACH = pytest.mark.parametrize("venue", sorted(SESSIONS))


@pytest.fixture(scope="module", params=sorted(SESSIONS))
def session(request: pytest.FixtureRequest, recordings: Path) -> ParsedRecording:
    venue = str(request.param)
    return parse_recording(recordings / venue / "BTCUSDT-20240808.frames.jsonl.gz", venue)


def stale(session: ParsedRecording) -> int:
    return SESSIONS[session.venue][0]


class Saved(NamedTuple):
    """Everything as it was before one line."""

    number: int
    stream: InstrumentStream
    processor: bytes


def droppable(session: ParsedRecording) -> list[int]:
    """Depth lines after the bridging one and before the last."""
    between = session.updates[stale(session) + 1 : -1]
    assert len(between) == SESSIONS[session.venue][1]
    return between


def sampled(session: ParsedRecording) -> list[int]:
    return sorted(random.Random(3).sample(droppable(session), SAMPLE))


def saved_states(session: ParsedRecording, chosen: list[int]) -> Iterator[Saved]:
    """Walk the session forward once, and stop before each chosen line."""
    stream, state = session.stream(), ENGINE.fresh()
    position = offset = 0
    for number in chosen:
        offset = process(state, play(stream, session.lines[position:number]), offset)[1]
        position = number
        yield Saved(number, fork(stream), ENGINE.dump(state))


def process(state: InstrumentState, records: list[L2Record], offset: int) -> tuple[list[FactorEvent], int]:
    if not records:
        return [], offset
    offsets = range(offset, offset + len(records))
    return ENGINE.step(state, offsets, records).events(), offset + len(records)


@pytest.mark.timeout(3_600)
def test_a_lost_update_is_exactly_one_gap_and_no_event_is_ok_after_it(session: ParsedRecording) -> None:
    chosen = droppable(session) if os.environ.get("OBFLOW_FUZZ") == "all" else sampled(session)
    book_lines = session.book_lines
    where = {number: index for index, number in enumerate(book_lines)}
    for count, saved in enumerate(saved_states(session, chosen)):
        was_beyond = saved.stream.reason is Reason.BEYOND_SNAPSHOT
        was_live, applied = saved.stream.is_live, saved.stream.counters.deltas_applied
        if count % WITH_EVERYTHING == 0:
            rest = session.lines[saved.number + 1 :]
        else:
            rest = [session.lines[number] for number in book_lines[where[saved.number] + 1 :]]

        records = play(saved.stream, rest)
        events, _ = process(ENGINE.load(saved.processor), records, 10**9)

        assert saved.stream.counters.gaps == 1
        if was_beyond:  # nobody believes the book already: that it can no longer be followed is a status, no record
            assert (records, events) == ([], [])
            assert (saved.stream.tracked.validity, saved.stream.reason) == (Validity.INVALID, Reason.GAP)
            continue
        assert [(record.kind, record.reason) for record in records[-1:]] == [(Kind.INVALID, Reason.GAP)]
        assert [event.status for event in events[-1:]] == [Status.RESYNCING]
        if was_live:
            assert (len(records), len(events)) == (1, 1)
            assert saved.stream.counters.deltas_applied == applied
        else:  # received before the snapshot: what it bridges is applied first, the line after the lost one is not
            assert saved.number < session.snapshot
            assert [record.kind for record in records[:-1]] == [Kind.SNAPSHOT, Kind.DELTA]
        assert (saved.stream.tracked.validity, saved.stream.reason) == (Validity.INVALID, Reason.GAP)
    assert count + 1 == len(chosen)


def test_without_the_bridging_update_the_book_waits_and_says_why(session: ParsedRecording) -> None:
    bridging = session.updates[stale(session)]
    stream = session.stream()

    records = play(stream, [line for number, line in enumerate(session.lines) if number != bridging])

    assert records == []
    assert (stream.tracked.validity, stream.reason) == (Validity.AWAITING_SNAPSHOT, Reason.NO_BRIDGE)
    assert (stream.counters.gaps, stream.counters.deltas_applied) == (0, 0)


def test_without_an_update_older_than_the_snapshot_only_their_count_differs(session: ParsedRecording) -> None:
    whole = session.stream()
    expected = play(whole, session.lines)
    older = session.updates[: stale(session)]
    for dropped in older if os.environ.get("OBFLOW_FUZZ") == "all" else {older[0], older[-1]}:
        stream = session.stream()

        assert play(stream, [line for number, line in enumerate(session.lines) if number != dropped]) == expected

        assert vars(stream.counters) == vars(whole.counters) | {"deltas_dropped": stale(session) - 1}


def test_a_repeated_line_changes_nothing_at_once_or_later(session: ParsedRecording) -> None:
    for saved in saved_states(session, sampled(session)):
        index = session.updates.index(saved.number)
        play(saved.stream, [session.lines[number] for number in session.updates[index : index + 10]])
        book, duplicates = saved.stream.book.arrays(), saved.stream.counters.duplicates
        repeated = session.updates[max(0, index - 10) : index + 10]

        for number in repeated:
            assert play(saved.stream, [session.lines[number]]) == []

        assert saved.stream.book.arrays() == book
        assert saved.stream.counters.gaps == 0
        assert saved.stream.counters.duplicates - duplicates == len(repeated)


def test_swapped_neighbours_are_a_gap_not_a_wrong_book(session: ParsedRecording) -> None:
    for saved in saved_states(session, sampled(session)):
        index = session.updates.index(saved.number)
        first, second = session.updates[index : index + 2]

        before = saved.stream.reason
        records = play(saved.stream, [session.lines[second], session.lines[first]])

        was_beyond = before is Reason.BEYOND_SNAPSHOT
        assert [(record.kind, record.reason) for record in records] == [(Kind.INVALID, Reason.GAP)][was_beyond:]
        assert (saved.stream.is_live, saved.stream.reason) == (False, Reason.GAP)
