"""A worker takes what comes, stores each row once, and never lets a record out of its sight."""

import threading

import pytest

from schemas.codec import decode_as, encode
from schemas.errors import StoreUnreachable
from schemas.logs import Origin, Position
from schemas.messages import DeadLetter
from sinks.batching import Limits
from sinks.consumer import PAUSE_SECONDS, SHORT_POLL_SECONDS, Submit, Worker
from sinks.contract import Row
from sinks.identities import Identities
from sinks.reader import Read
from sinks.recheck import RecheckResult
from sinks.tables import TABLES
from sinks.writer import Stopped
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.fakes import FakeReader, FakeWriter, Held, at_once, read
from tests.sinks.records import factors
from tests.support.manual_clock import ManualClock


class Bench:
    """A worker between a fake log and a fake database."""

    def __init__(
        self,
        reads: list[Read],
        *,
        table: str = "factors",
        rows: int = 4,
        max_buffered_rows: int = 100,
        submit: Submit = at_once,
        poll_records: int = 1000,
    ) -> None:
        self.clock = ManualClock()
        self.reader = FakeReader(reads, poll_records)
        self.writer = FakeWriter()
        self.stored: set[int] = set()
        self.holds = True
        self.looked_at: list[list[Row]] = []
        self.verdict = RecheckResult(0, [], 0)
        self.worker = Worker(
            TABLES[table],
            self.reader,
            self.writer,
            Identities(TABLES[table], {}),
            recheck=self._recheck,
            find_stored=lambda rows: self.stored,
            limits=Limits(rows, 1.0),
            max_buffered_rows=max_buffered_rows,
            clock=self.clock,
            submit=submit,
            holds=lambda: self.holds,
        )

    def _recheck(self, rows: list[Row], now_s: float) -> RecheckResult:
        self.looked_at.append(rows)
        return self.verdict

    @property
    def offsets(self) -> list[int]:
        """Source offsets of the rows written, in order."""
        table = self.worker.table
        return [
            table.source_offset(row) for batch in self.writer.batches for entry in batch.entries for row in entry.rows
        ]


def events(offset: int, *source_offsets: int, **where: int) -> Read:
    return read(offset, encode(factors("X", list(source_offsets))), **where)  # type: ignore[arg-type] # a partition


def test_a_full_batch_is_written_and_its_progress_committed_once_it_is_stored() -> None:
    held = Held()
    bench = Bench([events(0, 0, 1), events(1, 2, 3), events(2, 4)], submit=held.submit)
    bench.worker.step(0)
    assert bench.reader.committed == {}

    held.work()
    bench.worker.step(0)
    assert bench.offsets == [0, 1, 2, 3]
    assert bench.reader.committed == {("factlogf", 0): 2}


def test_a_small_batch_is_written_after_its_time() -> None:
    bench = Bench([events(0, 0)])
    bench.worker.step(0)
    assert bench.offsets == []

    bench.clock.advance(1.0)
    bench.worker.step(0)
    assert bench.offsets == [0]


def test_repeated_events_are_not_stored_and_are_looked_at() -> None:
    bench = Bench([events(0, 0, 1, 2, 3), events(1, 2, 3, 4, 5)])
    bench.verdict = RecheckResult(1, [], 1)
    bench.worker.step(0)
    bench.worker.drain(1)

    assert bench.offsets == [0, 1, 2, 3, 4, 5]
    assert [len(rows) for rows in bench.looked_at] == [2]
    assert (bench.worker.counts.repeated, bench.worker.counts.unchecked) == (2, 1)


def test_a_replay_that_differs_is_counted_as_an_alarm() -> None:
    bench = Bench([events(0, 0, 1), events(1, 0, 1)])
    bench.verdict = RecheckResult(1, [1], 0)
    bench.worker.step(0)

    assert bench.worker.counts.different == 1


def test_a_record_that_does_not_decode_becomes_a_letter_and_the_partition_goes_on() -> None:
    bench = Bench([events(0, 0), read(1, b"\x00garbage"), events(2, 1, 2, 3)])
    bench.worker.step(0)
    [letter] = bench.writer.letters

    assert bench.offsets == [0, 1, 2, 3]
    assert (letter.letter_id, letter.role, letter.reason) == ("factlogf-and-more:0:1", "sink", "DecodeError")
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == ("factors.v1", 0, 1)
    assert (letter.payload, letter.payload_bytes, letter.received_ns) == (b"\x00garbage", 8, 1_000_000)
    assert bench.worker.counts.refused == {"DecodeError": 1}


def test_a_letter_is_in_the_same_batch_as_the_records_around_it() -> None:
    """The insert that passes its offset must not happen before it is on the log."""
    bench = Bench([read(0, b"bad"), events(1, 0, 1, 2, 3)])
    bench.worker.step(0)

    assert [(len(batch.letters), batch.rows) for batch in bench.writer.batches] == [(1, 4)]


def test_a_record_without_bytes_becomes_a_letter() -> None:
    bench = Bench([read(0, b"")])
    bench.clock.advance(0)
    bench.worker.step(0)
    bench.worker.drain(1)

    assert [letter.reason for letter in bench.writer.letters] == ["DecodeError"]


def test_a_letter_that_does_not_decode_is_stored_as_a_letter_and_goes_round_no_more() -> None:
    good = encode(load(EXAMPLES / "dead-letters/v1/frame.json"))
    bench = Bench([read(0, b"\x00bad"), read(1, good)], table="dead_letters")
    bench.worker.step(0)
    bench.worker.drain(1)
    rows = [row for entry in bench.writer.batches[0].entries for row in entry.rows]

    assert bench.writer.letters == []
    assert rows[0][:3] == ("factlogf-and-more:0:0", "sink", "DecodeError")
    assert rows[1][0] == decode_as(DeadLetter, good).letter_id
    assert bench.worker.counts.dead_lettered == 1


def slow(bench: Bench) -> None:
    """Let an insert take longer than a full worker waits without a pause."""
    for _ in range(40):
        bench.worker.step(0)
    assert not bench.reader.paused, "it would forget what it has fetched"
    bench.clock.advance(PAUSE_SECONDS)
    bench.worker.step(0)
    assert bench.reader.paused


def test_what_is_buffered_is_bounded_and_reading_goes_on_once_it_is_written() -> None:
    held = Held()
    reads = [events(n, n) for n in range(40)]
    bench = Bench(reads, rows=4, max_buffered_rows=10, submit=held.submit, poll_records=1)
    slow(bench)
    assert bench.worker.buffered_rows == 4 + 5, "an insert on its way, and half of what may be held"

    held.work()
    for _ in range(80):
        bench.worker.step(0)
        held.work()
    bench.clock.advance(1)
    bench.worker.step(0)
    held.work()
    assert bench.offsets == list(range(40))


def test_letters_about_records_without_bytes_are_bounded_too() -> None:
    held = Held()
    bench = Bench([read(n, b"") for n in range(40)], rows=4, max_buffered_rows=10, submit=held.submit, poll_records=1)
    slow(bench)
    assert bench.worker.buffered_rows == 4 + 5


def test_a_full_worker_goes_on_reading_as_soon_as_its_insert_has_ended() -> None:
    held = Held()
    bench = Bench([events(n, n) for n in range(40)], rows=4, max_buffered_rows=10, submit=held.submit, poll_records=1)
    for _ in range(12):
        bench.worker.step(0)
    polls = len(bench.reader.waited_s)
    bench.worker.step(0)
    assert len(bench.reader.waited_s) == polls, "there is no room for more"

    held.work()
    bench.worker.step(0)  # the next insert begins, with all that was read meanwhile
    bench.worker.step(0)
    assert bench.worker.buffered_rows == 5 + 1


def test_never_more_is_buffered_than_may_be_however_large_an_insert_is_to_be() -> None:
    held = Held()
    bench = Bench([events(n, n) for n in range(40)], rows=8, max_buffered_rows=10, submit=held.submit, poll_records=1)
    slow(bench)
    assert bench.worker.buffered_rows == 10


def test_one_insert_is_in_flight_at_a_time() -> None:
    held = Held()
    bench = Bench([events(n, n) for n in range(20)], rows=2, submit=held.submit, poll_records=2)
    for _ in range(10):
        bench.worker.step(0)

    assert len(held.waiting) == 1


def test_while_an_insert_is_on_its_way_no_poll_waits_long() -> None:
    held = Held()
    bench = Bench([events(0, 0, 1, 2, 3)], submit=held.submit)
    for _ in range(2):
        bench.worker.step(0.1)
    held.work()
    for _ in range(2):
        bench.worker.step(0.1)

    assert bench.reader.waited_s == [0.1, SHORT_POLL_SECONDS, SHORT_POLL_SECONDS, 0.1]


def test_stopping_writes_what_is_buffered() -> None:
    bench = Bench([events(0, 0)])
    bench.worker.step(0)
    stop = threading.Event()
    stop.set()
    bench.worker.run(stop)

    assert bench.offsets == [0]
    assert bench.reader.committed == {("factlogf", 0): 1}
    assert bench.reader.closed


def test_stopping_does_not_wait_for_a_database_that_does_not_answer() -> None:
    held = Held()
    bench = Bench([events(0, 0, 1, 2, 3)], submit=held.submit)
    bench.worker.step(0)
    bench.worker.drain(0.01)

    assert bench.offsets == []
    assert bench.reader.committed == {}


def test_being_told_to_stop_while_waiting_to_insert_is_no_failure() -> None:
    bench = Bench([events(0, 0, 1, 2, 3)])
    bench.writer.error = Stopped()
    bench.worker.run(threading.Event())

    assert bench.reader.closed


def test_a_failed_insert_ends_the_worker_and_commits_nothing() -> None:
    bench = Bench([events(0, 0, 1, 2, 3)])
    bench.writer.error = StoreUnreachable("gone")

    with pytest.raises(StoreUnreachable, match="gone"):
        bench.worker.run(threading.Event())
    assert bench.reader.committed == {}
    assert bench.reader.closed


def test_a_record_sent_again_by_hand_is_stored_though_later_ones_are() -> None:
    again = events(9, 1, 2, origin=Origin("factors.v1", "factlogf-and-more", 0, 1))  # type: ignore[arg-type]
    bench = Bench([events(0, 0, 3, 4, 5), again])
    bench.stored = {0, 2, 3, 4, 5}
    bench.worker.step(0)
    bench.worker.drain(1)

    assert bench.offsets == [0, 3, 4, 5, 1]
    assert bench.worker.counts.repeated == 1


def test_a_trade_sent_again_by_hand_keeps_the_identity_of_the_first_record() -> None:
    payload = encode(load(EXAMPLES / "trades/v1/buy.json"))
    bench = Bench([read(9, payload, origin=Origin("trades.v1", "oldlogol-and-more", 3, 4))], table="trades")
    bench.worker.step(0)
    bench.worker.drain(1)
    [entry] = bench.writer.batches[0].entries

    assert entry.rows[0][-3:] == ("oldlogol", 3, 4)
    assert entry.position == Position("factlogf", 0, 9)


def test_a_worker_whose_partitions_change_drops_what_it_has_not_sent() -> None:
    held = Held()
    bench = Bench([events(0, 0, 1, 2, 3), events(1, 4, 5)], submit=held.submit, poll_records=1)
    bench.worker.step(0.0)
    bench.worker.step(0.0)
    assert (len(held.waiting), bench.worker.buffered_rows) == (1, 6)
    bench.holds = False
    working = threading.Timer(0.05, held.work)
    working.start()
    bench.worker.run(threading.Event())

    assert bench.offsets == [0, 1, 2, 3]
    assert bench.reader.closed
    assert not working.is_alive() or working.join() is None
