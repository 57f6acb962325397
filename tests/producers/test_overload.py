"""Shedding in the open: what a reader gets is whole, or says that it is not."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.books.records import ProducerRecord
from producers.broker import overload as outlet_module
from producers.broker.overload import Outlet
from schemas.messages import (
    DeadLetter,
    FeedState,
    FeedStatus,
    Kind,
    L2Record,
    Reason,
    Source,
    TradeRecord,
)
from tests.support.tiers import fourth_of


class FakeBroker:
    """A queue of some room; `drain` is the broker catching up."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.waiting = 0
        self.log: list[ProducerRecord] = []

    def offer(self, record: ProducerRecord) -> bool:
        if self.waiting >= self.room:
            return False
        self.waiting += 1
        self.log.append(record)
        return True

    def drain(self, count: int | None = None) -> None:
        self.waiting -= self.waiting if count is None else min(count, self.waiting)


class FakeStream:
    """An instrument's stream, as far as an outlet sees it."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.live = False
        self.epoch = 0
        self.sequence = 0

    def snapshot(self) -> list[ProducerRecord]:
        self.live, self.epoch, self.sequence = True, self.epoch + 1, self.sequence + 10
        return [self._l2(Kind.SNAPSHOT), self._status(FeedState.LIVE)]

    def delta(self) -> list[ProducerRecord]:
        if not self.live:
            return []
        previous, self.sequence = self.sequence, self.sequence + 1
        return [self._l2(Kind.DELTA, previous=previous)]

    def trade(self) -> list[ProducerRecord]:
        return [TradeRecord("v", self.symbol, Source.LIVE, "1", 0, "1", "1", 5, 5)]

    def overload(self) -> list[ProducerRecord]:
        if not self.live:
            return []
        self.live = False
        return [self._l2(Kind.INVALID, reason=Reason.OVERLOAD), self._status(FeedState.INVALID)]

    def _l2(self, kind: Kind, previous: int | None = None, reason: Reason | None = None) -> L2Record:
        return L2Record(
            "v",
            self.symbol,
            Source.LIVE,
            kind,
            self.epoch,
            self.sequence,
            0,
            "1",
            "1",
            reason,
            previous_sequence=previous,
        )

    def _status(self, state: FeedState) -> FeedStatus:
        return FeedStatus("v", self.symbol, Source.LIVE, state, self.epoch, 0)


def outlet_of(broker: FakeBroker, *streams: FakeStream, resume_below: int = 2) -> Outlet:
    by_symbol = {stream.symbol: stream for stream in streams}

    def invalidate(symbol: str) -> Iterable[ProducerRecord]:
        return by_symbol[symbol].overload()

    return Outlet(broker, invalidate, resume_below=resume_below)


def kinds(broker: FakeBroker, symbol: str) -> list[str]:
    return [str(record.kind) for record in broker.log if isinstance(record, L2Record) and record.symbol == symbol]


def letter(number: int) -> DeadLetter:
    return DeadLetter(f"v:1:{number}", "producer", "DecodeError", "", 0, b"", 0, symbol="A")


def test_records_pass_in_order_while_there_is_room() -> None:
    broker, stream = FakeBroker(100), FakeStream("A")
    outlet = outlet_of(broker, stream)
    records = [*stream.snapshot(), *stream.delta(), *stream.trade(), *stream.delta()]
    outlet.emit(records)

    assert broker.log == records
    assert not outlet.is_overloaded("A")
    assert outlet.shed == {}


def test_a_full_queue_invalidates_the_book_and_tells_so_once_there_is_room() -> None:
    broker, stream = FakeBroker(3), FakeStream("A")
    outlet = outlet_of(broker, stream)
    outlet.emit(stream.snapshot())
    for _ in range(5):
        outlet.emit(stream.delta())

    assert outlet.is_overloaded("A")
    assert not stream.live, "the stream was told, and asks for a snapshot"
    assert kinds(broker, "A") == ["snapshot", "delta"]
    outlet.release()
    assert kinds(broker, "A") == ["snapshot", "delta"], "there is no room yet"

    broker.drain()
    outlet.release()
    assert kinds(broker, "A") == ["snapshot", "delta", "invalid"]
    status = broker.log[-1]
    assert isinstance(status, FeedStatus)
    assert (status.state, status.detail) == (FeedState.INVALID, "the broker was behind: 1 records were shed")
    assert not outlet.is_overloaded("A")
    assert outlet.shed == {"L2Record": 1}


def test_other_instruments_go_on() -> None:
    broker, a, b = FakeBroker(4), FakeStream("A"), FakeStream("B")
    outlet = outlet_of(broker, a, b)
    outlet.emit([*a.snapshot(), *b.snapshot()])
    outlet.emit(a.delta())
    broker.drain(1)
    outlet.emit(b.delta())

    assert outlet.is_overloaded("A")
    assert not outlet.is_overloaded("B")
    assert kinds(broker, "B") == ["snapshot", "delta"]


def test_a_book_that_comes_back_while_there_is_no_room_is_invalidated_again() -> None:
    """Its snapshot was shed: its readers have the older book at best."""
    broker, stream = FakeBroker(2), FakeStream("A")
    outlet = outlet_of(broker, stream)
    outlet.emit(stream.snapshot())
    outlet.emit(stream.delta())
    outlet.emit([*stream.snapshot(), *stream.delta()])
    assert not stream.live
    broker.drain()
    outlet.release()
    invalid = next(record for record in broker.log if isinstance(record, L2Record) and record.kind is Kind.INVALID)

    assert invalid.epoch == stream.epoch
    assert outlet.shed == {"L2Record": 3}


def test_a_trade_that_found_no_room_is_counted_and_the_book_invalidated() -> None:
    broker, stream = FakeBroker(2), FakeStream("A")
    outlet = outlet_of(broker, stream)
    outlet.emit(stream.snapshot())
    outlet.emit(stream.trade())

    assert outlet.shed == {"TradeRecord": 1}
    assert not stream.live


def test_dead_letters_wait_for_room_and_keep_their_order() -> None:
    broker = FakeBroker(1)
    outlet = outlet_of(broker)
    outlet.emit([letter(1), letter(2), letter(3)])
    for _ in range(3):
        broker.drain()
        outlet.release()

    assert [record.letter_id for record in broker.log if isinstance(record, DeadLetter)] == ["v:1:1", "v:1:2", "v:1:3"]
    assert outlet.shed == {}


def test_dead_letters_beyond_the_bound_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet_module, "MAX_HELD_LETTERS", 2)
    outlet = outlet_of(FakeBroker(0))
    outlet.emit([letter(number) for number in range(5)])

    assert outlet.shed == {"DeadLetter": 3}


@settings(max_examples=fourth_of(200), deadline=None)
@given(
    st.integers(1, 8),
    st.lists(st.sampled_from(["delta", "delta", "trade", "snapshot", "drain", "release"]), max_size=60),
)
def test_whatever_the_broker_does_no_reader_sees_a_hole(room: int, actions: list[str]) -> None:
    """Between two snapshots deltas are whole, unless an invalid stands where they end."""
    broker, stream = FakeBroker(room), FakeStream("A")
    outlet = outlet_of(broker, stream, resume_below=max(1, room // 2))
    for action in actions:
        if action == "drain":
            broker.drain(1)
        elif action == "release":
            outlet.release()
        elif action != "snapshot" or not (stream.live or outlet.is_overloaded("A")):
            outlet.emit(getattr(stream, action)())
    for _ in range(3):
        broker.drain()
        outlet.release()

    live, epoch, sequence = False, 0, 0
    for record in broker.log:
        if not isinstance(record, L2Record):
            continue
        if record.kind is Kind.DELTA:
            assert live
            assert (record.epoch, record.previous_sequence) == (epoch, sequence)
        live, epoch, sequence = record.kind is not Kind.INVALID, record.epoch, record.sequence
    assert live == stream.live
    assert not outlet.is_overloaded("A")


def test_a_heartbeat_never_takes_the_place_of_a_change() -> None:
    """Tables keep changes only: an overload that outlasts a heartbeat must still leave a row."""
    broker, stream = FakeBroker(1), FakeStream("A")
    outlet = outlet_of(broker, stream)
    outlet.emit(stream.snapshot())
    outlet.emit(stream.delta())
    outlet.emit([FeedStatus("v", "A", Source.LIVE, FeedState.INVALID, stream.epoch, 1, heartbeat=True)])
    for _ in range(3):
        broker.drain()
        outlet.release()

    statuses = [record for record in broker.log if isinstance(record, FeedStatus)]
    assert [status.heartbeat for status in statuses] == [False]
