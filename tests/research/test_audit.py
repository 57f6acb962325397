"""What the audit reads out of the logs, without a broker."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from obflow.doctor import AuditLine, audit_problems
from obflow.whole_log import Logged
from orderbook.validity import Outcome
from research.audit import EVENTFUL, Audit, emitted_events, expected_events
from research.counted import CountedRows
from research.expected import expected_changes, identity_of, places, written_letters, written_verdicts
from research.stored import LOG_COLUMN, UNIQUE
from research.unseen import FED_BY
from schemas.codec import encode
from schemas.logs import ORIGIN_HEADER, LogId
from schemas.messages import (
    DeadLetter,
    FeedState,
    FeedStatus,
    InstrumentKey,
    Kind,
    L2Record,
    Reason,
    RegimeEvent,
    Source,
)
from sinks.tables import TABLES
from tests.schemas.examples import EXAMPLES, load
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
    found = Audit({"a:X": counts, "a:Y": counts}, trades=CountedRows(logged=10, stored=7, dead_lettered=1))

    assert (found.expected, found.stored, found.lost, found.duplicates) == (10, 6, 4, 4)


NAME = LogId("x.v1", "topicidtopicidtopicid0")


def status(state: FeedState, *, heartbeat: bool = False, source: Source = Source.LIVE) -> bytes:
    return encode(FeedStatus("binance", "X", source, state, 1, 0, heartbeat=heartbeat))


def test_changes_of_a_feed_are_expected_and_heartbeats_are_not() -> None:
    payloads = [status(FeedState.LIVE), status(FeedState.LIVE, heartbeat=True), b"bad", status(FeedState.STALE)]
    found = expected_changes([Logged(1, n, payload, 1000 + n) for n, payload in enumerate(payloads)], NAME)

    assert found.changes == {(1, 0), (1, 2), (1, 3)}
    assert {key: (word.state, word.written_ms) for key, word in found.last.items()} == {
        (X, "live"): (FeedState.STALE, 1003)
    }


def test_the_farewell_of_a_producer_that_gave_way_is_no_feeds_last_word() -> None:
    payloads = [status(FeedState.LIVE), status(FeedState.STOPPED, heartbeat=True)]
    found = expected_changes([Logged(0, n, payload) for n, payload in enumerate(payloads)], NAME)

    assert [word.state for word in found.last.values()] == [FeedState.LIVE]


def test_a_record_sent_again_by_hand_is_expected_where_the_first_one_was() -> None:
    log = [
        Logged(3, 9, b"", headers=((ORIGIN_HEADER, f"{NAME.topic_id}:3:7".encode()),)),
        Logged(0, 2, b"", headers=((ORIGIN_HEADER, b"anothertopic:0:8"),)),
        *(
            Logged(0, 3, b"", headers=((ORIGIN_HEADER, origin.encode()),))
            for origin in ("nonsense", f"{NAME.topic_id}:1:0", f"{NAME.topic_id}:0:3", f"{NAME.topic_id}:0:x")
        ),
        Logged(0, 4, b""),
    ]

    assert [identity_of(logged, NAME) for logged in log] == [(3, 7), None, *[(0, 3)] * 4, (0, 4)]
    assert places(log, NAME) == {(3, 7), (0, 3), (0, 4)}


def test_a_letter_that_cannot_be_read_is_the_sinks_about_itself() -> None:
    letter = DeadLetter("a:0:1", "processor", "DecodeError", "no", 1, b"", 0)
    found = written_letters([Logged(0, 0, encode(letter)), Logged(0, 1, encode(letter)), Logged(2, 5, b"bad")], NAME)

    assert found == {("a:0:1", "processor"), (f"{NAME.topic_id}:2:5", "sink")}


def test_judgements_are_told_apart_by_who_judged() -> None:
    examples = [load(EXAMPLES / f"regimes/v1/{name}.json") for name in ("rule", "llm", "warming_up")]
    found = written_verdicts([*(Logged(0, n, encode(one)) for n, one in enumerate(examples)), Logged(0, 9, b"bad")])

    assert (len(found.rules), len(found.model)) == (2, 1)


def test_two_arms_that_judged_one_window_are_two_judgements() -> None:
    answer = load(EXAMPLES / "regimes/v4/llm.json")
    assert isinstance(answer, RegimeEvent)
    told = [answer, replace(answer, arm="blue"), replace(answer, arm="green"), answer]
    found = written_verdicts(Logged(0, n, encode(one)) for n, one in enumerate(told))

    assert {one.arm for one in found.model} == {answer.arm, "blue", "green"}


def test_every_table_is_audited() -> None:
    assert {name: table.topic for name, table in TABLES.items()} == FED_BY
    assert set(LOG_COLUMN) == set(TABLES)
    assert set(UNIQUE) == set(TABLES) - {"factors", "dead_letters"}  # one by instrument, the other by the engine


def test_what_any_line_counts_as_lost_or_doubled_is_in_the_totals_and_a_problem() -> None:
    fine = {"expected": 5, "stored": 5, "dead_lettered": 0, "lost": 0, "duplicates": 0, "unexpected": 0}
    regimes = AuditLine("regimes", {"lost": 2, "duplicates": 1}, ("2 lost", "1 duplicates"))
    found = Audit({"a:X": fine}, trades=CountedRows(logged=4, stored=3), tables=[regimes])

    assert (found.lost, found.duplicates) == (3, 1)
    assert audit_problems(found) == ["trades: 1 lost", "regimes: 2 lost, 1 duplicates"]
