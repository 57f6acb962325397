"""Normalised messages of tardis-machine: what becomes of each, what is refused, and the same stretch as a dataset."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.books.router import FrameRouter
from producers.exchanges import EXCHANGES
from producers.messages import (
    UNNUMBERED,
    BestQuote,
    DepthDelta,
    DepthSnapshot,
    Frame,
    Ignored,
    Instrument,
    Interrupted,
    TradeTick,
    VenueMessage,
    Via,
)
from producers.recordings.opened import open_recording, venue_of
from producers.recordings.reader import RecordingReplay
from producers.recordings.recording import Recording
from producers.recordings.writer import RecordingWriter
from producers.tardis.machine import MachineReader, failure_in, iso_ns
from schemas.errors import DecodeError, FatalError, UnknownMessage
from schemas.messages import Coverage, FeedState, FeedStatus, Kind, L2Record, Reason, SequenceSource
from tests.producers.tardis_data import (
    L2_HEADER,
    START_NS,
    Market,
    as_message,
    as_rows,
    write_dataset,
    write_messages,
)

DERIBIT = EXCHANGES["deribit"]
TIMES = {"timestamp": "2024-01-02T03:04:05.006Z", "localTimestamp": "2024-01-02T03:04:05.007008Z"}
NS = 1_704_164_645_006_000_000


def message(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "symbol": "BTC-PERPETUAL", "exchange": "deribit", **fields, **TIMES}


def book(*, whole: bool, bids: Any = (), asks: Any = (), **more: Any) -> dict[str, Any]:
    sides = {
        name: [{"price": price, "amount": amount} for price, amount in side]
        for name, side in (("bids", bids), ("asks", asks))
    }
    return message("book_change", isSnapshot=whole, **sides, **more)


WHOLE = book(whole=True, bids=[(100, 5)], asks=[(101.5, 3)])


def parse(said: Any, books: str = "book_change") -> VenueMessage:
    raw = said if isinstance(said, bytes) else json.dumps(said).encode()
    (found,) = MachineReader(DERIBIT, "deribit", books).parse(Frame(1, Via.WS, raw=raw))
    return found


def test_empty_lines_at_the_end_of_a_file_say_nothing(tmp_path: Path) -> None:
    path = write_messages(tmp_path / "a.jsonl", [WHOLE, WHOLE])
    whole = list(open_recording(path, DERIBIT).source.frames())
    path.write_text(path.read_text() + "\n\n")
    assert list(open_recording(path, DERIBIT).source.frames()) == whole


class TestMessages:
    def test_a_change_is_a_delta_and_a_snapshot_replaces(self) -> None:
        delta = parse(book(whole=False, bids=[(7985.5, 0), (1e-7, 1e21)]))
        assert delta == DepthDelta(
            "BTC-PERPETUAL",
            UNNUMBERED,
            UNNUMBERED,
            [("7985.5", "0"), ("0.0000001", "1000000000000000000000")],
            [],
            exchange_ns=NS,
        )
        whole = parse(WHOLE)
        assert isinstance(whole, DepthSnapshot)
        assert (whole.bids, whole.asks, whole.coverage) == ([("100", "5")], [("101.5", "3")], Coverage.WHOLE)

    def test_numbers_are_read_digit_by_digit(self) -> None:
        raw = json.dumps(book(whole=True, bids=[(1, 1)])).replace('"price": 1,', '"price": 0.12345678901234567,')
        whole = parse(raw.encode())
        assert isinstance(whole, DepthSnapshot)
        assert whole.bids == [("0.12345678901234567", "1")]

    def test_levels_that_are_not_there_are_left_out(self) -> None:
        sides = {"bids": [{"price": 1, "amount": 2}, {}], "asks": [{}, {}]}
        said = message("book_snapshot", name="book_snapshot_2_50ms", depth=2, interval=50, **sides)
        whole = parse(said, "book_snapshot")
        assert isinstance(whole, DepthSnapshot)
        assert (whole.bids, whole.asks, whole.coverage) == ([("1", "2")], [], Coverage.TOP_N)
        assert parse(said) == Ignored("book_snapshot")

    def test_a_trade_has_the_takers_side(self) -> None:
        said = message("trade", id="7", price=1.5, amount=2, side="sell")
        assert parse(said) == TradeTick("BTC-PERPETUAL", "7", "1.5", "2", False, NS)
        assert parse({**said, "side": "unknown"}) == Ignored("trade_without_side")
        del said["id"]
        assert parse(said) == TradeTick("BTC-PERPETUAL", "", "1.5", "2", False, NS)

    def test_a_best_quote_is_a_sample_and_a_side_may_be_missing(self) -> None:
        said = message("book_ticker", bidPrice=1, bidAmount=2)
        expected = BestQuote("BTC-PERPETUAL", "1", "2", "0", "0", is_sampled=True)
        assert parse(said) == parse({**said, "askAmount": 3}) == parse({**said, "askPrice": None}) == expected

    def test_a_disconnect_has_no_time_of_its_own(self) -> None:
        said = {"type": "disconnect", "exchange": "deribit", "localTimestamp": TIMES["localTimestamp"]}
        assert parse(said) == Interrupted()
        assert parse({**said, "symbols": ["A", "B"]}) == Interrupted(("A", "B"))

    @pytest.mark.parametrize("kind", ["error", "liquidation", "option_summary", "trade_bar"])
    def test_what_is_not_needed_is_counted(self, kind: str) -> None:
        assert parse(message(kind, details="x")) == Ignored(kind)
        assert parse({**message(kind), "exchange": "bitmex"}) == Ignored("other_exchange")

    @pytest.mark.parametrize(
        ("said", "sentence"),
        [
            (b"{", "not a message of tardis-machine"),
            (b"[]", "not a message of tardis-machine"),
            (b'{"type": 1}', "not a message of tardis-machine"),
            (b"\xff", "not a message of tardis-machine"),
            ({**WHOLE, "bids": 1}, "not a book_change"),
            ({**WHOLE, "timestamp": "yesterday"}, "is no moment"),
            ({**WHOLE, "timestamp": "2024-13-01T00:00:00Z"}, "is no moment"),
            ({**WHOLE, "timestamp": "2024-01-01T24:00:00Z"}, "is no moment"),
            ({**WHOLE, "timestamp": "1969-12-31T23:59:59Z"}, "is no moment from 1970 to 2262"),
            ({**WHOLE, "timestamp": "9999-12-31T00:00:00Z"}, "is no moment from 1970 to 2262"),
            ({**message("trade"), "price": "x"}, "not a trade"),
        ],
    )  # fmt: skip
    def test_a_damaged_message_is_refused(self, said: Any, sentence: str) -> None:
        with pytest.raises(DecodeError, match=sentence):
            parse(said)

    def test_a_damaged_change_names_the_book_it_cost(self) -> None:
        with pytest.raises(DecodeError) as refused:
            parse({**WHOLE, "bids": 1})
        assert refused.value.context == {"channel": "depth", "symbol": "BTC-PERPETUAL"}

    def test_an_unknown_type_is_told(self) -> None:
        with pytest.raises(UnknownMessage, match="'news'"):
            parse(message("news"))


@given(st.datetimes(datetime(1971, 1, 1), datetime(2260, 1, 1)))  # noqa: DTZ001 (UTC is added)
def test_a_moment_is_read_exactly(moment: datetime) -> None:
    expected = (moment.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert iso_ns(f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z") == expected


def test_what_the_machine_says_where_it_fails_is_no_message() -> None:
    assert failure_in(b'{"message":"no such symbol","url":"x"}') == "no such symbol"
    assert failure_in(b'{"a":1}') == '{"a":1}'
    assert failure_in(json.dumps(WHOLE).encode()) == ""


def routed(*said: dict[str, Any]) -> tuple[list[Any], FrameRouter]:
    instruments = {name: Instrument("deribit", name, "0.5", "1") for name in ("BTC-PERPETUAL", "ETH-PERPETUAL")}
    router = FrameRouter(MachineReader(DERIBIT, "deribit"), instruments)
    records = [
        record
        for number, one in enumerate(said, 1)
        for record in router.handle(Frame(number, Via.WS, "c", raw=json.dumps(one).encode())).records
    ]
    return records, router


class TestBooks:
    def test_updates_are_numbered_as_they_arrive_and_say_so(self) -> None:
        records, _ = routed(WHOLE, book(whole=False, bids=[(99, 1)]), book(whole=False, bids=[(99, 0)]))
        books = [record for record in records if isinstance(record, L2Record)]
        assert [(one.kind, one.previous_sequence, one.sequence) for one in books] == [
            (Kind.SNAPSHOT, None, 1),
            (Kind.DELTA, 1, 2),
            (Kind.DELTA, 2, 3),
        ]
        assert {one.sequence_source for one in books} == {SequenceSource.SYNTHETIC}

    def test_a_disconnect_is_invalid_until_the_next_book(self) -> None:
        lost = {"type": "disconnect", "exchange": "deribit", "localTimestamp": TIMES["localTimestamp"]}
        records, router = routed(WHOLE, lost, book(whole=False, bids=[(99, 1)]), WHOLE)
        books = [(one.kind, one.reason) for one in records if isinstance(one, L2Record)]
        assert books == [(Kind.SNAPSHOT, None), (Kind.INVALID, Reason.DISCONNECT), (Kind.SNAPSHOT, None)]
        states = [one.state for one in records if isinstance(one, FeedStatus) and one.symbol == "BTC-PERPETUAL"]
        assert FeedState.DISCONNECTED in states
        assert states[-1] is FeedState.LIVE
        assert router.streams["BTC-PERPETUAL"].counters.deltas_dropped == 1

    def test_a_disconnect_of_some_costs_no_other(self) -> None:
        lost = {"type": "disconnect", "exchange": "deribit", "symbols": ["ETH-PERPETUAL", "X"], **TIMES}
        _, router = routed(WHOLE, {**WHOLE, "symbol": "ETH-PERPETUAL"}, lost)
        assert {name: stream.is_live for name, stream in router.streams.items()} == {
            "BTC-PERPETUAL": True,
            "ETH-PERPETUAL": False,
        }


SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(scope="module")
def market() -> Market:
    return Market("bybit", "bybit", SYMBOLS, 8)


class TestFiles:
    def test_the_same_stretch_as_a_replay_and_as_a_dataset_is_the_same_book(
        self, market: Market, tmp_path: Path
    ) -> None:
        messages = [as_message("bybit", said) for said in market.said if said.trade is None]
        rows = [row for said in market.said if said.trade is None for row in as_rows("bybit", said)]
        replayed = books_at(write_messages(tmp_path / "machine.jsonl", messages))
        dataset = books_at(write_dataset(tmp_path / "l2.csv", L2_HEADER, rows))
        assert len(replayed) > 120
        assert replayed == dataset
        for symbol in SYMBOLS:
            last = max(key for key in replayed if key[0] == symbol)
            assert replayed[last] == tuple(levels_of(*side) for side in market.true_book(symbol))

    def test_trades_between_changes_leave_the_book_alone(self, market: Market, tmp_path: Path) -> None:
        everything = [as_message("bybit", said) for said in market.said]
        depth = [one for one in everything if one["type"] != "trade"]
        assert len(everything) > len(depth)
        replayed = books_at(write_messages(tmp_path / "a.jsonl", everything))
        assert replayed == books_at(write_messages(tmp_path / "b.jsonl", depth))

    def test_a_recording_of_a_stream_is_read_as_one(self, market: Market, tmp_path: Path) -> None:
        path = tmp_path / "a.frames.jsonl.gz"
        with RecordingWriter(path, "tardis:bybit") as writer:
            for said in market.said[:200]:
                raw = json.dumps(as_message("bybit", said)).encode()
                writer.write(Frame(said.local_us * 1000, Via.WS, "1", raw=raw))
        assert venue_of(path) == "bybit"
        replay = RecordingReplay(path, EXCHANGES["bybit"])
        list(replay)
        assert all(stream.is_live for stream in replay.router.streams.values())
        assert len(list(Recording(path).frames())) == 200

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda text: text[:-3], r"line 3 .*it is cut short"),
            (lambda text: text + '{"message":"unauthorized"}\n', r"line 4 .*the machine failed: unauthorized"),
            (lambda text: text + "hello\n", r"line 4 .*not a message of tardis-machine"),
            (lambda text: text.replace('"localTimestamp"', '"when"', 4).replace('"when"', '"localTimestamp"', 1),
             r"line 2 .*is no moment"),
        ],
    )  # fmt: skip
    def test_a_file_that_is_off_is_one_sentence(self, tmp_path: Path, change: Any, sentence: str) -> None:
        path = write_messages(tmp_path / "a.jsonl", [WHOLE] * 3)
        path.write_text(change(path.read_text()))
        with pytest.raises(FatalError, match=sentence):
            RecordingReplay(path, DERIBIT)

    def test_pictures_of_a_book_are_its_books_where_there_are_no_changes(self, tmp_path: Path) -> None:
        picture = message("book_snapshot", bids=[{"price": 1, "amount": 2}], asks=[{}])
        for messages, books in (([picture, picture], 2), ([WHOLE, picture], 1)):
            source, reader = open_recording(write_messages(tmp_path / "a.jsonl", messages), DERIBIT)
            read = [one for frame in source.frames() for one in reader.parse(frame)]
            assert sum(isinstance(one, DepthSnapshot) for one in read) == books


def levels_of(*levels: tuple[str, str]) -> dict[float, float]:
    return {float(price): float(size) for price, size in levels}


def books_at(path: Path) -> dict[tuple[str, int], tuple[dict[float, float], dict[float, float]]]:
    """Every book after each of its updates, by instrument and moment; each has to be LIVE."""
    replay = RecordingReplay(path, EXCHANGES["bybit"])
    found = {}
    for step in replay:
        for record in step.records:
            if not isinstance(record, L2Record):
                continue
            stream = replay.router.streams[record.symbol]
            assert stream.is_live
            grid, whole = stream.kept.grid, stream.book
            tick, lot = float(grid.price.step), float(grid.size.step)
            found[record.symbol, step.received_ns] = tuple(
                {round(ticks * tick, 8): round(lots * lot, 8) for ticks, lots in side}
                for side in (whole.top_bids(10**6), whole.top_asks(10**6))
            )
    assert min(received for _, received in found) > START_NS
    return found  # type: ignore[return-value]
