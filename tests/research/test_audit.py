"""What the audit reads out of the logs, without a broker."""

from __future__ import annotations

import pytest

from obflow.whole_log import Logged
from orderbook.validity import Outcome
from research.audit import EVENTFUL, Audit, emitted_events, expected_events
from schemas.codec import encode
from schemas.messages import InstrumentKey, Kind, L2Record, Reason, Source
from tests.sinks.records import factors

X, Y = InstrumentKey("binance", "X"), InstrumentKey("binance", "Y")


def record(kind: Kind, sequence: int, *, symbol: str = "X", epoch: int = 1, bid: int = 100, **more: object) -> L2Record:
    previous = sequence - 1 if kind is Kind.DELTA else None
    levels = {} if kind is Kind.INVALID else {"bid_ticks": [bid], "bid_lots": [1], "ask_ticks": [110], "ask_lots": [1]}
    fields = {"tick_size": "0.1", "lot_size": "1", "previous_sequence": previous, **levels, **more}
    return L2Record("binance", symbol, Source.LIVE, kind, epoch, sequence, sequence, **fields)  # type: ignore[arg-type]


def log(*records: L2Record | bytes, partition: int = 0) -> list[Logged]:
    payloads = [one if isinstance(one, bytes) else encode(one) for one in records]
    return [Logged(partition, offset, payload) for offset, payload in enumerate(payloads)]


def test_applied_deltas_and_snapshots_that_make_a_book_live_are_expected() -> None:
    found = expected_events(log(record(Kind.SNAPSHOT, 5), record(Kind.DELTA, 6), record(Kind.DELTA, 7)))

    assert found.events == {X: {(0, 0), (0, 1), (0, 2)}}


def test_routine_snapshots_and_what_a_book_that_is_not_live_ignores_are_not() -> None:
    found = expected_events(
        log(
            record(Kind.DELTA, 5),  # no book yet
            record(Kind.SNAPSHOT, 5),
            record(Kind.DELTA, 6, bid=100),
            record(Kind.SNAPSHOT, 6),  # routine: says what the book says
            record(Kind.DELTA, 9),  # a gap breaks the book
            record(Kind.DELTA, 10),  # ignored
            record(Kind.INVALID, 10, reason=Reason.GAP),
            record(Kind.SNAPSHOT, 20, epoch=0),  # of an older epoch
            record(Kind.SNAPSHOT, 20, epoch=2),
        )
    )

    assert found.events == {X: {(0, 1), (0, 2), (0, 4), (0, 6), (0, 8)}}


def test_instruments_have_books_of_their_own_and_one_without_events_is_named() -> None:
    found = expected_events(log(record(Kind.SNAPSHOT, 5), record(Kind.DELTA, 6, symbol="Y")))

    assert found.events == {X: {(0, 0)}, Y: set()}


@pytest.mark.parametrize("bad", [b"", b"\x00bad", record(Kind.SNAPSHOT, 5, lot_size="1e3")])
def test_a_record_that_a_processor_refuses_is_not_expected(bad: bytes | L2Record) -> None:
    found = expected_events(log(bad, record(Kind.SNAPSHOT, 5)))

    assert found.events == {X: {(0, 1)}}
    assert found.undecodable == 1


def test_every_outcome_is_judged() -> None:
    silent = {Outcome.ROUTINE, Outcome.IGNORED_OLD_EPOCH, Outcome.IGNORED_NOT_LIVE}

    assert set(Outcome) - EVENTFUL == silent


def test_events_sent_again_are_told_from_the_first_ones() -> None:
    records = [
        factors("X", [0, 1, 2]),
        factors("X", [2, 3]),
        factors("Y", [2]),
        factors("X", [0], source_log="another2"),
    ]
    found = emitted_events([*(Logged(0, n, encode(one)) for n, one in enumerate(records)), Logged(0, 9, b"bad")])

    assert (found.events, found.identities) == (7, 6)


def test_totals_are_the_sums_with_trades() -> None:
    counts = {"expected": 5, "stored": 3, "dead_lettered": 1, "lost": 1, "duplicates": 2, "unexpected": 0}
    found = Audit({"a:X": counts, "a:Y": counts}, trades_logged=10, trades_stored=7, trades_dead_lettered=1)

    assert (found.expected, found.stored, found.lost, found.duplicates) == (10, 6, 4, 4)
