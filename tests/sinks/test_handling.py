"""Whatever is wrong with a record is said in a letter about it; what passes is raised and nobody is blamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from obflow.clickhouse import QueryFailed
from schemas.codec import encode
from schemas.errors import BrokerUnreachable, FatalError, ForeignRecord, StoreUnreachable
from schemas.logs import Origin, Position
from schemas.messages import DeadLetter, Record
from schemas.partitions import partition_of
from schemas.places import Extent, NamedPlace, is_inside
from sinks.batching import Entry
from sinks.blocks import BlockDecoder, BlockRows, Rows
from sinks.contract import Row
from sinks.counts import Counts
from sinks.handling import MAX_UNFORESEEN, Dropped, RecordHandler
from sinks.identities import Identities
from sinks.judge import Judge
from sinks.preflight import LogAnew
from sinks.reader import Read, may_be_first
from sinks.recheck import RecheckResult
from sinks.tables import TABLES
from tests.schemas.examples import EXAMPLES, load
from tests.sinks.decoded import decoder
from tests.sinks.fakes import read
from tests.sinks.records import SOURCE_LOG, event, factors

PARTITIONS = 24
HOME = partition_of("binance-futures:X", PARTITIONS)
POSITION = Position("factlogf", HOME, 0)


class Ends:
    """The books' log, whose end only the broker knows."""

    def __init__(self, end: int, log: str = SOURCE_LOG) -> None:
        self.known = Extent(log, {})
        self.true = Extent(log, dict.fromkeys(range(PARTITIONS), end))
        self.asked = 0
        self.error: Exception | None = None

    @property
    def extent(self) -> Extent:
        return self.known

    def expire(self) -> None:
        """Nothing is remembered but the last answer."""

    def knows(self, named: NamedPlace) -> bool:
        return is_inside(named, self.known)

    def refresh(self, named: NamedPlace) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.known = self.true


class Bench:
    """A handler of one table's records."""

    def __init__(
        self,
        table: str = "factors",
        ends: Ends | None = None,
        dropped: Dropped | None = None,
        decoder: BlockDecoder | None = None,
        require_same_log: Callable[[], None] = lambda: None,
    ) -> None:
        self.table = TABLES[table]
        self.counts = Counts()
        self.recheck: Callable[[Rows], RecheckResult] = lambda rows: RecheckResult(len(rows), [], 0)
        self.find_stored: Callable[[Rows], set[int]] = lambda rows: set()
        self.flushed = 0
        self.handler = RecordHandler(
            self.table,
            Identities(self.table, {}),
            judge=Judge(PARTITIONS, ends, require_same_log),  # type: ignore[arg-type] # as much of it as is asked
            recheck=lambda rows: self.recheck(rows),
            find_stored=lambda rows: self.find_stored(rows),
            flush=self._flush,
            counts=self.counts,
            dropped=dropped,
            decoder=decoder,
        )

    def _flush(self) -> None:
        self.flushed += 1

    def handle(self, record: Record, *, partition: int = HOME, offset: int = 0, **where: Any) -> Any:
        return self.handler.handle(read(offset, encode(record), partition=partition)._replace(**where))


def at_home(*offsets: int, **changes: Any) -> Record:
    return msgspec.structs.replace(factors("X", list(offsets), partition=HOME), **changes)


def test_a_record_of_this_log_is_stored() -> None:
    bench = Bench(ends=Ends(10))

    assert isinstance(bench.handle(at_home(0, 9)), Entry)
    assert bench.counts.refused == {}


class DroppedNames:
    """Two looks: nothing is dropped at first."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def __contains__(self, run: object) -> bool:
        return self.looks > 1 and run == "replay/binance/1/abc/1-2"


def test_nothing_is_stored_of_a_run_once_it_was_dropped() -> None:
    bench = Bench(dropped=DroppedNames())
    bench.handler.begin()
    assert isinstance(bench.handle(at_home(0, run="replay/binance/1/abc/1-2")), Entry)
    bench.handler.begin()

    assert bench.handle(at_home(1, run="replay/binance/1/abc/1-2"), offset=1) is None
    assert isinstance(bench.handle(at_home(2, run="replay/binance/2/abc/1-2"), offset=2), Entry)
    assert bench.counts.dropped == 1


def test_a_record_in_another_partition_is_refused() -> None:
    bench = Bench(ends=Ends(10))
    letter = bench.handle(at_home(0), partition=(HOME + 1) % PARTITIONS)

    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.venue, letter.symbol) == ("ForeignRecord", "binance-futures", "X")
    assert "its key belongs in" in letter.error


@pytest.mark.parametrize("where", [{"partition": (HOME + 1) % PARTITIONS}, {"false_origin": True}])
def test_no_record_is_called_foreign_by_the_partitions_of_a_log_that_is_no_more(where: dict[str, Any]) -> None:
    def anew() -> None:
        raise LogAnew("the topic was made anew")

    bench = Bench(require_same_log=anew)
    assert isinstance(bench.handle(at_home(0)), Entry)
    with pytest.raises(LogAnew):
        bench.handle(at_home(1), offset=1, **where)
    assert bench.counts.refused == {}


def test_the_broker_is_asked_once_a_poll_whose_log_holds_foreign_records() -> None:
    asked = []
    bench = Bench(require_same_log=lambda: asked.append(1))
    for poll in range(3):
        bench.handler.begin()
        for number in range(5):
            bench.handle(at_home(number), partition=(HOME + 1) % PARTITIONS, offset=poll * 5 + number)
    assert len(asked) == 3
    assert bench.counts.refused == {"ForeignRecord": 15}


def test_an_event_of_a_place_without_record_is_refused_and_what_follows_is_stored() -> None:
    bench = Bench(ends=Ends(10))
    refused = bench.handle(at_home(3, 2**40))
    stored = bench.handle(at_home(3, 4), offset=1)

    assert refused.reason == "ForeignRecord"
    assert [row[-1] for row in stored.rows] == [3, 4]


def test_an_event_of_another_instruments_partition_is_refused() -> None:
    bench = Bench(ends=Ends(10))

    assert bench.handle(at_home(0, source_partition=(HOME + 1) % PARTITIONS)).reason == "ForeignRecord"


def test_an_event_of_a_log_that_is_gone_stands_under_that_logs_name() -> None:
    bench = Bench(ends=Ends(10))
    stored = bench.handle(at_home(2**40, source_log="formerly"))

    assert bench.table.stream(stored.rows[0]).log == "formerly"
    assert isinstance(bench.handle(at_home(0)), Entry)


def test_a_broker_that_does_not_answer_is_no_fault_of_the_record() -> None:
    ends = Ends(10)
    ends.error = BrokerUnreachable("gone")
    bench = Bench(ends=ends)

    with pytest.raises(BrokerUnreachable):
        bench.handle(at_home(0))
    assert bench.counts.refused == {}


def test_an_epoch_far_ahead_is_refused() -> None:
    status = msgspec.structs.replace(load(EXAMPLES / "feed-status/v1/live.json"), epoch=9_000_000_000_000)
    home = partition_of(str(status.instrument), PARTITIONS)  # type: ignore[union-attr] # of no letter
    letter = Bench("feed_status").handle(status, partition=home)

    assert letter.reason == "ImpossibleRecord"
    assert "a day ahead" in letter.error


def test_a_comparison_that_fails_stops_nothing() -> None:
    bench = Bench(ends=Ends(10))
    bench.recheck = failing(QueryFailed("[-1] cannot be parsed as Array(UInt64)"))
    bench.handle(at_home(0, 1))
    again = bench.handle(at_home(0, 1, 2), offset=1)

    assert [row[-1] for row in again.rows] == [2]
    assert (bench.counts.repeated, bench.counts.unchecked, bench.counts.refused) == (2, 2, {})


def failing(error: Exception) -> Callable[[list[Row]], Any]:
    def fail(rows: list[Row]) -> Any:
        raise error

    return fail


def test_an_error_nobody_foresaw_is_a_letter_about_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(ends=Ends(100))
    rows = bench.table.rows

    def mistaken(record: Any, position: Any) -> list[Row]:
        if record.events[0].source_offset == 7:
            raise KeyError("a mistake")
        return rows(record, position)

    monkeypatch.setitem(bench.table.__dict__, "rows", mistaken)
    letter = bench.handle(at_home(7))

    assert (letter.reason, letter.error) == ("Unprocessable", "handling it failed (KeyError)")
    assert letter.payload == encode(at_home(7))
    assert isinstance(bench.handle(at_home(8), offset=1), Entry)


def test_a_mistake_in_every_record_is_the_codes_and_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(ends=Ends(100))
    monkeypatch.setitem(bench.table.__dict__, "rows", failing_rows)
    for offset in range(MAX_UNFORESEEN):
        assert bench.handle(at_home(offset), offset=offset).reason == "Unprocessable"

    with pytest.raises(FatalError, match="mistake in the code"):
        bench.handle(at_home(50), offset=50)


def failing_rows(record: Any, position: Any) -> list[Row]:
    raise KeyError("a mistake")


@pytest.mark.parametrize("error", [StoreUnreachable("gone"), MemoryError(), ConnectionResetError()])
def test_what_passes_is_raised_and_the_record_is_not_blamed(error: Exception) -> None:
    bench = Bench(ends=Ends(10))
    bench.find_stored = failing(error)

    with pytest.raises(type(error)):
        bench.handle(at_home(1), offset=5, origin=own(1), sent_again=True)
    assert bench.counts.refused == {}


def test_a_look_the_database_refuses_is_a_letter() -> None:
    bench = Bench(ends=Ends(10))
    bench.find_stored = failing(QueryFailed("cannot be parsed"))
    letter = bench.handle(at_home(1), offset=5, origin=own(1), sent_again=True)

    assert letter.reason == "Unprocessable"
    assert letter.source_offset == 1


def own(offset: int, partition: int = HOME) -> Origin:
    return Origin("factors.v1", "factlogf-and-more", partition, offset)


@pytest.mark.parametrize("first", [own(7), own(8), own(2**62), own(3, HOME + 1)])
def test_a_record_was_not_sent_first_where_it_cannot_have_been(first: Origin) -> None:
    assert not may_be_first(first, own(7))


def test_a_record_may_have_been_sent_first_earlier_or_in_a_log_that_is_gone() -> None:
    assert may_be_first(own(6), own(7))
    assert may_be_first(Origin("factors.v1", "another", 3, 2**40), own(7))


def test_a_false_origin_is_a_letter_about_where_the_record_lies() -> None:
    letter = Bench(ends=Ends(10)).handle(at_home(1), offset=5, false_origin=True)

    assert letter.reason == "ForeignRecord"
    assert (letter.source_partition, letter.source_offset) == (HOME, 5)


def test_a_letter_about_a_letter_is_stored_and_goes_round_no_more() -> None:
    bench = Bench("dead_letters")
    stored = bench.handler.handle(Read(read(4, b"").position, b"\x1b" * 7_000_000, 1, own(4)))

    assert isinstance(stored, Entry)
    [row] = stored.rows
    assert row[2] == "DecodeError"
    assert (len(row[10]), row[11]) == (65_536, 7_000_000)
    assert ForeignRecord.__name__ not in bench.counts.refused


def polled(*payloads: bytes, first: int = 0) -> list[Read]:
    return [read(first + at, payload, partition=HOME) for at, payload in enumerate(payloads)]


def test_a_cut_record_of_a_poll_is_a_letter_of_its_own_and_all_others_are_stored() -> None:
    bench = Bench(ends=Ends(100), decoder=decoder())
    reads = polled(encode(at_home(0, 1)), encode(at_home(2, 3))[:-9], encode(at_home(4)), encode(at_home(5, 6)))
    bench.handler.begin(reads)
    first, letter, *rest = [bench.handler.handle(one) for one in reads]

    assert isinstance(letter, DeadLetter)
    assert (letter.reason, letter.source_partition, letter.source_offset) == ("DecodeError", HOME, 1)
    assert letter.payload == reads[1].payload
    stored = [first, *rest]
    assert all(isinstance(entry.rows, BlockRows) for entry in stored)  # type: ignore[union-attr] # entries
    assert [[row[-1] for row in entry.rows] for entry in stored] == [[0, 1], [4], [5, 6]]  # type: ignore[union-attr]
    assert [entry.position.offset for entry in stored] == [0, 2, 3]  # type: ignore[union-attr] # entries
    assert (bench.counts.compiled, bench.counts.referred) == (3, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"symbol": "Y"}, "ForeignRecord"),
        ({"source_partition": (HOME + 1) % PARTITIONS}, "ForeignRecord"),
        ({"events": [event(2**40)]}, "ForeignRecord"),
    ],
)
def test_a_record_of_a_poll_that_breaks_a_rule_gets_the_letter_it_gets_by_itself(
    changes: dict[str, Any], reason: str
) -> None:
    payload = encode(at_home(1, 2, **changes))
    letters = []
    for way in (None, decoder()):
        bench = Bench(ends=Ends(100), decoder=way)
        bench.handler.begin(polled(payload, first=7))
        letters.append(bench.handler.handle(read(7, payload, partition=HOME)))

    assert letters[0] == letters[1]
    assert letters[1].reason == reason  # type: ignore[union-attr] # a letter


def test_nothing_of_a_dropped_run_is_stored_of_a_poll_decoded_at_once() -> None:
    bench = Bench(dropped=DroppedNames(), decoder=decoder())
    for at in range(2):
        reads = polled(encode(at_home(at, run="replay/binance/1/abc/1-2")), first=at)
        bench.handler.begin(reads)
        assert (bench.handler.handle(reads[0]) is None) == (at == 1)
    assert bench.counts.dropped == 1


def test_what_comes_again_in_a_poll_is_compared_row_by_row() -> None:
    bench = Bench(ends=Ends(100), decoder=decoder())
    looked_at: list[Row] = []
    bench.recheck = lambda rows: looked_at.extend(rows) or RecheckResult(len(rows), [], 0)  # type: ignore[func-returns-value]
    reads = polled(encode(at_home(0, 1)), encode(at_home(1, 2)), encode(at_home(0, 2)))
    bench.handler.begin(reads)
    stored = [bench.handler.handle(one) for one in reads]

    assert [row[-1] for row in stored[1].rows] == [2]  # type: ignore[union-attr] # an entry
    assert stored[2] is None
    assert looked_at == [*bench.table.rows(at_home(1), POSITION), *bench.table.rows(at_home(0, 2), POSITION)]


def test_a_record_sent_again_by_hand_is_looked_at_by_itself() -> None:
    bench = Bench(ends=Ends(100), decoder=decoder())
    again = read(5, encode(at_home(1)), partition=HOME, origin=own(1))
    bench.handler.begin([again])
    stored = bench.handler.handle(again)

    assert not isinstance(stored.rows, BlockRows)  # type: ignore[union-attr] # an entry
    assert (bench.counts.compiled, bench.counts.referred, bench.flushed) == (0, 1, 1)
